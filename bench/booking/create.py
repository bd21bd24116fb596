"""How many bookings a second, when nobody is in anybody's way?"""

from __future__ import annotations

import time
from typing import Any

from bench.booking.clients import Answer, Client, p99_ms, run_crowd
from bench.booking.race import try_one_slot
from bench.booking.world import DAY, HOUR, NOW

CLIENTS = 16


def book_own_slots(client: Client, n: int, parameters: Any) -> list[Answer]:
    """Each client takes every sixteenth slot, so that no two meet."""
    ids, duration_s = parameters
    answers: list[Answer] = []
    start_s = time.perf_counter()
    slot = n
    while time.perf_counter() - start_s < duration_s:
        hour, place = divmod(slot, len(ids))
        start = NOW + 40 * DAY + hour * HOUR
        status, _, seconds = client.book(ids[place], start, start + HOUR)
        answers.append((status, seconds))
        slot += CLIENTS
    return answers


def create(port: int, ids: list[int], tokens: list[str], duration_s: float) -> dict[str, Any]:
    # Pools, statement caches and the people's rights are warm before the clock runs.
    run_crowd(try_one_slot, port, tokens[:CLIENTS], parameters=(ids[-1], NOW + 29 * DAY))
    answers, _ = run_crowd(book_own_slots, port, tokens[:CLIENTS], parameters=(ids, duration_s))
    if failures := [status for status, _ in answers if status != 201]:
        raise SystemExit(f"{len(failures)} bookings failed: {failures[:5]}")
    return {
        "creates_per_s": round(len(answers) / duration_s),
        "create_p99_ms": p99_ms([seconds for _, seconds in answers]),
    }
