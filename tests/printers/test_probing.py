"""Looking at a printer that somebody wants to add: what is answered, what is refused, and what it becomes."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from api.adapters.seal import seal, unseal
from api.db import transaction
from api.domain.core.errors import NotFound
from api.domain.people import roles
from api.domain.people.accounts import User
from api.domain.people.roles import Level, StaffOnly
from api.domain.places.sites import Site
from api.domain.printing import probes
from api.domain.printing.kinds import PrinterKind
from api.domain.printing.printers import Printer
from api.domain.printing.probes import (
    ANSWER_WITHIN,
    PrinterAddressMissing,
    PrinterNameMissing,
    PrinterOnSameServer,
    Probe,
    ProbeNotAnswered,
    ProbeStatus,
)
from printers import appkeys
from printers.address import server_of
from printers.appkeys import KeyAnswer
from printers.probing import probe_printer
from printers.simulator import SimulatedOctoPrint
from tests.world import NOW, make_kind, make_site, make_user

S = ProbeStatus


@pytest.fixture
def bob(installation: Path) -> User:
    with transaction() as session:
        user, site = make_user(session, "Bob"), make_site(session)
        roles.grant(session, user=user, site_id=site.id, level=Level.STAFF, now=NOW)
        make_kind(session)
        return user


def ask(bob: User, url: str, sealed_key: str = "", *, now: datetime | None = None) -> int:
    with transaction() as session:
        site = session.query(Site).one()
        at = now or datetime.now(UTC)
        return probes.request_probe(session, site=site, url=url, sealed_key=sealed_key, actor=bob, now=at).id


def look(probe_id: int) -> Probe:
    with transaction() as session:
        return session.get_one(Probe, probe_id)


def add(probe_id: int, actor: User, name: str = "Ender") -> Printer:
    with transaction() as session:
        kind = session.query(PrinterKind).one()
        probe = session.get_one(Probe, probe_id)
        return probes.add_probed(session, probe=probe, name=name, kind=kind, actor=actor, now=NOW)


def test_a_printer_whose_key_works_says_who_it_is_and_becomes_one_of_ours_once(bob: User) -> None:
    with SimulatedOctoPrint() as sim:
        probe_id = ask(bob, f" {sim.url}/ ", seal(sim.key, about=sim.url))
        probe_printer(probe_id)
        probe_printer(probe_id)  # a second run changes nothing
    assert look(probe_id).status == S.ANSWERED
    printer = add(probe_id, bob, " Ender ")
    assert (printer.name, printer.url, unseal(printer.sealed_key, about=sim.url)) == ("Ender", sim.url, sim.key)
    assert (look(probe_id).status, look(probe_id).sealed_key) == (S.USED, "")
    with pytest.raises(ProbeNotAnswered):
        add(probe_id, bob)


def test_a_wrong_key_and_a_broken_seal_are_told(bob: User) -> None:
    with SimulatedOctoPrint() as sim:
        for sealed in (seal("not the key", about=sim.url), "broken"):
            probe_id = ask(bob, sim.url, sealed)
            probe_printer(probe_id)
            assert (look(probe_id).status, look(probe_id).answer) == (S.FAILED, {"code": "wrong_key"})
            assert look(probe_id).sealed_key == ""


def test_an_address_that_is_never_a_printer_is_not_spoken_to(bob: User) -> None:
    probe_id = ask(bob, "http://169.254.169.254")
    probe_printer(probe_id)
    assert look(probe_id).status == S.FAILED
    assert look(probe_id).answer["code"]


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> dict[str, KeyAnswer]:
    """OctoPrint's own page where a person decides (tests/printers/test_appkeys.py has the real one)."""
    said = {"now": KeyAnswer("pending")}
    monkeypatch.setattr(appkeys, "request_key", lambda *_, **__: "a-token")
    monkeypatch.setattr(appkeys, "poll_key", lambda *_: said["now"])
    return said


