"""Free slots, the week and the list of resources: what each person is shown, and that it can be booked."""

import json
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from api.domain.booking import bookings
from api.domain.booking.bookings import Booking, BookingRequest
from api.domain.booking.kits import create_kit
from api.domain.booking.rules import Policy, set_rule
from api.domain.places.conventions import sign_convention
from api.domain.places.sites import ResourceKind, create_resource, set_hours
from api.domain.places.skills import authorise, create_skill
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

    end = saturday + timedelta(days=3)
    slots = bookings.find_slots(world.session, terms=[terms], minutes=120, start=saturday, end=end, now=NOW, count=2)

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

    terms = bookings.get_terms(world.session, resource_id=printer.id, user=world.alice)
    (shown,) = bookings.list_taken(world.session, terms=terms, start=NOW, end=NOW + timedelta(days=1))

    assert (shown.reason, shown.is_own) == ("run", False)


def free_from(world: BookingWorld, *, start: datetime, days: int, minutes: int = 60, count: int = 3) -> list[str]:
    terms = bookings.get_terms(world.session, resource_id=world.room.id, user=world.alice)
    end = start + timedelta(days=days)
    slots = bookings.find_slots(
        world.session, terms=[terms], minutes=minutes, start=start, end=end, now=NOW, count=count
    )
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
    assert bookings.find_slots(world.session, terms=[], minutes=60, start=NOW, end=NOW + HOUR, now=NOW) == {}


def test_a_place_that_never_closes_is_searched_day_and_night(session: Session) -> None:
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
    taken = bookings.list_taken(world.session, terms=terms, **span)
    free = bookings.list_free(terms, taken, **span, now=NOW)
    assert [(a.hour, b.hour) for a, b in free] == [(7, 9), (11, 19)]
    assert [(each.is_own, each.booking_id) for each in taken] == [(True, booking.id)]
    stranger = bookings.get_terms(world.session, resource_id=world.room.id, user=world.charlie)
    other = bookings.list_taken(world.session, terms=stranger, **span)
    assert [(each.is_own, each.booking_id) for each in other] == [(False, None)]


@pytest.fixture
def parts(world: BookingWorld) -> tuple[int, int, int]:
    """The ids of an area and of two kits that share it."""
    kinds = [(ResourceKind.ROOM, "Aire"), (ResourceKind.MACHINE, "Casque 1"), (ResourceKind.MACHINE, "Casque 2")]
    area, *headsets = (
        create_resource(world.session, site=world.site, kind=kind, name=name, now=NOW) for kind, name in kinds
    )
    one, two = (
        create_kit(world.session, site=world.site, name=head.name, members=[head, area], items=[], now=NOW)
        for head in headsets
    )
    return area.id, one.id, two.id


@pytest.mark.parametrize(("booked", "wanted"), [(0, 1), (1, 2), (1, 0)])
def test_what_is_offered_of_a_kit_is_free_in_all_its_parts(
    world: BookingWorld, parts: tuple[int, int, int], booked: int, wanted: int
) -> None:
    world.book(at(3, 10), at(3, 12), resource_id=parts[booked])
    terms = bookings.get_terms(world.session, resource_id=parts[wanted], user=world.charlie)
    nine, six = datetime(2026, 3, 3, 9, tzinfo=UTC), datetime(2026, 3, 3, 18, tzinfo=UTC)
    noon = datetime(2026, 3, 3, 11, tzinfo=UTC)  # on the wall

    slots = bookings.find_slots(world.session, terms=[terms], minutes=60, start=nine, end=six, now=NOW)
    taken = bookings.list_taken(world.session, terms=terms, start=nine, end=six)

    assert slots[parts[wanted]][0][0] == noon
    assert bookings.next_free(world.session, terms=terms, minutes=60, after=nine, now=NOW)[0][0] == noon
    assert bookings.list_free(terms, taken, start=nine, end=six, now=NOW) == [(noon, six)]
    # The holds of all parts for one booking are one time.
    assert len(taken) == 1


@pytest.mark.parametrize(("rule", "days"), [({"notice_minutes": 1440}, 3), ({"horizon_days": 3}, 30)])
def test_notice_and_horizon_count_in_every_search(world: BookingWorld, rule: dict[str, int], days: int) -> None:
    world.rule(**rule)
    terms = bookings.get_terms(world.session, resource_id=world.room.id, user=world.charlie)
    end = NOW + timedelta(days=days)
    slots = bookings.find_slots(world.session, terms=[terms], minutes=60, start=NOW, end=end, now=NOW, count=50)
    free = bookings.list_free(terms, [], start=NOW, end=end, now=NOW)
    earliest, latest = bookings.bookable_within(terms, NOW)

    assert len(slots[world.room.id]) > 10
    assert all(earliest <= start <= latest for start, _ in slots[world.room.id])
    assert free[0][0] >= earliest


