"""Making a booking: a request is checked against the terms, then one statement writes its holds, itself and its Change.

`find_refusal` answers what a booking would raise, and writes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import bindparam, column, or_, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session
from sqlalchemy.types import BigInteger, Boolean

from api.domain.booking.bookings.quotas import Usages, check_quota, has_quota, read_usages
from api.domain.booking.bookings.table import Booking, BookingStatus, Holder
from api.domain.booking.bookings.terms import (
    BookingTerms,
    as_instant,
    check_age,
    check_hours,
    check_skill,
    check_time,
    get_terms,
    is_staff,
    price_of,
)
from api.domain.booking.kits import OutOfService
from api.domain.core.errors import DomainError, NotFound
from api.domain.core.text import prose
from api.domain.people.accounts import User, may_buy_for
from api.domain.people.roles import require_staff
from api.domain.places.sites import share_calendar_of
from api.domain.places.timeline import Hold, HoldReason, InMaintenance, Taken, lock_resources, span


@dataclass(frozen=True)
class BookingRequest:
    """What a person wants to book. `start` and `end` without an offset are wall time at the site."""

    resource_id: int
    start: datetime
    end: datetime
    organisation_id: int | None = None
    note: str = ""
    youngest_age: int | None = None
    guardian_consent: bool = False


@dataclass(frozen=True)
class BookingDraft:
    """A request that keeps the rules: its instants in UTC, its price, and whether staff must still approve it."""

    terms: BookingTerms
    start: datetime
    end: datetime
    net_cents: int
    price_trace: list[dict[str, object]]
    convention_id: int | None
    needs_approval: bool

    def fee_terms(self) -> dict[str, object]:
        """What cancelling late costs, and until when it is free; as the columns are named."""
        policy = self.terms.policy
        return {
            "late_fee_cents": policy.late_fee_cents,
            "cancel_minutes": policy.cancel_minutes,
            "free_until": self.start - timedelta(minutes=policy.cancel_minutes),
        }


_COLUMNS = tuple(Booking.__table__.columns)
# All but the id, which the statement draws itself, because the holds name it too.
_VALUES = tuple(column for column in _COLUMNS if not column.primary_key)
# What a new booking has in the columns that `_row_of` does not name: nothing, or what the table says.
_DEFAULTS = {each.name: each.default.arg if each.default and each.default.is_scalar else None for each in _VALUES}
# One statement instead of one per table halves the time of a booking. Names and types of its columns come from the
# table, so a new column needs nothing here (test_a_booking_is_written_as_the_table_says). The rest is text: written
# with `insert()` of SQLAlchemy it was longer, and took 4 % more processor time (604 against 576 microseconds).
# Two requests for one slot: the exclusion constraint of `holds` decides. With ON CONFLICT DO NOTHING the loser gets no
# row, hence no booking, and no error that would end the transaction. Why it lost is told by the same statement: of a
# thousand who want one slot, 999 ask.
INSERT_BOOKING = text(
    """
    WITH fresh AS MATERIALIZED (SELECT nextval('bookings_id_seq') AS id),
    held AS (
      INSERT INTO holds (resource_id, during, reason, about_id, note, created_by, created_at)
      SELECT unnest(:resource_ids), tstzrange(:held_from, :held_to, '[)'), 'booking', fresh.id::text, '',
        :user_id, :created_at
      FROM fresh ON CONFLICT DO NOTHING RETURNING id
    ), booked AS (
      INSERT INTO bookings (id, {names})
      SELECT fresh.id, {values}
      FROM fresh WHERE (SELECT count(*) FROM held) = cardinality(:resource_ids)
      RETURNING *
    ), changed AS (
      INSERT INTO changes (at, noun, noun_id, verb, actor_id, site_id, facts)
      SELECT booked.created_at, 'booking', booked.id::text, booked.status, booked.created_by, booked.site_id,
        jsonb_build_object('resource', booked.resource_id, 'start', booked.start_at, 'end', booked.end_at)
      FROM booked
    )
    SELECT booked.id, {booked}, booked.id IS NULL AND EXISTS (
      SELECT FROM holds h WHERE h.resource_id = ANY(:resource_ids) AND h.released_at IS NULL
        AND h.reason = 'maintenance' AND h.during && tstzrange(:held_from, :held_to, '[)')) AS in_maintenance
    FROM fresh LEFT JOIN booked ON true
    """.replace("{names}", ", ".join(column.name for column in _VALUES))
    .replace("{booked}", ", ".join(f"booked.{column.name}" for column in _VALUES))
    .replace("{values}", ", ".join(f":{column.name}" for column in _VALUES))
).bindparams(
    bindparam("resource_ids", type_=ARRAY(BigInteger)),
    *(bindparam(column.name, type_=column.type) for column in _VALUES),
)
_IN_MAINTENANCE = column("in_maintenance", Boolean)
_INSERT = select(Booking, _IN_MAINTENANCE).from_statement(INSERT_BOOKING.columns(*_COLUMNS, _IN_MAINTENANCE))


def book(
    session: Session,
    *,
    request: BookingRequest,
    user: User,
    now: datetime,
    actor: User | None = None,
    series_id: int | None = None,
) -> Booking:
    """Book for `user`; `actor` is the member of staff who does it for them, if any.

    Raises what `draft_booking` raises, or Taken. Shares the calendar of the site; locks the person where the rule has a
    quota, and the resources of a kit.
    """
    share_calendar_of(session, resource_id=request.resource_id)
    draft = draft_booking(session, request=request, user=user, now=now, actor=actor, locking=True)
    params = _row_of(draft, request, user=user, actor=actor, now=now, series_id=series_id)
    return _hold(session, draft, params)


def _hold(session: Session, draft: BookingDraft, params: dict[str, object]) -> Booking:
    if not draft.terms.member_ids:
        return _insert(session, params)
    # Two kits may share members: each in its own order, their holds could wait for each other.
    lock_resources(session, draft.terms.held_ids)
    # The savepoint gives back the holds of the members that were free when another one was taken.
    with session.begin_nested():
        return _insert(session, params)


def _insert(session: Session, params: dict[str, object]) -> Booking:
    booking, in_maintenance = session.execute(_INSERT, params).one()
    if booking is None:
        raise InMaintenance() if in_maintenance else Taken()
    return cast(Booking, booking)


def draft_booking(
    session: Session,
    *,
    request: BookingRequest,
    user: User,
    now: datetime,
    actor: User | None = None,
    locking: bool = False,
    ignore_id: int | None = None,
    has_begun: bool = False,
) -> BookingDraft:
    """The booking as it would be written; raises the error of the first rule that it breaks.

    Writes nothing, and does not look whether the time is free: only writing the holds can tell. `locking` locks the
    person before a quota is counted. `ignore_id` is the booking that moves, which does not count against its own;
    `has_begun`: its start stays. Staff who book for a person need neither notice nor approval.
    """
    terms = get_terms(session, resource_id=request.resource_id, user=user)
    if by_staff := actor is not None and actor.id != user.id:
        require_staff(session, user=actor, site_id=terms.site_id)
    start = as_instant(request.start, zone=terms.zone)
    end = as_instant(request.end, zone=terms.zone, field="end")
    _check_buyer(session, request, user)
    # Before anything is read around this time: at the ends of the calendar there is no time around.
    check_time(terms, start=start, end=end, now=now, by_staff=by_staff, has_begun=has_begun)
    if locking and has_quota(terms):
        lock_person(session, user.id)
    usages = read_usages(session, [terms], start=start, end=start, now=now, ignore_id=ignore_id)
    convention_id = check_all_but_time(terms, usages, start=start, end=end)
    check_age(terms, youngest_age=request.youngest_age, guardian_consent=request.guardian_consent)
    price = price_of(terms, start=start, end=end, for_organisation=request.organisation_id is not None)
    return BookingDraft(
        terms=terms,
        start=start,
        end=end,
        net_cents=price.net_cents,
        price_trace=[step.as_json() for step in price.trace],
        convention_id=convention_id,
        needs_approval=terms.policy.needs_approval and not is_staff(terms) and not by_staff,
    )


def _check_buyer(session: Session, request: BookingRequest, user: User) -> None:
    organisation_id = request.organisation_id
    if organisation_id is not None and not may_buy_for(session, user=user, organisation_id=organisation_id):
        raise NotFound(field="organisation_id")


def check_rules(terms: BookingTerms, usages: Usages, *, start: datetime, end: datetime, now: datetime) -> int | None:
    """May this person book this time, when it is free? The convention that it needs, if any. Pure.

    Booking, search, offers, week and series all ask this. Raises the error of the first rule that is broken.
    """
    check_time(terms, start=start, end=end, now=now)
    return check_all_but_time(terms, usages, start=start, end=end)


def check_all_but_time(terms: BookingTerms, usages: Usages, *, start: datetime, end: datetime) -> int | None:
    """As `check_rules`, for who has checked length, grid, notice and horizon. Pure."""
    if terms.out_of_service:
        raise OutOfService(name=terms.name, why=terms.out_of_service)
    convention_id = check_hours(terms, start=start, end=end)
    check_skill(terms, end=end)
    check_quota(terms, usages, start=start, end=end)
    return convention_id


def find_refusal(
    session: Session,
    *,
    request: BookingRequest,
    user: User,
    now: datetime,
    actor: User | None = None,
    holder: Holder | None = None,
) -> DomainError | None:
    """The error that booking would raise at this moment; somebody may still be faster.

    The holds of `holder` (an offer that this person was made) do not stand in their own way.
    """
    try:
        draft = draft_booking(session, request=request, user=user, now=now, actor=actor)
    except DomainError as error:
        return error
    reasons = _list_reasons(session, draft, holder)
    # In maintenance nobody else was faster, and another time of that day will not do either.
    return (InMaintenance() if HoldReason.MAINTENANCE in reasons else Taken()) if reasons else None


def _list_reasons(session: Session, draft: BookingDraft, holder: Holder | None = None) -> list[HoldReason]:
    """Why the time of a draft is taken; without the holds of `holder`."""
    during = span(*draft.terms.with_buffers(draft.start, draft.end))
    holds = select(Hold.reason).where(
        Hold.resource_id.in_(draft.terms.held_ids), Hold.released_at.is_(None), Hold.during.op("&&")(during)
    )
    if holder is not None:
        is_own = (Hold.reason == HoldReason.BOOKING) & (Hold.about_id == holder.hold_key)
        holds = holds.where(or_(~is_own, Hold.about_id.is_(None)))
    return list(session.scalars(holds.distinct()))


def lock_person(session: Session, user_id: int) -> None:
    """For quotas: without it, two requests of one person at once would each count without the other."""
    session.execute(select(User.id).where(User.id == user_id).with_for_update(key_share=True))


def _row_of(
    draft: BookingDraft,
    request: BookingRequest,
    *,
    user: User,
    actor: User | None,
    now: datetime,
    series_id: int | None,
) -> dict[str, object]:
    """The parameters of INSERT_BOOKING."""
    terms = draft.terms
    held_from, held_to = terms.with_buffers(draft.start, draft.end)
    return {
        **_DEFAULTS,
        "resource_ids": terms.held_ids,
        "held_from": held_from,
        "held_to": held_to,
        "user_id": user.id,
        "created_by": (actor or user).id,
        "organisation_id": request.organisation_id,
        "site_id": terms.site_id,
        "resource_id": terms.resource_id,
        "rule_id": terms.rule_id,
        "convention_id": draft.convention_id,
        "series_id": series_id,
        "start_at": draft.start,
        "end_at": draft.end,
        "status": BookingStatus.REQUESTED if draft.needs_approval else BookingStatus.CONFIRMED,
        "note": prose(request.note)[:2000],
        "youngest_age": request.youngest_age,
        "guardian_consent": request.guardian_consent,
        "net_cents": draft.net_cents,
        "price_trace": draft.price_trace,
        **draft.fee_terms(),
        "changed_at": now,
        "status_at": now,
        "created_at": now,
    }
