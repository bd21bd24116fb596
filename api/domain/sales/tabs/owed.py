"""What was used and is on no invoice yet: bookings, their fees, and prints without an order.

The price is the one that was shown when it was booked or submitted; a later rule or tariff never changes it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, func, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute, Session, joinedload

from api.domain.billing.facturx import Line, Nature, VatCategory
from api.domain.billing.organisations import find_membership, get_cost_centre, require_buyer
from api.domain.billing.sellers import Seller, SellerRegime, get_regime, list_site_ids, today
from api.domain.booking.bookings import Booking, BookingStatus
from api.domain.booking.rules import Rule
from api.domain.core.errors import Conflict, NotFound
from api.domain.core.paging import FIRST_PAGE, Page, PageWindow, read_page
from api.domain.people.accounts import User
from api.domain.pricing.legal import Regime, normal_vat_rate
from api.domain.pricing.prices.money import euros, vat_cents
from api.domain.pricing.tariffs import VatRates
from api.domain.printing.jobs import Job
from api.domain.printing.jobs.table import ENDED
from api.domain.printing.runs import LIVE, Run, RunStatus
from api.domain.printing.runs import Charge as RunCost
from api.domain.sales.orders.table import PartPrint
from api.domain.sales.quotes.price import QUALITY_WORDS
from api.domain.sales.tabs.table import BilledItem, BookingCostCentre, UnbilledItem


class OwedKind(StrEnum):
    BOOKING = "booking"
    JOB = "job"


class BilledAlready(Conflict):
    """This has already been invoiced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """One thing to be paid for. `supplied_on` is its day in Paris; `promised_cents` what was shown for it, with VAT."""

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
    user_ids: Sequence[int] | None = None,
    site_ids: Collection[int] | None = None,
) -> list[Owed]:
    """By day, up to and including `until`; of some organisations, or of some persons for themselves.

    At all sites that sell through the seller, or at those of them in `site_ids`.
    """
    regime = get_regime(session, seller=seller, on=today(now))
    sites = _list_sites(session, seller, site_ids)
    due = UnbilledItem.site_id.in_(sites), UnbilledItem.due_at <= now, _paid_by(organisation_ids, user_ids)
    bookings, jobs = _select_bookings(now).where(*due), _select_jobs().where(*due)
    rates = VatRates(session, site_ids=sites)
    owed = [_owed_booking(rates, regime, booking, centre_id) for booking, centre_id in session.execute(bookings)]
    owed += [_owed_job(rates, regime, job, int(net), int(copies)) for job, net, copies in session.execute(jobs)]
    owed = [each for each in owed if until is None or each.supplied_on <= until]
    return sorted(owed, key=lambda each: (each.supplied_on, each.what, each.id))


def _list_sites(session: Session, seller: Seller, site_ids: Collection[int] | None) -> list[int]:
    return [each for each in list_site_ids(session, seller=seller) if site_ids is None or each in site_ids]


def _paid_by(organisation_ids: Sequence[int] | None, user_ids: Sequence[int] | None) -> ColumnElement[bool]:
    """Of these organisations, or of these persons; a person never pays what they used for an organisation."""
    if organisation_ids is not None:
        return UnbilledItem.organisation_id.in_(organisation_ids)
    if user_ids is not None:
        return and_(UnbilledItem.organisation_id.is_(None), UnbilledItem.user_id.in_(user_ids))
    return true()


def list_debtors(
    session: Session,
    *,
    seller: Seller,
    now: datetime,
    site_ids: Collection[int] | None = None,
    window: PageWindow = FIRST_PAGE,
) -> Page[User]:
    """The persons who may owe something for themselves, in the order of their ids; sites as in `list_owed`.

    Nearly all do: of one whose print or booking is not over in time, `list_owed` has nothing yet.
    """
    sites = _list_sites(session, seller, site_ids)
    own = UnbilledItem.organisation_id.is_(None)
    query = select(User).where(User.id.in_(select_due(UnbilledItem.user_id, now=now, sites=sites).where(own)))
    return read_page(session, query, window=window, id=User.id, newest_first=False)


def select_due(payer: InstrumentedAttribute[Any], *, now: datetime, sites: Collection[int]) -> Select[Any]:
    """The `payer` (a column of UnbilledItem) of each booking and print that may be billed at these sites by now."""
    return select(payer).where(UnbilledItem.site_id.in_(sites), UnbilledItem.due_at <= now)


