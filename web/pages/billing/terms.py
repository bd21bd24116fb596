"""`/staff/terms`: terms of payment that organisations ask for; staff grant or decline them."""

from __future__ import annotations

from fastapi import APIRouter, Response
from sqlalchemy.orm import Session

from api.deps import CurrentUser, DbSession
from api.domain.billing import organisations
from api.domain.people.accounts import User
from api.domain.people.roles import StaffOnly
from web.forms import Form, Sent, trying
from web.i18n import N_
from web.pages.staff_only import MoneyReader
from web.render import PageReader

router = APIRouter(include_in_schema=False)


@router.get("/staff/terms")
def list_page(reader: MoneyReader, session: DbSession, user: CurrentUser) -> Response:
    return _draw(reader, session, user, Form(reader.request), "")


@router.post("/staff/terms/{slug}")
def decide(reader: MoneyReader, session: DbSession, user: CurrentUser, slug: str, form: Sent) -> Response:
    row = organisations.get_organisation_to_grant(session, slug, user=user)
    if form["act"] == "decline":
        organisations.decline_terms(session, organisation=row, actor=user, now=reader.now)
        return reader.to("/staff/terms", N_("Request of “{name}” declined."), name=row.name)
    with trying(session, form):
        organisations.grant_terms(
            session,
            organisation=row,
            terms_days=form.int("terms_days", otherwise=-1),
            monthly=bool(form["monthly"]),
            actor=user,
            now=reader.now,
        )
    if form.errors:
        return _draw(reader, session, user, form, slug)
    return reader.to("/staff/terms", N_("Terms of “{name}” saved."), name=row.name)


def _draw(reader: PageReader, session: Session, user: User, form: Form, of_slug: str) -> Response:
    """`of_slug` is the organisation whose form holds the errors."""
    if not organisations.may_grant_terms(session, user=user):
        raise StaffOnly()
    requests = organisations.list_terms_requests(session)
    details = organisations.map_details(session, rows=[each.organisation for each in requests])
    forms = [
        (
            each,
            details.get(each.organisation_id),
            form if each.organisation.slug == of_slug else _typed(reader, each),
        )
        for each in requests
    ]
    return reader.page("billing/terms.html", status=form.status, forms=forms)


def _typed(reader: PageReader, request: organisations.TermsRequest) -> Form:
    return Form(reader.request, {"terms_days": str(request.terms_days), "monthly": "1" if request.monthly else ""})
