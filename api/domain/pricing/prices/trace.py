"""The steps of a price, kept for the buyer and the auditor."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from api.domain.core.errors import N_
from api.domain.pricing.prices.money import euros, round_cents


class Scope(StrEnum):
    UNIT = "unit"  # adds up to the price of one piece, four decimals
    LINE = "line"  # adds up to the net of the line, cents
    ORDER = "order"  # adds up to the net of the order, cents


class PriceReason(StrEnum):
    MATERIAL = "material"
    MACHINE_TIME = "machine_time"
    HANDLING = "handling"
    QUANTITY_BREAK = "quantity_break"
    RUSH = "rush"
    ROUNDING = "rounding"
    PIECES = "pieces"
    DISCOUNT = "discount"
    SET_UP = "set_up"
    MINIMUM_LINE = "minimum_line"
    LINES = "lines"
    MINIMUM_ORDER = "minimum_order"
    SLOT = "slot"
    HOURS = "hours"
    ROLE = "role"


# English msgids; the placeholders are the `params` of the step.
LABELS: dict[PriceReason, str] = {
    PriceReason.MATERIAL: N_("{grams} g of {material} at €{per_gram} per gram"),
    PriceReason.MACHINE_TIME: N_("{minutes} min of machine time at €{per_minute} per minute"),
    PriceReason.HANDLING: N_("Handling per piece"),
    PriceReason.QUANTITY_BREAK: N_("From {from_quantity} pieces: × {factor}"),
    PriceReason.RUSH: N_("Urgency {rush}: × {factor}"),
    PriceReason.ROUNDING: N_("Rounding of the unit price"),
    PriceReason.PIECES: N_("{quantity} × €{unit}"),
    PriceReason.DISCOUNT: N_("{percent}% discount"),
    PriceReason.SET_UP: N_("Model set-up"),
    PriceReason.MINIMUM_LINE: N_("Minimum of €{minimum} per line"),
    PriceReason.LINES: N_("Lines: {count}"),
    PriceReason.MINIMUM_ORDER: N_("Minimum of €{minimum} per order"),
    PriceReason.SLOT: N_("Price per booking"),
    PriceReason.HOURS: N_("{minutes} min at €{per_hour} per hour"),
    PriceReason.ROLE: N_("Role {role}: × {factor}"),
}


@dataclass(frozen=True, slots=True)
class PriceStep:
    """One addend: the `amount` in euros that `reason` adds to its scope, or takes off when it is negative."""

    scope: Scope
    reason: PriceReason
    amount: Decimal
    params: tuple[tuple[str, str], ...] = ()

    @property
    def label(self) -> str:
        return LABELS[self.reason]

    def as_json(self) -> dict[str, object]:
        """For the trace that a job or a quote keeps."""
        # Amounts as text: from a JSON number they would come back as floats.
        return {
            "scope": self.scope.value,
            "reason": self.reason.value,
            "amount": str(self.amount),
            "params": dict(self.params),
        }


@dataclass(frozen=True, slots=True)
class Price:
    """A price before VAT: its LINE (or ORDER) steps add up to `net_cents` exactly."""

    net_cents: int
    unit: Decimal
    trace: tuple[PriceStep, ...]


def step(scope: Scope, reason: PriceReason, amount: Decimal, **params: object) -> PriceStep:
    return PriceStep(scope, reason, amount, tuple((name, str(value)) for name, value in params.items()))


def total_cents(steps: list[PriceStep], scope: Scope) -> int:
    return sum(round_cents(each.amount) for each in steps if each.scope is scope)


def minimum_step(scope: Scope, reason: PriceReason, *, minimum: Decimal, net_cents: int) -> list[PriceStep]:
    """The supplement up to a minimum; no step when the net reaches it."""
    missing_cents = round_cents(minimum) - net_cents
    return [step(scope, reason, euros(missing_cents), minimum=minimum)] if missing_cents > 0 else []
