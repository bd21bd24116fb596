"""Free slots, the week and the list of resources: what each person is shown, and that it can be booked."""

import json
from datetime import UTC, datetime, time, timedelta

import pytest
from sqlalchemy.orm import Session

from api.domain.booking import bookings
from api.domain.booking.bookings import (
    Booking,
)
from api.domain.booking.rules import Policy, set_rule
from api.domain.places.sites import ResourceKind, create_resource, set_hours
from api.domain.places.timeline import HoldReason, create_hold
from tests.world import HOUR, MINUTE, make_user
from tests.world.booking import NOW, BookingWorld, at, make_booking_world


def test_the_list_and_the_week_show_each_person_the_same_resources(world: BookingWorld) -> None:
    open_room, printer = (
        create_resource(world.session, site=world.site, kind=kind, name=kind, now=NOW)
        for kind in (ResourceKind.ROOM, ResourceKind.PRINTER)
    )
    set_rule(world.session, site=world.site, kind=ResourceKind.ROOM, policy=Policy(members_only=True), now=NOW)
    set_rule(world.session, site=world.site, resource=open_room, policy=Policy(), now=NOW)
    admin = make_user(world.session, "dave")
    admin.is_admin = True

    for user, count in [(world.alice, 3), (world.bob, 3), (admin, 3), (world.charlie, 2)]:
        ids = [world.room.id, open_room.id, printer.id]
        terms = bookings.list_terms(world.session, resource_ids=ids, user=user)
        week = json.loads(bookings.week_json(world.session, user=user, start=NOW, end=NOW + HOUR))
        assert {each["id"] for each in week["resources"]} == {each.resource_id for each in terms}
        assert len(terms) == count


def test_the_next_three_free_slots_are_open_on_the_grid_and_free(world: BookingWorld) -> None:
    world.rule(min_minutes=30, step_minutes=30, after_minutes=30)
    world.book(at(3, 9), at(3, 10))
    terms = bookings.get_terms(world.session, resource_id=world.room.id, user=world.charlie)

    slots = bookings.next_free(
        world.session, terms=terms, minutes=60, after=datetime(2026, 3, 3, 8, tzinfo=UTC), now=NOW
    )

    walls = [start.astimezone(terms.zone).strftime("%H:%M") for start, _ in slots]
    assert walls == ["10:30", "12:00", "13:30"]
    for start, end in slots:
        assert world.book(start, end, user=world.charlie)


def test_what_a_search_finds_can_be_booked_around_a_night_and_a_sunday(world: BookingWorld) -> None:
    terms = bookings.get_terms(world.session, resource_id=world.room.id, user=world.alice)
    saturday = datetime(2026, 3, 7, 18, 20, tzinfo=UTC)

    slots = bookings.find_slots(
        world.session, terms=[terms], minutes=120, start=saturday, end=saturday + timedelta(days=3), count=2
    )

    assert [start.astimezone(terms.zone) for start, _ in slots[world.room.id]] == [
        datetime(2026, 3, 9, hour, tzinfo=terms.zone) for hour in (8, 10)
    ]


def test_the_week_shows_reasons_to_all_and_names_to_staff_only(world: BookingWorld) -> None:
    world.book(at(3, 10), at(3, 11))
    span = {"start": NOW, "end": NOW + timedelta(days=7)}

    stranger = bookings.week_json(world.session, user=world.charlie, **span)
    staff = bookings.week_json(world.session, user=world.bob, **span)

    assert '"reason" : "booking"' in stranger
    assert "Alice" not in stranger
    assert '"who" : "Alice"' in staff


def test_a_running_print_shows_as_what_it_is(world: BookingWorld) -> None:
    printer = create_resource(world.session, site=world.site, kind=ResourceKind.PRINTER, name="P", now=NOW)
    create_hold(
        world.session,
        resource_id=printer.id,
        start=NOW,
        end=NOW + HOUR,
        reason=HoldReason.RUN,
        now=NOW,
        about_id="a-run",
    )

    (shown,) = bookings.list_taken(
        world.session, resource_id=printer.id, user=world.alice, start=NOW, end=NOW + timedelta(days=1)
    )

    assert (shown.reason, shown.is_own) == ("run", False)


