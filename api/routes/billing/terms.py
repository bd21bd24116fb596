"""`/api/v1/terms-requests`: payment terms that organisations ask for; staff who handle a seller's money answer."""

from __future__ import annotations

from datetime import datetime

from fastapi import APIRouter
from pydantic import BaseModel

from api.deps import CurrentUser, DbSession, Now
from api.domain.billing import organisations
from api.domain.people.roles import StaffOnly
from api.routes.billing.organisations import OrganisationOut, TermsIn

router = APIRouter(prefix="/api/v1", tags=["organisations"])


class TermsRequestOut(BaseModel):
    organisation: str
    name: str
    terms_days: int
    monthly: bool
    requested_by: str
    at: datetime


@router.get("/terms-requests")
def list_requests(session: DbSession, user: CurrentUser) -> list[TermsRequestOut]:
    """Those that nobody has answered, oldest first: one of each organisation at most."""
    if not organisations.may_grant_terms(session, user=user):
        raise StaffOnly()
    return [
        TermsRequestOut(
            organisation=each.organisation.slug,
            name=each.organisation.name,
            terms_days=each.terms_days,
            monthly=each.monthly,
            requested_by=each.requester.name,
            at=each.at,
        )
        for each in organisations.list_terms_requests(session)
    ]


@router.put("/organisations/{slug}/terms")
def grant(slug: str, body: TermsIn, session: DbSession, user: CurrentUser, now: Now) -> OrganisationOut:
    """How it pays from now on, asked for or not."""
    row = organisations.get_organisation_to_grant(session, slug, user=user)
    organisations.grant_terms(session, organisation=row, actor=user, now=now, **body.model_dump())
    return OrganisationOut.of(session, row)


@router.post("/organisations/{slug}/terms/decline")
def decline(slug: str, session: DbSession, user: CurrentUser, now: Now) -> OrganisationOut:
    """What is in force stays; 409 when nothing is requested."""
    row = organisations.get_organisation_to_grant(session, slug, user=user)
    organisations.decline_terms(session, organisation=row, actor=user, now=now)
    return OrganisationOut.of(session, row)
