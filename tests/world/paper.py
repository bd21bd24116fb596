"""One invoice of each kind, drawn once per process, and the text of a page as a reader sees it."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache

from pypdf import PdfReader

from api.adapters import pdf
from api.adapters.facturx import generate
from api.domain.billing.facturx import (
    Document,
    PaymentMeansCode,
    credit_note,
    deduct_deposits,
    deposit_invoice,
    totals,
)
from tests.world.documents import (
    ISSUED_ON,
    as_franchise,
    as_paid,
    make_document,
    make_lines,
    make_public_buyer,
)

STAMP = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
TOTAL = totals(make_document()).total_cents
DEPOSIT = deposit_invoice(
    make_document(), number="F2026-0009", issued_on=ISSUED_ON, due_on=ISSUED_ON, percent=Decimal(30)
)
DOCUMENTS: dict[str, Document] = {
    "ordinary": make_document(),
    "franchise": as_franchise(make_document()),
    "public": make_document(buyer=make_public_buyer(), vat_on_debits=True, contract="M-2026-4"),
    "credit note": credit_note(make_document(), number="A2026-0001", issued_on=ISSUED_ON, reason="Rebut"),
    "final after deposit": deduct_deposits(make_document(), [DEPOSIT]),
    "paid by card": replace(as_paid(make_document(), TOTAL), means=PaymentMeansCode.CARD),
    "three pages": make_document(lines=make_lines() * 9),
}


@cache
def rendered(name: str) -> bytes:
    return draw(DOCUMENTS[name])


def draw(document: Document) -> bytes:
    return pdf.render_invoice(document, generate(document), stamp=STAMP)


def text_of(file: bytes) -> str:
    text = "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(file)).pages)
    return re.sub(r"\s+", " ", text.replace("\u00a0", " ").replace("\u202f", " "))
