"""`python -m bench.faults`: kill, starve and annoy a whole installation under load. The last line is JSON.

What is lost and printed twice is told by OctoPrint's own logs. As the control, each check is given a fault that it must
find: a process that stands still, a job that was never printed, a print that was started twice, a secret in the log.
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

from bench.drill import Tally as Doubts
from bench.drill import act_as_staff
from bench.faults.inflict import (
    Tally,
    break_uploads,
    fill_disk,
    kill_postgres,
    kill_process,
    kill_processes,
    restart_postgres,
    send_bad_cookies,
    send_half_forms,
)
from bench.faults.installation import Installation, open_installation
from bench.faults.visitors import Load, p95_ms
from printers.lab import prints_done, prints_started

TIMES = int(os.environ.get("FAULTS_TIMES", "20"))
RESTARTS, FULL_DISKS = max(1, TIMES // 4), max(1, TIMES * 3 // 20)
SENT = TIMES * 5
# For the prints that are still on their way when the faults are over.
PRINTED_WITHIN_S = 900


def main() -> None:
    seed = int(os.environ.get("FAULTS_SEED", str(time.time_ns() % 100_000)))
    print(f"seed {seed}", file=sys.stderr)
    with open_installation() as installation:
        print(json.dumps(run(installation, random.Random(seed))))


def run(installation: Installation, rng: random.Random) -> dict[str, object]:
    load, tally, stop = Load(installation), Tally(), threading.Event()
    person = threading.Thread(target=act_as_staff, args=(installation.stage, Doubts(), stop), daemon=True)
    person.start()
    load.start()
    statuses = inflict(installation, tally, rng)
    load.end_prints()
    unprinted = wait_for_prints(load)
    load.stop()
    figures = look(installation, load, tally, unprinted)
    figures["control_failures"] = control(installation)
    stop.set()
    person.join()
    if bad := [status for status in statuses if status != 200]:
        print(f"bad cookies were answered with {Counter(bad)}", file=sys.stderr)
    return figures


def inflict(installation: Installation, tally: Tally, rng: random.Random) -> list[int]:
    """All faults, with the load beside them; the statuses of the answers to bad cookies."""
    for name, fault in (
        ("processes", lambda: kill_processes(installation, tally, rng, TIMES)),
        ("postgres", lambda: kill_postgres(installation, tally, rng, TIMES)),
        ("restarts", lambda: restart_postgres(installation, tally, RESTARTS)),
        ("disk", lambda: fill_disk(installation, tally, FULL_DISKS)),
        ("uploads", lambda: break_uploads(installation, tally, SENT)),
        ("forms", lambda: send_half_forms(installation, tally, SENT)),
    ):
        fault()
        worst = {each: round(max(seconds), 1) for each, seconds in tally.back_s.items()}
        print(f"{name} done: {tally.count} faults, back after at most {worst}", file=sys.stderr)
    return send_bad_cookies(installation, tally, SENT)


def wait_for_prints(load: Load) -> list[int]:
    """The accepted jobs that are not printed when nothing more comes."""
    deadline = time.monotonic() + PRINTED_WITHIN_S
    while (missing := list_unprinted(load.accepted)) and time.monotonic() < deadline:
        time.sleep(1)
    return missing


def list_unprinted(job_ids: list[int]) -> list[int]:
    from sqlalchemy import select

    from api.db import transaction
    from api.domain.printing.jobs import Job, JobStatus

    with transaction() as session:
        query = select(Job.id).where(Job.id.in_(job_ids), Job.status.in_([JobStatus.PRINTED, JobStatus.COLLECTED]))
        printed = set(session.scalars(query))
    return [job_id for job_id in job_ids if job_id not in printed]


def look(installation: Installation, load: Load, tally: Tally, unprinted: list[int]) -> dict[str, object]:
    p95, failures = p95_ms(load.waits, tally.spans)
    text = installation.log.read_text(errors="replace")
    for name, cases in {"lost": unprinted, "double": list_doubles(installation), "hung": tally.hung}.items():
        if cases:
            print(f"{name}: {cases}", file=sys.stderr)
    return {
        "faults": tally.count,
        "jobs": len(load.accepted),
        "lost": len(unprinted),
        "double": len(list_doubles(installation)),
        "hung": len(tally.hung),
        "back_s_max": round(max(max(seconds) for seconds in tally.back_s.values()), 1),
        "back_s": {name: round(max(seconds), 1) for name, seconds in tally.back_s.items()},
        "p95_ms": p95,
        "failures_outside": failures,
        "log_mb": round(len(text.encode()) / 1e6 / tally.count * 100, 3),
        "secrets_in_log": count_secrets(installation, text),
    }


def list_doubles(installation: Installation) -> list[str]:
    """Files that a printer started twice, and plates that were printed twice."""
    from sqlalchemy import select

    from api.db import transaction
    from api.domain.printing.runs import Run

    done = Counter(path for server in installation.lab.servers for path in prints_done(server))
    started = Counter(path for server in installation.lab.servers for path in prints_started(server))
    with transaction() as session:
        runs = [(run.job_id, run.plate_no, run.path) for run in session.scalars(select(Run))]
    plates = Counter(f"job {job_id} plate {plate_no}" for job_id, plate_no, path in runs for _ in range(done[path]))
    return [name for counts in (plates, started) for name, times in counts.items() if times > 1]


def count_secrets(installation: Installation, text: str) -> int:
    return sum(text.count(secret) for secret in (installation.token, installation.cookie))


def control(installation: Installation) -> int:
    """How many of four planted faults the checks find: all of them, or the checks prove nothing."""
    frozen = Tally()
    # A process that stands still does not end: it is back late, by the supervisor's patience.
    kill_process(installation, frozen, "dispatch", signal.SIGSTOP)
    is_late = bool(frozen.hung) or max(frozen.back_s["dispatch"]) > 10
    with installation.lab.servers[0].log_path.open("a") as log:
        log.write(2 * "Print job started - origin: local, path: twice.gcode, owner: nobody\n")
    is_double = "twice.gcode" in list_doubles(installation)
    has_secret = count_secrets(installation, f"cookie: session={installation.cookie}") == 1
    never_made = 2**40
    is_lost = list_unprinted([never_made]) == [never_made]
    print(f"control: late {is_late}, double {is_double}, secret {has_secret}, lost {is_lost}", file=sys.stderr)
    return is_late + is_double + has_secret + is_lost


if __name__ == "__main__":
    main()
