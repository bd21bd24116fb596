"""Do holds and bookings still agree after thousands of random bookings, moves and cancellations at the same time?"""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

from sqlalchemy import create_engine, text

from bench.booking.clients import Answer, Client, run_crowd
from bench.booking.world import DAY, HOUR, NOW

CLIENTS = 32

OVERLAPS = """
SELECT count(*) FROM holds a JOIN holds b ON a.resource_id = b.resource_id AND a.id < b.id AND a.during && b.during
WHERE a.released_at IS NULL AND b.released_at IS NULL
"""
# A live booking whose hold is not exactly its time is a lost or a stray one.
MISMATCHES = """
SELECT count(*) FROM bookings b
LEFT JOIN holds h ON h.reason = 'booking' AND h.about_id = b.id::text AND h.released_at IS NULL
WHERE (b.status = 'confirmed' AND (h.id IS NULL OR h.during <> tstzrange(b.start_at, b.end_at)))
   OR (b.status = 'cancelled' AND h.id IS NOT NULL)
"""


def book_move_cancel(client: Client, n: int, parameters: Any) -> list[Answer]:
    """At random on the resources, seeded per client."""
    ids, count = parameters
    rng, own, answers = random.Random(n), list[int](), list[Answer]()
    for _ in range(count):
        start = NOW + 100 * DAY + rng.randrange(400) * HOUR / 2
        end = start + rng.choice([1, 2, 3, 4]) * HOUR / 2
        chance = rng.random()
        if chance < 0.5 or not own:
            status, data, seconds = client.book(rng.choice(ids), start, end)
            if status == 201:
                own.append(json.loads(data)["id"])
        elif chance < 0.75:
            body = {"start": start.isoformat(), "end": end.isoformat()}
            status, data, seconds = client.send("PATCH", f"/api/v1/bookings/{rng.choice(own)}", body)
        else:
            status, data, seconds = client.send("DELETE", f"/api/v1/bookings/{own.pop(rng.randrange(len(own)))}")
        answers.append((status, seconds))
    return answers


def operate(url: str, port: int, ids: list[int], tokens: list[str], count: int) -> dict[str, Any]:
    # Five resources only: with all of them, hardly any two operations would meet.
    parameters = (ids[:5], count // CLIENTS)
    answers, seconds = run_crowd(book_move_cancel, port, tokens[:CLIENTS], parameters=parameters)
    statuses = Counter(status for status, _ in answers)
    print(f"{len(answers)} operations in {seconds:.0f} s, by status {dict(statuses)}", flush=True)
    with create_engine(url).connect() as connection:
        overlaps = connection.scalar(text(OVERLAPS)) or 0
        mismatches = connection.scalar(text(MISMATCHES)) or 0
    return {
        "operations": len(answers),
        "operations_5xx": sum(times for status, times in statuses.items() if status >= 500),
        "overlaps": overlaps + mismatches,
    }
