"""The check of the hash chain: it reads every invoice that was ever issued, so the background makes it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, select
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from api.domain.billing.invoices.table import list_chain_breaks
from api.domain.billing.sellers import Seller
from api.domain.core.base import Base, Instant


class ChainCheck(Base):
    """The last check of a seller: when, and the numbers at which the chain is broken."""

    __tablename__ = "chain_checks"

    seller_id: Mapped[int] = mapped_column(ForeignKey("sellers.id"), primary_key=True)
    checked_at: Mapped[Instant]
    breaks: Mapped[list[str]] = mapped_column(JSONB)


def check_chains(session: Session, *, now: datetime) -> None:
    """Check the chain of every seller and keep what came of it, for the pages."""
    for seller_id in session.scalars(select(Seller.id).order_by(Seller.id)):
        values = {"checked_at": now, "breaks": list_chain_breaks(session, seller_id=seller_id)}
        row = insert(ChainCheck).values(seller_id=seller_id, **values)
        session.execute(row.on_conflict_do_update(index_elements=[ChainCheck.seller_id], set_=values))


def find_chain_check(session: Session, *, seller_id: int) -> ChainCheck | None:
    """None for a seller that came after the last round."""
    return session.get(ChainCheck, seller_id)
