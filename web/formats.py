"""Numbers, money and times as text in a language; and the filters of the templates that do this."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import babel
from babel.dates import format_date, format_datetime, format_time
from babel.numbers import format_currency, format_decimal, format_percent, format_scientific
from jinja2 import pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from api.domain.core import errors
from api.domain.people.accounts import Locale
from api.domain.pricing.prices import vat_cents
from web.i18n import N_, translate, translate_count

# Parsed once: given a name, Babel would parse it again for each value that a page shows.
TAG = {Locale.FR: babel.Locale.parse("fr_FR"), Locale.EN: babel.Locale.parse("en_GB")}
_UNIT_PRICE = {Locale.FR: "#,##0.00##\u00a0¤", Locale.EN: "¤#,##0.00##"}
# French typography: no-break before a unit of time, narrow no-break before a unit of measure.
NB_SPACE = "\u00a0"
THIN_NB_SPACE = "\u202f"

# Parameters of errors whose value is a text of ours, not of a person.
COMPLETES = frozenset({"what", "why", "missing", "period", "axis", "dimension"})
AXES = {"x": N_("width"), "y": N_("depth"), "z": N_("height")}
DAYS_AWAY = {-1: N_("yesterday"), 0: N_("today"), 1: N_("tomorrow")}


class Named(Protocol):
    """A thing of the catalogue: `name` is French, `name_en` English, or "" where both are the same."""

    name: str
    name_en: str


def named(locale: Locale, thing: Named) -> str:
    """A material or a colour in the reader's language."""
    return thing.name_en or thing.name if locale == Locale.EN else thing.name


def money(locale: Locale, cents: int) -> str:
    """1240 -> "12,40 €" or "€12.40"."""
    # A real minus sign: a hyphen is shorter than the plus and may end a line.
    return ("\u2212" if cents < 0 else "") + format_currency(Decimal(abs(cents)) / 100, "EUR", locale=TAG[locale])


def as_typed(locale: Locale, value: object) -> str:
    """A number as one types it into a field: with a decimal comma in French; all else as it is."""
    text = str(value)
    # Whoever reads the field takes both.
    return text.replace(".", ",") if locale == Locale.FR and re.fullmatch(r"-?\d+\.\d+", text) else text


def amount_typed(locale: Locale, cents: int) -> str:
    """7012 -> "70,12" or "70.12": an amount in euros for a field, without its sign of currency."""
    return as_typed(locale, f"{Decimal(cents) / 100:.2f}")


def unit_price(locale: Locale, euros: Decimal) -> str:
    """With the cents, and up to two decimals below them: "0,80 €", "0,0625 €"."""
    sign = "\u2212" if euros < 0 else ""
    return sign + format_currency(
        abs(euros), "EUR", format=_UNIT_PRICE[locale], currency_digits=False, locale=TAG[locale]
    )


def price_figure(locale: Locale, euros: Decimal) -> str:
    """As `unit_price`, for a text that has its own "€"."""
    return format_decimal(euros, format="#,##0.00##", locale=TAG[locale])


def gross(locale: Locale, net_cents: int, vat_rate: Decimal) -> str:
    """The amount with its VAT; with a rate of 0, as it is."""
    return money(locale, net_cents + vat_cents(net_cents, vat_rate))


def change(locale: Locale, cents: int) -> str:
    """With its sign: "+1,20 €", "−0,30 €"."""
    return ("+" if cents > 0 else "") + money(locale, cents)


def number(locale: Locale, value: float | Decimal, digits: int = 0) -> str:
    """With at most `digits` decimals."""
    pattern = "#,##0" + ("." + "#" * digits if digits else "")
    return format_decimal(value, format=pattern, locale=TAG[locale])


def measure(locale: Locale, value: float | Decimal, unit: str, digits: int = 1) -> str:
    """A number and its unit, never broken over two lines: "24,8 g"; what would round to nothing is "< 0,1 g"."""
    least = 10**-digits
    below = "<" + THIN_NB_SPACE if 0 < value < least / 2 else ""
    return below + number(locale, least if below else value, digits) + THIN_NB_SPACE + unit


def volume(locale: Locale, mm3: float) -> str:
    """In cm³, in mm³ below one cm³."""
    return measure(locale, mm3, "mm³", 1) if mm3 < 1000 else measure(locale, mm3 / 1000, "cm³", 1)


def fill(locale: Locale, text: str, params: dict[str, Any]) -> str:
    """A translated text with its `{placeholders}` filled: numbers, amounts and dates as the language writes them, and
    the texts of `api.domain` that complete a message translated."""
    return errors.fill(text, {name: _as_written(locale, name, value) for name, value in params.items()})


