"""Random worlds: whatever is offered to a person can be booked by them, and nothing that they could book is hidden.

What is true is what `book` does. As the control, `run_worlds` removes one clause of the question from what the search
is given: then it must find failures. The tests run a few worlds, `bench.free` thousands.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from api.domain.booking import bookings
from api.domain.booking.bookings import BookingRequest, BookingTerms, WaitStatus
from api.domain.core.errors import DomainError
from api.domain.places.timeline import HoldReason, create_hold, list_holds
from tests.domain.booking.free_world import DAY, MINUTE, FreeWorld, attempt, book, close, find, make_free_world, try_out

Change = Callable[[BookingTerms], BookingTerms]


def _policy(**numbers: int | None) -> Change:
    return lambda terms: replace(terms, policy=replace(terms.policy, **numbers))


#: The clauses of the question, and the terms without each.
CLAUSES: dict[str, Change] = {
    "parts": lambda terms: replace(terms, member_ids=()),
    "hours": lambda terms: replace(terms, calendar=replace(terms.calendar, hours=tuple(_all_day()))),
    "closures": lambda terms: replace(terms, calendar=replace(terms.calendar, closures=(), closed_on_holidays=False)),
    "conventions": lambda terms: replace(terms, conventions=()),
    "skill": lambda terms: replace(terms, skill_until=datetime(9999, 1, 1, tzinfo=UTC)),
    "service": lambda terms: replace(terms, out_of_service=""),
    "notice": _policy(notice_minutes=0),
    "horizon": _policy(horizon_days=730),
    "buffers": _policy(before_minutes=0, after_minutes=0),
    "quotas": _policy(quota_day_minutes=None, quota_week_minutes=None, quota_month_minutes=None, at_once=None),
    "length": _policy(min_minutes=5, max_minutes=31 * 1440, step_minutes=5),
}


def _all_day() -> Iterator[object]:
    from api.domain.places.calendar import WeeklyHours  # noqa: PLC0415  # only here

    return (WeeklyHours(day, time(0), time(0)) for day in range(7))


@dataclass
class Tally:
    """What was asked, and what went wrong with it."""

    worlds: int = 0
    offered: int = 0
    unbookable: int = 0
    hidden: int = 0
    failures: list[str] = field(default_factory=list)

    def fail(self, what: str, *facts: object) -> None:
        if what == "unbookable":
            self.unbookable += 1
        else:
            self.hidden += 1
        self.failures.append(" ".join(map(str, (f"world {self.worlds}:", what, *facts))))


def run_worlds(engine: Engine, numbers: range, *, clause: str = "") -> Tally:
    """Make and ask the worlds of these numbers, with the search lacking `clause`."""
    tally = Tally()
    with engine.connect() as connection:
        for number in numbers:
            outer = connection.begin()
            with Session(connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as session:
                tally.worlds = number
                ask(make_free_world(session, random.Random(number)), tally, CLAUSES.get(clause, lambda terms: terms))
            outer.rollback()
    tally.worlds = len(numbers)
    return tally


def refusal_of(world: FreeWorld, terms: BookingTerms, start: datetime, end: datetime) -> DomainError | None:
    """What booking it really raises; nothing stays written."""
    return try_out(world, lambda: book(world, terms, start, end, user=world.person))


def ask(world: FreeWorld, tally: Tally, change: Change) -> None:
    bookable = bookings.list_bookable(world.session, user=world.person, site_id=world.site.id)
    asked = world.rng.sample(bookable, min(3, len(bookable)))
    for terms in asked:
        _ask_slots(world, tally, terms, change)
    if asked:
        _ask_page(world, tally, change(asked[0]), asked[0])
        _ask_line(world, tally, asked)


def _ask_slots(world: FreeWorld, tally: Tally, terms: BookingTerms, change: Change) -> None:
    rng, policy = world.rng, terms.policy
    minutes = rng.choice([policy.min_minutes, policy.max_minutes, policy.min_minutes, policy.step_minutes, 60])
    start, count = world.some_time(days=2), rng.randint(1, 4)
    if rng.random() < 0.3:
        start, end = max(start, world.now), world.now + policy.horizon_days * DAY + minutes * MINUTE
        slots = bookings.next_free(
            world.session, terms=change(terms), minutes=minutes, after=start, now=world.now, count=count
        )
    else:
        days = rng.choice([0.1, 1, 3])
        end = start + days * DAY
        slots = find(world, [change(terms)], minutes, count=count, start=start, days=days)[terms.resource_id]
    tally.offered += len(slots)
    for slot in slots:
        if refusal := refusal_of(world, terms, *slot):
            tally.fail("unbookable", terms.name, *slot, refusal.code())
    for slot in _candidates(world, terms, minutes, slots, start, min(end, start + 4 * DAY), count):
        if refusal_of(world, terms, *slot) is None:
            tally.fail("hidden", terms.name, *slot, "offered", slots)


def _candidates(
    world: FreeWorld,
    terms: BookingTerms,
    minutes: int,
    slots: list[tuple[datetime, datetime]],
    start: datetime,
    end: datetime,
    count: int,
) -> list[tuple[datetime, datetime]]:
    """Times that should have been offered if they can be booked: before the first slot, and between two of them."""
    step, length = terms.policy.step_minutes * MINUTE, minutes * MINUTE
    before, after = terms.policy.before_minutes * MINUTE, terms.policy.after_minutes * MINUTE
    holds = list_holds(world.session, resource_ids=terms.held_ids, start=start - DAY, end=end + DAY)
    opens = bookings.open_times(terms, start=start, end=end) if start < end else []
    edges = {start, world.now, world.now + terms.policy.notice_minutes * MINUTE}
    edges |= {hold.end + before for hold in holds} | {hold.start - after - length for hold in holds}
    edges |= {a for a, _ in opens} | {b - length for _, b in opens} | {a - step for a, _ in slots}
    edges |= {start + world.rng.random() * (end - start) for _ in range(3)}
    # Up to where each slot leaves room for the next one.
    gaps, position = list[tuple[datetime, datetime]](), start
    for slot in slots:
        gaps.append((position, slot[0]))
        position = slot[1] + after + before
    if len(slots) < count:
        gaps.append((position, end))
    times = {_round_up(edge, step, terms) for edge in edges}
    fitting = sorted(at for at in times if at + length <= end and any(a <= at < b for a, b in gaps))
    return [(at, at + length) for at in world.rng.sample(fitting, min(8, len(fitting)))]


def _round_up(when: datetime, step: timedelta, terms: BookingTerms) -> datetime:
    wall = when.astimezone(terms.zone)
    over = timedelta(minutes=wall.minute, seconds=wall.second, microseconds=wall.microsecond) % step
    return when if not over else when - over + step


def _ask_page(world: FreeWorld, tally: Tally, given: BookingTerms, terms: BookingTerms) -> None:
    """What the API calls free holds every slot that can be booked, and is open; cells of the week can be booked."""
    start, end = world.now, world.now + 4 * DAY
    taken = bookings.list_taken(world.session, terms=given, start=start, end=end)
    free = bookings.list_free(given, taken, start=start, end=end, now=world.now)
    for slot in find(world, [terms], terms.policy.min_minutes, count=3)[terms.resource_id]:
        if not any(a <= slot[0] and slot[1] <= b for a, b in free):
            tally.fail("hidden", "availability", terms.name, *slot)
    usages = bookings.read_usages(world.session, [given], start=start, end=end, now=world.now)
    before, after = terms.policy.before_minutes * MINUTE, terms.policy.after_minutes * MINUTE
    minutes = world.rng.choice([15, 60, 240])
    for a, b in world.rng.sample(free, min(4, len(free))):
        # A free stretch of the page lies so far from what is taken that the buffers have room.
        slot = bookings.fit_slot(
            given, usages, start=a + before + after, end=b - before - after, minutes=minutes, now=world.now
        )
        tally.offered += slot is not None
        if slot and (refusal := refusal_of(world, terms, *slot)):
            tally.fail("unbookable", "week", terms.name, *slot, refusal.code())


def _ask_line(world: FreeWorld, tally: Tally, asked: list[BookingTerms]) -> None:
    """Somebody gives time back, or a day is closed: who is made an offer can take it, and who could have it has one."""
    waits = []
    for terms in asked:
        for slot in find(world, [terms], terms.policy.min_minutes, count=1)[terms.resource_id]:
            # The other person has any of the parts, so that the slot is taken.
            part = world.rng.choice(terms.held_ids)
            hold = create_hold(
                world.session, resource_id=part, start=slot[0], end=slot[1], reason=HoldReason.EVENT, now=world.now
            )
            request = BookingRequest(terms.resource_id, *slot, youngest_age=99)
            error = attempt(world, lambda request=request: waits.append(bookings.join_waitlist(
                world.session, request=request, user=world.person, now=world.now)))  # fmt: skip
            if error is not None:
                tally.fail("hidden", "waitlist", terms.name, *slot, error.code())
            world.session.delete(hold)
    world.session.flush()
    world.now += world.rng.choice([0, 30, 600, 1500]) * MINUTE
    if world.rng.random() < 0.3:
        close(world, day=(world.now + DAY).date(), now=world.now)
    bookings.review_line(world.session, now=world.now)
    for wait in waits:
        _ask_wait(world, tally, wait)


def _ask_wait(world: FreeWorld, tally: Tally, wait: bookings.Wait) -> None:
    request = BookingRequest(wait.resource_id, wait.start_at, wait.end_at, youngest_age=99)
    if wait.status == WaitStatus.OFFERED:
        tally.offered += 1
        if error := try_out(world, lambda: bookings.take_offer(world.session, wait=wait, now=world.now)):
            tally.fail("unbookable", "offer", wait.start_at, error.code())
        world.session.refresh(wait)
        return
    refusal = bookings.find_refusal(world.session, request=request, user=world.person, now=world.now)
    terms = bookings.get_terms(world.session, resource_id=wait.resource_id, user=world.person)
    # At the very moment at which the notice begins, there is no time left to take an offer.
    if refusal is None and bookings.bookable_within(terms, world.now)[0] < wait.start_at:
        tally.fail("hidden", "offer", wait.start_at)