def _is_due(now: datetime) -> ColumnElement[bool]:
    """Whether a booking with a price is over or missed, or was cancelled late."""
    # Without a no-show rule nobody has to check in, so a confirmed booking counts as used when its time is over.
    over = and_(
        Booking.end_at <= now,
        or_(
            Booking.status == BookingStatus.CHECKED_IN,
            and_(Booking.status == BookingStatus.CONFIRMED, Rule.no_show_minutes.is_(None)),
        ),
    )
    used = or_(over, Booking.status.in_([BookingStatus.CHECKED_OUT, BookingStatus.NO_SHOW]))
    # The fee of a late cancellation is owed instead of the price.
    late = and_(Booking.status == BookingStatus.CANCELLED, Booking.fee_cents > 0)
    return or_(and_(used, Booking.net_cents > 0), late)


def _select_bookings(now: datetime) -> Select[Booking, int]:
    """(booking, cost centre) of those that can be billed."""
    return (
        select(Booking, BookingCostCentre.cost_centre_id)
        .join(UnbilledItem, UnbilledItem.booking_id == Booking.id)
        .outerjoin(Rule, Rule.id == Booking.rule_id)
        .outerjoin(BookingCostCentre, BookingCostCentre.booking_id == Booking.id)
        .where(_is_due(now), ~exists().where(BilledItem.booking_id == Booking.id))
        .options(*(joinedload(each) for each in (Booking.user, Booking.resource, Booking.site)))
    )


def _select_jobs() -> Select[Job, int, int]:
    """(job, net cents, copies) of jobs without an order; a cancelled one costs what its good runs cost."""
    # For each job that is left by itself: summed for all first, every print of the house would be read each time.
    charged = (
        select(func.sum(RunCost.net_cents).label("net_cents"), func.sum(Run.copies).label("copies"))
        .join(Run, Run.id == RunCost.run_id)
        .where(RunCost.job_id == Job.id)
        .having(func.sum(RunCost.net_cents) > 0)
        .lateral()
    )
    return (
        select(Job, charged.c.net_cents, charged.c.copies)
        .join(UnbilledItem, UnbilledItem.job_id == Job.id)
        .join(charged, true())
        .where(
            # Not before the job has ended: later plates would need a second invoice. A cancelled one may still be
            # printing, or wait for a person to say what became of a plate.
            Job.status.in_(ENDED),
            ~exists().where(Run.job_id == Job.id, Run.status.in_([*LIVE, RunStatus.IN_DOUBT])),
            # A job of an order is paid with the order.
            ~exists().where(PartPrint.job_id == Job.id),
            ~exists().where(BilledItem.job_id == Job.id),
        )
        .options(*(joinedload(each) for each in (Job.owner, Job.model, Job.material, Job.colour)))
    )


def _owed_booking(rates: VatRates, regime: SellerRegime, booking: Booking, cost_centre_id: int | None) -> Owed:
    late = booking.status is BookingStatus.CANCELLED
    return _owed(
        rates,
        regime.regime,
        booking,
        what=OwedKind.BOOKING,
        user=booking.user,
        cost_centre_id=cost_centre_id,
        # A booking until midnight belongs to the day that ends then.
        ended_at=booking.status_at if late else booking.end_at - timedelta(microseconds=1),
        net_cents=booking.fee_cents if late else booking.net_cents,
        text=_booking_text(booking),
        details=_booking_details(booking),
        nature=Nature.SERVICES,
    )


def _owed_job(rates: VatRates, regime: SellerRegime, job: Job, net_cents: int, copies: int) -> Owed:
    return _owed(
        rates,
        regime.regime,
        job,
        what=OwedKind.JOB,
        user=job.owner,
        cost_centre_id=None,  # Only bookings and orders can name one.
        ended_at=job.ended_at or job.created_at,
        net_cents=net_cents,
        text=_job_text(job),
        details=_job_details(job, copies),
        nature=Nature.GOODS,
    )


def _owed(
    rates: VatRates,
    regime: Regime,
    used: Booking | Job,
    *,
    what: OwedKind,
    user: User,
    cost_centre_id: int | None,
    ended_at: datetime,
    net_cents: int,
    text: str,
    details: str,
    nature: Nature,
) -> Owed:
    rate = _vat_rate(rates, regime, used.site_id, ended_at)
    return Owed(
        what=what,
        id=used.id,
        site_id=used.site_id,
        organisation_id=used.organisation_id,
        cost_centre_id=cost_centre_id,
        user_id=user.id,
        user_name=user.name,
        supplied_on=today(ended_at),
        net_cents=net_cents,
        promised_cents=net_cents + vat_cents(net_cents, rate),
        line=Line(
            description=text,
            details=details,
            quantity=Decimal(1),
            unit="LS",  # UN/ECE Rec 20: lump sum.
            unit_price=euros(net_cents),
            nature=nature,
            category=VatCategory.STANDARD if regime is Regime.PAYER else VatCategory.EXEMPT,
            rate=rate,
            agreed_net_cents=net_cents,
        ),
    )


