"""Money: the one rounding to cents, and VAT. Takes no floats: a binary fraction of a cent would round by chance."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from api.domain.core.errors import Invalid

CENT = Decimal("0.01")
UNIT = Decimal("0.0001")  # unit prices: BT-146 of EN 16931 as we send it


class NotAnAmount(Invalid):
    """{value} is not an amount of money."""


def _rounded(amount: Decimal, step: Decimal) -> Decimal:
    """The only rounding of money in the house: half away from zero, as on a French invoice."""
    if not amount.is_finite():
        raise NotAnAmount(value=amount)
    return amount.quantize(step, rounding=ROUND_HALF_UP)


def round_cents(amount: Decimal) -> int:
    """Euros to whole cents: 0.125 -> 13, -0.125 -> -13."""
    return int(_rounded(amount, CENT) * 100)


def scale4(amount: Decimal) -> Decimal:
    """A unit price at four decimals."""
    return _rounded(amount, UNIT)


def euros(cents: int) -> Decimal:
    return Decimal(cents).scaleb(-2)


def vat_cents(net_cents: int, rate: Decimal) -> int:
    """VAT on one net amount, or on the summed base of one rate; `rate` is a percentage, as 20 or 5.5."""
    return round_cents(euros(net_cents) * rate / 100)
