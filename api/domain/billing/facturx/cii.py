"""From our words to the dict of BT and BG codes of EN 16931 from which factur-x 7.8 writes CII XML.

It expects what `checks` accepts. The XML is written by `api.adapters.facturx`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from api.domain.billing.facturx.document import (
    DeliverTo,
    Document,
    DocumentAllowance,
    Line,
    Party,
    PaymentMeansCode,
    Sale,
    VatCategory,
)
from api.domain.billing.facturx.totals import Totals, VatSum, totals
from api.domain.pricing.legal import CustomerType, Mentions, Regime, mentions
from api.domain.pricing.prices import round_cents

# Identifier schemes of ISO 6523: SIREN, SIRET, the French electronic address, and the *code service* of Chorus Pro.
SIREN_SCHEME, SIRET_SCHEME, ADDRESS_SCHEME, ROUTING_SCHEME = "0002", "0009", "0225", "0224"


def to_dict(document: Document) -> dict[str, Any]:
    """All fields of `document`; a new dict at each call, because the library changes it."""
    sums = totals(document)
    legal = mentions(document.issued_on, document.regime, document.buyer.customer)
    return {
        **_head(document),
        "BG-1": _notes(document, legal),
        "BG-4": _party(document.seller, tax_identifier=document.regime is not Regime.PAYER),
        "BG-7": _party(document.buyer),
        **_supply(document),
        **_payment(document, sums),
        # A final invoice names its deposits where a credit note names its original.
        "BG-3": [{"BT-25": ref.number, "BT-26": ref.issued_on} for ref in (*document.originals, *document.deposits)],
        "BG-20": [_document_allowance(a) for a in document.allowances],
        "BG-23": [_vat(group, legal) for group in sums.vat],
        "BG-25": [
            _line(number, line, net)
            for number, (line, net) in enumerate(zip(document.lines, sums.line_net_cents, strict=True), start=1)
        ],
        **_sums(sums),
    }


def euros(cents: int) -> str:
    """Euros with two decimals and a point: -5 -> "-0.05"."""
    # The library wants strings: it refuses Decimals, and writes floats with the errors of binary fractions.
    return f"{Decimal(cents) / 100:.2f}"


def plain_decimal(number: Decimal) -> str:
    """No exponent, no trailing zeros: 2.50 -> "2.5", 1E+2 -> "100"."""
    return f"{number.normalize():f}"


def _head(document: Document) -> dict[str, Any]:
    head = {
        "BT-1": document.number,
        "BT-2": document.issued_on,
        "BT-3": document.kind.value,
        "BT-5": "EUR",
        "BT-10": document.buyer.service_code,
        "BT-12": document.contract,
        "BT-13": document.purchase_order,
        "BT-23": document.frame,
    }
    # The library's word for code 5 of CII: VAT is due on the date of the invoice.
    if document.vat_on_debits:
        head["BT-8"] = "invoice"
    return {key: value for key, value in head.items() if value is not None}


def _notes(document: Document, legal: Mentions) -> list[dict[str, str]]:
    """Notes with their subject codes: BAR, and PMT, PMD and AAB exactly once (BR-FR-05, BR-FR-06)."""
    # The text of BAR is a code: which treatment of the reform is meant.
    treatment = "B2C" if document.buyer.customer is CustomerType.CONSUMER else "B2B"
    coded = {"BAR": treatment, "PMT": legal.indemnity, "PMD": legal.penalty, "AAB": legal.discount}
    notes = [{"BT-21": code, "BT-22": text} for code, text in coded.items() if text]
    # Printed and sent always, since decree 2022-1299.
    notes += [{"BT-22": nature_text(document, legal)}]
    if document.vat_on_debits:
        notes.append({"BT-22": legal.debits})
    return notes + [{"BT-22": text} for text in document.notes]


def nature_text(sale: Sale, legal: Mentions) -> str:
    """The printed sentence for the category of operations (goods, services or both)."""
    return {"B": legal.goods, "S": legal.services, "M": legal.mixed}[sale.nature]


def _party(party: Party, *, tax_identifier: bool = False) -> dict[str, Any]:
    """A party (BG-4, BG-7). `tax_identifier`: give the SIREN as BT-32 too."""
    identifiers = {SIRET_SCHEME: party.siret, ROUTING_SCHEME: party.service_code}
    # BT-34 and BT-49 are mandatory; BT-49 begins with the buyer's SIREN, and is no more than that by default.
    address = party.electronic_address or party.siren
    contact = {"name": party.name, "email": party.email, "phone": party.phone}
    fields: dict[str, Any] = {
        **_place(DeliverTo(name=party.name, address=party.address)),
        "identifiers": {scheme: value for scheme, value in identifiers.items() if value},
        "legal_identifier": party.siren,
        "legal_identifier_schemeid": SIREN_SCHEME if party.siren else None,
        "vat_identifier": party.vat_number,
        # An exempt seller may have no VAT number (BT-31); without BT-32 in its place BR-E-02 refuses the document.
        "tax_identifier": party.siren if tax_identifier else None,
        "legal_info": party.legal_form,
        "einvoicing_addr": address,
        "einvoicing_addr_schemeid": ADDRESS_SCHEME if address else None,
        "contacts": [contact] if party.email and party.phone else None,
    }
    return {key: value for key, value in fields.items() if value}


def _place(place: DeliverTo) -> dict[str, Any]:
    lines = dict(zip(("addr_l1", "addr_l2", "addr_l3"), place.address.lines, strict=False))
    return {
        "name": place.name,
        **lines,
        "postcode": place.address.postcode,
        "city": place.address.city,
        "country_code": place.address.country,
    }


def _supply(document: Document) -> dict[str, Any]:
    """Date or period of supply, and where the goods went if elsewhere."""
    supply: dict[str, Any] = {
        # Of a period the last day: without any date the library writes an empty delivery, which the schema refuses.
        "BT-72": document.supplied_on or document.supplied_until,
        "BT-73": document.supplied_from,
        "BT-74": document.supplied_until,
    }
    if document.delivered_elsewhere:
        supply["BG-13"] = _place(document.delivered_elsewhere)
    return {key: value for key, value in supply.items() if value is not None}


def _payment(document: Document, sums: Totals) -> dict[str, Any]:
    payment: dict[str, Any] = {"BT-9": document.due_on, "BT-81": document.means.value, "BT-83": document.number}
    if document.is_credit_note:
        payment["BT-20"] = "Avoir à imputer ou à rembourser"
    elif sums.due_cents:
        payment["BT-20"] = f"À régler au plus tard le {document.due_on:%d/%m/%Y}"
    if document.bank and document.means is PaymentMeansCode.TRANSFER:
        payment |= {"BT-84": document.bank.iban, "BT-85": document.seller.name, "BT-86": document.bank.bic}
    return payment


def _document_allowance(reduction: DocumentAllowance) -> dict[str, str]:
    return {
        "amount": euros(reduction.amount_cents),
        "reason": reduction.reason,
        "vat_category_code": reduction.category.value,
        "vat_rate": f"{reduction.rate:.2f}",
    }


def _vat(group: VatSum, legal: Mentions) -> dict[str, str]:
    vat = {
        "BT-116": euros(group.base_cents),
        "BT-117": euros(group.vat_cents),
        "BT-118": group.category.value,
        "BT-119": f"{group.rate:.2f}",  # category E needs its rate too: "0.00"
    }
    # The state's portal wants both text and code (rule G1.41), which no schematron checks.
    if group.category is VatCategory.EXEMPT and legal.exemption and legal.exemption_code:
        vat |= {"BT-120": legal.exemption, "BT-121": legal.exemption_code}
    return vat


def _line(number: int, line: Line, net_cents: int) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "BT-126": str(number),
        "BT-129": plain_decimal(line.quantity),
        "BT-130": line.unit,
        "BT-131": euros(net_cents),
        "BT-146": plain_decimal(line.unit_price),
        "BT-151": line.category.value,
        "BT-152": f"{line.rate:.2f}",
        "BT-153": line.description,
    }
    if line.details:
        fields["BT-154"] = line.details
    if line.allowance:
        gross = round_cents(line.quantity * line.unit_price)
        fields["BG-27"] = [
            {
                "amount": euros(line.allowance.amount_cents),
                "base_amount": euros(gross),
                "reason": line.allowance.reason,
            }
        ]
    return fields


def _sums(sums: Totals) -> dict[str, str]:
    fields = {
        "BT-106": euros(sums.lines_cents),
        "BT-109": euros(sums.net_cents),
        "BT-110": euros(sums.vat_cents),
        "BT-112": euros(sums.total_cents),
        "BT-115": euros(sums.due_cents),
    }
    if sums.allowances_cents:
        fields["BT-107"] = euros(sums.allowances_cents)
    if sums.paid_cents:
        fields["BT-113"] = euros(sums.paid_cents)
    return fields
