"""Booking, moving, cancelling, and every rule that may refuse it."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.domain.booking import bookings
from api.domain.booking.bookings import (
    NEXT,
    AgeMissing,
    Booking,
    BookingRequest,
    BookingStatus,
    ClosedThen,
    HourDoesNotExist,
    HourExistsTwice,
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
from api.domain.booking.rules import Policy, RuleContradicts, set_rule
from api.domain.core.base import ForbiddenMove, advance
from api.domain.core.changes import list_changes
from api.domain.core.errors import DomainError, NotFound
from api.domain.people.accounts import Organisation, add_organisation
from api.domain.people.roles import StaffOnly
from api.domain.places.sites import ResourceKind, create_resource, create_site
from api.domain.places.skills import authorise, create_skill, revoke_authorisation
from api.domain.places.timeline import EndsBeforeStart, Hold, HoldReason, Taken, create_hold
from api.domain.pricing.prices import BookingRates
from tests.world.booking import HOUR, NOW, World, at, make_user, make_world


@pytest.fixture
def world(session: Session) -> World:
    return make_world(session)


def test_a_booking_holds_its_time_and_writes_one_change(world: World) -> None:
    booking = world.book(at(3, 10), at(3, 11))

    (held,) = bookings.list_holds_of(world.session, booking)
    assert (
        (held.start, held.end)
        == (booking.start_at, booking.end_at)
        == (
            datetime(2026, 3, 3, 9, tzinfo=UTC),
            datetime(2026, 3, 3, 10, tzinfo=UTC),
        )
    )
    assert booking.status == BookingStatus.CONFIRMED
    assert [change.verb for change in list_changes(world.session, noun="booking", noun_id=booking.id)] == ["confirmed"]


def test_a_booking_is_written_as_the_table_says(world: World) -> None:
    booking = world.book(at(3, 10), at(3, 11), note="for two", youngest_age=9, guardian_consent=True)
    columns = Booking.__table__.columns
    returned = {column.name: getattr(booking, column.name) for column in columns}
    world.session.refresh(booking)
    assert returned == {column.name: getattr(booking, column.name) for column in columns}

    facts = {column.name for column in columns if not column.nullable and column.default is None} - {"id"}
    plain = Booking(**{name: returned[name] for name in facts})
    world.session.add(plain)
    world.session.flush()
    later = ["fee_cents", "no_show_at", "decided_by", "checked_in_at", "checked_out_at", "told_at"]
    assert [returned[name] for name in later] == [getattr(plain, name) for name in later]


def test_a_taken_slot_is_refused_and_nothing_is_written(world: World) -> None:
    world.book(at(3, 10), at(3, 11))

    with pytest.raises(Taken):
        world.book(at(3, 10, 45), at(3, 12), user=world.charlie)
    assert world.session.scalar(select(func.count()).select_from(Booking)) == 1


def test_bookings_may_touch(world: World) -> None:
    world.book(at(3, 10), at(3, 11))

    assert world.book(at(3, 11), at(3, 12)).status == BookingStatus.CONFIRMED


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
def test_each_rule_refuses_by_its_name(world: World, start: datetime, end: datetime, error: type[DomainError]) -> None:
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


def test_the_rule_of_a_resource_stands_before_that_of_its_kind(world: World) -> None:
    set_rule(world.session, site=world.site, kind=ResourceKind.ROOM, policy=Policy(max_minutes=60), now=NOW)
    world.rule(max_minutes=240)

    assert world.book(at(3, 10), at(3, 14)).rule_id is not None


def test_only_managers_set_rules(world: World) -> None:
    with pytest.raises(StaffOnly):
        set_rule(world.session, site=world.site, kind=ResourceKind.ROOM, policy=Policy(), now=NOW, actor=world.alice)


def test_a_closed_day_and_a_public_holiday_are_named(world: World) -> None:
    bookings.close_days(
        world.session, site=world.site, first_on=date(2026, 3, 4), last_on=date(2026, 3, 5), reason="x",
        actor=world.bob, now=NOW,
    )  # fmt: skip

    with pytest.raises(ClosedThen, match="2026-03-05"):
        world.book(at(5, 10), at(5, 11))
    with pytest.raises(ClosedThen, match="2026-04-06"):  # Easter Monday
        world.book(at(6, 10, month=4), at(6, 11, month=4))


def test_a_closure_cancels_what_stood_there_without_fee(world: World) -> None:
    world.rule(cancel_minutes=10_000, late_fee_cents=500)
    booking = world.book(at(4, 10), at(4, 11))

    hit = bookings.close_days(
        world.session, site=world.site, first_on=date(2026, 3, 4), last_on=date(2026, 3, 4), reason="x",
        actor=world.bob, now=NOW,
    )  # fmt: skip

    assert hit == [booking]
    assert (booking.status, booking.fee_cents) == (BookingStatus.CANCELLED, 0)
    assert bookings.list_holds_of(world.session, booking) == []


@pytest.mark.parametrize(
    ("when", "error"), [(at(29, 2, 30), HourDoesNotExist), (at(25, 2, 30, month=10), HourExistsTwice)]
)
def test_the_missing_and_the_double_hour_are_clear_errors(
    session: Session, when: datetime, error: type[DomainError]
) -> None:
    world = make_world(session, hours=False)
    world.rule(horizon_days=400)

    with pytest.raises(error):
        world.book(when, when + HOUR)


def test_the_double_hour_can_be_booked_by_its_offset(session: Session) -> None:
    world = make_world(session, hours=False)
    world.rule(horizon_days=400)
    first, second = (datetime.fromisoformat(f"2026-10-25T02:00:00+0{n}:00") for n in (2, 1))

    assert world.book(first, second).end_at == world.book(second, second + HOUR).start_at


def test_without_hours_on_record_a_place_counts_as_open(session: Session) -> None:
    world = make_world(session, hours=False)

    assert world.book(at(3, 3), at(3, 4)).status == BookingStatus.CONFIRMED


def test_buffers_keep_others_away_but_may_lie_in_closed_hours(world: World) -> None:
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
    world: World, numbers: dict[str, int], booked: tuple[int, int], wanted: tuple[int, int]
) -> None:
    world.rule(**numbers)
    world.book(at(*booked), at(*booked) + HOUR)

    with pytest.raises(QuotaUsedUp):
        world.book(at(*wanted), at(*wanted) + HOUR)
    world.book(at(*wanted), at(*wanted) + HOUR / 2)


def test_a_cancelled_booking_gives_its_quota_back_and_a_missed_one_does_not(world: World) -> None:
    world.rule(quota_day_minutes=60, no_show_minutes=15)
    bookings.cancel(world.session, booking=world.book(at(3, 10), at(3, 11)), actor=world.alice, now=NOW)
    missed = world.book(at(3, 10), at(3, 11))
    bookings.mark_missed(world.session, booking=missed, now=missed.start_at + timedelta(minutes=15))

    with pytest.raises(QuotaUsedUp):
        world.book(at(3, 16), at(3, 17))


def test_so_many_bookings_at_once(world: World) -> None:
    world.rule(at_once=1)
    world.book(at(3, 10), at(3, 11))

    with pytest.raises(TooManyAtOnce):
        world.book(at(3, 14), at(3, 15))
    world.book(at(3, 14), at(3, 15), user=world.charlie)


def test_the_authorisation_must_last_to_the_end_of_the_booking(world: World) -> None:
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


def test_approval_is_asked_of_members_and_holds_the_time_meanwhile(world: World) -> None:
    world.rule(needs_approval=True)
    request = world.book(at(3, 10), at(3, 11))

    with pytest.raises(Taken):
        world.book(at(3, 10), at(3, 11), user=world.charlie)
    bookings.approve(world.session, booking=request, actor=world.bob, now=NOW)
    assert request.status == BookingStatus.CONFIRMED
    bookings.move(world.session, booking=request, start=at(3, 12), end=at(3, 13), actor=world.alice, now=NOW)
    assert request.status == BookingStatus.REQUESTED


def test_a_rejected_request_frees_its_time(world: World) -> None:
    world.rule(needs_approval=True)
    request = world.book(at(3, 10), at(3, 11))

    bookings.reject(world.session, booking=request, actor=world.bob, now=NOW)

    assert world.book(at(3, 10), at(3, 11), user=world.charlie).status == BookingStatus.REQUESTED


def test_another_members_booking_does_not_exist(world: World) -> None:
    booking = world.book(at(3, 10), at(3, 11))

    with pytest.raises(NotFound):
        bookings.get_booking(world.session, booking_id=booking.id, user=world.charlie)
    assert bookings.get_booking(world.session, booking_id=booking.id, user=world.bob) is booking


def test_a_private_resource_of_another_place_does_not_exist_for_strangers(world: World) -> None:
    world.rule(members_only=True)

    with pytest.raises(NotFound):
        world.book(at(3, 10), at(3, 11), user=world.charlie)
    assert world.book(at(3, 10), at(3, 11)).id


def test_the_list_and_the_week_show_each_person_the_same_resources(world: World) -> None:
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


def test_a_retired_resource_cannot_be_booked(world: World) -> None:
    world.room.retired_at = NOW
    world.session.flush()

    with pytest.raises(NotFound):
        world.book(at(3, 10), at(3, 11))


def test_only_staff_book_for_others(world: World) -> None:
    assert world.book(at(3, 10), at(3, 11), actor=world.bob).created_by == world.bob.id
    with pytest.raises(StaffOnly):
        world.book(at(3, 12), at(3, 13), actor=world.charlie)


def test_one_books_only_for_an_organisation_that_one_buys_for(world: World) -> None:
    other: Organisation = add_organisation(world.session, name="O", slug="o", owner=world.charlie, now=NOW)

    with pytest.raises(NotFound):
        world.book(at(3, 10), at(3, 11), organisation_id=other.id)


def test_the_price_is_frozen_with_its_trace_and_by_role(world: World) -> None:
    rates = BookingRates(
        per_slot=Decimal(2), tiers=((0, Decimal(10)), (60, Decimal(6))), role_factors={"member": Decimal("0.5")}
    )
    world.rule(rates=rates)

    member, visitor = world.book(at(3, 10), at(3, 12)), world.book(at(3, 14), at(3, 16), user=world.charlie)

    assert (member.net_cents, visitor.net_cents) == (900, 1800)
    assert [step["reason"] for step in member.price_trace] == ["slot", "hours", "hours", "role"]


def test_a_late_cancellation_costs_the_fee_and_an_early_one_nothing(world: World) -> None:
    world.rule(cancel_minutes=24 * 60, late_fee_cents=500)
    early, late = world.book(at(5, 10), at(5, 11)), world.book(at(3, 8), at(3, 9))

    for booking in (early, late):
        bookings.cancel(world.session, booking=booking, actor=world.alice, now=NOW)

    assert (early.fee_cents, late.fee_cents) == (0, 500)


def test_staff_cancel_without_fee(world: World) -> None:
    world.rule(cancel_minutes=24 * 60, late_fee_cents=500)
    booking = world.book(at(3, 8), at(3, 9))

    bookings.cancel(world.session, booking=booking, actor=world.bob, now=NOW)

    assert booking.fee_cents == 0


def test_a_move_takes_the_hold_along_and_a_refused_one_leaves_it(world: World) -> None:
    booking = world.book(at(3, 10), at(3, 11))
    world.book(at(3, 14), at(3, 15))

    with pytest.raises(Taken):
        bookings.move(world.session, booking=booking, start=at(3, 14), end=at(3, 15), actor=world.alice, now=NOW)
    assert bookings.list_holds_of(world.session, booking)[0].start == booking.start_at
    bookings.move(world.session, booking=booking, start=at(3, 10, 30), end=at(3, 11, 30), actor=world.alice, now=NOW)

    assert bookings.list_holds_of(world.session, booking)[0].start == datetime(2026, 3, 3, 9, 30, tzinfo=UTC)


def test_a_move_does_not_count_against_its_own_quota(world: World) -> None:
    world.rule(quota_day_minutes=60, at_once=1)
    booking = world.book(at(3, 10), at(3, 11))

    bookings.move(world.session, booking=booking, start=at(3, 15), end=at(3, 16), actor=world.alice, now=NOW)

    assert booking.start_at.hour == 14


def test_check_out_frees_the_rest_but_the_cleaning(world: World) -> None:
    world.rule(after_minutes=30)
    booking = world.book(at(2, 10), at(2, 14))
    now = booking.start_at + HOUR
    bookings.check_in(world.session, booking=booking, actor=world.alice, now=booking.start_at)

    bookings.check_out(world.session, booking=booking, actor=world.alice, now=now)

    (held,) = bookings.list_holds_of(world.session, booking)
    assert held.end == now + HOUR / 2


def test_a_no_show_is_swept_and_the_slot_is_free(world: World) -> None:
    world.rule(no_show_minutes=15)
    booking = world.book(at(2, 10), at(2, 12))
    now = booking.start_at + timedelta(minutes=20)

    assert bookings.sweep_times(world.session, now=booking.start_at) == 0
    assert bookings.sweep_times(world.session, now=now) == 1

    assert booking.status == BookingStatus.NO_SHOW
    assert world.book(at(2, 10, 30), at(2, 12), user=world.charlie, now=now).id


def test_a_request_that_nobody_approved_is_void_at_its_start(world: World) -> None:
    world.rule(needs_approval=True)
    request = world.book(at(2, 10), at(2, 12))

    bookings.sweep_times(world.session, now=request.start_at)

    assert request.status == BookingStatus.REJECTED
    assert bookings.list_holds_of(world.session, request) == []


@pytest.mark.parametrize(("old", "new"), list(product(BookingStatus, BookingStatus)))
def test_only_the_moves_of_the_table_are_possible(world: World, old: BookingStatus, new: BookingStatus) -> None:
    booking = world.book(at(3, 10), at(3, 11))
    booking.status = old
    world.session.flush()

    if new in NEXT.get(old, frozenset()):
        advance(world.session, booking, new, moves=NEXT, status=Booking.status)
        assert booking.status == new
    else:
        with pytest.raises(ForbiddenMove):
            advance(world.session, booking, new, moves=NEXT, status=Booking.status)


def test_the_next_three_free_slots_are_open_on_the_grid_and_free(world: World) -> None:
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


def test_what_a_search_finds_can_be_booked_around_a_night_and_a_sunday(world: World) -> None:
    terms = bookings.get_terms(world.session, resource_id=world.room.id, user=world.alice)
    saturday = datetime(2026, 3, 7, 18, 20, tzinfo=UTC)

    slots = bookings.find_slots(
        world.session, terms=[terms], minutes=120, start=saturday, end=saturday + timedelta(days=3), count=2
    )

    assert [start.astimezone(terms.zone) for start, _ in slots[world.room.id]] == [
        datetime(2026, 3, 9, hour, tzinfo=terms.zone) for hour in (8, 10)
    ]


def test_the_week_shows_reasons_to_all_and_names_to_staff_only(world: World) -> None:
    world.book(at(3, 10), at(3, 11))
    span = {"start": NOW, "end": NOW + timedelta(days=7)}

    stranger = bookings.week_json(world.session, user=world.charlie, **span)
    staff = bookings.week_json(world.session, user=world.bob, **span)

    assert '"reason" : "booking"' in stranger
    assert "Alice" not in stranger
    assert '"who" : "Alice"' in staff


def test_a_running_print_shows_as_what_it_is(world: World) -> None:
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


def test_a_helper_is_booked_within_their_own_hours(world: World) -> None:
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


def test_a_rule_of_another_places_resource_is_refused(world: World) -> None:
    other = create_site(world.session, slug="other", name="Other", now=NOW)

    with pytest.raises(RuleContradicts):
        set_rule(world.session, site=other, resource=world.room, policy=Policy(), now=NOW)


def test_age_or_consent_is_asked_where_there_is_a_minimum(world: World) -> None:
    from api.domain.booking.kits import create_kit  # noqa: PLC0415

    kit = create_kit(
        world.session, site=world.site, name="VR", members=[world.room], items=[("Casque", "S1")], now=NOW, min_age=12
    )
    request: dict[str, Any] = {"resource_id": kit.id, "start": at(3, 10), "end": at(3, 11)}

    with pytest.raises(AgeMissing):
        world.book(**request)
    with pytest.raises(TooYoung):
        world.book(**request, youngest_age=10)
    assert world.book(**request, youngest_age=10, guardian_consent=True).guardian_consent


def test_check_writes_nothing(world: World) -> None:
    request = BookingRequest(world.room.id, at(3, 10), at(3, 11))

    draft = bookings.draft_booking(world.session, request=request, user=world.alice, now=NOW)

    assert draft.net_cents == 0
    assert world.session.scalar(select(func.count()).select_from(Hold)) == 0
