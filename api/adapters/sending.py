"""Background steps that hand issued invoices to the platform and ask for their status; each may run twice."""

from __future__ import annotations

from datetime import UTC, datetime

import structlog

from api.adapters import files
from api.adapters.flows import find_platform
from api.db import transaction
from api.domain.billing import platform
from api.domain.billing.invoices import Invoice
from api.domain.billing.platform import DepositedAlready, Flow, FlowTrouble, Platform
from api.domain.core import restores
from api.domain.pricing.legal import CustomerType

log = structlog.get_logger()


def send_invoice(invoice_id: int, *, to: Platform | None = None) -> None:
    """Send one document to the platform; trouble is noted and tried again later. `to` is for tests."""
    receiver = to or find_platform()
    if receiver is None:
        return
    with transaction() as session:
        invoice = session.get_one(Invoice, invoice_id)
        # A restored copy cannot know what the platform has; a person deposits these, or looks there.
        if restores.may_have_been_sent(session, written_at=invoice.issued_at):
            return
        if invoice.pdf_key is None or platform.list_flows(session, invoice_id=invoice_id):
            return
        key, number, sha256 = invoice.pdf_key, invoice.number, invoice.pdf_sha256 or ""
        is_public = invoice.document.buyer.customer is CustomerType.PUBLIC
    # Read, call, record: no transaction is open while the platform is spoken to.
    try:
        pdf = b"".join(files.read(key))
        flow_id = receiver.send(number=number, pdf=pdf, sha256=sha256, public_buyer=is_public)
    except FlowTrouble as trouble:
        log.warning("the platform did not take an invoice", invoice=invoice_id, trouble=str(trouble))
        _note_trouble(invoice_id, receiver, trouble)
        return
    _note_deposit(invoice_id, receiver, flow_id)


def _note_trouble(invoice_id: int, receiver: Platform, trouble: FlowTrouble) -> None:
    with transaction() as session:
        platform.note_trouble(
            session,
            invoice=session.get_one(Invoice, invoice_id),
            platform=receiver.name,
            trouble=str(trouble),
            permanent=trouble.permanent,
            now=_now(),
        )


def _note_deposit(invoice_id: int, receiver: Platform, flow_id: str) -> None:
    try:
        with transaction() as session:
            invoice = session.get_one(Invoice, invoice_id)
            platform.note_deposit(session, invoice=invoice, platform=receiver.name, flow_id=flow_id, now=_now())
    except DepositedAlready:
        return  # this step ran twice


def poll_flow(flow_id: int, *, at: Platform | None = None) -> None:
    """Ask for the status of one flow."""
    receiver = at or find_platform()
    if receiver is None:
        return
    with transaction() as session:
        platform_id = session.get_one(Flow, flow_id).flow_id
    try:
        status = receiver.status(platform_id)
    except FlowTrouble as trouble:
        log.warning("the platform does not say what became of a flow", flow=flow_id, trouble=str(trouble))
        status = None
    # Trouble counts as an answer without news: the flow is asked again in an hour, not at each sweep.
    with transaction() as session:
        flow = session.get_one(Flow, flow_id)
        platform.note_polled_status(session, flow=flow, status=status or flow.status, now=_now())


def enqueue_flows() -> None:
    """For the sweep: queue what is due, where the house has a platform."""
    if (receiver := find_platform()) is not None:
        with transaction() as session:
            platform.enqueue_flows(session, platform=receiver.name, now=_now())


def _now() -> datetime:
    return datetime.now(UTC)
