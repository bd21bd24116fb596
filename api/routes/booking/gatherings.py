"""Gatherings for programs: list and announce them, register and withdraw."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.bodies import Body
from api.bounds import Moment
from api.deps import CurrentUser, DbSession, Idempotent, MaybeUser, Now, Paging, cursor_of
from api.domain.booking import gatherings
from api.domain.booking.gatherings import Gathering, GatheringStatus, RegistrationStatus
from api.domain.core.errors import NotFound
from api.domain.places.sites import get_resource, get_site
from api.domain.places.skills import get_skill

router = APIRouter(prefix="/api/v1", tags=["gatherings"])


class GatheringIn(Body):
    """A public event; with `skill_id` a training session. It holds its resources, all or none."""

    site_id: int
    title: str = Field(max_length=160)
    about: str = Field(default="", max_length=20_000)
    start: Moment
    end: Moment
    seats: int
    price_cents: int = Field(default=0, ge=0)
    skill_id: int | None = None
    resource_ids: list[int] = Field(default_factory=list, max_length=50)
    is_confirmed: bool = Field(default=False, description="Announce it although it is over, or on a closed day.")


class GatheringOut(BaseModel):
    slug: str
    site_id: int
    title: str
    about: str
    start: datetime
    end: datetime
    seats: int
    seats_left: int
    price_cents: int
    skill_id: int | None
    status: GatheringStatus

    @classmethod
    def of(cls, session: DbSession, gathering: Gathering) -> GatheringOut:
        return cls.with_seats(gathering, gatherings.seats_left(session, gathering=gathering))

    @classmethod
    def with_seats(cls, gathering: Gathering, seats_left: int) -> GatheringOut:
        return cls(
            slug=gathering.slug,
            site_id=gathering.site_id,
            title=gathering.title,
            about=gathering.about,
            start=gathering.start_at,
            end=gathering.end_at,
            seats=gathering.seats,
            seats_left=seats_left,
            price_cents=gathering.price_cents,
            skill_id=gathering.skill_id,
            status=gathering.status,
        )


class GatheringsOut(BaseModel):
    items: list[GatheringOut]
    next: str | None = None


class SeatOut(BaseModel):
    """`waiting` is a place in line: no seat was left."""

    slug: str
    status: RegistrationStatus


@router.get("/gatherings")
def list_all(session: DbSession, now: Now, window: Paging, site_id: int | None = None) -> GatheringsOut:
    """Published ones that are not over; for everybody."""
    to_come = gatherings.list_gatherings(session, since=now, site_id=site_id, window=window)
    seats = gatherings.map_seats_left(session, gatherings=to_come.rows)
    items = [GatheringOut.with_seats(each, seats[each.id]) for each in to_come]
    return GatheringsOut(items=items, next=cursor_of(to_come.next))


@router.post("/gatherings", status_code=201)
def announce(
    body: GatheringIn, session: DbSession, user: CurrentUser, now: Now, idempotent: Idempotent
) -> GatheringOut:
    """Staff announce an event; 409 when one of its resources is taken."""

    # What the body names is looked up inside: a request that is repeated with its key is answered without it.
    def make() -> GatheringOut:
        gathering = gatherings.announce(
            session,
            site=get_site(session, body.site_id),
            title=body.title,
            about=body.about,
            start=body.start,
            end=body.end,
            seats=body.seats,
            price_cents=body.price_cents,
            skill=get_skill(session, body.skill_id) if body.skill_id else None,
            resources=[get_resource(session, resource_id) for resource_id in body.resource_ids],
            is_confirmed=body.is_confirmed,
            actor=user,
            now=now,
        )
        return GatheringOut.of(session, gathering)

    return idempotent(GatheringOut, make, content=body)


@router.get("/gatherings/{slug}")
def read(slug: str, session: DbSession, user: MaybeUser) -> GatheringOut:
    return GatheringOut.of(session, gatherings.get_gathering(session, slug=slug, user=user))


@router.delete("/gatherings/{slug}")
def call_off(slug: str, session: DbSession, user: CurrentUser, now: Now) -> GatheringOut:
    """Staff call it off: its resources are free again, and those who registered get a letter."""
    gathering = gatherings.get_gathering(session, slug=slug, user=user)
    gatherings.move_gathering(session, gathering=gathering, new=GatheringStatus.CANCELLED, actor=user, now=now)
    return GatheringOut.of(session, gathering)


@router.put("/gatherings/{slug}/seat")
def register(slug: str, session: DbSession, user: CurrentUser, now: Now) -> SeatOut:
    """Take a seat, or a place in line."""
    gathering = gatherings.get_gathering(session, slug=slug, user=user)
    seat = gatherings.register(session, gathering=gathering, user=user, now=now)
    return SeatOut(slug=slug, status=seat.status)


@router.delete("/gatherings/{slug}/seat")
def withdraw(slug: str, session: DbSession, user: CurrentUser, now: Now) -> SeatOut:
    """Give it back: the first in line gets it."""
    gathering = gatherings.get_gathering(session, slug=slug, user=user)
    seat = gatherings.find_registration(session, gathering=gathering, user=user)
    # Who never registered has no seat at this address; who withdrew already gets a 409 from the verb.
    if seat is None:
        raise NotFound()
    gatherings.withdraw(session, seat=seat, now=now)
    return SeatOut(slug=slug, status=seat.status)
