"""The ledger: append-only double entry. A balance is a sum; a mistake is put right by a reversing posting.

Triggers of the database refuse a posting that does not balance, and every change of what was posted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from itertools import chain

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, and_, func, or_, select
from sqlalchemy.orm import Mapped, Session, contains_eager, mapped_column, relationship

from api.domain.billing import paper_numbers
from api.domain.billing.paper_numbers import Paper
from api.domain.billing.sellers import Seller
from api.domain.core.base import Base, Cents, EnumText, Id, Instant
from api.domain.core.errors import Conflict, Invalid
from api.domain.core.paging import FIRST_PAGE, Page, PageWindow, read_page


class Journal(StrEnum):
    """Where a posting is written; the value is the JournalCode of the FEC."""

    SALES = "VE"
    BANK = "BQ"
    CASH = "CA"
    OTHER = "OD"


JOURNAL_NAMES = {
    Journal.SALES: "Ventes",
    Journal.BANK: "Banque",
    Journal.CASH: "Caisse",
    Journal.OTHER: "Opérations diverses",
}


class Account(StrEnum):
    """Accounts of the *plan comptable général*; the value is the CompteNum of the FEC."""

    CUSTOMER = "411"
    # Money that is owed to a customer: prepaid credit until it is used, a deposit until the final invoice deducts it.
    CREDIT = "4191"
    VAT = "44571"
    GOODS = "701"
    SERVICES = "706"
    BANK = "512"
    CASH = "53"
    # Card payments lie here until the acquirer pays them out to the bank.
    CARD = "5115"


ACCOUNT_NAMES = {
    Account.CUSTOMER: "Clients",
    Account.CREDIT: "Clients, avances et acomptes reçus",
    Account.VAT: "TVA collectée",
    Account.GOODS: "Ventes de produits finis",
    Account.SERVICES: "Prestations de services",
    Account.BANK: "Banque",
    Account.CASH: "Caisse",
    Account.CARD: "Cartes à encaisser",
}


class Unbalanced(Invalid):
    """Debit and credit of an entry must be equal and above zero."""


class PostedAlready(Conflict):
    """This has already been posted."""


class Posting(Base):
    """One *écriture*: `no` counts without gaps per seller and year, `key` names its cause."""

    __tablename__ = "postings"
    __table_args__ = (
        UniqueConstraint("seller_id", "year", "no"),
        Index("ix_postings_seller_id_on", "seller_id", "on"),
    )

    id: Mapped[Id]
    seller_id: Mapped[int] = mapped_column(ForeignKey("sellers.id"))
    year: Mapped[int]
    no: Mapped[int]
    journal: Mapped[Journal] = mapped_column(EnumText(Journal))
    on: Mapped[date]
    # Number and date of the document that proves it (PieceRef, PieceDate).
    piece: Mapped[str] = mapped_column(String(60))
    piece_on: Mapped[date]
    text: Mapped[str] = mapped_column(String(200))
    # One cause posts once, whatever is repeated: "invoice:7:issue", "bank:12", "reversal:3".
    key: Mapped[str] = mapped_column(String(120), unique=True)
    posted_at: Mapped[Instant]

    entries: Mapped[list[Entry]] = relationship(order_by="Entry.id", back_populates="posting")


class Entry(Base):
    """One line of a posting: debit or credit, never both. `party` ("org:3", "user:7") is the customer of 411, 4191."""

    __tablename__ = "entries"
    __table_args__ = (
        CheckConstraint("debit_cents >= 0 AND credit_cents >= 0", name="not_negative"),
        CheckConstraint("(debit_cents = 0) <> (credit_cents = 0)", name="one_side"),
        Index("ix_entries_account_party", "account", "party"),
        Index("ix_entries_posting_id", "posting_id"),
    )

    id: Mapped[Id]
    posting_id: Mapped[int] = mapped_column(ForeignKey("postings.id"))
    account: Mapped[Account] = mapped_column(EnumText(Account))
    party: Mapped[str | None] = mapped_column(String(40))
    party_name: Mapped[str | None] = mapped_column(String(200))
    debit_cents: Mapped[Cents] = mapped_column(default=0)
    credit_cents: Mapped[Cents] = mapped_column(default=0)

    posting: Mapped[Posting] = relationship(back_populates="entries")


@dataclass(frozen=True, slots=True)
class Leg:
    """What a posting moves on one account: cents above zero are debit, below zero credit."""

    account: Account
    cents: int
    party: str | None = None
    party_name: str | None = None


def post(
    session: Session,
    *,
    seller: Seller,
    journal: Journal,
    on: date,
    piece: str,
    text: str,
    key: str,
    legs: Iterable[Leg],
    now: datetime,
    piece_on: date | None = None,
) -> Posting:
    """Write one balanced posting, into closed periods too; Unbalanced, or PostedAlready when `key` was used before."""
    moving = [leg for leg in legs if leg.cents]
    difference_cents: int = sum([leg.cents for leg in moving])
    if not moving or difference_cents != 0:
        raise Unbalanced()
    # The number first: its lock makes a twin wait here, and find our key below. A refusal gives the number back.
    no, _ = paper_numbers.take_number(session, seller=seller, paper=Paper.POSTING, on=on)
    if session.scalar(select(Posting.id).where(Posting.key == key)):
        raise PostedAlready()
    posting = Posting(
        seller_id=seller.id,
        year=on.year,
        no=no,
        journal=journal,
        on=on,
        piece=piece,
        piece_on=piece_on or on,
        text=text[:200],
        key=key,
        posted_at=now,
    )
    posting.entries = [_entry(leg) for leg in moving]
    session.add(posting)
    session.flush()
    return posting


def _entry(leg: Leg) -> Entry:
    return Entry(
        account=leg.account,
        party=leg.party,
        party_name=leg.party_name,
        debit_cents=max(leg.cents, 0),
        credit_cents=max(-leg.cents, 0),
    )


def balance_cents(
    session: Session,
    *,
    seller_id: int,
    account: Account,
    party: str | None = None,
    until: date | None = None,
    through: Entry | None = None,
) -> int:
    """Debit less credit in cents: of all customers or of one `party`, up to and with the day `until`.

    Or up to and with the entry `through`, in the order of the statement: by day, then as they were written.
    """
    query = (
        select(func.coalesce(func.sum(Entry.debit_cents - Entry.credit_cents), 0))
        .join(Posting)
        .where(Posting.seller_id == seller_id, Entry.account == account)
    )
    if party is not None:
        query = query.where(Entry.party == party)
    if until is not None:
        query = query.where(Posting.on <= until)
    if through is not None:
        on = through.posting.on
        query = query.where(or_(Posting.on < on, and_(Posting.on == on, Entry.id <= through.id)))
    return int(session.scalar(query) or 0)


def read_entries(session: Session, *, seller_id: int, start: date, end: date) -> Iterator[tuple[Posting, Entry]]:
    """(posting, entry) dated in `[start, end)`, by number, as they come: a year need not fit into the memory.

    The session must live until the last is taken; the rows leave it as soon as nobody holds them.
    """
    query = (
        select(Posting, Entry)
        .join(Entry, Entry.posting_id == Posting.id)
        .where(Posting.seller_id == seller_id, Posting.on >= start, Posting.on < end)
        .order_by(Posting.year, Posting.no, Entry.id)
    )
    for row in session.execute(query.execution_options(yield_per=BATCH)):
        yield row[0], row[1]


@dataclass(frozen=True, slots=True)
class StatementLine:
    """One movement on a customer's account and the balance after it; above zero the customer owes."""

    on: date
    piece: str
    text: str
    cents: int
    balance_cents: int


