"""Sealed secrets open for what they were sealed for, on the installation that sealed them, and for nothing else."""

from pathlib import Path

import pytest

from api.adapters.seal import SealBroken, seal, unseal
from tests.installation import forget_caches

URL = "http://127.0.0.1:5000"


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    move_to(tmp_path / "here", monkeypatch)


def move_to(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETABLI_DATA_DIR", str(folder))
    forget_caches()


def test_a_sealed_secret_is_not_readable_and_opens_for_its_purpose() -> None:
    sealed = seal("the key", about=URL)
    assert "the key" not in sealed
    assert unseal(sealed, about=URL) == "the key"


def test_a_secret_sealed_for_one_printer_does_not_open_for_another() -> None:
    with pytest.raises(SealBroken):
        unseal(seal("the key", about=URL), about="http://127.0.0.1:6000")


@pytest.mark.parametrize("changed", ["", "nothing sealed", "é"])
def test_what_was_never_sealed_does_not_open(changed: str) -> None:
    with pytest.raises(SealBroken):
        unseal(changed, about=URL)


def test_a_changed_secret_does_not_open() -> None:
    sealed = seal("the key", about=URL)
    middle = len(sealed) // 2
    other = "A" if sealed[middle] != "A" else "B"
    with pytest.raises(SealBroken):
        unseal(sealed[:middle] + other + sealed[middle + 1 :], about=URL)


def test_another_installation_cannot_open_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sealed = seal("the key", about=URL)
    move_to(tmp_path / "elsewhere", monkeypatch)
    with pytest.raises(SealBroken):
        unseal(sealed, about=URL)


def test_the_same_installation_opens_it_after_a_restart(tmp_path: Path) -> None:
    sealed = seal("the key", about=URL)
    forget_caches()
    assert unseal(sealed, about=URL) == "the key"
