"""Lines of the bank's statement, and the invoices that they may pay: proposed by us, confirmed by a person.

Statements are read by `api.adapters.bank`.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from api.domain.billing.invoices import Invoice
from api.domain.billing.payments.open_invoices import list_open_like
from api.domain.billing.payments.table import Payment, PaymentMeans, pay
from api.domain.billing.sellers import Seller
from api.domain.core.base import Base, Cents, EnumText, Id, Instant, advance
from api.domain.core.changes import record
from api.domain.core.errors import NotFound
from api.domain.core.paging import FIRST_PAGE, Page, PageWindow, read_page
from api.domain.people.accounts import User


class LineStatus(StrEnum):
    """MATCHED has its payment; IGNORED pays none of our invoices."""

    NEW = "new"
    MATCHED = "matched"
    IGNORED = "ignored"


NEXT = {
    LineStatus.NEW: frozenset({LineStatus.MATCHED, LineStatus.IGNORED}),
    # A line may have been ignored by mistake; no verb takes it back yet.
    LineStatus.IGNORED: frozenset({LineStatus.NEW}),
}


@dataclass(frozen=True, slots=True)
class Movement:
    """One movement as a file has it. `cents` below zero left the account; `bank_id` is the bank's own, if any."""

    booked_on: date
    cents: int
    text: str
    counterparty: str = ""
    bank_id: str = ""


class BankLine(Base):
    """A movement, imported once whatever file it comes in: `fingerprint` says which it is."""

    __tablename__ = "bank_lines"
    __table_args__ = (
        UniqueConstraint("seller_id", "fingerprint"),
        Index("ix_bank_lines_new", "seller_id", "booked_on", "id", postgresql_where=text("status = 'new'")),
    )

    id: Mapped[Id]
    seller_id: Mapped[int] = mapped_column(ForeignKey("sellers.id"))
    fingerprint: Mapped[str] = mapped_column(String(64))
    booked_on: Mapped[date]
    cents: Mapped[Cents]
    text: Mapped[str] = mapped_column(Text)
    counterparty: Mapped[str] = mapped_column(String(200))
    status: Mapped[LineStatus] = mapped_column(EnumText(LineStatus), default=LineStatus.NEW)
    payment_id: Mapped[int | None] = mapped_column(ForeignKey("payments.id"))
    imported_at: Mapped[Instant]
    imported_by: Mapped[int | None] = mapped_column(ForeignKey("users.id"))


class MatchQuality(StrEnum):
    """How well a line fits an invoice, best first."""

    EXACT = "exact"  # its number and the amount that is open
    AMOUNT_DIFFERS = "amount_differs"  # its number, another amount
    AMOUNT_ONLY = "amount_only"  # the amount alone, and no other open invoice has it


@dataclass(frozen=True, slots=True)
class Proposal:
    """An invoice that a line may pay, with what is open on it."""

    line: BankLine
    invoice: Invoice
    open_cents: int
    fit: MatchQuality


def import_lines(
    session: Session, *, seller: Seller, lines: Iterable[Movement], actor: User | None, now: datetime
) -> list[BankLine]:
    """Store the movements that are new, and return them; those imported before, also by another file, are left out."""
    occurrences: Counter[Movement] = Counter()
    added = []
    for line in lines:
        # Two movements may be alike in all facts, as two equal transfers of one day: each counts.
        occurrences[line] += 1
        row = session.scalar(
            insert(BankLine)
            .values(
                seller_id=seller.id,
                fingerprint=_fingerprint(line, occurrences[line]),
                booked_on=line.booked_on,
                cents=line.cents,
                text=line.text[:1000],
                counterparty=line.counterparty[:200],
                # What left the account pays no invoice.
                status=LineStatus.NEW if line.cents > 0 else LineStatus.IGNORED,
                imported_at=now,
                imported_by=actor.id if actor else None,
            )
            .on_conflict_do_nothing(index_elements=[BankLine.seller_id, BankLine.fingerprint])
            .returning(BankLine)
        )
        if row is not None:
            added.append(row)
    return added


def _fingerprint(line: Movement, occurrence: int) -> str:
    """Hash of the bank's identifier or, without one, of the facts and of the place among equal ones."""
    facts = line.bank_id or f"{line.booked_on}|{line.cents}|{line.text}|{line.counterparty}|{occurrence}"
    return hashlib.sha256(facts.encode()).hexdigest()


