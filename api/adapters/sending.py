"""Background steps that hand issued invoices to the platform and ask what became of them; each may run twice.

The platform is spoken to outside of every transaction: read, call, record.
"""

from __future__ import annotations

from datetime import UTC, datetime

import structlog

from api.adapters import files
from api.adapters.flows import platform_of_house
from api.db import transaction
from api.domain.billing import platform
from api.domain.billing.invoices import Invoice
from api.domain.billing.platform import DepositedAlready, Flow, FlowTrouble, Platform
from api.domain.pricing.legal import CustomerType

log = structlog.get_logger()


def send_invoice(invoice_id: int, *, to: Platform | None = None) -> None:
    """One document to the platform of the house (`to`, in tests); what goes wrong is noted, and tried again later."""
    chosen = to or platform_of_house()
    if chosen is None:
        return
    with transaction() as session:
        invoice = session.get_one(Invoice, invoice_id)
        if invoice.pdf_key is None or platform.list_flows(session, invoice_id=invoice_id):
            return
        key, number, sha256 = invoice.pdf_key, invoice.number, invoice.pdf_sha256 or ""
        is_public = invoice.document.buyer.customer is CustomerType.PUBLIC
    try:
        pdf = b"".join(files.read(key))
        flow_id = chosen.send(number=number, pdf=pdf, sha256=sha256, public_buyer=is_public)
    except FlowTrouble as trouble:
        log.warning("the platform did not take an invoice", invoice=invoice_id, trouble=str(trouble))
        _note_trouble(invoice_id, chosen, trouble)
        return
    _note_deposit(invoice_id, chosen, flow_id)


def _note_trouble(invoice_id: int, chosen: Platform, trouble: FlowTrouble) -> None:
    with transaction() as session:
        platform.note_trouble(
            session,
            invoice=session.get_one(Invoice, invoice_id),
            platform=chosen.name,
            trouble=str(trouble),
            permanent=trouble.permanent,
            now=_now(),
        )


def _note_deposit(invoice_id: int, chosen: Platform, flow_id: str) -> None:
    try:
        with transaction() as session:
            invoice = session.get_one(Invoice, invoice_id)
            platform.note_deposit(session, invoice=invoice, platform=chosen.name, flow_id=flow_id, now=_now())
    except DepositedAlready:
        return  # this step ran twice


def poll_flow(flow_id: int, *, at: Platform | None = None) -> None:
    """Ask what became of one flow; silence is asked again in an hour."""
    chosen = at or platform_of_house()
    if chosen is None:
        return
    with transaction() as session:
        named = session.get_one(Flow, flow_id).flow_id
    try:
        status = chosen.status(named)
    except FlowTrouble as trouble:
        log.warning("the platform does not say what became of a flow", flow=flow_id, trouble=str(trouble))
        status = None
    with transaction() as session:
        flow = session.get_one(Flow, flow_id)
        platform.note_polled_status(session, flow=flow, status=status or flow.status, now=_now())


def enqueue_flows() -> None:
    """For the sweep: queue what is due, where the house has a platform."""
    if (chosen := platform_of_house()) is not None:
        with transaction() as session:
            platform.enqueue_flows(session, platform=chosen.name, now=_now())


def _now() -> datetime:
    return datetime.now(UTC)
