"""The negative control of the drill: upload+print, trust the reply, call it done when the printer is idle again."""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import requests

from bench.stage import print_gcode

# Threads of this process share one file; other processes are not fenced off, as in a queue without leases.
_lock = threading.Lock()


def main() -> None:
    state = Path(sys.argv[1])
    for target in sys.argv[2:]:
        url, key = target.split()
        threading.Thread(target=serve, args=(state, url, key)).start()


def serve(state: Path, url: str, key: str) -> None:
    headers = {"X-Api-Key": key}
    while (number := take(state)) is not None:
        try:
            wait_idle(url, headers)
            file = {"file": (f"naive-{number}.gcode", print_gcode(dwell_s=3))}
            requests.post(
                f"{url}/api/files/local", headers=headers, files=file, data={"print": "true"}, timeout=10
            ).raise_for_status()
            wait_idle(url, headers)
            put(state, number, "done")
        except requests.RequestException:
            put(state, number, "waiting")
            time.sleep(0.5)


def wait_idle(url: str, headers: dict[str, str]) -> None:
    # So that a print which was just requested has begun and is not taken for ended.
    time.sleep(0.3)
    while requests.get(f"{url}/api/job", headers=headers, timeout=5).json()["state"] != "Operational":
        time.sleep(0.2)


def take(state: Path) -> str | None:
    """The next job that is not done and that no thread of this process works on."""
    with _lock:
        jobs = json.loads(state.read_text())
        for number, status in jobs.items():
            if status == "waiting" and number not in _in_work:
                _in_work.add(number)
                return str(number)
    return None


def put(state: Path, number: str, status: str) -> None:
    with _lock:
        jobs = json.loads(state.read_text())
        jobs[number] = status
        draft = state.with_suffix(".new")
        draft.write_text(json.dumps(jobs))
        draft.replace(state)
        if status == "waiting":
            _in_work.discard(number)


_in_work: set[str] = set()

if __name__ == "__main__":
    main()
