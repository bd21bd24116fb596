"""Our own checks: each thing that no schematron notices has its name."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest

from api.domain.billing.facturx import (
    Address,
    Allowance,
    DeliverTo,
    Document,
    DocumentAllowance,
    DocumentKind,
    Nature,
    PaymentMeansCode,
    QuoteDocument,
    VatCategory,
    check_document,
    credit_note,
    document_faults,
    faults,
    totals,
)
from api.domain.core.errors import Invalid
from api.domain.pricing.legal import Regime
from tests.world.documents import (
    ISSUED_ON,
    as_franchise,
    as_paid,
    make_bank,
    make_buyer,
    make_consumer,
    make_document,
    make_line,
    make_public_buyer,
    make_random_document,
    make_reference,
    make_seller,
    make_siren,
    make_siret,
    make_vat_number,
)


def list_faults(sale: Document | QuoteDocument) -> list[Invalid]:
    return list(document_faults(sale))


def off_by_one(key: str) -> str:
    return key[:-1] + str((int(key[-1]) + 1) % 10)


def wrong_key(vat_number: str) -> str:
    return f"FR{(int(vat_number[2:4]) + 1) % 100:02d}{vat_number[4:]}"


def make_address(*lines: str, postcode: str = "1", country: str = "FR") -> Address:
    return Address(lines=lines, postcode=postcode, city="X", country=country)


SIREN = make_siren(2)
TOTAL = totals(make_document()).total_cents
LATER = ISSUED_ON + timedelta(days=5)

WRONG: list[tuple[type[Invalid], dict[str, Any]]] = [
    (faults.BadNumber, {"number": "F 2026"}),
    (faults.BadNumber, {"number": "F" * 36}),
    (faults.WrongSiren, {"buyer": make_buyer(siren=off_by_one(SIREN))}),
    (faults.WrongSiren, {"buyer": make_buyer(siren="12345")}),
    (faults.WrongSiret, {"buyer": make_buyer(siret=off_by_one(make_siret(SIREN)))}),
    (faults.SiretOfAnother, {"buyer": make_buyer(siret=make_siret(make_siren(99)))}),
    (faults.WrongVatNumber, {"buyer": make_buyer(vat_number=wrong_key(make_vat_number(SIREN)))}),
    (faults.WrongVatNumber, {"buyer": make_buyer(vat_number=make_vat_number(make_siren(99)))}),
    (faults.WrongIban, {"bank": replace(make_bank(), iban="FR7630006000011234567890188")}),
    (faults.WrongBic, {"bank": replace(make_bank(), bic="DEUTDEFF")}),
    (faults.MissingBank, {"bank": None}),
    (faults.MissingBank, {"bank": replace(make_bank(), name=" ")}),
    (faults.MissingIdentifier, {"seller": make_seller(siren=None, siret=None, vat_number=None)}),
    (faults.MissingIdentifier, {"seller": make_seller(vat_number=None)}),
    (faults.IncompleteAddress, {"buyer": make_buyer(address=make_address())}),
    (faults.UnreadableText, {"lines": (make_line(description="bip\x07"),)}),
    (faults.UnreadableText, {"lines": (make_line(description="abc\u202edef"),)}),
    (faults.UnreadableText, {"buyer": make_buyer(name=" ")}),
    (faults.UnreadableText, {"lines": (make_line(description="a" * 1001),)}),
    (faults.UnreadableText, {"lines": (make_line(details=" "),)}),
    (faults.UnreadableText, {"notes": ("a\tb",)}),
    (faults.UnreadableText, {"purchase_order": "BC\x0b7"}),
    (faults.UnreadableText, {"contract": "M\u2066"}),
    (faults.UnreadableText, {"buyer": make_public_buyer(service_code="S\x00")}),
    (faults.UnreadableText, {"seller": make_seller(legal_form="SAS\ud800")}),
    (faults.UnreadableText, {"bank": replace(make_bank(), name="B\x07")}),
    (faults.UnreadableText, {"deliver_to": DeliverTo(name="X\x07", address=make_buyer().address)}),
    (faults.UnreadableText, {"lines": (make_line(allowance=Allowance(amount_cents=1, reason="r\x07")),)}),
    (faults.NothingSold, {"lines": ()}),
    (faults.WrongQuantity, {"lines": (make_line(quantity=Decimal("Infinity")),)}),
    (faults.WrongAllowance, {"allowances": (DocumentAllowance(amount_cents=0, reason="Remise"),)}),
    (faults.WrongAllowance, {"allowances": (DocumentAllowance(amount_cents=5, reason=" "),)}),
    (faults.WrongAllowance, {"lines": (make_line(allowance=Allowance(amount_cents=0, reason="x")),)}),
    (faults.UnknownVatRate, {"allowances": (DocumentAllowance(amount_cents=5, reason="x", rate=Decimal(19)),)}),
    (faults.NegativeBase, {"allowances": (DocumentAllowance(amount_cents=5, reason="x", rate=Decimal(10)),)}),
    (faults.WrongPrice, {"lines": (make_line(unit_price=Decimal(0)),)}),
    (faults.IncompleteAddress, {"buyer": make_buyer(address=make_address("a", "b", "c", "d"))}),
    (faults.IncompleteAddress, {"buyer": make_buyer(address=make_address(" "))}),
    (faults.IncompleteAddress, {"buyer": make_buyer(address=make_address("a", postcode=" "))}),
    (faults.IncompleteAddress, {"seller": make_seller(address=make_address("a", country="FRA"))}),
    (faults.WrongSiret, {"buyer": make_buyer(siret="1759019660001")}),
    (faults.WrongVatNumber, {"buyer": make_buyer(vat_number="DE-1")}),
    (faults.WrongVatNumber, {"buyer": make_buyer(siren=None, siret=None, vat_number=make_vat_number(SIREN))}),
    (faults.WrongBic, {"bank": replace(make_bank(), bic="X")}),
    (faults.WrongPaidAmount, {"paid_cents": -1}),
    (faults.WrongPaidAmount, {"paid_cents": TOTAL, "paid_on": ISSUED_ON}),  # due later: BT-9 is the day of payment
    (faults.BadNumber, {"kind": DocumentKind.CREDIT_NOTE, "originals": (replace(make_reference(), number="F 1"),)}),
    (faults.ReferenceFromFuture, {"deposits": (replace(make_reference(), issued_on=LATER),)}),
    (faults.MissingReference, {"kind": DocumentKind.CORRECTED}),
    (faults.MissingIdentifier, {"buyer": make_public_buyer(siren=None, siret=None)}),
    (faults.WrongQuantity, {"lines": (make_line(quantity=Decimal(0)),)}),
    (faults.WrongQuantity, {"lines": (make_line(quantity=Decimal("1.00001")),)}),
    (faults.WrongPrice, {"lines": (make_line(unit_price=Decimal("-1")),)}),
    (faults.WrongPrice, {"lines": (make_line(unit_price=Decimal("1.0000001")),)}),
    (faults.UnknownUnit, {"lines": (make_line(unit="XYZ"),)}),
    (faults.WrongAllowance, {"lines": (make_line(allowance=Allowance(amount_cents=9_999_999, reason="x")),)}),
    (faults.WrongAllowance, {"lines": (make_line(allowance=Allowance(amount_cents=1, reason=" ")),)}),
    (faults.NetDiffers, {"lines": (make_line(agreed_net_cents=2090),)}),
    (faults.TotalDiffers, {"agreed_total_cents": TOTAL + 1}),
    (faults.NegativeTotal, {"lines": (make_line(quantity=Decimal(-1)),)}),
    (faults.UnknownVatRate, {"lines": (make_line(rate=Decimal(21)),)}),
    (faults.WrongVatCategory, {"lines": (make_line(category=VatCategory.EXEMPT, rate=Decimal(0)),)}),
    (faults.WrongVatCategory, {"regime": Regime.FRANCHISE}),
    (faults.DueBeforeIssue, {"due_on": ISSUED_ON - timedelta(days=1)}),
    (faults.TermTooLong, {"due_on": ISSUED_ON + timedelta(days=61)}),
    (faults.NoSupplyDate, {"supplied_on": None}),
    (faults.NoSupplyDate, {"supplied_on": None, "supplied_from": ISSUED_ON}),
    (faults.PeriodBackwards, {"supplied_from": LATER, "supplied_until": ISSUED_ON}),
    (faults.WrongPaidAmount, {"paid_cents": TOTAL + 1}),
    (faults.WrongPaidAmount, {"paid_cents": TOTAL}),
    (faults.WrongPaidAmount, {"paid_cents": 5, "paid_on": ISSUED_ON, "due_on": ISSUED_ON}),
    (faults.MissingReference, {"kind": DocumentKind.CREDIT_NOTE}),
    (faults.UnexpectedReference, {"originals": (make_reference(),)}),
    (
        faults.ReferenceFromFuture,
        {"kind": DocumentKind.CREDIT_NOTE, "originals": (replace(make_reference(), issued_on=LATER),)},
    ),
    (faults.MissingServiceCode, {"buyer": make_public_buyer(service_code=None)}),
    (faults.MissingEngagement, {"buyer": make_public_buyer(), "purchase_order": None}),
    (faults.MissingIdentifier, {"buyer": make_public_buyer(siret=None)}),
    (faults.TermTooLong, {"buyer": make_public_buyer(), "due_on": ISSUED_ON + timedelta(days=31)}),
]


@pytest.mark.parametrize(("fault", "over"), WRONG, ids=[f"{n}-{f.__name__}" for n, (f, _) in enumerate(WRONG)])
def test_what_is_wrong_is_refused_by_its_name(fault: type[Invalid], over: dict[str, Any]) -> None:
    document = make_document(**over)
    with pytest.raises(Invalid):
        check_document(document)
    if all(line.quantity.is_finite() for line in document.lines):  # else there is no sum to look at
        found = list_faults(document)
        assert fault in {type(each) for each in found}
        assert all(str(each) for each in found)  # each message has all its parameters


def test_vat_under_franchise_is_refused() -> None:
    document = as_franchise(make_document())
    taxed = replace(document, lines=(replace(document.lines[0], rate=Decimal(20)),))
    assert faults.VatUnderExemption in {type(each) for each in list_faults(taxed)}
    assert faults.DebitsWithoutVat in {type(each) for each in list_faults(replace(document, vat_on_debits=True))}


@pytest.mark.parametrize(
    "document",
    [
        make_document(),
        as_franchise(make_document()),
        make_document(buyer=make_public_buyer()),
        make_document(buyer=make_consumer()),
        as_paid(make_document(), TOTAL),
        make_document(supplied_on=None, supplied_from=date(2026, 10, 1), supplied_until=date(2026, 10, 31)),
        make_document(agreed_total_cents=TOTAL),
        make_document(bank=None, means=PaymentMeansCode.CARD),
        replace(credit_note(make_document(), number="A1", issued_on=ISSUED_ON, reason="Rebut"), bank=None),
        make_document(kind=DocumentKind.DEPOSIT, due_on=ISSUED_ON - timedelta(days=1)),
        make_document(due_on=ISSUED_ON),
        make_document(due_on=ISSUED_ON + timedelta(days=60)),
        make_document(buyer=make_buyer(vat_number="DE123456789")),
        make_document(lines=(make_line(agreed_net_cents=2089, unit_price=Decimal("2.088888")),)),
    ],
    ids=[
        *("ordinary", "franchise", "public", "consumer", "paid", "period", "agreed", "card", "credit note", "deposit"),
        *("at once", "longest term", "foreign buyer", "finest price"),
    ],
)
def test_a_right_document_has_no_fault(document: Document) -> None:
    assert list_faults(document) == []
    check_document(document)


def test_a_quote_is_checked_like_a_document_but_for_its_payment() -> None:
    sale = make_document()
    facts: dict[str, Any] = {
        "number": "D2026-0001",
        "issued_on": ISSUED_ON,
        "valid_until": LATER,
        "seller": sale.seller,
    }
    quote = QuoteDocument(**facts, buyer=sale.buyer, lines=sale.lines)
    assert list_faults(quote) == []
    assert [type(each) for each in list_faults(replace(quote, lines=()))] == [faults.NothingSold]
    assert [type(each) for each in list_faults(replace(quote, regime=Regime.FRANCHISE))] == [
        faults.WrongVatCategory
    ] * 4


@pytest.mark.parametrize("seed", range(0, 200, 4))
def test_random_documents_have_no_fault(seed: int) -> None:
    assert list_faults(make_random_document(seed)) == []


def test_la_poste_siret_is_an_exception_to_luhn() -> None:
    """Its establishments are checked by the sum of their digits; python-stdnum knows it."""
    post = make_buyer(siren="356000000", siret="35600000049837", vat_number=None)
    assert list_faults(make_document(buyer=post)) == []


@pytest.mark.parametrize(
    ("natures", "frame"),
    [([Nature.GOODS], "B1"), ([Nature.SERVICES], "S1"), ([Nature.GOODS, Nature.SERVICES], "M1")],
)
def test_the_frame_follows_what_is_sold(natures: list[Nature], frame: str) -> None:
    assert make_document(lines=tuple(make_line(nature=n) for n in natures)).frame == frame
