"""Gatherings: seats, the line, what they hold, and trainings that authorise those who came."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from api.domain.booking import gatherings
from api.domain.booking.gatherings import (
    AlreadyRegistered,
    EventOnClosedDay,
    EventOver,
    Gathering,
    GatheringStatus,
    HeldElsewhere,
    RegistrationOver,
    RegistrationStatus,
    SeatsWrong,
    TitleMissing,
)
from api.domain.booking.kits import create_kit
from api.domain.core.base import ForbiddenMove
from api.domain.core.errors import DomainError, NotFound
from api.domain.messages.notifications import Mail
from api.domain.messages.reminders import send_due
from api.domain.people.roles import StaffOnly
from api.domain.places.sites import Closure, create_site
from api.domain.places.skills import create_skill, has_skill
from api.domain.places.timeline import EndsBeforeStart, Taken, list_holds
from tests.world import HOUR
from tests.world.booking import NOW, BookingWorld, at

DAY = timedelta(days=1)


def announce(world: BookingWorld, **more: Any) -> Gathering:
    facts = {"title": "Soirée jeux", "start": NOW + DAY, "end": NOW + DAY + HOUR, "seats": 1, "actor": world.bob}
    return gatherings.announce(world.session, site=world.site, now=NOW, **{**facts, **more})


def test_a_gathering_holds_its_rooms_and_gives_them_back_when_called_off(world: BookingWorld) -> None:
    gathering = announce(world, resources=[world.room])

    with pytest.raises(Taken):
        world.book(at(3, 9), at(3, 10))
    gatherings.move_gathering(
        world.session, gathering=gathering, new=GatheringStatus.CANCELLED, actor=world.bob, now=NOW
    )
    assert list_holds(world.session, resource_ids=[world.room.id], start=NOW, end=NOW + 3 * DAY) == []


def test_a_gathering_takes_no_room_that_is_booked(world: BookingWorld) -> None:
    world.book(at(3, 9), at(3, 10))

    with pytest.raises(Taken):
        announce(world, resources=[world.room])


def test_an_event_that_holds_a_kit_holds_its_parts(world: BookingWorld) -> None:
    kit = create_kit(world.session, site=world.site, name="VR", members=[world.room], items=[], now=NOW)
    announce(world, resources=[kit.resource])

    with pytest.raises(Taken):
        world.book(at(3, 9), at(3, 10))


@pytest.mark.parametrize(
    ("more", "error"),
    [
        ({"title": "  "}, TitleMissing),
        ({"seats": 0}, SeatsWrong),
        ({"end": NOW}, EndsBeforeStart),
    ],
)
def test_a_gathering_that_cannot_be_is_refused(
    world: BookingWorld, more: dict[str, Any], error: type[DomainError]
) -> None:
    with pytest.raises(error):
        announce(world, **more)


def test_it_holds_things_of_its_own_place_only(world: BookingWorld) -> None:
    other = create_site(world.session, slug="other", name="Other", now=NOW)
    world.room.site_id = other.id

    with pytest.raises(HeldElsewhere):
        announce(world, resources=[world.room])


def test_two_of_one_title_have_two_addresses(world: BookingWorld) -> None:
    assert [announce(world).slug, announce(world).slug] == ["soiree-jeux", "soiree-jeux-2"]


def test_who_comes_too_late_stands_in_line_and_moves_up(world: BookingWorld) -> None:
    gathering = announce(world)
    first = gatherings.register(world.session, gathering=gathering, user=world.alice, now=NOW)
    second = gatherings.register(world.session, gathering=gathering, user=world.charlie, now=NOW)

    assert (first.status, second.status) == (RegistrationStatus.REGISTERED, RegistrationStatus.WAITING)
    assert gatherings.withdraw(world.session, seat=first, now=NOW) is second
    assert second.status == RegistrationStatus.REGISTERED
    back = gatherings.register(world.session, gathering=gathering, user=world.alice, now=NOW)
    assert back.status == RegistrationStatus.WAITING


def test_one_registers_once_and_not_after_the_start(world: BookingWorld) -> None:
    gathering = announce(world)
    gatherings.register(world.session, gathering=gathering, user=world.alice, now=NOW)

    with pytest.raises(AlreadyRegistered):
        gatherings.register(world.session, gathering=gathering, user=world.alice, now=NOW)
    with pytest.raises(RegistrationOver):
        gatherings.register(world.session, gathering=gathering, user=world.charlie, now=NOW + DAY)


def test_who_came_to_a_training_is_authorised(world: BookingWorld) -> None:
    skill = create_skill(world.session, slug="laser", name="Laser", now=NOW)
    gathering = announce(world, skill=skill)
    seat = gatherings.register(world.session, gathering=gathering, user=world.alice, now=NOW)

    with pytest.raises(StaffOnly):
        gatherings.mark_attended(world.session, seat=seat, actor=world.alice, now=NOW + DAY)
    gatherings.mark_attended(world.session, seat=seat, actor=world.bob, now=NOW + DAY)

    assert has_skill(world.session, user_id=world.alice.id, skill_id=skill.id, at=NOW + 2 * DAY)
    with pytest.raises(ForbiddenMove):
        gatherings.mark_attended(world.session, seat=seat, actor=world.bob, now=NOW + DAY)


def test_a_draft_is_seen_by_staff_only(world: BookingWorld) -> None:
    gathering = announce(world, status=GatheringStatus.DRAFT)

    for stranger in (None, world.alice):
        with pytest.raises(NotFound):
            gatherings.get_gathering(world.session, slug=gathering.slug, user=stranger)
    assert gatherings.get_gathering(world.session, slug=gathering.slug, user=world.bob) is gathering
    assert len(gatherings.list_gatherings(world.session, since=NOW)) == 0


def test_who_registered_hears_that_it_is_called_off(world: BookingWorld) -> None:
    gathering = announce(world)
    gatherings.register(world.session, gathering=gathering, user=world.alice, now=NOW)
    send_due(world.session, now=NOW)
    gatherings.move_gathering(
        world.session, gathering=gathering, new=GatheringStatus.CANCELLED, actor=world.bob, now=NOW
    )
    send_due(world.session, now=NOW)

    kinds = world.session.scalars(select(Mail.kind).where(Mail.user_id == world.alice.id).order_by(Mail.id)).all()
    assert kinds == ["seat_registered", "seat_called_off"]


@pytest.mark.parametrize(
    ("days", "hours", "error"),
    [
        (-2, 2, EventOver),
        # Over at this very moment; one that runs is not over.
        (-1, 24, EventOver),
        (-1, 25, None),
        (10, 1, EventOnClosedDay),
        # From the evening before into the closed day, and up to its first minute.
        (9, 24, EventOnClosedDay),
        (9, 15, None),
        (11, 1, None),
    ],
)
def test_an_event_that_is_over_or_on_a_closed_day_is_confirmed_first(
    world: BookingWorld, days: int, hours: int, error: type[DomainError] | None
) -> None:
    closed_on = (NOW + 10 * DAY).date()
    world.site.closures.append(Closure(first_on=closed_on, last_on=closed_on))
    facts = {"start": NOW + days * DAY, "end": NOW + days * DAY + hours * HOUR}
    if error is not None:
        with pytest.raises(error):
            announce(world, **facts)
    assert announce(world, **facts, is_confirmed=error is not None).id
