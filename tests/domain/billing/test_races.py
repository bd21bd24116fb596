"""Two at once: issuers, buyers and clerks on real connections."""

import hashlib
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import Engine, func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from api.domain.billing import invoices, ledger, organisations, payments
from api.domain.billing.facturx import Document, faults
from api.domain.billing.invoices import Invoice, Judge
from api.domain.billing.ledger import Account, Entry, Posting
from api.domain.billing.organisations import BillingProfile
from api.domain.billing.sellers import Seller
from api.domain.core.errors import DomainError
from api.domain.people.accounts import BuyingRight, Membership, Organisation, User
from api.domain.sales import orders, tabs
from api.domain.sales.orders import Order
from api.domain.sales.orders.production import NotPrinted
from api.domain.sales.quotes import Quote
from tests.world import NOW, make_user
from tests.world.billing import START, TODAY, Shop, accept_all, ask, issue, make_details, make_shop, stay
from tests.world.documents import make_document
from tests.world.sales import accept, print_next, slice_all


class Crash(Exception):
    """What a killed process looks like to the database: no commit."""


@pytest.fixture
def shop(committed: Engine) -> Shop:
    with Session(committed, expire_on_commit=False) as session, session.begin():
        return make_shop(session)


def at_once(committed: Engine, act: Callable[[Session], object], times: int = 2) -> list[str]:
    """The same act in so many threads; names of the errors."""

    def run(_: int) -> str:
        try:
            with Session(committed) as session, session.begin():
                act(session)
        except (DomainError, Crash) as error:
            return type(error).__name__
        return ""

    with ThreadPoolExecutor(times) as pool:
        return sorted(pool.map(run, range(times)))


def test_eight_issuers_with_crashes_leave_no_gap(committed: Engine, shop: Shop) -> None:
    rng = random.Random(7)

    def act(session: Session) -> None:
        for _ in range(3):
            invoices.issue(
                session,
                seller=session.get_one(Seller, shop.seller.id),
                draft=make_document(issued_on=TODAY),
                customer=invoices.Customer(organisation_id=shop.company.id),
                judge=accept_all,
                now=NOW,
                today=TODAY,
            )
        if rng.random() < 0.25:
            raise Crash

    for _ in range(2):
        at_once(committed, act, times=8)
    with Session(committed) as session:
        numbers = list(session.scalars(select(Invoice.no).order_by(Invoice.no)))
        postings = list(session.scalars(select(Posting.no).order_by(Posting.no)))
        uneven = select(Entry.posting_id).group_by(Entry.posting_id)
        uneven = uneven.having(func.sum(Entry.debit_cents - Entry.credit_cents) != 0)

        assert numbers == list(range(1, len(numbers) + 1))
        assert postings == list(range(1, len(numbers) + 1))
        assert invoices.list_chain_breaks(session, seller_id=shop.seller.id) == []
        assert session.scalars(uneven).all() == []


def test_a_quote_is_accepted_once_by_two_at_once(committed: Engine, shop: Shop) -> None:
    with Session(committed, expire_on_commit=False) as session, session.begin():
        shop.world.site = session.merge(shop.world.site)
        shop.world.alice, shop.company = session.merge(shop.world.alice), session.merge(shop.company)
        quote_id = ask(session, shop).id

    def act(session: Session) -> None:
        alice = session.get_one(User, shop.world.alice.id)
        orders.accept(session, quote=session.get_one(Quote, quote_id), actor=alice, now=NOW)

    assert at_once(committed, act) == ["", "AcceptedAlready"]
    with Session(committed) as session:
        assert session.scalar(select(func.count()).select_from(Order)) == 1


def test_a_part_is_checked_once_by_two_clerks(committed: Engine, shop: Shop) -> None:
    with Session(committed, expire_on_commit=False) as session, session.begin():
        for name in ("site", "alice", "bob", "printer"):
            setattr(shop.world, name, session.merge(getattr(shop.world, name)))
        shop.company = session.merge(shop.company)
        order_id = (order := accept(session, shop, ask(session, shop, models=2))).id
        slice_all(session, order)
        print_next(session, shop)

    def check(session: Session, order: Order) -> None:
        bob = session.get_one(User, shop.world.bob.id)
        orders.check_part(session, order=order, part=order.parts[0], good=2, actor=bob, now=NOW)

    with Session(committed) as late, Session(committed) as early, early.begin():
        order = late.get_one(Order, order_id)
        assert [each.checked_at for each in order.parts[0].prints] == [None]
        check(early, early.get_one(Order, order_id))
        early.commit()
        with pytest.raises(NotPrinted):
            check(late, order)


