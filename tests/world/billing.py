"""The billing world: a seller for the network, alice's company, and what can be sold, used and owed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from api.domain.billing import invoices, organisations, sellers
from api.domain.billing.facturx import Document, check_document
from api.domain.billing.invoices import Customer, Invoice
from api.domain.billing.money_rights import MoneyRight
from api.domain.billing.organisations import BillingDetails
from api.domain.billing.sellers import Seller
from api.domain.booking.bookings import Booking, BookingRequest, book
from api.domain.booking.rules import Policy, set_rule
from api.domain.core.base import Base
from api.domain.people.accounts import BuyingRight, Organisation, User
from api.domain.places.sites import Resource, ResourceKind, create_resource
from api.domain.pricing.legal import Regime
from api.domain.pricing.prices import BookingRates
from api.domain.printing.jobs import JobRequest
from api.domain.sales import quotes
from api.domain.sales.quotes import Quote, RequestedLine
from tests.world import HOUR, NOW, World, make_model, make_request, make_world, world_in
from tests.world.documents import (
    make_bank,
    make_buyer,
    make_document,
    make_seller,
    make_siren,
    make_siret,
    make_vat_number,
)
from tests.world.races import Waits, Work, on

TODAY = date(2026, 11, 23)
#: Tomorrow at 10 in Mende.
START = datetime(2026, 11, 24, 9, tzinfo=NOW.tzinfo)
#: Three days ago: a stay that began then is over by the clock of the faces too.
PAST = START.replace(day=20)
#: What a drawn invoice is known by.
DRAWN: dict[str, Any] = {
    "pdf_key": "a",
    "pdf_sha256": "0" * 64,
    "pdf_bytes": 1,
    "xml_key": "b",
    "xml_sha256": "1" * 64,
}
#: An address as a program sends it.
ADDRESS = {"lines": ["1 rue des Essais"], "postcode": "48000", "city": "Mende"}
#: What a browser sends for a new organisation.
FIELDS = {"name": "Tournerie", "street": "1 rue A", "postcode": "48000", "city": "Mende", "terms_days": "30"}


def accept_all(document: Document) -> bytes:
    """A judge for tests that are not about validity; the real one is tried in tests of its own."""
    return document.number.encode()


@dataclass
class Shop:
    """A world with a seller, and alice as the first buyer of her company."""

    world: World
    seller: Seller
    company: Organisation


def shop_in(session: Session, shop: Shop) -> Shop:
    """The same shop with its rows as this session has them."""
    seller, company = session.get_one(Seller, shop.seller.id), session.get_one(Organisation, shop.company.id)
    return Shop(world_in(session, shop.world), seller, company)


def in_shop(shop: Shop, act: Callable[..., object], *rows: Base) -> Work:
    """A work for races: it reads the shop and these rows, waits for its turn, and calls `act(session, shop, *rows)`."""

    def work(session: Session, turn: Waits) -> object:
        there = shop_in(session, shop)
        return on(lambda session, *own: act(session, there, *own), *rows)(session, turn)

    return work


def make_details(seed: int = 40, **over: Any) -> BillingDetails:
    siren = make_siren(seed)
    details = BillingDetails(
        name=f"Menuiserie Essai {seed}",
        address=make_buyer().address,
        siren=siren,
        siret=make_siret(siren),
        vat_number=make_vat_number(siren),
        legal_form="SARL",
    )
    return replace(details, **over)


def add_seller(session: Session, *, regime: Regime = Regime.PAYER, **over: Any) -> Seller:
    return sellers.add_seller(session, party=make_seller(), bank=make_bank(), **{"regime": regime, "now": NOW, **over})


def let_handle_money(session: Session, user: User, seller: Seller) -> None:
    """As an administrator does it, without one."""
    session.add(MoneyRight(seller_id=seller.id, user_id=user.id, since=NOW))
    session.flush()


def make_shop(
    session: Session,
    *,
    world: World | None = None,
    details: BillingDetails | None = None,
    regime: Regime = Regime.PAYER,
    **site_facts: Any,
) -> Shop:
    """In the world given, or in one of its own with these facts of its site; bob handles the money."""
    world = world or make_world(session, **site_facts)
    seller = add_seller(session, regime=regime)
    let_handle_money(session, world.bob, seller)
    details = details or make_details()
    company = organisations.create_organisation(session, owner=world.alice, details=details, now=NOW)
    terms = {"terms_days": details.terms_days, "monthly": details.monthly}
    organisations.grant_terms(session, organisation=company, actor=world.bob, now=NOW, **terms)
    return Shop(world, seller, company)


def ask(session: Session, shop: Shop, *, models: int = 1, copies: int = 2, now: datetime = NOW, **over: Any) -> Quote:
    """A quote of alice for so many cubes."""
    asked = [
        RequestedLine(_cube(session, shop, f"piece-{n}.stl", copies), rush=over.pop("rush", "standard"))
        for n in range(models)
    ]
    return quotes.create_quote(
        session,
        site=shop.world.site,
        organisation=over.pop("organisation", shop.company),
        actor=over.pop("actor", shop.world.alice),
        lines=asked,
        now=now,
        **over,
    )


def _cube(session: Session, shop: Shop, name: str, copies: int) -> JobRequest:
    model = make_model(session, shop.world.alice, name)
    return make_request(session, shop.world.site, model, copies=copies)


def issue(session: Session, shop: Shop, *, judge: Any = accept_all, today: date = TODAY, **over: Any) -> Invoice:
    """An invoice of four lines to alice's company, or of the document given."""
    draft = over.pop("draft", None) or make_document(issued_on=over.pop("issued_on", today), seller=shop.seller.party)
    return invoices.issue(
        session,
        seller=shop.seller,
        draft=draft,
        customer=over.pop("customer", Customer(organisation_id=shop.company.id)),
        judge=judge,
        now=over.pop("now", NOW),
        today=today,
        **over,
    )


