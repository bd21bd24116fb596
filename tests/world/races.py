"""Several callers at once, each in a thread of its own."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Barrier, Event, Thread
from typing import Any, Protocol

from sqlalchemy import func, inspect, select, text
from sqlalchemy.orm import Session, sessionmaker

from api.domain.core.base import Base

Connect = sessionmaker[Session]


def race(work: list[object]) -> list[BaseException | None]:
    """Run all at once in threads; what each raised."""
    gate, raised = Barrier(len(work)), [None] * len(work)

    def run(index: int) -> None:
        gate.wait()
        try:
            work[index]()  # type: ignore[operator]  # callables
        except Exception as error:
            raised[index] = error  # type: ignore[call-overload]  # filled here

    threads = [Thread(target=run, args=(index,)) for index in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return list(raised)


def race_sessions(connect: Connect, works: list[Callable[[Session, Barrier], object]]) -> list[object]:
    """Each in a thread and a transaction of its own; what each answered or raised, in the order of `works`.

    A work reads what it needs, waits at the barrier, and then acts: nobody knows what the others do.
    """
    barrier, outcomes = Barrier(len(works), timeout=30), [object()] * len(works)

    def run(n: int) -> None:
        try:
            with connect.begin() as session:
                outcomes[n] = works[n](session, barrier)
        except Exception as error:  # a race may raise anything; the test looks at it
            outcomes[n] = error

    threads = [Thread(target=run, args=(n,)) for n in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return outcomes


class Waits(Protocol):
    """A barrier, or a turn."""

    def wait(self) -> object: ...


class Turn:
    """Where a work stands between what it reads and what it does."""

    def __init__(self, came: Event, go: Event) -> None:
        self._came, self._go = came, go

    def wait(self) -> None:
        self._came.set()
        if not self._go.wait(30):
            raise TimeoutError("the other work never came so far")


Work = Callable[[Session, Waits], object]
# How long a commit is held back at most, for a second work that neither ends nor waits for a lock.
HELD_BACK_S, LOOK_EVERY_S = 5.0, 0.01
WAITING = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")


def overlap(connect: Connect, first: Work, second: Work) -> tuple[object, object]:
    """What each answered or raised: both read, the first acts, then the second acts before the first commits.

    So one that decides by what it has read, without a lock, goes wrong each time; one that locks waits for the commit.
    """
    first_read, second_read, acted, ended = Event(), Event(), Event(), Event()
    outcomes: list[object] = [None, None]

    def run(n: int, work: Work, turn: Turn, after: Callable[[], object]) -> None:
        try:
            with connect.begin() as session:
                outcomes[n] = work(session, turn)
                session.flush()
                after()
        except Exception as error:  # whatever a race raises, the test looks at it
            outcomes[n] = error
        (acted if n == 0 else ended).set()

    def hold_back() -> None:
        acted.set()
        deadline = time.monotonic() + HELD_BACK_S
        with connect() as look:
            look.connection(execution_options={"isolation_level": "AUTOCOMMIT"})
            while not (ended.wait(LOOK_EVERY_S) or look.scalar(WAITING) or time.monotonic() > deadline):
                pass

    turns = Turn(first_read, second_read), Turn(second_read, acted)
    threads = [
        Thread(target=run, args=(0, first, turns[0], hold_back)),
        Thread(target=run, args=(1, second, turns[1], lambda: None)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return outcomes[0], outcomes[1]


@dataclass(frozen=True)
class Twice:
    """Two do `act` at once on what `setup` has made: the second hears `refusal` (None: it does it too)."""

    act: Callable[..., object]
    refusal: type[Exception] | None
    setup: Callable[..., Any]
    # How many rows of a table there are afterwards.
    table: type[Base] | None = None
    count: int = 1


def assert_outcomes(outcomes: tuple[object, object], refusal: type[Exception] | None) -> None:
    """Of `overlap`: the first has done it; the second was told `refusal`, or without one has done it too."""
    first, second = outcomes
    assert not isinstance(first, Exception), first
    assert isinstance(second, refusal) if refusal else not isinstance(second, Exception), second


def count_rows(connect: Connect, table: type[Base]) -> int:
    with connect() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def on(act: Callable[..., object], *rows: Base) -> Work:
    """A work that reads these rows in a session of its own, waits for its turn, and calls `act(session, *rows)`."""
    keys = [(type(row), inspect(row).identity) for row in rows]

    def work(session: Session, turn: Waits) -> object:
        own = [session.get_one(table, identity) for table, identity in keys]
        turn.wait()
        return act(session, *own)

    return work