@pytest.fixture
def invoice_id(committed: Engine, shop: Shop) -> int:
    with Session(committed) as session, session.begin():
        return issue(session, shop).id


def test_the_last_cent_is_taken_once_by_two_clerks(committed: Engine, shop: Shop, invoice_id: int) -> None:
    def act(session: Session) -> None:
        invoice = session.get_one(Invoice, invoice_id)
        payments.pay(
            session,
            invoice=invoice,
            means=payments.PaymentMeans.CASH,
            cents=invoice.total_cents,
            received_on=TODAY,
            key=f"desk:{random.random()}",
            now=NOW,
        )

    assert at_once(committed, act) == ["", "NothingOpen"]
    with Session(committed) as session:
        assert ledger.balance_cents(session, seller_id=shop.seller.id, account=Account.CUSTOMER) == 0


def test_an_invoice_is_credited_whole_once_by_two_clerks(committed: Engine, invoice_id: int) -> None:
    def act(session: Session) -> None:
        invoice = session.get_one(Invoice, invoice_id)
        invoices.credit(session, invoice=invoice, reason="x", judge=accept_all, now=NOW, today=TODAY)

    assert at_once(committed, act) == ["", faults.CreditAboveRemaining.__name__]


def test_one_cause_posts_once_also_at_once(committed: Engine, shop: Shop, invoice_id: int) -> None:
    def act(session: Session) -> None:
        payments.pay(
            session,
            invoice=session.get_one(Invoice, invoice_id),
            means=payments.PaymentMeans.CASH,
            cents=1,
            received_on=TODAY,
            key="same",
            now=NOW,
        )

    assert at_once(committed, act) == ["", "PostedAlready"]
    with Session(committed) as session:
        postings = list(session.scalars(select(Posting.no).order_by(Posting.no)))
        assert postings == list(range(1, len(postings) + 1))


def test_a_booking_is_billed_once_by_four_clerks(committed: Engine, shop: Shop) -> None:
    with Session(committed) as session, session.begin():
        stay(session, shop)
        seller = session.get_one(Seller, shop.seller.id)
        (tab,) = tabs.list_tabs(session, seller=seller, now=START + timedelta(days=1))

    def act(session: Session) -> None:
        tabs.bill(
            session,
            seller=session.get_one(Seller, shop.seller.id),
            tab=tab,
            judge=accept_all,
            now=START + timedelta(days=1),
        )

    assert at_once(committed, act, times=4) == ["", "BilledAlready", "BilledAlready", "BilledAlready"]
    with Session(committed) as session:
        assert session.scalars(select(Invoice.number)).all() == ["F2026-00001"]


def test_prepaid_credit_is_used_once_by_two_invoices(committed: Engine, shop: Shop) -> None:
    """Each invoice is locked by its own clerk: what they share is the credit."""
    with Session(committed) as session, session.begin():
        alice, seller = session.get_one(User, shop.world.alice.id), session.get_one(Seller, shop.seller.id)
        customer = invoices.Customer(user_id=alice.id)
        left = iter([issue(session, shop, customer=customer).id for _ in range(2)])
        total = session.get_one(Invoice, next(iter(session.scalars(select(Invoice.id))))).total_cents
        means = payments.PaymentMeans.CASH
        payments.top_up(
            session, seller=seller, user=alice, means=means, cents=total, received_on=TODAY, key="t", now=NOW
        )

    def act(session: Session) -> None:
        invoice = session.get_one(Invoice, next(left))
        cents, key = invoice.total_cents, f"credit:{invoice.id}"
        means = payments.PaymentMeans.CREDIT
        payments.pay(session, invoice=invoice, means=means, cents=cents, received_on=TODAY, key=key, now=NOW)

    assert at_once(committed, act) == ["", "CreditTooSmall"]


def test_two_buyers_who_remove_each_other_leave_one(committed: Engine, shop: Shop) -> None:
    with Session(committed) as session, session.begin():
        carol = make_user(session, "Carol").id
        session.add(Membership(organisation_id=shop.company.id, user_id=carol, buying=BuyingRight.BUYER, since=NOW))
    pairs = iter([(shop.world.alice.id, carol), (carol, shop.world.alice.id)])
    both_are_in = Barrier(2)

    def act(session: Session) -> None:
        actor_id, user_id = next(pairs)
        company, actor = session.get_one(Organisation, shop.company.id), session.get_one(User, actor_id)
        both_are_in.wait()
        organisations.remove_member(session, organisation=company, actor=actor, user_id=user_id, now=NOW)

    assert at_once(committed, act).count("") == 1
    with Session(committed) as session:
        company = session.get_one(Organisation, shop.company.id)
        assert len(organisations.list_members(session, organisation=company)) == 1


