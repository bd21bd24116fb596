"""What the templates of papers print: every text and number of a document as a finished French string.

The sums come from `facturx.totals`; a template only decides where things stand.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import segno
import segno.helpers
from babel.dates import format_date
from babel.numbers import format_decimal

from api.domain.billing.facturx import (
    UNITS,
    Address,
    DeliveryNote,
    Document,
    DocumentKind,
    Line,
    Party,
    PaymentMeansCode,
    QuoteDocument,
    Sale,
    Totals,
    TraceRow,
    nature_text,
    totals,
)
from api.domain.pricing.legal import Mentions, Regime, mentions

TITLES = {
    DocumentKind.INVOICE: "Facture",
    DocumentKind.CREDIT_NOTE: "Avoir",
    DocumentKind.CORRECTED: "Facture rectificative",
    DocumentKind.DEPOSIT: "Facture d’acompte",
}
PAID_BY = {
    PaymentMeansCode.CASH: "en espèces",
    PaymentMeansCode.CARD: "par carte",
    PaymentMeansCode.TRANSFER: "par virement",
    PaymentMeansCode.CREDIT: "sur crédit prépayé",
}
NO_BREAK = "\u00a0"


def invoice_page(document: Document) -> dict[str, Any]:
    sums = totals(document)
    legal = mentions(document.issued_on, document.regime, document.buyer.customer)
    return {
        **_letterhead(document, title=TITLES[document.kind], recipient="Facturé à"),
        **_sale(document, sums, legal),
        "badge": f"Acquittée le {day(document.paid_on)}" if document.paid_on else None,
        "facts": _invoice_facts(document),
        "lead": _lead(document),
        "payment": _payment(document, sums),
        "legal": [text for text in (legal.penalty, legal.indemnity, legal.discount) if text],
    }


def quote_page(quote: QuoteDocument) -> dict[str, Any]:
    sums = totals(quote)
    legal = mentions(quote.issued_on, quote.regime, quote.buyer.customer)
    facts = [
        ("Date du devis", day(quote.issued_on)),
        ("Valable jusqu’au", day(quote.valid_until)),
        ("Livraison promise", day(quote.promised_on) if quote.promised_on else None),
        ("Bon de commande", quote.purchase_order),
    ]
    page = {
        **_letterhead(quote, title="Devis", recipient="Proposé à"),
        **_sale(quote, sums, legal),
        "facts": [fact for fact in facts if fact[1]],
        "purchase_order": quote.purchase_order,
        "legal": ["Le prix du devis est celui de la facture."],
    }
    for line, trace in zip(page["lines"], quote.traces, strict=False):
        line["trace"] = [_trace(row) for row in trace]
    return page


def delivery_page(note: DeliveryNote) -> dict[str, Any]:
    place = note.deliver_to
    facts = [
        ("Date de livraison", day(note.delivered_on)),
        ("Commande", note.order_number),
        ("Bon de commande", note.purchase_order),
    ]
    return {
        "title": "Bon de livraison",
        "number": note.number,
        "seller": _seller(note.seller),
        "buyer": _buyer(note.buyer),
        "recipient_label": "Livré pour",
        "elsewhere": {"name": place.name, "lines": address_lines(place.address)} if place else None,
        "facts": [fact for fact in facts if fact[1]],
        "badge": None,
        "notes": note.notes,
        "legal": [],
        "items": [
            {
                "description": item.description,
                "quantity": quantity(item.quantity, item.unit),
                "remaining": quantity(item.remaining, item.unit) if item.remaining else "–",
                "checked": f"Contrôlé par {item.checked_by}" if item.checked_by else "–",
            }
            for item in note.items
        ],
    }


def money(cents: int) -> str:
    """123456 -> "1 234,56 €", with the narrow and the wide no-break space of French typography."""
    amount: str = format_decimal(Decimal(cents) / 100, format="#,##0.00", locale="fr_FR")
    return amount + NO_BREAK + "€"


def unit_price(euros: Decimal) -> str:
    return str(format_decimal(euros, format="#,##0.00####", locale="fr_FR")) + NO_BREAK + "€"


def quantity(amount: Decimal, unit: str) -> str:
    number = str(format_decimal(amount, format="#,##0.####", locale="fr_FR"))
    word = UNITS[unit]
    plural = word + "s" if word in {"pièce", "jour", "forfait"} and abs(amount) >= 2 else word
    return f"{number}{NO_BREAK}{plural}"


def percent(rate: Decimal) -> str:
    return str(format_decimal(rate, format="0.##", locale="fr_FR")) + NO_BREAK + "%"


def day(on: date) -> str:
    form = "d'er' MMMM y" if on.day == 1 else "d MMMM y"
    return str(format_date(on, format=form, locale="fr_FR")).replace(" ", NO_BREAK)


def address_lines(address: Address) -> list[str]:
    country = [] if address.country == "FR" else [address.country]
    return [*address.lines, f"{address.postcode} {address.city}", *country]


def _letterhead(sale: Sale, *, title: str, recipient: str) -> dict[str, Any]:
    place = sale.delivered_elsewhere
    return {
        "title": title,
        "number": sale.number,
        "seller": _seller(sale.seller),
        "buyer": _buyer(sale.buyer),
        "recipient_label": recipient,
        "elsewhere": {"name": place.name, "lines": address_lines(place.address)} if place else None,
        "badge": None,
        "notes": sale.notes,
    }


def _seller(party: Party) -> dict[str, Any]:
    keys = [party.legal_form, *_identifiers(party)]
    place = ", ".join(address_lines(party.address))
    contact = " · ".join(word for word in (party.phone, party.email) if word)
    return {
        "name": party.name,
        "lines": address_lines(party.address),
        "identity": [key for key in (*keys, contact) if key],
        "footer": " · ".join(word for word in (party.name, place, party.legal_form, *_identifiers(party)) if word),
    }


def _buyer(party: Party) -> dict[str, Any]:
    service = f"Code service : {party.service_code}" if party.service_code else None
    return {
        "name": party.name,
        "lines": address_lines(party.address),
        "identity": [key for key in (*_identifiers(party), service) if key],
    }


def _identifiers(party: Party) -> list[str]:
    # Printed without spaces inside, so that a reader can search for them.
    named = (("SIREN", party.siren), ("SIRET", party.siret), ("TVA", party.vat_number))
    return [f"{name}{NO_BREAK}{key}" for name, key in named if key]


def _invoice_facts(document: Document) -> list[tuple[str, str]]:
    engagement = "N° d’engagement" if document.buyer.is_public else "Bon de commande"
    facts = [
        ("Date d’émission", day(document.issued_on)),
        (_supply_label(document), _supply(document)),
        ("Échéance", None if document.is_paid or document.is_credit_note else day(document.due_on)),
        (engagement, document.purchase_order),
        ("Contrat ou marché", document.contract),
    ]
    return [(label, value) for label, value in facts if value]


def _supply_label(document: Document) -> str:
    if document.kind is DocumentKind.DEPOSIT:
        return "Date de l’acompte"
    return "Livraison ou prestation" if document.supplied_on else "Période de prestation"


def _supply(document: Document) -> str:
    if document.supplied_on:
        return day(document.supplied_on)
    if document.supplied_from and document.supplied_until:
        return f"du {document.supplied_from:%d/%m/%Y} au {document.supplied_until:%d/%m/%Y}"
    return ""


def _lead(document: Document) -> str | None:
    if not document.originals:
        return None
    named = ", ".join(f"n° {ref.number} du {day(ref.issued_on)}" for ref in document.originals)
    return f"{'Avoir sur' if document.is_credit_note else 'Annule et remplace'} la facture {named}."


def _sale(sale: Sale, sums: Totals, legal: Mentions) -> dict[str, Any]:
    on_debits = isinstance(sale, Document) and sale.vat_on_debits
    rows = zip(sale.lines, sums.line_net_cents, strict=True)
    return {
        "with_vat": sale.regime is Regime.PAYER,
        "lines": [_line(line, net) for line, net in rows],
        "sums": _sums(sale, sums),
        "exemption": legal.exemption,
        "aside": [f"Nature de l’opération : {nature_text(sale, legal).lower()}."]
        + ([f"{legal.debits}."] if on_debits else []),
    }


def _line(line: Line, net_cents: int) -> dict[str, Any]:
    reduction = line.allowance
    return {
        "description": line.description,
        "details": line.details,
        "allowance": f"{reduction.reason} : {money(-reduction.amount_cents)}" if reduction else None,
        "quantity": quantity(line.quantity, line.unit),
        "unit_price": unit_price(line.unit_price),
        "rate": percent(line.rate),
        "net": money(net_cents),
        "trace": [],
    }


def _trace(row: TraceRow) -> str:
    amount = f" = {money(row.cents)}" if row.cents is not None else ""
    return f"{row.label} : {row.detail}{amount}"


def _sums(sale: Sale, sums: Totals) -> list[dict[str, str]]:
    rows = [_row(f"{off.reason} ({percent(off.rate)})", -off.amount_cents) for off in sale.allowances]
    if sale.regime is not Regime.PAYER:
        rows = [_row(off.reason, -off.amount_cents) for off in sale.allowances]
        rows.append(_row("Total", sums.total_cents, style="strong"))
    else:
        rows.append(_row("Total HT", sums.net_cents))
        rows += [
            _row(f"TVA {percent(vat.rate)}", vat.vat_cents, base=f"sur {money(vat.base_cents)}") for vat in sums.vat
        ]
        rows.append(_row("Total TTC", sums.total_cents, style="strong"))
    if isinstance(sale, Document):
        rows += _due_rows(sale, sums)
    return rows


def _due_rows(document: Document, sums: Totals) -> list[dict[str, str]]:
    if document.is_credit_note:
        return [_row("À votre crédit", sums.due_cents, style="due")]
    paid = [_row("Déjà payé", -sums.paid_cents)] if sums.paid_cents else []
    return [*paid, _row("Net à payer", sums.due_cents, style="due")]


def _row(label: str, cents: int, *, style: str = "", base: str = "") -> dict[str, str]:
    return {"label": label, "amount": money(cents), "style": style, "base": base}


def _payment(document: Document, sums: Totals) -> dict[str, Any] | None:
    if document.is_credit_note:
        return None
    if sums.due_cents == 0:
        return {"how": f"Payée {PAID_BY[document.means]}.", "rows": [], "qr": None} if document.paid_cents else None
    if document.bank is None:
        return {"how": f"À régler au plus tard le {day(document.due_on)}.", "rows": [], "qr": None}
    iban = NO_BREAK.join(document.bank.iban[i : i + 4] for i in range(0, len(document.bank.iban), 4))
    return {
        "how": f"Par virement au plus tard le {day(document.due_on)}.",
        "rows": [
            ("Référence à indiquer", document.number),
            ("Bénéficiaire", document.seller.name),
            ("IBAN", iban),
            ("BIC", document.bank.bic),
            ("Banque", document.bank.name),
        ],
        "qr": epc_qr(document, sums).png_data_uri(scale=1, border=1),
    }


def epc_qr(document: Document, sums: Totals) -> segno.QRCode:
    """The code that a banking app reads (EPC069-12): beneficiary, IBAN, amount due, the invoice number as reference."""
    if document.bank is None:
        raise ValueError("no bank account to pay to")
    return segno.helpers.make_epc_qr(
        name=document.seller.name[:70],  # the longest that the standard takes
        iban=document.bank.iban,
        bic=document.bank.bic,
        amount=Decimal(sums.due_cents) / 100,
        text=document.number,
        encoding="utf-8",
    )