def _as_written(locale: Locale, name: str, value: Any) -> Any:
    if isinstance(value, str):
        return translate(locale, AXES.get(value.lower(), value)) if name in COMPLETES else value
    if isinstance(value, date) and not isinstance(value, datetime):
        return day(locale, value, "d MMMM y")
    if isinstance(value, float | Decimal):
        return _fraction(locale, float(value))
    if isinstance(value, bool) or not isinstance(value, int):
        return value
    if name == "cents" or name.endswith("_cents"):
        return money(locale, value)
    return number(locale, value) if abs(value) >= 10_000 else value


def _fraction(locale: Locale, value: float) -> str:
    """Two decimals, more below 0.1 so that two digits remain; in scientific notation what has too many digits."""
    size = abs(value)
    if not 1e-9 < size < 1e9:
        return format_scientific(value, format="0.##E0", locale=TAG[locale]) if size else "0"
    return number(locale, value, 2 if size >= 0.1 else 2 - math.floor(math.log10(size)))


def rate(locale: Locale, percentage: float | Decimal) -> str:
    """20 -> "20 %" or "20%"; with its decimals, where it has any."""
    return number(locale, percentage, 2) + (f"{NB_SPACE}%" if locale == Locale.FR else "%")


def percent(locale: Locale, part: float) -> str:
    """0.42 -> "42 %", kept between 0 and 100; not-a-number gives 0, never "NaN %"."""
    return format_percent(0.0 if math.isnan(part) else min(max(part, 0.0), 1.0), locale=TAG[locale])


def duration(locale: Locale, seconds: float | timedelta) -> str:
    """12000 -> "3 h 20" or "3 h 20 min"; below an hour in minutes, below a minute in seconds; days beyond 48 hours."""
    s = round(seconds.total_seconds() if isinstance(seconds, timedelta) else seconds)
    if s < 60:
        return f"{max(s, 0)}{NB_SPACE}s"
    minutes = round(s / 60)
    if minutes < 60:
        return f"{minutes}{NB_SPACE}min"
    hours, minutes = divmod(minutes, 60)
    # Up to two days in hours, as people say of a long print.
    if hours >= 48:
        days = round(s / 86400)
        return f"{days}{NB_SPACE}{translate_count(locale, 'day', 'days', days)}"
    if not minutes:
        return f"{hours}{NB_SPACE}h"
    unit = f"{NB_SPACE}min" if locale == Locale.EN else ""
    return f"{hours}{NB_SPACE}h{NB_SPACE}{minutes:02}{unit}"


def clock(locale: Locale, at: datetime, zone: str) -> str:
    """ "14:30", local time of the site."""
    return format_time(at, "HH:mm", tzinfo=ZoneInfo(zone), locale=TAG[locale])


def day(locale: Locale, on: date, form: str = "EEEE d MMMM") -> str:
    return format_date(on, _of_day(locale, form, on.day), locale=TAG[locale])


def _of_day(locale: Locale, form: str, number_of_day: int) -> str:
    """The French say "1er décembre", and "2 décembre"."""
    return form.replace("d", "d'er'") if locale == Locale.FR and number_of_day == 1 else form


def exact(locale: Locale, at: datetime, zone: str) -> str:
    """The whole date with its time, for the tooltip of a relative one."""
    return _instant(locale, at.astimezone(ZoneInfo(zone)), "EEEE d MMMM y HH:mm")


def relative(locale: Locale, at: datetime, *, now: datetime, zone: str) -> str:
    """ "in 12 min (14:30)", "3 min ago (14:15)"; from an hour on as `date_time`, with the word "today"."""
    ahead = (at - now).total_seconds()
    if abs(ahead) < 45:
        return translate(locale, N_("now") if ahead >= 0 else N_("just now"))
    if abs(ahead) < 3600:
        form = translate(locale, N_("in {time}") if ahead > 0 else N_("{time} ago"))
        # With the clock: a tooltip is out of reach of fingers and of the keyboard.
        return f"{form.format(time=duration(locale, abs(ahead)))} ({clock(locale, at, zone)})"
    return date_time(locale, at, now=now, zone=zone, today=True)


