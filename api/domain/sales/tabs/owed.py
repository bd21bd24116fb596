"""What was used and stands on no invoice yet: bookings, their fees, and prints that no order brought. Changes nothing.

The price is the one that was promised when it was booked or handed in; a later rule or tariff never changes it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session

from api.domain.billing.facturx import Line, Nature, VatCategory
from api.domain.billing.organisations import find_membership, get_cost_centre, require_buyer
from api.domain.billing.sellers import Seller, SellerRegime, get_regime, list_site_ids, today
from api.domain.booking.bookings import COUNTED, Booking, BookingStatus
from api.domain.booking.rules import Rule
from api.domain.core.errors import Conflict, NotFound
from api.domain.people.accounts import User
from api.domain.pricing.legal import Regime, normal_vat_rate
from api.domain.pricing.prices.money import euros, vat_cents
from api.domain.pricing.tariffs import NoTariff, get_tariff
from api.domain.printing.jobs import Job
from api.domain.printing.jobs.table import ENDED
from api.domain.printing.runs import Charge as RunCost
from api.domain.printing.runs import Run
from api.domain.sales.orders.table import PartPrint
from api.domain.sales.quotes.price import QUALITY_WORDS
from api.domain.sales.tabs.table import BilledItem, BookingCostCentre


class OwedKind(StrEnum):
    BOOKING = "booking"
    JOB = "job"


class BilledAlready(Conflict):
    """This stands on an invoice already."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """One thing to be paid for: `supplied_on` is its day in Paris, `promised_cents` with VAT what was shown for it."""

    what: OwedKind
    id: int
    site_id: int
    organisation_id: int | None
    cost_centre_id: int | None
    user_id: int
    user_name: str
    supplied_on: date
    net_cents: int
    promised_cents: int
    line: Line


def list_owed(
    session: Session,
    *,
    seller: Seller,
    now: datetime,
    until: date | None = None,
    organisation_ids: Sequence[int] | None = None,
    user_id: int | None = None,
) -> list[Owed]:
    """In order of their days, up to and including `until`; of some organisations, or of one person for themselves."""
    regime = get_regime(session, seller=seller, on=today(now))
    sites = list_site_ids(session, seller=seller)
    bookings = _owing_bookings(now).where(
        Booking.site_id.in_(sites), _whose(Booking.organisation_id, Booking.user_id, organisation_ids, user_id)
    )
    prints = _owing_jobs().where(
        Job.site_id.in_(sites), _whose(Job.organisation_id, Job.owner_id, organisation_ids, user_id)
    )
    found = [_booking(session, regime, booking, centre_id) for booking, centre_id in session.execute(bookings)]
    found += [_job(session, regime, job, int(net), int(copies)) for job, net, copies in session.execute(prints)]
    kept = [each for each in found if until is None or each.supplied_on <= until]
    return sorted(kept, key=lambda each: (each.supplied_on, each.what, each.id))


def _whose(
    organisation: InstrumentedAttribute[int | None],
    person: InstrumentedAttribute[int],
    organisation_ids: Sequence[int] | None,
    user_id: int | None,
) -> ColumnElement[bool]:
    """What a member uses for an organisation is never theirs to pay."""
    if organisation_ids is not None:
        return organisation.in_(organisation_ids)
    return true() if user_id is None else and_(organisation.is_(None), person == user_id)


def _owing_bookings(now: datetime) -> Select[Booking, int]:
    """Over (where nobody must check in, also without a check-in), missed, or cancelled late; at a price."""
    over = and_(
        Booking.end_at <= now,
        or_(
            Booking.status == BookingStatus.CHECKED_IN,
            and_(Booking.status == BookingStatus.CONFIRMED, Rule.no_show_minutes.is_(None)),
        ),
    )
    used = or_(over, Booking.status.in_([BookingStatus.CHECKED_OUT, BookingStatus.NO_SHOW]))
    late = and_(Booking.status == BookingStatus.CANCELLED, Booking.fee_cents > 0)
    return (
        select(Booking, BookingCostCentre.cost_centre_id)
        .outerjoin(Rule, Rule.id == Booking.rule_id)
        .outerjoin(BookingCostCentre, BookingCostCentre.booking_id == Booking.id)
        .where(or_(and_(used, Booking.net_cents > 0), late), ~exists().where(BilledItem.booking_id == Booking.id))
    )


def _owing_jobs() -> Select[Job, int, int]:
    """(job, net cents, copies) of what its good runs cost (a cancelled one too), where no order has the price."""
    booked = (
        select(RunCost.job_id, func.sum(RunCost.net_cents).label("net_cents"), func.sum(Run.copies).label("copies"))
        .join(Run, Run.id == RunCost.run_id)
        .group_by(RunCost.job_id)
        .having(func.sum(RunCost.net_cents) > 0)
        .subquery()
    )
    return (
        select(Job, booked.c.net_cents, booked.c.copies)
        .join(booked, booked.c.job_id == Job.id)
        .where(
            Job.status.in_(ENDED),
            ~exists().where(PartPrint.job_id == Job.id),
            ~exists().where(BilledItem.job_id == Job.id),
        )
    )


def _booking(session: Session, regime: SellerRegime, booking: Booking, cost_centre_id: int | None) -> Owed:
    late = booking.status is BookingStatus.CANCELLED
    net_cents = booking.fee_cents if late else booking.net_cents
    over_at = booking.status_at if late else booking.end_at - timedelta(microseconds=1)
    rate = _rate(session, regime.regime, booking.site_id, over_at)
    return Owed(
        what=OwedKind.BOOKING,
        id=booking.id,
        site_id=booking.site_id,
        organisation_id=booking.organisation_id,
        cost_centre_id=cost_centre_id,
        user_id=booking.user_id,
        user_name=booking.user.name,
        supplied_on=today(over_at),
        net_cents=net_cents,
        promised_cents=net_cents + vat_cents(net_cents, rate),
        line=_line(_told(booking), _when(booking), net_cents, Nature.SERVICES, regime.regime, rate),
    )


def _told(booking: Booking) -> str:
    """Fees are lines of their own, named for what they are. They bear VAT like the stay that they stand for
    (CJEU C-295/17); whether an indemnity of this house does, its accountant decides."""
    name = booking.resource.name
    if booking.status is BookingStatus.CANCELLED:
        return f"Annulation tardive : {name}"
    if booking.status is BookingStatus.NO_SHOW:
        return f"Réservation non honorée : {name}"
    return f"Réservation : {name}"


def _when(booking: Booking) -> str:
    """On the wall clock of the place; with who booked, because others of the organisation read it."""
    zone = booking.site.zone
    start, end = booking.start_at.astimezone(zone), booking.end_at.astimezone(zone)
    until = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%d/%m/%Y %H:%M}"
    return f"Réservation n° {booking.id}, {start:%d/%m/%Y %H:%M} à {until}, {booking.user.name}"


def _job(session: Session, regime: SellerRegime, job: Job, net_cents: int, copies: int) -> Owed:
    ended_at = job.ended_at or job.created_at
    rate = _rate(session, regime.regime, job.site_id, ended_at)
    return Owed(
        what=OwedKind.JOB,
        id=job.id,
        site_id=job.site_id,
        organisation_id=job.organisation_id,
        cost_centre_id=None,
        user_id=job.owner_id,
        user_name=job.owner.name,
        supplied_on=today(ended_at),
        net_cents=net_cents,
        promised_cents=net_cents + vat_cents(net_cents, rate),
        line=_line(_named(job), _made_of(job, copies), net_cents, Nature.GOODS, regime.regime, rate),
    )


def _named(job: Job) -> str:
    """The name of a confidential model is not for all who read the organisation's invoices."""
    return f"Impression 3D n° {job.id}" + ("" if job.confidential else f" : {job.model.name}")


