"""What happens to an order between buying and delivery: prints, checks, reprints at the house's cost, the promise."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.billing import paper_numbers
from api.domain.billing.facturx import DeliveredItem, DeliveryNote
from api.domain.billing.paper_numbers import Paper
from api.domain.billing.sellers import today
from api.domain.core.base import advance
from api.domain.core.changes import record
from api.domain.core.errors import Conflict, Invalid
from api.domain.core.frozen import freeze, thaw
from api.domain.people.accounts import User
from api.domain.people.roles import require_staff
from api.domain.printing import jobs, runs
from api.domain.printing.jobs import JobStatus
from api.domain.printing.plan import JobPlan
from api.domain.printing.runs import Run, RunStatus, plan_site
from api.domain.sales.orders.place import add_print
from api.domain.sales.orders.table import NEXT, OPEN, Cause, Order, OrderStatus, Part, PartPrint, lock_order
from api.domain.sales.quotes.price import FINISHING

LOST = frozenset({JobStatus.REJECTED, JobStatus.CANCELLED})
DONE = frozenset({JobStatus.PRINTED, JobStatus.COLLECTED})


class NotPrinted(Conflict):
    """Nothing of this part is printed and waiting to be checked."""


class GoodWrong(Invalid):
    """Between 0 and {most} pieces can be good."""

    field = "good"


class CauseMissing(Invalid):
    """Please say what was wrong with the others."""

    field = "text"


class NotChecked(Conflict):
    """Every part must be checked before the order is delivered."""


class PrintsStarted(Conflict):
    """Something of this order was printed already: it cannot be cancelled any more."""


@dataclass(frozen=True, slots=True)
class PartProgress:
    """How far a part is: pieces printed and good, 0..1 over all, failed runs, and what is still to come."""

    part: Part
    printed: int
    good: int
    scrapped: int
    failed_runs: int
    progress: float
    eta_p50: datetime | None
    eta_p90: datetime | None


def progress_of(session: Session, *, order: Order, now: datetime) -> list[PartProgress]:
    """Part by part, with the planner's times for what still waits."""
    planned = {}
    if order.status is OrderStatus.IN_PRODUCTION:
        planned = {each.job_id: each for each in plan_site(session, site=order.site, now=now).jobs}
    return [_progress(session, part, planned) for part in order.parts]


def _progress(session: Session, part: Part, planned: dict[int, JobPlan]) -> PartProgress:
    attempts = {each.job_id: runs.list_runs(session, job_id=each.job_id) for each in part.prints}
    printed = sum(run.copies for found in attempts.values() for run in found if run.status is RunStatus.DONE)
    failed = sum(run.status is RunStatus.FAILED for found in attempts.values() for run in found)
    scrapped = sum(each.scrapped for each in part.prints)
    live = [each for each in part.prints if each.job.status not in LOST | DONE]
    running = sum(each.copies * runs.progress_of(each.job, attempts[each.job_id]) for each in live)
    finished = sum(each.copies - each.scrapped for each in part.prints if each.job.status in DONE)
    etas = [planned[each.job_id] for each in live if each.job_id in planned]
    p50 = [eta.eta_p50 for eta in etas if eta.eta_p50]
    p90 = [eta.eta_p90 for eta in etas if eta.eta_p90]
    return PartProgress(
        part=part,
        printed=printed,
        good=part.passed,
        scrapped=scrapped,
        failed_runs=failed,
        progress=min(1.0, (finished + running) / part.quantity),
        eta_p50=max(p50, default=None),
        eta_p90=max(p90, default=None),
    )


def check_part(
    session: Session, *, order: Order, part: Part, good: int, actor: User, now: datetime, text: str = ""
) -> None:
    """Staff looked at what is printed of a part: so many are good, the others are printed again for nothing.

    When all parts are good the order is ready; a reprint may move the promise.
    """
    require_staff(session, user=actor, site_id=order.site_id)
    lock_order(session, order)
    waiting = [each for each in part.prints if each.job.status in DONE and each.checked_at is None]
    copies = sum(each.copies for each in waiting)
    if order.status is not OrderStatus.IN_PRODUCTION or not waiting:
        raise NotPrinted()
    if not 0 <= good <= copies:
        raise GoodWrong(most=copies)
    bad = copies - good
    if bad and not text.strip():
        raise CauseMissing()
    _mark(waiting, bad, now)
    part.passed += good
    part.checked_at, part.checked_by = now, actor.id
    session.flush()
    facts = {"part": part.position, "good": good, "bad": bad, "text": text.strip()[:300]}
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
    if bad:
        _print_again(session, order, part, bad, Cause.CHECK_FAILED, actor, now, text.strip())
        move_promise(session, order=order, now=now)
    elif all(each.passed == each.quantity for each in order.parts):
        advance(session, order, OrderStatus.CHECKED, moves=NEXT, status=Order.status, checked_at=now)


def _mark(waiting: list[PartPrint], bad: int, now: datetime) -> None:
    for each in waiting:
        each.checked_at = now
        each.scrapped = min(bad, each.copies)
        bad -= each.scrapped


