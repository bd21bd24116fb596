"""The fields of a form for the hours of a week, with so many stretches a day: of a site, or of a convention."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import time

from api.domain.core.errors import Invalid
from api.domain.places.sites import check_hours
from web.forms import Form
from web.i18n import N_

WEEKDAYS = [
    N_("Monday"),
    N_("Tuesday"),
    N_("Wednesday"),
    N_("Thursday"),
    N_("Friday"),
    N_("Saturday"),
    N_("Sunday"),
]
Stretch = tuple[int, time, time]


class TimeUnreadable(Invalid):
    """Enter both times, for example 09:00."""


def read_hours(form: Form, *, a_day: int) -> Iterator[tuple[str, Stretch]]:
    """("0-1", (weekday, opens, closes)) of every stretch that was typed; 00:00 closes at midnight.

    The name is that of its fields, `opens-0-1` and `closes-0-1`. Raises TimeUnreadable or HoursWrong at the field.
    """
    for weekday in range(7):
        for n in range(a_day):
            name = f"{weekday}-{n}"
            if form[f"opens-{name}"] or form[f"closes-{name}"]:
                yield name, (weekday, *_pair(form, name))


def _pair(form: Form, name: str) -> tuple[time, time]:
    try:
        opens, closes = (time.fromisoformat(form[f"{end}-{name}"]) for end in ("opens", "closes"))
    except ValueError as error:
        raise TimeUnreadable(field=f"closes-{name}") from error
    check_hours(opens, closes, field=f"closes-{name}")
    # A browser sends no offset, but another program could: the columns hold wall time without one.
    return opens.replace(tzinfo=None), closes.replace(tzinfo=None)


def hours_as_typed(stretches: Iterable[Stretch]) -> dict[str, str]:
    """The hours in force, as the form holds them."""
    typed: dict[str, str] = {}
    # How many stretches of each weekday came before: the second number in the names of the fields.
    counts = [0] * 7
    for weekday, opens, closes in sorted(stretches):
        name = f"{weekday}-{counts[weekday]}"
        counts[weekday] += 1
        typed |= {f"opens-{name}": f"{opens:%H:%M}", f"closes-{name}": f"{closes:%H:%M}"}
    return typed
