"""Bank details and closing need a second person; who is alone waits a day and gives the password; all are told."""

from datetime import date, timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from api.domain.billing import invoices, money_requests, money_rights, sellers
from api.domain.billing.facturx import Bank, faults
from api.domain.billing.invoices import NothingToClose
from api.domain.billing.money_requests import (
    ALONE_WAIT,
    LIFE,
    MoneyRequest,
    PasswordNeeded,
    RequestExpired,
    RequestPending,
    RequestStatus,
    SameBank,
    SecondPersonNeeded,
    WaitNotOver,
    mask_iban,
)
from api.domain.billing.money_rights import MoneyOnly, MoneyRight
from api.domain.billing.sellers import Seller
from api.domain.core.base import ForbiddenMove
from api.domain.core.changes import list_changes
from api.domain.core.errors import Conflict, Stale
from api.domain.messages.money_letters import notify_money_request, notify_seller_email
from api.domain.messages.notifications import Mail
from api.domain.people.accounts import User
from tests.world import NOW
from tests.world.billing import TODAY, Shop, let_handle_money, make_shop
from tests.world.documents import make_bank
from tests.world.races import Connect, race_sessions

# A valid IBAN of the examples of the standard.
OTHER = Bank(iban="FR1420041010050500013M02606", bic="PSSTFRPPLIL", name="Banque Autre")
OCTOBER = date(2026, 10, 31)


@pytest.fixture
def pair(session: Session, shop: Shop) -> tuple[User, User]:
    """Bob asks, charlie confirms."""
    let_handle_money(session, shop.world.charlie, shop.seller)
    return shop.world.bob, shop.world.charlie


def ask(session: Session, shop: Shop, actor: User, bank: Bank = OTHER, now: Any = NOW) -> MoneyRequest:
    return money_requests.request_bank(session, seller=shop.seller, bank=bank, actor=actor, now=now)


def ask_closing(session: Session, shop: Shop, actor: User, until: date = OCTOBER) -> MoneyRequest:
    return money_requests.request_closing(session, seller=shop.seller, until=until, actor=actor, now=NOW, today=TODAY)


def confirm(session: Session, shop: Shop, request: MoneyRequest, actor: User, **over: Any) -> None:
    facts = {"now": NOW, "today": TODAY, **over}
    money_requests.confirm(session, request=request, seller=shop.seller, actor=actor, **facts)


def test_the_bank_changes_when_a_second_person_confirms(session: Session, shop: Shop, pair: tuple[User, User]) -> None:
    bob, charlie = pair
    old = shop.seller.bank
    request = ask(session, shop, bob)
    assert shop.seller.bank == old == make_bank()
    confirm(session, shop, request, charlie)

    assert shop.seller.bank == OTHER
    assert money_requests.list_pending(session, seller=shop.seller, now=NOW) == []


def test_books_close_when_a_second_person_confirms(session: Session, shop: Shop, pair: tuple[User, User]) -> None:
    bob, charlie = pair
    request = ask_closing(session, shop, bob)
    assert invoices.closed_until(session, seller_id=shop.seller.id) is None
    confirm(session, shop, request, charlie)

    assert invoices.closed_until(session, seller_id=shop.seller.id) == OCTOBER


def test_the_requester_cannot_confirm_nor_anybody_without_the_right(
    session: Session, shop: Shop, pair: tuple[User, User]
) -> None:
    bob, _ = pair
    request = ask(session, shop, bob)
    # Neither the wait nor the password helps while there is somebody else.
    with pytest.raises(SecondPersonNeeded):
        confirm(session, shop, request, bob, now=NOW + ALONE_WAIT, password_checked=True)
    with pytest.raises(MoneyOnly):
        confirm(session, shop, request, shop.world.alice)
    with pytest.raises(MoneyOnly):
        ask_closing(session, shop, shop.world.alice)

    assert shop.seller.bank == make_bank()


def test_who_is_alone_confirms_after_a_day_and_with_the_password(session: Session, shop: Shop) -> None:
    bob = shop.world.bob
    request = ask(session, shop, bob)
    with pytest.raises(WaitNotOver):
        confirm(session, shop, request, bob, now=NOW + ALONE_WAIT - timedelta(seconds=1), password_checked=True)
    with pytest.raises(PasswordNeeded):
        confirm(session, shop, request, bob, now=NOW + ALONE_WAIT)
    confirm(session, shop, request, bob, now=NOW + ALONE_WAIT, password_checked=True)

    assert shop.seller.bank == OTHER


