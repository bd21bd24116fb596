"""An order between acceptance and delivery: staff check copies, replace what was lost, or cancel the order."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from api.domain.core.base import advance
from api.domain.core.changes import record
from api.domain.core.errors import Conflict, Invalid
from api.domain.core.text import prose
from api.domain.people.accounts import User
from api.domain.people.roles import require_staff
from api.domain.printing import jobs, runs
from api.domain.printing.jobs import JobStatus
from api.domain.sales.orders.accept import add_print
from api.domain.sales.orders.promise import move_promise
from api.domain.sales.orders.table import (
    LOST,
    NEXT,
    PRINTED,
    Cause,
    Order,
    OrderStatus,
    Part,
    PartPrint,
    lock_order,
)


class NotPrinted(Conflict):
    """No printed copy of this part is waiting to be checked."""


class GoodWrong(Invalid):
    """Enter between 0 and {most} good pieces."""

    field = "good"


class CauseMissing(Invalid):
    """Describe what is wrong with the others."""

    field = "text"


class PrintsStarted(Conflict):
    """Part of this order is already printed: it can no longer be cancelled."""


def check_part(
    session: Session, *, order: Order, part: Part, good: int, actor: User, now: datetime, text: str = ""
) -> None:
    """Staff checked the printed copies of a part: `good` of them pass, the others are printed again at no cost.

    When all copies of all parts have passed the order is CHECKED. A reprint may move the promise. Raises StaffOnly,
    NotPrinted, GoodWrong and CauseMissing. Locks the order.
    """
    require_staff(session, user=actor, site_id=order.site_id)
    lock_order(session, order)
    waiting = [each for each in part.prints if each.job.status in PRINTED and each.checked_at is None]
    if order.status is not OrderStatus.IN_PRODUCTION or not waiting:
        raise NotPrinted()
    bad, text = _count_bad(waiting, good), prose(text)
    if bad and not text:
        raise CauseMissing()
    _mark_checked(waiting, bad, now)
    part.passed += good
    part.checked_at, part.checked_by = now, actor.id
    session.flush()
    facts = {"part": part.position, "good": good, "bad": bad, "text": text[:300]}
    record(
        session,
        noun="order",
        noun_id=order.id,
        verb="checked",
        now=now,
        actor_id=actor.id,
        site_id=order.site_id,
        **facts,
    )
    # The money of the order does not change: a reprint is a job without a price.
    if bad:
        _print_again(session, order, part, bad, Cause.CHECK_FAILED, actor, now, text)
        move_promise(session, order=order, now=now)
    elif all(each.passed == each.quantity for each in order.parts):
        advance(session, order, OrderStatus.CHECKED, moves=NEXT, status=Order.status, checked_at=now)


def _count_bad(waiting: list[PartPrint], good: int) -> int:
    copies = sum(each.copies for each in waiting)
    if not 0 <= good <= copies:
        raise GoodWrong(most=copies)
    return copies - good


def _mark_checked(waiting: list[PartPrint], bad: int, now: datetime) -> None:
    # Staff count copies, not which job printed them: the bad ones are put down to the oldest jobs.
    for each in waiting:
        each.checked_at = now
        each.scrapped = min(bad, each.copies)
        bad -= each.scrapped


def _print_again(
    session: Session, order: Order, part: Part, copies: int, cause: Cause, actor: User, now: datetime, text: str
) -> None:
    part_print = add_print(
        session,
        order=order,
        part=part,
        copies=copies,
        cause=cause,
        actor=actor,
        now=now,
        text=text,
    )
    # Whoever starts a reprint approves it too. A job whose slice is ready may be queued already, where none is needed.
    if part_print.job.status is JobStatus.SUBMITTED:
        jobs.approve(session, job=part_print.job, actor=actor, now=now)
    # The new print is not in the list yet, and the promise is computed from it.
    session.refresh(part, ["prints"])


def replace_lost(session: Session, *, order: Order, part: Part, actor: User, now: datetime, text: str = "") -> None:
    """Staff print again what rejected or cancelled jobs were to print. Raises StaffOnly and NotPrinted."""
    require_staff(session, user=actor, site_id=order.site_id)
    lock_order(session, order)
    expected = sum(each.copies - each.scrapped for each in part.prints if each.job.status not in LOST)
    missing = part.quantity - expected
    if missing <= 0 or order.status is not OrderStatus.IN_PRODUCTION:
        raise NotPrinted()
    _print_again(session, order, part, missing, Cause.REPLACED, actor, now, text)
    move_promise(session, order=order, now=now)


def cancel(session: Session, *, order: Order, actor: User, now: datetime) -> None:
    """Staff cancel an order and its jobs. Raises StaffOnly, and PrintsStarted once a job of it had a run."""
    require_staff(session, user=actor, site_id=order.site_id)
    lock_order(session, order)
    live = [each.job for part in order.parts for each in part.prints if each.job.status not in LOST]
    if any(job.status in PRINTED or runs.list_runs(session, job_id=job.id) for job in live):
        raise PrintsStarted()
    advance(session, order, OrderStatus.CANCELLED, moves=NEXT, status=Order.status)
    # A plate of theirs that was claimed since is stopped at its printer.
    for job in live:
        runs.cancel_job(session, job=job, actor=actor, now=now)
    record(session, noun="order", noun_id=order.id, verb="cancelled", now=now, actor_id=actor.id, site_id=order.site_id)
