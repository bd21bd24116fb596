"""What is told of a time that is taken: by somebody who was faster, or by a maintenance."""

from datetime import UTC, datetime

import pytest

from api.domain.booking import bookings, closing
from api.domain.booking.bookings import BookingRequest
from api.domain.booking.kits import create_kit
from api.domain.core.errors import DomainError
from api.domain.places.timeline import HoldReason, InMaintenance, Taken, create_hold
from tests.world import HOUR
from tests.world.booking import NOW, BookingWorld

START, END = (datetime(2026, 3, 3, hour, tzinfo=UTC) for hour in (10, 12))


def errors(world: BookingWorld, resource_id: int) -> list[type[DomainError]]:
    """Of booking it, and of asking first."""
    with pytest.raises(Taken) as caught:
        world.book(START, END, resource_id=resource_id)
    request = BookingRequest(resource_id, START, END)
    refusal = bookings.find_refusal(world.session, request=request, user=world.alice, now=NOW)
    return [type(caught.value), type(refusal)]  # type: ignore[list-item]


@pytest.mark.parametrize("of_a_kit", [False, True])
@pytest.mark.parametrize("side", ["before", "after"])
def test_a_time_in_maintenance_says_so(world: BookingWorld, of_a_kit: bool, side: str) -> None:
    kit = create_kit(world.session, site=world.site, name="VR", members=[world.room], items=[], now=NOW)
    start, end = (START - HOUR, START + HOUR) if side == "before" else (END - HOUR, END + HOUR)
    closing.maintain(
        world.session, resource=world.room, start=start, end=end, note="peinture", actor=world.bob, now=NOW
    )
    assert errors(world, kit.id if of_a_kit else world.room.id) == [InMaintenance, InMaintenance]


def test_a_time_beside_a_maintenance_that_somebody_has_is_taken(world: BookingWorld) -> None:
    closing.maintain(world.session, resource=world.room, start=END, end=END + HOUR, note="", actor=world.bob, now=NOW)
    create_hold(
        world.session, resource_id=world.room.id, start=START, end=END, reason=HoldReason.EVENT, now=NOW, note="Fête"
    )
    assert errors(world, world.room.id) == [Taken, Taken]
