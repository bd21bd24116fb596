"""An invoice, credit note, quote or delivery note as plain values: all that is printed or in the XML.

Sums are in `totals`, rules in `checks`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from enum import StrEnum

from api.domain.pricing.legal import CustomerType, Regime


class DocumentKind(StrEnum):
    """Code of UNTDID 1001 (BT-3)."""

    INVOICE = "380"
    CREDIT_NOTE = "381"
    CORRECTED = "384"
    DEPOSIT = "386"


class VatCategory(StrEnum):
    """Code of UNTDID 5305 (BT-151). A franchise is exempt too: E with an exemption code, never Z."""

    STANDARD = "S"
    EXEMPT = "E"


class Nature(StrEnum):
    """Category of operations, a mention of decree 2022-1299; the letter of BT-23."""

    GOODS = "B"
    SERVICES = "S"
    MIXED = "M"


class PaymentMeansCode(StrEnum):
    """Code of UNTDID 4461 (BT-81)."""

    CASH = "10"
    TRANSFER = "30"
    CARD = "48"
    CREDIT = "97"  # clearing: prepaid credit is used


class Profile(StrEnum):
    """Factur-X profile; the value is the name that the factur-x library uses."""

    EN16931 = "en16931"
    EXTENDED = "extended"


# Units that we sell by, by their code of UN/ECE recommendation 20, and what is printed for them.
UNITS = {
    "C62": "pièce",
    "GRM": "g",
    "KGM": "kg",
    "MIN": "min",
    "HUR": "h",
    "DAY": "jour",
    "MON": "mois",
    "CMQ": "cm³",
    "LS": "forfait",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    lines: tuple[str, ...]
    postcode: str
    city: str
    country: str = "FR"


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """Seller or buyer. A buyer without SIREN is a consumer.

    `legal_form` is BT-33: form, capital, RCS or RNA. `electronic_address` (scheme 0225) is the SIREN by default.
    """

    name: str
    address: Address
    siren: str | None = None
    siret: str | None = None
    vat_number: str | None = None
    legal_form: str | None = None
    electronic_address: str | None = None
    email: str | None = None
    phone: str | None = None
    is_public: bool = False
    service_code: str | None = None
    needs_service_code: bool = False
    needs_engagement: bool = False

    @property
    def customer(self) -> CustomerType:
        if self.is_public:
            return CustomerType.PUBLIC
        return CustomerType.BUSINESS if self.siren else CustomerType.CONSUMER


def clean_identifier(text: str) -> str:
    """A SIREN, SIRET, VAT number, IBAN or BIC without the spaces and dots that people copy from a letterhead."""
    return re.sub(r"[\s.]", "", text).upper()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliverTo:
    """Where the goods went (BG-13)."""

    name: str
    address: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class Bank:
    """The seller's account: BT-84, BT-86, and the name that is printed."""

    iban: str
    bic: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance:
    """A reduction off a line (BG-27) or off the document (BG-20): positive cents without VAT, and why."""

    amount_cents: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentAllowance(Allowance):
    """Off the base of one VAT rate."""

    category: VatCategory = VatCategory.STANDARD
    rate: Decimal = Decimal(20)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """`quantity` with at most 4 decimals, `unit_price` in euros without VAT with at most 6, `rate` in percent.

    A negative quantity takes something back, as a deposit; a price is never negative. `agreed_net_cents` is what the
    customer was promised: a line that comes to another net is refused.
    """

    description: str
    quantity: Decimal
    unit: str
    unit_price: Decimal
    nature: Nature
    category: VatCategory = VatCategory.STANDARD
    rate: Decimal = Decimal(20)
    allowance: Allowance | None = None
    details: str | None = None
    agreed_net_cents: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An earlier invoice (BG-3: BT-25, BT-26)."""

    number: str
    issued_on: date


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """What a quote and an invoice share: who sells what to whom, under which VAT regime."""

    number: str
    issued_on: date
    seller: Party
    buyer: Party
    lines: tuple[Line, ...]
    allowances: tuple[DocumentAllowance, ...] = ()
    regime: Regime = Regime.PAYER
    deliver_to: DeliverTo | None = None
    notes: tuple[str, ...] = ()

    @property
    def delivered_elsewhere(self) -> DeliverTo | None:
        """The delivery address where it differs from the buyer's; the same one must not be printed twice (BG-13)."""
        if self.deliver_to and self.deliver_to.address != self.buyer.address:
            return self.deliver_to
        return None

    @property
    def nature(self) -> Nature:
        natures = {line.nature for line in self.lines}
        return natures.pop() if len(natures) == 1 else Nature.MIXED


@dataclass(frozen=True, slots=True, kw_only=True)
class Document(Sale):
    """An invoice (380), corrected invoice (384), deposit invoice (386) or credit note (381, amounts positive).

    Supplied on one day, or from the first to the last day of a period (both included: BT-73, BT-74).
    `originals` are the invoices credited or corrected; `deposits` the deposit invoices deducted by negative lines.
    `agreed_total_cents` is the total with VAT that the order or the snapshot says.
    """

    kind: DocumentKind = DocumentKind.INVOICE
    due_on: date
    supplied_on: date | None = None
    supplied_from: date | None = None
    supplied_until: date | None = None
    vat_on_debits: bool = False
    purchase_order: str | None = None
    contract: str | None = None
    originals: tuple[Reference, ...] = ()
    deposits: tuple[Reference, ...] = ()
    means: PaymentMeansCode = PaymentMeansCode.TRANSFER
    bank: Bank | None = None
    paid_cents: int = 0
    paid_on: date | None = None
    agreed_total_cents: int | None = None

    @property
    def is_credit_note(self) -> bool:
        return self.kind is DocumentKind.CREDIT_NOTE

    @property
    def is_paid(self) -> bool:
        return self.paid_on is not None

    @property
    def frame(self) -> str:
        """*Cadre de facturation* (BT-23): the nature, then 1 ordinary, 2 already paid, 4 final after a deposit."""
        step = "4" if self.deposits else "2" if self.is_paid else "1"
        return f"{self.nature}{step}"

    @property
    def profile(self) -> Profile:
        """EN 16931, or EXTENDED where the buyer has two identifiers (BT-46)."""
        # Chorus Pro wants SIRET and service code; in EN 16931 rule FX-SCH-A-000164 allows one of them.
        return Profile.EXTENDED if self.buyer.siret and self.buyer.service_code else Profile.EN16931


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceRow:
    """One step of a price as the customer reads it: what, how it was counted, and what it came to."""

    label: str
    detail: str
    cents: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteDocument(Sale):
    """A *devis*: its prices stand until `valid_until`, that day included; `traces` holds their steps, line by line."""

    valid_until: date
    promised_on: date | None = None
    purchase_order: str | None = None
    traces: tuple[tuple[TraceRow, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveredItem:
    description: str
    quantity: Decimal
    unit: str
    remaining: Decimal = Decimal(0)
    checked_by: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryNote:
    """What was handed over; without prices, which are on the invoice."""

    number: str
    delivered_on: date
    seller: Party
    buyer: Party
    order_number: str
    items: tuple[DeliveredItem, ...]
    deliver_to: DeliverTo | None = None
    purchase_order: str | None = None
    notes: tuple[str, ...] = field(default=())
