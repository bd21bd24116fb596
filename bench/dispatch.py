"""How long from "slice ready, printer ready" to OctoPrint printing, against a bare upload+print in the same run.

Both ends are read off the same clock: ours or the bare request starts, and OctoPrint's own log says "Printing".
"""

from __future__ import annotations

import json
import os
import re
import statistics
import sys
import time
from datetime import datetime
from pathlib import Path

import requests

from bench.stage import Stage, now, print_gcode, stage
from printers.lab import OctoPrintServer

SIZES = {name: round(float(name) * 1_000_000) for name in os.environ.get("SIZES", "0.1 1 5").split()}
ROUNDS = int(os.environ.get("ROUNDS", "15"))
#: OctoPrint says "Starting" when a print begins and "Printing" once the first line may go: the latter is what counts.
_PRINTING = re.compile(r"^(\S+ \S+) .*Changing monitoring state from \"\w+\" to \"Printing\"")


def main() -> None:
    figures = {}
    with stage(1) as made:
        made.start_worker()
        made.start_worker(sys.executable, "-m", "web.command", "printers")
        warm_up(made)
        for name, size in SIZES.items():
            floor, ours = [], []
            for _ in range(ROUNDS):  # alternating: what else the machine does falls on both
                gcode = print_gcode(size=size, dwell_s=30)
                floor.append(bare(made.servers[0], gcode))
                ours.append(through_us(made, gcode))
            figures[name] = summary(floor, ours)
            print(f"{name} MB: {figures[name]}", file=sys.stderr)
    print(json.dumps(figures))


def summary(floor: list[float], ours: list[float]) -> dict[str, float]:
    floor_ms, ours_ms = statistics.median(floor) * 1000, statistics.median(ours) * 1000
    return {
        "median_overhead_ms": round(ours_ms - floor_ms, 1),
        "floor_ms": round(floor_ms, 1),
        "ours_ms": round(ours_ms, 1),
    }


def warm_up(made: Stage) -> None:
    """First requests build pools and caches on both sides."""
    for _ in range(2):
        bare(made.servers[0], print_gcode(dwell_s=30))
        through_us(made, print_gcode(dwell_s=30))


def bare(server: OctoPrintServer, gcode: bytes) -> float:
    """Upload and print in one request, believing everything: the least that anybody can do."""
    begun = time.time()
    reply = requests.post(
        f"{server.url}/api/files/local",
        headers={"X-Api-Key": server.key},
        files={"file": (f"bare{time.time_ns()}.gcode", gcode)},
        data={"print": "true"},
        timeout=30,
    )
    reply.raise_for_status()
    seconds = printing_at(server, since=begun) - begun
    requests.post(
        f"{server.url}/api/job", json={"command": "cancel"}, headers={"X-Api-Key": server.key}, timeout=30
    ).raise_for_status()
    wait_idle(server)
    return seconds


def through_us(made: Stage, gcode: bytes) -> float:
    """A job that waits only for its slice: from the commit that makes it ready to OctoPrint printing."""
    from api.db import transaction
    from api.domain.people.accounts import get_user
    from api.domain.printing.jobs import Job
    from api.domain.printing.runs import cancel_job

    server = made.servers[0]
    clear(made)
    job_id, slice_id = made.hand_in(gcode, seconds=60, at_once=False)
    key = made.store(gcode)
    begun = made.make_ready(slice_id, key, gcode, seconds=60)
    seconds = printing_at(server, since=begun) - begun
    with transaction() as session:
        cancel_job(session, job=session.get_one(Job, job_id), actor=get_user(session, made.owner_id), now=now())
    wait_idle(server)
    return seconds


def clear(made: Stage) -> None:
    """A person takes the part off (also the bare one, which counts as a print by hand), until the printer is ready."""
    from api.db import transaction
    from api.domain.people.accounts import get_user
    from api.domain.printing.printers import clear_plate, get_printer
    from api.domain.printing.runs import find_live_run

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with transaction() as session:
            printer = get_printer(session, made.printer_ids[0])
            busy = find_live_run(session, printer_id=printer.id) is not None or printer.machine != "idle"
            if printer.plate_clear and not busy:
                return
            if not busy:
                staff = get_user(session, made.staff_id)
                clear_plate(session, printer=printer, actor=staff, now=now(), has_run=False)
        time.sleep(0.6)  # and once more: what the watcher saw of the bare print may still be on its way
    raise TimeoutError("the printer did not become ready")


def printing_at(server: OctoPrintServer, *, since: float) -> float:
    """When OctoPrint's log says that it prints, in seconds since the epoch; at the millisecond of its log."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if (found := last_printing(server.log_path)) >= since - 0.001:
            return found
        time.sleep(0.02)
    raise TimeoutError("OctoPrint never printed")


def last_printing(log: Path) -> float:
    with log.open("rb") as opened:
        opened.seek(max(0, log.stat().st_size - 20_000))
        lines = opened.read().decode(errors="replace").splitlines()
    for line in reversed(lines):
        if found := _PRINTING.match(line):
            return datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S,%f").timestamp()
    return 0.0


def wait_idle(server: OctoPrintServer) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        reply = requests.get(f"{server.url}/api/job", headers={"X-Api-Key": server.key}, timeout=10).json()
        if reply["state"] == "Operational":
            return
        time.sleep(0.05)
    raise TimeoutError("OctoPrint stays busy")


if __name__ == "__main__":
    main()
