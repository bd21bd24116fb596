"""Checks a document before it is numbered, and makes the released files afterwards: XML, PDF, proofreading, storage."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

import structlog

from api.adapters import files, pdf
from api.adapters.facturx import Refused, ValidatorAbsent, generate, write_xml
from api.db import transaction
from api.domain.billing import invoices
from api.domain.billing.facturx import Document
from api.domain.billing.invoices import Invoice
from api.domain.core.errors import Busy, Invalid
from api.domain.sales import tabs

log = structlog.get_logger()


class DocumentRefused(Invalid):
    """Validation refuses this invoice: {faults}"""


class ValidatorsMissing(Busy):
    """E-invoice validation is not running: nothing can be issued right now. Tell the people who run the server."""


def judge(document: Document) -> bytes:
    """The XML of a document that every check and both schematrons accept; raises DocumentRefused, ValidatorsMissing."""
    try:
        return write_xml(document)
    except Refused as e:
        raise DocumentRefused(faults=str(e)[:1000]) from e
    except ValidatorAbsent as e:
        raise ValidatorsMissing() from e


def bill_month(seller_id: int, organisation_id: int, cost_centre_id: int | None) -> None:
    """One background step: invoice one tab for the month that is over, if that is still due."""
    with transaction() as session:
        tabs.bill_month(
            session,
            seller_id=seller_id,
            organisation_id=organisation_id,
            cost_centre_id=cost_centre_id,
            judge=judge,
            now=_now(),
        )


def render_invoice(invoice_id: int) -> None:
    """One background step: draw, proofread, store, release. It may run twice."""
    # Drawing takes a fifth of a second and more: no transaction is open meanwhile.
    with transaction() as session:
        invoice = session.get_one(Invoice, invoice_id)
        if invoice.pdf_key is not None:
            return
        document, stamp, judged_sha256 = invoice.document, invoice.issued_at, invoice.judged_sha256
    try:
        xml, drawn = make_files(document, stamp=stamp, judged_sha256=judged_sha256)
    except Invalid as error:
        log.warning("an issued invoice cannot be released", invoice=invoice_id, error=str(error))
        with transaction() as session:
            invoices.block(session, invoice=session.get_one(Invoice, invoice_id), faults=[str(error)], now=_now())
        return
    _keep(invoice_id, xml, drawn)


class ReleaseRefused(Invalid):
    """The document has errors: {faults}"""


def make_files(document: Document, *, stamp: datetime, judged_sha256: str | None = None) -> tuple[bytes, bytes]:
    """XML and PDF of an invoice, both checked; raises DocumentRefused, ValidatorsMissing or ReleaseRefused."""
    from api.adapters.proofread import release_faults  # noqa: PLC0415  # slow to load: not at each start

    xml = generate(document)
    # The very bytes were checked before the number was taken: a second check would find nothing else.
    if hashlib.sha256(xml).hexdigest() != judged_sha256:
        xml = judge(document)
    drawn = pdf.render_invoice(document, xml, stamp=stamp)
    if faults := release_faults(drawn, xml):
        raise ReleaseRefused(faults="; ".join(faults)[:1000])
    return xml, drawn


def _keep(invoice_id: int, xml: bytes, drawn: bytes) -> None:
    # Bytes first, then the row that names them: a crash between leaves files that nobody names, never a row without
    # its files.
    pdf_key, xml_key = files.new_key("invoices", "pdf"), files.new_key("invoices", "xml")
    files.put(pdf_key, drawn)
    files.put(xml_key, xml)
    with transaction() as session:
        ours = invoices.release(
            session,
            invoice=session.get_one(Invoice, invoice_id),
            pdf_key=pdf_key,
            pdf_sha256=hashlib.sha256(drawn).hexdigest(),
            pdf_bytes=len(drawn),
            xml_key=xml_key,
            xml_sha256=hashlib.sha256(xml).hexdigest(),
            now=_now(),
        )
    # Another worker released the invoice first: its files stay.
    if not ours:
        files.delete(pdf_key)
        files.delete(xml_key)


def _now() -> datetime:
    return datetime.now(UTC)
