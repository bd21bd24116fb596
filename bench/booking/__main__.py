"""A thousand people want one slot: races, throughput, the week, the search, a state machine, on a server of its own.

`python -m bench.booking [--only race,create,week,search,operations,machine] [--sequences N] [--operations N]`. Starts
PostgreSQL in a directory of its own and uvicorn on a free port; the last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from typing import Any

from api.adapters.postgres import EmbeddedPostgres
from bench.booking.create import create
from bench.booking.operations import operate
from bench.booking.race import count_control_winners, race
from bench.booking.search import time_searches
from bench.booking.week import time_week
from bench.booking.world import create_migrated, postgres, seed, serving

# The most that each figure may be, or the least for those of MORE_IS_BETTER; `winners` must be met exactly.
TARGETS = {
    "winners": 1,
    "errors_5xx": 0,
    "seconds": 5,
    "creates_per_s": 300,
    "create_p99_ms": 200,
    "week_p99_ms": 100,
    "search_p99_ms": 20,
    "page_p99_ms": 150,
    "operations_5xx": 0,
    "overlaps": 0,
    "machine_violations": 0,
}
MORE_IS_BETTER = ("creates_per_s",)
ALL = ("race", "create", "operations", "week", "search", "machine")


def run_machine(server: EmbeddedPostgres, sequences: int) -> dict[str, Any]:
    """The state machine of the tests, longer: bookings against a model in memory."""
    from tests.domain.booking import machine  # tests are not installed with the product

    violations = machine.run_machine(create_migrated(server, "machine"), sequences=sequences)
    return {"machine_sequences": sequences, "machine_violations": violations}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(ALL))
    parser.add_argument("--sequences", type=int, default=2000)
    parser.add_argument("--operations", type=int, default=20_000)
    parser.add_argument("--seconds", type=float, default=8)
    options = parser.parse_args()
    # SIGTERM would otherwise leave PostgreSQL and its folder behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    load_at_start = os.getloadavg()[0]
    figures = run_questions(options)
    missed = [name for name in TARGETS if name in figures and is_missed(name, figures[name])]
    load = {"at_start": load_at_start, "at_end": os.getloadavg()[0]}
    print(json.dumps(figures | {"targets": TARGETS, "missed": missed, "load_1m": load}))


def run_questions(options: argparse.Namespace) -> dict[str, Any]:
    """Race, throughput and operations share one database; the others are asked on one of their own."""
    questions, figures = set(options.only.split(",")), dict[str, Any]()
    with postgres() as server:
        url = create_migrated(server, "bench")
        ids, tokens = seed(url, resources=200, people=50)
        with serving(url) as port:
            if "race" in questions:
                figures |= race(port, ids, tokens)
            if "create" in questions:
                figures |= create(port, ids, tokens, options.seconds)
            if "operations" in questions:
                figures |= operate(url, port, ids, tokens, options.operations)
        if "race" in questions:
            figures["control_winners"] = count_control_winners(server)
        if "week" in questions:
            figures |= time_week(server)
        if "search" in questions:
            figures |= time_searches(server)
        if "machine" in questions:
            figures |= run_machine(server, options.sequences)
    return figures


def is_missed(name: str, figure: float) -> bool:
    if name == "winners":
        return figure != TARGETS[name]
    return figure < TARGETS[name] if name in MORE_IS_BETTER else figure > TARGETS[name]


if __name__ == "__main__":
    main()
