"""Deletes old prints from the printers: files in `etabli/done/` go by age, so that no card or disk fills up.

Only files of ended and filed runs of ours are touched. The newest ones stay: their history is the evidence of what
was printed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import select

from api.db import transaction
from api.domain.printing.printers import get_printer, list_printers
from api.domain.printing.runs import LIVE, Run
from printers.fleet import open_printer
from printers.port import PrinterError, PrinterPort

log = structlog.get_logger()

FOLDER = "etabli/done"
# So many of the newest stay, whatever their age and however full the disk is.
KEEP = 20
KEEP_FOR = timedelta(days=14)
# With less free room than this, age no longer protects a file. The largest plate that we slice is 256 MB
# (sandbox.SandboxLimits.file_bytes), so there is room for a few more.
LOW_BYTES = 1_000_000_000
# Bounds one visit; the next one goes on.
MOST_AT_ONCE = 100

Opener = Callable[[str, str], PrinterPort]


def tidy_printers(timestamp: int) -> None:
    """The step of every night; `timestamp` is the instant for which the engine planned it, in seconds."""
    tidy_all(now=datetime.fromtimestamp(timestamp, UTC))


def tidy_all(*, now: datetime, opener: Opener = open_printer) -> int:
    """Every printer in turn; one that does not answer is left for the next time. Returns how many files it deleted."""
    with transaction() as session:
        printer_ids = [printer.id for printer in list_printers(session)]
    count = 0
    for printer_id in printer_ids:
        try:
            count += tidy(printer_id, now=now, opener=opener)
        except PrinterError as error:
            log.info("cannot tidy up", printer=printer_id, reason=error.reason)
    return count


def tidy(printer_id: int, *, now: datetime, opener: Opener = open_printer) -> int:
    """Delete what is old on one printer; safe at any time, also while it prints. Raises PrinterError."""
    with transaction() as session:
        printer = get_printer(session, printer_id)
        url, sealed_key = printer.url, printer.sealed_key
        filed = select(Run).where(Run.printer_id == printer_id, Run.filed_at.is_not(None), Run.status.not_in(LIVE))
        ended_at = {run.done_path: run.ended_at for run in session.scalars(filed) if run.ended_at is not None}
    port = opener(url, sealed_key)
    paths = {file.path for file in port.list_files(FOLDER)}
    ours = {path: at for path, at in ended_at.items() if path in paths}
    if len(ours) <= KEEP:
        return 0
    old = list_old(ours, now=now, free_bytes=port.free_bytes())[:MOST_AT_ONCE]
    for path in old:
        port.delete(path)
    if old:
        log.info("old prints deleted", printer=printer_id, files=len(old))
    return len(old)


def list_old(ended_at: Mapping[str, datetime], *, now: datetime, free_bytes: int | None) -> list[str]:
    """The paths to delete, oldest first: beyond the newest KEEP, and older than KEEP_FOR unless the disk is full."""
    by_age = sorted(ended_at, key=lambda path: (ended_at[path], path))
    candidates = by_age[: max(0, len(by_age) - KEEP)]
    if free_bytes is not None and free_bytes < LOW_BYTES:
        return candidates
    return [path for path in candidates if now - ended_at[path] > KEEP_FOR]