def date_time(locale: Locale, at: datetime, *, now: datetime, zone: str, today: bool = False) -> str:
    """ "14:30" (or "today 14:30"), "tomorrow 09:00", "Tue 1 Dec 10:00"; in another year with it."""
    # By dates at the site, not by 24 hours: at 23:50 "tomorrow" begins in ten minutes.
    tz = ZoneInfo(zone)
    days = (at.astimezone(tz).date() - now.astimezone(tz).date()).days
    if days == 0 and not today:
        return clock(locale, at, zone)
    if days in DAYS_AWAY:
        return f"{translate(locale, DAYS_AWAY[days])} {clock(locale, at, zone)}"
    form = "EEE d MMM HH:mm" if at.astimezone(tz).year == now.astimezone(tz).year else "EEE d MMM y HH:mm"
    return _instant(locale, at.astimezone(tz), form)


def _instant(locale: Locale, local: datetime, form: str) -> str:
    return format_datetime(local, _of_day(locale, form, local.day), locale=TAG[locale])


def filters(locale: Locale) -> dict[str, Callable[..., Any]]:
    """The filters of the templates in this language."""
    plain: dict[str, Callable[..., Any]] = {
        "named": named,
        "money": money,
        "gross": gross,
        "change": change,
        "unit_price": unit_price,
        "as_typed": as_typed,
        "amount_typed": amount_typed,
        "number": number,
        "measure": measure,
        "volume": volume,
        "percent": percent,
        "rate": rate,
        "duration": duration,
        "day": day,
    }
    return {name: partial(function, locale) for name, function in plain.items()} | _filters_of_place(locale)


class HasZone(Protocol):
    """A site, or what else has a time zone."""

    timezone: str


def _filters_of_place(locale: Locale) -> dict[str, Callable[..., Any]]:
    """Those that show times as the clock on the wall of the page's site does."""

    @pass_context
    def when(context: Context, at: datetime | None, place: HasZone | None = None) -> str | Markup:
        """Relative to now, with the exact instant on hover and focus; programs read `datetime`.

        On the clock of `place`, where a list shows several.
        """
        if at is None:
            return "—"
        zone = _zone(context, place)
        return _time(locale, at, zone, relative(locale, at, now=context["now"], zone=zone))

    @pass_context
    def at_time(context: Context, at: datetime, place: HasZone | None = None) -> Markup:
        """The day and the time, without "in 12 min": for a sentence."""
        zone = _zone(context, place)
        return _time(locale, at, zone, date_time(locale, at, now=context["now"], zone=zone))

    @pass_context
    def stretch(context: Context, start: datetime, end: datetime, place: HasZone | None = None) -> Markup:
        return _stretch(locale, start, end, now=context["now"], zone=_zone(context, place))

    return {"when": when, "date_time": at_time, "stretch": stretch, **_filters_of_clock(locale)}


def _filters_of_clock(locale: Locale) -> dict[str, Callable[..., Any]]:
    """Those of one instant without its day, or of a day without its hour."""

    @pass_context
    def elapsed(context: Context, at: datetime) -> Markup:
        """How long ago, without "ago": "6 min"."""
        return _time(locale, at, _zone(context), duration(locale, context["now"] - at))

    @pass_context
    def time_of_day(context: Context, at: datetime) -> str:
        return clock(locale, at, _zone(context))

    @pass_context
    def dated(context: Context, on: date) -> str:
        return _dated(locale, on, _zone(context))

    return {"elapsed": elapsed, "time_of_day": time_of_day, "dated": dated}


def _stretch(locale: Locale, start: datetime, end: datetime, *, now: datetime, zone: str) -> Markup:
    """From when to when: "Tue 1 Dec 10:00–11:00", with the day of the end where it is another."""
    first, last = (each.astimezone(ZoneInfo(zone)).date() for each in (start, end))
    shown, until = (date_time(locale, each, now=now, zone=zone, today=True) for each in (start, end))
    until = clock(locale, end, zone) if first == last else until
    return Markup("{}–{}").format(_time(locale, start, zone, shown), _time(locale, end, zone, until))


def _dated(locale: Locale, on: date, zone: str) -> str:
    """With its year: "23 nov. 2026"; of an instant the day at the site."""
    # A datetime is a date too; its UTC day may be the day before.
    if isinstance(on, datetime):
        on = on.astimezone(ZoneInfo(zone)).date()
    return day(locale, on, "d MMM y")


def _zone(context: Context, place: HasZone | None = None) -> str:
    zone: str = context.get("zone", "Europe/Paris")  # Pages of errors know no site.
    return place.timezone if place else zone


def _time(locale: Locale, at: datetime, zone: str, text: str) -> Markup:
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        at.isoformat(timespec="seconds"), exact(locale, at, zone), text
    )