def check_only(document: Document) -> bytes:
    """A judge that makes the checks of the document, but draws and keeps no file."""
    check_document(document)
    return b"seen"


def join(
    session: Session, shop: Shop, user: User, buying: BuyingRight, monthly_cents: int | None = None
) -> Organisation:
    """Invited by alice, `user` becomes a member of her company."""
    token = organisations.invite(
        session,
        organisation=shop.company,
        actor=shop.world.alice,
        email=user.email,
        buying=buying,
        monthly_cents=monthly_cents,
        now=NOW,
    )
    organisations.accept_invitation(session, user=user, token=token, now=NOW)
    return shop.company


def make_room(session: Session, shop: Shop, **policy: Any) -> Resource:
    """A room at 12.50 an hour; a late cancellation costs 5."""
    room = create_resource(session, site=shop.world.site, kind=ResourceKind.ROOM, name="Salle Lot", now=NOW)
    numbers = {"cancel_minutes": 24 * 60, "late_fee_cents": 500, "step_minutes": 15, "max_minutes": 600, **policy}
    rates = BookingRates(tiers=((0, Decimal("12.50")),))
    set_rule(session, site=shop.world.site, resource=room, policy=Policy(rates=rates, **numbers), now=NOW)
    return room


def stay(
    session: Session, shop: Shop, *, room: Resource | None = None, start: datetime = START, hours: int = 2, **over: Any
) -> Booking:
    """Alice books for her company; two hours are 25 euros."""
    room = room or make_room(session, shop)
    request = BookingRequest(
        resource_id=room.id,
        start=start,
        end=start + hours * HOUR,
        organisation_id=over.pop("organisation_id", shop.company.id),
    )
    return book(session, request=request, **{"user": shop.world.alice, "now": min(NOW, start - 3 * HOUR), **over})


def released(session: Session, shop: Shop) -> Invoice:
    """An invoice that is drawn, so that it may leave the house."""
    invoice = issue(session, shop)
    invoices.release(session, invoice=invoice, now=NOW, **DRAWN)
    return invoice
