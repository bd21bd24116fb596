"""`/staff/hours`: when a site is open and staffed, and the days on which it is closed. Its managers change them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from api.bounds import day_of
from api.deps import CurrentUser, DbSession
from api.domain.booking import closing, hours
from api.domain.booking.bookings import Booking
from api.domain.booking.closing import Closing, DaysWrong
from api.domain.core.errors import Invalid, NotFound
from api.domain.people.accounts import User
from api.domain.people.roles import may_manage
from api.domain.places.calendar import REGIONS
from api.domain.places.sites import Closure, Site
from web.forms import Form, Sent, trying
from web.hours_form import WEEKDAYS, hours_as_typed, read_hours
from web.i18n import N_
from web.pages.booking.rules import staffed_site
from web.pages.staff_only import StaffReader, site_ids
from web.render import PageReader

router = APIRouter(include_in_schema=False)

# Stretches a day that the form has: morning and afternoon.
A_DAY = 2
# Fields, or what they begin with, that the page between the form and its end sends again.
SENT_AGAIN = {"opens", "closes", "staffed", "closed_on_holidays", "region"}


class ReasonMissing(Invalid):
    """State the reason: people whose bookings are cancelled will read it."""

    field = "reason"


@router.get("/staff/hours")
def hours_page(reader: StaffReader, session: DbSession, user: CurrentUser) -> Response:
    return _show(reader, session, user, Form(reader.request, _typed(staffed_site(reader))))


def _typed(site: Site) -> dict[str, str]:
    typed = hours_as_typed((row.weekday, row.opens, row.closes) for row in site.hours)
    # Counted in the same order as in `hours_as_typed`, so that each tick stands beside its stretch.
    counts = [0] * 7
    for row in sorted(site.hours, key=lambda row: (row.weekday, row.opens)):
        typed[f"staffed-{row.weekday}-{counts[row.weekday]}"] = "yes" if row.staffed else ""
        counts[row.weekday] += 1
    return typed


def _show(reader: PageReader, session: Session, user: User, form: Form) -> Response:
    site = staffed_site(reader)
    today = reader.now.date()
    return reader.page(
        "places/hours.html",
        status=form.status,
        form=form,
        place=site,
        weekdays=WEEKDAYS,
        a_day=A_DAY,
        regions=REGIONS,
        closures=[each for each in site.closures if each.last_on >= today],
        is_manager=may_manage(session, user=user, site_id=site.id),
    )


@router.post("/staff/hours")
def change_hours(reader: StaffReader, session: DbSession, user: CurrentUser, form: Sent) -> Response:
    """Replace the whole week. First it shows which bookings lie outside by that; `act` then keeps or cancels them."""
    site = staffed_site(reader)

    def change() -> list[Booking]:
        rows = [(*stretch, form[f"staffed-{name}"] == "yes") for name, stretch in read_hours(form, a_day=A_DAY)]
        return hours.change_hours(session, site=site, rows=rows, actor=user, now=reader.now)

    outside = _try_change(session, form, user, reader.now, change)
    if outside:
        return _show_outside(reader, form, site, outside)
    if form.errors:
        return _show(reader, session, user, form)
    return reader.to("/staff/hours", N_("Opening hours saved."))


def _try_change(
    session: Session, form: Form, user: User, now: datetime, change: Callable[[], list[Booking]]
) -> list[Booking]:
    """What the change leaves outside, and nothing is changed; or empty: it is done, or refused by an error."""
    with trying(session, form), session.begin_nested() as attempt:
        outside = change()
        if outside and not _settle(session, form, outside, user, now):
            attempt.rollback()
            return outside
    return []


def _settle(session: Session, form: Form, outside: list[Booking], user: User, now: datetime) -> bool:
    """Whether the change stands: whoever saves it has seen these bookings, and keeps or cancels them."""
    if form["outside"] != _key_of(outside):
        return False
    if form["act"] == "cancel" and not form["reason"]:
        form.refuse(ReasonMissing())
        return False
    if form["act"] == "cancel":
        hours.cancel_outside(session, bookings=outside, why=form["reason"], actor=user, now=now)
    return form["act"] in ("keep", "cancel")


def _key_of(bookings: list[Booking]) -> str:
    return " ".join(str(booking.id) for booking in bookings)


def _show_outside(reader: PageReader, form: Form, site: Site, outside: list[Booking]) -> Response:
    has_changed = form["act"] in ("keep", "cancel") and not form.errors
    names = [name for name in form.data if name.partition("-")[0] in SENT_AGAIN]
    return reader.page(
        "places/outside.html",
        status=409 if has_changed else form.status,
        has_changed=has_changed,
        form=form,
        place=site,
        zone=site.timezone,
        outside=outside,
        key=_key_of(outside),
        sent_again=[(name, form[name]) for name in names],
    )


@router.post("/staff/holidays")
def keep_holidays(reader: StaffReader, session: DbSession, user: CurrentUser, form: Sent) -> Response:
    """As `change_hours`, for bookings that are on a holiday by that."""
    site = staffed_site(reader)

    def change() -> list[Booking]:
        is_closed, region = form["closed_on_holidays"] == "yes", form["region"]
        return hours.keep_holidays(session, site=site, is_closed=is_closed, region=region, actor=user, now=reader.now)

    outside = _try_change(session, form, user, reader.now, change)
    if outside:
        return _show_outside(reader, form, site, outside)
    form.data = {**_typed(site), **dict(form.data)}
    if form.errors:
        return _show(reader, session, user, form)
    return reader.to("/staff/hours", N_("Public holidays saved."))


@router.post("/staff/closures")
def close(reader: StaffReader, session: DbSession, user: CurrentUser, form: Sent) -> Response:
    """Close the site on whole days. First it shows by name what is cancelled by that; `act=close` then does it."""
    site = staffed_site(reader)
    # The page has two forms; the hours that this one does not send are shown as they stand, if it comes back.
    form.data = {**_typed(site), **dict(form.data)}
    with trying(session, form):
        facts = _read_closure(form, site, user, reader.now)
        # Done, and taken back unless whoever confirms has seen all of it: a query of its own would one day name other
        # bookings than those that are cancelled.
        with session.begin_nested() as attempt:
            closing_now = closing.close_days(session, **facts)
            is_seen = form["act"] == "close" and form["cancels"] == closing_now.key
            if not is_seen:
                attempt.rollback()
    if form.errors:
        return _show(reader, session, user, form)
    if not is_seen:
        return _show_preview(reader, form, site, facts, closing_now)
    return reader.to(
        "/staff/hours",
        N_("Closure saved; bookings cancelled free of charge: {count}, events cancelled: {events}."),
        count=len(closing_now.bookings),
        events=len(closing_now.gatherings),
    )


def _read_closure(form: Form, site: Site, user: User, now: datetime) -> dict[str, Any]:
    """The arguments of `closing.close_days`; raises ReasonMissing, DaysWrong."""
    if not form["reason"]:
        raise ReasonMissing()
    first_on, last_on = _days(form)
    return {
        "site": site,
        "first_on": first_on,
        "last_on": last_on,
        "reason": form["reason"],
        "actor": user,
        "now": now,
        "call_off": form["keep_events"] != "yes",
    }


def _show_preview(reader: PageReader, form: Form, site: Site, facts: dict[str, Any], preview: Closing) -> Response:
    has_changed = form["act"] == "close"
    return reader.page(
        "places/closure.html",
        status=409 if has_changed else 200,
        has_changed=has_changed,
        place=site,
        zone=site.timezone,
        first_on=facts["first_on"],
        last_on=facts["last_on"],
        reason=facts["reason"],
        keep_events=form["keep_events"],
        preview=preview,
    )


def _days(form: Form) -> tuple[date, date]:
    try:
        first_on = day_of(form["first_on"])
        return first_on, day_of(form.get("last_on", form["first_on"]))
    except ValueError as error:
        raise DaysWrong(field="first_on") from error


@router.post("/staff/closures/{closure_id}/remove")
def reopen(reader: StaffReader, session: DbSession, user: CurrentUser, closure_id: int) -> Response:
    closure = session.get(Closure, closure_id)
    if closure is None or closure.site_id not in site_ids(reader):
        raise NotFound()
    closing.reopen(session, closure=closure, actor=user, now=reader.now)
    return reader.to("/staff/hours", N_("Closure removed."))
