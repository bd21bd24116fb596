"""E-reporting (flux 10): what was sold to consumers, per day, category of transaction and VAT rate.

`api.adapters.ereporting` makes the XML of it, and the platform sends it.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.billing.facturx import Document, Nature, totals
from api.domain.billing.invoices.table import Invoice
from api.domain.pricing.legal import CustomerType


class VatOperation(StrEnum):
    """Categories of transaction of flux 10 (DGFiP, external specifications 3.2)."""

    GOODS = "TLB1"
    SERVICES = "TPS1"
    EXEMPT = "TNT1"


@dataclass(frozen=True, slots=True)
class DayTotal:
    """What was sold on a day in one category at one rate, credit notes taken off."""

    on: date
    operation: VatOperation
    rate: Decimal
    base_cents: int
    vat_cents: int


def list_consumer_totals(session: Session, *, seller_id: int, start: date, end: date) -> list[DayTotal]:
    """Sums of the documents issued to consumers in `[start, end)`; VAT is that of the documents, to the cent."""
    query = select(Invoice).where(
        Invoice.seller_id == seller_id,
        Invoice.organisation_id.is_(None),
        Invoice.issued_on >= start,
        Invoice.issued_on < end,
    )
    sums: defaultdict[tuple[date, VatOperation, Decimal], list[int]] = defaultdict(lambda: [0, 0])
    for invoice in session.scalars(query):
        document = invoice.document
        # What the document says of its buyer decides: flux 10.3 is about consumers alone.
        if document.buyer.customer is not CustomerType.CONSUMER:
            continue
        for operation, rate, base, vat in _split_by_nature(document):
            sums[document.issued_on, operation, rate][0] += invoice.sign * base
            sums[document.issued_on, operation, rate][1] += invoice.sign * vat
    return [DayTotal(*key, *cents) for key, cents in sorted(sums.items(), key=lambda item: item[0])]


def _split_by_nature(document: Document) -> list[tuple[VatOperation, Decimal, int, int]]:
    """(category, rate, base, VAT) in cents: the VAT groups of a document, split into goods and services."""
    sums = totals(document)
    rows = []
    for group in sums.vat:
        nets = {Nature.GOODS: 0, Nature.SERVICES: 0}
        for line, net in zip(document.lines, sums.line_net_cents, strict=True):
            if (line.category, line.rate) == (group.category, group.rate):
                nets[line.nature if line.nature in nets else Nature.SERVICES] += net
        # VAT was rounded once for the whole group. What the split leaves over, and reductions of the document, stay
        # with the larger part, so that the parts come to what was invoiced.
        larger = max(nets, key=lambda nature: nets[nature])
        nets[larger] += group.base_cents - sum(nets.values())
        vat = {nature: group.vat_cents * net // (group.base_cents or 1) for nature, net in nets.items()}
        vat[larger] += group.vat_cents - sum(vat.values())
        for nature, net in nets.items():
            if net:
                rows.append((_operation(group.rate, nature), group.rate, net, vat[nature]))
    return rows


def _operation(rate: Decimal, nature: Nature) -> VatOperation:
    # The line of an exempt or franchise seller has the rate 0, whatever was sold.
    if not rate:
        return VatOperation.EXEMPT
    return VatOperation.GOODS if nature is Nature.GOODS else VatOperation.SERVICES
