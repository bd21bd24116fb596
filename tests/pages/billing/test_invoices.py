"""How an invoice stands, on its page and in the lists of those who pay it."""

import re

import pytest
from sqlalchemy.orm import Session

from api.domain.billing import invoices, payments
from api.domain.billing.invoices import Invoice
from api.domain.billing.payments import Movement, PaymentMeans
from api.domain.people.accounts import Locale
from tests.world import NOW
from tests.world.billing import TODAY, Shop, accept_all, issue
from tests.world.browsers import Browser, message_of
from tests.world.queries import count_statements

pytestmark = pytest.mark.usefixtures("data_dir")


def settle(session: Session, bill: Invoice, cents: int) -> None:
    facts = {"means": PaymentMeans.TRANSFER, "received_on": TODAY, "key": f"test:{bill.id}"}
    payments.pay(session, invoice=bill, cents=cents, now=NOW, **facts)  # type: ignore[arg-type]


def credit(session: Session, bill: Invoice, **part: object) -> Invoice:
    facts = {"reason": "Rayée", "judge": accept_all, "now": NOW, "today": TODAY, **part}
    return invoices.credit(session, invoice=bill, **facts)  # type: ignore[arg-type]


def badges(browser: Browser, shop: Shop, bill: Invoice) -> set[str]:
    """What the page of the invoice and the list of the organisation say of it."""
    of_page = browser.get(f"/invoices/{bill.id}").text
    of_list = browser.get(f"/org/{shop.company.slug}").text.partition('id="invoices"')[2]
    row = of_list.partition(f"/invoices/{bill.id}")[2].partition("</li>")[0]
    names = ("Paid", "Credited", "to pay", "credit notes:")
    return {name for name in names for text in (of_page, row) if name in text}


@pytest.mark.parametrize("part_is_credited", [False, True])
def test_a_paid_invoice_is_paid_also_when_a_part_of_it_is_credited(
    session: Session, shop: Shop, alice: Browser, part_is_credited: bool
) -> None:
    bill = issue(session, shop)
    note = credit(session, bill, quantities={0: bill.document.lines[0].quantity}) if part_is_credited else None
    settle(session, bill, bill.total_cents - (note.total_cents if note else 0))

    assert badges(alice, shop, bill) == {"Paid"} | ({"credit notes:"} if part_is_credited else set())


def test_an_invoice_that_is_credited_as_a_whole_is_no_sale_any_more(
    session: Session, shop: Shop, alice: Browser
) -> None:
    bill = issue(session, shop)
    assert badges(alice, shop, bill) == {"to pay"}
    note = credit(session, bill)

    assert badges(alice, shop, bill) == {"Credited"}
    assert "Credit note" in alice.get(f"/invoices/{note.id}").text


def test_who_buys_for_an_organisation_finds_its_invoices_from_their_own(
    session: Session, shop: Shop, alice: Browser, bob: Browser
) -> None:
    issue(session, shop)
    settle(session, issue(session, shop), 1)
    page = alice.get("/invoices").text

    assert f'href="/org/{shop.company.slug}#invoices"' in page
    assert "2 invoices" in page
    assert "2 to pay" in page
    assert "No invoices yet" not in page
    assert shop.company.name not in bob.get("/invoices").text


def test_a_long_list_asks_the_database_as_often_as_a_short_one(session: Session, shop: Shop, alice: Browser) -> None:
    issue(session, shop)
    with count_statements(session) as short:
        alice.get(f"/org/{shop.company.slug}")
    for _ in range(8):
        settle(session, issue(session, shop), 1)
    with count_statements(session) as long:
        alice.get(f"/org/{shop.company.slug}")

    assert long.count == short.count


def test_a_bank_line_that_fits_no_invoice_is_shown_and_matched_by_hand(
    session: Session, shop: Shop, bob: Browser
) -> None:
    bill, other = issue(session, shop), issue(session, shop)
    movement = Movement(booked_on=TODAY, cents=1200, text="VIR DUPONT")
    [line] = payments.import_lines(session, seller=shop.seller, lines=[movement], actor=None, now=NOW)
    assert "VIR DUPONT" in bob.get("/staff/money").text

    url = f"/staff/money/{shop.seller.id}/lines/{line.id}/confirm"
    wrong = bob.post(url, {"number": "F2026-99999"})
    assert wrong.status_code == 422
    assert "No invoice has this number." in wrong.text
    answer = bob.post(url, {"number": bill.number.lower()})
    assert answer.status_code == 303
    assert message_of(answer) == f"Payment of {bill.number} saved."
    assert payments.open_cents(session, invoice=bill) == bill.total_cents - 1200
    assert payments.open_cents(session, invoice=other) == other.total_cents
    assert "VIR DUPONT" not in bob.get("/staff/money").text.partition("Unpaid invoices")[0]


def test_bank_lines_come_in_pages_of_one_seller(session: Session, shop: Shop, bob: Browser) -> None:
    bills = [issue(session, shop) for _ in range(2)]
    movements = [Movement(booked_on=TODAY, cents=bill.total_cents, text=bill.number) for bill in bills]
    movements += [Movement(booked_on=TODAY, cents=n, text=f"VIR {n}") for n in (1, 2)]
    payments.import_lines(session, seller=shop.seller, lines=movements, actor=None, now=NOW)
    first = bob.get("/staff/money?limit=3").text
    address = re.findall(r'href="([^"]+)" rel="next"', first)[0].replace("&amp;", "&")
    second = bob.get(address).text

    assert f"seller={shop.seller.id}" in address
    assert ("VIR 1" in first, "VIR 2" in first) == (True, False)
    assert ("VIR 1" in second, "VIR 2" in second) == (False, True)
    assert 'rel="prev"' in second
    assert bob.get("/staff/money?cursor=x").status_code == 422


@pytest.mark.parametrize("why", ["nothing read", "not csv"])
def test_why_a_statement_is_refused_is_said_in_french(session: Session, shop: Shop, bob: Browser, why: str) -> None:
    bob.user.locale = Locale.FR
    content = {"nothing read": b"", "not csv": b"a;b;c\n1;2;3\n"}[why]
    page = bob.post(f"/staff/money/{shop.seller.id}/statement", files={"statement": ("x.csv", content)}).text
    refusal = page.partition('role="alert"')[2].partition("</p>")[0]

    assert "relevé" in refusal
    assert not re.search(r"\b(the|line|header|column|movements?)\b", refusal)
