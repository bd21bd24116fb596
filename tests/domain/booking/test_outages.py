"""Bookings of what is out of service now: told, free to cancel, ended free of charge if it is not mended in time."""

from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.booking import bookings, closing
from api.domain.booking.bookings import Booking, BookingStatus, list_outages, sweep_times
from api.domain.booking.kits import Kit, create_kit, put_in_service, take_out_of_service
from api.domain.booking.rules import Policy, set_rule
from api.domain.messages.notifications import Mail
from api.domain.messages.reminders import notify_repair, send_due
from api.domain.people.accounts import Locale
from api.domain.places.sites import ResourceKind
from api.domain.printing.maintenance import set_maintenance
from tests import world as printing
from tests.world import HOUR, MINUTE
from tests.world.booking import NOW, BookingWorld, at


@pytest.fixture
def kit(world: BookingWorld) -> Kit:
    world.alice.locale = Locale.EN
    policy = Policy(cancel_minutes=24 * 60, late_fee_cents=700, no_show_minutes=15)
    set_rule(world.session, site=world.site, kind=ResourceKind.VR_KIT, policy=policy, now=NOW)
    return create_kit(world.session, site=world.site, name="VR", members=[], items=[("Casque", "S-1")], now=NOW)


def book_kit(world: BookingWorld, kit: Kit) -> Booking:
    return world.book(at(3, 10), at(3, 12), resource_id=kit.id)


def break_kit(world: BookingWorld, kit: Kit) -> None:
    take_out_of_service(world.session, kit=kit, item=kit.items[0], why="fendu", actor=world.bob, now=NOW)


def letters(world: BookingWorld, kind: str) -> list[Mail]:
    return list(world.session.scalars(select(Mail).where(Mail.kind == kind).order_by(Mail.id)))


def test_a_broken_kit_is_an_outage_with_its_reason(world: BookingWorld, kit: Kit) -> None:
    ids = [kit.id, world.room.id]
    assert list_outages(world.session, resource_ids=ids, now=NOW) == {}
    break_kit(world, kit)
    assert list_outages(world.session, resource_ids=ids, now=NOW) == {kit.id: "fendu"}
    put_in_service(world.session, kit=kit, actor=world.bob, now=NOW)
    assert list_outages(world.session, resource_ids=ids, now=NOW) == {}


def test_a_printer_in_maintenance_is_an_outage_until_it_is_back(session: Session) -> None:
    world = printing.make_world(session)
    for on, outages in ((True, {world.printer.id: "buse"}), (False, {})):
        set_maintenance(session, printer=world.printer, on=on, note="buse", actor=world.bob, now=printing.NOW)
        assert list_outages(session, resource_ids=[world.printer.id], now=printing.NOW) == outages


def test_maintenance_that_is_planned_for_some_hours_is_no_outage(world: BookingWorld) -> None:
    closing.maintain(
        world.session, resource=world.room, start=NOW, end=NOW + HOUR, note="peinture", actor=world.bob, now=NOW
    )
    assert list_outages(world.session, resource_ids=[world.room.id], now=NOW) == {}


def test_cancelling_what_is_out_of_service_is_free_however_late(world: BookingWorld, kit: Kit) -> None:
    booking = book_kit(world, kit)
    late = booking.start_at - HOUR
    assert not bookings.may_cancel_free(world.session, booking=booking, now=late)
    break_kit(world, kit)
    assert bookings.may_cancel_free(world.session, booking=booking, now=late)
    bookings.cancel(world.session, booking=booking, actor=world.alice, now=late)
    assert booking.fee_cents == 0


def test_what_is_not_mended_at_the_start_is_cancelled_and_no_absence(world: BookingWorld, kit: Kit) -> None:
    booking = book_kit(world, kit)
    send_due(world.session, now=NOW)
    break_kit(world, kit)
    sweep_times(world.session, now=booking.start_at - MINUTE)
    assert booking.status == BookingStatus.CONFIRMED
    sweep_times(world.session, now=booking.start_at + 15 * MINUTE)

    assert (booking.status, booking.fee_cents) == (BookingStatus.CANCELLED, 0)
    assert [hold.end for hold in bookings.list_holds_of(world.session, booking)] == [booking.start_at + 15 * MINUTE]
    send_due(world.session, now=booking.start_at + 15 * MINUTE)
    (letter,) = letters(world, "booking_cancelled")
    assert "Reason: fendu." in letter.body


