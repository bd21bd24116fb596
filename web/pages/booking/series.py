"""`/book/{id}/series`: every time of a series with its trouble, to be skipped or moved; then all are booked at once.

Plain forms, which carry all choices along: nothing is written before the last button.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from api.bounds import day_of, moment_of
from api.deps import CurrentUser, DbSession
from api.domain.booking import bookings
from api.domain.booking.bookings import (
    SKIP,
    BookingTerms,
    Choice,
    Occurrence,
    RuleEndless,
    SeriesConflict,
)
from api.domain.core.errors import Invalid
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.pages.booking.book import REPEATS, TimeMissing, free_after, request_of, show_booking_form
from web.render import PageReader, Reader, text_for

router = APIRouter(include_in_schema=False)

MOVE = "move"


class LastDayWrong(Invalid):
    """Choose a last day after the first."""

    field = "until"


class RepeatMissing(Invalid):
    """Choose how often it repeats."""

    field = "repeat"


@dataclass(frozen=True)
class OccurrenceLine:
    """One time on the page: its trouble, the choice, and where it could go instead."""

    occurrence: Occurrence
    trouble: str
    choice: str
    day: str
    at: str


@router.post("/book/{resource_id}/series")
def series(reader: Reader, session: DbSession, user: CurrentUser, resource_id: int, form: Sent) -> Response:
    """Show all times; with `act=confirm` book those that are kept, or show what still stands in the way."""
    terms = bookings.get_terms(session, resource_id=resource_id, user=user)
    occurrences: list[Occurrence] = []
    count = 0
    with trying(session, form):
        request, rrule, choices = request_of(terms, form), rule_of(form), choices_of(form)
        if form["act"] == "confirm":
            try:
                # Its own savepoint: the conflict is caught before `trying` sees it, and half a series must not stay.
                with session.begin_nested():
                    booked = bookings.book_series(
                        session, request=request, rrule=rrule, user=user, now=reader.now, choices=choices
                    )
                    count = len(booked)
            except SeriesConflict as error:
                occurrences = error.occurrences
                form.refuse(error)
        else:
            occurrences = bookings.preview_series(
                session, request=request, rrule=rrule, user=user, now=reader.now, choices=choices
            )
    if count:
        return reader.to("/agenda", N_("{name} is booked {count} times."), name=terms.name, count=count)
    if not occurrences:
        return show_booking_form(reader, session, user, terms, form)
    return _show_series(reader, session, terms, form, occurrences)


def rule_of(form: Form) -> str:
    """The recurrence rule (RFC 5545) in the form; raises RepeatMissing, RuleEndless, LastDayWrong."""
    # Only what the form offers: another rule could bring an end of its own.
    if (repeat := form["repeat"]) not in REPEATS:
        raise RepeatMissing()
    if form["until"]:
        return f"{repeat};UNTIL={_last_day(form):%Y%m%d}"
    if not form["count"]:
        raise RuleEndless(field="count")
    return f"{repeat};COUNT={max(form.int('count'), 0)}"


def _last_day(form: Form) -> date:
    try:
        first, last = (day_of(form[name]) for name in ("day", "until"))
    except ValueError as error:
        raise LastDayWrong() from error
    if last < first:
        raise LastDayWrong()
    return last


def choices_of(form: Form) -> dict[int, Choice]:
    """index -> SKIP, or the wall time to which it moves; occurrences that are kept are left out."""
    choices: dict[int, Choice] = {}
    # The form says how many there are: the series itself is only known after its rule has been read.
    for name in list(form.data):
        index = str(name).removeprefix("choice-")
        if not str(name).startswith("choice-") or not (index.isdecimal() and len(index) < 5):
            continue
        if form[name] == SKIP:
            choices[int(index)] = SKIP
        elif form[name] == MOVE:
            choices[int(index)] = _moved_to(form, index)
    return choices


def _moved_to(form: Form, index: str) -> datetime:
    try:
        return moment_of(f"{form[f'day-{index}']}T{form[f'at-{index}']}").replace(tzinfo=None)
    except ValueError as error:
        raise TimeMissing() from error


def _show_series(
    reader: PageReader, session: Session, terms: BookingTerms, form: Form, occurrences: list[Occurrence]
) -> Response:
    lines = [_line_of(reader, session, terms, form, occurrence) for occurrence in occurrences]
    return reader.page(
        "booking/series.html",
        status=form.status,
        terms=terms,
        form=form,
        lines=lines,
        kept=sum(not occurrence.skipped for occurrence in occurrences),
        troubled=sum(bool(line.trouble) for line in lines),
        repeat=REPEATS[form["repeat"]],
        hidden_fields=[
            (name, form[name])
            for name in ("day", "at", "minutes", "offset", "given", "repeat", "count", "until", *PERSON)
            if form[name]
        ],
    )


# Fields of the booking form that each step of the series carries along.
PERSON = ("note", "youngest_age", "guardian_consent")


def _line_of(
    reader: PageReader, session: Session, terms: BookingTerms, form: Form, occurrence: Occurrence
) -> OccurrenceLine:
    """One that cannot be booked proposes to move to the next free slot."""
    error = occurrence.trouble
    trouble = text_for(reader.request, error.msgid(), error.params) if error else ""
    choice = form[f"choice-{occurrence.index}"] or ("" if not trouble else SKIP)
    day, at = form[f"day-{occurrence.index}"], form[f"at-{occurrence.index}"]
    if trouble and not (day and at):
        wall = _proposal(reader, session, terms, occurrence)
        day, at = wall.date().isoformat(), wall.strftime("%H:%M")
    return OccurrenceLine(occurrence, trouble, choice, day, at)


def _proposal(reader: PageReader, session: Session, terms: BookingTerms, occurrence: Occurrence) -> datetime:
    after = occurrence.start.replace(tzinfo=terms.zone)
    minutes = int((occurrence.end - occurrence.start) / timedelta(minutes=1))
    slots = free_after(reader, session, terms, after, minutes, count=1)
    return slots[0][0].astimezone(terms.zone) if slots else after
