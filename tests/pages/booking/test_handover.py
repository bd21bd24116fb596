"""The pages of a kit: its booking, and staff who hand it out and take it back."""

import io
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from PIL import Image
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.adapters import files
from api.domain.booking.bookings import Booking, BookingStatus
from api.domain.booking.kits import Kit, create_kit
from api.domain.booking.rules import Policy, set_rule
from api.domain.places.sites import Resource, ResourceKind
from api.domain.pricing.prices import BookingRates
from api.settings import settings
from tests.world import NOW, World
from tests.world.browsers import Browser

TOMORROW = {"day": "2026-11-24", "at": "10:00", "minutes": "60"}


@pytest.fixture
def kit(session: Session, world: World, room: Resource) -> Kit:
    return create_kit(
        session, site=world.site, name="VR", members=[room], items=[("Casque", "S-1")], now=NOW, min_age=12
    )


def only(session: Session) -> Booking:
    return session.scalars(select(Booking)).one()


def test_after_an_error_the_price_stands_and_nothing_springs_open(
    alice: Browser, session: Session, world: World, kit: Kit
) -> None:
    rates = BookingRates(tiers=((0, Decimal(8)),))
    set_rule(session, site=world.site, kind=ResourceKind.VR_KIT, policy=Policy(rates=rates), now=NOW)
    for age in ("", "5"):
        answer = alice.post(f"/book/{kit.id}", {**TOMORROW, "youngest_age": age, "repeat": "", "act": "book"})
        assert answer.status_code == 422
        assert "€9.60" in answer.text
        assert "Next free slots" not in answer.text
        assert "<details><summary>Repeat" in answer.text


def test_a_kit_is_not_handed_out_days_before(alice: Browser, bob: Browser, session: Session, kit: Kit) -> None:
    alice.post(f"/book/{kit.id}", {**TOMORROW, "youngest_age": "30", "act": "book"})
    assert "hand-out" not in bob.get(f"/bookings/{only(session).id}").text


def test_staff_hand_a_kit_out_and_take_it_back(
    alice: Browser, bob: Browser, session: Session, world: World, kit: Kit
) -> None:
    today = {"day": "2026-11-23", "at": "13:15", "minutes": "60", "act": "book"}
    assert alice.post(f"/book/{kit.id}", today).status_code == 422  # no age
    assert alice.post(f"/book/{kit.id}", {**today, "youngest_age": "30"}).status_code == 303
    booking, item = only(session), kit.items[0]
    path = f"/bookings/{booking.id}"

    assert "S-1" in bob.get(path).text
    assert "S-1" not in alice.get(path).text
    assert bob.post(f"{path}/hand-out", {}).status_code == 422
    assert bob.post(f"{path}/hand-out", {f"item-{item.id}": "good"}).status_code == 303
    assert bob.post(f"{path}/hand-back", {f"item-{item.id}": "damaged", "text": "fendu"}).status_code == 303

    session.refresh(booking)
    session.refresh(kit)
    assert booking.status == BookingStatus.CHECKED_OUT
    assert kit.out_of_service_at is not None
    assert "fendu" in alice.get("/book?kind=vr_kit").text


def photo() -> bytes:
    made = io.BytesIO()
    Image.new("RGB", (30, 20), "#446688").save(made, "PNG")
    return made.getvalue()


@pytest.fixture
def handed_out_with(
    alice: Browser, bob: Browser, session: Session, kit: Kit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[bytes], httpx.Response]:
    """Alice's booking of the kit, handed out now by bob with this photo."""
    monkeypatch.setattr(settings(), "data_dir", tmp_path)
    files._store.cache_clear()
    today = {"day": "2026-11-23", "at": "13:15", "minutes": "60", "act": "book", "youngest_age": "30"}
    assert alice.post(f"/book/{kit.id}", today).status_code == 303

    def hand_out(raw: bytes) -> httpx.Response:
        form = {f"item-{kit.items[0].id}": "good", "text": "rayure à gauche"}
        return bob.post(f"/bookings/{only(session).id}/hand-out", form, files={"photo": ("x.png", raw, "image/png")})

    return hand_out


def test_the_photo_of_a_hand_over_is_for_the_staff_and_its_person(
    handed_out_with: Callable[[bytes], httpx.Response], alice: Browser, charlie: Browser, session: Session
) -> None:
    assert handed_out_with(photo()).status_code == 303
    path = f"/bookings/{only(session).id}"

    page = alice.get(path).text
    shown = alice.get(f"{path}/photos/out")

    assert "rayure à gauche" in page
    assert f'src="{path}/photos/out"' in page
    assert (shown.headers["content-type"], shown.content[:2]) == ("image/jpeg", b"\xff\xd8")
    assert shown.headers["content-security-policy"].startswith("sandbox")
    assert charlie.get(f"{path}/photos/out").status_code == 404
    assert alice.get(f"{path}/photos/back").status_code == 404


def test_what_is_no_photo_is_said_beside_its_field_and_hands_nothing_out(
    handed_out_with: Callable[[bytes], httpx.Response], session: Session
) -> None:
    answer = handed_out_with(b"<svg/>")

    assert answer.status_code == 422
    assert 'id="error-photo"' in answer.text
    assert "rayure à gauche" in answer.text  # what was typed is still there
    session.refresh(only(session))
    assert only(session).status == BookingStatus.CONFIRMED


def test_a_member_has_no_button_that_would_skip_the_checklist_of_a_kit(
    alice: Browser, session: Session, world: World, kit: Kit
) -> None:
    alice.post(f"/book/{kit.id}", {**TOMORROW, "youngest_age": "30", "act": "book"})
    booking = only(session)
    page = alice.get(f"/bookings/{booking.id}").text
    assert "Staff hand this kit over" in page
    assert "check-in" not in page
    assert alice.post(f"/bookings/{booking.id}/check-in").status_code == 409
