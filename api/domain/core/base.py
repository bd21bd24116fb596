"""What all tables share: metadata, names of constraints, column types, and `advance`, which moves a status."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from sqlalchemy import BigInteger, DateTime, Dialect, Identity, MetaData, String, TypeDecorator, inspect, update
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute, Session, mapped_column
from sqlalchemy.orm.attributes import set_committed_value

from api.domain.core.errors import Conflict, Stale

# Left to PostgreSQL, names would differ between installations, and a migration can only drop what it can name.
NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Utc(TypeDecorator[datetime]):
    """`timestamptz` that raises ValueError on naive datetimes and is read as UTC, whatever the session's time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise ValueError("a naive datetime is no instant")
        return value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.astimezone(UTC) if value is not None else None


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMING)


E = TypeVar("E", bound=StrEnum)


class EnumText(TypeDecorator[E]):
    """A StrEnum stored as text: adding a status needs no migration, and psql stays readable."""

    impl = String(40)
    cache_ok = True

    def __init__(self, enum: type[E]) -> None:
        super().__init__()
        self.enum = enum

    def process_bind_param(self, value: E | str | None, dialect: Dialect) -> str | None:
        return None if value is None else self.enum(value).value

    def process_result_value(self, value: str | None, dialect: Dialect) -> E | None:
        return None if value is None else self.enum(value)


Id = Annotated[int, mapped_column(BigInteger, Identity(), primary_key=True)]
Instant = Annotated[datetime, mapped_column(Utc())]
Cents = Annotated[int, mapped_column(BigInteger)]


class ForbiddenMove(Conflict):
    """This is no longer possible: the state has changed. Reload the page."""


def advance(
    session: Session,
    row: Any,
    new: StrEnum,
    *,
    moves: Mapping[Any, frozenset[Any]],
    status: InstrumentedAttribute[Any],
    **values: Any,
) -> None:
    """Move `row` to status `new`, and set `values` with it.

    Raises ForbiddenMove when `moves` does not allow it, Stale when another transaction moved the row first.
    """
    old = getattr(row, status.key)
    if new not in moves.get(old, frozenset()):
        raise ForbiddenMove(old=old, new=new)
    table = type(row)
    columns = [attribute.key for attribute in inspect(table).column_attrs]
    # The old status stands in the WHERE: of two transactions that both read it, the second to write finds no row.
    # Without this it would silently overwrite the move of the first.
    moved = session.execute(
        update(table)
        .where(table.id == row.id, status == old)
        .values({status.key: new, **values})
        .returning(*(getattr(table, key) for key in columns))
        .execution_options(synchronize_session=False)
    ).one_or_none()
    if moved is None:
        raise Stale()
    # What RETURNING gave stands in for a refresh, which would be another query; relations stay loaded.
    for key, value in zip(columns, moved, strict=True):
        set_committed_value(row, key, value)
