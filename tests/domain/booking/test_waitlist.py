"""The waitlist: an offer is what its person may book at that moment, across shared parts, and never of closed time."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from api.domain.booking import bookings, closing, gatherings
from api.domain.booking.bookings import (
    BookingRequest,
    BookingStatus,
    NotTaken,
    OutsideHours,
    QuotaUsedUp,
    SkillMissing,
    TooSoon,
    Wait,
    WaitStatus,
)
from api.domain.booking.gatherings import GatheringStatus
from api.domain.booking.kits import Kit, create_kit, take_out_of_service
from api.domain.core.errors import DomainError
from api.domain.messages.notifications import Mail
from api.domain.messages.reminders import send_due
from api.domain.places.sites import Resource, ResourceKind, create_resource
from api.domain.places.skills import create_skill
from api.domain.places.timeline import HoldReason, create_hold, release_hold
from tests.world import HOUR
from tests.world.booking import NOW, BookingWorld, at

DAY = timedelta(days=1)
TUESDAY = date(2026, 3, 3)


def wait_for(world: BookingWorld, resource: Resource | None = None, **more: Any) -> Wait:
    """Charlie waits for Tuesday from ten to eleven."""
    request = BookingRequest((resource or world.room).id, at(3, 10), at(3, 11))
    return bookings.join_waitlist(world.session, **{"request": request, "user": world.charlie, "now": NOW, **more})


def close(world: BookingWorld, *, day: date = TUESDAY, **more: Any) -> closing.Closing:
    facts = {"site": world.site, "first_on": day, "last_on": day, "reason": "travaux", "actor": world.bob, "now": NOW}
    return closing.close_days(world.session, **{**facts, **more})


def maintain(world: BookingWorld, resource: Resource | None = None, *, hours: tuple[int, int] = (10, 11)) -> None:
    start, end = (datetime(2026, 3, 3, hour - 1, tzinfo=UTC) for hour in hours)  # the wall clock is an hour ahead
    facts = {"resource": resource or world.room, "start": start, "end": end, "note": "", "actor": world.bob, "now": NOW}
    closing.maintain(world.session, **facts)


def cancel(world: BookingWorld, booking: bookings.Booking, *, now: datetime = NOW) -> None:
    bookings.cancel(world.session, booking=booking, actor=world.alice, now=now)


def letters(world: BookingWorld, *, now: datetime = NOW) -> list[str]:
    """The kinds of charlie's letters."""
    send_due(world.session, now=now)
    query = select(Mail.kind).where(Mail.user_id == world.charlie.id).order_by(Mail.id)
    return list(world.session.scalars(query))


# ---- standing in line ----


def test_nobody_waits_for_what_is_free(world: BookingWorld) -> None:
    with pytest.raises(NotTaken):
        wait_for(world)


@pytest.mark.parametrize(
    ("rule", "error"),
    [
        ({"skill_id": 0}, SkillMissing),
        ({"notice_minutes": 3 * 1440}, TooSoon),
        ({"min_minutes": 15, "quota_day_minutes": 30}, QuotaUsedUp),
    ],
)
def test_nobody_waits_for_what_they_could_not_book(
    world: BookingWorld, rule: dict[str, int], error: type[DomainError]
) -> None:
    world.book(at(3, 10), at(3, 11), user=world.bob)
    if "skill_id" in rule:
        rule = {"skill_id": create_skill(world.session, slug="laser", name="Laser", now=NOW).id}
    world.rule(**rule)
    with pytest.raises(error):
        wait_for(world)


def test_nobody_waits_for_a_day_on_which_the_place_is_shut(world: BookingWorld) -> None:
    sunday = BookingRequest(world.room.id, at(8, 10), at(8, 11))
    with pytest.raises(OutsideHours):
        wait_for(world, request=sunday)


def test_the_database_keeps_one_place_in_line_for_each_person(world: BookingWorld) -> None:
    world.book(at(3, 10), at(3, 11))
    wait = wait_for(world)
    row = {
        column.name: getattr(wait, column.name)
        for column in Wait.__table__.columns
        if column.name not in ("id", "end_at")
    }
    with pytest.raises(IntegrityError, match="uq_waits_open"), world.session.begin_nested():
        world.session.execute(insert(Wait).values(**row, end_at=wait.end_at + HOUR))


# ---- offers pass the question ----


def test_an_offer_lasts_no_longer_than_it_can_be_taken(world: BookingWorld) -> None:
    world.rule(notice_minutes=24 * 60)
    booking = world.book(at(4, 10), at(4, 11))
    wait = wait_for(world, request=BookingRequest(world.room.id, at(4, 10), at(4, 11)))
    cancel(world, booking, now=booking.start_at - DAY - HOUR / 2)

    assert (wait.status, wait.offered_until) == (WaitStatus.OFFERED, booking.start_at - DAY)
    taken = bookings.take_offer(world.session, wait=wait, now=booking.start_at - DAY - HOUR / 4)
    assert taken.user_id == world.charlie.id


