"""Acting and time: the hold of a run on the printer's timeline, and the bookings around it."""

from datetime import datetime, timedelta

from api.db import transaction
from api.domain.places.timeline import HoldReason, create_hold
from tests.world.workshop import Workshop


def test_a_claim_holds_the_printer_until_its_upper_eta(workshop: Workshop) -> None:
    held = workshop.hold_of(workshop.run(workshop.printing()))
    assert held.reason == HoldReason.RUN
    assert held.end - held.start >= timedelta(seconds=1800 * 1.25)


def test_a_print_that_does_not_end_before_a_booking_is_not_claimed(workshop: Workshop) -> None:
    _book(workshop, workshop.clock.now + timedelta(minutes=20))
    job_id = workshop.queue()
    workshop.reconcile()
    assert workshop.runs(job_id) == []


def test_a_print_that_outlasts_its_hold_gets_more_time(workshop: Workshop) -> None:
    run = workshop.run(workshop.printing())
    before = workshop.hold_of(run).end
    workshop.clock.now = before - timedelta(seconds=30)
    workshop.reconcile()
    assert workshop.hold_of(run).end > before


def test_a_print_that_runs_into_a_booking_warns_once_and_leaves_it(workshop: Workshop) -> None:
    run = workshop.run(workshop.printing())
    end = workshop.hold_of(run).end
    _book(workshop, end)
    workshop.clock.now = end - timedelta(seconds=30)
    for _ in range(2):
        workshop.reconcile()
    held = workshop.hold_of(run)
    assert (held.end, held.note) == (end, "overruns")
    assert workshop.steps().count(f"warn_overrun:overrun:{run.id}") == 1


def _book(workshop: Workshop, start: datetime) -> None:
    with transaction() as session:
        end = start + timedelta(hours=1)
        create_hold(
            session,
            resource_id=workshop.printer_id,
            start=start,
            end=end,
            reason=HoldReason.BOOKING,
            now=workshop.clock.now,
            created_by=workshop.alice_id,
        )
