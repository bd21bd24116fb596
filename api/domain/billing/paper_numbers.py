"""Numbers of papers, without gaps: one counter row per seller, kind of paper and year.

The law wants the numbers of invoices to be unique, chronological and continuous: CGI ann. II art. 242 nonies A, since
September 2026 CIBS L. 216-33 and following.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum

from sqlalchemy import ForeignKey, UniqueConstraint, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from api.domain.billing.sellers import Seller
from api.domain.core.base import Base, EnumText, Id


class Paper(StrEnum):
    """Kinds of paper that count on their own. Credit notes and deposits are invoices; POSTING counts the ledger."""

    INVOICE = "invoice"
    QUOTE = "quote"
    ORDER = "order"
    DELIVERY_NOTE = "delivery_note"
    POSTING = "posting"


# Of *devis*, *commande*, *livraison* and *écriture*; invoices have the prefix of their seller.
LETTERS = {Paper.QUOTE: "D", Paper.ORDER: "C", Paper.DELIVERY_NOTE: "L", Paper.POSTING: "E"}


class PaperCounter(Base):
    """The last number that was taken in `year`."""

    __tablename__ = "paper_counters"
    __table_args__ = (UniqueConstraint("seller_id", "paper", "year"),)

    id: Mapped[Id]
    seller_id: Mapped[int] = mapped_column(ForeignKey("sellers.id"))
    paper: Mapped[Paper] = mapped_column(EnumText(Paper))
    year: Mapped[int]
    last: Mapped[int]


def take_number(session: Session, *, seller: Seller, paper: Paper, on: date) -> tuple[int, str]:
    """The next (count, number) of the year of `on`. Holds the counter's lock until the transaction ends."""
    # A row instead of a sequence of the database: a sequence keeps the number of a transaction that rolled back, which
    # leaves a gap. The price is that whoever comes second waits for the first one's commit.
    count = session.execute(
        insert(PaperCounter)
        .values(seller_id=seller.id, paper=paper, year=on.year, last=1)
        .on_conflict_do_update(
            index_elements=[PaperCounter.seller_id, PaperCounter.paper, PaperCounter.year],
            set_={"last": PaperCounter.last + 1},
        )
        .returning(PaperCounter.last)
        .execution_options(synchronize_session=False)  # no PaperCounter is ever loaded into a session
    ).scalar_one()
    return count, format_number(seller, paper, on, count)


def peek_number(session: Session, *, seller: Seller, paper: Paper, on: date) -> int:
    """What the next count would be if nobody else took it first: for a dry run only."""
    query = select(PaperCounter.last).where(
        PaperCounter.seller_id == seller.id, PaperCounter.paper == paper, PaperCounter.year == on.year
    )
    return (session.scalar(query) or 0) + 1


def format_number(seller: Seller, paper: Paper, on: date, count: int) -> str:
    """F2026-00042: of one length up to 99 999 a year, so that the number of a dry run can stand in for the real one."""
    prefix = seller.prefix if paper is Paper.INVOICE else LETTERS[paper]
    return f"{prefix}{on.year}-{count:05d}"
