"""`/book/{id}/series`: each time of a repeated booking with its conflict, to be skipped or moved; then all at once.

A step of plain forms: nothing is written before the last button, and what is skipped never is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from api.deps import CurrentUser, DbSession
from api.domain.booking import bookings
from api.domain.booking.bookings import SKIP, BookingRequest, BookingTerms, Occurrence, SeriesConflict
from api.domain.booking.bookings.series import Choice, RuleEndless
from api.domain.core.errors import Invalid
from api.domain.people.accounts import User
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.pages.booking.book import REPEATS, TimeMissing, free_after, show_ask, wanted_of
from web.render import PageReader, Reader, text_for

router = APIRouter(include_in_schema=False)

MOVE = "move"


class LastDayWrong(Invalid):
    """Please choose a last day after the first."""

    field = "until"


@dataclass(frozen=True)
class OccurrenceLine:
    """One time on the page: what stands against it, what was chosen, and where it could go instead."""

    each: Occurrence
    trouble: str
    choice: str
    day: str
    at: str


@router.post("/book/{resource_id}/series")
def series(reader: Reader, session: DbSession, user: CurrentUser, resource_id: int, form: Sent) -> Response:
    """Show all the times; with `act=confirm` book those that are kept, or show what still stands against it."""
    asked = bookings.find_terms(session, resource_id=resource_id, user=user)
    seen, made = list[Occurrence](), 0
    with trying(session, form):
        wanted, rrule, choices = wanted_of(asked, form), rule_of(form), choices_of(form)
        if form["act"] == "confirm":
            try:
                with session.begin_nested():
                    made = len(_book(session, reader, user, wanted, rrule, choices))
            except SeriesConflict as error:
                seen = error.occurrences
                form.refuse(error)
        else:
            seen = bookings.preview_series(
                session, wanted=wanted, rrule=rrule, user=user, now=reader.now, choices=choices
            )
    if made:
        return reader.to("/agenda", N_("{name} is booked for you {count} times."), name=asked.name, count=made)
    if not seen:
        return show_ask(reader, session, user, asked, form)
    return _show(reader, session, asked, form, seen)


def _book(
    session: Session, reader: PageReader, user: User, wanted: BookingRequest, rrule: str, choices: Mapping[int, Choice]
) -> Sequence[object]:
    return bookings.book_series(session, wanted=wanted, rrule=rrule, user=user, now=reader.now, choices=choices)


def rule_of(form: Form) -> str:
    """The RFC 5545 rule that the form says; raises RuleEndless without an end, LastDayWrong before the first day."""
    repeat = form["repeat"] if form["repeat"] in REPEATS else next(iter(REPEATS))
    if form["until"]:
        return f"{repeat};UNTIL={_last_day(form):%Y%m%d}"
    if not form["count"]:
        raise RuleEndless(field="count")
    return f"{repeat};COUNT={max(form.int('count'), 0)}"


def _last_day(form: Form) -> date:
    try:
        first, last = (date.fromisoformat(form[name]) for name in ("day", "until"))
    except ValueError as error:
        raise LastDayWrong() from error
    if last < first:
        raise LastDayWrong()
    return last


def choices_of(form: Form) -> dict[int, Choice]:
    """index -> SKIP, or the wall time where it shall go; what is merely kept is left out."""
    choices: dict[int, Choice] = {}
    for name in list(form.data):
        index = str(name).removeprefix("choice-")
        if not str(name).startswith("choice-") or not index.isdigit():
            continue
        if form[name] == SKIP:
            choices[int(index)] = SKIP
        elif form[name] == MOVE:
            choices[int(index)] = _moved_to(form, index)
    return choices


def _moved_to(form: Form, index: str) -> datetime:
    try:
        return datetime.fromisoformat(f"{form[f'day-{index}']}T{form[f'at-{index}']}").replace(tzinfo=None)
    except ValueError as error:
        raise TimeMissing() from error


def _show(reader: PageReader, session: Session, asked: BookingTerms, form: Form, seen: list[Occurrence]) -> Response:
    lines = [_line(reader, session, asked, form, each) for each in seen]
    return reader.page(
        "booking/series.html",
        status=form.status,
        asked=asked,
        form=form,
        lines=lines,
        kept=sum(not each.skipped for each in seen),
        troubled=sum(bool(line.trouble) for line in lines),
        repeat=REPEATS.get(form["repeat"], next(iter(REPEATS.values()))),
        passed_on=[
            (name, form[name])
            for name in ("day", "at", "minutes", "offset", "given", "repeat", "count", "until", *PERSON)
            if form[name]
        ],
    )


PERSON = ("note", "youngest_age", "guardian_consent")


def _line(reader: PageReader, session: Session, asked: BookingTerms, form: Form, each: Occurrence) -> OccurrenceLine:
    """Of one that cannot be booked, the next free slot is proposed as the place where it could go."""
    trouble = text_for(reader.request, each.trouble.msgid(), each.trouble.params) if each.trouble else ""
    choice = form[f"choice-{each.index}"] or ("" if not trouble else SKIP)
    day, at = form[f"day-{each.index}"], form[f"at-{each.index}"]
    if trouble and not (day and at):
        wall = _proposal(reader, session, asked, each)
        day, at = wall.date().isoformat(), wall.strftime("%H:%M")
    return OccurrenceLine(each, trouble, choice, day, at)


def _proposal(reader: PageReader, session: Session, asked: BookingTerms, each: Occurrence) -> datetime:
    after = each.start.replace(tzinfo=asked.zone)
    minutes = int((each.end - each.start) / timedelta(minutes=1))
    slots = free_after(reader, session, asked, after, minutes, count=1)
    return slots[0][0].astimezone(asked.zone) if slots else after
