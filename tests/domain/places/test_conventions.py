"""Conventions open the door outside opening hours, for named people, areas and hours; their codes verify offline."""

import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session

from api.domain.booking import bookings, closing
from api.domain.booking.bookings import ClosedThen, OutsideHours
from api.domain.core.errors import DomainError, NotFound
from api.domain.people.roles import StaffOnly
from api.domain.places import conventions, doorcode, doors
from api.domain.places.conventions import Convention, DatesWrong, NobodyNamed
from api.domain.places.doors import Door, NoCode
from api.domain.places.sites import ResourceKind, create_resource
from tests.world.booking import NOW, BookingWorld, at, make_booking_world

MASTER = b"the installation's secret"


@pytest.fixture
def world(session: Session) -> BookingWorld:
    return make_booking_world(session)


def sign(world: BookingWorld, **more: Any) -> Convention:
    """Alice may use the room on Tuesday evenings of March."""
    terms = {
        "party": world.alice,
        "people": [world.alice],
        "areas": [world.room],
        "hours": [(1, time(20), time(0))],
        "signed_on": date(2026, 2, 1),
        "starts_on": date(2026, 3, 1),
        "ends_on": date(2026, 3, 31),
        "actor": world.bob,
        "now": NOW,
        "reference": "C-1",
    }
    return conventions.sign_convention(world.session, site=world.site, **{**terms, **more})


def test_a_convention_allows_the_evening_together_with_opening_hours(world: BookingWorld) -> None:
    with pytest.raises(OutsideHours):
        world.book(at(3, 19), at(3, 22))
    convention = sign(world)

    assert world.book(at(3, 19), at(3, 22)).convention_id == convention.id
    assert world.book(at(3, 10), at(3, 11)).convention_id is None


@pytest.mark.parametrize(
    ("more", "start"),
    [
        ({}, at(4, 20)),  # another weekday
        ({"ends_on": date(2026, 3, 9)}, at(10, 20)),  # over
        ({"starts_on": date(2026, 3, 9)}, at(3, 20)),  # not begun
    ],
)
def test_a_convention_allows_only_its_hours_and_days(
    world: BookingWorld, more: dict[str, Any], start: datetime
) -> None:
    sign(world, **more)

    with pytest.raises(OutsideHours):
        world.book(start, start + timedelta(hours=1))


def test_a_convention_allows_only_named_people_and_areas(world: BookingWorld) -> None:
    sign(world)
    other = create_resource(world.session, site=world.site, kind=ResourceKind.ROOM, name="Autre", now=NOW)

    for wrong in ({"user": world.charlie}, {"resource_id": other.id}):
        with pytest.raises(OutsideHours):
            world.book(at(3, 20), at(3, 21), **wrong)


def test_a_suspended_convention_allows_nothing_until_it_is_resumed(world: BookingWorld) -> None:
    convention = sign(world)
    conventions.suspend_convention(world.session, convention=convention, actor=world.bob, now=NOW)

    with pytest.raises(OutsideHours):
        world.book(at(3, 20), at(3, 21))
    conventions.resume_convention(world.session, convention=convention, actor=world.bob, now=NOW)
    assert world.book(at(3, 20), at(3, 21)).id


def test_a_closed_day_stays_closed_unless_the_convention_says_otherwise(world: BookingWorld) -> None:
    sign(world)
    closing.close_days(
        world.session,
        site=world.site,
        first_on=date(2026, 3, 10),
        last_on=date(2026, 3, 10),
        reason="",
        actor=world.bob,
        now=NOW,
    )

    with pytest.raises(ClosedThen):
        world.book(at(10, 20), at(10, 21))
    sign(world, on_closed_days=True)
    assert world.book(at(10, 20), at(10, 21)).id


@pytest.mark.parametrize(
    ("more", "error"),
    [({"ends_on": date(2026, 2, 1)}, DatesWrong), ({"people": []}, NobodyNamed)],
)
def test_a_convention_that_cannot_be_is_refused(
    world: BookingWorld, more: dict[str, Any], error: type[DomainError]
) -> None:
    with pytest.raises(error):
        sign(world, **more)


def test_only_managers_sign_and_only_named_people_and_staff_read(world: BookingWorld) -> None:
    with pytest.raises(StaffOnly):
        sign(world, actor=world.alice)
    convention = sign(world)

    assert conventions.get_convention(world.session, convention_id=convention.id, user=world.alice)
    with pytest.raises(NotFound):
        conventions.get_convention(world.session, convention_id=convention.id, user=world.charlie)


