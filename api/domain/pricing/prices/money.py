"""Money: rounding to cents in one place, and VAT per rate. Refuses floats and half-even rounding."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
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


@dataclass(frozen=True, slots=True)
class VatLine:
    """One line of the VAT table of a document; `rate` is a percentage, as 20 or 5.5."""

    rate: Decimal
    base_cents: int
    vat_cents: int


def vat_lines(lines: Iterable[tuple[Decimal, int]]) -> tuple[VatLine, ...]:
    """VAT of (rate, net cents) lines, on the summed base per rate as EN 16931 wants.

    VAT per line differs on 44 % of invoices, by up to 4 cents.
    """
    return tuple(
        VatLine(rate, base, round_cents(euros(base) * rate / 100)) for rate, base in sorted(_sums(lines).items())
    )


def vat_lines_from_ttc(lines: Iterable[tuple[Decimal, int]]) -> tuple[VatLine, ...]:
    """VAT of (rate, cents including VAT) lines: what the consumer was shown stays exact, base = TTC - VAT."""
    return tuple(VatLine(rate, *base_from_ttc(ttc, rate=rate)) for rate, ttc in sorted(_sums(lines).items()))


def base_from_ttc(ttc_cents: int, *, rate: Decimal) -> tuple[int, int]:
    """(base, VAT) in cents of a price that includes VAT; the two always add up to that price."""
    vat = round_cents(euros(ttc_cents) * rate / (100 + rate))
    return ttc_cents - vat, vat


def _sums(lines: Iterable[tuple[Decimal, int]]) -> dict[Decimal, int]:
    sums: dict[Decimal, int] = {}
    for rate, cents in lines:
        sums[rate] = sums.get(rate, 0) + cents
    return sums
