"""Deposits: the invoice for a part paid ahead (386), and its deduction from the final invoice.

The VAT over both documents is that of the whole sale, to the cent.
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
    """A deposit of `percent` of `sale`: one line per VAT rate, each a little less where its VAT would not be exact.

    Raises DepositTooSmall where nothing is left.
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
        # An invoice for a deposit bears the day of the deposit (list of mentions, CGI ann. II art. 242 nonies A).
        supplied_on=issued_on,
        supplied_from=None,
        supplied_until=None,
        agreed_total_cents=None,
        paid_cents=0,
        paid_on=None,
    )


def deduct_deposits(sale: Document, deposits: Sequence[Document]) -> Document:
    """The final invoice: what was sold, then per deposit and rate a line of quantity -1 that quotes its number.

    Raises DepositOfAnother.
    """
    for deposit in deposits:
        same = (deposit.buyer.siren, deposit.seller.siren, deposit.regime)
        if deposit.kind is not DocumentKind.DEPOSIT or same != (sale.buyer.siren, sale.seller.siren, sale.regime):
            raise DepositOfAnother(number=deposit.number)
    # Negative lines take back the VAT that the deposits invoiced; BT-113, the other way, carries none. Which of the two
    # is right is for an accountant to say (docs/billing.md).
    deductions = tuple(_deduction(deposit, line) for deposit in deposits for line in deposit.lines)
    final = replace(
        sale,
        lines=sale.lines + deductions,
        deposits=tuple(Reference(number=d.number, issued_on=d.issued_on) for d in deposits),
    )
    if any(group.base_cents < 0 for group in totals(final).vat):
        raise DepositOfAnother(number=deposits[-1].number)
    return final


def _exact_base_cents(base_cents: Decimal, rate: Decimal) -> int:
    """The largest base up to `base_cents` with VAT in whole cents: in steps of 5 cents at 20 %, of 2 euros at 5.5 %."""
    # Only so does the VAT of deposit and rest, each rounded by itself, come to the VAT of the whole.
    step = (Fraction(rate) / 100).denominator
    return int(base_cents // step) * step


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


def _deduction(deposit: Document, line: Line) -> Line:
    text = f"Acompte déduit, facture {deposit.number} du {deposit.issued_on:%d/%m/%Y}"
    return replace(line, description=text, quantity=-line.quantity, agreed_net_cents=None)
