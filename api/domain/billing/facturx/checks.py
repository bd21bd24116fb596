"""What no schematron notices: wrong keys, sums other than agreed, VAT where there is none, a missing engagement number.

`check_document` raises the first fault; the generators give them all, in the order of the page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

import schwifty
from schwifty.exceptions import SchwiftyException
from stdnum.fr import siren as stdnum_siren
from stdnum.fr import siret as stdnum_siret
from stdnum.fr import tva as stdnum_tva

from api.domain.billing.facturx import faults
from api.domain.billing.facturx.document import (
    UNITS,
    Address,
    Bank,
    Document,
    DocumentKind,
    Line,
    Party,
    PaymentMeansCode,
    QuoteDocument,
    Sale,
    VatCategory,
)
from api.domain.billing.facturx.totals import Totals, totals
from api.domain.core.errors import N_, Invalid
from api.domain.pricing.legal import CustomerType, Regime, longest_term_days, vat_rates
from api.domain.pricing.prices import round_cents

# BR-FR-01 and BR-FR-02: at most 35 signs, no spaces.
NUMBER = re.compile(r"[A-Za-z0-9+\-_/]{1,35}")
# What XML 1.0 cannot hold, and what would turn the reading direction of a printed line.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
LONGEST_TEXT = 1000


def check_document(sale: Document | QuoteDocument) -> None:
    """Raise the first fault."""
    for fault in document_faults(sale):
        raise fault


def document_faults(sale: Document | QuoteDocument) -> Iterator[Invalid]:
    """Everything that is wrong with an invoice or a quote, in the order in which a reader finds it on the page."""
    if not NUMBER.fullmatch(sale.number):
        yield faults.BadNumber(number=sale.number)
    yield from party_faults(sale.seller)
    yield from party_faults(sale.buyer)
    yield from _seller_faults(sale)
    yield from _text_faults(sale)
    # Without a line there are no sums to look at.
    if not sale.lines:
        yield faults.NothingSold()
        return
    for number, line in enumerate(sale.lines, start=1):
        yield from _line_faults(number, line)
        yield from _vat_faults(sale, line.category, line.rate)
    for reduction in sale.allowances:
        if reduction.amount_cents <= 0 or not reduction.reason.strip():
            yield faults.WrongAllowance()
        yield from _vat_faults(sale, reduction.category, reduction.rate)
    sums = totals(sale)
    yield from _sum_faults(sale, sums)
    if isinstance(sale, Document):
        yield from _invoice_faults(sale, sums)


def party_faults(party: Party) -> Iterator[Invalid]:
    """Also asked when a seller or a buyer is entered, so that a wrong key is found long before the first invoice."""
    if party.siren is not None and not _is_siren(party.siren):
        yield faults.WrongSiren(siren=party.siren, party=party.name)
    if party.siret is not None:
        # stdnum knows the exception of La Poste, whose SIRETs do not follow Luhn.
        if not re.fullmatch(r"\d{14}", party.siret) or not stdnum_siret.is_valid(party.siret):
            yield faults.WrongSiret(siret=party.siret, party=party.name)
        if party.siret[:9] != party.siren:
            yield faults.SiretOfAnother(siret=party.siret, siren=party.siren or "-", party=party.name)
    if party.vat_number is not None and not _is_vat_number_of(party.vat_number, party.siren):
        yield faults.WrongVatNumber(vat_number=party.vat_number, party=party.name)
    yield from _address_faults(party.name, party.address)


def bank_faults(bank: Bank) -> Iterator[Invalid]:
    """IBAN and BIC by their keys and countries; no bank is asked."""
    try:
        iban = schwifty.IBAN(bank.iban)
    except SchwiftyException:
        yield faults.WrongIban(iban=bank.iban)
        return
    try:
        if schwifty.BIC(bank.bic).country_code != iban.country_code:
            yield faults.WrongBic(bic=bank.bic)
    except SchwiftyException:
        yield faults.WrongBic(bic=bank.bic)
    # Town halls have refused invoices that did not print the name of the bank.
    if not bank.name.strip():
        yield faults.MissingBank()


def _is_siren(siren: str) -> bool:
    # stdnum takes spaces in it, the XML does not (BT-30).
    return bool(re.fullmatch(r"\d{9}", siren)) and bool(stdnum_siren.is_valid(siren))


def _is_vat_number_of(vat_number: str, siren: str | None) -> bool:
    """A French number is "FR", a key of two signs and the SIREN; of a foreign one only the form is looked at."""
    if not vat_number.startswith("FR"):
        return bool(re.fullmatch(r"[A-Z]{2}[A-Z0-9+*]{2,13}", vat_number))
    return bool(stdnum_tva.is_valid(vat_number)) and siren is not None and vat_number[4:] == siren


def _address_faults(party: str, address: Address) -> Iterator[Invalid]:
    # EN 16931 has three lines of an address: BT-35, BT-36, BT-162 of the seller, and as many of the buyer.
    street = any(line.strip() for line in address.lines) and len(address.lines) <= 3
    if not street or not address.postcode.strip() or not address.city.strip() or len(address.country) != 2:
        yield faults.IncompleteAddress(party=party)


def _seller_faults(sale: Sale) -> Iterator[Invalid]:
    if not sale.seller.siren:
        yield faults.MissingIdentifier(party=sale.seller.name, what="SIREN")
    if sale.regime is Regime.PAYER and not sale.seller.vat_number:
        yield faults.MissingIdentifier(party=sale.seller.name, what=N_("VAT number"))


def _text_faults(sale: Sale) -> Iterator[Invalid]:
    texts = [sale.seller.name, sale.buyer.name, *sale.notes]
    for address in (sale.seller.address, sale.buyer.address):
        texts += [*address.lines, address.city]
    for line in sale.lines:
        texts += [line.description] + ([line.details] if line.details is not None else [])
    for text in (*texts, *filter(None, _optional_texts(sale))):
        if not text.strip() or len(text) > LONGEST_TEXT or UNPRINTABLE.search(text):
            yield faults.UnreadableText(text=UNPRINTABLE.sub("?", text[:40]))


def _optional_texts(sale: Sale) -> Iterator[str | None]:
    """What may be absent; where it is there, XML and paper must be able to hold it."""
    for party in (sale.seller, sale.buyer):
        yield from (party.legal_form, party.electronic_address, party.email, party.phone, party.service_code)
        yield party.address.postcode
    if sale.deliver_to:
        address = sale.deliver_to.address
        yield from (sale.deliver_to.name, *address.lines, address.postcode, address.city)
    reductions = [*sale.allowances, *(line.allowance for line in sale.lines if line.allowance)]
    yield from (reduction.reason for reduction in reductions)
    if isinstance(sale, Document):
        yield from (sale.purchase_order, sale.contract, sale.bank.name if sale.bank else None)


def _line_faults(number: int, line: Line) -> Iterator[Invalid]:
    # The decimals that the French rules allow: 4 of a quantity, 6 of a price (BR-FR-DEC). A price is never negative.
    if not line.quantity or _decimals(line.quantity) > 4:
        yield faults.WrongQuantity(line=number, quantity=line.quantity)
    if line.unit_price <= 0 or _decimals(line.unit_price) > 6:
        yield faults.WrongPrice(line=number, price=line.unit_price)
    if line.unit not in UNITS:
        yield faults.UnknownUnit(line=number, unit=line.unit)
    gross = round_cents(line.quantity * line.unit_price)
    if line.allowance and (not 0 < line.allowance.amount_cents <= gross or not line.allowance.reason.strip()):
        yield faults.WrongAllowance()
    net = gross - (line.allowance.amount_cents if line.allowance else 0)
    if line.agreed_net_cents is not None and line.agreed_net_cents != net:
        yield faults.NetDiffers(line=number, agreed_cents=line.agreed_net_cents, computed_cents=net)


def _decimals(number: Decimal) -> int:
    exponent = number.normalize().as_tuple().exponent
    # Infinity and NaN have a letter for an exponent: more decimals than any rule allows.
    return max(0, -exponent) if isinstance(exponent, int) else 99


def _vat_faults(sale: Sale, category: VatCategory, rate: Decimal) -> Iterator[Invalid]:
    """The category that the regime of the seller demands, and a rate that the law knows on that day."""
    # Schematrons accept a franchise coded as Z or S; only E is right.
    expected = VatCategory.STANDARD if sale.regime is Regime.PAYER else VatCategory.EXEMPT
    if category is not expected:
        yield faults.WrongVatCategory(regime=sale.regime, category=expected, found=category)
    elif expected is VatCategory.EXEMPT and rate:
        yield faults.VatUnderExemption(rate=rate)
    elif expected is VatCategory.STANDARD and rate not in vat_rates(sale.issued_on):
        yield faults.UnknownVatRate(rate=rate, on=sale.issued_on.isoformat())


def _sum_faults(sale: Sale, sums: Totals) -> Iterator[Invalid]:
    if sums.total_cents < 0:
        yield faults.NegativeTotal()
    for group in sums.vat:
        if group.base_cents < 0:
            yield faults.NegativeBase(rate=group.rate)
    # The buyer agreed to this total: no rounding on the way may change it by a cent.
    if isinstance(sale, Document) and sale.agreed_total_cents not in {None, sums.total_cents}:
        yield faults.TotalDiffers(agreed_cents=sale.agreed_total_cents, computed_cents=sums.total_cents)


def _invoice_faults(document: Document, sums: Totals) -> Iterator[Invalid]:
    yield from _date_faults(document)
    yield from _payment_faults(document, sums)
    yield from _reference_faults(document)
    yield from _public_buyer_faults(document)
    if document.vat_on_debits and document.regime is not Regime.PAYER:
        yield faults.DebitsWithoutVat()


def _date_faults(document: Document) -> Iterator[Invalid]:
    """Due date and supply; the longest term is that of the law (C. com. L441-10, CCP R2192-10)."""
    # BR-FR-CO-07 excepts deposits, and what is paid already: its due date is the day of payment.
    early_is_fine = document.is_paid or document.kind is DocumentKind.DEPOSIT
    if document.due_on < document.issued_on and not early_is_fine:
        yield faults.DueBeforeIssue(due_on=document.due_on, issued_on=document.issued_on)
    longest = longest_term_days(document.issued_on, document.buyer.customer)
    if longest is not None and document.due_on > document.issued_on + timedelta(days=longest):
        yield faults.TermTooLong(due_on=document.due_on, days=longest)
    period = (document.supplied_from, document.supplied_until)
    if document.supplied_on is None and None in period:
        yield faults.NoSupplyDate()
    if period[0] and period[1] and period[1] < period[0]:
        yield faults.PeriodBackwards()


def _payment_faults(document: Document, sums: Totals) -> Iterator[Invalid]:
    # Frames B2, S2 and M2 say "already paid": all of it, on the day that stands as the due date (BR-FR-CO-09).
    paid_in_full = document.paid_cents == sums.total_cents
    if not 0 <= document.paid_cents <= max(0, sums.total_cents) or document.is_paid != (
        paid_in_full and document.paid_cents > 0
    ):
        yield faults.WrongPaidAmount()
    if document.is_paid and document.due_on != document.paid_on:
        yield faults.WrongPaidAmount(field="due_on")
    if document.bank:
        yield from bank_faults(document.bank)
    # Who is to pay by transfer must read on the invoice where to.
    elif document.means is PaymentMeansCode.TRANSFER and sums.due_cents > 0 and not document.is_credit_note:
        yield faults.MissingBank()


def _reference_faults(document: Document) -> Iterator[Invalid]:
    # A credit note or a corrected invoice names the invoice that it is about (BR-FR-CO-05); nothing else does.
    must_refer = document.kind in {DocumentKind.CREDIT_NOTE, DocumentKind.CORRECTED}
    if must_refer and not document.originals:
        yield faults.MissingReference()
    if document.originals and not must_refer:
        yield faults.UnexpectedReference()
    for reference in (*document.originals, *document.deposits):
        if not NUMBER.fullmatch(reference.number):
            yield faults.BadNumber(number=reference.number)
        if reference.issued_on > document.issued_on:
            yield faults.ReferenceFromFuture(number=reference.number)


def _public_buyer_faults(document: Document) -> Iterator[Invalid]:
    """Chorus Pro: SIRET always (BR-FR-CPRO-10); service code and engagement number when this buyer says so."""
    buyer = document.buyer
    if buyer.customer is not CustomerType.PUBLIC:
        return
    if not buyer.siren or not buyer.siret:
        yield faults.MissingIdentifier(party=buyer.name, what=N_("SIREN and SIRET"))
    if buyer.needs_service_code and not buyer.service_code:
        yield faults.MissingServiceCode()
    if buyer.needs_engagement and not document.purchase_order:
        yield faults.MissingEngagement()
