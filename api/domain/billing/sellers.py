"""Legal entities that sell: who stands on the invoices of a site, and under which VAT regime on which day.

A regime is a dated row that cannot begin in the past, and an issued invoice keeps its own copy of its seller.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from api.domain.billing.facturx import Address, Bank, Party, bank_faults, faults, party_faults
from api.domain.billing.money_rights import list_handled_ids, may_handle_money, require_money_right
from api.domain.core.base import Base, EnumText, Id, Instant
from api.domain.core.changes import enqueue, record
from api.domain.core.errors import Conflict, Invalid, NotFound
from api.domain.core.locks import add_unique, lock_row
from api.domain.people.accounts import User
from api.domain.people.roles import AdministratorOnly, may_staff
from api.domain.places.sites import Site, list_sites
from api.domain.pricing.legal import PARIS, Regime

# A number has at most 35 signs, letters, digits and + - _ / only (BR-FR-01, BR-FR-02): eight leave room for the year
# and the count.
PREFIX = "[A-Z0-9-]{1,8}"


class WalletKind(StrEnum):
    """Whether prepaid credit bears VAT when it is used (multi-purpose) or when it is bought (single-purpose)."""

    # BOI-TVA-CHAMP-10-10-40-50 (formerly CGI 256 ter): single-purpose where all that it can buy has one rate in one
    # place. An accountant has to say which it is here, so top-ups of a single-purpose seller are refused until then.
    MULTI = "multi"
    SINGLE = "single"


class NoSeller(NotFound):
    """This place has no legal entity yet: staff must add it before anything is sold."""


class PrefixWrong(Invalid):
    """Enter a prefix of 1 to 8 capital letters, digits or hyphens."""

    field = "prefix"


class DuplicateSeller(Conflict):
    """This place already has a legal entity: edit that one."""

    field = "site"


class SellerNameless(Invalid):
    """Enter the name of the legal entity."""

    field = "name"


class VatNumberMissing(Invalid):
    """Enter the VAT number: it is required to charge VAT."""

    field = "vat_number"


class AnotherEntity(Invalid):
    """A different SIREN means a different legal entity, with its own books and numbers: this one keeps {siren}."""

    field = "siren"


class RegimeInPast(Invalid):
    """A VAT scheme starts today or later: past invoices keep theirs."""

    field = "start"


class OverlappingRegime(Conflict):
    """Another VAT scheme already starts on that day."""

    field = "start"


class Seller(Base):
    """One legal entity; of one site, or (site_id NULL) of every site that has none of its own."""

    __tablename__ = "sellers"
    __table_args__ = (
        # NULL equals nothing in a unique index; as 0 there is one seller of the network, too.
        Index("uq_sellers_site", text("coalesce(site_id, 0)"), unique=True),
        CheckConstraint(f"prefix ~ '^{PREFIX}$'", name="prefix"),
    )

    id: Mapped[Id]
    site_id: Mapped[int | None] = mapped_column(ForeignKey("sites.id"))
    name: Mapped[str] = mapped_column(String(200))
    legal_form: Mapped[str] = mapped_column(String(200), default="")
    siren: Mapped[str] = mapped_column(String(9))
    siret: Mapped[str] = mapped_column(String(14))
    vat_number: Mapped[str | None] = mapped_column(String(20))
    address: Mapped[dict[str, Any]] = mapped_column(JSONB)
    email: Mapped[str | None] = mapped_column(String(254))
    phone: Mapped[str | None] = mapped_column(String(30))
    iban: Mapped[str] = mapped_column(String(34))
    bic: Mapped[str] = mapped_column(String(11))
    bank_name: Mapped[str] = mapped_column(String(120))
    # The first letters of its invoice numbers: F makes F2026-00001. No verb changes it.
    prefix: Mapped[str] = mapped_column(String(8), default="F")
    wallet_kind: Mapped[WalletKind] = mapped_column(EnumText(WalletKind), default=WalletKind.MULTI)
    created_at: Mapped[Instant]

    @property
    def bank(self) -> Bank:
        return Bank(iban=self.iban, bic=self.bic, name=self.bank_name)

    @property
    def party(self) -> Party:
        return Party(
            name=self.name,
            address=unpack_address(self.address),
            siren=self.siren,
            siret=self.siret,
            vat_number=self.vat_number,
            legal_form=self.legal_form or None,
            email=self.email,
            phone=self.phone,
        )


class SellerRegime(Base):
    """From `start` until the next row the seller is under this regime."""

    __tablename__ = "seller_regimes"
    __table_args__ = (UniqueConstraint("seller_id", "start"),)

    id: Mapped[Id]
    seller_id: Mapped[int] = mapped_column(ForeignKey("sellers.id"))
    start: Mapped[date]
    regime: Mapped[Regime] = mapped_column(EnumText(Regime))
    vat_on_debits: Mapped[bool] = mapped_column(default=False)


def pack_address(address: Address) -> dict[str, Any]:
    return {
        "lines": list(address.lines),
        "postcode": address.postcode,
        "city": address.city,
        "country": address.country,
    }


def unpack_address(packed: dict[str, Any]) -> Address:
    return Address(
        lines=tuple(packed["lines"]),
        postcode=packed["postcode"],
        city=packed["city"],
        country=packed.get("country", "FR"),
    )


def today(now: datetime) -> date:
    """The day in Paris: the date of a document issued now."""
    return now.astimezone(PARIS).date()


def add_seller(
    session: Session,
    *,
    party: Party,
    bank: Bank,
    regime: Regime,
    now: datetime,
    site: Site | None = None,
    actor: User | None = None,
    prefix: str = "F",
    start: date = date(2020, 1, 1),
    vat_on_debits: bool = False,
) -> Seller:
    """Enter the legal entity of `site` or, without one, of the network.

    An actor must administer the network (AdministratorOnly): a place's own entity takes money that went to another
    account before. Raises the named fault of the field (WrongSiren, SiretOfAnother, WrongIban, ..), PrefixWrong, and
    DuplicateSeller where there is one.
    """
    if actor is not None and not actor.is_admin:
        raise AdministratorOnly()
    _check(party)
    check_bank(bank)
    _check_regime(party.vat_number, regime, vat_on_debits)
    if not re.fullmatch(PREFIX, prefix):
        raise PrefixWrong()
    site_id = site.id if site else None
    seller = Seller(site_id=site_id, siren=party.siren, prefix=prefix, created_at=now)
    _fill(seller, party)
    set_bank(seller, bank)
    add_unique(session, seller, DuplicateSeller())
    set_regime(session, seller=seller, start=start, regime=regime, vat_on_debits=vat_on_debits)
    _record(session, seller, "added", actor, now)
    return seller


def _fill(seller: Seller, party: Party) -> None:
    """All that may change at once; the bank needs a second person, SIREN and prefix never change."""
    seller.name, seller.legal_form, seller.siret = party.name.strip(), party.legal_form or "", party.siret or ""
    seller.vat_number, seller.address = party.vat_number, pack_address(party.address)
    seller.email, seller.phone = party.email, party.phone


def set_bank(seller: Seller, bank: Bank) -> None:
    """Only for a new seller, and for a change that a second person has confirmed."""
    seller.iban, seller.bic, seller.bank_name = bank.iban, bank.bic, bank.name


def _record(session: Session, seller: Seller, verb: str, actor: User | None, now: datetime, **facts: str) -> None:
    record(
        session,
        noun="seller",
        noun_id=seller.id,
        verb=verb,
        now=now,
        actor_id=actor.id if actor else None,
        site_id=seller.site_id,
        **facts,
    )


def _check(party: Party) -> None:
    if not party.name.strip():
        raise SellerNameless()
    # `party_faults` also serves buyers, and lets one without a SIREN pass: a consumer has none.
    if not party.siren:
        raise faults.WrongSiren(siren="", party=party.name)
    for fault in party_faults(party):
        raise fault


def check_bank(bank: Bank) -> None:
    """Raises WrongIban and the other faults of the field."""
    for fault in bank_faults(bank):
        raise fault


def _check_regime(vat_number: str | None, regime: Regime, vat_on_debits: bool) -> None:
    if regime is Regime.PAYER and not vat_number:
        raise VatNumberMissing()
    # The option moves the day on which the VAT of services is due: without VAT there is nothing to move.
    if vat_on_debits and regime is not Regime.PAYER:
        raise faults.DebitsWithoutVat(field="vat_on_debits")


def change_seller(session: Session, *, seller: Seller, party: Party, actor: User, now: datetime) -> None:
    """Another address, form or capital, by who handles its money (MoneyOnly); what was issued keeps its copy.

    The bank is changed by `money_requests`. Another e-mail address is told to the old one, to which those letters go.

    Raises the named fault of the field, AnotherEntity for another SIREN, and VatNumberMissing where a regime of today
    or later needs the number.
    """
    require_money_right(session, user=actor, seller_id=seller.id)
    lock_row(session, seller)  # which `plan_regime` locks too: it counts on the VAT number
    _check(party)
    if party.siren != seller.siren:
        raise AnotherEntity(siren=seller.siren)
    for row in _list_regimes_from(session, seller, today(now)):
        _check_regime(party.vat_number, row.regime, row.vat_on_debits)
    if seller.email and seller.email != party.email:
        new = party.email or ""
        enqueue(session, "notify_seller_email", seller_id=seller.id, old=seller.email, new=new, actor_id=actor.id)
    _fill(seller, party)
    session.flush()
    _record(session, seller, "changed", actor, now)


def _list_regimes_from(session: Session, seller: Seller, on: date) -> list[SellerRegime]:
    """The regime in force on `on`, and those to come."""
    return [get_regime(session, seller=seller, on=on)] + [
        row for row in list_regimes(session, seller=seller) if row.start > on
    ]


def plan_regime(
    session: Session, *, seller: Seller, start: date, regime: Regime, vat_on_debits: bool, actor: User, now: datetime
) -> SellerRegime:
    """Another VAT regime from a day on, by who handles the money.

    Raises MoneyOnly, RegimeInPast, OverlappingRegime, VatNumberMissing, DebitsWithoutVat.
    """
    require_money_right(session, user=actor, seller_id=seller.id)
    lock_row(session, seller)
    # Documents of earlier days exist already and were issued under the regime of their day.
    if start < today(now):
        raise RegimeInPast()
    if any(row.start == start for row in list_regimes(session, seller=seller)):
        raise OverlappingRegime()
    _check_regime(seller.vat_number, regime, vat_on_debits)
    row = set_regime(session, seller=seller, start=start, regime=regime, vat_on_debits=vat_on_debits)
    facts = {"regime": regime.value, "start": start.isoformat()}
    _record(session, seller, "regime_planned", actor, now, **facts)
    return row


def list_regimes(session: Session, *, seller: Seller) -> list[SellerRegime]:
    """The newest first, coming ones included."""
    query = select(SellerRegime).where(SellerRegime.seller_id == seller.id).order_by(SellerRegime.start.desc())
    return list(session.scalars(query))


def set_regime(
    session: Session, *, seller: Seller, start: date, regime: Regime, vat_on_debits: bool = False
) -> SellerRegime:
    """Write the row; rights and state were checked by `add_seller` or `plan_regime`."""
    row = SellerRegime(seller_id=seller.id, start=start, regime=regime, vat_on_debits=vat_on_debits)
    session.add(row)
    session.flush()
    return row


def get_regime(session: Session, *, seller: Seller, on: date) -> SellerRegime:
    """The regime of that day; NoSeller when none had begun."""
    query = select(SellerRegime).where(SellerRegime.seller_id == seller.id, SellerRegime.start <= on)
    row = session.scalar(query.order_by(SellerRegime.start.desc()).limit(1))
    if row is None:
        raise NoSeller()
    return row


def find_own_seller(session: Session, *, site_id: int | None) -> Seller | None:
    """The entity entered for this very site or, with None, for the network; `get_site_seller` falls back to it."""
    own = Seller.site_id.is_(None) if site_id is None else Seller.site_id == site_id
    return session.scalar(select(Seller).where(own))


def may_add_seller(session: Session, *, user: User, site_id: int | None) -> bool:
    """There is none yet, and this person may enter one."""
    return user.is_admin and find_own_seller(session, site_id=site_id) is None


def get_site_seller(session: Session, *, site_id: int) -> Seller:
    """Who sells at this site: its own legal entity, else the network's; raises NoSeller."""
    query = select(Seller).where((Seller.site_id == site_id) | Seller.site_id.is_(None))
    # False sorts before true: the site's own entity comes before the network's.
    row = session.scalar(query.order_by(Seller.site_id.is_(None)).limit(1))
    if row is None:
        raise NoSeller()
    return row


