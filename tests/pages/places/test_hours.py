"""Opening hours and closures by plain forms: what is wrong with them, and what a closure cancels."""

import re
from datetime import UTC, datetime, time

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.booking import bookings, gatherings
from api.domain.booking.bookings import Booking, BookingRequest, BookingStatus
from api.domain.core.changes import Change
from api.domain.places.sites import Resource
from tests.world import NOW, World
from tests.world.browsers import Browser


def test_the_hours_of_the_week_are_replaced(manager: Browser, session: Session, world: World) -> None:
    answer = manager.post(
        "/staff/hours",
        {
            "opens-0-0": "08:00",
            "closes-0-0": "12:00",
            "opens-0-1": "20:00",
            "closes-0-1": "00:00",
            "staffed-0-0": "yes",
        },
    )
    assert answer.status_code == 303
    session.expire(world.site)
    hours = [(each.weekday, each.opens, each.closes, each.staffed) for each in world.site.hours]
    assert hours == [(0, time(8), time(12), True), (0, time(20), time(0), False)]
    assert 'value="20:00"' in manager.get("/staff/hours").text


@pytest.mark.parametrize("closes", ["", "07:00"])
def test_wrong_hours_are_said_at_their_day(manager: Browser, world: World, closes: str) -> None:
    answer = manager.post("/staff/hours", {"opens-3-0": "08:00", "closes-3-0": closes})
    assert answer.status_code == 422
    assert 'id="error-closes-3-0"' in answer.text
    assert len(world.site.hours) == 7


def test_holidays_are_switched_off_and_given_a_region(
    manager: Browser, alice: Browser, session: Session, world: World
) -> None:
    assert alice.post("/staff/holidays", {"region": "6AE"}).status_code in (403, 404)
    assert manager.post("/staff/holidays", {"region": "BZH"}).status_code == 422
    assert manager.post("/staff/holidays", {"region": "6AE", "closed_on_holidays": "yes"}).status_code == 303
    session.refresh(world.site)
    assert (world.site.closed_on_holidays, world.site.holiday_region) == (True, "6AE")
    assert '<option value="6AE" selected>' in manager.get("/staff/hours").text
    manager.post("/staff/holidays", {"region": ""})
    session.refresh(world.site)
    assert (world.site.closed_on_holidays, world.site.holiday_region) == (False, "")


def test_without_hours_the_page_says_that_nothing_can_be_booked(manager: Browser) -> None:
    assert "nothing can be booked" not in manager.get("/staff/hours").text
    manager.post("/staff/hours", {})
    assert "nothing can be booked" in manager.get("/staff/hours").text


def confirm(manager: Browser, preview: httpx.Response) -> httpx.Response:
    """Press the button of the preview."""
    fields = dict(re.findall(r'name="(first_on|last_on|reason|keep_events|cancels)" value="([^"]*)"', preview.text))
    return manager.post("/staff/closures", {**fields, "act": "close"})


def book_room(session: Session, world: World, room: Resource, *, hour: int) -> Booking:
    start = datetime(2026, 12, 1, hour, tzinfo=UTC)
    request = BookingRequest(room.id, start, start.replace(hour=hour + 1))
    return bookings.book(session, request=request, user=world.alice, now=NOW)


def test_before_a_closure_stands_who_loses_what_and_nothing_changes(
    manager: Browser, session: Session, world: World, room: Resource
) -> None:
    booking = book_room(session, world, room, hour=10)
    start = datetime(2026, 12, 1, 17, tzinfo=UTC)
    gatherings.announce(
        session,
        site=world.site,
        title="Concert",
        start=start,
        end=start.replace(hour=19),
        seats=9,
        actor=world.bob,
        now=NOW,
    )
    days = {"first_on": "2026-12-01", "reason": "Inventaire"}

    page = manager.post("/staff/closures", days).text
    assert "Alice" in page
    assert "Salle" in page
    assert "Concert" in page
    assert "Inventaire" in page
    kept = manager.post("/staff/closures", {**days, "keep_events": "yes"}).text
    assert "Concert" not in kept
    session.refresh(booking)
    session.expire(world.site)
    assert (booking.status, world.site.closures) == (BookingStatus.CONFIRMED, [])
    assert session.scalars(select(Change).where(Change.verb.in_(["closed", "cancelled"]))).all() == []
    assert "Concert" in manager.get("/agenda").text


def test_what_is_booked_after_the_preview_is_shown_before_it_is_cancelled(
    manager: Browser, session: Session, world: World, room: Resource
) -> None:
    book_room(session, world, room, hour=10)
    preview = manager.post("/staff/closures", {"first_on": "2026-12-01", "reason": "Inventaire"})
    later = book_room(session, world, room, hour=12)
    again = confirm(manager, preview)
    assert again.status_code == 409
    assert "has changed" in again.text
    session.refresh(later)
    assert later.status == BookingStatus.CONFIRMED
    assert confirm(manager, again).status_code == 303
    session.refresh(later)
    assert later.status == BookingStatus.CANCELLED


