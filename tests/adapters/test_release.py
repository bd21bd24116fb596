"""From an issued invoice to the file that goes out: judged by the real validators, drawn once, never again."""

import hashlib
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, select, text
from sqlalchemy.orm import Session, sessionmaker

from api import db
from api.adapters import files, invoicing, proofread
from api.adapters.proofread import embedded_xml
from api.domain.billing import invoices
from api.domain.billing.invoices import Invoice
from api.domain.core.changes import Change
from api.settings import settings
from tests.world import NOW
from tests.world.billing import TODAY, Shop, accept_all, issue, make_shop
from tests.world.documents import make_document, make_line


@pytest.fixture
def house(committed: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sessionmaker[Session]]:
    """A committed database and a file store of its own: the step opens its own transactions."""
    monkeypatch.setattr(settings(), "data_dir", tmp_path)
    files._store.cache_clear()
    made = sessionmaker(committed, expire_on_commit=False)
    monkeypatch.setattr(db, "sessions", lambda: made)
    yield made
    files._store.cache_clear()


def issued(house: sessionmaker[Session], **over: Any) -> int:
    with house.begin() as session:
        return issue(session, make_shop(session), **{"judge": invoicing.judge, **over}).id


def read(house: sessionmaker[Session], invoice_id: int) -> Invoice:
    with house() as session:
        return session.get_one(Invoice, invoice_id)


def stored(key: str | None) -> bytes:
    assert key is not None
    return b"".join(files.read(key))


def test_the_released_bytes_are_the_stored_hash_and_hold_the_xml(house: sessionmaker[Session]) -> None:
    invoice_id = issued(house)
    invoicing.render_invoice(invoice_id)
    invoice = read(house, invoice_id)
    pdf, xml = stored(invoice.pdf_key), stored(invoice.xml_key)

    assert hashlib.sha256(pdf).hexdigest() == invoice.pdf_sha256
    assert hashlib.sha256(xml).hexdigest() == invoice.xml_sha256 == invoice.judged_sha256
    assert embedded_xml(pdf) == xml
    assert invoice.number.encode() in xml


def test_nothing_that_changes_later_changes_the_document(house: sessionmaker[Session]) -> None:
    """Tariff, seller's address, and a second run of the step: the same bytes."""
    invoice_id = issued(house)
    invoicing.render_invoice(invoice_id)
    before = read(house, invoice_id)
    with house.begin() as session:
        session.execute(text("""UPDATE sellers SET name = 'Autre nom', address = '{"lines": [], "city": ""}'"""))
    invoicing.render_invoice(invoice_id)
    after = read(house, invoice_id)

    assert (after.pdf_key, after.pdf_sha256) == (before.pdf_key, before.pdf_sha256)
    assert hashlib.sha256(stored(after.pdf_key)).hexdigest() == before.pdf_sha256


def test_a_step_that_was_killed_leaves_nothing_released_and_may_run_again(
    house: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    invoice_id = issued(house)
    with monkeypatch.context() as patch:
        patch.setattr(invoices, "release", killed)
        with pytest.raises(SystemExit):
            invoicing.render_invoice(invoice_id)
    assert read(house, invoice_id).pdf_key is None

    invoicing.render_invoice(invoice_id)
    assert read(house, invoice_id).pdf_key is not None


def killed(*_: object, **__: object) -> bool:
    raise SystemExit


def test_a_document_with_a_fault_is_blocked_and_keeps_its_number(
    house: sessionmaker[Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proofread, "release_faults", lambda pdf, xml: ["BT-112: printed 1, XML 2"])
    invoice_id = issued(house)
    invoicing.render_invoice(invoice_id)

    invoice = read(house, invoice_id)
    assert (invoice.pdf_key, invoice.number) == (None, "F2026-00001")
    with house() as session:
        assert session.scalar(select(Change.verb).where(Change.noun == "invoice", Change.verb == "blocked"))


def test_what_slipped_past_the_first_judge_is_stopped_by_the_second(house: sessionmaker[Session]) -> None:
    """A line that comes to another sum than agreed, issued with a judge that says yes to all: never released."""
    wrong = make_document(lines=(make_line(agreed_net_cents=1),))
    invoice_id = issued(house, draft=wrong, judge=accept_all)
    invoicing.render_invoice(invoice_id)

    assert read(house, invoice_id).pdf_key is None


def hand_out(session: Session, invoice: Invoice) -> None:
    key = str(invoice.id)
    facts: dict[str, Any] = {"pdf_sha256": "a" * 64, "pdf_bytes": 1, "xml_sha256": "b" * 64}
    assert invoices.release(session, invoice=invoice, pdf_key=key, xml_key=key, now=NOW, **facts)


def test_a_lost_step_is_asked_for_again_but_not_a_blocked_one(session: Session, shop: Shop) -> None:
    lost, blocked, done = (issue(session, shop) for _ in range(3))
    fresh = issue(session, shop, now=NOW + timedelta(seconds=90))
    invoices.block(session, invoice=blocked, faults=["x"], now=NOW)
    hand_out(session, done)
    session.flush()

    assert invoices.list_unreleased(session, now=NOW + timedelta(minutes=2)) == [lost.id]
    assert invoices.list_unreleased(session, now=NOW + timedelta(minutes=3)) == [lost.id, fresh.id]


def test_what_went_out_is_listed_from_the_first_day_to_before_the_last(session: Session, shop: Shop) -> None:
    days = [TODAY - timedelta(days=left) for left in (2, 1, 0)]
    went = [issue(session, shop, issued_on=day) for day in days]
    issue(session, shop)
    for invoice in went:
        hand_out(session, invoice)

    assert invoices.list_released(session) == went
    assert invoices.list_released(session, start=days[1]) == went[1:]
    assert invoices.list_released(session, start=days[0], end=days[2]) == went[:2]
    with pytest.raises(invoices.NotReleased):
        invoices.require_released(issue(session, shop))
