"""Invoice documents, pure: values, sums, checks, credit notes, deposits, and the dict that the factur-x library wants.

Refuses sessions, clocks, files and numbers of its own: all of them are passed in.
"""

from api.domain.billing.facturx.checks import bank_faults, check, list_faults, party_faults
from api.domain.billing.facturx.cii import euros, nature_text, plain, to_dict
from api.domain.billing.facturx.credit import credit_note
from api.domain.billing.facturx.deposit import deduct, deposit_invoice
from api.domain.billing.facturx.document import (
    UNITS,
    Address,
    Allowance,
    Bank,
    Category,
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
)
from api.domain.billing.facturx.totals import Totals, VatSum, line_net_cents, totals

__all__ = [
    "UNITS",
    "Address",
    "Allowance",
    "Bank",
    "Category",
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
    "VatSum",
    "bank_faults",
    "check",
    "credit_note",
    "deduct",
    "deposit_invoice",
    "euros",
    "line_net_cents",
    "list_faults",
    "nature_text",
    "party_faults",
    "plain",
    "to_dict",
    "totals",
]
