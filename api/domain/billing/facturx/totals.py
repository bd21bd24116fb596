"""The sums of a document, in whole cents, as EN 16931 wants them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from api.domain.billing.facturx.document import Document, Line, Sale, VatCategory
from api.domain.pricing.prices import round_cents, vat_cents


@dataclass(frozen=True, slots=True)
class VatSum:
    """VAT of one category and rate (BG-23)."""

    category: VatCategory
    rate: Decimal
    base_cents: int
    vat_cents: int


@dataclass(frozen=True, slots=True)
class Totals:
    """In cents: line nets (BT-131), their sum (BT-106), reductions (BT-107), BT-109, BT-110, BT-112, BT-113, BT-115."""

    line_net_cents: tuple[int, ...]
    lines_cents: int
    allowances_cents: int
    vat: tuple[VatSum, ...]
    net_cents: int
    vat_cents: int
    total_cents: int
    paid_cents: int
    due_cents: int


def line_net_cents(line: Line) -> int:
    """Quantity times unit price, rounded once, less the reduction of the line (BT-131)."""
    reduction = line.allowance.amount_cents if line.allowance else 0
    return round_cents(line.quantity * line.unit_price) - reduction


def totals(sale: Sale) -> Totals:
    """All sums of an invoice or a quote; of a quote nothing is paid."""
    nets = tuple(line_net_cents(line) for line in sale.lines)
    vat = _vat_sums(sale, nets)
    reductions = sum(a.amount_cents for a in sale.allowances)
    net = sum(nets) - reductions
    tax = sum(group.vat_cents for group in vat)
    paid = sale.paid_cents if isinstance(sale, Document) else 0
    return Totals(
        line_net_cents=nets,
        lines_cents=sum(nets),
        allowances_cents=reductions,
        vat=vat,
        net_cents=net,
        vat_cents=tax,
        total_cents=net + tax,
        paid_cents=paid,
        due_cents=net + tax - paid,
    )


def _vat_sums(sale: Sale, nets: Sequence[int]) -> tuple[VatSum, ...]:
    bases: defaultdict[tuple[VatCategory, Decimal], int] = defaultdict(int)
    for line, net in zip(sale.lines, nets, strict=True):
        bases[line.category, line.rate] += net
    for reduction in sale.allowances:
        bases[reduction.category, reduction.rate] -= reduction.amount_cents
    # VAT on the summed base of each rate, not line by line: on 44 % of random invoices the two differ by some cents.
    return tuple(
        VatSum(category, rate, base, vat_cents(base, rate))
        for (category, rate), base in sorted(bases.items(), key=lambda item: (item[0][0], -item[0][1]))
    )
