"""Things that are used and owed: a priced meeting room, bookings of it that are over, and prints of a member."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from api.domain.booking.bookings import Booking, BookingRequest, book
from api.domain.booking.rules import Policy, set_rule
from api.domain.places.sites import Resource, ResourceKind, create_resource
from api.domain.pricing.prices import BookingRates
from api.domain.printing.jobs import Job
from api.domain.printing.runs import RunStatus, claim_next, finish
from tests.world import NOW, make_sliced
from tests.world.billing import Shop

#: Tomorrow at 10 in Mende.
START = datetime(2026, 11, 24, 9, tzinfo=NOW.tzinfo)
HOUR = timedelta(hours=1)


def make_room(session: Session, shop: Shop, **policy: Any) -> Resource:
    """A room at 12.50 an hour; a late cancellation costs 5."""
    room = create_resource(session, site=shop.world.site, kind=ResourceKind.ROOM, name="Salle Lot", now=NOW)
    numbers = {"cancel_minutes": 24 * 60, "late_fee_cents": 500, "step_minutes": 15, "max_minutes": 600, **policy}
    rates = BookingRates(tiers=((0, Decimal("12.50")),))
    set_rule(session, site=shop.world.site, resource=room, policy=Policy(rates=rates, **numbers), now=NOW)
    return room


def stay(
    session: Session, shop: Shop, *, room: Resource | None = None, start: datetime = START, hours: int = 2, **over: Any
) -> Booking:
    """Alice books for her company; two hours are 25 euros."""
    room = room or make_room(session, shop)
    request = BookingRequest(
        resource_id=room.id,
        start=start,
        end=start + hours * HOUR,
        organisation_id=over.pop("organisation_id", shop.company.id),
    )
    return book(session, request=request, **{"user": shop.world.alice, "now": min(NOW, start - 3 * HOUR), **over})


def print_for(session: Session, shop: Shop, **over: Any) -> Job:
    """Alice's print, out of the printer."""
    job = make_sliced(session, shop.world.site, shop.world.alice, **over)
    shop.world.printer.plate_clear = True
    session.flush()
    run = claim_next(session, printer_id=shop.world.printer.id, now=NOW)
    assert run is not None
    run.status = RunStatus.PRINTING
    session.flush()
    finish(session, run=run, outcome=RunStatus.DONE, now=NOW, reason="")
    return job
