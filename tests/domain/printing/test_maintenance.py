"""Maintenance of a printer is time on its timeline: what is free is held, what is booked stays and is told."""

import json
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.booking import bookings
from api.domain.booking.bookings import BookingRequest
from api.domain.messages.notifications import Mail
from api.domain.messages.reminders import send_due
from api.domain.people.accounts import Locale
from api.domain.places.timeline import Hold, HoldReason, Taken, create_hold, list_holds, release_hold
from api.domain.printing.maintenance import HELD_AHEAD, keep_maintenance, out_of_service_since, set_maintenance
from api.domain.printing.printers import load_filament
from api.domain.printing.runs import keep_hold, unclear_plate
from tests.world import HOUR, NOW, World
from tests.world.runs import start_print


def switch(session: Session, world: World, on: bool, now: datetime = NOW) -> None:
    set_maintenance(session, printer=world.printer, on=on, note="Nozzle", actor=world.bob, now=now)


def book(session: Session, world: World, start: timedelta, end: timedelta) -> Hold:
    reason = HoldReason.BOOKING
    return create_hold(session, resource_id=world.printer.id, start=NOW + start, end=NOW + end, reason=reason, now=NOW)


def held(session: Session, world: World) -> list[tuple[str, timedelta, timedelta]]:
    holds = list_holds(session, resource_ids=[world.printer.id], start=NOW, end=NOW + 2 * HELD_AHEAD)
    return [(hold.reason.value, hold.start - NOW, hold.end - NOW) for hold in holds]


def test_its_free_time_is_held_around_what_is_booked_already(session: Session, world: World) -> None:
    book(session, world, 2 * HOUR, 4 * HOUR)
    switch(session, world, True)
    zero = timedelta(0)
    assert held(session, world) == [
        ("maintenance", zero, 2 * HOUR), ("booking", 2 * HOUR, 4 * HOUR), ("maintenance", 4 * HOUR, HELD_AHEAD),
    ]  # fmt: skip
    with pytest.raises(Taken):
        book(session, world, 24 * HOUR, 25 * HOUR)


def test_its_end_gives_the_time_back_and_keeps_the_past(session: Session, world: World) -> None:
    switch(session, world, True)
    switch(session, world, False, NOW + 3 * HOUR)
    assert held(session, world) == [("maintenance", timedelta(0), 3 * HOUR)]
    book(session, world, 3 * HOUR, 4 * HOUR)


def test_what_becomes_free_in_it_is_held_too_and_nothing_twice(session: Session, world: World) -> None:
    booking = book(session, world, 2 * HOUR, 4 * HOUR)
    switch(session, world, True)
    release_hold(session, hold=booking, now=NOW)
    for minute in (1, 2, 3):
        keep_maintenance(session, now=NOW + minute * HOUR / 60)
    assert [reason for reason, _, _ in held(session, world)] == ["maintenance"] * 3
    assert out_of_service_since(session, printer=world.printer) == NOW


def test_said_twice_it_is_one_maintenance(session: Session, world: World) -> None:
    switch(session, world, True)
    switch(session, world, True, NOW + HOUR)
    assert len(held(session, world)) == 1


def test_a_printer_in_service_holds_nothing(session: Session, world: World) -> None:
    keep_maintenance(session, now=NOW)
    switch(session, world, False)
    assert held(session, world) == []
    assert out_of_service_since(session, printer=world.printer) is None


def test_a_print_that_is_running_keeps_its_time_and_warns_nobody_of_the_maintenance(
    session: Session, world: World
) -> None:
    run = start_print(session, world)
    assert run.hold is not None
    end = run.hold.end
    switch(session, world, True)
    run.progress, run.left_s = 0.5, 9 * 3600.0
    session.info.pop("steps")
    keep_hold(session, run=run, now=NOW)
    assert (run.hold.end, session.info.get("steps")) == (end, None)


def test_who_has_booked_it_is_told_once_for_each_maintenance(session: Session, world: World) -> None:
    world.alice.locale = Locale.EN
    request = BookingRequest(world.printer.id, NOW + 24 * HOUR, NOW + 25 * HOUR)
    bookings.book(session, request=request, user=world.alice, now=NOW)
    for start in (NOW, NOW + 2 * HOUR):
        switch(session, world, True, start)
        for minute in (1, 2):
            send_due(session, now=start + minute * HOUR / 60)
        switch(session, world, False, start + HOUR)
    letters = session.scalars(select(Mail).where(Mail.kind == "printer_out")).all()
    assert [letter.user_id for letter in letters] == [world.alice.id] * 2
    assert "is in maintenance. Your booking of Tuesday 24 November 2026" in letters[0].body


@pytest.mark.parametrize("act", ["maintenance", "plate", "filament"])
def test_live_pages_hear_of_what_a_person_does_to_a_printer(session: Session, world: World, act: str) -> None:
    session.info.pop("news", None)
    printer, bob = world.printer, world.bob
    if act == "maintenance":
        switch(session, world, on=True)
    elif act == "plate":
        unclear_plate(session, printer=printer, actor=bob, now=NOW)
    else:
        material = world.material
        load_filament(session, printer=printer, material=material, colour=material.colours[0], actor=bob, now=NOW)

    assert json.dumps({"printer": printer.id}) in session.info.get("news", [])