def test_a_second_person_who_comes_later_is_needed_and_one_who_is_taken_away_was(session: Session, shop: Shop) -> None:
    bob, charlie, later = shop.world.bob, shop.world.charlie, NOW + ALONE_WAIT
    alone = ask(session, shop, bob)
    let_handle_money(session, charlie, shop.seller)
    with pytest.raises(SecondPersonNeeded):
        confirm(session, shop, alone, bob, now=later, password_checked=True)
    money_requests.withdraw(session, request=alone, seller=shop.seller, actor=bob, now=NOW)
    together = ask(session, shop, bob)
    session.execute(delete(MoneyRight).where(MoneyRight.user_id == charlie.id))

    assert money_requests.is_alone(session, seller=shop.seller, user=bob)
    with pytest.raises(SecondPersonNeeded):
        confirm(session, shop, together, bob, now=later, password_checked=True)


def test_a_request_is_withdrawn_or_expires_and_then_confirms_nothing(
    session: Session, shop: Shop, pair: tuple[User, User]
) -> None:
    bob, charlie = pair
    withdrawn = ask(session, shop, bob)
    money_requests.withdraw(session, request=withdrawn, seller=shop.seller, actor=charlie, now=NOW)
    with pytest.raises(ForbiddenMove):
        confirm(session, shop, withdrawn, charlie)
    late = ask(session, shop, bob)
    with pytest.raises(RequestExpired):
        confirm(session, shop, late, charlie, now=NOW + LIFE)
    assert money_requests.list_pending(session, seller=shop.seller, now=NOW + LIFE) == []
    ask(session, shop, bob, now=NOW + LIFE)
    session.refresh(late)

    assert (late.status, shop.seller.bank) == (RequestStatus.EXPIRED, make_bank())


def test_one_request_of_a_kind_waits_so_what_is_confirmed_is_what_was_seen(
    session: Session, shop: Shop, pair: tuple[User, User]
) -> None:
    bob, charlie = pair
    ask(session, shop, bob)
    with pytest.raises(RequestPending):
        ask(session, shop, charlie, Bank(iban=OTHER.iban, bic=OTHER.bic, name="Another"))
    # A closing beside it is another matter.
    assert ask_closing(session, shop, bob).status is RequestStatus.PENDING


def test_a_bank_that_is_not_the_one_to_be_replaced_any_more_stays(
    session: Session, shop: Shop, pair: tuple[User, User]
) -> None:
    bob, charlie = pair
    request = ask(session, shop, bob)
    sellers.set_bank(shop.seller, Bank(iban=OTHER.iban, bic="AGRIFRPP", name="Meanwhile"))
    session.flush()
    with pytest.raises(Stale):
        confirm(session, shop, request, charlie)


def test_a_closing_is_looked_at_again_when_it_takes_effect(
    session: Session, shop: Shop, pair: tuple[User, User]
) -> None:
    bob, charlie = pair
    request = ask_closing(session, shop, bob)
    invoices.close_period(session, seller=shop.seller, until=OCTOBER, actor=bob, now=NOW, today=TODAY)
    with pytest.raises(NothingToClose):
        confirm(session, shop, request, charlie)
    with pytest.raises(NothingToClose):
        ask_closing(session, shop, bob, until=TODAY)


def test_wrong_bank_details_are_refused_at_the_request(session: Session, shop: Shop) -> None:
    for bank, error in (
        (Bank(iban="FR7630006000011234567890188", bic=OTHER.bic, name="B"), faults.WrongIban),
        (make_bank(), SameBank),
    ):
        with pytest.raises(error):
            ask(session, shop, shop.world.bob, bank)


def test_the_history_tells_old_and_new_with_masked_numbers(
    session: Session, shop: Shop, pair: tuple[User, User]
) -> None:
    bob, charlie = pair
    old = shop.seller.bank
    confirm(session, shop, ask(session, shop, bob), charlie)
    changes = list_changes(session, noun="seller", noun_id=shop.seller.id)[-2:]

    assert [(each.verb, each.actor_id) for each in changes] == [
        ("bank_requested", bob.id),
        ("bank_confirmed", charlie.id),
    ]
    for change in changes:
        assert (change.facts["old_iban"], change.facts["new_iban"]) == (mask_iban(old.iban), mask_iban(OTHER.iban))
        assert OTHER.iban not in str(change.facts)


@pytest.mark.parametrize("kind", ["bank", "closing"])
def test_all_who_handle_the_money_and_the_entity_itself_are_written_to(
    session: Session, shop: Shop, pair: tuple[User, User], kind: str
) -> None:
    bob, charlie = pair
    shop.seller.email = "compta@example.org"
    request = (ask if kind == "bank" else ask_closing)(session, shop, bob)
    for verb, actor in (("requested", bob), ("confirmed", charlie), ("withdrawn", bob)):
        notify_money_request(session, request_id=request.id, verb=verb, actor_id=actor.id, now=NOW)
        mails = session.scalars(select(Mail).where(Mail.kind == f"{kind}_{verb}")).all()

        assert {mail.recipient for mail in mails} == {bob.email, charlie.email, "compta@example.org"}
        assert not any(OTHER.iban in mail.body for mail in mails)


