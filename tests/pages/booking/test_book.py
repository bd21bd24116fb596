"""The pages of booking, by plain forms: what a person without JavaScript sees and does."""

import re
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.booking import bookings, gatherings
from api.domain.booking.bookings import Booking, BookingRequest, BookingStatus, Wait
from api.domain.booking.rules import Policy, set_rule
from api.domain.places.calendar import local_instant
from api.domain.places.sites import Resource, ResourceKind, create_resource
from api.domain.places.skills import create_skill
from api.domain.pricing.prices import BookingRates
from tests.world import NOW, World, make_run, make_site, make_sliced
from tests.world.browsers import Browser
from tests.world.multiply import multiply

TOMORROW = {"day": "2026-11-24", "at": "10:00", "minutes": "60"}


def only(session: Session) -> Booking:
    return session.scalars(select(Booking)).one()


def test_a_free_slot_is_two_clicks_from_booked(alice: Browser, session: Session, room: Resource) -> None:
    page = alice.get("/book?kind=room").text
    slot = re.search(rf'href="(/book/{room.id}\?start=[^"]*)"', page)
    assert slot, page
    form = alice.get(slot[1].replace("&amp;", "&")).text
    typed = {name: value(form, name) for name in ("day", "at", "minutes", "offset", "given")}

    answer = alice.post(f"/book/{room.id}", {**typed, "act": "book"})

    assert answer.status_code == 303, answer.text
    assert answer.headers["location"] == f"/bookings/{only(session).id}"
    assert "Confirmed" in alice.get(answer.headers["location"]).text


def value(page: str, name: str) -> str:
    found = re.search(rf'name="{name}"[^>]*value="([^"]*)"', page)
    assert found, name
    return found[1].replace("&#43;", "+")


def test_who_comes_second_sees_why_and_the_next_free_slots(alice: Browser, charlie: Browser, room: Resource) -> None:
    alice.post(f"/book/{room.id}", {**TOMORROW, "act": "book"})

    answer = charlie.post(f"/book/{room.id}", {**TOMORROW, "act": "book"})

    assert answer.status_code == 409
    assert "already taken" in answer.text
    assert answer.text.count(f'class="button" href="/book/{room.id}?start=2026-11-24T') == 3
    assert charlie.post(f"/book/{room.id}/wait", TOMORROW).status_code == 303
    assert "Salle" in charlie.get("/agenda").text


@pytest.mark.parametrize(
    "typed",
    [
        {"day": ""},
        {"at": "25:00"},
        {"minutes": "7"},
        {"minutes": "9" * 15},
        {"minutes": "-60"},
        {"day": "2026-11-22"},
        {"day": "0001-01-01", "at": "00:00"},
        {"day": "9999-12-31", "at": "23:30"},
        {"day": "9999-12-30"},
    ],
)
def test_a_wrong_form_comes_back_with_what_was_typed(
    alice: Browser, session: Session, room: Resource, typed: dict[str, str]
) -> None:
    answer = alice.post(f"/book/{room.id}", {**TOMORROW, **typed, "act": "book"})

    assert answer.status_code == 422
    assert 'class="error"' in answer.text
    assert session.scalars(select(Booking)).all() == []


def test_a_series_wants_to_know_how_often(alice: Browser, room: Resource) -> None:
    answer = alice.post(f"/book/{room.id}/series", {**TOMORROW, "repeat": "", "count": "3"})
    assert answer.status_code == 422
    assert 'id="error-repeat"' in answer.text
    assert "<details open><summary>Repeat" in answer.text


def test_a_taken_slot_that_is_opened_by_a_link_says_so(alice: Browser, charlie: Browser, room: Resource) -> None:
    alice.post(f"/book/{room.id}", {**TOMORROW, "act": "book"})
    page = charlie.get(f"/book/{room.id}?start=2026-11-24T10:00&minutes=60").text
    assert "already taken" in page
    assert "Free of charge" not in page


def test_ones_own_booking_is_drawn_with_its_own_hours(
    alice: Browser, session: Session, world: World, room: Resource
) -> None:
    policy = Policy(before_minutes=15, after_minutes=30)
    set_rule(session, site=world.site, resource=room, policy=policy, now=NOW)
    alice.post(f"/book/{room.id}", {**TOMORROW, "act": "book"})
    page = alice.get(f"/book/{room.id}").text
    assert '<b>Yours</b> <span class="num">10:00–11:00</span>' in page
    assert 'class="buffer"' in page


