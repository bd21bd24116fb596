"""Series, the waitlist, kits and their hand-over, and printers that people book."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from dateutil.rrule import rrulestr
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.domain.booking import bookings, closing
from api.domain.booking.bookings import (
    SKIP,
    AlreadyWaiting,
    Booking,
    BookingRequest,
    BookingStatus,
    ChecklistIncomplete,
    Condition,
    ItemCheck,
    NoOffer,
    NotAnItem,
    NothingLeft,
    RuleEndless,
    RuleTooFar,
    RuleTooLong,
    RuleTooOften,
    RuleUnreadable,
    SeriesConflict,
    WaitStatus,
    occurrences_of,
    series,
)
from api.domain.booking.kits import Kit, MemberElsewhere, OutOfService, create_kit, put_in_service
from api.domain.core.errors import DomainError
from api.domain.messages.notifications import Mail
from api.domain.messages.reminders import send_due, warn_overrun
from api.domain.people.roles import StaffOnly
from api.domain.places.sites import ResourceKind, create_resource, create_site
from api.domain.places.timeline import Hold, Taken
from api.domain.printing import runs
from tests import world as printing
from tests.world import HOUR
from tests.world.booking import NOW, BookingWorld, at, make_booking_world


def weekly(world: BookingWorld, *, rrule: str = "FREQ=WEEKLY;COUNT=3", **more: Any) -> dict[str, Any]:
    request = BookingRequest(world.room.id, at(3, 10), at(3, 11))
    return {"request": request, "rrule": rrule, "user": world.alice, "now": NOW, **more}


def test_a_series_repeats_on_the_wall_clock_across_the_change_of_the_clocks(world: BookingWorld) -> None:
    made = bookings.book_series(world.session, **weekly(world, rrule="RRULE:FREQ=WEEKLY;COUNT=5"))

    assert [booking.start_at.hour for booking in made] == [9, 9, 9, 9, 8]
    assert len({booking.series_id for booking in made}) == 1


def test_conflicts_are_shown_one_by_one_and_nothing_is_written(world: BookingWorld) -> None:
    world.book(at(10, 10, 30), at(10, 11, 30), user=world.charlie)

    with pytest.raises(SeriesConflict) as caught:
        bookings.book_series(world.session, **weekly(world))

    assert [type(each.trouble).__name__ for each in caught.value.occurrences] == ["NoneType", "Taken", "NoneType"]
    assert world.session.scalar(select(func.count()).where(Booking.user_id == world.alice.id)) == 0


def test_what_is_skipped_is_never_written_and_what_is_moved_goes_there(world: BookingWorld) -> None:
    world.book(at(10, 10), at(10, 11), user=world.charlie)

    made = bookings.book_series(world.session, **weekly(world, choices={1: SKIP, 2: at(17, 15)}))

    stored = world.session.scalars(select(Booking).where(Booking.user_id == world.alice.id).order_by(Booking.start_at))
    assert [(b.start_at.day, b.start_at.hour) for b in stored] == [(3, 9), (17, 14)]
    assert len(made) == 2
    assert world.session.scalar(select(func.count()).select_from(Hold)) == 3


def test_the_quota_stops_a_series_as_a_whole(world: BookingWorld) -> None:
    world.rule(at_once=2)

    with pytest.raises(SeriesConflict):
        bookings.book_series(world.session, **weekly(world))
    assert world.session.scalar(select(func.count()).select_from(Booking)) == 0


@pytest.mark.parametrize(
    ("rrule", "error"),
    [
        ("FREQ=DAILY", RuleEndless),
        ("FREQ=SECONDLY;COUNT=5", RuleTooOften),
        ("FREQ=HOURLY;COUNT=5", RuleTooOften),
        ("FREQ=DAILY;BYSECOND=1,2,3;COUNT=5", RuleTooOften),
        ("FREQ=DAILY;COUNT=1000000", RuleTooLong),
        ("FREQ=DAILY;UNTIL=29990101", RuleTooLong),
        ("FREQ=WEEKLY;UNTIL=20200101", NothingLeft),
        ("FREQ=SOMETIMES;COUNT=2", RuleTooOften),
        ("FREQ=DAILY;COUNT=2;INTERVAL=0", RuleUnreadable),
        ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;COUNT=1", NothingLeft),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;COUNT=5", RuleTooFar),
        ("FREQ=YEARLY;UNTIL=29990101", RuleTooFar),
        ("FREQ=DAILY;COUNT=-2", RuleUnreadable),
        ("FREQ=DAILY;COUNT=²", RuleUnreadable),
        ("FREQ=DAILY;COUNT=2;INTERVAL=00", RuleUnreadable),
        ("FREQ=DAILY;COUNT=2;INTERVAL=²", RuleUnreadable),
        ("FREQ=DAILY;UNTIL=20261399T000000Z", RuleUnreadable),
        ("FREQ=DAILY;COUNT=2;BYDAY=XX", RuleUnreadable),
        ("every tuesday", RuleUnreadable),
        ("FREQ=DAILY;COUNT=2\nEXDATE:20260303", RuleUnreadable),
    ],
)
def test_a_rule_that_may_not_be_used_is_a_clear_error(
    world: BookingWorld, rrule: str, error: type[DomainError]
) -> None:
    with pytest.raises(error):
        bookings.preview_series(world.session, **weekly(world, rrule=rrule))


def test_a_day_that_never_comes_is_not_looked_for_over_eight_thousand_years(
    world: BookingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts: list[datetime] = []

    def expand(text: str, dtstart: datetime) -> object:
        starts.append(dtstart)
        return rrulestr(text, dtstart=dtstart)

    monkeypatch.setattr(series, "rrulestr", expand)
    with pytest.raises(NothingLeft):
        bookings.preview_series(world.session, **weekly(world, rrule="FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30;COUNT=1"))

    # dateutil looks up to the year 9999, so the rule is expanded in the last turn of 400 years before it.
    [start] = starts
    assert start.year > 9999 - 410


def test_until_in_utc_is_the_wall_of_the_place(world: BookingWorld) -> None:
    terms = bookings.get_terms(world.session, resource_id=world.room.id, user=world.alice)

    found = occurrences_of("FREQ=DAILY;UNTIL=20260305T090000Z", start=at(3, 10), end=at(3, 11), zone=terms.zone)

    assert [each.start.day for each in found] == [3, 4, 5]


def test_an_occurrence_in_the_missing_hour_is_shown_as_such(session: Session) -> None:
    world = make_booking_world(session, hours=False)
    request = BookingRequest(world.room.id, datetime(2026, 3, 28, 2, 30), datetime(2026, 3, 28, 3, 30))  # noqa: DTZ001

    seen = bookings.preview_series(session, request=request, rrule="FREQ=DAILY;COUNT=3", user=world.alice, now=NOW)

    assert [each.trouble.code() if each.trouble else "" for each in seen] == ["", "hour-does-not-exist", ""]


def wait_for(world: BookingWorld, **more: Any) -> bookings.Wait:
    request = BookingRequest(world.room.id, at(3, 10), at(3, 11))
    return bookings.join_waitlist(world.session, **{"request": request, "user": world.charlie, "now": NOW, **more})


def test_the_first_in_line_gets_the_freed_slot_and_nobody_can_snatch_it(world: BookingWorld) -> None:
    booking = world.book(at(3, 10), at(3, 11))
    first, second = wait_for(world), wait_for(world, user=world.bob)

    bookings.cancel(world.session, booking=booking, actor=world.alice, now=NOW)

    assert (first.status, second.status) == (WaitStatus.OFFERED, WaitStatus.WAITING)
    with pytest.raises(Taken):
        world.book(at(3, 10), at(3, 11))
    taken = bookings.take_offer(world.session, wait=first, now=NOW + HOUR)
    assert (taken.user_id, taken.status) == (world.charlie.id, BookingStatus.CONFIRMED)


def test_an_offer_that_ran_out_goes_to_the_next_in_line(world: BookingWorld) -> None:
    booking = world.book(at(3, 10), at(3, 11))
    first, second = wait_for(world), wait_for(world, user=world.bob)
    bookings.cancel(world.session, booking=booking, actor=world.alice, now=NOW)

    bookings.sweep_times(world.session, now=NOW + 3 * HOUR)

    assert (first.status, second.status) == (WaitStatus.EXPIRED, WaitStatus.OFFERED)
    with pytest.raises(NoOffer):
        bookings.take_offer(world.session, wait=first, now=NOW + 3 * HOUR)


def test_one_stands_in_line_once_and_may_leave(world: BookingWorld) -> None:
    world.book(at(3, 10), at(3, 11))
    wait = wait_for(world)

    with pytest.raises(AlreadyWaiting):
        wait_for(world)
    bookings.leave_waitlist(world.session, wait=wait, now=NOW)
    assert bookings.list_own_waits(world.session, user_id=world.charlie.id, now=NOW) == []


def make_vr(world: BookingWorld, **more: Any) -> tuple[Kit, Any, Any]:
    session, site = world.session, world.site
    headset = create_resource(session, site=site, kind=ResourceKind.MACHINE, name="Casque", now=NOW)
    area = create_resource(session, site=site, kind=ResourceKind.ROOM, name="Aire", now=NOW)
    items = [("Casque", "S-1"), ("Manette", "S-2")]
    return (
        create_kit(session, site=site, name="VR", members=[headset, area], items=items, now=NOW, **more),
        headset,
        area,
    )


def test_a_kit_is_held_together_or_not_at_all(world: BookingWorld) -> None:
    kit, headset, area = make_vr(world)
    world.book(at(3, 10), at(3, 11), resource_id=area.id, user=world.charlie)

    with pytest.raises(Taken):
        world.book(at(3, 10), at(3, 11), resource_id=kit.id)
    assert world.session.scalar(select(func.count()).where(Hold.resource_id == headset.id)) == 0
    booking = world.book(at(3, 11), at(3, 12), resource_id=kit.id)
    assert len(bookings.list_holds_of(world.session, booking)) == 3
    with pytest.raises(Taken):
        world.book(at(3, 11), at(3, 12), resource_id=headset.id)


def test_a_moved_kit_moves_all_its_members(world: BookingWorld) -> None:
    kit, _, area = make_vr(world)
    booking = world.book(at(3, 11), at(3, 12), resource_id=kit.id)
    world.book(at(3, 14), at(3, 15), resource_id=area.id, user=world.charlie)

    with pytest.raises(Taken):
        bookings.move(world.session, booking=booking, start=at(3, 14), end=at(3, 15), actor=world.alice, now=NOW)
    bookings.move(world.session, booking=booking, start=at(3, 12), end=at(3, 13), actor=world.alice, now=NOW)

    assert {held.start.hour for held in bookings.list_holds_of(world.session, booking)} == {11}


def test_the_checklist_names_every_item_and_no_other(world: BookingWorld) -> None:
    kit, _, _ = make_vr(world)
    booking = world.book(at(2, 10), at(2, 12), resource_id=kit.id)
    given: dict[str, Any] = {"booking": booking, "actor": world.bob, "now": booking.start_at}

    with pytest.raises(ChecklistIncomplete, match="Manette"):
        bookings.hand_out(world.session, checks=[ItemCheck("S-1")], **given)
    with pytest.raises(NotAnItem):
        bookings.hand_out(world.session, checks=[ItemCheck("S-1"), ItemCheck("S-2"), ItemCheck("S-9")], **given)
    with pytest.raises(StaffOnly):
        bookings.hand_out(world.session, checks=[], **{**given, "actor": world.alice})
    bookings.hand_out(world.session, checks=[ItemCheck("S-1"), ItemCheck("S-2")], **given)
    assert booking.status == BookingStatus.CHECKED_IN


def test_a_damaged_item_takes_the_kit_out_of_service_and_tells_those_who_booked(world: BookingWorld) -> None:
    kit, _, _ = make_vr(world, deposit_cents=5000)
    booking = world.book(at(2, 10), at(2, 12), resource_id=kit.id)
    world.book(at(4, 10), at(4, 12), resource_id=kit.id, user=world.charlie)
    items = [ItemCheck("S-1"), ItemCheck("S-2")]
    bookings.hand_out(world.session, booking=booking, checks=items, actor=world.bob, now=booking.start_at)

    broken = [ItemCheck("S-1", Condition.DAMAGED), ItemCheck("S-2")]
    bookings.take_back(
        world.session, booking=booking, checks=broken, actor=world.bob, now=booking.end_at, text="verre fendu"
    )
    send_due(world.session, now=booking.end_at)
    send_due(world.session, now=booking.end_at)

    assert booking.status == BookingStatus.CHECKED_OUT
    with pytest.raises(OutOfService):
        world.book(at(5, 10), at(5, 12), resource_id=kit.id)
    letters = world.session.scalars(select(Mail).where(Mail.kind == "kit_out")).all()
    assert [letter.user_id for letter in letters] == [world.charlie.id]
    put_in_service(world.session, kit=kit, actor=world.bob, now=NOW)
    assert world.book(at(5, 10), at(5, 12), resource_id=kit.id).id


def test_a_kit_is_made_of_things_of_its_place(world: BookingWorld) -> None:
    elsewhere = create_site(world.session, slug="other", name="Other", now=NOW)

    with pytest.raises(MemberElsewhere):
        create_kit(world.session, site=elsewhere, name="VR", members=[world.room], items=[], now=NOW)


def test_each_letter_is_written_once_and_again_after_a_move(world: BookingWorld) -> None:
    booking = world.book(at(3, 10), at(3, 11))
    for _ in range(2):
        send_due(world.session, now=NOW)
    bookings.move(world.session, booking=booking, start=at(3, 12), end=at(3, 13), actor=world.alice, now=NOW)
    send_due(world.session, now=NOW)

    subjects = world.session.scalars(select(Mail.subject).where(Mail.user_id == world.alice.id).order_by(Mail.id)).all()
    assert subjects == [
        "Réservé\u202f: Salle, mardi 3 mars 2026 à 10:00",
        "Déplacé\u202f: Salle, mardi 3 mars 2026 à 12:00",
    ]


def test_maintenance_cancels_bookings(world: BookingWorld) -> None:
    booking = world.book(at(3, 10), at(3, 11))
    start = datetime(2026, 3, 3, 7, tzinfo=UTC)

    closing.maintain(
        world.session,
        resource=world.room,
        start=start,
        end=start + 12 * HOUR,
        note="peinture",
        actor=world.bob,
        now=NOW,
    )

    assert booking.status == BookingStatus.CANCELLED
    with pytest.raises(Taken):
        world.book(at(3, 10), at(3, 11))


@pytest.fixture
def workshop(session: Session) -> printing.World:
    return printing.make_world(session)


def book_printer(session: Session, workshop: printing.World, *, hours: float) -> Booking:
    start = printing.NOW + timedelta(hours=hours)
    request = BookingRequest(workshop.printer.id, start, start + HOUR)
    return bookings.book(session, request=request, user=workshop.alice, now=printing.NOW)


def test_a_booked_printer_is_fed_only_what_ends_before_the_booking(session: Session, workshop: printing.World) -> None:
    printing.make_sliced(session, workshop.site, workshop.alice, seconds=7200)
    booking = book_printer(session, workshop, hours=2)

    assert runs.claim_next(session, printer_id=workshop.printer.id, now=printing.NOW) is None
    bookings.cancel(session, booking=booking, actor=workshop.alice, now=printing.NOW)
    assert runs.claim_next(session, printer_id=workshop.printer.id, now=printing.NOW) is not None


def test_nobody_books_into_a_running_print(session: Session, workshop: printing.World) -> None:
    printing.make_sliced(session, workshop.site, workshop.alice, seconds=3600)
    printing.make_run(session, workshop.printer)

    with pytest.raises(Taken):
        book_printer(session, workshop, hours=1)
    assert book_printer(session, workshop, hours=2).id


def test_an_overrun_warns_staff_and_the_next_person_once_and_eats_no_booking(
    session: Session, workshop: printing.World
) -> None:
    printing.make_sliced(session, workshop.site, workshop.alice, seconds=3000)
    run = printing.make_run(session, workshop.printer)
    booking = book_printer(session, workshop, hours=1.25)
    assert run.hold is not None
    run.left_s = 3600
    late = run.hold.end

    for _ in range(2):
        runs.keep_hold(session, run=run, now=late)
        warn_overrun(session, run_id=str(run.id), now=late)

    letters = session.scalars(select(Mail).where(Mail.kind == "run_overruns")).all()
    assert {letter.user_id for letter in letters} == {workshop.bob.id, workshop.alice.id}
    assert len(letters) == 2
    assert bookings.list_holds_of(session, booking)[0].start == booking.start_at
