"""Sums, credit notes and deposits, to the cent."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import ROUND_HALF_UP, Decimal

import pytest

from api.domain.billing.facturx import (
    Allowance,
    Document,
    DocumentAllowance,
    DocumentKind,
    VatCategory,
    credit_note,
    deduct_deposits,
    deposit_invoice,
    faults,
    totals,
)
from api.domain.pricing.prices import vat_cents
from tests.world.documents import (
    ISSUED_ON,
    make_consumer,
    make_document,
    make_line,
    make_random_document,
)


def test_vat_is_counted_per_rate_on_the_summed_base_not_per_line() -> None:
    line = make_line(quantity=Decimal(1), unit_price=Decimal("0.12"))
    sums = totals(make_document(lines=(line,) * 3))
    assert sums.vat_cents == 7  # 0.36 x 20 % = 0.072; three times 0.024 would have made 6
    assert [group.base_cents for group in sums.vat] == [36]


def test_a_document_reduction_lowers_the_base_of_its_rate_only() -> None:
    lines = (make_line(unit_price=Decimal(10)), make_line(unit_price=Decimal(10), rate=Decimal("5.5")))
    off = DocumentAllowance(amount_cents=1000, reason="Fidélité", rate=Decimal("5.5"))
    sums = totals(make_document(lines=lines, allowances=(off,)))
    assert [(v.rate, v.base_cents, v.vat_cents) for v in sums.vat] == [
        (Decimal(20), 10000, 2000),
        (Decimal("5.5"), 9000, 495),
    ]
    assert sums.total_cents == 21495


@pytest.mark.parametrize("seed", range(60))
def test_every_sum_can_be_recounted_by_hand(seed: int) -> None:
    document = make_random_document(seed)
    cent = Decimal("0.01")
    bases: dict[Decimal, Decimal] = {}
    for line in document.lines:
        net = (line.quantity * line.unit_price).quantize(cent, rounding=ROUND_HALF_UP)
        net -= Decimal(line.allowance.amount_cents if line.allowance else 0) / 100
        bases[line.rate] = bases.get(line.rate, Decimal(0)) + net
    for off in document.allowances:
        bases[off.rate] -= Decimal(off.amount_cents) / 100
    vat = sum((b * r / 100).quantize(cent, rounding=ROUND_HALF_UP) for r, b in bases.items())
    assert Decimal(totals(document).total_cents) / 100 == sum(bases.values()) + vat


def test_a_whole_credit_note_is_the_invoice_with_positive_amounts_and_names_it() -> None:
    original = make_document()
    note = credit_note(original, number="A2026-0001", issued_on=ISSUED_ON, reason="Erreur")
    assert note.kind is DocumentKind.CREDIT_NOTE
    assert totals(note).total_cents == totals(original).total_cents > 0
    assert note.originals[0].number == original.number
    assert original == make_document()


def test_credit_by_line_takes_its_share_of_the_reductions() -> None:
    line = make_line(unit_price=Decimal(10), allowance=Allowance(amount_cents=1000, reason="Remise"))
    off = DocumentAllowance(amount_cents=900, reason="Fidélité")
    original = make_document(lines=(line, make_line()), allowances=(off,))
    note = credit_note(original, number="A1", issued_on=ISSUED_ON, reason="x", quantities={0: Decimal(5)})
    assert totals(note).lines_cents == 5000 - 500
    assert 0 < totals(note).allowances_cents < 900


@pytest.mark.parametrize("index", [-1, 4])
def test_a_line_that_is_not_there_cannot_be_credited(index: int) -> None:
    """From the end counted, -1 would be the last one."""
    with pytest.raises(faults.NoSuchLine):
        credit_note(make_document(), number="A1", issued_on=ISSUED_ON, reason="x", quantities={index: Decimal(1)})


def test_credit_above_what_remains_is_refused() -> None:
    original = make_document()
    first = credit_note(original, number="A1", issued_on=ISSUED_ON, reason="x", quantities={0: Decimal(6)})
    with pytest.raises(faults.CreditAboveRemaining):
        credit_note(original, number="A2", issued_on=ISSUED_ON, reason="x", earlier=[first])
    with pytest.raises(faults.CreditAboveRemaining):
        credit_note(original, number="A3", issued_on=ISSUED_ON, reason="x", quantities={0: Decimal(11)})


@pytest.mark.parametrize("price", [Decimal(n) / 1000 for n in range(101, 160, 3)])
def test_credits_in_parts_never_exceed_the_invoice(price: Decimal) -> None:
    original = make_document(lines=(make_line(quantity=Decimal(3), unit_price=price),))
    notes: list[Document] = []
    for each in range(3):
        part = credit_note(
            original,
            number=f"A{each}",
            issued_on=ISSUED_ON,
            reason="x",
            quantities={0: Decimal(1)},
            earlier=notes,
        )
        notes.append(part)
    credited = sum(totals(note).total_cents for note in notes)
    assert totals(original).total_cents - 3 <= credited <= totals(original).total_cents


@pytest.mark.parametrize("seed", range(40))
def test_vat_over_deposit_and_final_is_the_vat_of_the_whole_sale(seed: int) -> None:
    sale = make_random_document(seed)
    if sale.kind is not DocumentKind.INVOICE or totals(sale).net_cents < 5000:
        sale = make_document()
    deposit = deposit_invoice(sale, number="F2026-0900", issued_on=ISSUED_ON, due_on=ISSUED_ON, percent=Decimal(30))
    final = deduct_deposits(sale, [deposit])
    assert totals(deposit).vat_cents + totals(final).vat_cents == totals(sale).vat_cents
    assert totals(final).due_cents == totals(sale).total_cents - totals(deposit).total_cents
    assert (deposit.frame[1], final.frame[1]) == ("1", "4")


def test_a_deposit_without_whole_cents_of_vat_is_refused() -> None:
    sale = make_document(lines=(make_line(quantity=Decimal(1), unit_price=Decimal("0.1")),))
    with pytest.raises(faults.DepositTooSmall):
        deposit_invoice(sale, number="D1", issued_on=ISSUED_ON, due_on=ISSUED_ON, percent=Decimal(30))


def test_the_deposit_of_another_buyer_cannot_be_deducted() -> None:
    sale = make_document()
    deposit = deposit_invoice(sale, number="D1", issued_on=ISSUED_ON, due_on=ISSUED_ON, percent=Decimal(30))
    with pytest.raises(faults.DepositOfAnother):
        deduct_deposits(replace(sale, buyer=make_consumer()), [deposit])


def test_vat_of_an_exempt_line_is_zero() -> None:
    assert vat_cents(12345, Decimal(0)) == 0
    line = make_line(category=VatCategory.EXEMPT, rate=Decimal(0))
    assert totals(make_document(lines=(line,))).vat_cents == 0


def test_dates_of_a_deposit_are_its_own() -> None:
    deposit = deposit_invoice(
        make_document(),
        number="D1",
        issued_on=date(2026, 11, 1),
        due_on=date(2026, 11, 8),
        percent=Decimal(50),
    )
    assert (deposit.supplied_on, deposit.due_on) == (date(2026, 11, 1), date(2026, 11, 8))
