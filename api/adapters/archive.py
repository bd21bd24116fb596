"""The export of all that was issued, as plain files: PDF, XML, what was sold, hashes, the FEC.

It can be checked without our software. Nothing is generated again: the bytes are those that went out.
"""

from __future__ import annotations

import hashlib
import json
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.adapters import files
from api.domain.billing import invoices, ledger, payments
from api.domain.billing.invoices import Invoice
from api.domain.billing.sellers import Seller, list_sellers
from api.domain.core.frozen import pack
from api.domain.sales import orders, tabs


class ArchiveBroken(Exception):
    """A stored file is not the one that was issued."""


def export(session: Session, folder: Path) -> int:
    """Write `<SIREN>/<number>.{pdf,xml,json,snapshot}`, the FEC and `invoices.json`; returns the number of documents.

    `snapshot` is the frozen text: the SHA-256 of the previous hash, a line feed and this text is the invoice's hash.
    Raises ArchiveBroken.
    """
    folder.mkdir(parents=True, exist_ok=True)
    index: list[dict[str, Any]] = []
    for invoice in invoices.list_released(session):
        place = folder / invoice.seller.siren
        place.mkdir(exist_ok=True)
        index.append(_write(session, invoice, place))
    _write_json(folder / "invoices.json", index)
    for seller in list_sellers(session):
        _write_fec(session, seller, folder)
    return len(index)


def _write(session: Session, invoice: Invoice, place: Path) -> dict[str, Any]:
    pdf_key, xml_key = invoices.require_released(invoice)
    stem = invoice.number.replace("/", "_")
    for key, digest, suffix in ((pdf_key, invoice.pdf_sha256, "pdf"), (xml_key, invoice.xml_sha256, "xml")):
        raw = b"".join(files.read(key))
        if hashlib.sha256(raw).hexdigest() != digest:
            raise ArchiveBroken(f"{invoice.number}.{suffix}")
        (place / f"{stem}.{suffix}").write_bytes(raw)
    # No translation of line ends: the hash is made over these very bytes.
    (place / f"{stem}.snapshot").write_text(invoice.snapshot, encoding="utf-8", newline="")
    facts = _facts(session, invoice)
    _write_json(place / f"{stem}.json", facts | {"sold": pack(invoice.document)})
    return facts


def _facts(session: Session, invoice: Invoice) -> dict[str, Any]:
    return {
        "number": invoice.number,
        "kind": invoice.kind.value,
        "seller": invoice.seller.siren,
        "issued_on": invoice.issued_on.isoformat(),
        "net_cents": invoice.net_cents,
        "vat_cents": invoice.vat_cents,
        "total_cents": invoice.total_cents,
        "open_cents": payments.open_cents(session, invoice=invoice),
        "original": invoice.original.number if invoice.original else None,
        "orders": [order.number for order in orders.list_orders_on_invoice(session, invoice=invoice)],
        "quotes": [order.quote.number for order in orders.list_orders_on_invoice(session, invoice=invoice)],
        "sources": tabs.list_sources(session, invoice=invoice),
        "pdf_sha256": invoice.pdf_sha256,
        "xml_sha256": invoice.xml_sha256,
        "previous_sha256": invoice.previous_sha256,
        "sha256": invoice.sha256,
    }


def _write_fec(session: Session, seller: Seller, folder: Path) -> None:
    """One FEC per calendar year that has postings."""
    years = select(func.distinct(ledger.Posting.year)).where(ledger.Posting.seller_id == seller.id)
    for year in session.scalars(years):
        name, lines = ledger.export_fec(session, seller=seller, start=date(year, 1, 1), end=date(year + 1, 1, 1))
        (folder / seller.siren).mkdir(exist_ok=True)
        with (folder / seller.siren / name).open("w", encoding="utf-8", newline="") as file:
            file.writelines(lines)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
