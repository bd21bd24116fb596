"""Who handles the money: given and withdrawn by administrators, told to all; and nobody handles their own."""

from collections.abc import Callable

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.billing import invoices, money_rights, payments
from api.domain.billing.invoices import Customer
from api.domain.billing.money_rights import HandlesMoneyAlready, MoneyOnly, MoneyPersonUnknown, OwnMoney
from api.domain.billing.payments import PaymentMeans
from api.domain.core.changes import list_changes
from api.domain.core.errors import NotFound
from api.domain.messages.money_letters import notify_money_right
from api.domain.messages.notifications import Mail
from api.domain.people import roles
from api.domain.people.accounts import BuyingRight, User
from api.domain.people.roles import AdministratorOnly, Level
from tests.world import NOW, make_user
from tests.world.billing import TODAY, Shop, accept_all, issue, join, let_handle_money


@pytest.fixture
def admin(session: Session) -> User:
    return make_user(session, "Root", is_admin=True)


def give(session: Session, shop: Shop, admin: User, email: str) -> User:
    return money_rights.give_money_right(session, seller_id=shop.seller.id, email=email, actor=admin, now=NOW)


def test_an_administrator_gives_the_right_by_address_and_withdraws_it(
    session: Session, shop: Shop, admin: User
) -> None:
    seller_id, charlie = shop.seller.id, shop.world.charlie
    give(session, shop, admin, charlie.email.upper())
    assert money_rights.may_handle_money(session, user=charlie, seller_id=seller_id)
    for email, error in ((charlie.email, HandlesMoneyAlready), ("nobody@example.org", MoneyPersonUnknown)):
        with pytest.raises(error):
            give(session, shop, admin, email)
    money_rights.withdraw_money_right(session, seller_id=seller_id, user_id=charlie.id, actor=admin, now=NOW)

    assert not money_rights.may_handle_money(session, user=charlie, seller_id=seller_id)
    with pytest.raises(NotFound):
        money_rights.withdraw_money_right(session, seller_id=seller_id, user_id=charlie.id, actor=admin, now=NOW)


def test_who_handles_money_cannot_pass_the_right_on(session: Session, shop: Shop) -> None:
    bob = shop.world.bob
    with pytest.raises(AdministratorOnly):
        give(session, shop, bob, shop.world.charlie.email)
    with pytest.raises(AdministratorOnly):
        money_rights.withdraw_money_right(session, seller_id=shop.seller.id, user_id=bob.id, actor=bob, now=NOW)


def test_a_closed_account_neither_gets_nor_keeps_a_say(session: Session, shop: Shop, admin: User) -> None:
    shop.world.bob.disabled_at = NOW
    session.flush()

    assert money_rights.list_money_people(session, seller_id=shop.seller.id) == [admin]
    with pytest.raises(MoneyPersonUnknown):
        give(session, shop, admin, shop.world.bob.email)


def test_all_who_handle_the_money_are_told_of_a_new_person(session: Session, shop: Shop, admin: User) -> None:
    charlie = give(session, shop, admin, shop.world.charlie.email)
    change = list_changes(session, noun="seller", noun_id=shop.seller.id)[-1]
    notify_money_right(session, change_id=change.id, now=NOW)
    mails = session.scalars(select(Mail).where(Mail.kind == "money_right_given")).all()

    assert {mail.user_id for mail in mails} == {admin.id, shop.world.bob.id, charlie.id}
    assert all("Charlie" in mail.body and "Root" in mail.body for mail in mails)


def credit_note(session: Session, shop: Shop, actor: User, **over: object) -> object:
    invoice = issue(session, shop, **over)
    return invoices.credit(session, invoice=invoice, reason="x", judge=accept_all, now=NOW, today=TODAY, actor=actor)


def top_up(session: Session, shop: Shop, actor: User, person: User) -> payments.Payment:
    return payments.top_up(
        session,
        seller=shop.seller,
        user=person,
        means=PaymentMeans.CASH,
        cents=500_000,
        received_on=TODAY,
        key=f"top:{actor.id}:{person.id}",
        actor=actor,
        now=NOW,
    )


def reverse(session: Session, shop: Shop, actor: User, person: User) -> payments.Payment:
    payment = top_up(session, shop, make_user(session, "Root", is_admin=True), person)
    return payments.reverse(session, payment=payment, actor=actor, now=NOW, on=TODAY, reason="x")


ACTS: dict[str, Callable[[Session, Shop, User, User], object]] = {
    "credit note": lambda s, shop, actor, person: credit_note(s, shop, actor, customer=Customer(user_id=person.id)),
    "top-up": top_up,
    "reversal": reverse,
}


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_a_manager_without_the_right_moves_no_money(
    session: Session, shop: Shop, act: Callable[[Session, Shop, User, User], object]
) -> None:
    dan = make_user(session, "Dan")
    roles.grant(session, user=dan, site_id=shop.world.site.id, level=Level.MANAGER, now=NOW)
    with pytest.raises(MoneyOnly):
        act(session, shop, dan, shop.world.alice)
    let_handle_money(session, dan, shop.seller)

    assert act(session, shop, dan, shop.world.alice)


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_nobody_moves_their_own_money_not_even_an_administrator(
    session: Session, shop: Shop, admin: User, act: Callable[[Session, Shop, User, User], object]
) -> None:
    for person in (shop.world.bob, admin):
        with pytest.raises(OwnMoney):
            act(session, shop, person, person)


def test_the_invoice_of_ones_own_organisation_is_credited_by_somebody_else(session: Session, shop: Shop) -> None:
    join(session, shop, shop.world.bob, BuyingRight.VIEWER)
    with pytest.raises(OwnMoney):
        credit_note(session, shop, shop.world.bob)


def test_who_sold_at_the_till_may_read_that_invoice_and_no_other(session: Session, shop: Shop) -> None:
    dan = make_user(session, "Dan")
    roles.grant(session, user=dan, site_id=shop.world.site.id, level=Level.STAFF, now=NOW)
    own, other = issue(session, shop, actor=dan), issue(session, shop)

    assert invoices.get_invoice(session, own.id, user=dan) == own
    with pytest.raises(NotFound):
        invoices.get_invoice(session, other.id, user=dan)
