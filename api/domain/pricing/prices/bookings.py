"""The price of a booking: per slot, by hourly tiers, with a factor for each role."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from api.domain.core.errors import N_
from api.domain.pricing.prices.money import euros, round_cents, scale4
from api.domain.pricing.prices.parts import BadTariff, BadWork
from api.domain.pricing.prices.trace import Price, PriceReason, PriceStep, Scope, step, total_cents

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class BookingRates:
    """In euros before VAT; `tiers` are (from minute, euros per hour), rising from minute 0. Raises BadTariff."""

    per_slot: Decimal = ZERO
    tiers: tuple[tuple[int, Decimal], ...] = ()
    # A role without a factor pays the full price; factor 0 is free.
    role_factors: Mapping[str, Decimal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        starts = [start for start, _ in self.tiers]
        if starts and (starts[0] != 0 or starts != sorted(set(starts))):
            raise BadTariff(what=N_("the times must increase from minute 0"))
        amounts = [self.per_slot, *(per_hour for _, per_hour in self.tiers), *self.role_factors.values()]
        if not all(amount.is_finite() and amount >= 0 for amount in amounts):
            raise BadTariff(what=N_("a price is negative or not a number"))


def price_booking(rates: BookingRates, *, minutes: int, role: str) -> Price:
    """The net price of one booking; raises BadWork for no minutes."""
    if minutes <= 0:
        raise BadWork(field="end")
    steps = [step(Scope.LINE, PriceReason.SLOT, euros(round_cents(rates.per_slot)))] if rates.per_slot else []
    steps += _tier_steps(rates, minutes)
    steps += _role_steps(rates, role, full_cents=total_cents(steps, Scope.LINE))
    net_cents = total_cents(steps, Scope.LINE)
    return Price(net_cents, euros(net_cents), tuple(steps))


def _tier_steps(rates: BookingRates, minutes: int) -> list[PriceStep]:
    # A tier prices only the minutes above its start. If it priced them all, a longer booking could cost less.
    ends = [start for start, _ in rates.tiers[1:]] + [minutes]
    steps = []
    for (start, per_hour), end in zip(rates.tiers, ends, strict=False):
        within = min(minutes, end) - start
        if within > 0:
            amount = euros(round_cents(scale4(per_hour) * within / 60))
            steps.append(step(Scope.LINE, PriceReason.HOURS, amount, minutes=within, per_hour=per_hour))
    return steps


def _role_steps(rates: BookingRates, role: str, *, full_cents: int) -> list[PriceStep]:
    factor = rates.role_factors.get(role, Decimal(1))
    if factor == 1:
        return []
    # The difference of two amounts in cents, so that the printed steps add up to the printed price.
    change = euros(round_cents(euros(full_cents) * factor) - full_cents)
    return [step(Scope.LINE, PriceReason.ROLE, change, role=role, factor=factor)]
