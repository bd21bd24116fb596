"""A real Chromium books a VR kit: by mouse, by keyboard alone, without scripts; staff hand it out and take it back."""

from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.booking.bookings import Booking, BookingStatus, sweep_times
from api.domain.booking.kits import create_kit
from api.domain.booking.rules import Policy, set_rule
from api.domain.people import accounts
from api.domain.places.sites import ResourceKind, create_resource
from tests.world import NOW
from tests.world.chromium import House

pytestmark = pytest.mark.real


@pytest.fixture
def kit_id(house: House) -> int:
    """A kit of a headset and its play area; not there after 15 minutes: it is free again. charlie has come along."""
    with Session(house.engine, expire_on_commit=False) as session, session.begin():
        site = session.merge(house.world.site)
        area = create_resource(session, site=site, kind=ResourceKind.ROOM, name="Aire", now=NOW)
        items = [("Casque", "S-1"), ("Manette", "S-2")]
        kit = create_kit(session, site=site, name="Kit VR", members=[area], items=items, now=NOW, min_age=12)
        set_rule(session, site=site, kind=ResourceKind.VR_KIT, policy=Policy(no_show_minutes=15), now=NOW)
        charlie = session.merge(house.world.charlie)
        charlie.locale = accounts.Locale.EN
        house.tokens["charlie"] = accounts.open_session(session, user=charlie, now=NOW)
        return kit.id


def book_by_mouse(page: Page, house: House) -> None:
    page.goto(f"{house.url}/book?kind=vr_kit")
    page.click("a.button.main[href*='start=']")
    page.fill("#youngest_age", "30")
    page.click("button[value=book]")
    page.wait_for_url("**/bookings/*")


def booked(house: House) -> Booking:
    with Session(house.engine, expire_on_commit=False) as session:
        return session.scalars(select(Booking).order_by(Booking.id.desc())).first() or pytest.fail("nothing booked")


def test_by_mouse_then_staff_hand_it_out_and_take_it_back(
    chromium: Browser,
    house: House,
    kit_id: int,
) -> None:
    book_by_mouse(house.open(chromium, "alice"), house)
    booking = booked(house)
    staff = house.open(chromium, "bob")
    staff.goto(f"{house.url}/staff/calendar")
    staff.click("a:has-text('Alice') >> nth=0")
    for said, notice in (("Hand over the kit", "Kit handed over."), ("Take back the kit", "Kit returned.")):
        for item in staff.locator("input[type=radio][value=good]").all():
            item.check()
        staff.click(f"button:has-text('{said}')")
        staff.wait_for_selector(f"text={notice}")
    assert (booked(house).id, booked(house).status) == (booking.id, BookingStatus.CHECKED_OUT)


@pytest.mark.parametrize("scripts", [True, False])
def test_by_keyboard_alone(chromium: Browser, house: House, kit_id: int, scripts: bool) -> None:
    page = house.open(chromium, "alice", scripts=scripts)
    page.goto(f"{house.url}/book?kind=vr_kit")
    tab_to(page, "a.button.main[href*='start=']")
    page.keyboard.press("Enter")
    page.wait_for_url("**/book/*")
    tab_to(page, "#youngest_age")
    page.keyboard.type("30")
    tab_to(page, "button[value=book]")
    page.keyboard.press("Enter")
    page.wait_for_url("**/bookings/*")
    assert booked(house).resource_id == kit_id


def tab_to(page: Page, selector: str) -> None:
    """Only the tab key moves the focus; nothing on the way may catch it."""
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.locator(f"{selector}:focus").count():
            return
    pytest.fail(f"the keyboard does not reach {selector}")


def test_the_second_member_gets_the_next_free_slots_and_a_no_show_frees_it(
    chromium: Browser,
    house: House,
    kit_id: int,
) -> None:
    late = house.open(chromium, "charlie")
    late.goto(f"{house.url}/book?kind=vr_kit")
    late.click("a.button.main[href*='start=']")
    book_by_mouse(house.open(chromium, "alice"), house)
    late.fill("#youngest_age", "30")
    late.click("button[value=book]")
    late.wait_for_selector("text=This time is already taken.")
    assert late.locator("#next-free a").count() == 3
    first = booked(house)
    with Session(house.engine) as session, session.begin():
        assert sweep_times(session, now=first.start_at + timedelta(minutes=16)) == 1
    book_by_mouse(late, house)
    assert first.start_at < booked(house).start_at < first.end_at