@pytest.mark.parametrize(("at", "may_arrive"), [("13:15", True), ("13:30", False)])  # at the place it is 13:00
def test_one_says_that_one_is_there_from_a_quarter_of_an_hour_before(
    alice: Browser, bob: Browser, session: Session, room: Resource, at: str, may_arrive: bool
) -> None:
    alice.post(f"/book/{room.id}", {"day": "2026-11-23", "at": at, "minutes": "60", "act": "book"})
    path = f"/bookings/{only(session).id}"
    page = alice.get(path).text
    assert ("I have arrived" in page) is may_arrive
    assert ('class="button main" href="' + path + '/calendar.ics"' in page) is not may_arrive
    assert "Nobody came" not in bob.get(path).text  # it has not begun


def test_the_page_says_what_one_lacks(alice: Browser, session: Session, world: World, room: Resource) -> None:
    skill = create_skill(session, slug="laser", name="Découpe laser", now=NOW)
    set_rule(session, site=world.site, resource=room, policy=Policy(skill_id=skill.id), now=NOW)

    assert "Découpe laser" in alice.get(f"/book/{room.id}").text
    assert alice.post(f"/book/{room.id}", {**TOMORROW, "act": "book"}).status_code == 403


def test_it_is_moved_and_cancelled(alice: Browser, session: Session, room: Resource) -> None:
    alice.post(f"/book/{room.id}", {**TOMORROW, "act": "book"})
    booking = only(session)

    assert alice.post(f"/bookings/{booking.id}/move", {**TOMORROW, "at": "15:00"}).status_code == 303
    assert booking.start_at.hour == 14
    assert alice.post(f"/bookings/{booking.id}/cancel").status_code == 303
    session.refresh(booking)
    assert booking.status == BookingStatus.CANCELLED
    assert alice.post(f"/bookings/{booking.id}/cancel").status_code == 409


def test_its_page_shows_the_week_to_move_in_and_fills_the_form_from_it(
    alice: Browser, session: Session, room: Resource
) -> None:
    alice.post(f"/book/{room.id}", {**TOMORROW, "day": "2026-12-03", "act": "book"})
    path = f"/bookings/{only(session).id}"

    assert f'href="{path}?start=2026-12-04T09:00' in alice.get(path).text  # its own week, not this one
    assert f'href="{path}?start=2026-12-11T09:00' in alice.get(f"{path}?week=2").text
    filled = alice.get(f"{path}?start=2026-12-04T09:00&minutes=90").text
    assert [value(filled, name) for name in ("day", "at", "minutes")] == ["2026-12-04", "09:00", "90"]
    alice.post(f"{path}/cancel")
    assert "data-week" not in alice.get(path).text


def test_a_stranger_gets_404_and_nobody_goes_to_the_login(
    alice: Browser, charlie: Browser, anonymous: Any, session: Session, room: Resource
) -> None:
    alice.post(f"/book/{room.id}", {**TOMORROW, "act": "book"})
    path = f"/bookings/{only(session).id}"

    assert charlie.get(path).status_code == 404
    assert charlie.post(f"{path}/cancel").status_code == 404
    assert anonymous.get(path).status_code == 303
    assert alice.get(f"{path}/calendar.ics").headers["content-type"].startswith("text/calendar")


def test_the_offer_says_the_price_or_why_not_and_what_is_next(
    alice: Browser, charlie: Browser, session: Session, world: World, room: Resource
) -> None:
    rates = BookingRates(tiers=((0, Decimal(8)),))
    set_rule(session, site=world.site, resource=room, policy=Policy(rates=rates), now=NOW)
    offer = f"/book/{room.id}/offer"

    assert "€9.60" in charlie.get(offer, params=TOMORROW).text  # with VAT
    alice.post(f"/book/{room.id}", {**TOMORROW, "act": "book"})
    taken = charlie.get(offer, params=TOMORROW).text
    assert "already taken" in taken
    assert taken.count("?start=2026-11-24T") == 3
    assert "Join the waitlist" in taken
    late = charlie.get(offer, params={**TOMORROW, "at": "23:00"}).text
    assert "outside opening hours" in late
    assert "Join the waitlist" not in late
    assert "<p" not in charlie.get(offer, params={"minutes": "60"}).text