def _made_of(job: Job, count: int) -> str:
    colour = f" {job.colour.name.lower()}" if job.colour else ""
    copies = "1 exemplaire" if count == 1 else f"{count} exemplaires"
    return f"{copies}, {job.material.name}{colour}, qualité {QUALITY_WORDS[job.quality]}"


def _rate(session: Session, regime: Regime, site_id: int, at: datetime) -> Decimal:
    """Of the place's prices on that day; of the law where the place has no prices of prints."""
    if regime is not Regime.PAYER:
        return Decimal(0)
    try:
        return get_tariff(session, site_id=site_id, at=at)[1].vat_rate
    except NoTariff:
        return normal_vat_rate(today(at))


def _line(text: str, details: str, cents: int, nature: Nature, regime: Regime, rate: Decimal) -> Line:
    return Line(
        description=text,
        details=details,
        quantity=Decimal(1),
        unit="LS",
        unit_price=euros(cents),
        nature=nature,
        category=VatCategory.STANDARD if regime is Regime.PAYER else VatCategory.EXEMPT,
        rate=rate,
        agreed_net_cents=cents,
    )


def charge_to(session: Session, *, booking: Booking, cost_centre_id: int | None, actor: User) -> None:
    """A buyer says which cost centre of the organisation bears this booking; None takes it away. By then it may not be
    invoiced. Raises NotFound, BuyersOnly, and BilledAlready."""
    if booking.organisation is None or not find_membership(
        session, user=actor, organisation_id=booking.organisation.id
    ):
        raise NotFound()
    require_buyer(session, user=actor, organisation=booking.organisation)
    if session.scalar(select(BilledItem.id).where(BilledItem.booking_id == booking.id)) is not None:
        raise BilledAlready()
    row = session.get(BookingCostCentre, booking.id)
    if cost_centre_id is None:
        if row is not None:
            session.delete(row)
    else:
        centre = get_cost_centre(session, cost_centre_id, organisation_id=booking.organisation.id)
        session.merge(BookingCostCentre(booking_id=booking.id, cost_centre_id=centre.id))
    session.flush()


def list_unbilled_bookings(
    session: Session, *, organisation_id: int, limit: int = 100
) -> list[tuple[Booking, int | None]]:
    """(booking, cost centre) of what an organisation booked or owes a fee for and was not invoiced; newest first."""
    counts = or_(Booking.status.in_(COUNTED), and_(Booking.status == BookingStatus.CANCELLED, Booking.fee_cents > 0))
    query = (
        select(Booking, BookingCostCentre.cost_centre_id)
        .outerjoin(BookingCostCentre, BookingCostCentre.booking_id == Booking.id)
        .where(Booking.organisation_id == organisation_id, counts)
        .where(~exists().where(BilledItem.booking_id == Booking.id))
    )
    found = session.execute(query.order_by(Booking.start_at.desc(), Booking.id.desc()).limit(limit))
    return [(booking, centre_id) for booking, centre_id in found]
