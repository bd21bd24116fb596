"""A booking rule as the fields of a form, and back. `Policy` itself refuses what contradicts itself."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from api.domain.booking.rules import Policy
from api.domain.core.errors import Invalid
from api.domain.pricing.prices import BookingRates
from api.domain.pricing.prices.parts import BadTariff
from web.forms import Form
from web.i18n import N_
from web.price_form import decimal_of

# Field of the form -> its label, and its unit or hint. These are whole numbers, none of which may be empty.
NUMBERS = {
    "min_minutes": (N_("Shortest booking"), N_("minutes")),
    "max_minutes": (N_("Longest booking"), N_("minutes")),
    "step_minutes": (N_("Start every"), N_("minutes (5, 10, 15, 20, 30 or 60)")),
    "notice_minutes": (N_("Book at least"), N_("minutes in advance")),
    "horizon_days": (N_("Book at most"), N_("days in advance")),
    "before_minutes": (N_("Kept free before"), N_("minutes")),
    "after_minutes": (N_("Kept free after"), N_("minutes, for cleaning and charging")),
    "cancel_minutes": (N_("Free cancellation until"), N_("minutes before the start")),
}
# The same, but empty means no limit.
LIMITS = {
    "quota_day_minutes": (N_("Per person per day"), N_("minutes; empty: no limit")),
    "quota_week_minutes": (N_("Per person per week"), N_("minutes; empty: no limit")),
    "quota_month_minutes": (N_("Per person per month"), N_("minutes; empty: no limit")),
    "at_once": (N_("Current bookings"), N_("per person; empty: no limit")),
    "no_show_minutes": (N_("Released after a no-show"), N_("minutes after the start; empty: never")),
}
SWITCHES = {
    "needs_approval": N_("Staff approve each booking"),
    "members_only": N_("Visible to members only"),
}
# Who may pay another part of the price, which the form shows in percent.
ROLES = {
    "visitor": N_("Visitors"),
    "member": N_("Members"),
    "staff": N_("Staff"),
    "manager": N_("Managers"),
    "organisation": N_("Organisations"),
}
TIERS = 3


class WholeNumberMissing(Invalid):
    """Enter a whole number, zero or more."""


class FeeWrong(Invalid):
    """Enter an amount, zero or more."""


class TiersWrong(Invalid):
    """Start with a price per hour; each further price must start at a later minute than the one before."""

    field = "rates"


@dataclass(frozen=True)
class Tier:
    """The names of the two fields of one tier of the hourly price."""

    start: str
    per_hour: str


def tiers() -> list[Tier]:
    return [Tier(f"tier-{n}-start", f"tier-{n}-per_hour") for n in range(TIERS)]


def read_policy(form: Form) -> Policy:
    """The policy in the form; raises WholeNumberMissing, FeeWrong, TiersWrong, RuleContradicts at the field."""
    values: dict[str, Any] = {name: _whole(form, name) for name in NUMBERS}  # as the columns are named
    values |= {name: _whole(form, name) if form[name] else None for name in LIMITS}
    values |= {name: form[name] == "yes" for name in SWITCHES}
    return Policy(
        **values,
        late_fee_cents=int(read_amount(form, "late_fee") * 100),
        skill_id=form.int("skill_id", otherwise=-1) if form["skill_id"] else None,
        rates=_rates(form),
    )


def _rates(form: Form) -> BookingRates:
    steps = [
        (_whole(form, tier.start) if n else 0, read_amount(form, tier.per_hour))
        for n, tier in enumerate(tiers())
        if form[tier.per_hour]
    ]
    factors = {role: read_amount(form, f"factor-{role}") / 100 for role in ROLES if form[f"factor-{role}"]}
    try:
        return BookingRates(read_amount(form, "per_slot"), tuple(steps), {r: f for r, f in factors.items() if f != 1})
    except BadTariff as error:
        raise TiersWrong() from error


def _whole(form: Form, name: str) -> int:
    # `isdigit` is also true of "²", which `int` refuses; seven digits fit into an integer column.
    if not (form[name].isascii() and form[name].isdigit() and len(form[name]) < 8):
        raise WholeNumberMissing(field=name)
    return int(form[name])


def read_amount(form: Form, name: str) -> Decimal:
    """An amount with a comma or a point, 0 for an empty field; raises FeeWrong."""
    amount = decimal_of(form.get(name, "0"))
    if amount is None or not 0 <= amount < 1_000_000:
        raise FeeWrong(field=name)
    return amount


def as_typed(policy: Policy) -> dict[str, str]:
    """The fields of the form for a policy."""
    typed = {name: _plain(getattr(policy, name)) for name in (*NUMBERS, *LIMITS, "skill_id")}
    typed |= {name: "yes" if getattr(policy, name) else "" for name in SWITCHES}
    typed |= {"late_fee": _plain(Decimal(policy.late_fee_cents) / 100), "per_slot": _plain(policy.rates.per_slot)}
    for tier, (start, per_hour) in zip(tiers(), policy.rates.tiers, strict=False):
        typed |= {tier.start: str(start), tier.per_hour: _plain(per_hour)}
    for role in ROLES:
        typed[f"factor-{role}"] = _plain(policy.rates.role_factors.get(role, Decimal(1)) * 100)
    return typed


def _plain(value: Decimal | int | None) -> str:
    """A number as one types it: "8" for 8.00, "" for none."""
    if value is None:
        return ""
    return f"{value.normalize():f}" if isinstance(value, Decimal) else str(value)
