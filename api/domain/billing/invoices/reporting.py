"""E-reporting: what was sold to consumers, per day, kind of operation and VAT rate (flux 10). Refuses to send it."""

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
    """Category of transaction of flux 10; a consumer's exempt sale is TNT1."""

    GOODS = "TLB1"
    SERVICES = "TPS1"
    EXEMPT = "TNT1"


@dataclass(frozen=True, slots=True)
class DayTotal:
    """One row: what was sold on a day in one category at one rate, credit notes taken off."""

    on: date
    operation: VatOperation
    rate: Decimal
    base_cents: int
    vat_cents: int


def list_consumer_totals(session: Session, *, seller_id: int, start: date, end: date) -> list[DayTotal]:
    """Of the consumers' documents issued in `[start, end)`; the VAT is that of the documents, to the cent."""
    query = select(Invoice).where(
        Invoice.seller_id == seller_id,
        Invoice.organisation_id.is_(None),
        Invoice.issued_on >= start,
        Invoice.issued_on < end,
    )
    sums: defaultdict[tuple[date, VatOperation, Decimal], list[int]] = defaultdict(lambda: [0, 0])
    for invoice in session.scalars(query):
        document = invoice.document
        if document.buyer.customer is not CustomerType.CONSUMER:
            continue
        for operation, rate, base, vat in _groups(document):
            sums[document.issued_on, operation, rate][0] += invoice.sign * base
            sums[document.issued_on, operation, rate][1] += invoice.sign * vat
    return [DayTotal(*key, *cents) for key, cents in sorted(sums.items(), key=lambda item: item[0])]


def _groups(document: Document) -> list[tuple[VatOperation, Decimal, int, int]]:
    """VAT groups split by nature; what rounding leaves stays with the larger part."""
    sums = totals(document)
    found = []
    for group in sums.vat:
        nets = {Nature.GOODS: 0, Nature.SERVICES: 0}
        for line, net in zip(document.lines, sums.line_net_cents, strict=True):
            if (line.category, line.rate) == (group.category, group.rate):
                nets[line.nature if line.nature in nets else Nature.SERVICES] += net
        larger = max(nets, key=lambda nature: nets[nature])
        nets[larger] += group.base_cents - sum(nets.values())
        vat = {nature: group.vat_cents * net // (group.base_cents or 1) for nature, net in nets.items()}
        vat[larger] += group.vat_cents - sum(vat.values())
        for nature, net in nets.items():
            if net:
                found.append((_operation(group.rate, nature), group.rate, net, vat[nature]))
    return found


def _operation(rate: Decimal, nature: Nature) -> VatOperation:
    if not rate:
        return VatOperation.EXEMPT
    return VatOperation.GOODS if nature is Nature.GOODS else VatOperation.SERVICES
