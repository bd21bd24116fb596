"""Days, instants and ids as people may send them: near the ends of the calendar every sum with them breaks."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, TypeVar

from pydantic import AfterValidator, AwareDatetime

FIRST_YEAR, LAST_YEAR = 1990, 2199

SomeDay = TypeVar("SomeDay", bound=date)


def within_bounds(day: SomeDay) -> SomeDay:
    """`day` itself, which may be an instant; raises ValueError outside of the years that we reckon with."""
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ValueError(f"The year must lie between {FIRST_YEAR} and {LAST_YEAR}.")
    return day


def day_of(text: str) -> date:
    """The day in a field of a form, "2026-11-27"; raises ValueError."""
    return within_bounds(date.fromisoformat(text))


def moment_of(text: str) -> datetime:
    """The date and time in a field of a form; raises ValueError."""
    return within_bounds(datetime.fromisoformat(text))


def id_of(text: str) -> int | None:
    """The id of a row in a field or an address; None for what cannot be one."""
    # "²" is a digit as well, which `int` refuses; 18 digits always fit into the column (bigint).
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= 18 else None


Day = Annotated[date, AfterValidator(within_bounds)]
AwareMoment = Annotated[AwareDatetime, AfterValidator(within_bounds)]
Moment = Annotated[datetime, AfterValidator(within_bounds)]
