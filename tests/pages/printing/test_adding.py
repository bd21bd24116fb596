"""The pages on which staff add a printer: it is looked at, its faults are told, and none is added twice."""

import re
import subprocess
import sys
from decimal import Decimal

import httpx
import pytest
from sqlalchemy.orm import Session

from api.adapters.seal import seal
from api.domain.people.accounts import Locale
from api.domain.printing import probes
from api.domain.printing.beds import BedPlace, MachineFacts, place_bed
from api.domain.printing.printers import Printer, list_printers
from api.domain.printing.probes import ProbeStatus
from tests.world import World, make_printer, make_site
from tests.world.browsers import Browser


def asked(bob: Browser, session: Session, **fields: str) -> probes.Probe:
    answer = bob.post("/staff/printers/new", {"url": "octopi.local/", "key": "k" * 32, **fields})
    probe_id = int(answer.headers["location"].rsplit("/", 1)[-1])
    return probes.get_probe(session, probe_id, user=bob.user)


def test_a_printer_is_looked_at_by_the_worker_before_it_is_added(bob: Browser, session: Session, world: World) -> None:
    probe = asked(bob, session)
    assert (probe.url, probe.status) == ("http://octopi.local", ProbeStatus.ASKED)
    assert "k" * 32 not in probe.sealed_key
    assert "Testing the connection" in bob.get(f"/staff/printers/new/{probe.id}").text
    sealed = seal("k" * 32, about=probe.url)
    facts = {"version": "1.11.8", "user": "etabli", "missing": ["FILES_UPLOAD"], "dangerous": []}
    probes.record_answer(session, probe=probe, sealed_key=sealed, **facts)
    page = bob.get(f"/staff/printers/new/{probe.id}").text
    assert "OctoPrint 1.11.8" in page
    assert "FILES_UPLOAD" in page
    answer = bob.post(f"/staff/printers/new/{probe.id}", {"name": "Cobalt", "kind_id": str(world.printer.kind_id)})
    added = session.get_one(Printer, int(answer.headers["location"].rsplit("/", 1)[-1]))
    assert (added.name, added.url, added.sealed_key, added.plate_clear) == ("Cobalt", probe.url, sealed, False)
    assert probe.sealed_key == ""


DELTA = MachineFacts(place_bed(260, 260, BedPlace.ROUND), 300, Decimal("0.6"))


def test_what_octoprint_tells_of_the_machine_is_filled_in_and_may_be_kept(
    bob: Browser, session: Session, world: World
) -> None:
    probe = asked(bob, session)
    facts = {"version": "1.11.8", "user": "etabli", "missing": [], "dangerous": [], "machine": DELTA.as_json()}
    probes.record_answer(session, probe=probe, sealed_key="x", **facts)
    page = bob.get(f"/staff/printers/new/{probe.id}").text
    assert re.search(r"⌀ 260 × 300 mm, nozzle 0\.6\smm", page)
    sent = dict(re.findall(r'name="(\w+_mm)"[^>]* value="([^"]*)"', page))
    assert sent == {"width_mm": "260", "depth_mm": "260", "height_mm": "300", "nozzle_mm": "0.6"}
    assert '<option value="round" selected>' in page
    answer = bob.post(f"/staff/printers/new/{probe.id}", {"name": "Delta", "kind_id": "", "bed": "round", **sent})
    kind = session.get_one(Printer, int(answer.headers["location"].rsplit("/", 1)[-1])).kind
    assert (kind.machine, kind.bed.x_mm) == (DELTA, -130)


def test_a_failed_look_says_what_to_check(bob: Browser, session: Session, world: World) -> None:
    probe = asked(bob, session)
    probes.record_failure(session, probe=probe, code="wrong_key")
    page = bob.get(f"/staff/printers/new/{probe.id}").text
    assert "does not accept this key" in page
    again = re.search(r'href="(/staff/printers/new\?[^"]*)"', page)
    assert again
    assert f'value="{probe.url}"' in bob.get(again[1].replace("&amp;", "&")).text


def test_an_unknown_host_is_said_in_the_language_of_its_reader(bob: Browser, session: Session, world: World) -> None:
    world.bob.locale = Locale.FR
    probe = asked(bob, session)
    probes.record_failure(session, probe=probe, code="unknown-host", params={"host": "octopi.local"})
    assert "«\u202foctopi.local\u202f» n’existe pas sur ce réseau" in bob.get(f"/staff/printers/new/{probe.id}").text


def test_the_process_of_the_pages_knows_the_errors_of_printers_and_slicer() -> None:
    """Their words come from their classes; one that is not imported would be shown as its code."""
    program = (
        "from web.app import make_app; make_app()\n"
        "from api.domain.core.errors import DomainError\n"
        "from web.reasons import all_errors\n"
        "print(*(error.code() for error in all_errors(DomainError)))"
    )
    codes = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert {"unknown-host", "forbidden-address", "not-an-address", "nothing-to-print", "gcode-unsafe"} <= set(codes)


@pytest.mark.parametrize(
    ("fields", "said"),
    [({"name": " "}, "Enter a name that people"), ({"name": "X", "width_mm": "5"}, "build volume of 20 to"),
     ({"name": "X", "width_mm": "NaN"}, "build volume of 20 to")],
)  # fmt: skip
def test_a_wrong_answer_about_the_printer_is_said_at_its_field(
    bob: Browser, session: Session, world: World, fields: dict[str, str], said: str
) -> None:
    probe = asked(bob, session)
    probes.record_answer(session, probe=probe, sealed_key="x", version="1", user="u", missing=[], dangerous=[])
    size = {"width_mm": "220", "depth_mm": "220", "height_mm": "250", "nozzle_mm": "0,4"}
    answer = bob.post(f"/staff/printers/new/{probe.id}", {**size, **fields})
    assert answer.status_code == 422
    assert said in answer.text


def test_another_persons_look_does_not_exist(bob: Browser, charlie: Browser, session: Session, world: World) -> None:
    probe = asked(bob, session)
    assert charlie.get(f"/staff/printers/new/{probe.id}").status_code == 404


def test_a_printer_of_no_place_of_mine_cannot_be_added_there(bob: Browser, session: Session, world: World) -> None:
    make_printer(session, world.site)
    probe = asked(bob, session, site_id="999999")
    assert probe.site_id == world.site.id


def known_again(bob: Browser, session: Session, printer: Printer, *, site_id: int) -> httpx.Response:
    """Bob adds a printer that there is already, with a key that works."""
    probe = asked(bob, session, url=printer.url, site_id=str(site_id))
    probes.record_answer(session, probe=probe, sealed_key="new", version="1.11.9", user="u", missing=[], dangerous=[])
    assert "Renew the key: " in bob.get(f"/staff/printers/new/{probe.id}").text
    return bob.post(f"/staff/printers/new/{probe.id}", {"name": printer.name})


def test_a_printer_that_is_known_only_gets_its_new_key(bob: Browser, session: Session, world: World) -> None:
    answer = known_again(bob, session, world.printer, site_id=world.site.id)
    assert answer.headers["location"] == f"/staff/printers/{world.printer.id}"
    assert (world.printer.sealed_key, world.printer.server_version) == ("new", "1.11.9")
    assert len(list_printers(session)) == 1


def test_two_places_cannot_share_one_octoprint(bob: Browser, session: Session, world: World) -> None:
    theirs = make_printer(session, make_site(session), url="http://127.0.0.1:99")
    answer = known_again(bob, session, theirs, site_id=world.site.id)
    assert (answer.status_code, "a printer of another place" in answer.text) == (409, True)
    assert theirs.sealed_key != "new"
