"""The billing world: a seller for the network, alice's company, and things that can be sold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy.orm import Session

from api.domain.billing import invoices, organisations, sellers
from api.domain.billing.facturx import Document
from api.domain.billing.invoices import Customer, Invoice
from api.domain.billing.organisations import BillingDetails
from api.domain.billing.sellers import Seller
from api.domain.people.accounts import Organisation
from api.domain.pricing.legal import Regime
from api.domain.printing.jobs import JobRequest
from api.domain.sales import quotes
from api.domain.sales.quotes import Quote, RequestedLine
from tests.world import NOW, World, make_model, make_request, make_world
from tests.world.documents import (
    make_bank,
    make_buyer,
    make_document,
    make_seller,
    make_siren,
    make_siret,
    make_vat_number,
)

TODAY = date(2026, 11, 23)


def accept_all(document: Document) -> bytes:
    """A judge for tests that are not about validity; the real one is tried in tests of its own."""
    return document.number.encode()


@dataclass
class Shop:
    """A world with a seller, and alice as the first buyer of her company."""

    world: World
    seller: Seller
    company: Organisation


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


def make_shop(session: Session, *, details: BillingDetails | None = None, **site_facts: Any) -> Shop:
    world = make_world(session, **site_facts)
    seller = add_seller(session)
    company = organisations.create_organisation(session, owner=world.alice, details=details or make_details(), now=NOW)
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
