"""Deposits: the invoice for a part paid ahead (386), and its deduction from the final invoice: VAT is paid once.

Refuses a deposit whose VAT is not a whole number of cents at every rate: so VAT over both documents is VAT of the whole
sale, to the cent. An accountant chooses between negative lines (here) and BT-113, which carries no VAT.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

from api.domain.billing.facturx.document import Document, DocumentKind, Line, Reference
from api.domain.billing.facturx.faults import DepositOfAnother, DepositTooSmall
from api.domain.billing.facturx.totals import VatSum, totals


def deposit_invoice(sale: Document, *, number: str, issued_on: date, due_on: date, percent: Decimal) -> Document:
    """`percent` of the sale, a line per rate, rounded down until VAT is exact (5 cents at 20 %, 2 EUR at 5.5 %).

    The date of supply (BT-72) is that of the deposit, as the law wants it.
    """
    lines = tuple(
        _line(sale, group, base)
        for group in totals(sale).vat
        if (base := _exact_base_cents(group.base_cents * percent / 100, group.rate)) > 0
    )
    if not lines:
        raise DepositTooSmall()
    return replace(
        sale,
        kind=DocumentKind.DEPOSIT,
        number=number,
        issued_on=issued_on,
        due_on=due_on,
        lines=lines,
        allowances=(),
        supplied_on=issued_on,
        supplied_from=None,
        supplied_until=None,
        agreed_total_cents=None,
        paid_cents=0,
        paid_on=None,
    )


def deduct_deposits(sale: Document, deposits: Sequence[Document]) -> Document:
    """The final invoice: what was sold, then each deposit as a line of quantity -1 per rate that quotes its number."""
    for deposit in deposits:
        same = (deposit.buyer.siren, deposit.seller.siren, deposit.regime)
        if deposit.kind is not DocumentKind.DEPOSIT or same != (sale.buyer.siren, sale.seller.siren, sale.regime):
            raise DepositOfAnother(number=deposit.number)
    taken = tuple(_taken_back(deposit, line) for deposit in deposits for line in deposit.lines)
    final = replace(
        sale,
        lines=sale.lines + taken,
        deposits=tuple(Reference(number=d.number, issued_on=d.issued_on) for d in deposits),
    )
    if any(group.base_cents < 0 for group in totals(final).vat):
        raise DepositOfAnother(number=deposits[-1].number)
    return final


def _exact_base_cents(wanted_cents: Decimal, rate: Decimal) -> int:
    step = (Fraction(rate) / 100).denominator
    return int(wanted_cents // step) * step


def _line(sale: Document, group: VatSum, base_cents: int) -> Line:
    return Line(
        description=f"Acompte sur {sale.number}",
        quantity=Decimal(1),
        unit="LS",
        unit_price=Decimal(base_cents) / 100,
        nature=sale.nature,
        category=group.category,
        rate=group.rate,
    )


def _taken_back(deposit: Document, line: Line) -> Line:
    described = f"Acompte déduit, facture {deposit.number} du {deposit.issued_on:%d/%m/%Y}"
    return replace(line, description=described, quantity=-line.quantity, agreed_net_cents=None)
