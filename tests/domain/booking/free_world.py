"""A random place with kits that share parts, rules of all kinds, and a person who looks for a time there."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import count

from sqlalchemy.orm import Session

from api.domain.booking import bookings, closing, gatherings
from api.domain.booking.bookings import BookingRequest, BookingTerms
from api.domain.booking.kits import create_kit, take_out_of_service
from api.domain.booking.rules import Policy, set_rule
from api.domain.core.errors import DomainError
from api.domain.people.accounts import User
from api.domain.people.roles import Level, grant
from api.domain.places import conventions, skills
from api.domain.places.sites import Resource, ResourceKind, Site, create_resource, create_site, set_hours
from api.domain.places.skills import Skill
from api.domain.places.timeline import HoldReason, Taken, create_hold

#: Friday morning; the clocks go forward in Paris on the Sunday.
FRIDAY = datetime(2026, 3, 27, 8, tzinfo=UTC)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
ZONES = ("Europe/Paris", "Indian/Reunion", "America/Guadeloupe", "Australia/Lord_Howe")
WEEKS: dict[str, list[tuple[int, time, time, bool]]] = {
    "none": [],
    "always": [(day, time(0), time(0), True) for day in range(7)],
    "office": [(day, time(9), time(18), True) for day in range(5)],
    "with lunch": [(d, a, b, True) for d in range(6) for a, b in ((time(8), time(12)), (time(13, 30), time(19)))],
    "bar": [(day, time(18), time(2), True) for day in (3, 4, 5)],
    "short": [(day, time(10, 10), time(11, 50), True) for day in range(7)],
}
_number = count(1)


@dataclass
class FreeWorld:
    """One place, its things, and one person who looks for a time."""

    session: Session
    rng: random.Random
    now: datetime
    site: Site
    things: list[Resource]
    person: User
    manager: User
    other: User

    def some_time(self, *, days: float = 4) -> datetime:
        """An instant on five minutes, some hours back or up to so many days ahead."""
        minutes = self.rng.randrange(-180, int(days * 1440), 5)
        return self.now.replace(second=0, microsecond=0) + minutes * MINUTE


def make_free_world(session: Session, rng: random.Random) -> FreeWorld:
    now = FRIDAY + rng.randrange(0, 72 * 60) * MINUTE + timedelta(seconds=rng.choice([0, 17]))
    site = create_site(
        session,
        slug=f"free-{next(_number)}",
        name="Libre",
        now=now,
        timezone=rng.choice(ZONES),
        closed_on_holidays=rng.random() < 0.5,
    )
    set_hours(session, site=site, rows=WEEKS[rng.choice([*WEEKS][1:]) if rng.random() < 0.95 else "none"])
    people = [User(email=f"free{next(_number)}@example.org", name="P", created_at=now) for _ in range(3)]
    session.add_all(people)
    session.flush()
    grant(session, user=people[1], site_id=site.id, level=Level.MANAGER, now=now)
    grant(session, user=people[2], site_id=site.id, level=Level.MEMBER, now=now)
    if level := rng.choice([None, Level.MEMBER, Level.MEMBER, Level.STAFF]):
        grant(session, user=people[0], site_id=site.id, level=level, now=now)
    world = FreeWorld(session, rng, now, site, [], *people)
    _furnish(world)
    skill = _set_rules(world)
    _authorise(world, skill)
    _sign(world)
    _close(world)
    _fill(world)
    return world


def _furnish(world: FreeWorld) -> None:
    """A room, a desk, and two kits that share an area."""
    make = {
        "Salle": ResourceKind.ROOM,
        "Bureau": ResourceKind.WORKSTATION,
        "Aire": ResourceKind.ROOM,
        "Casque 1": ResourceKind.MACHINE,
        "Casque 2": ResourceKind.MACHINE,
    }
    session, site, now = world.session, world.site, world.now
    things = [create_resource(session, site=site, kind=kind, name=name, now=now) for name, kind in make.items()]
    if world.rng.random() < 0.2:
        things[1].facts = {"hours": world.rng.choice([[], [[day, "14:00", "17:00"] for day in range(7)]])}
    world.things = things
    for headset in things[3:]:
        kit = create_kit(session, site=site, name="Kit", members=[headset, things[2]], items=[], now=now)
        if world.rng.random() < 0.15:
            take_out_of_service(session, kit=kit, item=None, why="verre", actor=world.manager, now=now)
        world.things = [*world.things, kit.resource]


def _set_rules(world: FreeWorld) -> Skill:
    session, rng, site, now = world.session, world.rng, world.site, world.now
    skill = skills.create_skill(session, slug=f"free-{next(_number)}", name="Outil", now=now)
    for kind in (ResourceKind.ROOM, ResourceKind.WORKSTATION, ResourceKind.MACHINE, ResourceKind.VR_KIT):
        if rng.random() < 0.8:
            set_rule(session, site=site, kind=kind, policy=_random_policy(rng, skill), now=now)
    if rng.random() < 0.5:
        set_rule(session, site=site, resource=rng.choice(world.things), policy=_random_policy(rng, skill), now=now)
    return skill


def _random_policy(rng: random.Random, skill: Skill) -> Policy:
    def rarely(value: int) -> int | None:
        return value if rng.random() < 0.2 else None

    step = rng.choice([5, 10, 15, 20, 30, 60])
    least = step * rng.randint(1, 4)
    most = least * rng.randint(1, 6)
    day = rarely(least * rng.randint(1, 3))
    week = rarely((day or least) * 2)
    return Policy(
        min_minutes=least,
        max_minutes=most,
        step_minutes=step,
        notice_minutes=rng.choice([0, 0, 45, 360, 1440]),
        horizon_days=rng.choice([2, 3, 90]),
        before_minutes=rng.choice([0, 0, 10, 45]),
        after_minutes=rng.choice([0, 0, 20, 30]),
        quota_day_minutes=day,
        quota_week_minutes=week,
        quota_month_minutes=rarely((week or day or least) * 2),
        at_once=rarely(rng.randint(1, 3)),
        skill_id=rarely(skill.id),
        members_only=rng.random() < 0.1,
    )


def _authorise(world: FreeWorld, skill: Skill) -> None:
    for _ in range(world.rng.choice([0, 1, 1, 2])):
        ends = world.now + world.rng.choice([12, 40, 24 * 400]) * HOUR
        granted = skills.authorise(
            world.session, user=world.person, skill=skill, actor=world.manager, site_id=world.site.id, now=world.now,
            expires_at=ends,
        )  # fmt: skip
        if world.rng.random() < 0.2:
            skills.revoke_authorisation(world.session, authorisation=granted, actor=world.manager, now=world.now)


def _sign(world: FreeWorld) -> None:
    rng, today = world.rng, world.now.date()
    for _ in range(rng.choice([0, 0, 1, 2])):
        convention = conventions.sign_convention(
            world.session,
            site=world.site,
            party=world.person,
            people=[world.person if rng.random() < 0.9 else world.other],
            areas=rng.choice([[], rng.sample(world.things, 3)]),
            hours=[
                (day, *rng.choice([(time(19), time(23)), (time(20), time(3)), (time(5), time(9))])) for day in range(7)
            ],
            signed_on=today - DAY,
            starts_on=today + rng.randrange(-2, 2) * DAY,
            ends_on=today + rng.randrange(2, 5) * DAY,
            actor=world.manager,
            now=world.now,
            on_closed_days=rng.random() < 0.4,
        )
        if rng.random() < 0.1:
            conventions.suspend_convention(world.session, convention=convention, actor=world.manager, now=world.now)


def _close(world: FreeWorld) -> None:
    if world.rng.random() < 0.3:
        close(world, day=(world.now + world.rng.randrange(0, 4) * DAY).date(), now=world.now)


def close(world: FreeWorld, *, day: date, now: datetime) -> None:
    closing.close_days(
        world.session, site=world.site, first_on=day, last_on=day, reason="", actor=world.manager, now=now
    )


def _fill(world: FreeWorld) -> None:
    """Holds of all kinds, an event that may hold a kit, and bookings of the person and of another one."""
    session, rng = world.session, world.rng
    for _ in range(rng.randrange(0, 25)):
        start = world.some_time()
        end = start + rng.choice([5, 20, 60, 90, 240]) * MINUTE
        try:
            create_hold(
                session,
                resource_id=rng.choice(world.things).id,
                start=start,
                end=end,
                reason=rng.choice([HoldReason.MAINTENANCE, HoldReason.RUN, HoldReason.EVENT]),
                now=world.now,
            )
        except Taken:
            continue
    start = world.some_time()
    attempt(world, lambda: gatherings.announce(
        session, site=world.site, title="Fête", start=start, end=start + 2 * HOUR, seats=3, actor=world.manager,
        now=world.now, resources=rng.sample(world.things, 2), is_confirmed=True,
    ))  # fmt: skip
    for user in (world.person, world.person, world.other):
        terms = bookings.list_bookable(session, user=user, site_id=world.site.id)
        if terms:
            each = rng.choice(terms)
            for slot in find(world, [each], each.policy.min_minutes, count=rng.randint(1, 3))[each.resource_id]:
                attempt(world, lambda slot=slot, each=each, user=user: book(world, each, *slot, user=user))


def attempt(world: FreeWorld, act: Callable[[], object]) -> DomainError | None:
    """Do it if it may be done; the error if not, and then nothing is written."""
    try:
        with world.session.begin_nested():
            act()
    except DomainError as error:
        return error
    return None


def try_out(world: FreeWorld, act: Callable[[], object]) -> DomainError | None:
    """What it raises; nothing of it stays written."""
    savepoint = world.session.begin_nested()
    try:
        act()
    except DomainError as error:
        return error
    finally:
        savepoint.rollback()
    return None


def book(world: FreeWorld, terms: BookingTerms, start: datetime, end: datetime, *, user: User) -> object:
    request = BookingRequest(terms.resource_id, start, end, youngest_age=99)
    return bookings.book(world.session, request=request, user=user, now=world.now)


def find(
    world: FreeWorld,
    terms: list[BookingTerms],
    minutes: int,
    *,
    count: int,
    start: datetime | None = None,
    days: float = 4,
) -> dict[int, list[tuple[datetime, datetime]]]:
    start = start or world.now
    return bookings.find_slots(
        world.session, terms=terms, minutes=minutes, start=start, end=start + days * DAY, now=world.now, count=count
    )
