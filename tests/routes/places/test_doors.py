"""The reports of door devices: signed, in time, each try once."""

import hashlib
import hmac
import json
from datetime import date, time, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.booking import bookings
from api.domain.booking.bookings import BookingRequest
from api.domain.places import doors
from api.domain.places.conventions import Convention, sign_convention
from api.domain.places.doors import Door, DoorUse
from api.domain.places.sites import Resource
from api.settings import settings
from tests.world import HOUR, MINUTE, NOW, World
from tests.world.programs import Face


@pytest.fixture
def convention(session: Session, world: World, room: Resource) -> Convention:
    """Alice may use the room on Monday evenings."""
    return sign_convention(
        session,
        site=world.site,
        reference="C-7",
        party=world.alice,
        people=[world.alice],
        areas=[room],
        hours=[(0, time(18), time(22))],
        signed_on=date(2026, 11, 1),
        starts_on=date(2026, 11, 1),
        ends_on=date(2027, 10, 31),
        actor=world.bob,
        now=NOW,
    )


@pytest.fixture
def door(session: Session, data_dir: object, world: World) -> Door:
    return doors.add_door(session, site=world.site, name="Entrée", actor=world.bob, now=NOW)


def master() -> bytes:
    return settings().secret("doors").encode()


def report(face: Face, door: Door, secret: bytes, *tries: dict[str, Any]) -> httpx.Response:
    body = json.dumps({"tries": tries}).encode()
    signature = hmac.new(secret, body, hashlib.sha256).hexdigest()
    headers = {"x-door-signature": signature, "content-type": "application/json"}
    return face.request("POST", f"/api/v1/doors/{door.id}/uses", content=body, headers=headers)


def test_the_device_reports_each_try_once_and_its_booking_is_found(
    face: Face, session: Session, world: World, room: Resource, convention: Convention, door: Door
) -> None:
    evening = NOW.replace(hour=18)  # 19:00 in Mende, closed but for the convention
    booking = bookings.book(
        session, request=BookingRequest(room.id, evening, evening + HOUR), user=world.alice, now=NOW
    )
    booking.start_at, booking.end_at = NOW - 5 * MINUTE, NOW + HOUR
    session.flush()
    span = {"start": booking.start_at, "end": booking.end_at}
    code = doors.code_of(master(), door=door, convention=convention, booking_id=booking.id, now=NOW, **span)
    used = {"at": NOW.isoformat(), "accepted": True, "hint": code[-2:]}
    wrong = {"at": (NOW - MINUTE).isoformat(), "accepted": False, "hint": "00"}

    for _ in range(2):
        assert report(face, door, doors.door_secret(master(), door=door), used, wrong).status_code == 200

    assert [(use.accepted, use.booking_id) for use in session.scalars(select(DoorUse).order_by(DoorUse.at))] == [
        (False, None),
        (True, booking.id),
    ]


def test_a_report_that_is_not_signed_by_the_door_is_refused(
    face: Face, session: Session, world: World, door: Door
) -> None:
    secret = doors.door_secret(master(), door=door)
    attempt = {"at": NOW.isoformat(), "accepted": True, "hint": "12"}
    late = {"at": (NOW + timedelta(days=1)).isoformat(), "accepted": True, "hint": "12"}

    assert report(face, door, b"another", attempt).status_code == 404
    assert report(face, door, secret, late).status_code == 422
    doors.renew_door(session, door=door, actor=world.bob, now=NOW)
    session.flush()
    assert report(face, door, secret, attempt).status_code == 404
    assert session.scalars(select(DoorUse)).all() == []


def test_an_odd_time_is_named_and_keeps_no_other_try_from_being_written(
    face: Face, session: Session, door: Door
) -> None:
    secret = doors.door_secret(master(), door=door)
    good = [{"at": (NOW - n * MINUTE).isoformat(), "accepted": True, "hint": "12"} for n in range(49)]
    odd = {"at": "1970-01-01T00:00:07Z", "accepted": True, "hint": "12"}

    answer = report(face, door, secret, *good[:20], odd, *good[20:])

    assert answer.status_code == 200
    assert [each["error"] for each in answer.json()["uses"]] == [None] * 20 + ["report-out-of-time"] + [None] * 29
    assert len(session.scalars(select(DoorUse)).all()) == 49


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_at_the_ends_of_the_calendar_is_odd_too(face: Face, door: Door, at: str) -> None:
    secret = doors.door_secret(master(), door=door)
    assert report(face, door, secret, {"at": at, "accepted": True, "hint": "12"}).status_code == 422


def test_a_stranger_is_not_told_what_a_report_must_hold(face: Face, door: Door) -> None:
    for body, headers in (({}, {}), ({"tries": "x"}, {"x-door-signature": "0" * 200}), ({"tries": []}, {})):
        answer = face.request("POST", f"/api/v1/doors/{door.id}/uses", json=body, headers=headers)
        assert answer.status_code == 404, body
