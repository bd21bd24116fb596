"""The place of the booking tests, and one booking there."""

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from api.domain.booking.bookings import Booking
from tests.world.booking import BookingWorld, at, make_booking_world
from tests.world.races import Connect


@pytest.fixture
def world(session: Session) -> BookingWorld:
    return make_booking_world(session)


@pytest.fixture
def connect(committed: Engine) -> Connect:
    """Sessions with connections of their own, for races."""
    return sessionmaker(committed, expire_on_commit=False)


@pytest.fixture
def booking(world: BookingWorld) -> Booking:
    """Tomorrow from ten to twelve."""
    return world.book(at(3, 10), at(3, 12))
