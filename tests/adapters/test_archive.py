"""The archive proves itself without us: a stand-alone check of hashes, chain and FEC over exported files."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from api import db
from api.adapters import files, invoicing
from api.adapters.archive import ArchiveBroken, export
from api.settings import settings
from tests.world.billing import issue, make_shop


@pytest.fixture
def house(committed: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sessionmaker[Session]]:
    monkeypatch.setattr(settings(), "data_dir", tmp_path / "data")
    files._store.cache_clear()
    made = sessionmaker(committed, expire_on_commit=False)
    monkeypatch.setattr(db, "sessions", lambda: made)
    with made.begin() as session:
        shop = make_shop(session)
        issued = [issue(session, shop, judge=invoicing.judge).id for _ in range(2)]
    for invoice_id in issued:
        invoicing.render_invoice(invoice_id)
    yield made
    files._store.cache_clear()


def verify(folder: Path) -> list[str]:
    """What a stranger can check with nothing but a hash function."""
    wrong, before = [], "0" * 64
    for facts in json.loads((folder / "invoices.json").read_text()):
        stem = folder / facts["seller"] / facts["number"]
        hashes = {s: hashlib.sha256(stem.with_suffix(f".{s}").read_bytes()).hexdigest() for s in ("pdf", "xml")}
        wrong += [f"{stem.name}.{suffix}" for suffix, found in hashes.items() if found != facts[f"{suffix}_sha256"]]
        linked = hashlib.sha256(f"{before}\n{stem.with_suffix('.snapshot').read_text()}".encode()).hexdigest()
        if linked != facts["sha256"]:
            wrong.append(facts["number"])
        before = facts["sha256"]
    return wrong


def test_an_export_verifies_offline_and_a_changed_byte_is_found(house: sessionmaker[Session], tmp_path: Path) -> None:
    with house() as session:
        assert export(session, tmp_path / "out") == 2
    [fec] = (tmp_path / "out").glob("*/*FEC*.txt")
    [_, changed] = sorted((tmp_path / "out").glob("*/*.snapshot"))

    assert verify(tmp_path / "out") == []
    assert len(fec.read_text().splitlines()) > 2
    changed.write_text(changed.read_text().replace("capteur", "Capteur"))
    assert verify(tmp_path / "out") == [changed.stem]


def test_an_export_refuses_a_file_that_is_not_the_issued_one(house: sessionmaker[Session], tmp_path: Path) -> None:
    with house() as session:
        [first, *_] = (tmp_path / "data").rglob("*.pdf")
        first.write_bytes(first.read_bytes() + b" ")
        with pytest.raises(ArchiveBroken):
            export(session, tmp_path / "out")
