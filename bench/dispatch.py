"""How long from "slice ready, printer ready" to OctoPrint printing, against a bare upload+print in the same run.

Both ends are read off one clock: when our commit or the bare request begins, and when OctoPrint's log says "Printing".
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

from bench.stage import Stage, now, open_stage, print_gcode
from printers.lab import OctoPrintServer

SIZES = {name: round(float(name) * 1_000_000) for name in os.environ.get("SIZES", "0.1 1 5").split()}
ROUNDS = int(os.environ.get("ROUNDS", "15"))
BARE_TRIES = 5
# OctoPrint logs "Starting" when a print begins and "Printing" when the first line may be sent: the latter counts.
_PRINTING = re.compile(r"^(\S+ \S+) .*Changing monitoring state from \"\w+\" to \"Printing\"")


def main() -> None:
    figures = {}
    with open_stage(1) as stage:
        stage.start_worker()
        stage.start_worker(sys.executable, "-m", "web.command", "printers")
        warm_up(stage)
        for name, size in SIZES.items():
            floor, ours = [], []
            # In turns, so that whatever else the machine does falls on both.
            for _ in range(ROUNDS):
                gcode = print_gcode(size=size, dwell_s=30)
                floor.append(bare(stage.servers[0], gcode))
                ours.append(through_us(stage, gcode))
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


def warm_up(stage: Stage) -> None:
    """First requests build pools and caches on both sides."""
    for _ in range(2):
        bare(stage.servers[0], print_gcode(dwell_s=30))
        through_us(stage, print_gcode(dwell_s=30))


def bare(server: OctoPrintServer, gcode: bytes) -> float:
    """Upload and print in one request and verify nothing: the least that anybody can do."""
    for _ in range(BARE_TRIES):
        start_s = time.time()
        reply = requests.post(
            f"{server.url}/api/files/local",
            headers={"X-Api-Key": server.key},
            files={"file": (f"bare{time.time_ns()}.gcode", gcode)},
            data={"print": "true"},
            timeout=30,
        )
        # OctoPrint answers 500 now and then; the control has no second look, so this round is measured again.
        if reply.status_code < 500:
            break
        print(f"the bare upload failed ({reply.status_code}): once more", file=sys.stderr)
        cancel_bare(server)
    reply.raise_for_status()
    seconds = printing_at(server, since=start_s) - start_s
    cancel_bare(server)
    return seconds


def cancel_bare(server: OctoPrintServer) -> None:
    """Whatever prints; nothing is fine, too (409): a failed upload may have started its print."""
    answer = requests.post(
        f"{server.url}/api/job", json={"command": "cancel"}, headers={"X-Api-Key": server.key}, timeout=30
    )
    if answer.status_code != 409:
        answer.raise_for_status()
    wait_idle(server)


def through_us(stage: Stage, gcode: bytes) -> float:
    """A job that waits only for its slice, from the commit that makes it ready."""
    from api.db import transaction
    from api.domain.people.accounts import get_user
    from api.domain.printing.jobs import Job
    from api.domain.printing.runs import cancel_job

    server = stage.servers[0]
    clear(stage)
    job_id, slice_id = stage.hand_in(gcode, seconds=60, at_once=False)
    key = stage.store(gcode)
    start_s = stage.make_ready(slice_id, key, gcode, seconds=60)
    seconds = printing_at(server, since=start_s) - start_s
    with transaction() as session:
        cancel_job(session, job=session.get_one(Job, job_id), actor=get_user(session, stage.owner_id), now=now())
    wait_idle(server)
    return seconds


def clear(stage: Stage) -> None:
    """Say that the plate is clear until the printer is ready; the bare print shut it too, as a print by hand."""
    from api.db import transaction
    from api.domain.people.accounts import get_user
    from api.domain.printing.printers import get_printer
    from api.domain.printing.runs import clear_plate, find_live_run

    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with transaction() as session:
            printer = get_printer(session, stage.printer_ids[0])
            busy = find_live_run(session, printer_id=printer.id) is not None or printer.machine != "idle"
            if printer.plate_clear and not busy:
                return
            if not busy:
                staff = get_user(session, stage.staff_id)
                clear_plate(session, printer=printer, actor=staff, now=now())
        # Looked at again, because what the watcher saw of the bare print may still be on its way.
        time.sleep(0.6)
    raise TimeoutError("the printer did not become ready")


def printing_at(server: OctoPrintServer, *, since: float) -> float:
    """When OctoPrint's log says "Printing", in seconds since the epoch, to the millisecond."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        # The log cuts its times to the millisecond, so that one may read earlier than `since`.
        if (printing_s := last_printing(server.log_path)) >= since - 0.001:
            return printing_s
        time.sleep(0.02)
    raise TimeoutError("OctoPrint never printed")


def last_printing(log: Path) -> float:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 20_000))
        lines = file.read().decode(errors="replace").splitlines()
    for line in reversed(lines):
        if match := _PRINTING.match(line):
            return datetime.strptime(match[1], "%Y-%m-%d %H:%M:%S,%f").timestamp()
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
