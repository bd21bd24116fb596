"""The place of the booking tests, and one booking there."""

import pytest
from sqlalchemy.orm import Session

from api.domain.booking.bookings import Booking
from tests.world.booking import World, at, make_world


@pytest.fixture
def world(session: Session) -> World:
    return make_world(session)


@pytest.fixture
def booking(world: World) -> Booking:
    """Tomorrow from ten to twelve."""
    return world.book(at(3, 10), at(3, 12))
