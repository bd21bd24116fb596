"""Does the work of a day cost more after years of prints and bookings?

`python -m bench.history [runs] [bookings]`: claim, job page, order list, sweep, staff page and calendar of one place,
with no history, a tenth of the runs, and all of them; on a PostgreSQL of its own, in the process of the server. The
three places stand beside each other and are asked in turn, so that a slow minute of the machine falls on all of them;
the figures are medians. As the control, a fourth is the largest without two of its indexes: it must be slower. The last
line is JSON, each list from empty to largest.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session, sessionmaker

from api.adapters.postgres import EmbeddedPostgres
from bench.booking.world import CONSTRAINT, create_migrated, postgres

RUNS, BOOKINGS = 200_000, 100_000
TRIES, WARM_UP = 25, 4
# What a figure may be of that of an empty house, and what the control must at least be.
ALLOWED = 1.3
PRINTERS, ROOMS = 6, 30
DROPPED = ("ix_runs_job_id", "ix_jobs_site_id_status")


class House:
    """A place with its people, a queue, orders, a week of bookings; and `add_history`, which is none of that."""

    def __init__(self, engine: Engine) -> None:
        from api import outbox
        from api.domain.people import accounts
        from tests.world import NOW, make_printer, make_sliced, make_world
        from tests.world.billing import make_shop
        from tests.world.growth import grow, plant
        from tests.world.multiply import multiply

        outbox.attach()
        self.engine, self.sessions, self.now = engine, sessionmaker(engine, expire_on_commit=False), NOW
        with self.sessions.begin() as session:
            world = make_world(session)
            shop = make_shop(session, world=world)
            self.seeds = plant(session, shop)
            grow(session, self.seeds, 20)
            session.execute(text("ALTER TABLE invoices ENABLE TRIGGER guard_insert"))
            printers = [make_printer(session, world.site, kind=world.printer.kind) for _ in range(PRINTERS)]
            self.printer_id = printers[0].id
            self.printer_ids = [printer.id for printer in printers]
            self.room_ids = multiply(session, self.seeds.room, ROOMS, name="'Poste ' || n")
            self.job_id = make_sliced(session, world.site, world.alice).id
            self.cookies = {
                name: accounts.open_session(session, user=getattr(world, name), now=NOW) for name in ("alice", "bob")
            }
        # What is due is done once, so that a sweep afterwards finds what it finds on any quiet minute.
        with self.sessions.begin() as session:
            sweep_once(session, self.now)
        self.app = self._make_app()
        self.analyze()

    def _make_app(self) -> Any:
        from api import deps
        from web.app import make_app

        def session() -> Iterator[Session]:
            with self.sessions.begin() as session:
                yield session

        async def clock() -> datetime:
            return self.now

        app = make_app()
        app.dependency_overrides = {deps.session: session, deps.clock: clock}
        return app

    def add_history(self, *, runs: int, bookings: int) -> None:
        """Prints on these printers and bookings of these rooms, all over before this week."""
        from tests.world.multiply import multiply

        with self.sessions.begin() as session:
            session.execute(text("SET LOCAL session_replication_role = replica"))
            session.execute(text("ALTER TABLE holds DROP CONSTRAINT ex_holds_overlap"))
            job, run = (session.merge(each) for each in (self.seeds.job, self.seeds.run))
            jobs = multiply(session, job, runs, status="'collected'", ended_at="t.created_at", price_trace="'[]'")
            holds = self._add_holds(session, self.printer_ids, runs, "run")
            values = {"job_id": jobs, "hold_id": holds, "status": "'done'", "filed_at": "now()"}
            claimed = "t.claimed_at - interval '30 days' - n * interval '10 minutes'"
            printer = f"(CAST(ARRAY{self.printer_ids} AS bigint[]))[1 + n % {PRINTERS}]"
            multiply(session, run, runs, id="gen_random_uuid()", claimed_at=claimed, printer_id=printer, **values)
            past = session.merge(self.seeds.past)
            ago = "interval '30 days' - n * interval '20 minutes'"
            room = f"(CAST(ARRAY{self.room_ids} AS bigint[]))[1 + n % {ROOMS}]"
            times = {"start_at": f"t.start_at - {ago}", "end_at": f"t.end_at - {ago}"}
            multiply(session, past, bookings, resource_id=room, status="'checked_out'", **times)
            self._add_holds(session, self.room_ids, bookings, "booking")
            session.execute(text(CONSTRAINT))
        self.analyze()

    def _add_holds(self, session: Session, ids: list[int], count: int, reason: str) -> list[int]:
        """Ids of holds of 50 minutes, one after the other on each thing, before those that are there."""
        statement = text("""
            INSERT INTO holds (resource_id, during, reason, about_id, note, created_by, created_at)
            SELECT (CAST(:ids AS bigint[]))[1 + n % :things],
              tstzrange(t.at - (1 + n / :things) * interval '1 hour',
                        t.at - (1 + n / :things) * interval '1 hour' + interval '50 minutes'),
              :reason, 'past ' || n, '', NULL, now()
            FROM generate_series(0, :count - 1) n CROSS JOIN (
              SELECT coalesce(min(lower(during)), :now) - interval '1 hour' AS at FROM holds
              WHERE resource_id = ANY(:ids)) t
            ORDER BY n RETURNING id
        """)
        params = {"ids": ids, "things": len(ids), "reason": reason, "count": count, "now": self.now}
        return list(session.scalars(statement, params)) if count else []

    def analyze(self) -> None:
        # As autovacuum does it in service; a VACUUM cannot run in a transaction.
        with self.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE"))


@contextmanager
def undone(house: House) -> Iterator[Session]:
    """A transaction that is rolled back, so that each try finds the same."""
    with house.sessions() as session:
        yield session
        session.rollback()


def claim(house: House) -> None:
    from api.domain.printing.runs import claim_next

    with undone(house) as session:
        assert claim_next(session, printer_id=house.printer_id, now=house.now) is not None


def sweep(house: House) -> None:
    with undone(house) as session:
        sweep_once(session, house.now)


def sweep_once(session: Session, now: datetime) -> None:
    """What the background does each minute, in one transaction."""
    from api.domain.booking.bookings import review_line, sweep_times
    from api.domain.messages.dunning import move_promises
    from api.domain.messages.notifications import enqueue_unsent
    from api.domain.messages.reminders import send_due
    from api.domain.printing.jobs import enqueue_unsettled
    from api.domain.printing.maintenance import keep_maintenance

    for verb in (sweep_times, review_line, send_due, enqueue_unsettled, keep_maintenance, enqueue_unsent):
        verb(session, now=now)
    move_promises(session, now=now)


def page(path: str, who: str) -> Callable[[House], None]:
    def read(house: House) -> None:
        from tests.world.programs import Face

        headers = {"cookie": f"session={house.cookies[who]}", "accept-language": "en"}
        answer = Face(house.app).request("GET", path.format(job=house.job_id), headers=headers)
        assert answer.status_code == 200, (path, answer.status_code)

    return read


WORKS: dict[str, Callable[[House], None]] = {
    "claim_ms": claim,
    "job_page_ms": page("/jobs/{job}", "alice"),
    "order_list_ms": page("/orders", "alice"),
    "sweep_ms": sweep,
    "staff_page_ms": page("/staff", "bob"),
    "calendar_ms": page("/staff/calendar", "bob"),
}


def measure(houses: list[House], work: Callable[[House], None]) -> list[float]:
    """Medians in ms, one for each house; they take turns."""
    seconds: list[list[float]] = [[] for _ in houses]
    for _ in range(WARM_UP + TRIES):
        for house, times in zip(houses, seconds, strict=True):
            start_s = time.perf_counter()
            work(house)
            times.append(time.perf_counter() - start_s)
    return [round(1000 * statistics.median(times[WARM_UP:]), 1) for times in seconds]


def make_house(server: EmbeddedPostgres, name: str, *, runs: int = 0, bookings: int = 0) -> House:
    house = House(create_engine(create_migrated(server, name)))
    if runs:
        house.add_history(runs=runs, bookings=bookings)
    return house


def drop_indexes(house: House) -> None:
    with house.engine.begin() as connection:
        for name in DROPPED:
            connection.execute(text(f"DROP INDEX {name}"))
    house.analyze()


def main() -> None:
    runs, bookings = (int(each) for each in sys.argv[1:3]) if len(sys.argv) > 2 else (RUNS, BOOKINGS)
    with postgres() as server:
        houses = [
            make_house(server, "empty"),
            make_house(server, "tenth", runs=runs // 10, bookings=bookings),
            make_house(server, "whole", runs=runs, bookings=bookings),
            make_house(server, "control", runs=runs, bookings=bookings),
        ]
        drop_indexes(houses[-1])
        figures = {}
        for name, work in WORKS.items():
            figures[name] = measure(houses, work)
            print(name, figures[name], flush=True)
        for house in houses:
            house.engine.dispose()
    # Of the work that needs the dropped indexes most.
    control = round(max(values.pop() / values[0] for values in figures.values()), 2)
    slow = {name: values for name, values in figures.items() if max(values) > ALLOWED * values[0]}
    print(f"beyond {ALLOWED} of empty: {slow or 'none'}; control, without {', '.join(DROPPED)}: {control} times")
    print(json.dumps(figures))
    if slow or control < ALLOWED:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
