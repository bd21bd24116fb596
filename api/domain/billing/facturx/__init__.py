"""Invoice documents as pure values: sums, checks, credit notes, deposits, and the dict for the factur-x library.

Nothing here knows a session, a clock or a file; numbers and dates are passed in.
"""

from api.domain.billing.facturx import faults
from api.domain.billing.facturx.checks import bank_faults, check_document, document_faults, party_faults
from api.domain.billing.facturx.cii import euros, nature_text, plain_decimal, to_dict
from api.domain.billing.facturx.credit import credit_note
from api.domain.billing.facturx.deposit import deduct_deposits, deposit_invoice
from api.domain.billing.facturx.document import (
    UNITS,
    Address,
    Allowance,
    Bank,
    DeliveredItem,
    DeliverTo,
    DeliveryNote,
    Document,
    DocumentAllowance,
    DocumentKind,
    Line,
    Nature,
    Party,
    PaymentMeansCode,
    Profile,
    QuoteDocument,
    Reference,
    Sale,
    TraceRow,
    VatCategory,
    clean_identifier,
)
from api.domain.billing.facturx.totals import Totals, VatSum, line_net_cents, totals

__all__ = [
    "UNITS",
    "Address",
    "Allowance",
    "Bank",
    "DeliverTo",
    "DeliveredItem",
    "DeliveryNote",
    "Document",
    "DocumentAllowance",
    "DocumentKind",
    "Line",
    "Nature",
    "Party",
    "PaymentMeansCode",
    "Profile",
    "QuoteDocument",
    "Reference",
    "Sale",
    "Totals",
    "TraceRow",
    "VatCategory",
    "VatSum",
    "bank_faults",
    "check_document",
    "clean_identifier",
    "credit_note",
    "deduct_deposits",
    "deposit_invoice",
    "document_faults",
    "euros",
    "faults",
    "line_net_cents",
    "nature_text",
    "party_faults",
    "plain_decimal",
    "to_dict",
    "totals",
]
