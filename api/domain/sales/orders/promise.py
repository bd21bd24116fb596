"""The promised day of an order: it follows the plan, and moves to later days only."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.domain.core.changes import Change, enqueue, list_changes, record
from api.domain.printing.runs import Run, RunStatus, SitePlans
from api.domain.sales.orders.progress import list_progress
from api.domain.sales.orders.table import OPEN, Cause, Order, lock_order
from api.domain.sales.quotes.price import promise_day


class MoveCause(StrEnum):
    """Why a promise moved, as the buyer is told."""

    REPRINT = "reprint"  # a print failed, was lost or did not pass its check: made again at our expense
    DELAY = "delay"  # the queue is longer, a printer is away: nothing was printed in vain


def move_promise(
    session: Session, *, order: Order, now: datetime, plans: SitePlans | None = None
) -> tuple[date | None, date] | None:
    """Compare the promise with the plan: (old, new) when it had to move to a later day, else None.

    The buyer is written to by a background step, unless this is the first promise. Whoever looks at several orders
    gives the same `plans` to all. Locks an order that is to move, once it is planned.
    """
    if order.status not in OPEN:
        return None
    etas = [part.eta_p90 for part in list_progress(session, order=order, now=now, plans=plans) if part.eta_p90]
    if not etas:
        return None
    # P90: a promise should hold in nine of ten cases.
    new = promise_day(order.site, etas)
    if not _is_later(order, new):
        return None
    # Meanwhile a clerk may have moved it further with a reprint, or ended it.
    lock_order(session, order)
    if order.status not in OPEN or not _is_later(order, new):
        return None
    old, order.promised_on = order.promised_on, new
    if order.first_promised_on is None:
        order.first_promised_on = new
    session.flush()
    _record(session, order, old, new, now)
    if old is not None:
        enqueue(session, "notify_promise", order_id=order.id, promised_on=new.isoformat())
    return old, new


def _is_later(order: Order, new: date) -> bool:
    """Never to an earlier day: the customer relies on the one that was promised."""
    return order.promised_on is None or new > order.promised_on


def _record(session: Session, order: Order, old: date | None, new: date, now: datetime) -> None:
    reprints, moves = _count_reprints(session, order), list_moves(session, order=order)
    # What was printed in vain before the last move is told already: this one has another cause.
    earlier = max((move.facts.get("reprints", 0) for move in moves), default=0)
    record(
        session,
        noun="order",
        noun_id=order.id,
        verb="promise_moved",
        now=now,
        site_id=order.site_id,
        old=old.isoformat() if old else None,
        new=new.isoformat(),
        reprints=reprints,
        cause=MoveCause.REPRINT if reprints > earlier else MoveCause.DELAY,
    )
    session.flush()


def _count_reprints(session: Session, order: Order) -> int:
    """Runs that failed, and prints that replace copies that were lost or did not pass their check."""
    prints = [each for part in order.parts for each in part.prints]
    query = select(func.count()).select_from(Run)
    failed = query.where(Run.job_id.in_([each.job_id for each in prints]), Run.status == RunStatus.FAILED)
    return int(session.scalar(failed) or 0) + sum(each.cause is not Cause.ORDERED for each in prints)


def list_moves(session: Session, *, order: Order) -> list[Change]:
    """Each time that a promise moved, with its cause, the oldest first; the first promise is no move."""
    changes = list_changes(session, noun="order", noun_id=order.id)
    return [change for change in changes if change.verb == "promise_moved" and change.facts.get("old")]
