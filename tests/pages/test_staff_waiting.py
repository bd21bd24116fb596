"""`/staff` lists all that waits for a person: kits, booking requests, parts, orders, quotes and the bank's lines."""

from collections.abc import Callable
from datetime import date, timedelta

import pytest
from sqlalchemy.orm import Session

from api.domain.booking import bookings
from api.domain.booking.bookings import Booking, BookingRequest, BookingStatus
from api.domain.booking.kits import Kit, create_kit, take_out_of_service
from api.domain.booking.rules import Policy, set_rule
from api.domain.people.accounts import User
from api.domain.places.sites import Resource
from api.domain.sales import orders, quotes
from api.domain.sales.quotes import Review
from tests.world import HOUR, MINUTE, NOW, World, make_site
from tests.world.billing import Shop, ask
from tests.world.browsers import Browser
from tests.world.queries import count_statements
from tests.world.sales import accept, print_next, slice_all
from tests.world.statements import CSV

NOTHING = "Nothing needs you"


@pytest.fixture
def kit(session: Session, world: World) -> Kit:
    return create_kit(session, site=world.site, name="Kit VR", members=[], items=[("Casque", "S-1")], now=NOW)


def book(session: Session, world: World, resource_id: int, *, after: timedelta, status: BookingStatus) -> Booking:
    """An hour of alice, `after` from now; written as it stands then."""
    start = NOW + after
    request = BookingRequest(resource_id, start, start + HOUR)
    booking = bookings.book(session, request=request, user=world.alice, now=min(NOW, start - HOUR))
    booking.status = status
    session.flush()
    return booking


def test_a_broken_kit_stands_there_until_it_is_repaired(bob: Browser, session: Session, world: World, kit: Kit) -> None:
    take_out_of_service(session, kit=kit, item=None, why="Casque fendu", actor=world.bob, now=NOW)
    page = bob.get("/staff").text
    assert "Casque fendu" in page
    assert NOTHING not in page
    answer = bob.post(f"/staff/kits/{kit.id}/in-service", {"next": "/staff"})
    assert answer.headers["location"] == "/staff"
    assert "Casque fendu" not in bob.get("/staff").text


@pytest.mark.parametrize(
    ("after", "status", "heading"),
    [
        (-2 * HOUR, BookingStatus.CHECKED_IN, "Kits not returned"),
        (-30 * MINUTE, BookingStatus.CHECKED_IN, "Kits due back today"),
        (HOUR, BookingStatus.CONFIRMED, "Kits to hand out today"),
        (timedelta(days=1), BookingStatus.CONFIRMED, ""),
        (-2 * HOUR, BookingStatus.CHECKED_OUT, ""),
        (HOUR, BookingStatus.CANCELLED, ""),
    ],
)
def test_kits_that_go_out_or_come_back_today_are_listed(
    bob: Browser, session: Session, world: World, kit: Kit, after: timedelta, status: BookingStatus, heading: str
) -> None:
    booking = book(session, world, kit.id, after=after, status=status)
    page = bob.get("/staff").text
    headings = [each for each in ("Kits not returned", "Kits due back today", "Kits to hand out today") if each in page]
    assert headings == ([heading] if heading else [])
    assert (f'href="/bookings/{booking.id}"' in page, NOTHING in page) == (bool(heading), not heading)


def test_a_booking_request_is_approved_from_there(bob: Browser, session: Session, world: World, room: Resource) -> None:
    set_rule(session, site=world.site, resource=room, policy=Policy(needs_approval=True), now=NOW)
    booking = book(session, world, room.id, after=HOUR, status=BookingStatus.REQUESTED)
    page = bob.get("/staff").text
    assert "Booking requests" in page
    assert "Salle" in page
    assert "Alice" in page
    answer = bob.post(f"/bookings/{booking.id}/approve", {"next": "/staff"})
    assert answer.headers["location"] == "/staff"
    session.refresh(booking)
    assert booking.status == BookingStatus.CONFIRMED
    assert "Booking requests" not in bob.get("/staff").text


def test_printed_parts_of_an_order_are_to_be_checked_and_not_to_be_handed_over(
    bob: Browser, session: Session, shop: Shop
) -> None:
    order = accept(session, shop, ask(session, shop))
    slice_all(session, order)
    print_next(session, shop)
    page = bob.get("/staff").text
    assert "Parts to check" in page
    assert order.number in page
    assert "To hand over" not in page

    orders.check_part(session, order=order, part=order.parts[0], good=2, actor=shop.world.bob, now=NOW)
    page = bob.get("/staff").text
    assert "Parts to check" not in page
    assert "To hand over" not in page


@pytest.mark.parametrize(("promised", "shown"), [(date(2026, 11, 24), True), (date(2026, 11, 25), False)])
def test_orders_promised_by_tomorrow_are_listed(
    bob: Browser, session: Session, shop: Shop, promised: date, shown: bool
) -> None:
    order = accept(session, shop, ask(session, shop))
    order.promised_on = promised
    session.flush()
    page = bob.get("/staff").text
    assert ("Orders promised by tomorrow" in page) is shown
    assert (f'href="/orders/{order.id}"' in page) is shown


def test_quotes_to_review_are_listed(bob: Browser, session: Session, shop: Shop) -> None:
    quotes.set_rule(session, site_id=shop.world.site.id, review=Review.ALWAYS)
    quote = ask(session, shop)
    page = bob.get("/staff").text
    assert "Quotes to review" in page
    assert f'href="/quotes/{quote.id}"' in page


def test_bank_lines_without_an_invoice_are_counted_for_who_handles_money(manager: Browser, shop: Shop) -> None:
    statement = CSV.format(number="VIR", amount="12,00").encode()
    assert "Bank lines to match" not in manager.get("/staff").text
    manager.post(f"/staff/money/{shop.seller.id}/statement", files={"statement": ("r.csv", statement)})
    page = manager.get("/staff").text
    assert "Bank lines to match" in page
    assert 'href="/staff/money"' in page


def test_nothing_of_other_places_is_shown(
    log_in: Callable[[User], Browser], session: Session, world: World, room: Resource
) -> None:
    other = make_site(session, "Ailleurs")
    kit = create_kit(session, site=other, name="Kit loin", members=[], items=[("Casque", "S-9")], now=NOW)
    kit.out_of_service_at, kit.out_of_service_why = NOW, "fendu"
    session.flush()
    assert "Kit loin" not in log_in(world.bob).get("/staff").text


def test_the_page_asks_as_often_for_many_as_for_one(
    bob: Browser, session: Session, world: World, kit: Kit, room: Resource
) -> None:
    set_rule(session, site=world.site, resource=room, policy=Policy(needs_approval=True), now=NOW)
    book(session, world, room.id, after=HOUR, status=BookingStatus.REQUESTED)
    book(session, world, kit.id, after=HOUR, status=BookingStatus.CONFIRMED)
    with count_statements(session) as few:
        bob.get("/staff")
    for number in range(4):
        more = create_kit(session, site=world.site, name=f"K{number}", members=[], items=[("C", "S")], now=NOW)
        book(session, world, more.id, after=HOUR, status=BookingStatus.CONFIRMED)
        book(session, world, room.id, after=timedelta(days=1) + number * HOUR, status=BookingStatus.REQUESTED)
    with count_statements(session) as many:
        bob.get("/staff")
    assert many.count == few.count
