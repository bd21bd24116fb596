"""The tables of quotes (*devis*): a price frozen until a day, its lines with their trace; each site's review rule."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    ColumnElement,
    ForeignKey,
    Index,
    Numeric,
    String,
    Text,
    UniqueConstraint,
    and_,
    exists,
    func,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Mapped, Session, joinedload, mapped_column, relationship, selectinload
from sqlalchemy.orm.interfaces import ORMOption

from api.domain.billing.facturx import QuoteDocument as Devis
from api.domain.billing.sellers import Seller, today
from api.domain.core.base import Base, Cents, EnumText, Id, Instant
from api.domain.core.changes import record
from api.domain.core.errors import Invalid
from api.domain.core.frozen import thaw
from api.domain.core.paging import FIRST_PAGE, Page, PageWindow, read_page
from api.domain.people.accounts import Organisation, User
from api.domain.people.roles import require_manager
from api.domain.places.sites import Site
from api.domain.pricing.materials import Colour, Material, Quality
from api.domain.printing.library import Model
from api.domain.sales.access import get_readable, list_readable

# Ten million euros: a threshold above is a typing mistake.
MOST_ABOVE_CENTS = 1_000_000_000


class ThresholdWrong(Invalid):
    """Enter an amount in euros, zero or more."""

    field = "above"


class ValidityWrong(Invalid):
    """Enter a validity of 1 to 365 days."""

    field = "valid_days"


class Review(StrEnum):
    """When staff look at a quote before it is offered: an offer binds the seller."""

    INSTANT = "instant"
    ABOVE = "above"
    ALWAYS = "always"


class QuoteStatus(StrEnum):
    IN_REVIEW = "in_review"
    OFFERED = "offered"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


_S = QuoteStatus
NEXT: dict[QuoteStatus, frozenset[QuoteStatus]] = {
    # Once offered it is not declined any more: an offer binds the seller until its last day.
    _S.IN_REVIEW: frozenset({_S.OFFERED, _S.DECLINED, _S.WITHDRAWN}),
    _S.OFFERED: frozenset({_S.ACCEPTED, _S.WITHDRAWN}),
}


class QuoteRule(Base):
    """How a site quotes. A site without a row offers at once, for 30 days."""

    __tablename__ = "quote_rules"
    __table_args__ = (CheckConstraint("valid_days BETWEEN 1 AND 365", name="valid_days"),)

    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id"), primary_key=True)
    review: Mapped[Review] = mapped_column(EnumText(Review), default=Review.INSTANT)
    # Total with VAT from which staff look, with review "above".
    above_cents: Mapped[Cents] = mapped_column(default=50_000)
    valid_days: Mapped[int] = mapped_column(default=30)


class Quote(Base):
    """A *devis* for an organisation. `body` is the frozen document, whose lines are invoiced as they are."""

    __tablename__ = "quotes"
    __table_args__ = (
        UniqueConstraint("seller_id", "number"),
        CheckConstraint("total_cents = net_cents + vat_cents AND total_cents >= 0", name="total"),
        Index("ix_quotes_organisation_id_id", "organisation_id", "id"),
        Index("ix_quotes_site_id_status", "site_id", "status"),
        Index("ix_quotes_site_id_id", "site_id", "id"),
    )

    id: Mapped[Id]
    number: Mapped[str] = mapped_column(String(35))
    seller_id: Mapped[int] = mapped_column(ForeignKey("sellers.id"))
    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id"))
    organisation_id: Mapped[int] = mapped_column(ForeignKey("organisations.id"))
    cost_centre_id: Mapped[int | None] = mapped_column(ForeignKey("cost_centres.id"))
    asked_by: Mapped[int] = mapped_column(ForeignKey("users.id"))
    status: Mapped[QuoteStatus] = mapped_column(EnumText(QuoteStatus))
    note: Mapped[str] = mapped_column(Text, default="")
    # The prices it was computed with; a newer tariff does not touch it.
    tariff_id: Mapped[int] = mapped_column(ForeignKey("tariffs.id"))
    wanted_on: Mapped[date | None]
    promised_on: Mapped[date | None]
    valid_until: Mapped[date]
    # Copies of the sums of `body`, for lists and limits.
    net_cents: Mapped[Cents]
    vat_cents: Mapped[Cents]
    total_cents: Mapped[Cents]
    body: Mapped[str] = mapped_column(Text)
    created_at: Mapped[Instant]
    offered_at: Mapped[Instant | None]
    reviewed_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    reason: Mapped[str] = mapped_column(String(500), default="")
    accepted_at: Mapped[Instant | None]
    accepted_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))
    purchase_order: Mapped[str | None] = mapped_column(String(100))

    organisation: Mapped[Organisation] = relationship()
    site: Mapped[Site] = relationship()
    seller: Mapped[Seller] = relationship()
    lines: Mapped[list[QuoteLine]] = relationship(order_by="QuoteLine.position", back_populates="quote")

    @property
    def document(self) -> Devis:
        return thaw(self.body, Devis)

    def is_expired(self, now: datetime) -> bool:
        """Nobody accepted it, and its last day is over; no status says so, because time alone does it."""
        return self.status in (QuoteStatus.OFFERED, QuoteStatus.IN_REVIEW) and today(now) > self.valid_until


class QuoteLine(Base):
    """One model in so many copies: its price, and the trace that explains it."""

    __tablename__ = "quote_lines"
    __table_args__ = (
        UniqueConstraint("quote_id", "position"),
        CheckConstraint("quantity > 0", name="quantity"),
        CheckConstraint("net_cents >= 0", name="net"),
    )

    id: Mapped[Id]
    quote_id: Mapped[int] = mapped_column(ForeignKey("quotes.id"))
    position: Mapped[int]
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"))
    material_id: Mapped[int] = mapped_column(ForeignKey("materials.id"))
    colour_id: Mapped[int | None] = mapped_column(ForeignKey("colours.id"))
    quality: Mapped[Quality] = mapped_column(EnumText(Quality))
    scale: Mapped[Decimal] = mapped_column(Numeric(8, 4), default=1)
    quantity: Mapped[int]
    rush: Mapped[str] = mapped_column(String(30), default="standard")
    wanted_on: Mapped[date | None]
    grams_each: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    minutes_each: Mapped[Decimal] = mapped_column(Numeric(10, 2))
    unit_price: Mapped[Decimal] = mapped_column(Numeric(12, 4))  # Four decimals: BT-146.
    net_cents: Mapped[Cents]
    vat_cents: Mapped[Cents]
    trace: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)

    quote: Mapped[Quote] = relationship(back_populates="lines")
    model: Mapped[Model] = relationship()
    material: Mapped[Material] = relationship()
    colour: Mapped[Colour | None] = relationship()


def _shown() -> list[ORMOption]:
    """What a list shows of a quote: who asks where, and its lines."""
    lines = selectinload(Quote.lines)
    return [
        *(joinedload(each) for each in (Quote.organisation, Quote.site, Quote.seller)),
        *(lines.joinedload(each) for each in (QuoteLine.model, QuoteLine.material, QuoteLine.colour)),
    ]


def get_quote(session: Session, quote_id: int, *, user: User) -> Quote:
    return get_readable(session, Quote, quote_id, user=user)


def lock_quote(session: Session, quote: Quote) -> None:
    """Take the row until the end of the transaction and read it anew, so that of two decisions one sees the other."""
    session.refresh(quote, with_for_update={"key_share": True})


def list_quotes(
    session: Session,
    *,
    user: User,
    organisation_id: int | None = None,
    site_ids: list[int] | None = None,
    window: PageWindow = FIRST_PAGE,
) -> Page[Quote]:
    """As `list_readable`."""
    return list_readable(
        session,
        Quote,
        user=user,
        organisation_id=organisation_id,
        site_ids=site_ids,
        window=window,
        shown=_shown(),
    )


def list_waiting(session: Session, *, site_ids: list[int], now: datetime, limit: int = 100) -> list[Quote]:
    """What these sites have to review, the oldest first: it has waited longest."""
    query = select(Quote).where(Quote.site_id.in_(site_ids), _waits(now)).options(*_shown())
    return list(session.scalars(query.order_by(Quote.id).limit(limit)))


def count_waiting(session: Session, *, site_ids: list[int], now: datetime) -> int:
    return session.scalar(select(func.count()).where(Quote.site_id.in_(site_ids), _waits(now))) or 0


def list_reviewed(
    session: Session, *, site_ids: list[int], now: datetime, window: PageWindow = FIRST_PAGE
) -> Page[Quote]:
    """All that does not wait at these sites, newest first."""
    query = select(Quote).where(Quote.site_id.in_(site_ids), ~_waits(now)).options(*_shown())
    return read_page(session, query, window=window, id=Quote.id)


def _waits(now: datetime) -> ColumnElement[bool]:
    return and_(Quote.status == QuoteStatus.IN_REVIEW, Quote.valid_until >= today(now))


def list_buyers(session: Session, *, site_ids: list[int], more_ids: Sequence[int] = ()) -> dict[int, str]:
    """Names by id, sorted by name: organisations with a quote at these sites, and those of `more_ids`."""
    buys = exists().where(Quote.organisation_id == Organisation.id, Quote.site_id.in_(site_ids))
    query = select(Organisation).where(or_(buys, Organisation.id.in_(more_ids)))
    return {row.id: row.name for row in session.scalars(query.order_by(Organisation.name, Organisation.id))}


def get_rule(session: Session, *, site_id: int) -> QuoteRule:
    """The site's own, or the default (not stored)."""
    return session.get(QuoteRule, site_id) or QuoteRule(
        site_id=site_id, review=Review.INSTANT, above_cents=50_000, valid_days=30
    )