def get_seller(session: Session, seller_id: int, *, user: User) -> Seller:
    """A seller whose money this user handles; NotFound to everybody else."""
    seller = session.get(Seller, seller_id)
    if seller is None or not may_handle_money(session, user=user, seller_id=seller.id):
        raise NotFound()
    return seller


def get_till_seller(session: Session, seller_id: int, *, user: User) -> Seller:
    """A seller for which this user may sell at some place; NotFound to everybody else."""
    seller = session.get(Seller, seller_id)
    if seller is None or not list_till_site_ids(session, user=user, seller=seller):
        raise NotFound()
    return seller


def list_till_site_ids(session: Session, *, user: User, seller: Seller) -> list[int]:
    """Sites where this person may take money at the till for this seller and invoice what was used there.

    Those that they staff; all that sell through it for who handles its money.
    """
    ids = list_site_ids(session, seller=seller)
    if may_handle_money(session, user=user, seller_id=seller.id):
        return ids
    return [site_id for site_id in ids if may_staff(session, user=user, site_id=site_id)]


def list_site_ids(session: Session, *, seller: Seller) -> list[int]:
    """Sites that sell through it: its own or, for the network's, every site that has no seller of its own."""
    if seller.site_id is not None:
        return [seller.site_id]
    own = set(session.scalars(select(Seller.site_id).where(Seller.site_id.is_not(None))))
    return [site.id for site in list_sites(session) if site.id not in own]


def list_sellers(session: Session, *, user: User | None = None) -> list[Seller]:
    """All of the network, or those whose money `user` handles."""
    sellers = list(session.scalars(select(Seller).order_by(Seller.id)))
    if user is None or user.is_admin:
        return sellers
    ids = list_handled_ids(session, user=user)
    return [seller for seller in sellers if seller.id in ids]


def list_till_sellers(session: Session, *, user: User) -> list[Seller]:
    """Those for which `user` may sell at some place."""
    return [each for each in list_sellers(session) if list_till_site_ids(session, user=user, seller=each)]