def test_the_evenings_of_a_convention_are_offered_to_its_people_only(world: BookingWorld) -> None:
    march = {"signed_on": date(2026, 3, 1), "starts_on": date(2026, 3, 1), "ends_on": date(2026, 3, 31)}
    sign_convention(
        world.session, site=world.site, party=world.alice, people=[world.alice], areas=[], actor=world.bob, now=NOW,
        hours=[(1, time(20), time(23))], **march,
    )  # fmt: skip
    evening = {"start": datetime(2026, 3, 3, 19, tzinfo=UTC), "end": datetime(2026, 3, 3, 23, tzinfo=UTC)}
    offered = {}
    for user in (world.alice, world.charlie):
        terms = bookings.get_terms(world.session, resource_id=world.room.id, user=user)
        slots = bookings.find_slots(world.session, terms=[terms], minutes=60, now=NOW, **evening)[world.room.id]
        offered[user.name] = len(slots), len(bookings.list_free(terms, [], now=NOW, **evening))
        assert all(world.book(*slot, user=user).convention_id for slot in slots)
    assert offered == {"Alice": (3, 1), "Charlie": (0, 0)}


def test_a_renewed_convention_covers_the_night_in_which_it_follows_the_old_one(world: BookingWorld) -> None:
    night: dict[str, Any] = {"hours": [(day, time(20), time(2)) for day in range(7)], "signed_on": date(2026, 3, 1)}
    for starts_on, ends_on in ((date(2026, 3, 1), date(2026, 3, 3)), (date(2026, 3, 4), date(2026, 12, 31))):
        sign_convention(
            world.session, site=world.site, party=world.alice, people=[world.alice], areas=[], actor=world.bob,
            now=NOW, starts_on=starts_on, ends_on=ends_on, **night,
        )  # fmt: skip
    assert world.book(at(3, 22), at(4, 1)).convention_id


def test_who_lacks_the_training_or_has_their_one_booking_is_offered_nothing_and_told_why(world: BookingWorld) -> None:
    skill = create_skill(world.session, slug="laser", name="Laser", now=NOW)
    world.rule(skill_id=skill.id, at_once=1)
    terms = bookings.get_terms(world.session, resource_id=world.room.id, user=world.charlie)
    assert bookings.next_free(world.session, terms=terms, minutes=60, after=NOW, now=NOW) == []
    assert isinstance(bookings.find_hindrance(world.session, terms=terms, now=NOW), bookings.SkillMissing)

    facts: dict[str, Any] = {"user": world.charlie, "skill": skill, "actor": world.bob, "site_id": world.site.id}
    authorise(world.session, now=NOW, **facts, expires_at=NOW + timedelta(days=2))
    terms = bookings.get_terms(world.session, resource_id=world.room.id, user=world.charlie)
    slots = bookings.next_free(world.session, terms=terms, minutes=480, after=NOW, now=NOW, count=9)
    assert [start.day for start, _ in slots] == [2, 3]
    assert bookings.find_hindrance(world.session, terms=terms, now=NOW) is None

    world.book(*slots[0], user=world.charlie)
    assert bookings.next_free(world.session, terms=terms, minutes=60, after=NOW, now=NOW) == []
    assert isinstance(bookings.find_hindrance(world.session, terms=terms, now=NOW), bookings.TooManyAtOnce)


@pytest.mark.parametrize("minutes", [10, 50, 500])
def test_a_length_that_no_rule_allows_has_no_slot(world: BookingWorld, minutes: int) -> None:
    world.rule(min_minutes=15, max_minutes=480, step_minutes=15)
    assert free_from(world, start=NOW, days=3, minutes=minutes) == []


def test_many_gaps_that_are_refused_do_not_hide_the_one_that_is_not(world: BookingWorld) -> None:
    world.rule(min_minutes=30, step_minutes=30, horizon_days=30)
    # Every gap of these days is long enough, but off the grid.
    for hours in range(1, 500):
        begin = NOW + hours * HOUR
        fill(world, begin - 15 * MINUTE, begin + 15 * MINUTE)
    terms = bookings.get_terms(world.session, resource_id=world.room.id, user=world.alice)
    (slot, *_) = bookings.next_free(world.session, terms=terms, minutes=30, after=NOW + 15 * MINUTE, now=NOW, count=1)
    assert (
        bookings.find_refusal(world.session, request=BookingRequest(world.room.id, *slot), user=world.alice, now=NOW)
        is None
    )


def test_a_gap_off_the_grid_is_passed_over(world: BookingWorld) -> None:
    world.rule(min_minutes=30, step_minutes=30)
    fill(world, NOW, NOW + HOUR + 10 * MINUTE)
    fill(world, NOW + 2 * HOUR + 10 * MINUTE, NOW + 3 * HOUR)
    assert free_from(world, start=NOW, days=1, count=1) == ["02 12:00"]
