"""Resources for programs: what can be booked, by which rules, and when it is free."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel

from api.bounds import Moment
from api.deps import CurrentUser, DbSession, Now, Paging, cursor_of
from api.domain.booking import bookings
from api.domain.booking.bookings import BookingTerms
from api.domain.core.paging import cut_page
from api.domain.places.sites import ResourceKind
from api.domain.places.timeline import HoldReason
from api.routes.booking.bookings import check_range

router = APIRouter(prefix="/api/v1", tags=["resources"])


class RuleOut(BaseModel):
    """The policy in force; times in minutes, null where there is no limit."""

    min_minutes: int
    max_minutes: int
    step_minutes: int
    notice_minutes: int
    horizon_days: int
    before_minutes: int
    after_minutes: int
    quota_day_minutes: int | None
    quota_week_minutes: int | None
    quota_month_minutes: int | None
    at_once: int | None
    skill_id: int | None
    needs_approval: bool
    cancel_minutes: int
    late_fee_cents: int
    no_show_minutes: int | None
    euros_per_slot: Decimal
    euros_per_hour: list[tuple[int, Decimal]]


class ResourceOut(BaseModel):
    """Something that this person may book, and its rule."""

    id: int
    site_id: int
    kind: ResourceKind
    name: str
    timezone: str
    member_ids: list[int]
    min_age: int
    deposit_cents: int
    in_service: bool
    rule: RuleOut

    @classmethod
    def of(cls, terms: BookingTerms, *, in_service: bool) -> ResourceOut:
        policy = terms.policy
        # Fields of the same name are copied; prices carry their unit in their name.
        plain = {name: getattr(policy, name) for name in RuleOut.model_fields if not name.startswith("euros_")}
        rates = policy.rates
        return cls(
            id=terms.resource_id,
            site_id=terms.site_id,
            kind=terms.kind,
            name=terms.name,
            timezone=terms.zone.key,
            member_ids=list(terms.member_ids),
            min_age=terms.min_age,
            deposit_cents=terms.deposit_cents,
            in_service=in_service,
            rule=RuleOut(**plain, euros_per_slot=rates.per_slot, euros_per_hour=list(rates.tiers)),
        )


class ResourcesOut(BaseModel):
    items: list[ResourceOut]
    next: str | None = None


class StretchOut(BaseModel):
    start: datetime
    end: datetime


class TakenOut(StretchOut):
    """Why it is not free; `booking_id` only of one's own."""

    reason: HoldReason
    mine: bool
    booking_id: int | None


class AvailabilityOut(BaseModel):
    """`free` is open to this person, not taken, and not before the notice; its rule decides what fits there."""

    resource_id: int
    free: list[StretchOut]
    taken: list[TakenOut]


class SlotsOut(BaseModel):
    resource_id: int
    name: str
    slots: list[StretchOut]


class FoundOut(BaseModel):
    items: list[SlotsOut]


@router.get("/resources")
def list_resources(
    session: DbSession,
    user: CurrentUser,
    now: Now,
    window: Paging,
    site_id: int | None = None,
    kind: ResourceKind | None = None,
    q: Annotated[str, Query(max_length=100, description="A part of the name.")] = "",
) -> ResourcesOut:
    """Everything that can be booked, of one site or kind, or all."""
    bookable = bookings.list_bookable(session, user=user, site_id=site_id, kind=kind)
    page = cut_page(bookings.search_terms(bookable, q), window=window, id_of=lambda terms: terms.resource_id)
    out = bookings.list_outages(session, resource_ids=[terms.resource_id for terms in page], now=now)
    items = [ResourceOut.of(terms, in_service=terms.resource_id not in out) for terms in page]
    return ResourcesOut(items=items, next=cursor_of(page.next))


@router.get("/resources/{resource_id}")
def read(resource_id: int, session: DbSession, user: CurrentUser, now: Now) -> ResourceOut:
    terms = bookings.get_terms(session, resource_id=resource_id, user=user)
    return ResourceOut.of(terms, in_service=not bookings.list_outages(session, resource_ids=[resource_id], now=now))


@router.get("/resources/{resource_id}/availability")
def availability(
    resource_id: int,
    session: DbSession,
    user: CurrentUser,
    now: Now,
    start: Annotated[Moment, Query(alias="from")],
    end: Annotated[Moment, Query(alias="to")],
) -> AvailabilityOut:
    """When it is free for this person and when not, in `[from, to)`; at most 62 days. A kit is taken with its parts."""
    check_range(start, end)
    terms = bookings.get_terms(session, resource_id=resource_id, user=user)
    taken = bookings.list_taken(session, terms=terms, start=start, end=end)
    free = bookings.list_free(terms, taken, start=start, end=end, now=now)
    return AvailabilityOut(
        resource_id=resource_id,
        free=[StretchOut(start=a, end=b) for a, b in free],
        taken=[
            TakenOut(start=t.start, end=t.end, reason=HoldReason(t.reason), mine=t.is_own, booking_id=t.booking_id)
            for t in taken
        ],
    )


@router.get("/free-slots")
def free_slots(
    session: DbSession,
    user: CurrentUser,
    now: Now,
    start: Annotated[Moment, Query(alias="from")],
    end: Annotated[Moment, Query(alias="to")],
    minutes: Annotated[int, Query(ge=5, le=44640)] = 60,  # 31 days, the longest booking that a rule may allow
    site_id: int | None = None,
    kind: ResourceKind | None = None,
    count: Annotated[int, Query(ge=1, le=10)] = 3,
) -> FoundOut:
    """The next slots of so many minutes in `[from, to)` that this person may book, of a site or kind or all."""
    check_range(start, end)
    bookable = bookings.list_bookable(session, user=user, site_id=site_id, kind=kind)
    slots = bookings.find_slots(session, terms=bookable, minutes=minutes, start=start, end=end, now=now, count=count)
    return FoundOut(
        items=[
            SlotsOut(
                resource_id=terms.resource_id,
                name=terms.name,
                slots=[StretchOut(start=a, end=b) for a, b in slots.get(terms.resource_id, [])],
            )
            for terms in bookable
        ]
    )
