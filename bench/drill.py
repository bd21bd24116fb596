"""Kill -9 workers and OctoPrints while 150 jobs print; OctoPrint's own logs then say what really happened.

The negative control prints the naive way (upload+print, trust the reply) under the same kills and must fail.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from sqlalchemy import select

from bench.stage import Stage, now, open_stage, print_gcode
from printers.lab import OctoPrintServer, prints_done, prints_started

JOBS = int(os.environ.get("DRILL_JOBS", "150"))
KILLS = int(os.environ.get("DRILL_KILLS", "200"))
OCTOPRINT_KILLS = int(os.environ.get("DRILL_OCTOPRINT_KILLS", "30"))
PRINTERS = 4
DEADLINE_S = 1500
# It creates a file when it begins to work: a worker that is killed while Python still imports proves nothing.
WORKER = """
import pathlib, sys
import printers.reconcile
from api.worker import run_worker
pathlib.Path(sys.argv[1]).touch()
run_worker({"dispatch": 6})
"""
WATCHER = [sys.executable, "-m", "web.command", "printers"]


@dataclass
class Tally:
    kills: int = 0
    octoprint_kills: int = 0
    in_doubt: int = 0
    needless: list[str] = field(default_factory=list)


def main() -> None:
    seed = int(os.environ.get("DRILL_SEED", str(time.time_ns() % 100_000)))
    print(f"seed {seed}", file=sys.stderr)
    with open_stage(PRINTERS, heartbeat_s="0.5", stalled_after_s="2", tick_s="1") as stage:
        figures = ours(stage, random.Random(seed))
    print(figures, file=sys.stderr)
    with open_stage(PRINTERS) as stage:
        control = naive(stage, random.Random(seed))
    print(json.dumps(figures | {"control_failures": control}))


def ours(stage: Stage, rng: random.Random) -> dict[str, int]:
    jobs = [stage.hand_in(print_gcode(dwell_s=3), seconds=30)[0] for _ in range(JOBS)]
    stage.start_worker(*WATCHER)
    tally, stop = Tally(), threading.Event()
    person = threading.Thread(target=act_as_staff, args=(stage, tally, stop))
    person.start()
    killers = [
        *(
            threading.Thread(target=kill_worker, args=(stage, f"worker-{n}", tally, stop, random.Random(rng.random())))
            for n in range(2)
        ),
        threading.Thread(target=kill_octoprints, args=(stage, tally, stop, random.Random(rng.random()))),
    ]
    for killer in killers:
        killer.start()
    try:
        wait_for_all(jobs, tally)
    finally:
        stop.set()
        for thread in (*killers, person):
            thread.join()
    return {
        "jobs": JOBS,
        "kills": tally.kills,
        "octoprint_kills": tally.octoprint_kills,
        **compare_with_logs(stage, jobs, tally),
    }


def kill_worker(stage: Stage, name: str, tally: Tally, stop: threading.Event, rng: random.Random) -> None:
    """Kill a worker at any moment of its work, and start another in its place, again and again."""
    while not stop.is_set():
        ready_file = stage.folder / name
        ready_file.unlink(missing_ok=True)
        worker = stage.start_worker(sys.executable, "-c", WORKER, str(ready_file))
        while not ready_file.exists() and not stop.wait(0.02):
            pass
        # The last worker lives, so that what is left can be printed.
        if tally.kills >= KILLS:
            stop.wait()
            return
        stop.wait(rng.uniform(0.05, 2.2))
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        tally.kills += 1


def kill_octoprints(stage: Stage, tally: Tally, stop: threading.Event, rng: random.Random) -> None:
    while not stop.wait(rng.uniform(3, 10)) and tally.octoprint_kills < OCTOPRINT_KILLS:
        server = rng.choice(stage.servers)
        server.kill()
        tally.octoprint_kills += 1
        server.start()
        server.wait_for_http(120)


def act_as_staff(stage: Stage, tally: Tally, stop: threading.Event) -> None:
    """Clear plates, decide about runs in doubt, and resume jobs on hold, as a person at the printers would."""
    while not stop.wait(0.3):
        try:
            act_once(stage, tally)
        except Exception as error:  # a race with the workers; the next round tries again
            print(f"person: {error!r}", file=sys.stderr)


def act_once(stage: Stage, tally: Tally) -> None:
    from api.db import transaction
    from api.domain.people.accounts import get_user
    from api.domain.printing.jobs import Job, JobStatus, resume
    from api.domain.printing.printers import list_printers
    from api.domain.printing.runs import clear_plate, find_live_run, list_doubts, resolve

    with transaction() as session:
        staff = get_user(session, stage.staff_id)
        for run in list_doubts(session, site_ids=[stage.site_id]):
            printed = look_at_the_part(stage.servers, run.path, tally)
            resolve(session, run=run, printed=printed, resolution="seen on the plate", actor=staff, now=now())
        for job in session.scalars(select(Job).where(Job.status == JobStatus.ON_HOLD)):
            resume(session, job=job, actor=staff, now=now())
        for printer in list_printers(session):
            if (
                not printer.plate_clear
                and printer.machine == "idle"
                and not find_live_run(session, printer_id=printer.id)
            ):
                clear_plate(session, printer=printer, actor=staff, now=now())


def look_at_the_part(servers: list[OctoPrintServer], path: str, tally: Tally) -> bool:
    """Whether it was printed, by OctoPrint's log. A doubt about a print that ended or never began was needless."""
    printed = any(path in prints_done(server) for server in servers)
    has_started = any(path in prints_started(server) for server in servers)
    tally.in_doubt += 1
    if printed or not has_started:
        tally.needless.append(path)
    return printed


