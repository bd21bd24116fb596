"""Several callers at once, each in a thread of its own."""

from collections.abc import Callable
from threading import Barrier, Thread

from sqlalchemy.orm import Session, sessionmaker

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
