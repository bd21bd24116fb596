"""`/staff/invoices`: found by state, number and customer, on as many pages as there are."""

import re
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from api.domain.billing.invoices import Invoice
from tests.pages.billing.test_invoices import credit, settle
from tests.world.billing import TODAY, Shop, issue
from tests.world.browsers import Browser
from tests.world.documents import make_document

pytestmark = pytest.mark.usefixtures("data_dir")


def numbers(browser: Browser, query: str = "") -> list[str]:
    return re.findall(r"<b>(F2026-\d+|A[\w-]+)</b>", browser.get(f"/staff/invoices?{query}").text)


def make_each(session: Session, shop: Shop) -> dict[str, Invoice]:
    """One of each state."""
    draft = make_document(issued_on=TODAY, due_on=TODAY - timedelta(days=1), seller=shop.seller.party)
    late = issue(session, shop, draft=draft)
    paid, unpaid, whole = (issue(session, shop) for _ in range(3))
    settle(session, paid, paid.total_cents)
    return {"paid": paid, "late": late, "unpaid": unpaid, "credited": whole, "note": credit(session, whole)}


def test_each_state_is_a_choice(session: Session, shop: Shop, bob: Browser) -> None:
    bills = make_each(session, shop)

    assert set(numbers(bob)) == {bill.number for bill in bills.values()}
    assert numbers(bob, "state=late") == [bills["late"].number]
    assert set(numbers(bob, "state=unpaid")) == {bills["late"].number, bills["unpaid"].number}
    assert set(numbers(bob, "state=paid")) == {bills["paid"].number, bills["credited"].number}
    assert numbers(bob, "state=credit_note") == [bills["note"].number]


def test_one_searches_by_number_and_by_customer(session: Session, shop: Shop, bob: Browser) -> None:
    first, second = issue(session, shop), issue(session, shop)

    assert numbers(bob, f"q={first.number[-5:]}") == [first.number]
    assert numbers(bob, f"q={shop.company.name[:6].lower()}") == [second.number, first.number]
    assert numbers(bob, "q=50%25") == []
    assert "No invoice matches." in bob.get("/staff/invoices?q=nobody").text


def test_the_pages_keep_the_choice(session: Session, shop: Shop, bob: Browser) -> None:
    bills = [issue(session, shop) for _ in range(3)]
    page = bob.get("/staff/invoices?state=unpaid&limit=2").text
    older = re.findall(r'href="([^"]+)" rel="next"', page)[0].replace("&amp;", "&")

    assert "state=unpaid" in older
    assert numbers(bob, older.partition("?")[2]) == [bills[0].number]
    assert bob.get("/staff/invoices?cursor=x").status_code == 422


def test_a_member_does_not_see_them(alice: Browser, shop: Shop) -> None:
    assert alice.get("/staff/invoices").status_code == 403


def test_each_page_of_the_money_marks_its_tab_and_that_of_billing(bob: Browser, shop: Shop) -> None:
    paths = re.findall(r'href="(/staff/[a-z]+)"', bob.get("/staff/money").text.partition('class="tabs sub"')[2])[:10]
    assert "/staff/till" in paths
    for path in paths:
        marked = re.findall(r'href="([^"]+)" aria-current="page"', bob.get(path).text)
        assert {path, "/staff/money"} <= set(marked), path