def wait_for_all(jobs: list[int], tally: Tally) -> None:
    """Until every job is printed, or the deadline; what is missing then counts as lost."""
    from api.db import transaction
    from api.domain.printing.jobs import Job, JobStatus

    deadline, reported_s = time.monotonic() + DEADLINE_S, 0.0
    while time.monotonic() < deadline:
        with transaction() as session:
            states = Counter(session.scalars(select(Job.status).where(Job.id.in_(jobs))))
        if time.monotonic() - reported_s > 15:
            reported_s = time.monotonic()
            print(f"{dict(states)} {tally.kills} kills, {tally.octoprint_kills} of OctoPrint", file=sys.stderr)
        if states[JobStatus.PRINTED] == len(jobs):
            return
        time.sleep(0.5)


def compare_with_logs(stage: Stage, jobs: list[int], tally: Tally) -> dict[str, int]:
    """Compare our table with OctoPrint's logs."""
    from api.db import transaction
    from api.domain.printing.jobs import Job, JobStatus
    from api.domain.printing.runs import Run, RunStatus

    done = Counter(path for server in stage.servers for path in prints_done(server))
    started = Counter(path for server in stage.servers for path in prints_started(server))
    with transaction() as session:
        runs = list(session.scalars(select(Run)))
        lost = [
            job.id for job in session.scalars(select(Job).where(Job.id.in_(jobs))) if job.status != JobStatus.PRINTED
        ]
        plates = Counter((run.job_id, run.plate_no) for run in runs for _ in range(done[run.path]))
        false_done = [run.id for run in runs if run.status == RunStatus.DONE and not done[run.path]]
        double = [plate for plate, times in plates.items() if times > 1]
        double += [path for path, times in started.items() if times > 1]  # type: ignore[misc]  # only counted
    for name, cases in {"lost": lost, "double": double, "false_done": false_done, "needless": tally.needless}.items():
        if cases:
            print(f"{name}: {cases}", file=sys.stderr)
    return {
        "lost": len(lost),
        "double": len(double),
        "false_done": len(false_done),
        "in_doubt": tally.in_doubt,
        "needless_in_doubt": len(tally.needless),
    }


def naive(stage: Stage, rng: random.Random) -> int:
    """Failures of the naive way (lost, double and falsely done) under the same kinds of kills in proportion."""
    count = max(20, JOBS // 4)
    state = stage.folder / "naive.json"
    state.write_text(json.dumps({str(n): "waiting" for n in range(count)}))
    targets = [f"{server.url} {server.key}" for server in stage.servers]
    command = [sys.executable, "-m", "bench.naive", str(state), *targets]
    deadline, next_kill = time.monotonic() + 300, time.monotonic() + 5
    worker = stage.start_worker(*command)
    while time.monotonic() < deadline and "waiting" in json.loads(state.read_text()).values():
        # Long enough that it can end a print between two kills.
        time.sleep(rng.uniform(2, 9))
        worker.send_signal(signal.SIGKILL)
        worker.wait()
        if time.monotonic() > next_kill:
            server = rng.choice(stage.servers)
            server.kill()
            server.start()
            server.wait_for_http(120)
            next_kill = time.monotonic() + rng.uniform(5, 14)
        worker = stage.start_worker(*command)
    time.sleep(5)  # the last prints end
    done = Counter(path for server in stage.servers for path in prints_done(server))
    statuses = json.loads(state.read_text())
    falsely_done = [n for n, status in statuses.items() if status == "done" and not done[f"naive-{n}.gcode"]]
    double = [n for n in statuses if done[f"naive-{n}.gcode"] > 1]
    lost = [n for n, status in statuses.items() if status != "done"]
    print(f"control: falsely done {falsely_done}, double {double}, lost {lost}", file=sys.stderr)
    return len(falsely_done) + len(double) + len(lost)


if __name__ == "__main__":
    main()