def save_details(session: Session, shop: Shop, **changes: Any) -> None:
    """By alice, who read them just before."""
    company, alice = session.get_one(Organisation, shop.company.id), session.get_one(User, shop.world.alice.id)
    details = organisations.find_details(session, organisation=company) or make_details()
    organisations.change_details(
        session, organisation=company, actor=alice, details=replace(details, **changes), now=NOW
    )


def test_terms_granted_while_a_buyer_saves_stay_granted(committed: Engine, shop: Shop) -> None:
    with Session(committed) as session, session.begin():
        save_details(session, shop, terms_days=45)
    with Session(committed) as late, Session(committed) as early:
        company = late.get_one(Organisation, shop.company.id)
        read = organisations.find_details(late, organisation=company), organisations.list_terms_requests(late)
        bob = early.get_one(User, shop.world.bob.id)
        own = early.get_one(Organisation, shop.company.id)
        organisations.grant_terms(early, organisation=own, terms_days=45, monthly=True, actor=bob, now=NOW)
        early.commit()
        save_details(late, shop, phone="0466000000", terms_days=45, monthly=True)
        late.commit()
    assert len(read[1]) == 1
    with Session(committed) as session:
        company = session.get_one(Organisation, shop.company.id)
        details = organisations.find_details(session, organisation=company)
        assert details is not None
        assert (details.terms_days, details.monthly, details.phone) == (45, True, "0466000000")
        assert organisations.list_terms_requests(session) == []


def test_two_buyers_may_enter_the_first_details_at_once(committed: Engine, shop: Shop) -> None:
    with Session(committed) as session, session.begin():
        session.delete(session.get_one(BillingProfile, shop.company.id))
    assert at_once(committed, lambda session: save_details(session, shop, terms_days=45), times=4) == [""] * 4
    with Session(committed) as session:
        assert len(organisations.list_terms_requests(session)) == 1


def sell(committed: Engine, shop: Shop, *, on: date = TODAY, judge: Judge = accept_all) -> Invoice:
    """On a connection of its own, committed."""
    with Session(committed, expire_on_commit=False) as session, session.begin():
        return sell_in(session, shop, on=on, judge=judge)


def sell_in(session: Session, shop: Shop, *, on: date, judge: Judge = accept_all) -> Invoice:
    return invoices.issue(
        session,
        seller=session.get_one(Seller, shop.seller.id),
        draft=make_document(issued_on=on),
        customer=invoices.Customer(organisation_id=shop.company.id),
        judge=judge,
        now=NOW,
        today=max(TODAY, on),
    )


def test_the_first_of_a_year_waits_for_the_last_of_the_year_before(committed: Engine, shop: Shop) -> None:
    """Their counters are two rows, but the chain of hashes is one."""
    with Session(committed) as old, old.begin():
        sell_in(old, shop, on=date(2026, 12, 31))
        with Session(committed) as new, new.begin():
            new.execute(text("SET LOCAL lock_timeout = '300ms'"))
            with pytest.raises(DBAPIError, match="lock timeout"):
                sell_in(new, shop, on=date(2027, 1, 1))
            new.rollback()


def test_xml_of_a_number_that_a_rival_took_is_judged_again(committed: Engine, shop: Shop) -> None:
    """The rival issues while ours is with the judges."""
    rivals: list[Invoice] = []

    def judge(document: Document) -> bytes:
        rivals.append(sell(committed, shop))
        return document.number.encode()

    ours = sell(committed, shop, judge=judge)

    assert (rivals[0].number, ours.number) == ("F2026-00001", "F2026-00002")
    assert rivals[0].judged_sha256 == hashlib.sha256(b"F2026-00001").hexdigest()
    assert ours.judged_sha256 is None


def test_a_later_date_issued_meanwhile_is_noticed(committed: Engine, shop: Shop) -> None:
    def judge(document: Document) -> bytes:
        sell(committed, shop)
        return b""

    with pytest.raises(invoices.DateBeforeLast):
        sell(committed, shop, on=TODAY - timedelta(days=1), judge=judge)
    assert sell(committed, shop).number == "F2026-00002"


def test_a_period_closed_meanwhile_is_noticed(committed: Engine, shop: Shop) -> None:
    yesterday = TODAY - timedelta(days=1)

    def judge(document: Document) -> bytes:
        with Session(committed) as session, session.begin():
            seller, actor = session.get_one(Seller, shop.seller.id), session.get_one(User, shop.world.bob.id)
            invoices.close_period(session, seller=seller, until=yesterday, actor=actor, now=NOW, today=TODAY)
        return b""

    with pytest.raises(invoices.PeriodClosed):
        sell(committed, shop, on=yesterday, judge=judge)
    assert sell(committed, shop).number == "F2026-00001"
