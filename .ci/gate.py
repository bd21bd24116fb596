"""Says how many branches of the domain and the printers the tests take; fails below the gate (percent; 0: no gate)."""

import json
import sys
import tempfile
from pathlib import Path

from coverage import Coverage

GATED = ["api/domain/*", "printers/*"]


def main(gate: float) -> int:
    report = _report()
    files = [(name, file["summary"]) for name, file in report["files"].items()]
    for name, summary in sorted(files, key=lambda file: -file[1]["missing_branches"])[:10]:
        if summary["missing_branches"]:
            sys.stdout.write(
                f"  {summary['missing_branches']:3d} of {summary['num_branches']:3d} branches missed in {name}" + "\n"
            )
    total = report["totals"]
    percent = 100 * total["covered_branches"] / max(1, total["num_branches"])
    sys.stdout.write(
        f"Branches of api/domain and printers: {percent:.1f} % of {total['num_branches']} (gate: {gate:g} %)" + "\n"
    )
    return int(percent < gate)


def _report() -> dict:
    measured = Coverage()
    measured.load()
    with tempfile.TemporaryDirectory() as folder:
        measured.json_report(include=GATED, outfile=str(Path(folder) / "report.json"))
        return json.loads((Path(folder) / "report.json").read_text())


sys.exit(main(float(sys.argv[1])))