def change_rule(
    session: Session,
    *,
    site_id: int,
    review: Review,
    above_cents: int,
    valid_days: int,
    actor: User,
    now: datetime,
) -> None:
    """A manager changes the rule for later quotes. Raises StaffOnly, ThresholdWrong and ValidityWrong."""
    require_manager(session, user=actor, site_id=site_id)
    if not 0 <= above_cents <= MOST_ABOVE_CENTS:
        raise ThresholdWrong()
    if not 1 <= valid_days <= 365:
        raise ValidityWrong()
    set_rule(session, site_id=site_id, review=review, above_cents=above_cents, valid_days=valid_days)
    facts = {"review": review.value, "above_cents": above_cents, "valid_days": valid_days}
    record(
        session, noun="site", noun_id=site_id, verb="quoting_set", now=now, actor_id=actor.id, site_id=site_id, **facts
    )


def set_rule(
    session: Session, *, site_id: int, review: Review, above_cents: int = 50_000, valid_days: int = 30
) -> None:
    values = {"review": review, "above_cents": above_cents, "valid_days": valid_days}
    # Two managers may set the first rule of a site at once.
    setting = insert(QuoteRule).values(site_id=site_id, **values)
    setting = setting.on_conflict_do_update(index_elements=[QuoteRule.site_id], set_=values)
    session.scalars(setting.returning(QuoteRule), execution_options={"populate_existing": True}).one()
