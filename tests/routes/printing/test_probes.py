"""Adding a printer by JSON: staff ask for a look, read the answer, and add it once."""

from decimal import Decimal

from sqlalchemy.orm import Session

from api.adapters.seal import unseal
from api.domain.printing import probes
from api.domain.printing.beds import Bed, MachineFacts
from api.domain.printing.printers import get_printer
from api.domain.printing.probes import Probe
from tests.world import World
from tests.world.programs import Program


def asked(bob: Program, session: Session, world: World) -> Probe:
    answer = bob("POST", "/probes", json={"site_id": world.site.id, "url": "octopi.local/", "key": "k" * 32})
    assert (answer.status_code, answer.json()["status"], "k" * 32 in answer.text) == (202, "asked", False)
    return session.get_one(Probe, answer.json()["id"])


def test_staff_add_a_printer_by_json(bob: Program, session: Session, world: World) -> None:
    probe = asked(bob, session, world)
    assert unseal(probe.sealed_key, about="http://octopi.local") == "k" * 32
    early = bob("POST", f"/probes/{probe.id}/add", json={"name": "Cobalt"})
    found = {"version": "1.11.8", "user": "etabli", "missing": [], "dangerous": []}
    probes.record_answer(session, probe=probe, sealed_key=probe.sealed_key, **found)
    assert bob("GET", f"/probes/{probe.id}").json()["answer"] == found
    size = {"volume_mm": [250, 210, 220], "nozzle_mm": 0.6}
    added = bob("POST", f"/probes/{probe.id}/add", json={"name": "Cobalt", **size})
    again = bob("POST", f"/probes/{probe.id}/add", json={"name": "Cobalt"})
    assert (early.status_code, added.status_code, again.status_code) == (409, 201, 409)
    printer = get_printer(session, added.json()["printer_id"])
    assert (printer.name, printer.kind.volume_mm, float(printer.kind.nozzle_mm)) == ("Cobalt", (250, 210, 220), 0.6)
    assert printer.server_version == "1.11.8"


def test_what_the_program_leaves_out_is_as_the_printer_told(bob: Program, session: Session, world: World) -> None:
    probe = asked(bob, session, world)
    machine = MachineFacts(Bed(180, 170, -20, -35), 200, Decimal("0.6"))
    facts = {"version": "1", "user": "u", "missing": [], "dangerous": [], "machine": machine.as_json()}
    probes.record_answer(session, probe=probe, sealed_key="x", **facts)
    added = bob("POST", f"/probes/{probe.id}/add", json={"name": "Cobalt", "nozzle_mm": 0.8})
    kind = get_printer(session, added.json()["printer_id"]).kind
    assert (kind.bed, kind.height_mm, kind.nozzle_mm) == (machine.bed, 200, Decimal("0.8"))


def test_what_is_no_printer_is_refused_at_its_field(bob: Program, session: Session, world: World) -> None:
    assert bob("POST", "/probes", json={"site_id": world.site.id, "url": " "}).json()["field"] == "url"
    probe = asked(bob, session, world)
    probes.record_answer(session, probe=probe, sealed_key="x", version="1", user="u", missing=[], dangerous=[])
    for wrong in ({"name": " "}, {"name": "A", "volume_mm": [1, 1, 1]}, {"name": "A", "nozzle_mm": 9}):
        assert bob("POST", f"/probes/{probe.id}/add", json=wrong).status_code == 422


def test_members_ask_for_no_look_and_see_none(
    alice: Program, bob: Program, charlie: Program, session: Session, world: World
) -> None:
    probe = asked(bob, session, world)
    body = {"site_id": world.site.id, "url": "http://octopi.local"}
    assert [who("POST", "/probes", json=body).status_code for who in (alice, charlie)] == [403, 403]
    assert [who("GET", f"/probes/{probe.id}").status_code for who in (alice, charlie)] == [404, 404]