def test_another_address_of_the_entity_is_told_to_the_old_one(session: Session, shop: Shop) -> None:
    facts = {"seller_id": shop.seller.id, "old": "compta@example.org", "new": "x@example.org"}
    notify_seller_email(session, actor_id=shop.world.bob.id, now=NOW, **facts)
    mails = session.scalars(select(Mail).where(Mail.kind == "seller_email_changed")).all()

    assert {mail.recipient for mail in mails} == {shop.world.bob.email, "compta@example.org"}


def _shop_for_races(connect: Connect) -> tuple[int, int, int, int]:
    """(seller, request, bob, charlie)."""
    with connect.begin() as session:
        shop = make_shop(session)
        let_handle_money(session, shop.world.charlie, shop.seller)
        request = ask(session, shop, shop.world.bob)
        return shop.seller.id, request.id, shop.world.bob.id, shop.world.charlie.id


def test_of_two_confirmations_at_once_one_takes_effect(connect: Connect) -> None:
    seller_id, request_id, _, charlie_id = _shop_for_races(connect)

    def work(session: Session, barrier: Barrier) -> None:
        seller, request = session.get_one(Seller, seller_id), session.get_one(MoneyRequest, request_id)
        actor = session.get_one(User, charlie_id)
        barrier.wait()
        money_requests.confirm(session, request=request, seller=seller, actor=actor, now=NOW, today=TODAY)

    outcomes = race_sessions(connect, [work, work])
    with connect.begin() as session:
        changes = list_changes(session, noun="seller", noun_id=seller_id)
    assert sum(outcome is None for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 1
    assert [each.verb for each in changes].count("bank_confirmed") == 1


def test_of_a_confirmation_and_a_withdrawal_at_once_one_wins(connect: Connect) -> None:
    seller_id, request_id, bob_id, charlie_id = _shop_for_races(connect)

    def work(session: Session, barrier: Barrier, actor_id: int) -> None:
        seller, request = session.get_one(Seller, seller_id), session.get_one(MoneyRequest, request_id)
        actor = session.get_one(User, actor_id)
        barrier.wait()
        if actor_id == bob_id:
            money_requests.withdraw(session, request=request, seller=seller, actor=actor, now=NOW)
        else:
            money_requests.confirm(session, request=request, seller=seller, actor=actor, now=NOW, today=TODAY)

    outcomes = race_sessions(connect, [lambda s, b: work(s, b, bob_id), lambda s, b: work(s, b, charlie_id)])
    with connect.begin() as session:
        seller, request = session.get_one(Seller, seller_id), session.get_one(MoneyRequest, request_id)
        confirmed = request.status is RequestStatus.CONFIRMED
        assert (seller.bank == OTHER) == confirmed
    assert sorted(type(outcome).__name__ for outcome in outcomes)[0] == "NoneType"
    assert sum(outcome is None for outcome in outcomes) == 1


def test_of_two_requests_at_once_one_waits(connect: Connect) -> None:
    with connect.begin() as session:
        shop = make_shop(session)
        seller_id, bob_id = shop.seller.id, shop.world.bob.id

    def work(session: Session, barrier: Barrier) -> None:
        seller, actor = session.get_one(Seller, seller_id), session.get_one(User, bob_id)
        barrier.wait()
        money_requests.request_bank(session, seller=seller, bank=OTHER, actor=actor, now=NOW)

    outcomes = race_sessions(connect, [work, work])
    assert sorted(type(outcome) for outcome in outcomes if outcome is not None) == [RequestPending]
    with connect.begin() as session:
        assert len(money_requests.list_pending(session, seller=session.get_one(Seller, seller_id), now=NOW)) == 1


def test_the_right_is_given_once_by_two_administrators_at_once(connect: Connect) -> None:
    with connect.begin() as session:
        shop = make_shop(session)
        shop.world.charlie.is_admin = True
        seller_id, admin_id, email = shop.seller.id, shop.world.charlie.id, shop.world.alice.email

    def work(session: Session, barrier: Barrier) -> None:
        admin = session.get_one(User, admin_id)
        barrier.wait()
        money_rights.give_money_right(session, seller_id=seller_id, email=email, actor=admin, now=NOW)

    outcomes = race_sessions(connect, [work, work])
    assert [type(each).__name__ for each in outcomes if each is not None] == ["HandlesMoneyAlready"]
