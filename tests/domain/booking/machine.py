"""A state machine of bookings against a model in memory: what the database did is what the rules say, step by step.

`run_machine(url, sequences=N)` runs it as often as wanted (bench); the tests run it 200 times.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Connection, Engine, create_engine, select
from sqlalchemy.orm import Session

from api.domain.booking import bookings, closing
from api.domain.booking.bookings import (
    Booking,
    BookingRequest,
    BookingStatus,
    ClosedThen,
    HourDoesNotExist,
    HourExistsTwice,
)
from api.domain.booking.rules import Policy, set_rule
from api.domain.places.sites import Resource, ResourceKind, create_resource
from api.domain.places.timeline import Hold, HoldReason, Taken, create_hold, move_hold
from tests.world.booking import BookingWorld, make_booking_world

PARIS = ZoneInfo("Europe/Paris")
#: The nights of both changes of the clocks of 2026 in Paris, and an ordinary day.
DAYS = [(3, 28), (3, 29), (3, 30), (10, 24), (10, 25), (10, 26), (6, 10), (6, 11)]
START = datetime(2026, 3, 20, 12, tzinfo=UTC)
Span = tuple[datetime, datetime]

#: A wall time at the place, as a person would type it.
walls = st.builds(
    lambda day, hour, half: datetime(2026, *day, hour, 30 * half),  # noqa: DTZ001  # wall time is meant
    st.sampled_from(DAYS),
    st.integers(0, 23),
    st.integers(0, 1),
)
lengths = st.sampled_from([30, 60, 90, 240]).map(lambda m: timedelta(minutes=m))
picks = st.integers(0, 1_000)


def instants_of(wall: datetime) -> set[datetime]:
    """All instants at which the wall clock shows this: none, one or two. The model's own way of finding them."""
    guess = wall.replace(tzinfo=UTC)
    around = [guess + timedelta(minutes=30 * n) for n in range(-6, 7)]
    return {when for when in around if when.astimezone(PARIS).replace(tzinfo=None) == wall}


