"""What time itself brings: each duty has its own schedule, transaction, log and record; one that fails stops no other.

The worker of the printers looks at them; the background does all the rest. Two workers may do a duty twice.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import Any

import psycopg
import structlog
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from api.db import transaction
from api.domain.billing.invoices import check_chains
from api.domain.booking.bookings import review_line, sweep_times
from api.domain.core.duties import FailureCause, record_failure, record_success
from api.domain.core.errors import DomainError
from api.domain.core.idempotency import purge_keys
from api.domain.core.restores import is_paused
from api.domain.messages.dunning import enqueue_lost_documents, move_promises, remind_all
from api.domain.messages.notifications import enqueue_unsent
from api.domain.messages.purges import enqueue_purges
from api.domain.messages.reminders import send_due
from api.domain.people.accounts import purge_sessions
from api.domain.printing.configurations import enqueue_lost_trials
from api.domain.printing.jobs import enqueue_unsettled
from api.domain.printing.maintenance import keep_maintenance
from api.domain.printing.printers import enqueue_reconcile, list_printers
from api.domain.printing.slices import enqueue_lost
from api.domain.sales.tabs import enqueue_months
from api.settings import settings

log = structlog.get_logger()

MINUTE_S, HOUR_S = 60.0, 3600.0
# A good run is written down again only after so long: a duty of every second must not be a write of every second.
NOTE_AGAIN_S = 30.0
KEEP_ENDED = timedelta(days=2)
_DELETE_ENDED = text("""
    DELETE FROM procrastinate_jobs job WHERE job.status NOT IN ('todo', 'doing') AND NOT EXISTS (
        SELECT FROM procrastinate_events event
        WHERE event.job_id = job.id AND event.at > now() - CAST(:kept AS interval)
    )
""")


@dataclass(frozen=True, slots=True)
class Duty:
    """`perform` opens its own transactions, is harmless when repeated, and raises what goes wrong."""

    name: str
    perform: Callable[[], object]
    every_s: float


def look_at_printers() -> None:
    """Whatever events of a printer were lost."""
    with transaction() as session:
        for printer in list_printers(session):
            enqueue_reconcile(session, printer.id)


def retry_slices() -> None:
    """Those whose step is lost, and those that failed for a passing reason."""
    _perform(partial(enqueue_lost, wall_s=settings().slice_wall_s))


def purge_models() -> None:
    _perform(partial(enqueue_purges, after_days=settings().confidential_days))


def delete_ended_steps() -> None:
    """Of those that failed, some days are kept for whoever looks into them."""
    with transaction() as session:
        session.execute(_DELETE_ENDED, {"kept": KEEP_ENDED})


def bill_months() -> None:
    """Not by a copy that was just restored: the first installation may have billed that month already."""
    with transaction() as session:
        if not is_paused(session):
            enqueue_months(session, now=datetime.now(UTC))


def ask_platform() -> None:
    if settings().flow_url:
        from api.adapters.sending import enqueue_flows  # noqa: PLC0415  loads the client of the platform

        enqueue_flows()


def _perform(verb: Callable[..., object]) -> None:
    with transaction() as session:
        verb(session, now=datetime.now(UTC))


def _verb(name: str, verb: Callable[..., object], every_s: float = MINUTE_S) -> Duty:
    """A duty that is one verb of the domain in one transaction."""
    return Duty(name, partial(_perform, verb), every_s)


def printer_duties() -> list[Duty]:
    return [Duty("printers", look_at_printers, settings().tick_s)]


def background_duties() -> list[Duty]:
    return [
        _verb("bookings", sweep_times),
        _verb("line", review_line),
        _verb("reminders", send_due),
        Duty("slices", retry_slices, MINUTE_S),
        _verb("configurations", enqueue_lost_trials),
        _verb("settling", enqueue_unsettled),
        _verb("maintenance", keep_maintenance),
        _verb("letters", enqueue_unsent),
        _verb("documents", enqueue_lost_documents),
        _verb("dunning", remind_all, 10 * MINUTE_S),
        _verb("promises", move_promises),
        Duty("months", bill_months, 10 * MINUTE_S),
        Duty("models", purge_models, HOUR_S),
        Duty("platform", ask_platform, MINUTE_S),
        Duty("steps", delete_ended_steps, HOUR_S),
        _verb("keys", purge_keys, HOUR_S),
        _verb("logins", purge_sessions, HOUR_S),
        _verb("chain", check_chains, 6 * HOUR_S),
    ]


@lru_cache
def _noted() -> dict[str, float]:
    """When each duty's good run was last written down, by the monotonic clock of this process."""
    return {}


def perform(duty: Duty) -> None:
    """Do it once and record how it went; an error is logged and recorded, not raised."""
    try:
        duty.perform()
    except Exception as error:  # Whatever it is, the next round tries again, and the others go on.
        _noted().pop(duty.name, None)
        _fail(duty, error)
        return
    if time.monotonic() - _noted().get(duty.name, -NOTE_AGAIN_S) >= NOTE_AGAIN_S:
        _record(record_success, name=duty.name)
        _noted()[duty.name] = time.monotonic()


def _fail(duty: Duty, error: Exception) -> None:
    cause, detail = cause_of(error), detail_of(error)
    if cause is not FailureCause.DATABASE:
        log.exception("duty failed", duty=duty.name)
        _record(record_failure, name=duty.name, cause=cause, detail=detail)
        return
    # One line: every duty fails then, there is nowhere to record it, and the trace would tell nothing.
    log.warning("duty failed", duty=duty.name, error=detail)
    with suppress(SQLAlchemyError):
        _record(record_failure, name=duty.name, cause=cause, detail=detail)


def _record(verb: Callable[..., None], **values: Any) -> None:
    with transaction() as session:
        verb(session, **values, now=datetime.now(UTC))


def cause_of(error: BaseException) -> FailureCause:
    original = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(original, psycopg.errors.DiskFull) or getattr(original, "errno", None) == errno.ENOSPC:
        return FailureCause.DISK_FULL
    if isinstance(error, SQLAlchemyError | psycopg.Error):
        return FailureCause.DATABASE if isinstance(original, psycopg.OperationalError) else FailureCause.PROGRAM
    if isinstance(error, DomainError):
        return FailureCause.REFUSED
    if isinstance(error, ConnectionError | TimeoutError | socket.gaierror):
        return FailureCause.NETWORK
    return FailureCause.PROGRAM


def detail_of(error: BaseException) -> str:
    """The kind of the error and the first line of its text: SQL and its values, which follow, may hold secrets."""
    original = error.orig if isinstance(error, DBAPIError) and error.orig else error
    return f"{type(original).__name__}: {str(original).partition(chr(10))[0]}"