def test_an_offer_is_taken_on_its_page_or_left_to_the_next(
    alice: Browser, bob: Browser, charlie: Browser, session: Session, room: Resource
) -> None:
    alice.post(f"/book/{room.id}", {**TOMORROW, "act": "book"})
    for waiting in (charlie, bob):
        assert waiting.post(f"/book/{room.id}/wait", TOMORROW).status_code == 303
    first, second = session.scalars(select(Wait).order_by(Wait.id))
    assert "we will e-mail you when it is free" in charlie.get(f"/waits/{first.id}").text
    assert charlie.post(f"/waits/{first.id}/take").status_code == 409

    alice.post(f"/bookings/{only(session).id}/cancel")
    assert "Take this slot" in charlie.get(f"/waits/{first.id}").text
    assert alice.get(f"/waits/{first.id}").status_code == 404
    assert charlie.post(f"/waits/{first.id}/leave").status_code == 303
    assert "This offer has ended" in charlie.get(f"/waits/{first.id}").text
    assert "/bookings/" in bob.post(f"/waits/{second.id}/take").headers["location"]
    assert "This slot is yours" in bob.get(f"/waits/{second.id}").text


def test_the_staff_see_a_print_in_the_calendar_as_what_it_is(
    alice: Browser, bob: Browser, session: Session, world: World
) -> None:
    job = make_sliced(session, world.site, world.alice)
    make_run(session, world.printer)

    assert f'href="/jobs/{job.id}"' in bob.get("/staff/calendar").text
    week = alice.get(f"/book/{world.printer.id}").text
    assert "Print job" in week
    assert "crochet" not in week


def test_the_staff_calendar_names_people_and_is_closed_to_members(
    alice: Browser, bob: Browser, world: World, room: Resource
) -> None:
    alice.post(f"/book/{room.id}", {**TOMORROW, "act": "book"})

    assert "Alice" in bob.get("/staff/calendar").text
    assert alice.get("/staff/calendar").status_code == 403


def test_one_registers_for_a_gathering(alice: Browser, session: Session, world: World) -> None:
    start, end = NOW.replace(day=25), NOW.replace(day=25, hour=14)
    made = gatherings.announce(
        session, site=world.site, title="Concert", start=start, end=end, seats=1, actor=world.bob, now=NOW
    )

    assert "Concert" in alice.get("/agenda").text
    assert alice.post(f"/gatherings/{made.slug}/register").status_code == 303
    assert "Your seat is reserved" in alice.get(f"/gatherings/{made.slug}").text
    assert alice.post(f"/gatherings/{made.slug}/withdraw").status_code == 303


def test_the_secret_calendar_address_is_shown_once(alice: Browser) -> None:
    page = alice.post("/agenda/feed").text
    address = re.search(r"/feeds/[\w-]+\.ics", page)

    assert address
    assert "BEGIN:VCALENDAR" in alice.get(address[0]).text


def test_a_booking_of_what_was_retired_is_still_cancelled_on_its_page(
    alice: Browser, session: Session, room: Resource
) -> None:
    alice.post(f"/book/{room.id}", {**TOMORROW, "act": "book"})
    booking = only(session)
    room.retired_at = NOW
    session.flush()

    page = alice.get(f"/bookings/{booking.id}").text
    assert "data-week" not in page
    assert f'action="/bookings/{booking.id}/cancel"' in page
    assert alice.post(f"/bookings/{booking.id}/cancel").status_code == 303


def test_the_agenda_shows_each_place_on_its_own_clock(alice: Browser, session: Session, world: World) -> None:
    for zone in ("Indian/Reunion", "America/Guadeloupe"):
        site = make_site(session, zone, timezone=zone)
        thing = create_resource(session, site=site, kind=ResourceKind.ROOM, name=zone, now=NOW)
        start = local_instant(site.zone, date(2026, 11, 26), time(10))
        request = BookingRequest(thing.id, start, start + timedelta(hours=1))
        bookings.book(session, request=request, user=world.alice, now=NOW)

    shown = re.findall(r">([^<>]*\d\d:\d\d)</time>", alice.get("/agenda").text)
    assert shown == ["Thu 26 Nov 10:00", "11:00"] * 2


def test_more_things_than_a_page_holds_are_on_the_next_and_found_by_name(
    alice: Browser, session: Session, room: Resource
) -> None:
    multiply(session, room, 39, name="'Bureau ' || lpad(n::text, 2, '0')")
    page = alice.get("/book?kind=room").text
    assert "30 of 40" in page
    following = re.findall(r'href="([^"]*)" rel="next">Next →', page)[0].replace("&amp;", "&")
    rest = alice.get(following).text

    names = [re.findall(r'<p class="title"><a[^>]*>(.*?)</a>', each) for each in (page, rest)]
    assert len(set(names[0] + names[1])) == 40
    assert "Bureau 07" in alice.get("/book?kind=room&q=bureau+07").text
    assert "Bureau 08" not in alice.get("/book?kind=room&q=bureau+07").text.partition("resource=")[0]
    assert "Nothing has that name." in alice.get("/book?kind=room&q=xyz").text
