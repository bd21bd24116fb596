"""`/api/v1/sellers/{id}`: what an accountant asks for: FEC, journal, e-reporting, the chain of hashes."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from tempfile import SpooledTemporaryFile
from typing import Literal

from fastapi import APIRouter, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel
from starlette.background import BackgroundTask

from api.adapters import ereporting, sheets
from api.bounds import Day
from api.deps import CurrentUser, DbSession, Now
from api.domain.billing import invoices, ledger
from api.domain.billing.invoices import DayTotal
from api.domain.billing.sellers import get_seller
from api.settings import settings

router = APIRouter(prefix="/api/v1", tags=["invoices"])

# An export larger than this goes to the disk.
MEMORY_BYTES = 2**20


class DayTotalOut(BaseModel):
    on: date
    operation: str
    rate: Decimal
    base_cents: int
    vat_cents: int

    @classmethod
    def of(cls, total: DayTotal) -> DayTotalOut:
        return cls(
            on=total.on,
            operation=total.operation.value,
            rate=total.rate,
            base_cents=total.base_cents,
            vat_cents=total.vat_cents,
        )


@router.get("/sellers/{seller_id}/fec")
def download_fec(seller_id: int, start: Day, end: Day, session: DbSession, user: CurrentUser) -> Response:
    """The *fichier des écritures comptables* of `[start, end)`."""
    seller = get_seller(session, seller_id, user=user)
    # The name is part of the format: an inspector's program reads SIREN and last day from it.
    name, lines = ledger.export_fec(session, seller=seller, start=start, end=end)
    # Written out while the database answers, sent afterwards: a slow client holds no connection, and the memory holds
    # no year of entries.
    file = SpooledTemporaryFile(MEMORY_BYTES)  # noqa: SIM115  # closed with the answer
    file.writelines(line.encode() for line in lines)
    length = file.tell()
    file.seek(0)
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Content-Length": str(length)}
    closing = BackgroundTask(file.close)
    return StreamingResponse(file, media_type="text/plain; charset=utf-8", headers=headers, background=closing)


@router.get("/sellers/{seller_id}/ledger.{form}")
def download_ledger(
    seller_id: int, form: Literal["csv", "xlsx"], start: Day, end: Day, session: DbSession, user: CurrentUser
) -> Response:
    """The entries of `[start, end)` as a table."""
    seller = get_seller(session, seller_id, user=user)
    # In French whatever the reader's language: it goes to a French accountant.
    head = ["Journal", "Écriture", "Date", "Pièce", "Libellé", "Compte", "Tiers", "Débit", "Crédit"]
    rows = [
        [
            posting.journal.value,
            f"{posting.year}-{posting.no:06d}",
            posting.on,
            posting.piece,
            posting.text,
            entry.account.value,
            entry.party_name,
            Decimal(entry.debit_cents) / 100,
            Decimal(entry.credit_cents) / 100,
        ]
        for posting, entry in ledger.read_entries(session, seller_id=seller.id, start=start, end=end)
    ]
    table = sheets.to_csv(head, rows) if form == "csv" else sheets.to_xlsx("Journal", head, rows)
    headers = {"Content-Disposition": f'attachment; filename="journal-{start}-{end}.{form}"'}
    media = "text/csv" if form == "csv" else f"{sheets.OFFICE}.sheet"
    return Response(table, media_type=media, headers=headers)


@router.get("/sellers/{seller_id}/e-reporting")
def read_e_reporting(seller_id: int, start: Day, end: Day, session: DbSession, user: CurrentUser) -> list[DayTotalOut]:
    """Sales to consumers per day, category and VAT rate, of `[start, end)`."""
    seller = get_seller(session, seller_id, user=user)
    totals = invoices.list_consumer_totals(session, seller_id=seller.id, start=start, end=end)
    return [DayTotalOut.of(total) for total in totals]


@router.get("/sellers/{seller_id}/e-reporting.{form}")
def download_e_reporting(
    seller_id: int, form: Literal["csv", "xml"], start: Day, end: Day, session: DbSession, user: CurrentUser, now: Now
) -> Response:
    """The same as a table, or as the XML of flux 10 for the platform."""
    seller = get_seller(session, seller_id, user=user)
    totals = invoices.list_consumer_totals(session, seller_id=seller.id, start=start, end=end)
    if form == "xml":
        number = settings().flow_platform
        report = ereporting.report_sales(totals, seller=seller, start=start, end=end, platform=number, now=now)
    else:
        head = ["Date", "Catégorie", "Taux", "Base HT", "TVA"]
        rows = [
            [each.on, each.operation.value, each.rate, _euros(each.base_cents), _euros(each.vat_cents)]
            for each in totals
        ]
        report = sheets.to_csv(head, rows)
    headers = {"Content-Disposition": f'attachment; filename="e-reporting-{start}-{end}.{form}"'}
    return Response(report, media_type="application/xml" if form == "xml" else "text/csv", headers=headers)


def _euros(cents: int) -> Decimal:
    """With both decimals, also where they are zeros."""
    return Decimal(cents).scaleb(-2)


@router.get("/sellers/{seller_id}/chain")
def check_chain(seller_id: int, session: DbSession, user: CurrentUser) -> list[str]:
    """Numbers at which the hash chain or the count is broken: an empty list is good."""
    seller = get_seller(session, seller_id, user=user)
    return invoices.list_chain_breaks(session, seller_id=seller.id)
