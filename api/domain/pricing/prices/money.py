"""Rounding of money, and VAT. Amounts are integer cents or Decimal euros, never floats."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from api.domain.core.errors import Invalid

CENT = Decimal("0.01")
# Of unit prices: what BT-146 of EN 16931 carries.
UNIT = Decimal("0.0001")


class NotAnAmount(Invalid):
    """{value} is not an amount."""


def _rounded(amount: Decimal, step: Decimal) -> Decimal:
    if not amount.is_finite():
        raise NotAnAmount(value=amount)
    # Half away from zero, as on a French invoice; the default of `quantize` is half-even, which makes 0.12 of 0.125.
    return amount.quantize(step, rounding=ROUND_HALF_UP)


def round_cents(amount: Decimal) -> int:
    """Euros to whole cents: 0.125 -> 13, -0.125 -> -13; raises NotAnAmount for what is not finite."""
    return int(_rounded(amount, CENT) * 100)


def scale4(amount: Decimal) -> Decimal:
    """A unit price at four decimals."""
    return _rounded(amount, UNIT)


def euros(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)


def vat_cents(net_cents: int, rate: Decimal) -> int:
    """VAT on a net amount; `rate` is a percentage, as 20 or 5.5."""
    # A document calls this once per rate, on the summed base (EN 16931); by line, the sum would often be cents away.
    return round_cents(euros(net_cents) * rate / 100)