def test_without_a_key_a_person_agrees_on_octoprints_own_page(bob: User, page: dict[str, KeyAnswer]) -> None:
    with SimulatedOctoPrint() as sim:
        probe_id = ask(bob, sim.url)
        for _ in range(3):  # asked, and twice not yet decided
            probe_printer(probe_id)
            assert (look(probe_id).status, look(probe_id).token) == (S.WAITING, "a-token")
        page["now"] = KeyAnswer("granted", sim.key)
        probe_printer(probe_id)
        assert unseal(look(probe_id).sealed_key, about=sim.url) == sim.key
    assert look(probe_id).status == S.ANSWERED


def test_a_person_who_refuses_is_believed(bob: User, page: dict[str, KeyAnswer]) -> None:
    probe_id = ask(bob, "http://127.0.0.1:9")
    page["now"] = KeyAnswer("refused")
    for _ in range(2):
        probe_printer(probe_id)
    assert look(probe_id).answer == {"code": "key_refused"}


def test_when_nobody_agrees_in_time_it_is_over(bob: User, page: dict[str, KeyAnswer]) -> None:
    probe_id = ask(bob, "http://127.0.0.1:9", now=datetime.now(UTC) - ANSWER_WITHIN)
    for _ in range(2):
        probe_printer(probe_id)
    assert look(probe_id).answer == {"code": "nobody_agreed"}


def test_a_look_that_is_over_or_gone_is_not_taken(bob: User) -> None:
    probe_printer(0)
    with transaction() as session, pytest.raises(NotFound):
        probes.get_probe(session, 0, user=bob)


def test_only_staff_of_the_place_look_and_add_and_each_sees_only_ones_own(bob: User) -> None:
    with transaction() as session:
        dana = make_user(session)
    probe_id = ask(bob, "http://127.0.0.1:9")
    with pytest.raises(StaffOnly):
        ask(dana, "http://127.0.0.1:9")
    with pytest.raises(StaffOnly):
        add(probe_id, dana)
    with transaction() as session:
        assert probes.get_probe(session, probe_id, user=bob).id == probe_id
        with pytest.raises(NotFound):
            probes.get_probe(session, probe_id, user=dana)


def test_a_printer_needs_an_address_a_name_and_an_answer(bob: User) -> None:
    with pytest.raises(PrinterAddressMissing):
        ask(bob, "  ")
    probe_id = ask(bob, "http://127.0.0.1:9")
    with pytest.raises(PrinterNameMissing):
        add(probe_id, bob, "  ")
    with pytest.raises(ProbeNotAnswered):
        add(probe_id, bob)


@pytest.mark.parametrize("host", ["localhost", "127.1", "0x7f000001"])
@pytest.mark.parametrize("is_noted", [True, False])
def test_one_octoprint_under_two_names_is_one_printer(bob: User, host: str, is_noted: bool) -> None:
    """Two plates that are one: a print would start on a finished part. Also for one added before servers were noted."""
    with SimulatedOctoPrint() as sim:
        url = f"http://{host}:{sim.port}"
        first, second = (ask(bob, each, seal(sim.key, about=each)) for each in (sim.url, url))
        probe_printer(first)
        if is_noted:
            probe_printer(second)  # both have answered before either is added
        printer = add(first, bob)
        if not is_noted:
            with transaction() as session:
                session.get_one(Printer, printer.id).server = ""
            probe_printer(second)
        with pytest.raises(PrinterOnSameServer, match=sim.url):
            add(second, bob)


def test_two_servers_of_one_machine_are_two_printers(bob: User) -> None:
    with SimulatedOctoPrint() as one, SimulatedOctoPrint() as other:
        for sim in (one, other):
            probe_id = ask(bob, sim.url, seal(sim.key, about=sim.url))
            probe_printer(probe_id)
            add(probe_id, bob)
    assert server_of("http://127.0.0.1:80/one") != server_of("http://127.0.0.1:80/two")