def free_from(world: BookingWorld, *, start: datetime, days: int, minutes: int = 60, count: int = 3) -> list[str]:
    terms = bookings.get_terms(world.session, resource_id=world.room.id, user=world.alice)
    end = start + timedelta(days=days)
    slots = bookings.find_slots(world.session, terms=[terms], minutes=minutes, start=start, end=end, count=count)
    return [f"{begin.astimezone(terms.zone):%d %H:%M}" for begin, _ in slots[world.room.id]]


def fill(world: BookingWorld, start: datetime, end: datetime) -> None:
    create_hold(world.session, resource_id=world.room.id, start=start, end=end, reason=HoldReason.MAINTENANCE, now=NOW)


@pytest.mark.parametrize(("full_days", "first"), [(0, "02 09:00"), (1, "03 08:00"), (3, "05 08:00"), (20, "23 08:00")])
def test_a_slot_is_found_however_far_the_resource_is_full(world: BookingWorld, full_days: int, first: str) -> None:
    if full_days:
        fill(world, NOW, NOW.replace(hour=0) + timedelta(days=full_days, hours=1))
    assert free_from(world, start=NOW, days=30, count=1) == [first]


def test_a_search_that_ends_before_it_begins_finds_nothing(world: BookingWorld) -> None:
    assert free_from(world, start=NOW, days=0) == []
    assert bookings.find_slots(world.session, terms=[], minutes=60, start=NOW, end=NOW + HOUR) == {}


def test_a_place_without_hours_is_searched_day_and_night(session: Session) -> None:
    world = make_booking_world(session, hours=False)
    evening = datetime(2026, 3, 2, 22, tzinfo=UTC)
    assert free_from(world, start=evening, days=1, minutes=120) == ["02 23:00", "03 01:00", "03 03:00"]


def test_a_slot_is_never_longer_than_what_is_open(world: BookingWorld) -> None:
    set_hours(world.session, site=world.site, rows=[(0, time(8), time(10), True)])
    monday = datetime(2026, 3, 9, tzinfo=UTC)
    assert free_from(world, start=monday, days=7, minutes=121) == []
    assert free_from(world, start=monday, days=8, minutes=120) == ["09 08:00", "16 08:00"]


def test_what_is_full_for_a_week_is_searched_to_the_horizon(world: BookingWorld) -> None:
    world.rule(horizon_days=30)
    fill(world, NOW, NOW + timedelta(days=8))
    terms = bookings.get_terms(world.session, resource_id=world.room.id, user=world.alice)
    (slot, *_) = bookings.next_free(world.session, terms=terms, minutes=60, after=NOW, now=NOW)
    assert slot[0] == NOW + timedelta(days=8)


def test_the_free_day_is_what_is_open_and_not_taken(world: BookingWorld, booking: Booking) -> None:
    terms = bookings.get_terms(world.session, resource_id=world.room.id, user=world.alice)
    span = {"start": datetime(2026, 3, 3, tzinfo=UTC), "end": datetime(2026, 3, 4, tzinfo=UTC)}
    taken = bookings.list_taken(world.session, resource_id=world.room.id, user=world.alice, **span)
    free = bookings.list_free(terms, taken, **span)
    assert [(a.hour, b.hour) for a, b in free] == [(7, 9), (11, 19)]
    assert [(each.is_own, each.booking_id) for each in taken] == [(True, booking.id)]
    other = bookings.list_taken(world.session, resource_id=world.room.id, user=world.charlie, **span)
    assert [(each.is_own, each.booking_id) for each in other] == [(False, None)]


def test_a_gap_off_the_grid_is_passed_over(world: BookingWorld) -> None:
    world.rule(min_minutes=30, step_minutes=30)
    fill(world, NOW, NOW + HOUR + 10 * MINUTE)
    fill(world, NOW + 2 * HOUR + 10 * MINUTE, NOW + 3 * HOUR)
    assert free_from(world, start=NOW, days=1, count=1) == ["02 12:00"]
