"""A buyer asks for a term of payment or a monthly invoice; nothing changes before staff grant it."""

from dataclasses import replace

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.billing import organisations
from api.domain.billing.organisations import (
    BillingDetails,
    NoTermsRequest,
    TermWrong,
    find_terms_request,
    list_terms_requests,
)
from api.domain.core.changes import Change
from api.domain.core.errors import NotFound
from api.domain.people.roles import StaffOnly
from tests.world import NOW, make_user
from tests.world.billing import Shop


def details_of(session: Session, shop: Shop) -> BillingDetails:
    return organisations.find_details(session, organisation=shop.company) or pytest.fail("no details")


def ask_for(session: Session, shop: Shop, **terms: object) -> None:
    details = replace(details_of(session, shop), **terms)  # type: ignore[arg-type]  # a test names fields of it
    organisations.change_details(session, organisation=shop.company, actor=shop.world.alice, details=details, now=NOW)


def terms_of(session: Session, shop: Shop) -> tuple[int, bool]:
    details = details_of(session, shop)
    return details.terms_days, details.monthly


def test_what_a_buyer_types_is_only_a_request(session: Session, shop: Shop) -> None:
    ask_for(session, shop, terms_days=60, monthly=True, phone="0466000000")
    assert terms_of(session, shop) == (30, False)
    assert details_of(session, shop).phone == "0466000000"
    (row,) = list_terms_requests(session)
    assert (row.organisation_id, row.terms_days, row.monthly, row.requested_by) == (
        shop.company.id,
        60,
        True,
        shop.world.alice.id,
    )


def test_a_new_organisation_begins_with_the_usual_terms(session: Session, shop: Shop) -> None:
    details = replace(details_of(session, shop), name="Autre", siret=None, monthly=True)
    made = organisations.create_organisation(session, owner=shop.world.charlie, details=details, now=NOW)
    found = organisations.find_details(session, organisation=made)
    assert found is not None
    assert (found.terms_days, found.monthly) == (30, False)
    assert [each.organisation_id for each in list_terms_requests(session)] == [made.id]


def test_asking_for_what_is_in_force_takes_the_request_back(session: Session, shop: Shop) -> None:
    ask_for(session, shop, terms_days=45)
    ask_for(session, shop, terms_days=30)
    assert list_terms_requests(session) == []


def test_staff_grant_it_and_that_is_in_force(session: Session, shop: Shop) -> None:
    ask_for(session, shop, terms_days=45, monthly=True)
    organisations.grant_terms(
        session, organisation=shop.company, terms_days=45, monthly=False, actor=shop.world.bob, now=NOW
    )
    assert terms_of(session, shop) == (45, False)
    assert find_terms_request(session, organisation_id=shop.company.id) is None


def test_declining_leaves_in_force_what_is_and_is_told_as_that(session: Session, shop: Shop) -> None:
    ask_for(session, shop, terms_days=45, monthly=True)
    decide = {"organisation": shop.company, "actor": shop.world.bob, "now": NOW}
    organisations.decline_terms(session, **decide)
    assert terms_of(session, shop) == (30, False)
    assert list_terms_requests(session) == []
    change = session.scalars(select(Change).where(Change.noun == "organisation").order_by(Change.id.desc())).first()
    assert change is not None
    assert (change.verb, change.facts["terms_days"]) == ("terms_declined", 45)
    with pytest.raises(NoTermsRequest):
        organisations.decline_terms(session, **decide)


@pytest.mark.parametrize("is_member", [True, False])
def test_only_who_handles_the_money_grants(session: Session, shop: Shop, is_member: bool) -> None:
    user = shop.world.alice if is_member else make_user(session)
    with pytest.raises(StaffOnly):
        organisations.grant_terms(session, organisation=shop.company, terms_days=45, monthly=False, actor=user, now=NOW)
    with pytest.raises(StaffOnly):
        organisations.decline_terms(session, organisation=shop.company, actor=user, now=NOW)
    with pytest.raises(StaffOnly if is_member else NotFound):
        organisations.get_organisation_to_grant(session, shop.company.slug, user=user)
    assert organisations.get_organisation_to_grant(session, shop.company.slug, user=shop.world.bob) == shop.company


def test_the_law_bounds_what_is_granted(session: Session, shop: Shop) -> None:
    with pytest.raises(TermWrong):
        organisations.grant_terms(
            session, organisation=shop.company, terms_days=61, monthly=False, actor=shop.world.bob, now=NOW
        )


def test_who_becomes_a_public_body_has_no_longer_term_than_the_law(session: Session, shop: Shop) -> None:
    organisations.grant_terms(
        session, organisation=shop.company, terms_days=60, monthly=False, actor=shop.world.bob, now=NOW
    )
    ask_for(session, shop, is_public=True, terms_days=30)
    assert terms_of(session, shop) == (30, False)
