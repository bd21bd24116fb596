"""Letters about bookings: one for each change, with its end, its reason, and until when cancelling is free."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.booking import bookings, closing
from api.domain.booking.bookings import BookingStatus, ItemCheck
from api.domain.booking.kits import create_kit
from api.domain.messages import reminders
from api.domain.messages.notifications import Mail
from api.domain.messages.reminders import send_due
from api.domain.places.conventions import Convention, resume_convention, sign_convention, suspend_convention
from tests.world import HOUR, MINUTE
from tests.world.booking import NOW, BookingWorld, at, make_booking_world


@pytest.fixture
def world(session: Session) -> BookingWorld:
    return make_booking_world(session)


def letters(world: BookingWorld, *, now: datetime = NOW) -> list[Mail]:
    """All of alice, after those that are due."""
    send_due(world.session, now=now)
    return list(world.session.scalars(select(Mail).where(Mail.user_id == world.alice.id).order_by(Mail.id)))


@pytest.mark.parametrize("moves", [[(3, 10, 11)], [(4, 10, 12), (3, 10, 12)], [(3, 10, 13), (3, 10, 12)]])
def test_every_change_of_a_booking_is_written_to_its_person(
    world: BookingWorld, moves: list[tuple[int, int, int]]
) -> None:
    booking = world.book(at(3, 10), at(3, 12))
    letters(world)
    for day, start, end in moves:
        move: dict[str, Any] = {"start": at(day, start), "end": at(day, end), "actor": world.bob, "now": NOW}
        bookings.move(world.session, booking=booking, **move)
        letters(world)
        letters(world)

    kinds = [letter.kind for letter in letters(world)]
    assert kinds == ["booking_confirmed"] + ["booking_moved"] * len(moves)
    bodies = [letter.body for letter in letters(world)]
    assert len(bodies) == 1 + len(moves)
    assert [f"à {start}:00 – {end}:00." in body for body, (_, start, end) in zip(bodies[1:], moves, strict=True)] == [
        True
    ] * len(moves)


def test_a_letter_says_until_when_cancelling_is_free(world: BookingWorld) -> None:
    world.rule(cancel_minutes=1440, late_fee_cents=500)
    world.book(at(5, 10), at(5, 12))
    (letter,) = letters(world)
    assert "Annulation sans frais jusqu’au mercredi 4 mars 2026 à 10:00." in letter.body


def test_who_loses_a_booking_to_a_closure_reads_why(world: BookingWorld) -> None:
    booking = world.book(at(3, 10), at(3, 12))
    letters(world)
    tuesday = date(2026, 3, 3)
    facts: dict[str, Any] = {"first_on": tuesday, "last_on": tuesday, "actor": world.bob, "now": NOW}
    closing.close_days(world.session, site=world.site, reason="Travaux de toiture.", **facts)

    assert booking.cancelled_why == "Travaux de toiture."
    assert "est annulée. Motif\u202f: Travaux de toiture." in letters(world)[-1].body


def sign_evenings(world: BookingWorld) -> Convention:
    march: dict[str, Any] = {"signed_on": date(2026, 3, 1), "starts_on": date(2026, 3, 1), "ends_on": date(2026, 3, 31)}
    return sign_convention(
        world.session, site=world.site, party=world.alice, people=[world.alice], areas=[], actor=world.bob, now=NOW,
        hours=[(day, time(20), time(23)) for day in range(7)], **march,
    )  # fmt: skip


def test_who_has_a_booking_under_a_suspended_convention_is_told_each_time(world: BookingWorld) -> None:
    convention = sign_evenings(world)
    evening, day = world.book(at(3, 20), at(3, 22)), world.book(at(3, 10), at(3, 11))
    letters(world)

    for hours in (1, 2):
        now = NOW + hours * HOUR
        suspend_convention(world.session, convention=convention, actor=world.bob, now=now)
        letters(world, now=now)
        letters(world, now=now)
        resume_convention(world.session, convention=convention, actor=world.bob, now=now)

    kinds = [letter.about for letter in letters(world) if letter.kind == "convention_suspended"]
    assert [about.split(":")[1] for about in kinds] == [str(evening.id)] * 2
    assert day.status == BookingStatus.CONFIRMED


def test_all_bookings_under_a_suspended_convention_are_told_of(
    world: BookingWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A letter leaves no mark on its booking: with at most so many at a time, the rest would never have their turn.
    monkeypatch.setattr(reminders, "BATCH", 1)
    convention = sign_evenings(world)
    booked = [world.book(at(day, 20), at(day, 22)) for day in (3, 4)]
    suspend_convention(world.session, convention=convention, actor=world.bob, now=NOW)

    told = [letter.about for letter in letters(world) if letter.kind == "convention_suspended"]

    assert [about.split(":")[1] for about in told] == [str(booking.id) for booking in booked]


def test_a_kit_that_is_not_back_is_written_about_once(world: BookingWorld) -> None:
    kit = create_kit(world.session, site=world.site, name="VR", members=[], items=[("Casque", "S-1")], now=NOW)
    booking = world.book(at(3, 10), at(3, 12), resource_id=kit.id)
    checks, start = [ItemCheck("S-1")], datetime(2026, 3, 3, 9, tzinfo=UTC)
    bookings.hand_out(world.session, booking=booking, checks=checks, actor=world.bob, now=start)

    for now in (booking.end_at + 14 * MINUTE, booking.end_at + 16 * MINUTE, booking.end_at + HOUR):
        send_due(world.session, now=now)

    late = world.session.scalars(select(Mail).where(Mail.kind == "kit_late").order_by(Mail.user_id)).all()
    assert {mail.user_id for mail in late} == {world.alice.id, world.bob.id}
    assert {mail.created_at for mail in late} == {booking.end_at + 16 * MINUTE}


def test_a_kit_that_came_back_is_not_written_about(world: BookingWorld) -> None:
    kit = create_kit(world.session, site=world.site, name="VR", members=[], items=[("Casque", "S-1")], now=NOW)
    booking = world.book(at(3, 10), at(3, 12), resource_id=kit.id)
    checks = [ItemCheck("S-1")]
    for verb, now in ((bookings.hand_out, booking.start_at), (bookings.take_back, booking.end_at)):
        verb(world.session, booking=booking, checks=checks, actor=world.bob, now=now)
    send_due(world.session, now=booking.end_at + timedelta(hours=1))
    assert world.session.scalar(select(Mail.id).where(Mail.kind == "kit_late")) is None


def test_a_move_that_asks_again_and_its_approval_are_called_so(world: BookingWorld) -> None:
    world.rule(needs_approval=True)
    booking = world.book(at(3, 10), at(3, 12))
    letters(world)
    bookings.approve(world.session, booking=booking, actor=world.bob, now=NOW)
    letters(world)
    bookings.move(world.session, booking=booking, start=at(4, 10), end=at(4, 12), actor=world.alice, now=NOW)
    letters(world)
    bookings.approve(world.session, booking=booking, actor=world.bob, now=NOW)
    kinds = [letter.kind for letter in letters(world)]
    assert kinds == ["booking_requested", "booking_confirmed", "booking_requested", "booking_confirmed"]