def _booking_text(booking: Booking) -> str:
    # Fees bear VAT like the stay that they stand for (CJEU C-295/17), so they are ordinary lines, named for what they
    # are. Whether a fee is an indemnity without VAT, the seller's accountant decides.
    name = booking.resource.name
    if booking.status is BookingStatus.CANCELLED:
        return f"Annulation tardive : {name}"
    if booking.status is BookingStatus.NO_SHOW:
        return f"Réservation non honorée : {name}"
    return f"Réservation : {name}"


def _booking_details(booking: Booking) -> str:
    """Times on the clock of the site, and who booked: others of the organisation read the invoice."""
    zone = booking.site.zone
    start, end = booking.start_at.astimezone(zone), booking.end_at.astimezone(zone)
    until = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%d/%m/%Y %H:%M}"
    return f"Réservation n° {booking.id}, {start:%d/%m/%Y %H:%M} à {until}, {booking.user.name}"


def _job_text(job: Job) -> str:
    # The name of a confidential model is not for everybody who reads the invoices of the organisation.
    return f"Impression 3D n° {job.id}" + ("" if job.confidential else f" : {job.model.name}")


def _job_details(job: Job, count: int) -> str:
    colour = f" {job.colour.name.lower()}" if job.colour else ""
    copies = "1 exemplaire" if count == 1 else f"{count} exemplaires"
    return f"{copies}, {job.material.name}{colour}, qualité {QUALITY_WORDS[job.quality]}"


def _vat_rate(rates: VatRates, regime: Regime, site_id: int, at: datetime) -> Decimal:
    """The rate of the site's tariff at that time, or the normal rate of the law where the site has no tariff."""
    if regime is not Regime.PAYER:
        return Decimal(0)
    rate = rates.find(site_id, at)
    return normal_vat_rate(today(at)) if rate is None else rate


def set_cost_centre(session: Session, *, booking: Booking, cost_centre_id: int | None, actor: User) -> None:
    """A buyer chooses the cost centre that bears this booking; None takes it away.

    Raises NotFound, BuyersOnly, and BilledAlready once the booking is on an invoice.
    """
    if booking.organisation is None or not find_membership(
        session, user=actor, organisation_id=booking.organisation.id
    ):
        raise NotFound()
    require_buyer(session, user=actor, organisation=booking.organisation)
    # FOR UPDATE: an invoice that is being issued refers to the booking, and is waited for.
    session.execute(select(Booking.id).where(Booking.id == booking.id).with_for_update())
    if session.scalar(select(BilledItem.id).where(BilledItem.booking_id == booking.id)) is not None:
        raise BilledAlready()
    row = session.get(BookingCostCentre, booking.id, populate_existing=True)
    if cost_centre_id is None:
        if row is not None:
            session.delete(row)
    else:
        centre = get_cost_centre(session, cost_centre_id, organisation_id=booking.organisation.id)
        session.merge(BookingCostCentre(booking_id=booking.id, cost_centre_id=centre.id))
    session.flush()


def list_unbilled_bookings(session: Session, *, organisation_id: int, window: PageWindow = FIRST_PAGE) -> Page[Booking]:
    """Bookings with a price and cancellation fees of an organisation that are on no invoice; newest first."""
    query = (
        select(Booking)
        .join(UnbilledItem, UnbilledItem.booking_id == Booking.id)
        .where(UnbilledItem.organisation_id == organisation_id)
        .where(~exists().where(BilledItem.booking_id == Booking.id))
        .options(*(joinedload(each) for each in (Booking.user, Booking.resource, Booking.site)))
    )
    return read_page(session, query, window=window, id=Booking.id, at=Booking.start_at)


def map_booking_centres(session: Session, *, bookings: Sequence[Booking]) -> dict[int, int]:
    """The cost centre that bears each booking, by its id; those of the whole organisation are left out."""
    rows = select(BookingCostCentre).where(BookingCostCentre.booking_id.in_([each.id for each in bookings]))
    return {row.booking_id: row.cost_centre_id for row in session.scalars(rows)}