class Bookings(RuleBasedStateMachine):
    """Two rooms and a kit made of both; the model is a list of (resource, start, end)."""

    connection: ClassVar[Connection]

    @initialize()
    def furnish(self) -> None:
        self.outer = self.connection.begin()
        self.session = Session(self.connection, join_transaction_mode="create_savepoint", expire_on_commit=False)
        self.world: BookingWorld = make_booking_world(self.session, hours=False)
        self.world.site.closed_on_holidays = False
        policy = Policy(min_minutes=30, step_minutes=30, horizon_days=400, max_minutes=480)
        for kind in (ResourceKind.ROOM, ResourceKind.PRINTER):
            set_rule(self.session, site=self.world.site, kind=kind, policy=policy, now=START)
        self.printer: Resource = create_resource(
            self.session, site=self.world.site, kind=ResourceKind.PRINTER, name="P", now=START
        )
        self.session.flush()
        self.now = START
        self.booked: dict[int, tuple[int, Span]] = {}
        self.runs: dict[int, Span] = {}
        self.closed: set[Any] = set()

    def teardown(self) -> None:
        if hasattr(self, "session"):
            self.session.close()
            self.outer.rollback()

    # ---- the model ----

    def is_free(self, resource_id: int, span: Span, *, but: int | None = None) -> bool:
        mine = [s for key, (r, s) in self.booked.items() if r == resource_id and key != but]
        if resource_id == self.printer.id:
            mine += list(self.runs.values())
        return all(span[1] <= start or end <= span[0] for start, end in mine)

    def expected(self, resource_id: int, wall: datetime, length: timedelta, *, but: int | None = None) -> type | Span:
        """What must come of it: the error's class, or the time that is booked."""
        instants = instants_of(wall), instants_of(wall + length)
        for found in instants:
            if len(found) != 1:
                return HourExistsTwice if found else HourDoesNotExist
        start, end = (found.pop() for found in instants)
        if end <= start or not 30 <= (end - start) / timedelta(minutes=1) <= 480:
            return Exception
        day, last = wall.date(), (wall + length - timedelta(microseconds=1)).date()
        if day in self.closed or last in self.closed:
            return ClosedThen
        return (start, end) if self.is_free(resource_id, (start, end), but=but) else Taken

    def agree(self, error: Exception, want: type | Span) -> None:
        assert isinstance(want, type), (error, want)
        assert isinstance(error, want), (error, want)

    def resource(self, pick: int) -> int:
        return self.printer.id if pick % 2 else self.world.room.id

    # ---- the rules ----

    @rule(pick=picks, wall=walls, length=lengths)
    def book(self, pick: int, wall: datetime, length: timedelta) -> None:
        resource_id = self.resource(pick)
        want = self.expected(resource_id, wall, length)
        request = BookingRequest(resource_id, wall, wall + length)
        try:
            made = bookings.book(self.session, request=request, user=self.world.alice, now=self.now)
        except Exception as error:
            self.agree(error, want)
            return
        assert (made.start_at, made.end_at) == want
        self.booked[made.id] = (resource_id, (made.start_at, made.end_at))

    @precondition(lambda self: self.booked)
    @rule(pick=picks, wall=walls, length=lengths)
    def move(self, pick: int, wall: datetime, length: timedelta) -> None:
        key, (resource_id, span) = self.choose(pick)
        want = self.expected(resource_id, wall, length, but=key)
        booking = self.session.get_one(Booking, key)
        try:
            bookings.move(
                self.session, booking=booking, start=wall, end=wall + length, actor=self.world.alice, now=self.now
            )
        except Exception as error:
            self.agree(error, want)
            assert (booking.start_at, booking.end_at) == span
            return
        assert (booking.start_at, booking.end_at) == want
        self.booked[key] = (resource_id, (booking.start_at, booking.end_at))

    def choose(self, pick: int) -> tuple[int, tuple[int, Span]]:
        keys = sorted(self.booked)
        key = keys[pick % len(keys)]
        return key, self.booked[key]

    @precondition(lambda self: self.booked)
    @rule(pick=picks)
    def cancel(self, pick: int) -> None:
        key, _ = self.choose(pick)
        bookings.cancel(self.session, booking=self.session.get_one(Booking, key), actor=self.world.alice, now=self.now)
        del self.booked[key]

    @rule(wall=walls, length=lengths)
    def claim(self, wall: datetime, length: timedelta) -> None:
        """A run claims the printer from that instant on, as runs.claim does."""
        start = wall.replace(tzinfo=UTC)
        span = start, start + length
        try:
            held = create_hold(
                self.session,
                resource_id=self.printer.id,
                start=span[0],
                end=span[1],
                reason=HoldReason.RUN,
                now=self.now,
            )
        except Taken:
            assert not self.is_free(self.printer.id, span)
            return
        assert self.is_free(self.printer.id, span)
        self.runs[held.id] = span

    @precondition(lambda self: self.runs)
    @rule(pick=picks, more=lengths)
    def extend(self, pick: int, more: timedelta) -> None:
        """A print takes longer: its hold grows, but never over a booking."""
        key = sorted(self.runs)[pick % len(self.runs)]
        start, end = self.runs[key]
        others = {k: s for k, s in self.runs.items() if k != key}
        busy = list(others.values()) + [s for r, s in self.booked.values() if r == self.printer.id]
        free = all(end + more <= a or b <= start for a, b in busy)
        try:
            move_hold(self.session, hold=self.session.get_one(Hold, key), start=start, end=end + more)
        except Taken:
            assert not free
            return
        assert free
        self.runs[key] = (start, end + more)

    @rule(day=st.sampled_from(DAYS))
    def close(self, day: tuple[int, int]) -> None:
        """The place shuts for a day: bookings of that local day are cancelled, runs go on."""
        date = datetime(2026, *day).date()  # noqa: DTZ001
        closed = closing.close_days(
            self.session,
            site=self.world.site,
            first_on=date,
            last_on=date,
            reason="",
            actor=self.world.bob,
            now=self.now,
        )
        self.closed.add(date)
        midnights = [datetime(2026, *day, tzinfo=PARIS) + timedelta(days=n) for n in (0, 1)]
        gone = {k for k, (_, (a, b)) in self.booked.items() if a < midnights[1] and b > midnights[0]}
        assert {booking.id for booking in closed.bookings} == gone
        for key in gone:
            del self.booked[key]

    # ---- what must hold after every step ----

    @invariant()
    def timeline_is_the_model(self) -> None:
        if not hasattr(self, "session"):
            return
        held = self.session.scalars(select(Hold).where(Hold.released_at.is_(None))).all()
        stored = sorted((h.resource_id, h.start, h.end) for h in held)
        model = [(r, *span) for r, span in self.booked.values()]
        model += [(self.printer.id, *span) for span in self.runs.values()]
        assert stored == sorted(model)
        for (r1, _, end), (r2, start, _) in pairwise(stored):
            assert r1 != r2 or end <= start

    @invariant()
    def live_bookings_are_the_model(self) -> None:
        if not hasattr(self, "session"):
            return
        live = self.session.scalars(select(Booking).where(Booking.status == BookingStatus.CONFIRMED)).all()
        assert {b.id: (b.resource_id, (b.start_at, b.end_at)) for b in live} == self.booked


def run_machine(url: str, *, sequences: int, engine: Engine | None = None) -> int:
    """The number of violations: 0, or 1 with its shortest example on stderr (the run ends at the first)."""
    own = engine or create_engine(url)
    quiet = settings(
        max_examples=sequences,
        stateful_step_count=20,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    with own.connect() as connection:
        Bookings.connection = connection
        try:
            run_state_machine_as_test(Bookings, settings=quiet)
        except AssertionError as error:
            print(error)
            return 1
        finally:
            if engine is None:
                connection.close()
                own.dispose()
    return 0