@pytest.mark.parametrize(
    ("day", "hour", "minute", "until"),
    [
        (3, 9, 0, at(3, 11)),
        (3, 3, 0, at(3, 10)),
        (3, 21, 30, at(4, 9, 30)),
        (3, 22, 0, at(4, 10)),
        (3, 23, 59, at(4, 10)),
        (28, 21, 0, at(29, 9)),  # the clocks go forward that night
    ],
)
def test_the_night_does_not_count_for_an_offer(
    world: BookingWorld, day: int, hour: int, minute: int, until: datetime
) -> None:
    booking = world.book(at(30, 10), at(30, 11))
    wait = wait_for(world, request=BookingRequest(world.room.id, at(30, 10), at(30, 11)))
    paris = world.site.zone
    cancel(world, booking, now=at(day, hour, minute).replace(tzinfo=paris))

    assert (wait.status, wait.offered_until) == (WaitStatus.OFFERED, until.replace(tzinfo=paris))


def test_an_offer_of_the_coming_morning_ends_where_its_slot_begins(world: BookingWorld) -> None:
    booking = world.book(at(3, 9), at(3, 10))
    wait = wait_for(world, request=BookingRequest(world.room.id, at(3, 9), at(3, 10)))
    cancel(world, booking, now=at(3, 3).replace(tzinfo=world.site.zone))

    assert (wait.status, wait.offered_until) == (WaitStatus.OFFERED, booking.start_at)


def test_what_the_notice_forbids_to_take_is_offered_to_nobody(world: BookingWorld) -> None:
    world.rule(notice_minutes=24 * 60)
    booking = world.book(at(4, 10), at(4, 11))
    wait = wait_for(world, request=BookingRequest(world.room.id, at(4, 10), at(4, 11)))
    now = booking.start_at - 3 * HOUR
    cancel(world, booking, now=now)

    assert wait.status == WaitStatus.WAITING
    # Nor does an offer that nobody could take keep it from those without notice.
    assert world.book(at(4, 10), at(4, 11), user=world.bob, now=now).id


def test_who_may_not_book_it_any_more_is_passed_over(world: BookingWorld) -> None:
    world.rule(at_once=1)
    booking = world.book(at(3, 10), at(3, 11), user=world.bob)
    first, second = wait_for(world), wait_for(world, user=world.alice)
    world.book(at(4, 10), at(4, 11), user=world.charlie)  # which uses up the one at a time

    bookings.cancel(world.session, booking=booking, actor=world.bob, now=NOW)

    assert (first.status, second.status) == (WaitStatus.WAITING, WaitStatus.OFFERED)


@pytest.fixture
def parts(world: BookingWorld) -> tuple[Resource, Resource, Resource]:
    """An area, and two kits that share it."""
    kinds = [(ResourceKind.ROOM, "Aire"), (ResourceKind.MACHINE, "Casque 1"), (ResourceKind.MACHINE, "Casque 2")]
    area, *headsets = (
        create_resource(world.session, site=world.site, kind=kind, name=name, now=NOW) for kind, name in kinds
    )
    one, two = (
        create_kit(world.session, site=world.site, name=f"Kit {head.name}", members=[head, area], items=[], now=NOW)
        for head in headsets
    )
    return area, one.resource, two.resource


@pytest.mark.parametrize(("booked", "wanted"), [(0, 1), (1, 0), (1, 2), (1, 1)])
def test_who_waits_for_a_shared_part_hears_of_it(
    world: BookingWorld, parts: tuple[Resource, ...], booked: int, wanted: int
) -> None:
    booking = world.book(at(3, 10), at(3, 11), resource_id=parts[booked].id)
    wait = wait_for(world, parts[wanted])

    cancel(world, booking)

    assert wait.status == WaitStatus.OFFERED
    assert bookings.take_offer(world.session, wait=wait, now=NOW).resource_id == parts[wanted].id


# ---- time that the site takes ----


def test_nothing_is_offered_on_a_day_that_was_closed(world: BookingWorld) -> None:
    booking = world.book(at(3, 10), at(3, 11))
    wait = wait_for(world)

    assert close(world).bookings == [booking]

    assert wait.status == WaitStatus.WAITING
    assert letters(world) == []


def test_a_standing_offer_is_withdrawn_with_a_letter_when_the_day_is_closed(world: BookingWorld) -> None:
    booking = world.book(at(3, 10), at(3, 11))
    first, second = wait_for(world), wait_for(world, user=world.alice)
    cancel(world, booking)
    assert letters(world) == ["wait_offered"]

    close(world)

    assert (first.status, second.status) == (WaitStatus.WAITING, WaitStatus.WAITING)
    assert letters(world) == ["wait_offered", "wait_withdrawn"]
    assert letters(world) == ["wait_offered", "wait_withdrawn"]
    with pytest.raises(bookings.NoOffer):
        bookings.take_offer(world.session, wait=first, now=NOW)