def propose_matches(session: Session, *, seller: Seller, lines: Iterable[BankLine]) -> list[Proposal]:
    """The best guess for each of these lines; a line without one is left to the clerk."""
    lines = list(lines)
    # Which of the open invoices these lines can be about is asked of the database: they may be thousands.
    open_invoices = list_open_like(
        session,
        seller_id=seller.id,
        texts=[re.sub(r"[^a-z0-9]", "", _plain(line.text)) for line in lines],
        amounts=[line.cents for line in lines],
    )
    return _match(lines, open_invoices)


def _match(lines: list[BankLine], open_invoices: list[tuple[Invoice, int]]) -> list[Proposal]:
    amounts = Counter(cents for _, cents in open_invoices)
    proposals = []
    for line in lines:
        named = [(invoice, cents) for invoice, cents in open_invoices if _mentions(line.text, invoice.number)]
        if named:
            # A transfer may name several invoices: the one of its amount comes first.
            invoice, cents = next((each for each in named if each[1] == line.cents), named[0])
            quality = MatchQuality.EXACT if cents == line.cents else MatchQuality.AMOUNT_DIFFERS
            proposals.append(Proposal(line, invoice, cents, quality))
        elif amounts[line.cents] == 1:
            # An amount alone says something only while no other open invoice has it.
            invoice, cents = next(each for each in open_invoices if each[1] == line.cents)
            proposals.append(Proposal(line, invoice, cents, MatchQuality.AMOUNT_ONLY))
    return proposals


def _mentions(text: str, number: str) -> bool:
    """Whether a bank's text names an invoice: F2026-00042 is in "VIR F202600042 MERCI", but not in "F2026000421"."""
    # Banks drop hyphens, put blanks in their place and change case.
    pattern = r"[^a-z0-9]?".join(map(re.escape, re.sub(r"[^a-z0-9]", "", number.lower())))
    return re.search(rf"(?<![a-z0-9]){pattern}(?!\d)", _plain(text)) is not None


def _plain(text: str) -> str:
    """In lower case and without accents."""
    return unicodedata.normalize("NFKD", text.lower()).encode("ascii", "ignore").decode()


def list_new_bank_lines(session: Session, *, seller_id: int, window: PageWindow = FIRST_PAGE) -> Page[BankLine]:
    """What waits for a person, the oldest first."""
    query = select(BankLine).where(BankLine.seller_id == seller_id, BankLine.status == LineStatus.NEW)
    return read_page(session, query, window=window, id=BankLine.id, at=BankLine.booked_on, newest_first=False)


def count_new_bank_lines(session: Session, *, seller_id: int) -> int:
    query = select(func.count()).where(BankLine.seller_id == seller_id, BankLine.status == LineStatus.NEW)
    return session.scalar(query) or 0


def get_bank_line(session: Session, line_id: int, *, seller: Seller) -> BankLine:
    """A line of this seller's account; NotFound otherwise."""
    line = session.get(BankLine, line_id)
    if line is None or line.seller_id != seller.id:
        raise NotFound()
    return line


def confirm_match(session: Session, *, line: BankLine, invoice: Invoice, actor: User, now: datetime) -> Payment:
    """A person says that this movement pays this invoice, wholly or in part.

    Raises NotFound for an invoice of another seller, ForbiddenMove, Stale, and as `pay`.
    """
    if invoice.seller_id != line.seller_id:
        raise NotFound()
    # The move comes first: of two clerks who confirm one line at once, the second one's update finds no row (Stale).
    advance(session, line, LineStatus.MATCHED, moves=NEXT, status=BankLine.status)
    payment = pay(
        session,
        invoice=invoice,
        means=PaymentMeans.TRANSFER,
        cents=line.cents,
        received_on=line.booked_on,
        key=f"bank:{line.id}",
        reference=line.text,
        actor=actor,
        now=now,
    )
    line.payment_id = payment.id
    session.flush()
    return payment


def ignore_line(session: Session, *, line: BankLine, actor: User, now: datetime) -> None:
    """A person says that it pays none of our invoices; ForbiddenMove, Stale."""
    advance(session, line, LineStatus.IGNORED, moves=NEXT, status=BankLine.status)
    record(session, noun="bank_line", noun_id=line.id, verb="ignored", now=now, actor_id=actor.id)