@pytest.fixture
def room_id(house: House) -> int:
    with Session(house.engine, expire_on_commit=False) as session, session.begin():
        return create_resource(
            session, site=session.merge(house.world.site), kind=ResourceKind.ROOM, name="Salle", now=NOW
        ).id


def point(page: Page, day: str, part: float) -> tuple[float, float]:
    """On the screen, so far down the free stretch of that day."""
    box = page.locator(f"td.free[data-start^='{day}']").bounding_box()
    assert box is not None
    return box["x"] + box["width"] / 2, box["y"] + box["height"] * part


def drag(page: Page, day: str, start: float, end: float) -> None:
    page.mouse.move(*point(page, day, start))
    page.mouse.down()
    page.mouse.move(*point(page, day, end), steps=4)
    page.mouse.up()


def typed(page: Page) -> list[str]:
    return [page.input_value(f"#{name}") for name in ("day", "at", "minutes")]


def test_one_drags_over_the_time_and_the_form_holds_it(chromium: Browser, house: House, room_id: int) -> None:
    """The place is open from 9 to 18: a day is nine hours high."""
    page = house.open(chromium, "alice")
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.goto(f"{house.url}/book?kind=room")
    drag(page, "2026-11-24", 1.05 / 9, 2.9 / 9)
    page.wait_for_url(f"**/book/{room_id}?start=*")
    assert typed(page) == ["2026-11-24", "10:00", "120"]

    drag(page, "2026-11-25", 3.6 / 9, 3.05 / 9)  # upwards
    page.wait_for_selector("#offer-said .price")
    assert typed(page) == ["2026-11-25", "12:00", "45"]

    page.click("button[value=book]")
    page.wait_for_url("**/bookings/*")
    assert (booked(house).start_at.isoformat(), complaints) == ("2026-11-25T11:00:00+00:00", [])


def test_from_the_keyboard_a_free_stretch_fills_the_form_and_keeps_what_was_typed(
    chromium: Browser, house: House, room_id: int
) -> None:
    page = house.open(chromium, "alice")
    page.goto(f"{house.url}/book/{room_id}")
    page.fill("#note", "avec la visio")
    tab_to(page, "td.free[data-start^='2026-11-24'] a")
    page.keyboard.press("Enter")
    page.wait_for_selector("#offer-said .price")
    assert typed(page) == ["2026-11-24", "09:00", "60"]
    assert (page.input_value("#note"), page.locator("#at:focus").count()) == ("avec la visio", 1)


def test_a_finger_that_rests_first_drags_too(chromium: Browser, house: House, room_id: int) -> None:
    context = chromium.new_context(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True)
    context.add_cookies([{"name": "session", "value": house.tokens["alice"], "url": house.url}])
    page = context.new_page()
    page.goto(f"{house.url}/book/{room_id}")
    page.locator("[data-week]").scroll_into_view_if_needed()
    hand = context.new_cdp_session(page)

    def touch(kind: str, *at: tuple[float, float]) -> None:
        points = [{"x": x, "y": y} for x, y in at]
        hand.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    first, last = point(page, "2026-11-24", 2.05 / 9), point(page, "2026-11-24", 3.9 / 9)
    touch("touchStart", first)
    page.wait_for_selector(".week .pick")
    touch("touchMove", last)
    touch("touchEnd")
    page.wait_for_selector("#offer-said .price")
    assert typed(page) == ["2026-11-24", "11:00", "120"]


def test_a_taken_slot_shows_the_next_ones_before_the_button(chromium: Browser, house: House, room_id: int) -> None:
    page = house.open(chromium, "alice")
    page.goto(f"{house.url}/book/{room_id}?start=2026-11-24T10:00&minutes=60")
    page.click("button[value=book]")
    page.wait_for_url("**/bookings/*")
    page.goto(f"{house.url}/book/{room_id}?start=2026-11-24T10:30&minutes=60")
    assert page.locator("#next-free a").count() == 3
    page.fill("#at", "11:00")
    page.wait_for_selector("#next-free", state="detached")
    page.wait_for_selector("#offer-said .price")
