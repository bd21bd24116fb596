"""`/waits/{id}`: a place in line; an offer shows until when it is kept, and both answers."""

from __future__ import annotations

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from api.deps import CurrentUser, DbSession
from api.domain.booking import bookings
from api.domain.booking.bookings import Wait, WaitStatus, price_of
from api.domain.people.accounts import User
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.pages.booking.book import shown_rate
from web.render import PageReader, Reader

router = APIRouter(include_in_schema=False)


@router.get("/waits/{wait_id}")
def wait_page(reader: Reader, session: DbSession, user: CurrentUser, wait_id: int) -> Response:
    """A place in line; an offer shows until when it is kept, and both answers."""
    wait = bookings.get_wait(session, wait_id=wait_id, user=user)
    return _wait(reader, session, user, wait, Form(reader.request))


def _wait(reader: PageReader, session: Session, user: User, wait: Wait, form: Form) -> Response:
    is_kept = wait.status == WaitStatus.OFFERED and wait.offered_until is not None and wait.offered_until > reader.now
    terms = bookings.get_terms(session, resource_id=wait.resource_id, user=user)
    return reader.page(
        "booking/wait.html",
        status=form.status,
        form=form,
        wait=wait,
        zone=terms.zone.key,
        length_s=(wait.end_at - wait.start_at).total_seconds(),
        price=price_of(terms, start=wait.start_at, end=wait.end_at),
        vat_rate=shown_rate(session, site_id=terms.site_id, at=wait.start_at),
        is_kept=is_kept,
        is_open=wait.status == WaitStatus.WAITING and wait.start_at > reader.now,
    )


@router.post("/waits/{wait_id}/{what}")
def answer_offer(
    reader: Reader, session: DbSession, user: CurrentUser, wait_id: int, what: str, form: Sent
) -> Response:
    """Take an offer, or leave the line."""
    wait = bookings.get_wait(session, wait_id=wait_id, user=user)
    with trying(session, form):
        if what == "take":
            booking = bookings.take_offer(session, wait=wait, now=reader.now)
            return reader.to(f"/bookings/{booking.id}", N_("{name} is booked."), name=wait.resource.name)
        bookings.leave_waitlist(session, wait=wait, now=reader.now)
    if form.errors:
        # The savepoint was rolled back; the row in memory may hold what was written in it.
        session.refresh(wait)
        return _wait(reader, session, user, wait, form)
    return reader.to("/agenda", N_("You have left the waitlist."))