def test_who_was_not_told_of_an_offer_is_not_told_that_it_is_withdrawn(world: BookingWorld) -> None:
    booking = world.book(at(3, 10), at(3, 11))
    wait_for(world)
    cancel(world, booking)
    close(world)
    assert letters(world) == []


def test_a_day_that_is_opened_again_is_offered_again(world: BookingWorld) -> None:
    booking = world.book(at(3, 10), at(3, 11))
    wait = wait_for(world)
    cancel(world, booking)
    letters(world)
    close(world)
    letters(world)
    (closure,) = world.site.closures
    closing.reopen(world.session, closure=closure, actor=world.bob, now=NOW)
    world.session.expire(world.site)

    assert bookings.review_line(world.session, now=NOW + HOUR) == 1

    assert wait.status == WaitStatus.OFFERED
    assert letters(world) == ["wait_offered", "wait_withdrawn", "wait_offered"]


def test_maintenance_takes_what_somebody_waits_for(world: BookingWorld) -> None:
    booking = world.book(at(3, 10), at(3, 11))
    wait = wait_for(world)

    maintain(world)

    assert (booking.status, wait.status) == (BookingStatus.CANCELLED, WaitStatus.WAITING)


def test_maintenance_takes_what_is_offered_already(world: BookingWorld) -> None:
    booking = world.book(at(3, 10), at(3, 11))
    wait = wait_for(world)
    cancel(world, booking)
    letters(world)

    maintain(world)

    assert wait.status == WaitStatus.WAITING
    assert letters(world) == ["wait_offered", "wait_withdrawn"]


def test_what_maintenance_cancels_and_does_not_take_is_offered(world: BookingWorld) -> None:
    world.book(at(3, 10), at(3, 14))
    wait = wait_for(world, request=BookingRequest(world.room.id, at(3, 13), at(3, 14)))

    maintain(world, hours=(10, 12))

    assert wait.status == WaitStatus.OFFERED


def test_maintenance_of_a_kit_holds_its_parts_and_that_of_a_part_cancels_kits(
    world: BookingWorld, parts: tuple[Resource, ...]
) -> None:
    area, one, two = parts
    first = world.book(at(3, 10), at(3, 11), resource_id=two.id)
    maintain(world, one)
    assert first.status == BookingStatus.CANCELLED  # it would have used the area
    second = world.book(at(3, 14), at(3, 15), resource_id=two.id)
    maintain(world, area, hours=(14, 15))
    assert second.status == BookingStatus.CANCELLED
    assert len(bookings.list_holds_of(world.session, first, second)) == 0


def test_an_offer_whose_slot_goes_out_of_service_is_withdrawn_and_goes_to_nobody(
    world: BookingWorld, parts: tuple[Resource, ...]
) -> None:
    booking = world.book(at(3, 10), at(3, 11), resource_id=parts[1].id)
    first, second = wait_for(world, parts[1]), wait_for(world, parts[1], user=world.bob)
    cancel(world, booking)
    kit = world.session.get_one(Kit, parts[1].id)
    take_out_of_service(world.session, kit=kit, item=None, why="verre", actor=world.bob, now=NOW)

    bookings.review_line(world.session, now=NOW)

    assert (first.status, second.status) == (WaitStatus.WAITING, WaitStatus.WAITING)


def test_who_waits_hears_of_an_event_that_is_called_off(world: BookingWorld) -> None:
    start = datetime(2026, 3, 3, 9, tzinfo=UTC)
    facts: dict[str, Any] = {"title": "Fête", "start": start, "end": start + HOUR, "seats": 3, "actor": world.bob}
    gathering = gatherings.announce(world.session, site=world.site, resources=[world.room], now=NOW, **facts)
    wait = wait_for(world)

    new = GatheringStatus.CANCELLED
    gatherings.move_gathering(world.session, gathering=gathering, new=new, actor=world.bob, now=NOW)

    assert wait.status == WaitStatus.OFFERED


@pytest.mark.parametrize("reason", [HoldReason.RUN, HoldReason.MAINTENANCE])
def test_who_waits_hears_of_what_ends_early_by_itself(world: BookingWorld, reason: HoldReason) -> None:
    start = datetime(2026, 3, 3, 8, tzinfo=UTC)
    facts: dict[str, Any] = {"resource_id": world.room.id, "start": start, "end": start + 3 * HOUR, "reason": reason}
    hold = create_hold(world.session, now=NOW, **facts)
    wait = wait_for(world)
    assert bookings.review_line(world.session, now=NOW) == 0

    release_hold(world.session, hold=hold, now=NOW)

    assert bookings.review_line(world.session, now=NOW) == 1
    assert wait.status == WaitStatus.OFFERED
    assert bookings.review_line(world.session, now=NOW) == 0
