"""What is out of service, on the pages: nothing is offered of it, and who has booked it reads what happens."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.booking.bookings import Booking
from api.domain.booking.kits import Kit, create_kit, put_in_service, take_out_of_service
from api.domain.booking.rules import Policy, set_rule
from api.domain.places.sites import ResourceKind
from api.domain.printing.maintenance import set_maintenance
from tests.world import NOW, World
from tests.world.browsers import Browser

TOMORROW = {"day": "2026-11-24", "at": "10:00", "minutes": "60", "act": "book"}


@pytest.fixture
def kits(session: Session, world: World) -> list[Kit]:
    policy = Policy(cancel_minutes=48 * 60, late_fee_cents=700)
    set_rule(session, site=world.site, kind=ResourceKind.VR_KIT, policy=policy, now=NOW)
    return [
        create_kit(session, site=world.site, name=name, members=[], items=[("Casque", name)], now=NOW)
        for name in ("Kit 1", "Kit 2")
    ]


def break_kit(session: Session, world: World, kit: Kit) -> None:
    take_out_of_service(session, kit=kit, item=None, why="Casque fendu", actor=world.bob, now=NOW)


def test_a_broken_kit_has_no_form_but_the_next_kit(
    alice: Browser, session: Session, world: World, kits: list[Kit]
) -> None:
    broken, other = kits
    break_kit(session, world, broken)

    for page in (
        alice.get(f"/book/{broken.id}?start=2026-11-24T10:00").text,
        alice.post(f"/book/{broken.id}", TOMORROW).text,
    ):
        assert "Casque fendu" in page
        assert 'id="ask"' not in page
        assert "data-week" not in page
        assert page.count(f'href="/book/{other.id}?start=') == 3
        assert f"/book/{broken.id}?start=" not in page
    assert session.scalars(select(Booking)).all() == []


def test_without_another_kit_the_page_says_so(alice: Browser, session: Session, world: World, kits: list[Kit]) -> None:
    for kit in kits:
        break_kit(session, world, kit)
    page = alice.get(f"/book/{kits[0].id}").text
    assert "Nothing of this kind is free" in page
    assert "?start=" not in page


def test_a_printer_in_maintenance_has_no_form_either(alice: Browser, session: Session, world: World) -> None:
    set_maintenance(session, printer=world.printer, on=True, note="Buse", actor=world.bob, now=NOW)
    page = alice.get(f"/book/{world.printer.id}").text
    assert "Out of service: Buse" in page
    assert 'id="ask"' not in page
    assert "Out of service: Buse" in alice.get("/book?kind=printer").text


def test_a_booking_of_a_broken_kit_says_what_happens_and_where_else_to_go(
    alice: Browser, session: Session, world: World, kits: list[Kit]
) -> None:
    broken, other = kits
    alice.post(f"/book/{broken.id}", TOMORROW)
    path = f"/bookings/{session.scalars(select(Booking)).one().id}"
    assert "Out of service" not in alice.get(path).text + alice.get("/agenda").text

    break_kit(session, world, broken)
    page = alice.get(path).text
    assert "Out of service: Casque fendu" in page
    assert "cancelled free of charge" in page
    assert "Cancelling is free" in page
    assert f'href="/book/{other.id}?start=2026-11-24T09' in page  # at the same time
    assert "I have arrived" not in page
    assert "Confirmed" not in page + alice.get("/agenda").text
    assert 'id="move"' not in page
    assert "Out of service" in alice.get("/agenda").text

    put_in_service(session, kit=broken, actor=world.bob, now=NOW)
    page = alice.get(path).text
    assert "Out of service" not in page
    assert 'id="move"' in page
