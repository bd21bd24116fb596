"""Are random invoices right in XML and on paper, and how long does one take? Prints one JSON object.

Usage: python -m bench.documents [how many, 200]. Numbers and ledger are measured by bench.invoice; this needs no
database.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections import Counter
from datetime import UTC, datetime

from api.adapters.facturx import FRENCH, generate, is_b2b, validate, write_xml
from api.adapters.pdf import render_invoice
from api.adapters.proofread import lint, misprints
from tests.world.documents import make_document, make_random_document

STAMP = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def count_failures(how_many: int) -> Counter[str]:
    failures: Counter[str] = Counter()
    for seed in range(how_many):
        document = make_random_document(seed)
        xml = generate(document)
        faults = validate(xml, document.profile, b2b=is_b2b(document), document=document)
        failures.update({fault.source for fault in faults})
        pdf = render_invoice(document, xml, stamp=STAMP)
        failures["print"] += bool(misprints(pdf, xml))
        failures["lint"] += bool(lint(pdf))
    return failures


def median_s(repeats: int, *, cpu: bool) -> float:
    """Seconds for one 4-line invoice: checks, XML, schema, both schematrons, recount, PDF.

    Of the processor with `cpu`: on a busy machine only those say what the work costs.
    """
    clock = time.process_time if cpu else time.perf_counter
    document, spent = make_document(), []
    for _ in range(repeats):
        start = clock()
        render_invoice(document, write_xml(document), stamp=STAMP)
        spent.append(clock() - start)
    return round(statistics.median(spent), 3)


def main() -> None:
    how_many = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    failures = count_failures(how_many)
    report = {
        "invoices": how_many,
        "xsd_failures": failures["xsd"],
        "en16931_failures": failures["en16931"] + failures["extended"],
        "fr_failures": failures[FRENCH],
        "sum_failures": failures["recount"],
        "print_failures": failures["print"],
        "lint_failures": failures["lint"],
        "median_s_4_lines": median_s(30, cpu=False),
        "median_cpu_s_4_lines": median_s(15, cpu=True),
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
