"""Every rule that may refuse a booking: lengths, hours, closures, quotas, authorisations, ages."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from api.domain.booking import bookings, closing
from api.domain.booking.bookings import (
    AgeMissing,
    BookingStatus,
    ClosedThen,
    OffGrid,
    OutsideHours,
    QuotaUsedUp,
    SkillMissing,
    StartsInPast,
    TooFarAhead,
    TooLong,
    TooManyAtOnce,
    TooShort,
    TooSoon,
    TooYoung,
)
from api.domain.booking.kits import create_kit
from api.domain.booking.rules import Policy, RuleContradicts, set_rule
from api.domain.core.errors import DomainError
from api.domain.people.roles import StaffOnly
from api.domain.places.sites import ResourceKind, create_resource, create_site
from api.domain.places.skills import authorise, create_skill, revoke_authorisation
from api.domain.places.timeline import EndsBeforeStart, Hold, Taken
from tests.world import HOUR
from tests.world.booking import NOW, BookingWorld, at

RULE = {"min_minutes": 30, "max_minutes": 120, "step_minutes": 30, "notice_minutes": 60, "horizon_days": 14}


@pytest.mark.parametrize(
    ("start", "end", "error"),
    [
        (at(3, 11), at(3, 10), EndsBeforeStart),
        (at(3, 11), at(3, 11), EndsBeforeStart),
        (at(1, 10), at(1, 11), StartsInPast),
        (at(3, 10), at(3, 10, 15), TooShort),
        (at(3, 10), at(3, 13), TooLong),
        (at(3, 10, 10), at(3, 11, 10), OffGrid),
        (at(3, 10), at(3, 10, 45), OffGrid),
        (at(2, 9, 30), at(2, 10), TooSoon),
        (at(20, 10), at(20, 11), TooFarAhead),
        (at(3, 19), at(3, 20, 30), OutsideHours),
        (at(8, 10), at(8, 11), OutsideHours),
    ],
)
def test_each_rule_refuses_by_its_name(
    world: BookingWorld, start: datetime, end: datetime, error: type[DomainError]
) -> None:
    world.rule(**RULE)

    with pytest.raises(error):
        world.book(start, end)
    assert world.session.scalar(select(func.count()).select_from(Hold)) == 0


@pytest.mark.parametrize(
    "numbers",
    [
        {"min_minutes": 60, "max_minutes": 30},
        {"min_minutes": 0},
        {"step_minutes": 7},
        {"step_minutes": 0},
        {"min_minutes": 20, "step_minutes": 15},
        {"notice_minutes": 3 * 1440, "horizon_days": 2},
        {"notice_minutes": -1},
        {"horizon_days": 0},
        {"quota_day_minutes": 10},
        {"quota_day_minutes": 120, "quota_week_minutes": 60},
        {"quota_week_minutes": 120, "quota_month_minutes": 60},
        {"at_once": 0},
        {"after_minutes": -5},
        {"late_fee_cents": -1},
        {"no_show_minutes": 0},
        {"max_minutes": 100 * 1440},
    ],
)
def test_contradictory_numbers_are_no_rule(numbers: dict[str, Any]) -> None:
    with pytest.raises(RuleContradicts):
        Policy(**numbers)


def test_the_rule_of_a_resource_stands_before_that_of_its_kind(world: BookingWorld) -> None:
    set_rule(world.session, site=world.site, kind=ResourceKind.ROOM, policy=Policy(max_minutes=60), now=NOW)
    world.rule(max_minutes=240)

    assert world.book(at(3, 10), at(3, 14)).rule_id is not None


def test_only_managers_set_rules(world: BookingWorld) -> None:
    with pytest.raises(StaffOnly):
        set_rule(world.session, site=world.site, kind=ResourceKind.ROOM, policy=Policy(), now=NOW, actor=world.alice)


def test_a_closed_day_and_a_public_holiday_are_named(world: BookingWorld) -> None:
    closing.close_days(
        world.session, site=world.site, first_on=date(2026, 3, 4), last_on=date(2026, 3, 5), reason="x",
        actor=world.bob, now=NOW,
    )  # fmt: skip

    with pytest.raises(ClosedThen, match="2026-03-05"):
        world.book(at(5, 10), at(5, 11))
    with pytest.raises(ClosedThen, match="2026-04-06"):  # Easter Monday
        world.book(at(6, 10, month=4), at(6, 11, month=4))


def test_a_closure_cancels_what_stood_there_without_fee(world: BookingWorld) -> None:
    world.rule(cancel_minutes=10_000, late_fee_cents=500)
    booking = world.book(at(4, 10), at(4, 11))

    closed = closing.close_days(
        world.session, site=world.site, first_on=date(2026, 3, 4), last_on=date(2026, 3, 4), reason="x",
        actor=world.bob, now=NOW,
    )  # fmt: skip

    assert (closed.bookings, closed.gatherings) == ([booking], [])
    assert (booking.status, booking.fee_cents) == (BookingStatus.CANCELLED, 0)
    assert bookings.list_holds_of(world.session, booking) == []


def test_buffers_keep_others_away_but_may_lie_in_closed_hours(world: BookingWorld) -> None:
    world.rule(before_minutes=15, after_minutes=30)
    world.book(at(3, 19), at(3, 20))

    with pytest.raises(Taken):
        world.book(at(3, 18), at(3, 19))
    assert world.book(at(3, 17, 15), at(3, 18, 15)).status == BookingStatus.CONFIRMED


@pytest.mark.parametrize(
    ("numbers", "booked", "wanted"),
    [
        ({"quota_day_minutes": 90}, (3, 10), (3, 14)),
        ({"quota_week_minutes": 90}, (3, 10), (6, 14)),
        ({"quota_month_minutes": 90}, (3, 10), (31, 14)),
    ],
)
def test_quotas_count_minutes_of_the_day_week_and_month(
    world: BookingWorld, numbers: dict[str, int], booked: tuple[int, int], wanted: tuple[int, int]
) -> None:
    world.rule(**numbers)
    world.book(at(*booked), at(*booked) + HOUR)

    with pytest.raises(QuotaUsedUp):
        world.book(at(*wanted), at(*wanted) + HOUR)
    world.book(at(*wanted), at(*wanted) + HOUR / 2)


def test_a_cancelled_booking_gives_its_quota_back_and_a_missed_one_does_not(world: BookingWorld) -> None:
    world.rule(quota_day_minutes=60, no_show_minutes=15)
    bookings.cancel(world.session, booking=world.book(at(3, 10), at(3, 11)), actor=world.alice, now=NOW)
    missed = world.book(at(3, 10), at(3, 11))
    bookings.mark_missed(world.session, booking=missed, now=missed.start_at + timedelta(minutes=15))

    with pytest.raises(QuotaUsedUp):
        world.book(at(3, 16), at(3, 17))


def test_so_many_bookings_at_once(world: BookingWorld) -> None:
    world.rule(at_once=1)
    world.book(at(3, 10), at(3, 11))

    with pytest.raises(TooManyAtOnce):
        world.book(at(3, 14), at(3, 15))
    world.book(at(3, 14), at(3, 15), user=world.charlie)


def test_the_authorisation_must_last_to_the_end_of_the_booking(world: BookingWorld) -> None:
    skill = create_skill(world.session, slug="laser", name="Laser", now=NOW)
    world.rule(skill_id=skill.id)
    until = datetime(2026, 3, 3, 10, tzinfo=UTC)  # 11:00 on the wall
    granted = authorise(
        world.session, user=world.alice, skill=skill, actor=world.bob, site_id=world.site.id, now=NOW, expires_at=until
    )

    with pytest.raises(SkillMissing):
        world.book(at(3, 10, 30), at(3, 11, 30))
    world.book(at(3, 9), at(3, 10))
    revoke_authorisation(world.session, authorisation=granted, actor=world.bob, now=NOW)
    with pytest.raises(SkillMissing):
        world.book(at(3, 10), at(3, 10, 30))


def test_a_helper_is_booked_within_their_own_hours(world: BookingWorld) -> None:
    helper = create_resource(
        world.session,
        site=world.site,
        kind=ResourceKind.PERSON,
        name="Aide",
        now=NOW,
        facts={"hours": [[1, "14:00", "17:00"]]},
    )

    assert world.book(at(3, 14), at(3, 15), resource_id=helper.id).id
    with pytest.raises(OutsideHours):
        world.book(at(3, 10), at(3, 11), resource_id=helper.id)


def test_a_rule_of_another_places_resource_is_refused(world: BookingWorld) -> None:
    other = create_site(world.session, slug="other", name="Other", now=NOW)

    with pytest.raises(RuleContradicts):
        set_rule(world.session, site=other, resource=world.room, policy=Policy(), now=NOW)


def test_age_or_consent_is_asked_where_there_is_a_minimum(world: BookingWorld) -> None:

    kit = create_kit(
        world.session, site=world.site, name="VR", members=[world.room], items=[("Casque", "S1")], now=NOW, min_age=12
    )
    request: dict[str, Any] = {"resource_id": kit.id, "start": at(3, 10), "end": at(3, 11)}

    with pytest.raises(AgeMissing):
        world.book(**request)
    with pytest.raises(TooYoung):
        world.book(**request, youngest_age=10)
    assert world.book(**request, youngest_age=10, guardian_consent=True).guardian_consent
