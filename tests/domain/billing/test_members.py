"""Who buys for an organisation: invited once, limited by month, shown the door, and never the last one."""

from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.orm import Session

from api.domain.billing import organisations
from api.domain.billing.facturx import DeliverTo, faults
from api.domain.billing.organisations import AlreadyMember, BuyersOnly, CostCentreWrong, InvitationWrong, LimitWrong
from api.domain.core.changes import list_changes
from api.domain.core.errors import NotFound
from api.domain.people import accounts
from api.domain.people.accounts import BuyingRight
from api.domain.sales.orders import spent_cents
from api.domain.sales.orders.accept import OverLimit
from tests.world import NOW, make_user
from tests.world.billing import Shop, ask, join, make_details
from tests.world.documents import make_buyer
from tests.world.sales import accept


def invite(session: Session, shop: Shop, **over: Any) -> str:
    facts = {"actor": shop.world.alice, "email": "new@example.org", "buying": BuyingRight.BUYER, "now": NOW, **over}
    return organisations.invite(session, organisation=shop.company, **facts)


def limit_of(session: Session, shop: Shop) -> dict[str, int | None]:
    return {person.name: cents for _, person, cents in organisations.list_members(session, organisation=shop.company)}


def set_limit(session: Session, shop: Shop, user_id: int, cents: int | None, **over: Any) -> None:
    facts = {"actor": shop.world.alice, "now": NOW, **over}
    organisations.set_limit(session, organisation=shop.company, user_id=user_id, monthly_cents=cents, **facts)


def test_only_a_buyer_invites_and_nobody_who_is_there_already(session: Session, shop: Shop) -> None:
    dana = make_user(session)
    join(session, shop, dana, BuyingRight.VIEWER)
    with pytest.raises(BuyersOnly):
        invite(session, shop, actor=dana)
    with pytest.raises(NotFound):
        invite(session, shop, actor=shop.world.charlie)
    with pytest.raises(AlreadyMember):
        invite(session, shop, email=dana.email.upper())
    with pytest.raises(LimitWrong):
        invite(session, shop, monthly_cents=-1)


def test_two_invitations_make_one_member(session: Session, shop: Shop) -> None:
    dana = make_user(session)
    tokens = [invite(session, shop, email=dana.email) for _ in range(2)]
    organisations.accept_invitation(session, user=dana, token=tokens[0], now=NOW)
    with pytest.raises(AlreadyMember):
        organisations.accept_invitation(session, user=dana, token=tokens[1], now=NOW)


def test_only_the_hash_of_an_invitation_is_kept(session: Session, shop: Shop) -> None:
    token = invite(session, shop)
    noted = list_changes(session, noun="organisation", noun_id=shop.company.id)

    assert all(token not in str(each.facts) for each in noted)
    with pytest.raises(InvitationWrong):
        organisations.accept_invitation(session, user=make_user(session), token=token, now=NOW)


def test_a_monthly_limit_is_set_changed_and_taken_away(session: Session, shop: Shop) -> None:
    dana = make_user(session)
    join(session, shop, dana, BuyingRight.BUYER, 5000)
    told = [limit_of(session, shop)["Dana"]]
    for cents in (7000, None, None, 0):
        set_limit(session, shop, dana.id, cents)
        told.append(limit_of(session, shop)["Dana"])

    assert told == [5000, 7000, None, None, 0]


def test_a_limit_is_not_negative_and_not_a_strangers(session: Session, shop: Shop) -> None:
    with pytest.raises(LimitWrong):
        set_limit(session, shop, shop.world.alice.id, -1)
    with pytest.raises(NotFound):
        set_limit(session, shop, shop.world.charlie.id, 5)
    with pytest.raises(NotFound):
        set_limit(session, shop, shop.world.alice.id, 5, actor=shop.world.charlie)