def _print_again(
    session: Session, order: Order, part: Part, copies: int, cause: Cause, actor: User, now: datetime, text: str
) -> None:
    added = add_print(
        session,
        order=order,
        part=part,
        line=part.quote_line,
        copies=copies,
        cause=cause,
        actor=actor,
        now=now,
        text=text,
    )
    if added.job.status is JobStatus.SUBMITTED:  # what is sliced already queues by itself where nobody must approve
        jobs.approve(session, job=added.job, actor=actor, now=now)
    session.refresh(part, ["prints"])


def replace_lost(session: Session, *, order: Order, part: Part, actor: User, now: datetime, text: str = "") -> None:
    """Staff start again what a rejected or cancelled job was to print."""
    require_staff(session, user=actor, site_id=order.site_id)
    lock_order(session, order)
    alive = sum(each.copies - each.scrapped for each in part.prints if each.job.status not in LOST)
    missing = part.quantity - alive
    if missing <= 0 or order.status is not OrderStatus.IN_PRODUCTION:
        raise NotPrinted()
    _print_again(session, order, part, missing, Cause.REPLACED, actor, now, text)
    move_promise(session, order=order, now=now)


def move_promise(session: Session, *, order: Order, now: datetime) -> tuple[date | None, date] | None:
    """Look at the plan again: (old, new) when the promise had to move to a later day, else None.

    A promise never moves to an earlier day: the customer has planned with it.
    """
    if order.status not in OPEN:
        return None
    etas = [part.eta_p90 for part in progress_of(session, order=order, now=now) if part.eta_p90]
    if not etas:
        return None
    old, new = order.promised_on, today(max(etas) + FINISHING)
    if old is not None and new <= old:
        return None
    order.promised_on = new
    if order.first_promised_on is None:
        order.first_promised_on = new
    session.flush()
    record(
        session,
        noun="order",
        noun_id=order.id,
        verb="promise_moved",
        now=now,
        site_id=order.site_id,
        old=old.isoformat() if old else None,
        new=new.isoformat(),
        failed_runs=failed_runs(session, order=order),
    )
    return old, new


def failed_runs(session: Session, *, order: Order) -> list[str]:
    """Why prints of this order had to be made again: reasons of failed runs, oldest first."""
    ids = [each.job_id for part in order.parts for each in part.prints]
    query = select(Run.reason).where(Run.job_id.in_(ids), Run.status == RunStatus.FAILED)
    return list(session.scalars(query.order_by(Run.ended_at)))


def deliver(session: Session, *, order: Order, actor: User, now: datetime, checked_by: str | None = None) -> None:
    """Everything was handed over: the delivery note gets its number, the jobs are collected."""
    require_staff(session, user=actor, site_id=order.site_id)
    lock_order(session, order)
    if order.status is not OrderStatus.CHECKED:
        raise NotChecked()
    _, number = paper_numbers.take_number(session, seller=order.seller, paper=Paper.DELIVERY_NOTE, on=today(now))
    note = _note(order, number, today(now), checked_by or actor.name)
    advance(
        session,
        order,
        OrderStatus.DELIVERED,
        moves=NEXT,
        status=Order.status,
        delivered_on=today(now),
        delivered_by=actor.id,
        note_number=number,
        note_body=freeze(note),
    )
    for part in order.parts:
        for each in part.prints:
            if each.job.status is JobStatus.PRINTED:
                jobs.collect(session, job=each.job, actor=actor, now=now)
    record(session, noun="order", noun_id=order.id, verb="delivered", now=now, actor_id=actor.id, site_id=order.site_id)


def _note(order: Order, number: str, on: date, checked_by: str) -> DeliveryNote:
    devis = order.quote.document
    names = {line.position: line.model.name for line in order.quote.lines}
    return DeliveryNote(
        number=number,
        delivered_on=on,
        seller=devis.seller,
        buyer=devis.buyer,
        deliver_to=devis.deliver_to,
        order_number=order.number,
        purchase_order=order.purchase_order,
        items=tuple(
            DeliveredItem(
                description=names[part.position],
                quantity=Decimal(part.passed),
                unit="C62",
                remaining=Decimal(part.quantity - part.passed),
                checked_by=checked_by,
            )
            for part in order.parts
        ),
    )


def read_note(order: Order) -> DeliveryNote:
    """The frozen delivery note; NotChecked before the delivery."""
    if order.note_body is None:
        raise NotChecked()
    return thaw(order.note_body, DeliveryNote)


def cancel(session: Session, *, order: Order, actor: User, now: datetime) -> None:
    """Staff cancel an order of which nothing is printed yet."""
    require_staff(session, user=actor, site_id=order.site_id)
    lock_order(session, order)
    live = [each.job for part in order.parts for each in part.prints if each.job.status not in LOST]
    if any(job.status in DONE or runs.list_runs(session, job_id=job.id) for job in live):
        raise PrintsStarted()
    advance(session, order, OrderStatus.CANCELLED, moves=NEXT, status=Order.status)
    for job in live:
        runs.cancel_job(session, job=job, actor=actor, now=now)
    record(session, noun="order", noun_id=order.id, verb="cancelled", now=now, actor_id=actor.id, site_id=order.site_id)
