"""`/staff/quotes`: quotes that wait for the staff, all others, and the rule that says when staff review them first."""

from __future__ import annotations

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from api.deps import CurrentUser, DbSession, Paging
from api.domain.core.errors import NotFound
from api.domain.core.paging import FIRST_PAGE, PageWindow
from api.domain.people.accounts import User
from api.domain.people.roles import may_manage
from api.domain.sales import quotes
from api.domain.sales.quotes import Review
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.pages.sales.quotes import state_of
from web.pages.staff_only import StaffReader, site_ids
from web.paging import links_of
from web.price_form import read_cents
from web.render import PageReader

router = APIRouter(include_in_schema=False)

REVIEWS = {
    Review.INSTANT: N_("Sent at once"),
    Review.ABOVE: N_("Reviewed above an amount"),
    Review.ALWAYS: N_("Always reviewed"),
}


@router.get("/staff/quotes")
def list_page(reader: StaffReader, session: DbSession, user: CurrentUser, window: Paging) -> Response:
    return _draw(reader, session, user, Form(reader.request), "", window=window)


@router.post("/staff/quotes/rules/{slug}")
def set_rule(reader: StaffReader, session: DbSession, user: CurrentUser, slug: str, form: Sent) -> Response:
    site = next((site for site in reader.staffs if site.slug == slug), None)
    if site is None:
        raise NotFound()
    with trying(session, form):
        quotes.change_rule(
            session,
            site_id=site.id,
            review=next((review for review in Review if review == form["review"]), Review.ALWAYS),
            above_cents=read_cents(form, "above"),
            valid_days=form.int("valid_days"),
            actor=user,
            now=reader.now,
        )
    if form.errors:
        return _draw(reader, session, user, form, slug, status=form.status)
    return reader.to("/staff/quotes", N_("Saved; applies to new quotes."))


def _draw(
    reader: PageReader,
    session: Session,
    user: User,
    form: Form,
    of_slug: str,
    *,
    window: PageWindow = FIRST_PAGE,
    status: int = 200,
) -> Response:
    """`of_slug` is the place whose rule holds the errors."""
    waiting = quotes.list_waiting(session, site_ids=site_ids(reader), now=reader.now)
    others = quotes.list_reviewed(session, site_ids=site_ids(reader), now=reader.now, window=window)
    return reader.page(
        "sales/quote_reviews.html",
        status=status,
        waiting=[(quote, state_of(quote, reader)) for quote in waiting],
        others=[(quote, state_of(quote, reader)) for quote in others],
        links=links_of(reader, others),
        reviews=REVIEWS,
        rules=[
            (site, form if site.slug == of_slug else _rule_form(reader, session, site.id))
            for site in reader.staffs
            if may_manage(session, user=user, site_id=site.id)
        ],
        of_slug=of_slug,
    )


def _rule_form(reader: PageReader, session: Session, site_id: int) -> Form:
    rule = quotes.get_rule(session, site_id=site_id)
    typed = {
        "review": rule.review.value,
        "above": f"{rule.above_cents / 100:.2f}",
        "valid_days": str(rule.valid_days),
    }
    return Form(reader.request, typed)
