"""Can everything that is offered be booked by the person it is offered to, and is nothing hidden that could be?

`python -m bench.free [worlds]`: random worlds with kits that share parts, hours past midnight, closures, conventions,
trainings, quotas, buffers and a waitlist, on a PostgreSQL of its own, in as many processes as there are cores. As the
control, the search is given the question with one clause removed: each must find failures. The last line is JSON.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from functools import partial

from sqlalchemy import create_engine

from bench.booking.world import create_migrated, postgres

WORLDS = 10_000
# Worlds of one work: few enough to share them out evenly, and to be seen to go on.
CHUNK = 100
CONTROL_WORLDS = 100
Counts = tuple[int, int, int, list[str]]


def ask_worlds(url: str, clause: str, first: int, last: int) -> Counts:
    """(offered, unbookable, hidden, failures) of these worlds."""
    from tests.domain.booking.free_worlds import run_worlds  # tests are not installed with the product

    engine = create_engine(url)
    try:
        tally = run_worlds(engine, range(first, last), clause=clause)
    finally:
        engine.dispose()
    return tally.offered, tally.unbookable, tally.hidden, tally.failures


def chunks(worlds: int) -> Iterator[tuple[int, int]]:
    return ((first, min(first + CHUNK, worlds)) for first in range(0, worlds, CHUNK))


def main() -> None:
    from tests.domain.booking.free_worlds import CLAUSES

    worlds, start_s = int(sys.argv[1]) if len(sys.argv) > 1 else WORLDS, time.monotonic()
    context = multiprocessing.get_context("spawn")
    with postgres() as server, context.Pool(os.cpu_count() or 1) as pool:
        url = create_migrated(server, "free")
        answers = pool.starmap(partial(ask_worlds, url, ""), chunks(worlds), chunksize=1)
        ends = [0, min(worlds, CONTROL_WORLDS)]
        controls = pool.starmap(ask_worlds, [(url, clause, *ends) for clause in CLAUSES], chunksize=1)
    for failure in [failure for _, _, _, failures in answers for failure in failures][:20]:
        print(failure, file=sys.stderr)
    failures_of = {clause: counts[1] + counts[2] for clause, counts in zip(CLAUSES, controls, strict=True)}
    print("control, failures without each clause:", failures_of, file=sys.stderr)
    figures = {
        "worlds": worlds,
        "offered": sum(counts[0] for counts in answers),
        "unbookable": sum(counts[1] for counts in answers),
        "hidden": sum(counts[2] for counts in answers),
        # Of the clause whose absence shows least.
        "control_failures": min(failures_of.values()),
        "seconds": round(time.monotonic() - start_s),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
