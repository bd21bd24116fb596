"""What programs are offered and may take: kits, events that hold them, printers in maintenance, the horizon."""

from datetime import timedelta

from sqlalchemy.orm import Session

from api.domain.booking.kits import Kit, create_kit
from api.domain.booking.rules import Policy, set_rule
from api.domain.places.sites import Resource, ResourceKind, create_resource
from tests.world import NOW, World
from tests.world.programs import Programs

DAY = "2026-11-25"


def make_kit(session: Session, world: World) -> tuple[Kit, Resource]:
    """A headset and its play area; the area may be booked by itself."""
    kinds = ((ResourceKind.WORKSTATION, "Headset"), (ResourceKind.ROOM, "Play area"))
    head, area = (create_resource(session, site=world.site, kind=kind, name=name, now=NOW) for kind, name in kinds)
    return create_kit(session, site=world.site, name="VR", members=[head, area], items=[], now=NOW), area


def test_each_slot_of_a_kit_that_is_offered_can_be_booked(session: Session, world: World, program: Programs) -> None:
    kit, area = make_kit(session, world)
    alice, bob = program(world.alice), program(world.bob)
    part = {"resource_id": area.id, "start": f"{DAY}T10:00", "end": f"{DAY}T12:00"}
    assert bob("POST", "/bookings", json=part).status_code == 201
    query = f"from={DAY}T00:00:00Z&to={DAY}T23:00:00Z&kind=vr_kit&minutes=60"
    (offer,) = alice("GET", f"/free-slots?{query}").json()["items"]
    assert offer["slots"]

    slot = offer["slots"][0]
    body = {"resource_id": kit.id, "start": slot["start"], "end": slot["end"], "youngest_age": 30}
    assert alice("POST", "/bookings", json=body).status_code == 201


def test_an_event_that_holds_a_kit_leaves_none_of_its_parts(session: Session, world: World, program: Programs) -> None:
    kit, area = make_kit(session, world)
    event = {"site_id": world.site.id, "title": "VR", "start": f"{DAY}T10:00:00+01:00", "end": f"{DAY}T12:00:00+01:00"}
    event |= {"seats": 4, "resource_ids": [kit.id]}
    assert program(world.bob)("POST", "/gatherings", json=event).status_code == 201
    part = {"resource_id": area.id, "start": f"{DAY}T10:00", "end": f"{DAY}T11:00"}

    assert program(world.alice)("POST", "/bookings", json=part).status_code == 409


def test_a_printer_in_maintenance_is_not_booked_and_the_reason_is_not_another_booking(
    world: World, program: Programs
) -> None:
    bob, url = program(world.bob), f"/printers/{world.printer.id}/maintenance"
    assert bob("POST", url, json={"on": True, "note": "buse"}).status_code == 200
    body = {"resource_id": world.printer.id, "start": f"{DAY}T15:00", "end": f"{DAY}T16:00"}
    answer = program(world.alice)("POST", "/bookings", json=body)

    assert answer.status_code in (409, 422)
    assert answer.json()["code"] != "taken"


def test_nothing_beyond_the_horizon_is_offered(
    session: Session, world: World, room: Resource, program: Programs
) -> None:
    set_rule(session, site=world.site, resource=room, policy=Policy(horizon_days=10), now=NOW)

    def offers(days: int) -> list[object]:
        start = NOW + timedelta(days=days)
        span = f"from={start:%Y-%m-%dT%H:%M:%SZ}&to={start + timedelta(days=2):%Y-%m-%dT%H:%M:%SZ}"
        items = program(world.alice)("GET", f"/free-slots?{span}&kind=room&minutes=60").json()["items"]
        return [slot for item in items for slot in item["slots"]]

    assert offers(3)
    assert offers(20) == []
