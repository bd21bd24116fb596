"""Legal texts, VAT rates, terms of payment and thresholds by date, read from `legal.toml` beside this file.

All functions raise NoLegalText for a date of which the file says nothing.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any
from zoneinfo import ZoneInfo

from api.domain.core.errors import Invalid

# A document bears the day in Paris, whatever the clock of the server and the zone of the place.
PARIS = ZoneInfo("Europe/Paris")


class Regime(StrEnum):
    """VAT regime of the seller on the day of issue."""

    PAYER = "payer"
    FRANCHISE = "franchise"
    EXEMPT_ASSOCIATION = "exempt_association"


class CustomerType(StrEnum):
    """Which law of late payment applies; for a consumer there are neither penalties nor indemnity."""

    BUSINESS = "business"
    PUBLIC = "public"
    CONSUMER = "consumer"


class NoLegalText(Invalid):
    """No legal text “{subject}” for {on}: complete legal.toml first."""


@dataclass(frozen=True, slots=True)
class Mentions:
    """The texts that an invoice must print; None where the law asks for none."""

    exemption: str | None
    exemption_code: str | None
    penalty: str | None
    indemnity: str | None
    discount: str | None
    debits: str
    goods: str
    services: str
    mixed: str


def mentions(on: date, regime: Regime, customer: CustomerType = CustomerType.BUSINESS) -> Mentions:
    # Only a seller who charges no VAT has to say on which article that rests.
    exemption = None if regime is Regime.PAYER else _entry("exemption", on, regime=regime)
    professional = customer is not CustomerType.CONSUMER
    return Mentions(
        exemption=exemption["text"] if exemption else None,
        exemption_code=exemption["code"] if exemption else None,
        penalty=_entry("penalty", on, customer=customer)["text"] if professional else None,
        indemnity=_entry("indemnity", on, customer=customer)["text"] if professional else None,
        discount=_entry("discount", on)["text"] if professional else None,
        debits=_entry("debits", on)["text"],
        **{nature: _entry("nature", on, nature=nature)["text"] for nature in ("goods", "services", "mixed")},
    )


def vat_rates(on: date) -> frozenset[Decimal]:
    """In percent: all that an invoice may carry on that day."""
    return frozenset(Decimal(rate) for rate in _entry("vat_rates", on)["rates"])


def normal_vat_rate(on: date) -> Decimal:
    """In percent: the rate of mainland France where no other was set."""
    return Decimal(_entry("vat_rates", on)["normal"])


def longest_term_days(on: date, customer: CustomerType) -> int | None:
    """The most days from issue to due date that the law allows; None for a consumer."""
    return None if customer is CustomerType.CONSUMER else int(_entry("term", on, customer=customer)["days"])


def threshold_cents(on: date, name: str) -> int:
    return int(_entry("threshold", on, name=name)["cents"])


@dataclass(frozen=True, slots=True)
class LegalFact:
    """One row of `legal.toml`, in force on `[start, end)`; `of` is its regime, kind of customer, nature or threshold.

    `unit` says what `value` is: a text, days, cents, or rates in percent.
    """

    subject: str
    of: str
    unit: str
    value: str | int
    start: date
    end: date | None
    source: str
    reviewed_on: date
    to_confirm: bool


def list_facts(on: date) -> list[LegalFact]:
    """All rows in force on that day, in the order of the file."""
    return [
        _fact(subject, entry)
        for subject, rows in _legal().items()
        for entry in rows
        if entry["start"] <= on and ("end" not in entry or on < entry["end"])
    ]


def _fact(subject: str, entry: dict[str, Any]) -> LegalFact:
    unit = next(unit for unit in ("text", "days", "cents", "rates") if unit in entry)
    value = ", ".join(entry["rates"]) if unit == "rates" else entry[unit]
    return LegalFact(
        subject=subject,
        of=next((entry[key] for key in ("regime", "customer", "nature", "name") if key in entry), ""),
        unit=unit,
        value=value,
        start=entry["start"],
        end=entry.get("end"),
        source=entry["source"],
        reviewed_on=entry["reviewed_on"],
        to_confirm=bool(entry.get("to_confirm")),
    )


def to_confirm() -> list[str]:
    """ "subject: source" of each row that an accountant has not signed off yet."""
    return [f"{kind}: {e['source']}" for kind, rows in _legal().items() for e in rows if e.get("to_confirm")]


def _entry(subject: str, on: date, **keys: str) -> dict[str, Any]:
    for entry in _legal()[subject]:
        in_force = entry["start"] <= on and ("end" not in entry or on < entry["end"])
        if in_force and all(entry[key] == value for key, value in keys.items()):
            return entry
    # No fallback to the text of another day: a missing one stops the invoice, a wrong one would be printed.
    raise NoLegalText(subject=" ".join([subject, *keys.values()]), on=on.isoformat())


@cache
def _legal() -> dict[str, list[dict[str, Any]]]:
    return tomllib.loads(files("api.domain.pricing").joinpath("legal.toml").read_text(encoding="utf-8"))
