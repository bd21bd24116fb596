"""A place whose rooms are booked: alice is a member, bob its manager, charlie a stranger.

Its clock is not that of tests.world. It is Monday 2 March 2026, 08:00 UTC, four weeks before summer time begins,
so that series of bookings cross the change of the clocks.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, time
from typing import Any

from sqlalchemy.orm import Session

from api.domain.booking.bookings import Booking, BookingRequest, book
from api.domain.booking.rules import Policy, set_rule
from api.domain.people.accounts import User
from api.domain.people.roles import Level, grant
from api.domain.places.sites import Resource, ResourceKind, Site, create_resource, create_site, set_hours
from tests.world import make_user

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
#: The hours of a week that is open day and night.
ALWAYS = [(day, time(0), time(0), True) for day in range(7)]


@dataclass
class BookingWorld:
    """One place with one room; the clock of these tests stands at NOW in March (see above)."""

    session: Session
    site: Site
    room: Resource
    alice: User
    bob: User
    charlie: User

    def book(self, start: datetime, end: datetime, **more: Any) -> Booking:
        """Alice books the room unless told otherwise."""
        values = {"user": self.alice, "now": NOW, **more}
        facts = {name: values.pop(name) for name in list(values) if name in BookingRequest.__dataclass_fields__}
        request = BookingRequest(**{"resource_id": self.room.id, "start": start, "end": end, **facts})
        return book(self.session, request=request, **values)

    def rule(self, **numbers: Any) -> None:
        """The rule of the room."""
        set_rule(self.session, site=self.site, resource=self.room, policy=Policy(**numbers), now=NOW)


def make_booking_world(
    session: Session, *, timezone: str = "Europe/Paris", hours: bool = True, slug: str = "atelier"
) -> BookingWorld:
    """Open on weekdays and Saturdays from 8 to 20; without `hours` day and night."""
    site = create_site(session, slug=slug, name="Atelier", now=NOW, timezone=timezone)
    week = [(day, time(8), time(20), True) for day in range(6)] if hours else ALWAYS
    set_hours(session, site=site, rows=week)
    room = create_resource(session, site=site, kind=ResourceKind.ROOM, name="Salle", now=NOW)
    alice, bob, charlie = (
        make_user(session, name, email=f"{name.lower()}@example.org") for name in ("Alice", "Bob", "Charlie")
    )
    grant(session, user=alice, site_id=site.id, level=Level.MEMBER, now=NOW)
    grant(session, user=bob, site_id=site.id, level=Level.MANAGER, now=NOW)
    return BookingWorld(session, site, room, alice, bob, charlie)


def at(day: int, hour: int, minute: int = 0, month: int = 3) -> datetime:
    """Wall time at the place, in 2026."""
    return datetime(2026, month, day, hour, minute)  # noqa: DTZ001  # wall time is meant
