"""The demo's bookings: they are there after the first start, and not twice after the second."""

from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.domain.booking.bookings import Booking
from api.domain.booking.gatherings import Gathering
from api.domain.booking.kits import Kit
from api.domain.places.conventions import Convention
from api.domain.places.doors import Door
from web.demo import seed

NOW = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)  # a Sunday night


def test_the_demo_can_be_started_again(session: Session, tmp_path: Path) -> None:
    for _ in range(2):
        seed(session, servers=[], data_dir=tmp_path, now=NOW)

    def count(noun: type) -> int:
        return session.scalar(select(func.count()).select_from(noun)) or 0

    assert {noun: count(noun) for noun in (Kit, Convention, Door, Gathering, Booking)} == {
        Kit: 1, Convention: 1, Door: 1, Gathering: 2, Booking: 1,
    }  # fmt: skip