def test_the_limit_counts_a_month_in_paris(session: Session, shop: Shop) -> None:
    """Spent at 00:30 on the first of December there is of December, also while it is November in London."""
    first = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
    alice, quote, second = shop.world.alice, ask(session, shop), ask(session, shop)
    set_limit(session, shop, alice.id, quote.total_cents)
    accept(session, shop, quote, now=first)
    spent = [
        spent_cents(session, organisation_id=shop.company.id, user_id=alice.id, now=now)
        for now in (first, datetime(2026, 12, 31, 23, 30, tzinfo=UTC))
    ]

    assert spent == [quote.total_cents, 0]
    with pytest.raises(OverLimit) as told:
        accept(session, shop, second, now=first)
    assert told.value.params == {"limit_cents": quote.total_cents, "spent_cents": quote.total_cents}


def test_what_one_buyer_spent_is_not_anothers(session: Session, shop: Shop) -> None:
    dana, quote = make_user(session), ask(session, shop)
    join(session, shop, dana, BuyingRight.BUYER, quote.total_cents)
    accept(session, shop, ask(session, shop))

    assert accept(session, shop, quote, actor=dana).placed_by == dana.id


def test_a_viewer_accepts_nothing(session: Session, shop: Shop) -> None:
    dana = make_user(session)
    join(session, shop, dana, BuyingRight.VIEWER)
    with pytest.raises(BuyersOnly):
        accept(session, shop, ask(session, shop), actor=dana)


def test_a_member_is_removed_and_sees_nothing_any_more(session: Session, shop: Shop) -> None:
    dana = make_user(session)
    join(session, shop, dana, BuyingRight.BUYER, 100)
    for gone in (shop.world.alice.id, dana.id):
        if gone == dana.id:
            with pytest.raises(organisations.LastBuyer):
                organisations.remove_member(session, organisation=shop.company, actor=dana, user_id=dana.id, now=NOW)
        else:
            organisations.remove_member(session, organisation=shop.company, actor=dana, user_id=gone, now=NOW)

    assert list(limit_of(session, shop)) == ["Dana"]
    assert not accounts.may_see_for(session, user=shop.world.alice, organisation_id=shop.company.id)
    with pytest.raises(NotFound):
        organisations.remove_member(
            session, organisation=shop.company, actor=dana, user_id=shop.world.alice.id, now=NOW
        )


@pytest.mark.parametrize(("code", "name"), [("", "A"), ("a b", "A"), ("x" * 31, "A"), ("A", "  ")])
def test_a_cost_centre_has_a_short_code_and_a_name(session: Session, shop: Shop, code: str, name: str) -> None:
    with pytest.raises(CostCentreWrong):
        organisations.add_cost_centre(session, organisation=shop.company, actor=shop.world.alice, code=code, name=name)


def test_cost_centres_are_listed_by_code(session: Session, shop: Shop) -> None:
    for code in ("B", "A"):
        organisations.add_cost_centre(session, organisation=shop.company, actor=shop.world.alice, code=code, name=code)

    assert [each.code for each in organisations.list_cost_centres(session, organisation=shop.company)] == ["A", "B"]


def test_a_wrong_delivery_address_is_told_at_its_own_field(session: Session) -> None:
    place = DeliverTo(name="", address=make_details().address.__class__(lines=(" ",), postcode="", city=""))
    with pytest.raises(faults.IncompleteAddress) as told:
        organisations.create_organisation(
            session, owner=make_user(session), details=make_details(deliver_to=place), now=NOW
        )

    assert told.value.field == "deliver_to"


def test_a_right_delivery_address_is_read_back(session: Session) -> None:
    place = DeliverTo(name="Quai 3", address=make_buyer().address)
    company = organisations.create_organisation(
        session, owner=make_user(session), details=make_details(deliver_to=place), now=NOW
    )
    read = organisations.find_details(session, organisation=company)

    assert read is not None
    assert read.deliver_to == place


def test_a_public_body_is_nothing_without_its_siret(session: Session) -> None:
    with pytest.raises(faults.MissingIdentifier) as told:
        organisations.create_organisation(
            session, owner=make_user(session), details=make_details(is_public=True, siret=None), now=NOW
        )

    assert told.value.field == "siret"
