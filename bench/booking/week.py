"""How fast is the calendar of a week, in a year full of bookings?"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from api.adapters.postgres import EmbeddedPostgres
from bench.booking.clients import Client, format_instant, p99_ms, time_gets
from bench.booking.world import DAY, NOW, create_migrated, fill, seed, serving


def time_week(server: EmbeddedPostgres) -> dict[str, Any]:
    """The week of 200 resources, in a year that holds 100 000 bookings: 1 900 of them are in it."""
    url = create_migrated(server, "week")
    ids, tokens = seed(url, resources=200, people=1)
    # 500 holds on each resource, 17.5 hours apart, are a year; half of it lies before today.
    fill(url, ids, holds=100_000, since=NOW - 180 * DAY, every=timedelta(hours=17.5))
    with serving(url) as port:
        path = f"/api/v1/calendar?from={format_instant(NOW)}&to={format_instant(NOW + 7 * DAY)}"
        client = Client(port, tokens[0])
        print(f"the week is {len(client.send('GET', path)[1])} bytes", flush=True)
        return {"week_p99_ms": p99_ms(time_gets(client, path, 300))}
