"""Who is written to, when, and about what: offers, what ends soon, and what needs no letter any more."""

from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.booking import bookings
from api.domain.booking.bookings import BookingRequest, BookingStatus, Wait, WaitStatus
from api.domain.messages.notifications import Mail
from api.domain.messages.reminders import AHEAD, send_due, warn_overrun
from api.domain.people.accounts import Locale
from api.domain.places import conventions
from api.domain.places.skills import authorise, create_skill
from api.domain.places.timeline import HoldReason, create_hold
from api.domain.printing import runs
from tests import world as printing
from tests.world import HOUR
from tests.world.booking import NOW, BookingWorld, at, make_booking_world


@pytest.fixture
def world(session: Session) -> BookingWorld:
    return make_booking_world(session)


def letters(session: Session, kind: str) -> list[Mail]:
    return list(session.scalars(select(Mail).where(Mail.kind == kind).order_by(Mail.id)))


def test_who_is_offered_a_freed_slot_hears_until_when_once(world: BookingWorld) -> None:
    world.charlie.locale = Locale.EN
    taken = world.book(at(3, 10), at(3, 11))
    request = BookingRequest(world.room.id, at(3, 10), at(3, 11))
    wait = bookings.join_waitlist(world.session, request=request, user=world.charlie, now=NOW)
    bookings.cancel(world.session, booking=taken, actor=world.alice, now=NOW)

    for _ in range(2):
        send_due(world.session, now=NOW)

    (letter,) = letters(world.session, "wait_offered")
    assert (letter.user_id, letter.about) == (world.charlie.id, f"wait:{wait.id}:260302100000")
    assert "kept for you until Monday 2 March 2026 at 11:00" in letter.body
    assert world.session.get_one(Wait, wait.id).status == WaitStatus.OFFERED


def test_a_booking_that_is_in_use_already_needs_no_letter(world: BookingWorld) -> None:
    booking = world.book(at(2, 9, 15), at(2, 11))
    bookings.check_in(world.session, booking=booking, actor=world.bob, now=NOW)

    send_due(world.session, now=NOW)

    assert booking.status == BookingStatus.CHECKED_IN
    assert booking.told_at == NOW
    assert world.session.scalars(select(Mail)).all() == []


@pytest.mark.parametrize(("left", "told"), [(AHEAD - HOUR, 1), (AHEAD + HOUR, 0)])
def test_an_authorisation_that_ends_soon_is_told_once(world: BookingWorld, left: timedelta, told: int) -> None:
    skill = create_skill(world.session, slug="laser", name="Découpe laser", now=NOW)
    granted = authorise(
        world.session,
        user=world.alice,
        skill=skill,
        actor=world.bob,
        site_id=world.site.id,
        now=NOW,
        expires_at=NOW + left,
    )
    for _ in range(2):
        send_due(world.session, now=NOW)

    found = letters(world.session, "skill_ends")
    assert [(each.user_id, "Découpe laser" in each.subject) for each in found] == [(world.alice.id, True)] * told
    assert (granted.warned_at is not None) == bool(told)


def test_each_person_of_a_convention_hears_once_that_it_ends(world: BookingWorld) -> None:
    terms: dict[str, Any] = {"signed_on": date(2026, 1, 1), "starts_on": date(2026, 1, 1), "ends_on": date(2026, 3, 20)}
    conventions.sign_convention(
        world.session,
        site=world.site,
        party=world.alice,
        people=[world.alice, world.charlie],
        areas=[],
        hours=[],
        actor=world.bob,
        now=NOW,
        reference="C-9",
        **terms,
    )
    for _ in range(2):
        send_due(world.session, now=NOW)

    found = letters(world.session, "convention_ends")
    assert {each.user_id for each in found} == {world.alice.id, world.charlie.id}
    assert len(found) == 2
    assert "C-9" in found[0].subject


@pytest.mark.parametrize("about", ["offer:12", None])
def test_an_overrun_into_what_is_no_booking_yet_warns_the_staff_alone(session: Session, about: str | None) -> None:
    workshop = printing.make_world(session)
    printing.make_sliced(session, workshop.site, workshop.alice)
    run = printing.make_run(session, workshop.printer)
    assert run.hold is not None
    end = run.hold.end
    if about:
        create_hold(
            session,
            resource_id=run.printer_id,
            start=end,
            end=end + HOUR,
            reason=HoldReason.BOOKING,
            now=printing.NOW,
            about_id=about,
        )

    warn_overrun(session, run_id=str(run.id), now=printing.NOW)

    assert [each.user_id for each in letters(session, "run_overruns")] == [workshop.bob.id]


def test_a_run_without_a_hold_finds_nobody_behind_it(session: Session) -> None:
    workshop = printing.make_world(session)
    printing.make_sliced(session, workshop.site, workshop.alice)
    run = runs.get_run(session, printing.make_run(session, workshop.printer).id)
    run.hold = None

    warn_overrun(session, run_id=str(run.id), now=printing.NOW)

    assert len(letters(session, "run_overruns")) == 1
