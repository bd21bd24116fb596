"""Credit notes: for a whole invoice, or for some quantities of some lines, and never for more than remains of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

from api.domain.billing.facturx.document import Allowance, Document, DocumentAllowance, DocumentKind, Line, Reference
from api.domain.billing.facturx.faults import CreditAboveRemaining, NoSuchLine
from api.domain.billing.facturx.totals import totals
from api.domain.pricing.prices import round_cents

ROUNDING = "Arrondi de l'avoir partiel"


def credit_note(
    original: Document,
    *,
    number: str,
    issued_on: date,
    reason: str,
    quantities: Mapping[int, Decimal] | None = None,
    earlier: Sequence[Document] = (),
) -> Document:
    """A document (381) that credits `quantities` of `original`: line index from 0 to how much of it; None: all of it.

    `earlier` are the credit notes so far. Reductions are credited in proportion. Amounts are positive. Raises
    NoSuchLine and CreditAboveRemaining.
    """
    document = replace(
        original,
        kind=DocumentKind.CREDIT_NOTE,
        number=number,
        issued_on=issued_on,
        due_on=issued_on,
        # BG-3: without number and date of the invoice BR-FR-CO-05 refuses a credit note.
        originals=(Reference(number=original.number, issued_on=original.issued_on),),
        deposits=(),
        lines=_lines(original, quantities),
        allowances=_allowances(original, quantities),
        notes=(reason,),
        paid_cents=0,
        paid_on=None,
        agreed_total_cents=None,
    )
    remaining = totals(original).total_cents - sum(totals(note).total_cents for note in earlier)
    return _limit_to(document, remaining, parts=len(earlier) + 1)


def _limit_to(document: Document, remaining_cents: int, *, parts: int) -> Document:
    # Each part was rounded by itself and may have come out a cent too large. The last part gives these cents up as a
    # reduction of its first line; whatever exceeds by more is a credit of more than was sold.
    excess = totals(document).total_cents - remaining_cents
    while 0 < excess <= parts and totals(document).total_cents > remaining_cents:
        document = replace(document, lines=(_one_cent_less(document.lines[0]), *document.lines[1:]))
    if totals(document).total_cents > remaining_cents:
        raise CreditAboveRemaining(
            wanted=f"{totals(document).total_cents / 100:.2f} €",
            remaining=f"{remaining_cents / 100:.2f} €",
            number=document.originals[0].number,
        )
    return document


def _one_cent_less(line: Line) -> Line:
    allowance = line.allowance or Allowance(amount_cents=0, reason=ROUNDING)
    return replace(line, allowance=replace(allowance, amount_cents=allowance.amount_cents + 1))


def _lines(original: Document, quantities: Mapping[int, Decimal] | None) -> tuple[Line, ...]:
    if quantities is None:
        return original.lines
    # Python would take -1 for the last line.
    for index in quantities:
        if not 0 <= index < len(original.lines):
            raise NoSuchLine(line=index + 1, number=original.number)
    return tuple(_part(original.lines[index], quantity) for index, quantity in sorted(quantities.items()))


def _part(line: Line, quantity: Decimal) -> Line:
    # A deducted deposit has a negative quantity: the quotient takes both signs.
    if not 0 < quantity / line.quantity <= 1:
        raise CreditAboveRemaining(wanted=quantity, remaining=line.quantity, number=line.description)
    if line.allowance is None or quantity == line.quantity:
        return replace(line, quantity=quantity, agreed_net_cents=None)
    share = round_cents(Decimal(line.allowance.amount_cents) * quantity / line.quantity / 100)
    allowance = replace(line.allowance, amount_cents=share) if share else None
    return replace(line, quantity=quantity, agreed_net_cents=None, allowance=allowance)


def _allowances(original: Document, quantities: Mapping[int, Decimal] | None) -> tuple[DocumentAllowance, ...]:
    """Reductions of the document, in proportion to what is credited at their rate."""
    if quantities is None:
        return original.allowances
    parts = _lines(original, quantities)
    credited = []
    for reduction in original.allowances:
        whole = _net_at(original.lines, reduction)
        share = Decimal(reduction.amount_cents) * _net_at(parts, reduction) / whole if whole else Decimal(0)
        if amount := round_cents(share / 100):
            credited.append(replace(reduction, amount_cents=amount))
    return tuple(credited)


def _net_at(lines: Sequence[Line], reduction: DocumentAllowance) -> int:
    at_rate = [line for line in lines if (line.category, line.rate) == (reduction.category, reduction.rate)]
    gross = sum(round_cents(line.quantity * line.unit_price) for line in at_rate)
    return gross - sum(line.allowance.amount_cents for line in at_rate if line.allowance)