def test_a_sweep_that_comes_after_the_end_bills_no_absence(world: BookingWorld, kit: Kit) -> None:
    booking = book_kit(world, kit)
    break_kit(world, kit)
    sweep_times(world.session, now=booking.end_at + HOUR)
    assert (booking.status, booking.fee_cents) == (BookingStatus.CANCELLED, 0)


@pytest.mark.parametrize(
    ("begins", "expected"),
    [(-HOUR, BookingStatus.CANCELLED), (3 * HOUR, BookingStatus.NO_SHOW)],
    ids=["before", "after"],
)
def test_so_with_a_printer_in_maintenance(world: BookingWorld, begins: timedelta, expected: BookingStatus) -> None:
    printer = printing.make_printer(world.session, world.site)
    policy = Policy(late_fee_cents=700, no_show_minutes=15)
    set_rule(world.session, site=world.site, kind=ResourceKind.PRINTER, policy=policy, now=NOW)
    booking = world.book(at(3, 10), at(3, 12), resource_id=printer.id, user=world.bob)
    begin = booking.start_at + begins
    set_maintenance(world.session, printer=printer, on=True, note="buse", actor=world.bob, now=begin)
    sweep_times(world.session, now=booking.end_at + 2 * HOUR)
    assert booking.status == expected


def test_what_broke_after_the_end_leaves_the_absence_as_it_was(world: BookingWorld, kit: Kit) -> None:
    booking = book_kit(world, kit)
    take_out_of_service(
        world.session, kit=kit, item=kit.items[0], why="fendu", actor=world.bob, now=booking.end_at + MINUTE
    )
    sweep_times(world.session, now=booking.end_at + HOUR)
    assert booking.status == BookingStatus.NO_SHOW


def test_what_is_mended_in_time_stays_booked(world: BookingWorld, kit: Kit) -> None:
    booking = book_kit(world, kit)
    break_kit(world, kit)
    put_in_service(world.session, kit=kit, actor=world.bob, now=NOW)
    sweep_times(world.session, now=booking.start_at)
    assert booking.status == BookingStatus.CONFIRMED


def test_what_was_begun_before_it_broke_is_not_cancelled(world: BookingWorld, kit: Kit) -> None:
    booking = book_kit(world, kit)
    bookings.check_in(world.session, booking=booking, actor=world.bob, now=booking.start_at)
    break_kit(world, kit)
    sweep_times(world.session, now=booking.start_at + MINUTE)
    assert booking.status == BookingStatus.CHECKED_IN


def test_the_letter_says_what_happens_and_another_follows_the_repair(world: BookingWorld, kit: Kit) -> None:
    book_kit(world, kit)
    break_kit(world, kit)
    since = kit.out_of_service_at
    assert since is not None
    send_due(world.session, now=NOW)
    (letter,) = letters(world, "kit_out")
    assert "cancelled free of charge" in letter.body

    put_in_service(world.session, kit=kit, actor=world.bob, now=NOW)
    steps = [step for step in world.session.info["steps"] if step[0] == "notify_repair"]
    assert [step[2] for step in steps] == [{"resource_id": kit.id, "since": since.isoformat()}]
    for _ in range(2):
        notify_repair(world.session, resource_id=kit.id, since=since.isoformat(), now=NOW)
    (letter,) = letters(world, "out_over")
    assert "can be used again" in letter.body


def test_who_was_not_told_of_the_outage_hears_of_no_repair(world: BookingWorld, kit: Kit) -> None:
    book_kit(world, kit)
    break_kit(world, kit)
    since = kit.out_of_service_at
    assert since is not None
    put_in_service(world.session, kit=kit, actor=world.bob, now=NOW)
    notify_repair(world.session, resource_id=kit.id, since=since.isoformat(), now=NOW)
    assert letters(world, "out_over") == []
