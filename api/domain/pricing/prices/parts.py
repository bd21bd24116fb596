"""The price of printed parts by a tariff and their work, with each step kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from api.domain.core.errors import N_, Invalid
from api.domain.pricing.prices.money import euros, round_cents, scale4
from api.domain.pricing.prices.trace import Price, PriceReason, PriceStep, Scope, minimum_step, step, total_cents

ZERO = Decimal(0)
ONE = Decimal(1)
STANDARD = "standard"


class BadTariff(Invalid):
    """Check this tariff: {what}."""


class BadWork(Invalid):
    """The quantity must be at least one, and grams and minutes cannot be negative."""

    field = "quantity"


class NoPriceForMaterial(Invalid):
    """This place has no price for {material}."""

    field = "material"


class NoSuchRush(Invalid):
    """This place does not offer the urgency {rush}."""

    field = "rush"


@dataclass(frozen=True, slots=True)
class Tariff:
    """Unit prices in euros before VAT, four decimals; `quantity_breaks` are (from quantity, factor), rising.

    Raises BadTariff when the numbers contradict themselves.
    """

    per_gram: Mapping[str, Decimal]
    per_minute: Decimal
    handling: Decimal = ZERO
    set_up: Decimal = ZERO
    min_line: Decimal = ZERO
    min_order: Decimal = ZERO
    quantity_breaks: tuple[tuple[int, Decimal], ...] = ()
    rush_factors: Mapping[str, Decimal] = field(default_factory=dict)
    # What `price_part` takes off: in a stored tariff the discount of any organisation, after `for_buyer` that of one
    # customer.
    org_discount_percent: Decimal = ZERO
    vat_rate: Decimal = Decimal(20)
    currency: str = "EUR"
    # Discounts of persons by their role at the site, and of single organisations by their id.
    role_percents: Mapping[str, Decimal] = field(default_factory=dict)
    organisation_percents: Mapping[int, Decimal] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for what, is_wrong in self._contradictions().items():
            if is_wrong:
                raise BadTariff(what=what)

    def _contradictions(self) -> dict[str, bool]:
        money = [
            *self.per_gram.values(), self.per_minute, self.handling, self.set_up, self.min_line, self.min_order,
        ]  # fmt: skip
        factors = [factor for _, factor in self.quantity_breaks] + list(self.rush_factors.values())
        quantities = [quantity for quantity, _ in self.quantity_breaks]
        percents = [self.org_discount_percent, self.vat_rate]
        percents += [*self.role_percents.values(), *self.organisation_percents.values()]
        return {
            N_("a price is negative or not a number"): not all(m.is_finite() and m >= 0 for m in money),
            N_("a discount or surcharge is out of range"): not all(f.is_finite() and f > 0 for f in factors),
            N_("quantities must increase from line to line"): quantities != sorted(set(quantities))
            or min([1, *quantities]) < 1,
            N_("a percentage is not between 0 and 100"): not all(p.is_finite() and 0 <= p <= 100 for p in percents),
            N_("only euros are supported"): self.currency != "EUR",
        }

    def for_buyer(self, *, role: str | None, organisation_id: int | None) -> Tariff:
        """These prices with this customer's discount; an organisation's buyer has none of their own role."""
        if organisation_id is not None:
            percent = self.organisation_percents.get(organisation_id, self.org_discount_percent)
        else:
            percent = self.role_percents.get(role or "", ZERO)
        return replace(self, org_discount_percent=percent)


@dataclass(frozen=True, slots=True)
class Work:
    """What a line is priced by: grams and machine minutes of ONE piece, and the number of pieces; raises BadWork."""

    grams: Decimal
    minutes: Decimal
    material: str
    quantity: int = 1
    rush: str = STANDARD

    def __post_init__(self) -> None:
        for amount in (self.grams, self.minutes):
            if not amount.is_finite() or amount < 0:
                raise BadWork
        if self.quantity < 1:
            raise BadWork


def price_part(tariff: Tariff, work: Work) -> Price:
    """The net price of one line; raises NoPriceForMaterial, NoSuchRush.

    1. unit = grams x per_gram + minutes x per_minute + handling, x quantity break, x rush, rounded to 4 decimals.
    2. gross = unit x quantity, in cents; the organisation's discount on it, in cents.
    3. plus the set-up once per model; then a visible supplement up to the minimum of a line.
    """
    steps = _unit_steps(tariff, work)
    unit = sum((each.amount for each in steps), ZERO)
    steps += _line_steps(tariff, work, unit=unit)
    net_cents = total_cents(steps, Scope.LINE)
    steps += minimum_step(Scope.LINE, PriceReason.MINIMUM_LINE, minimum=tariff.min_line, net_cents=net_cents)
    return Price(total_cents(steps, Scope.LINE), unit, tuple(steps))


def price_order(tariff: Tariff, lines: Sequence[Price]) -> Price:
    """The net of an order: its lines, and a visible supplement up to the minimum of an order."""
    lines_cents = sum(line.net_cents for line in lines)
    steps = [step(Scope.ORDER, PriceReason.LINES, euros(lines_cents), count=len(lines))]
    # An order without lines costs nothing, not the minimum.
    if lines:
        steps += minimum_step(Scope.ORDER, PriceReason.MINIMUM_ORDER, minimum=tariff.min_order, net_cents=lines_cents)
    net_cents = total_cents(steps, Scope.ORDER)
    return Price(net_cents, euros(net_cents), tuple(steps))


def _unit_steps(tariff: Tariff, work: Work) -> list[PriceStep]:
    if work.material not in tariff.per_gram:
        raise NoPriceForMaterial(material=work.material)
    per_gram = tariff.per_gram[work.material]
    steps = [
        step(
            Scope.UNIT, PriceReason.MATERIAL, work.grams * per_gram,
            grams=work.grams, material=work.material, per_gram=per_gram,
        ),
        step(
            Scope.UNIT, PriceReason.MACHINE_TIME, work.minutes * tariff.per_minute,
            minutes=work.minutes, per_minute=tariff.per_minute,
        ),
        step(Scope.UNIT, PriceReason.HANDLING, tariff.handling),
    ]  # fmt: skip
    steps += _factor_steps(tariff, work, unit=sum((each.amount for each in steps), ZERO))
    unit = sum((each.amount for each in steps), ZERO)
    # Rounded once, here: an invoice carries a unit price of four decimals (BT-146), and its line is that price times
    # the quantity. The rounding is a step of its own, so that the steps still add up.
    if rest := scale4(unit) - unit:
        steps.append(step(Scope.UNIT, PriceReason.ROUNDING, rest))
    return steps


def _factor_steps(tariff: Tariff, work: Work, *, unit: Decimal) -> list[PriceStep]:
    """Each factor as the amount that it adds or takes off, so that the steps add up."""
    steps = []
    start, factor = _quantity_break(tariff, work.quantity)
    if factor != ONE:
        steps.append(
            step(Scope.UNIT, PriceReason.QUANTITY_BREAK, unit * (factor - 1), from_quantity=start, factor=factor)
        )
    rush_factor = _rush_factor(tariff, work.rush)
    if rush_factor != ONE:
        steps.append(
            step(Scope.UNIT, PriceReason.RUSH, unit * factor * (rush_factor - 1), rush=work.rush, factor=rush_factor)
        )
    return steps


def _line_steps(tariff: Tariff, work: Work, *, unit: Decimal) -> list[PriceStep]:
    # Each amount is rounded to cents before the next is counted from it, because each of them is printed.
    gross = euros(round_cents(unit * work.quantity))
    steps = [step(Scope.LINE, PriceReason.PIECES, gross, quantity=work.quantity, unit=unit)]
    if percent := tariff.org_discount_percent:
        discount = euros(round_cents(gross * percent / 100))
        steps.append(step(Scope.LINE, PriceReason.DISCOUNT, -discount, percent=percent))
    if tariff.set_up:
        steps.append(step(Scope.LINE, PriceReason.SET_UP, euros(round_cents(tariff.set_up))))
    return steps


def _quantity_break(tariff: Tariff, quantity: int) -> tuple[int, Decimal]:
    reached = [each for each in tariff.quantity_breaks if each[0] <= quantity]
    return reached[-1] if reached else (1, ONE)


def _rush_factor(tariff: Tariff, rush: str) -> Decimal:
    if rush in tariff.rush_factors:
        return tariff.rush_factors[rush]
    # A tariff need not name the standard urgency.
    if rush == STANDARD:
        return ONE
    raise NoSuchRush(rush=rush)
