"""How fast are free slots found among a million holds: in the database alone, and as a page?"""

from __future__ import annotations

import time
from datetime import time as wall_time
from datetime import timedelta
from typing import Any

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import Session

from api.adapters.postgres import EmbeddedPostgres
from api.domain.booking.bookings import find_slots, list_terms
from api.domain.people.accounts import User
from api.domain.places.sites import Site, set_hours
from bench.booking.clients import Client, format_instant, p99_ms, time_gets
from bench.booking.world import DAY, HOUR, NOW, create_migrated, fill, seed, serving

ROUNDS, WARM_UP = 330, 30


def time_searches(server: EmbeddedPostgres) -> dict[str, Any]:
    """Three free slots of an hour on each of 200 resources in 30 days, among 1 000 000 holds."""
    url = create_migrated(server, "search")
    ids, tokens = seed(url, resources=200, people=1)
    open_by_day(url)
    fill(url, ids, holds=1_000_000, since=NOW - 600 * DAY, every=timedelta(hours=4))
    engine = create_engine(url)
    search_s = [time_search(engine, ids, number) for number in range(ROUNDS)][WARM_UP:]
    with serving(url) as port:
        client = Client(port, tokens[0])
        page_s = time_gets(client, page_path(client), 200)
    return {"search_p99_ms": p99_ms(search_s), "page_p99_ms": p99_ms(page_s)}


def open_by_day(url: str) -> None:
    with Session(create_engine(url)) as session, session.begin():
        site = session.query(Site).one()
        set_hours(session, site=site, rows=[(day, wall_time(8), wall_time(20), True) for day in range(6)])


def page_path(client: Client) -> str:
    """The page that shows free slots, where the installation has it; else the same as JSON."""
    if client.send("GET", "/book?kind=room")[0] == 200:
        return "/book?kind=room"
    return f"/api/v1/free-slots?minutes=60&from={format_instant(NOW)}&to={format_instant(NOW + 30 * DAY)}"


def time_search(engine: Engine, ids: list[int], number: int) -> float:
    """Seconds in the database call alone, as its cursor saw it."""
    times_s: list[float] = []

    def before(connection: Any, *rest: Any) -> None:
        connection.info["start_s"] = time.perf_counter()

    def after(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        # Only the search itself counts, not the rows of rules and people that are read before it.
        if "free_from" in statement:
            times_s.append(time.perf_counter() - connection.info["start_s"])

    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)
    with Session(engine) as session:
        user = session.query(User).first()
        assert user is not None
        terms = list_terms(session, resource_ids=ids, user=user)
        # Another start in each round, so that no cache holds the answer of the one before.
        start = NOW + (number % 48) * HOUR
        slots = find_slots(session, terms=terms, minutes=60, start=start, end=start + 30 * DAY, now=NOW)
        assert all(len(free) == 3 for free in slots.values())
    event.remove(engine, "before_cursor_execute", before)
    event.remove(engine, "after_cursor_execute", after)
    return sum(times_s)
