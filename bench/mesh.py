"""Our gate against trimesh and the admesh program, in the same run: `python -m bench.mesh`.

How fast is the measuring of an STL, and how much memory does it take, beside what others use? No time is reported
for a wrong answer: figures must agree to 1e-4.

Each program measures each file in a new process, in turns; medians count.
* `inside_s`: seconds in that process, after imports, from opening the file to the last figure (not for admesh).
* `whole_s`: seconds from starting the process to its end, imports and all.
* `cpu_s`: processor seconds of that whole process: what to look at on a busy machine.
* `peak_mb`: the process's ru_maxrss, interpreter and libraries included.
`speedup_vs_trimesh` compares `inside_s`, without imports, because trimesh's take longer. `ratio_vs_admesh` is our
`whole_s` over admesh's: below 1 we are faster. `peak_over_file` is our peak over the file's size; that of a small file
is mostly the interpreter.
Ours and trimesh give box, volume, area, closed and shells (trimesh's shells only where scipy or networkx is installed).
admesh gives no area and sums in 32 bits, so its volume is compared to 1e-3 only.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any

ROUNDS = {"10k": 5, "100k": 5, "1300k": 5}
# The 1.3 million triangles are an icosahedron divided 8 times.
MAKERS = {
    "10k": "make(trimesh.creation.torus(20, 6, major_sections=100, minor_sections=50))",
    "100k": "make(trimesh.creation.torus(20, 6, major_sections=250, minor_sections=200))",
    "1300k": "make(trimesh.creation.icosphere(subdivisions=8, radius=30))",
}
CAN_COUNT_SHELLS = bool(find_spec("scipy") or find_spec("networkx"))

OURS = """
import json, sys, time
from pathlib import Path
from api.domain.printing.mesh.gate import measure
start = time.perf_counter()
it = measure(Path(sys.argv[1]))
inside_s = time.perf_counter() - start
print(json.dumps({"inside_s": inside_s, "size": it.size_mm, "volume": it.volume_mm3, "area": it.area_mm2,
                  "closed": it.closed, "shells": it.shells}))
"""
TRIMESH = """
import json, sys, time
import trimesh
if sys.argv[2] == "True":
    try:
        import scipy.sparse.csgraph
    except ImportError:
        import networkx
start = time.perf_counter()
it = trimesh.load_mesh(sys.argv[1])
answer = {"size": it.extents.tolist(), "volume": float(it.volume), "area": float(it.area),
          "closed": bool(it.is_watertight and it.is_winding_consistent)}
if sys.argv[2] == "True":
    answer["shells"] = int(it.body_count)
print(json.dumps({"inside_s": time.perf_counter() - start, **answer}))
"""


def main() -> None:
    """Run all sizes. The last line of stdout is JSON; stderr is for people."""
    with tempfile.TemporaryDirectory(prefix="bench-mesh-") as folder:
        results = {size: bench(size, Path(folder) / f"{size}.stl") for size in ROUNDS}
    results["note"] = {"trimesh_counts_shells": CAN_COUNT_SHELLS, "admesh": bool(shutil.which("admesh"))}
    print(json.dumps(results))


def bench(size: str, path: Path) -> dict[str, Any]:
    """One file: every program in turn, ROUNDS times."""
    make_file(size, path)
    runs: dict[str, list[dict[str, Any]]] = {}
    for _ in range(ROUNDS[size]):
        for name, command in commands(path).items():
            runs.setdefault(name, []).append(run(command, is_python=name != "admesh"))
    for name, (first, *_) in runs.items():
        agree(runs["ours"][0], first, within=1e-3 if name == "admesh" else 1e-4)
    return summarize(size, runs, path.stat().st_size)


def make_file(size: str, path: Path) -> None:
    # In a process of its own: a child's ru_maxrss starts at what its parent held when it forked.
    script = f"import sys, trimesh; make = lambda it: it.export(sys.argv[1]); {MAKERS[size]}"
    subprocess.run([sys.executable, "-c", script, str(path)], check=True)


def commands(path: Path) -> dict[str, list[str]]:
    """The command of each program; admesh only where it is installed."""
    programs = {
        "ours": [sys.executable, "-c", OURS, str(path)],
        "trimesh": [sys.executable, "-c", TRIMESH, str(path), str(CAN_COUNT_SHELLS)],
    }
    if admesh := shutil.which("admesh"):
        programs["admesh"] = [admesh, str(path)]
    return programs


def run(command: list[str], *, is_python: bool) -> dict[str, Any]:
    """One new process: its answer, its seconds, its peak."""
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    output = process.stdout.read()
    # Not Popen.wait: only wait4 gives the figures of this child alone.
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    whole_s = time.perf_counter() - start
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}")
    answer = json.loads(output) if is_python else read_admesh(output)
    return {**answer, "whole_s": whole_s, "cpu_s": usage.ru_utime + usage.ru_stime, "peak_mb": usage.ru_maxrss / 1024}


def read_admesh(output: str) -> dict[str, Any]:
    # "Number of parts : 1  Volume : 14208.3", and "Min X = -26.0, Max X = 26.0" for each axis.
    words = output.replace(",", " ").split()
    span = {(words[i], words[i + 1]): float(words[i + 3]) for i, word in enumerate(words) if word in {"Min", "Max"}}
    colon = {words[i - 1]: words[i + 1] for i, word in enumerate(words[:-1]) if word == ":"}
    return {
        "size": [span["Max", axis] - span["Min", axis] for axis in "XYZ"],
        "volume": float(colon["Volume"]),
        "shells": int(colon["parts"]),
    }


def agree(ours: dict[str, Any], theirs: dict[str, Any], *, within: float) -> None:
    """Raise if a figure that both give differs by more than `within` (relative)."""
    for name in ("size", "volume", "area", "closed", "shells"):
        if name in theirs:
            left, right = (it[name] if isinstance(it[name], list) else [it[name]] for it in (ours, theirs))
            if not all(abs(a - b) <= within * abs(b) for a, b in zip(left, right, strict=True)):
                raise ValueError(f"{name} differs: ours {left}, theirs {right}")


def summarize(size: str, runs: dict[str, list[dict[str, Any]]], file_bytes: int) -> dict[str, Any]:
    """The medians, also printed to stderr."""
    result: dict[str, Any] = {"file_mb": round(file_bytes / 2**20, 2), "rounds": ROUNDS[size]}
    for name, rounds in runs.items():
        keys = [key for key in ("inside_s", "whole_s", "cpu_s", "peak_mb") if key in rounds[0]]
        result[name] = {key: round(median(it[key] for it in rounds), 4) for key in keys}
        print(f"{size:>6} {name:8} {result[name]}", file=sys.stderr)
    ours, trimesh = result["ours"], result["trimesh"]
    result["speedup_vs_trimesh"] = round(trimesh["inside_s"] / ours["inside_s"], 2)
    result["whole_speedup_vs_trimesh"] = round(trimesh["whole_s"] / ours["whole_s"], 2)
    result["ratio_vs_admesh"] = round(ours["whole_s"] / result["admesh"]["whole_s"], 2) if "admesh" in result else None
    result["peak_over_file"] = round(ours["peak_mb"] / result["file_mb"], 2)
    print(
        f"{size:>6} {result['speedup_vs_trimesh']} x as fast as trimesh, {result['ratio_vs_admesh']} x the time "
        f"of admesh, {result['peak_over_file']} x the file in memory",
        file=sys.stderr,
    )
    return result


if __name__ == "__main__":
    main()