def read_statement(
    session: Session, *, seller_id: int, party: str, window: PageWindow = FIRST_PAGE
) -> Page[StatementLine]:
    """What a customer was invoiced, credited and paid (account 411): the last first, each page oldest first."""
    query = (
        select(Entry)
        .join(Posting)
        .where(Posting.seller_id == seller_id, Entry.account == Account.CUSTOMER, Entry.party == party)
        .options(contains_eager(Entry.posting))
    )
    page = read_page(session, query, window=window, id=Entry.id, at=Posting.on)
    if not page.rows:
        return page
    # From the balance after the last line backwards: all that came before the lines of this page is in it.
    balance = balance_cents(session, seller_id=seller_id, account=Account.CUSTOMER, party=party, through=page.rows[0])
    lines: list[StatementLine] = []
    for entry in page:
        cents = entry.debit_cents - entry.credit_cents
        lines.append(StatementLine(entry.posting.on, entry.posting.piece, entry.posting.text, cents, balance))
        balance -= cents
    return Page(lines[::-1], previous=page.previous, next=page.next)


# Rows that are read from the database at once.
BATCH = 1000

# The names and their order are set by article A47 A-1 of the *livre des procédures fiscales* (LPF).
FEC_COLUMNS = (
    "JournalCode", "JournalLib", "EcritureNum", "EcritureDate", "CompteNum", "CompteLib", "CompAuxNum", "CompAuxLib",
    "PieceRef", "PieceDate", "EcritureLib", "Debit", "Credit", "EcritureLet", "DateLet", "ValidDate",
    "Montantdevise", "Idevise",
)  # fmt: skip


def export_fec(session: Session, *, seller: Seller, start: date, end: date) -> tuple[str, Iterator[str]]:
    """(file name, lines with their ends) of the *fichier des écritures comptables* of `[start, end)`, in UTF-8.

    Source: LPF A47 A-1: fields by tabs, decimal commas, dates as AAAAMMJJ, and a file that is named by the SIREN and
    the last day of the period.
    """
    last = date.fromordinal(end.toordinal() - 1)
    entries = read_entries(session, seller_id=seller.id, start=start, end=end)
    rows = chain([FEC_COLUMNS], (_fec_row(posting, entry) for posting, entry in entries))
    return f"{seller.siren}FEC{last:%Y%m%d}.txt", ("\t".join(row) + "\r\n" for row in rows)


def _fec_row(posting: Posting, entry: Entry) -> tuple[str, ...]:
    return (
        posting.journal.value,
        JOURNAL_NAMES[posting.journal],
        f"{posting.year}-{posting.no:06d}",
        f"{posting.on:%Y%m%d}",
        entry.account.value,
        ACCOUNT_NAMES[entry.account],
        entry.party or "",
        _clean(entry.party_name or ""),
        posting.piece,
        f"{posting.piece_on:%Y%m%d}",
        _clean(posting.text),
        _comma(entry.debit_cents),
        _comma(entry.credit_cents),
        # Lettering (EcritureLet, DateLet) is not kept: which payment settles which invoice stands in `payments`.
        "",
        "",
        # An entry is final the moment it is posted, so it is validated on that day.
        f"{posting.posted_at:%Y%m%d}",
        # Montantdevise and Idevise: all amounts are in euros.
        "",
        "",
    )


def _comma(cents: int) -> str:
    return f"{cents // 100},{cents % 100:02d}"


def _clean(text: str) -> str:
    """Without tabs and line breaks, which would make a column or a row."""
    return " ".join(text.split())
