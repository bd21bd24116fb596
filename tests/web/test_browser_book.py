"""A real Chromium books a VR kit: by mouse, by keyboard alone, without scripts; staff hand it out and take it back."""

# A fixture and the argument that asks for it have one name.
# ruff: noqa: F811

from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain import accounts
from api.domain.bookings import Booking, BookingStatus, sweep_times
from api.domain.kits import make_kit
from api.domain.rules import Policy, set_rule
from api.domain.sites import Kind, make_resource
from tests.web.test_browser_print import House, chromium, house  # noqa: F401  # fixtures are found by name
from tests.world import NOW

pytestmark = pytest.mark.real


@pytest.fixture
def kit_id(house: House) -> int:
    """A kit of a headset and its play area; not there after 15 minutes: it is free again. charlie has come along."""
    with Session(house.engine, expire_on_commit=False) as session, session.begin():
        site = session.merge(house.world.site)
        area = make_resource(session, site=site, kind=Kind.ROOM, name="Aire", now=NOW)
        items = [("Casque", "S-1"), ("Manette", "S-2")]
        kit = make_kit(session, site=site, name="Kit VR", members=[area], items=items, now=NOW, min_age=12)
        set_rule(session, site=site, kind=Kind.VR_KIT, policy=Policy(no_show_minutes=15), now=NOW)
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
    for said in ("Hand out", "Take back"):
        for item in staff.locator("input[type=radio][value=good]").all():
            item.check()
        staff.click(f"button:has-text('{said}')")
        staff.wait_for_selector("text=The hand-over is noted.")
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
