"""Issuing: judged before it is numbered, numbered without gaps, frozen for ever, posted in balance."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from api.adapters import invoicing
from api.adapters.facturx import ValidatorAbsent
from api.domain.billing import invoices, ledger
from api.domain.billing.facturx import Document, DocumentKind, PaymentMeansCode, deduct_deposits, faults, totals
from api.domain.billing.invoices import Customer, Invoice
from api.domain.billing.ledger import Account, Entry, Journal, Leg, Unbalanced
from api.domain.core.frozen import freeze, thaw
from tests.world import NOW
from tests.world.billing import TODAY, Shop, accept_all, issue
from tests.world.documents import (
    as_paid,
    make_consumer,
    make_document,
    make_line,
    make_public_buyer,
    make_random_document,
)


def test_numbers_count_from_one_each_year(session: Session, shop: Shop) -> None:
    first = issue(session, shop, today=date(2026, 12, 30))
    second = issue(session, shop, today=date(2026, 12, 31))
    third = issue(session, shop, today=date(2027, 1, 1))

    assert [each.number for each in (first, second, third)] == ["F2026-00001", "F2026-00002", "F2027-00001"]
    assert invoices.list_chain_breaks(session, seller_id=shop.seller.id) == []


def test_the_dry_run_has_the_length_of_the_real_number(session: Session, shop: Shop) -> None:
    seen: list[str] = []

    def judge(document: Document) -> bytes:
        seen.append(document.number)
        return b""

    invoice = issue(session, shop, judge=judge)

    assert [len(number) for number in seen] == [len(invoice.number)]


def test_a_refusal_costs_no_number(session: Session, shop: Shop) -> None:
    wrong = replace(make_document(), buyer=replace(make_document().buyer, siren="123456789", siret=None))
    with pytest.raises(faults.WrongSiren):
        issue(session, shop, draft=wrong, judge=invoicing.judge)

    assert issue(session, shop).number == "F2026-00001"


def test_an_absent_validator_refuses(session: Session, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(document: Document) -> bytes:
        raise ValidatorAbsent("saxonche is not installed")

    monkeypatch.setattr(invoicing, "write_xml", absent)
    with pytest.raises(invoicing.ValidatorsMissing):
        issue(session, shop, judge=invoicing.judge)

    assert session.scalar(select(func.count()).select_from(Invoice)) == 0


def test_a_date_before_the_last_is_refused(session: Session, shop: Shop) -> None:
    issue(session, shop)
    with pytest.raises(invoices.DateBeforeLast):
        issue(session, shop, issued_on=TODAY - timedelta(days=1))


def test_a_date_in_the_future_is_refused(session: Session, shop: Shop) -> None:
    with pytest.raises(invoices.DateInFuture):
        issue(session, shop, issued_on=TODAY + timedelta(days=1))


def test_nothing_is_issued_in_a_closed_period(session: Session, shop: Shop) -> None:
    issue(session, shop, today=date(2026, 10, 5))
    close(session, shop, date(2026, 10, 31))
    with pytest.raises(invoices.PeriodClosed):
        issue(session, shop, issued_on=date(2026, 10, 31), today=date(2026, 11, 2))


def close(session: Session, shop: Shop, until: date) -> None:
    invoices.close_period(session, seller=shop.seller, until=until, actor=shop.world.bob, now=NOW, today=TODAY)


def test_a_period_closes_once_and_after_its_end(session: Session, shop: Shop) -> None:
    close(session, shop, date(2026, 10, 31))
    for until in (date(2026, 10, 31), date(2026, 9, 30), TODAY):
        with pytest.raises(invoices.NothingToClose):
            close(session, shop, until)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE invoices SET total_cents = total_cents + 1",
        "UPDATE invoices SET snapshot = snapshot || ' '",
        "UPDATE invoices SET issued_on = issued_on - 1",
        "DELETE FROM invoices",
        "UPDATE entries SET debit_cents = 1 WHERE debit_cents > 0",
        "DELETE FROM entries",
        "UPDATE postings SET text = ''",
        "DELETE FROM postings",
    ],
)
def test_the_database_refuses_to_change_what_was_issued(session: Session, shop: Shop, change: str) -> None:
    issue(session, shop)
    with pytest.raises(DBAPIError, match=r"never|append-only"), session.begin_nested():
        session.execute(text(change))


def test_a_document_is_added_once(session: Session, shop: Shop) -> None:
    invoice = issue(session, shop)
    facts = {"pdf_key": "a", "pdf_sha256": "0" * 64, "pdf_bytes": 1, "xml_key": "b", "xml_sha256": "1" * 64}

    assert invoices.release(session, invoice=invoice, now=NOW, **facts)
    assert not invoices.release(session, invoice=invoice, now=NOW, **{**facts, "pdf_key": "c"})
    with pytest.raises(DBAPIError, match="never changes"), session.begin_nested():
        session.execute(text("UPDATE invoices SET pdf_sha256 = repeat('2', 64)"))


@pytest.mark.parametrize("column", ["no = no + 1", "issued_on = issued_on - 30", "previous_sha256 = repeat('a', 64)"])
def test_the_database_refuses_a_gap_an_older_date_and_a_broken_chain(session: Session, shop: Shop, column: str) -> None:
    """A row written by hand, past our Python: copied from the last one with one thing wrong."""
    first = issue(session, shop)
    name, value = column.split(" = ")
    values = {"no": "no + 1", "number": "'X1'", "previous_sha256": "sha256", "sha256": "repeat('b', 64)"}
    values |= {name: value if name != "no" else "no + 2"}
    plain = ["seller_id", "year", "kind", "issued_on", "due_on", "net_cents", "vat_cents", "total_cents", "due_cents"]
    plain += ["snapshot", "issued_at"]
    columns = {**{each: each for each in plain}, **values}
    copy = f"INSERT INTO invoices ({', '.join(columns)}) SELECT {', '.join(columns.values())} FROM invoices"

    with pytest.raises(DBAPIError, match=r"gap|dated|chain"), session.begin_nested():
        session.execute(text(f"{copy} WHERE id = :id"), {"id": first.id})


@pytest.mark.parametrize(
    "change",
    [
        "snapshot = replace(snapshot, 'capteur', 'Capteur')",
        "previous_sha256 = repeat('a', 64)",
        "sha256 = repeat('a', 64)",
        "no = no + 1",
        "year = year + 1",
    ],
)
def test_the_chain_finds_what_was_changed_past_the_guard(session: Session, shop: Shop, change: str) -> None:
    issue(session, shop)
    second = issue(session, shop)
    assert invoices.list_chain_breaks(session, seller_id=shop.seller.id) == []
    session.execute(text("ALTER TABLE invoices DISABLE TRIGGER guard_change"))
    session.execute(text(f"UPDATE invoices SET {change} WHERE id = :id"), {"id": second.id})
    session.expire_all()

    assert invoices.list_chain_breaks(session, seller_id=shop.seller.id) == [second.number]


@pytest.mark.parametrize("seed", range(1, 40, 3))
def test_a_snapshot_gives_back_the_document(seed: int) -> None:
    document = make_random_document(seed)

    assert thaw(freeze(document), Document) == document
    assert freeze(thaw(freeze(document), Document)) == freeze(document)


def test_the_ledger_holds_the_invoice(session: Session, shop: Shop) -> None:
    invoice = issue(session, shop)

    assert balance(session, shop, Account.CUSTOMER) == invoice.total_cents
    assert balance(session, shop, Account.VAT) == -invoice.vat_cents
    assert balance(session, shop, Account.GOODS) + balance(session, shop, Account.SERVICES) == -invoice.net_cents


def balance(session: Session, shop: Shop, account: Account) -> int:
    return ledger.balance_cents(session, seller_id=shop.seller.id, account=account)


def test_a_full_credit_brings_the_ledger_to_zero(session: Session, shop: Shop) -> None:
    invoice = issue(session, shop)
    before = invoice.snapshot
    note = credit(session, shop, invoice)

    assert note.kind is DocumentKind.CREDIT_NOTE
    assert note.document.originals[0].number == invoice.number
    assert [balance(session, shop, account) for account in Account] == [0] * len(Account)
    assert session.scalar(select(Invoice.snapshot).where(Invoice.id == invoice.id)) == before


def credit(session: Session, shop: Shop, invoice: Invoice, **quantities: dict[int, Decimal] | None) -> Invoice:
    return invoices.credit(
        session, invoice=invoice, reason="Pièces refusées", judge=accept_all, now=NOW, today=TODAY, **quantities
    )


def test_a_credit_by_line_leaves_the_rest(session: Session, shop: Shop) -> None:
    invoice = issue(session, shop)
    note = credit(session, shop, invoice, quantities={0: Decimal(3)})
    rest = credit(session, shop, invoice, quantities={0: Decimal(7), 1: Decimal("37.4")})

    assert 0 < note.total_cents < rest.total_cents < invoice.total_cents
    with pytest.raises(faults.CreditAboveRemaining):
        credit(session, shop, invoice)


def test_a_credit_note_is_not_credited(session: Session, shop: Shop) -> None:
    note = credit(session, shop, issue(session, shop))
    with pytest.raises(invoices.NotCreditable):
        credit(session, shop, note)


def test_a_deposit_and_its_final_invoice_bear_the_vat_of_the_sale(session: Session, shop: Shop) -> None:
    sale = make_document(seller=shop.seller.party)
    deposit = invoices.issue_deposit(
        session,
        seller=shop.seller,
        sale=sale,
        percent=Decimal(30),
        customer=Customer(organisation_id=shop.company.id),
        judge=accept_all,
        now=NOW,
        today=TODAY,
    )
    final = issue(session, shop, draft=deduct_deposits(sale, [deposit.document]))
    whole = totals(sale)

    assert deposit.vat_cents + final.vat_cents == whole.vat_cents
    assert final.due_cents == whole.total_cents - deposit.total_cents
    assert balance(session, shop, Account.CREDIT) == 0
    assert balance(session, shop, Account.CUSTOMER) == whole.total_cents


@pytest.mark.parametrize(
    ("means", "account"), [(PaymentMeansCode.CARD, Account.CARD), (PaymentMeansCode.CASH, Account.CASH)]
)
def test_a_sale_paid_at_the_desk_owes_nothing(
    session: Session, shop: Shop, means: PaymentMeansCode, account: Account
) -> None:
    draft = replace(make_document(seller=shop.seller.party), buyer=make_consumer(), purchase_order=None)
    total = totals(draft).total_cents
    paid = replace(as_paid(draft, total), means=means)
    invoice = issue(session, shop, draft=paid, customer=Customer(user_id=shop.world.alice.id))

    assert invoice.due_cents == 0
    assert invoice.document.frame == "M2"
    assert balance(session, shop, account) == total
    assert balance(session, shop, Account.CUSTOMER) == 0


def test_a_posting_must_balance(session: Session, shop: Shop) -> None:
    legs = [Leg(Account.BANK, 100), Leg(Account.CUSTOMER, -99)]
    with pytest.raises(Unbalanced):
        ledger.post(
            session,
            seller=shop.seller,
            journal=Journal.BANK,
            on=TODAY,
            piece="X",
            text="X",
            key="x",
            legs=legs,
            now=NOW,
        )


def test_the_database_refuses_a_posting_that_does_not_balance(session: Session, shop: Shop) -> None:
    issue(session, shop)
    session.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
    posting = session.scalars(select(Entry.posting_id)).first()
    with pytest.raises(DBAPIError, match="does not balance"), session.begin_nested():
        session.execute(
            text("INSERT INTO entries (posting_id, account, debit_cents, credit_cents) VALUES (:id, '512', 1, 0)"),
            {"id": posting},
        )


def test_the_fec_has_18_columns_and_the_vat_of_the_invoices(session: Session, shop: Shop) -> None:
    first = issue(session, shop)
    note = credit(session, shop, first, quantities={0: Decimal(2)})
    name, lines = ledger.export_fec(session, seller=shop.seller, start=date(2026, 1, 1), end=date(2027, 1, 1))
    fec = "".join(lines)
    rows = [row.split("\t") for row in fec.splitlines()]
    numbers = [row[2] for row in rows[1:]]

    assert name == f"{shop.seller.siren}FEC20261231.txt"
    assert {len(row) for row in rows} == {18}
    assert sorted(set(numbers)) == ["2026-000001", "2026-000002"]
    for number in set(numbers):
        assert sum(cents(row[11]) - cents(row[12]) for row in rows[1:] if row[2] == number) == 0
    vat = sum(cents(row[12]) - cents(row[11]) for row in rows[1:] if row[4] == "44571")
    assert vat == first.vat_cents - note.vat_cents


def cents(text: str) -> int:
    return int(text.replace(",", ""))


def test_e_reporting_has_the_vat_of_consumers_only(session: Session, shop: Shop) -> None:
    issue(session, shop)
    lines = (make_line(), make_line(unit_price=Decimal("3.33"), rate=Decimal("5.5")))
    draft = make_document(seller=shop.seller.party, buyer=make_consumer(), lines=lines, purchase_order=None)
    sold = issue(session, shop, draft=draft, customer=Customer(user_id=shop.world.alice.id))
    rows = invoices.list_consumer_totals(session, seller_id=shop.seller.id, start=TODAY, end=TODAY + timedelta(days=1))

    assert [(row.operation, row.rate) for row in rows] == [("TLB1", Decimal("5.5")), ("TLB1", Decimal(20))]
    assert sum(row.vat_cents for row in rows) == sold.vat_cents
    assert sum(row.base_cents for row in rows) == sold.net_cents


@pytest.mark.parametrize("missing", ["service_code", "purchase_order"])
def test_a_public_buyer_that_wants_its_codes_blocks_issue_without_them(
    session: Session, shop: Shop, missing: str
) -> None:
    draft = make_document(seller=shop.seller.party, buyer=make_public_buyer())
    if missing == "purchase_order":
        draft = replace(draft, purchase_order=None)
    else:
        draft = replace(draft, buyer=replace(draft.buyer, service_code=None))
    with pytest.raises(Exception, match=r"service|engagement"):
        issue(session, shop, draft=draft, judge=invoicing.judge)


def test_the_background_checks_the_chain_and_the_pages_show_what_came_of_it(session: Session, shop: Shop) -> None:
    first, second = issue(session, shop), issue(session, shop)
    assert invoices.find_chain_check(session, seller_id=shop.seller.id) is None
    invoices.check_chains(session, now=NOW)
    check = invoices.find_chain_check(session, seller_id=shop.seller.id)
    assert check is not None
    assert (check.breaks, check.checked_at) == ([], NOW)

    session.execute(text("ALTER TABLE invoices DISABLE TRIGGER USER"))
    session.execute(text("UPDATE invoices SET sha256 = :hash WHERE id = :id"), {"hash": "f" * 64, "id": first.id})
    session.expire_all()
    invoices.check_chains(session, now=NOW)
    session.refresh(check)
    assert check.breaks == [first.number, second.number]
