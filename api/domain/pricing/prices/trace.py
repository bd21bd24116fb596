"""The steps that led to a price, kept for the buyer and the auditor. Refuses to compute anything."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from api.domain.pricing.prices.money import euros, round_cents


class Scope(StrEnum):
    UNIT = "unit"  # adds up to the price of one piece, four decimals
    LINE = "line"  # adds up to the net of the line, cents
    ORDER = "order"  # adds up to the net of the order, cents


class Reason(StrEnum):
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


#: English msgids; the placeholders are the `params` of the step.
LABELS: dict[Reason, str] = {
    Reason.MATERIAL: "{grams} g of {material} at {per_gram} € per gram",
    Reason.MACHINE_TIME: "{minutes} min of machine at {per_minute} € per minute",
    Reason.HANDLING: "Handling per piece",
    Reason.QUANTITY_BREAK: "From {from_quantity} pieces on: × {factor}",
    Reason.RUSH: "Urgency {rush}: × {factor}",
    Reason.ROUNDING: "Rounding of the unit price",
    Reason.PIECES: "{quantity} pieces at {unit} €",
    Reason.DISCOUNT: "Discount of {percent} %",
    Reason.SET_UP: "Set-up of the model",
    Reason.MINIMUM_LINE: "Up to the minimum of {minimum} € per line",
    Reason.LINES: "Sum of {count} lines",
    Reason.MINIMUM_ORDER: "Up to the minimum of {minimum} € per order",
    Reason.SLOT: "Price per booking",
    Reason.HOURS: "{minutes} min at {per_hour} € per hour",
    Reason.ROLE: "As {role}: × {factor}",
}


@dataclass(frozen=True, slots=True)
class Step:
    """One addend: the `amount` in euros that this reason adds (negative: takes off) within its scope."""

    scope: Scope
    reason: Reason
    amount: Decimal
    params: tuple[tuple[str, str], ...] = ()

    @property
    def label(self) -> str:
        return LABELS[self.reason]

    def as_json(self) -> dict[str, object]:
        """For the frozen trace of a quote: amounts as text, never as float."""
        return {
            "scope": self.scope.value,
            "reason": self.reason.value,
            "amount": str(self.amount),
            "params": dict(self.params),
        }


@dataclass(frozen=True, slots=True)
class Price:
    """What it costs before VAT, and why: the LINE (or ORDER) steps add up to `net_cents` to the cent."""

    net_cents: int
    unit: Decimal
    trace: tuple[Step, ...]


def step(scope: Scope, reason: Reason, amount: Decimal, **params: object) -> Step:
    return Step(scope, reason, amount, tuple((name, str(value)) for name, value in params.items()))


def total_cents(steps: list[Step], scope: Scope) -> int:
    return sum(round_cents(each.amount) for each in steps if each.scope is scope)


def minimum_step(scope: Scope, reason: Reason, *, minimum: Decimal, net_cents: int) -> list[Step]:
    """The visible supplement up to a minimum; nothing when the net already reaches it."""
    missing_cents = round_cents(minimum) - net_cents
    return [step(scope, reason, euros(missing_cents), minimum=minimum)] if missing_cents > 0 else []
