"""How a verb locks what it decides by: a row, read anew; or a name, where there is no row yet.

Locks end with the transaction. A verb takes them itself, before it decides: its caller may have read long ago.
"""

from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from api.domain.core.base import Base
from api.domain.core.errors import DomainError

UNIQUE_VIOLATION = "23505"


def lock_row(session: Session, row: Base) -> None:
    """Lock the row and read it again; raises InvalidRequestError when it is gone.

    Without reading again, a value that is set to what this session has read before would not be written at all.
    """
    session.flush()  # else reading again would forget what was set and not written yet
    # FOR NO KEY UPDATE: a foreign key to the row would wait for a FOR UPDATE. `of`: what is joined stays free.
    session.refresh(row, with_for_update={"key_share": True, "of": type(row)})


def lock_name(session: Session, name: str) -> None:
    """One transaction at a time: the second waits, and then sees what the first has written. `name` is "noun:key"."""
    session.execute(select(func.pg_advisory_xact_lock(func.hashtext(name))))


def share_name(session: Session, name: str) -> None:
    """Many at once, but none beside who has `lock_name`."""
    session.execute(select(func.pg_advisory_xact_lock_shared(func.hashtext(name))))


def add_unique(session: Session, row: Base, refusal: DomainError) -> None:
    """Insert a row whose unique index decides between two at once: the second waits, and raises `refusal`."""
    try:
        with session.begin_nested():
            session.add(row)
    except IntegrityError as error:
        if getattr(error.orig, "sqlstate", None) != UNIQUE_VIOLATION:
            raise
        raise refusal from error
