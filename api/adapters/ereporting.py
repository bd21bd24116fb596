"""Flux 10: what was sold to consumers, day by day and rate by rate, as the XML that a platform forwards to the state.

Source: external specifications of the reform 3.2 (30/04/2026), XSD `ereporting`; rules of the French schematron of
2026-07-30. The platform sends it. Payments (10.4) and sales abroad (10.1) are not reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from decimal import Decimal
from itertools import groupby

from lxml import etree

from api.domain.billing.invoices import DayTotal
from api.domain.billing.sellers import Seller
from api.domain.core.errors import Invalid
from api.domain.pricing.legal import PARIS


class PeriodTooShort(Invalid):
    """A report covers a single day."""

    field = "end"


class PlatformUnnamed(Invalid):
    """First set the platform number (4 characters): it appears on each report."""


def report_sales(
    totals: Sequence[DayTotal], *, seller: Seller, start: date, end: date, platform: str, now: datetime
) -> bytes:
    """The initial report of the days `[start, end)`; raises PlatformUnnamed, PeriodTooShort."""
    if len(platform) != 4:
        raise PlatformUnnamed()
    # The report names its last day, which must come after the first (rule G6.25).
    last = date.fromordinal(end.toordinal() - 1)
    if last <= start:
        raise PeriodTooShort()
    root = etree.Element("Report")
    _document(root, seller, platform, now, f"{seller.siren}-{start:%Y%m%d}-{last:%Y%m%d}")
    report = etree.SubElement(root, "TransactionsReport")
    _add_texts(etree.SubElement(report, "ReportPeriod"), StartDate=f"{start:%Y%m%d}", EndDate=f"{last:%Y%m%d}")
    for (day, category), rows in groupby(totals, key=lambda each: (each.on, each.operation.value)):
        _transactions(report, day, category, list(rows))
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)


def _document(root: etree._Element, seller: Seller, platform: str, now: datetime, name: str) -> None:
    head = etree.SubElement(root, "ReportDocument")
    local = now.astimezone(PARIS)
    _add_texts(head, Id=f"{name}-{local:%H%M%S}")
    _add_texts(etree.SubElement(head, "IssueDateTime"), DateTimeString=f"{local:%Y%m%d%H%M%S}")
    _add_texts(head, TypeCode="IN")
    # The platform sends (scheme 0238, role WK); the seller declares (scheme 0002 is the SIREN, role SE).
    _party(head, "Sender", "0238", platform, f"Plateforme {platform}", "WK")
    _party(head, "Issuer", "0002", seller.siren, seller.name, "SE")


def _party(head: etree._Element, tag: str, scheme: str, number: str, name: str, role: str) -> None:
    party = etree.SubElement(head, tag)
    etree.SubElement(party, "Id", schemeId=scheme).text = number
    _add_texts(party, Name=name, RoleCode=role)


def _transactions(report: etree._Element, day: date, category: str, rows: Sequence[DayTotal]) -> None:
    sold = etree.SubElement(report, "Transactions")
    _add_texts(
        sold,
        Date=f"{day:%Y%m%d}",
        TransactionsCurrency="EUR",
        CategoryCode=category,
        TaxExclusiveAmount=_euros(row.base_cents for row in rows),
        TaxTotal=_euros(row.vat_cents for row in rows),
    )
    for row in rows:
        _add_texts(
            etree.SubElement(sold, "TaxSubtotal"),
            TaxPercent=f"{row.rate.normalize():f}",
            TaxableAmount=_euros([row.base_cents]),
            TaxTotal=_euros([row.vat_cents]),
        )


def _euros(cents: Iterable[int]) -> str:
    return f"{Decimal(sum(cents)).scaleb(-2):.2f}"


def _add_texts(parent: etree._Element, **texts: str) -> None:
    # In the order given: the schema is a sequence.
    for tag, text in texts.items():
        etree.SubElement(parent, tag).text = text
