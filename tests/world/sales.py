"""From an accepted quote to checked prints, as the tests of orders, invoices and their faces need it."""

from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from api.domain.printing import jobs, runs, slices
from api.domain.printing.jobs import Job
from api.domain.printing.runs import RunStatus, claim_next
from api.domain.sales import orders
from api.domain.sales.orders import Order
from api.domain.sales.quotes import Quote
from tests.world import NOW, make_sliced
from tests.world.billing import Shop


def accept(session: Session, shop: Shop, quote: Quote, **over: Any) -> Order:
    return orders.accept(session, quote=quote, **{"actor": shop.world.alice, "now": NOW, **over})


def slice_all(session: Session, order: Order) -> None:
    """As if the slicer had done its work, with figures far from the estimate."""
    for part in order.parts:
        for each in part.prints:
            for wanted in each.job.slices:
                if wanted.slice.status == slices.SliceStatus.PENDING:
                    slices.mark_ready(
                        session,
                        slice_=wanted.slice,
                        seconds=9000,
                        grams=Decimal(77),
                        gcode_key="g",
                        size=1,
                        sha1="0" * 40,
                        now=NOW,
                    )
            jobs.settle_slices(session, job=each.job, now=NOW)


def print_next(session: Session, shop: Shop, *, outcome: RunStatus = RunStatus.DONE) -> None:
    """The printer takes the next plate, and it ends so."""
    shop.world.printer.plate_clear = True
    session.flush()
    run = claim_next(session, printer_id=shop.world.printer.id, now=NOW)
    assert run is not None
    run.status = RunStatus.PRINTING
    session.flush()
    runs.finish(session, run=run, outcome=outcome, now=NOW, reason="" if outcome == RunStatus.DONE else "print_failed")


def produce(session: Session, shop: Shop, order: Order) -> None:
    """Slice, print, find everything good."""
    session.refresh(order)
    slice_all(session, order)
    for _ in order.parts:
        print_next(session, shop)
    for part in order.parts:
        orders.check_part(session, order=order, part=part, good=part.quantity, actor=shop.world.bob, now=NOW)


def print_for(session: Session, shop: Shop, **over: Any) -> Job:
    """Alice's print, out of the printer."""
    job = make_sliced(session, shop.world.site, shop.world.alice, **over)
    print_next(session, shop)
    return job
