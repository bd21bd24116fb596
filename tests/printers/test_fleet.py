"""The fleet's clients: one per printer, key and thread; the seal opens only here, and a broken one is a person's."""

import threading
from pathlib import Path

import pytest

from api.adapters.seal import seal
from printers import fleet
from printers.fleet import open_printer, unseal_key
from printers.octoprint import OctoPrint
from printers.port import PrinterError
from printers.simulator import SimulatedOctoPrint
from tests.installation import forget_caches

URL = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETABLI_DATA_DIR", str(tmp_path))
    monkeypatch.setattr(fleet, "_local", threading.local())
    forget_caches()


def test_the_client_of_a_printer_speaks_with_its_unsealed_key() -> None:
    with SimulatedOctoPrint() as sim:
        client = open_printer(sim.url, seal(sim.key, about=sim.url))
        assert client.observe().machine == "idle"
        assert isinstance(client, OctoPrint)
        client.close()


def test_a_printer_keeps_its_client_until_its_key_changes() -> None:
    one, other = seal("key", about=URL), seal("other", about=URL)
    assert open_printer(URL, one) is open_printer(URL, one)
    assert open_printer(URL, other) is not open_printer(URL, one)


def test_no_client_is_shared_between_threads() -> None:
    sealed, opened = seal("key", about=URL), []
    thread = threading.Thread(target=lambda: opened.append(open_printer(URL, sealed)))
    thread.start()
    thread.join()
    assert opened[0] is not open_printer(URL, sealed)


def test_the_oldest_client_is_dropped_when_too_many_are_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "MOST_OPEN", 2)
    sealed = [seal(f"key {number}", about=URL) for number in range(3)]
    first, second, _ = (open_printer(URL, key) for key in sealed)
    assert open_printer(URL, sealed[1]) is second
    assert open_printer(URL, sealed[0]) is not first


@pytest.mark.parametrize("sealed", ["", "nonsense"])
def test_a_broken_seal_is_a_wrong_key_that_no_retry_mends(sealed: str) -> None:
    with pytest.raises(PrinterError) as raised:
        unseal_key(URL, sealed)
    assert (raised.value.permanent, raised.value.reason) == (True, "wrong_key")


def test_a_key_sealed_for_another_address_is_not_sent_to_this_one() -> None:
    with pytest.raises(PrinterError):
        open_printer(URL, seal("key", about="http://127.0.0.1:10"))