def door_and_code(world: BookingWorld, start: datetime, end: datetime) -> tuple[Door, str, bookings.Booking]:
    booking = world.book(start, end)
    door = doors.add_door(world.session, site=world.site, name="Rue", actor=world.bob, now=NOW)
    convention = world.session.get_one(Convention, booking.convention_id)
    span = {"start": booking.start_at, "end": booking.end_at}
    code = doors.code_of(MASTER, door=door, convention=convention, booking_id=booking.id, now=NOW, **span)
    return door, code, booking


def test_the_code_opens_from_a_quarter_before_to_a_quarter_after_and_not_longer(world: BookingWorld) -> None:
    sign(world)
    door, code, booking = door_and_code(world, at(3, 20), at(3, 22))
    secret, quarter = doors.door_secret(MASTER, door=door), timedelta(minutes=15)

    tries = {
        booking.start_at - quarter - timedelta(seconds=1): False,
        booking.start_at - quarter: True,
        booking.end_at + quarter - timedelta(seconds=1): True,
        booking.end_at + quarter: False,
    }

    assert {when: doorcode.verify(secret, code, at=when) is not None for when in tries} == tries
    assert len(code) == 10


def test_no_code_is_good_beyond_the_last_day_of_its_convention(world: BookingWorld) -> None:
    sign(world, ends_on=date(2026, 3, 3))
    door, code, booking = door_and_code(world, at(3, 22), datetime(2026, 3, 4))  # noqa: DTZ001  # to midnight

    window = doorcode.verify(doors.door_secret(MASTER, door=door), code, at=booking.start_at)

    assert window is not None
    assert window.end == booking.end_at


def test_a_suspended_convention_gives_no_code(world: BookingWorld) -> None:
    convention = sign(world)
    conventions.suspend_convention(world.session, convention=convention, actor=world.bob, now=NOW)
    door = doors.add_door(world.session, site=world.site, name="Rue", actor=world.bob, now=NOW)

    with pytest.raises(NoCode):
        doors.code_of(
            MASTER, door=door, convention=convention, booking_id=1, start=NOW, end=NOW + timedelta(hours=1), now=NOW
        )


def test_a_code_of_a_lost_device_opens_nothing(world: BookingWorld) -> None:
    sign(world)
    door, code, booking = door_and_code(world, at(3, 20), at(3, 22))

    doors.renew_door(world.session, door=door, actor=world.bob, now=NOW)

    assert doorcode.verify(doors.door_secret(MASTER, door=door), code, at=booking.start_at) is None


@pytest.mark.parametrize("code", ["", "123", "12345678901", "abcdefghij", "１２３４５６７８９０", "0000000000"])
def test_what_is_no_code_opens_nothing(code: str) -> None:
    assert doorcode.verify(b"secret", code, at=NOW) is None


def test_the_verifier_runs_alone_as_on_a_door_device(tmp_path: Path) -> None:
    copy = tmp_path / "door.py"
    copy.write_text(Path(doorcode.__file__).read_text())
    end = NOW + timedelta(hours=2)
    code = doorcode.code_for(b"secret", start=NOW, end=end, lane=7)
    script = (
        "from datetime import *; import door; print(door.verify(b'secret', '%s', at=datetime.fromisoformat('%s')).end)"
    )

    said = subprocess.run(
        [sys.executable, "-S", "-c", script % (code, NOW.isoformat())],
        cwd=tmp_path, capture_output=True, text=True, timeout=20, check=True, env={},
    )  # fmt: skip

    assert said.stdout.strip() == str(end)


def test_the_scheme_is_that_of_its_document() -> None:
    """The example of docs/access-codes.md: another implementation can be checked against it."""
    start = datetime(2026, 3, 3, 18, 45, tzinfo=UTC)

    code = doorcode.code_for(bytes(32), start=start, end=start + timedelta(hours=2.5), lane=3)

    document = (Path(__file__).parents[3] / "docs" / "access-codes.md").read_text()
    assert f"`{code}`" in document


def test_every_try_is_logged_once_and_for_ever(world: BookingWorld) -> None:
    sign(world)
    door, code, booking = door_and_code(world, at(3, 20), at(3, 22))
    seen: dict[str, Any] = {"door": door, "at": booking.start_at, "accepted": True, "code": code, "now": NOW}

    uses = {doors.log_use(world.session, booking_id=booking.id, **seen).id for _ in range(2)}

    (use,) = doors.list_uses(world.session, door=door, actor=world.bob)
    assert uses == {use.id}
    assert use.hint == code[-2:]
    with pytest.raises(StaffOnly):
        doors.list_uses(world.session, door=door, actor=world.alice)
    use.accepted = False
    with pytest.raises(Exception, match="append-only"), world.session.begin_nested():
        world.session.flush()
