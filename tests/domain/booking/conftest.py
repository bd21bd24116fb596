"""The place of the booking tests, and one booking there."""

import pytest
from sqlalchemy.orm import Session

from api.domain.booking.bookings import Booking
from tests.world.booking import BookingWorld, at, make_booking_world


@pytest.fixture
def world(session: Session) -> BookingWorld:
    return make_booking_world(session)


@pytest.fixture
def booking(world: BookingWorld) -> Booking:
    """Tomorrow from ten to twelve."""
    return world.book(at(3, 10), at(3, 12))
