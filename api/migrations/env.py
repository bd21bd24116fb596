"""Runs migrations on the caller's connection, or on the database of the settings; one process at a time."""

from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection, text

from api.db import engine
from api.domain.core.base import EnumText, Utc
from api.tables import load_tables

ONE_AT_A_TIME = 0x657461626C69  # "etabli"; the lock ends with the transaction.


def is_ours(name: str | None, kind: str, parents: Any) -> bool:
    """Procrastinate's tables have no model: they come from its SQL (revision 0000)."""
    return not (kind == "table" and name and name.startswith("procrastinate_"))


def as_stored(kind: str, item: Any, context: Any) -> str | Literal[False]:
    """A revision must not change with our Python types: write down what the database stores."""
    if kind == "type" and isinstance(item, Utc):
        return "sa.DateTime(timezone=True)"
    if kind == "type" and isinstance(item, EnumText):
        return "sa.String(40)"
    return False


def migrate(connection: Connection, target_metadata: Any = None) -> None:
    context.configure(
        connection=connection, target_metadata=target_metadata, include_name=is_ours, render_item=as_stored
    )
    with context.begin_transaction():
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ONE_AT_A_TIME})
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:  # The alembic command: `revision --autogenerate` compares with the models.
    with engine().begin() as own:
        migrate(own, load_tables())
