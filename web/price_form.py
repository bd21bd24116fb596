"""Prices as staff type them and as they are shown: euros, percentages and days.

Factors are typed as percentages: 0.9 from 10 pieces on is a discount of 10 %, 1.5 for an urgency a surcharge of 50 %.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation

from api.bounds import day_of
from api.domain.core.errors import Invalid
from api.domain.people.roles import Level
from api.domain.pricing.materials import Material
from api.domain.pricing.prices import Tariff
from web.formats import measure, unit_price
from web.forms import Form
from web.i18n import N_
from web.render import PageReader

# The most rows of quantity breaks, of urgencies and of organisations that a form may have.
MOST_ROWS = 30
HUNDRED = Decimal(100)

# The single prices of a tariff in euros, by its field.
EUROS = {
    "per_minute": N_("Machine time (€ per minute)"),
    "handling": N_("Handling (€ per piece)"),
    "set_up": N_("Set-up (€ per model)"),
    "min_line": N_("Minimum per line (€)"),
    "min_order": N_("Minimum per order (€)"),
}
PERCENTS = {
    "org_discount_percent": N_("Discount for any organisation (%)"),
    "vat_rate": N_("VAT rate (%)"),
}
ROLES = {Level.MEMBER: N_("Members"), Level.STAFF: N_("Staff"), Level.MANAGER: N_("Managers")}


class PriceUnreadable(Invalid):
    """Enter a price in euros, zero or more, with at most 4 decimals, for example 0.06."""


class PercentUnreadable(Invalid):
    """Enter a percentage between {least} and {most}."""


class QuantityUnreadable(Invalid):
    """Enter a whole number of 2 or more, higher than on the line above."""


class WordMissing(Invalid):
    """Enter a short name: letters, digits and hyphens."""


class DayUnreadable(Invalid):
    """Enter a valid date."""


class MaterialsUnpriced(Invalid):
    """Enter a price for at least one material."""


class NamedTwice(Invalid):
    """This is in the list twice."""


def read_tariff(form: Form, materials: Sequence[Material]) -> Tariff | None:
    """The prices typed; None when a field could not be read: it has its error then, and all others too."""
    per_gram = {
        material.code: price
        for material in materials
        if form[f"gram-{material.code}"] and (price := _euros(form, f"gram-{material.code}")) is not None
    }
    # A price that could not be read has its error already: then it is not missing as well.
    if not per_gram and not form.errors:
        form.refuse(MaterialsUnpriced(field=f"gram-{materials[0].code}" if materials else ""))
    euros = {name: _euros(form, name) or Decimal(0) for name in EUROS}
    percents = {name: _percent(form, name) for name in PERCENTS}
    breaks, rushes = _breaks(form), _rushes(form)
    roles = {role.value: _percent(form, f"role-{role}") for role in ROLES if form[f"role-{role}"]}
    organisations = _organisations(form)
    if form.errors:
        return None
    return Tariff(
        per_gram=per_gram,
        quantity_breaks=tuple(breaks),
        rush_factors=rushes,
        role_percents={role: percent for role, percent in roles.items() if percent},
        organisation_percents=organisations,
        per_minute=euros["per_minute"],
        handling=euros["handling"],
        set_up=euros["set_up"],
        min_line=euros["min_line"],
        min_order=euros["min_order"],
        org_discount_percent=percents["org_discount_percent"],
        vat_rate=percents["vat_rate"],
    )


def read_day(form: Form, name: str) -> date | None:
    """The day typed, or None with its error."""
    try:
        return day_of(form[name])
    except ValueError:
        form.refuse(DayUnreadable(field=name))
        return None


def read_cents(form: Form, name: str) -> int:
    """An amount in euros, in cents; -1 for what is no amount: each verb refuses that at its own field."""
    value = decimal_of(form[name])
    if value is None or value != round(value, 2) or abs(value) >= 10**9:
        return -1
    return int(value * 100)


def decimal_of(text: str) -> Decimal | None:
    """A number as people type it, such as "1 234,50"; None when it is not one."""
    try:
        # French thousands are set apart by spaces, also by the narrow and the fixed one.
        value = Decimal(text.replace("\u202f", "").replace("\u00a0", "").replace(" ", "").replace(",", "."))
    except InvalidOperation:
        return None
    # Decimal also reads NaN, Infinity and 1e999999, which no price, percentage or quantity is.
    return value if value.is_finite() and abs(value.adjusted()) < 12 else None


def _euros(form: Form, name: str) -> Decimal | None:
    # Nothing typed is nothing to pay.
    value = decimal_of(form[name] or "0")
    if value is None or not 0 <= value < 100_000 or value != round(value, 4):
        form.refuse(PriceUnreadable(field=name))
        return None
    return value


def _percent(form: Form, name: str, *, least: int = 0, most: int = 100) -> Decimal:
    value = decimal_of(form[name] or "0")
    if value is None or not least <= value <= most or value != round(value, 2):
        form.refuse(PercentUnreadable(field=name, least=least, most=most))
        return Decimal(0)
    return value


def _breaks(form: Form) -> list[tuple[int, Decimal]]:
    """Rows without a quantity are left out."""
    breaks: list[tuple[int, Decimal]] = []
    for row in range(1, MOST_ROWS + 1):
        if not form[f"break-quantity-{row}"]:
            continue
        quantity = form.int(f"break-quantity-{row}")
        if quantity < 2 or (breaks and quantity <= breaks[-1][0]):
            form.refuse(QuantityUnreadable(field=f"break-quantity-{row}"))
        breaks.append((quantity, 1 - _percent(form, f"break-percent-{row}", most=99) / HUNDRED))
    return breaks


def _rushes(form: Form) -> dict[str, Decimal]:
    factors: dict[str, Decimal] = {}
    for row in range(1, MOST_ROWS + 1):
        word = form[f"rush-word-{row}"]
        if not word and not form[f"rush-percent-{row}"]:
            continue
        if not (1 <= len(word) <= 30 and word.replace("-", "").isalnum()):
            form.refuse(WordMissing(field=f"rush-word-{row}"))
        elif word in factors:
            form.refuse(NamedTwice(field=f"rush-word-{row}"))
        factors[word] = 1 + _percent(form, f"rush-percent-{row}", most=900) / HUNDRED
    return factors


def _organisations(form: Form) -> dict[int, Decimal]:
    """Rows without an organisation are left out."""
    percents: dict[int, Decimal] = {}
    for row in range(1, MOST_ROWS + 1):
        organisation_id = form.int(f"organisation-{row}")
        if organisation_id <= 0:
            continue
        if organisation_id in percents:
            form.refuse(NamedTwice(field=f"organisation-{row}"))
        # 0 % is kept: it takes the general discount of organisations away from this one.
        percents[organisation_id] = _percent(form, f"organisation-percent-{row}")
    return percents


def rows_of(form: Form, name: str, *, least: int) -> range:
    """Numbers of the rows to draw: up to the last filled one, one more, and at least so many."""
    filled = [row for row in range(1, MOST_ROWS + 1) if form[f"{name}-{row}"]]
    return range(1, min(MOST_ROWS, max(least, max(filled, default=0) + 1)) + 1)


def typed(tariff: Tariff) -> dict[str, str]:
    """The prices as the form holds them."""
    fields = {f"gram-{code}": _plain(price) for code, price in tariff.per_gram.items()}
    fields |= {name: _plain(getattr(tariff, name)) for name in (*EUROS, *PERCENTS)}
    for row, (quantity, factor) in enumerate(tariff.quantity_breaks, start=1):
        fields |= {f"break-quantity-{row}": str(quantity), f"break-percent-{row}": _plain((1 - factor) * HUNDRED)}
    for row, (word, factor) in enumerate(tariff.rush_factors.items(), start=1):
        fields |= {f"rush-word-{row}": word, f"rush-percent-{row}": _plain((factor - 1) * HUNDRED)}
    fields |= {f"role-{role}": _plain(percent) for role, percent in tariff.role_percents.items()}
    for row, (organisation_id, percent) in enumerate(tariff.organisation_percents.items(), start=1):
        fields |= {f"organisation-{row}": str(organisation_id), f"organisation-percent-{row}": _plain(percent)}
    return fields


def _plain(value: Decimal) -> str:
    """0.0600 -> "0.06", 20 -> "20"."""
    return f"{value.normalize():f}"


def describe(reader: PageReader, tariff: Tariff, organisations: Mapping[int, str]) -> list[tuple[str, str]]:
    """(what, price) for each row of the tariff, in the reader's language; what a tariff does not name is left out."""

    def percent_text(value: Decimal) -> str:
        return measure(reader.locale, value, "%", 2)

    rows = [(code, unit_price(reader.locale, price) + "/g") for code, price in tariff.per_gram.items()]
    rows += [(reader.text(label), unit_price(reader.locale, getattr(tariff, name))) for name, label in EUROS.items()]
    rows += [(reader.text(label), percent_text(getattr(tariff, name))) for name, label in PERCENTS.items()]
    rows += [
        (reader.text(N_("From {quantity} pieces"), quantity=quantity), "−" + percent_text((1 - factor) * HUNDRED))
        for quantity, factor in tariff.quantity_breaks
    ]
    rows += [
        (reader.text(N_("Urgency “{word}”"), word=word), "+" + percent_text((factor - 1) * HUNDRED))
        for word, factor in tariff.rush_factors.items()
    ]
    rows += [
        (reader.text(label), "−" + percent_text(tariff.role_percents[role]))
        for role, label in ROLES.items()
        if role in tariff.role_percents
    ]
    rows += [
        (organisations.get(key, f"#{key}"), "−" + percent_text(percent))
        for key, percent in tariff.organisation_percents.items()
    ]
    return rows