def test_closing_days_cancels_what_stood_there_and_can_be_taken_back(
    manager: Browser, session: Session, world: World, room: Resource
) -> None:
    start = datetime(2026, 12, 1, 10, tzinfo=UTC)
    made = bookings.book(
        session, request=BookingRequest(room.id, start, start.replace(hour=11)), user=world.alice, now=NOW
    )

    assert manager.post("/staff/closures", {"first_on": "2026-12-01", "reason": ""}).status_code == 422
    assert (
        manager.post("/staff/closures", {"first_on": "2026-12-01", "last_on": "2026-11-30", "reason": "x"}).status_code
        == 422
    )
    preview = manager.post("/staff/closures", {"first_on": "2026-12-01", "reason": "Inventaire"})
    assert preview.status_code == 200
    assert confirm(manager, preview).status_code == 303

    session.refresh(made)
    assert (made.status, made.fee_cents) == (BookingStatus.CANCELLED, 0)
    session.expire(world.site)
    (closure,) = world.site.closures
    assert "Inventaire" in manager.get("/staff/hours").text
    assert manager.post(f"/staff/closures/{closure.id}/remove").status_code == 303
    session.expire(world.site)
    assert world.site.closures == []
    assert session.scalars(select(Booking).where(Booking.status == BookingStatus.CONFIRMED)).all() == []


SHORT = {f"{name}-{day}-0": at for day in range(7) for name, at in (("opens", "08:00"), ("closes", "11:00"))}


@pytest.fixture
def booking(session: Session, world: World, room: Resource) -> Booking:
    """From 10:30 on, of Alice, on the clock of the place."""
    return book_room(session, world, room, hour=10)


def settle(manager: Browser, preview: httpx.Response, **typed: str) -> httpx.Response:
    """Press a button of the page that shows what is outside."""
    sent = dict(re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', preview.text))
    [address] = re.findall(r'<form method="post" action="(/staff/h[a-z]+)"', preview.text)
    return manager.post(address, {**sent, **typed})


def test_who_shortens_the_hours_sees_what_is_outside_before_anything_is_saved(
    manager: Browser, session: Session, world: World, booking: Booking
) -> None:
    preview = manager.post("/staff/hours", SHORT)

    assert (preview.status_code, f"/bookings/{booking.id}" in preview.text) == (200, True)
    session.expire_all()
    assert {each.closes for each in world.site.hours} != {time(11)}
    assert settle(manager, preview, act="keep").status_code == 303
    session.expire_all()
    assert {each.closes for each in world.site.hours} == {time(11)}
    assert booking.status == BookingStatus.CONFIRMED
    # It is outside already, so it is not shown at the next change.
    assert manager.post("/staff/hours", {**SHORT, "closes-6-0": "10:30"}).status_code == 303


def test_what_is_outside_is_cancelled_with_a_reason(
    manager: Browser, session: Session, world: World, booking: Booking
) -> None:
    preview = manager.post("/staff/hours", SHORT)
    unsaid = settle(manager, preview, act="cancel")
    assert (unsaid.status_code, 'id="error-reason"' in unsaid.text) == (422, True)
    assert booking.status == BookingStatus.CONFIRMED

    assert settle(manager, unsaid, act="cancel", reason="Travaux").status_code == 303
    session.expire_all()
    assert (booking.status, booking.fee_cents, booking.cancelled_why) == (BookingStatus.CANCELLED, 0, "Travaux")
    assert {each.closes for each in world.site.hours} == {time(11)}


def test_a_booking_that_came_meanwhile_is_shown_first(
    manager: Browser, session: Session, world: World, room: Resource, booking: Booking
) -> None:
    preview = manager.post("/staff/hours", SHORT)
    other = book_room(session, world, room, hour=12)
    again = settle(manager, preview, act="cancel", reason="Travaux")

    assert (again.status_code, f"/bookings/{other.id}" in again.text) == (409, True)
    assert "have changed since you looked" in again.text
    session.expire_all()
    assert [booking.status, other.status] == [BookingStatus.CONFIRMED] * 2


def test_holidays_show_what_is_booked_on_them(manager: Browser, session: Session, world: World, room: Resource) -> None:
    manager.post("/staff/holidays", {"region": ""})
    start = datetime(2026, 12, 25, 10, tzinfo=UTC)
    bookings.book(session, request=BookingRequest(room.id, start, start.replace(hour=11)), user=world.alice, now=NOW)
    preview = manager.post("/staff/holidays", {"region": "", "closed_on_holidays": "yes"})

    session.expire_all()
    assert (preview.status_code, world.site.closed_on_holidays) == (200, False)
    assert settle(manager, preview, act="keep").status_code == 303
    session.expire_all()
    assert world.site.closed_on_holidays
