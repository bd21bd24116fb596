"""Many rows like one: copied inside the database, so that a hundred thousand take seconds."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import inspect, text
from sqlalchemy.orm import Session


def multiply(session: Session, row: Any, times: int, **values: str | Sequence[Any]) -> list[Any]:
    """Keys of `times` copies of a row. `values` are SQL with `n` (1..times) and `t` (the row), or ids, one per copy."""
    table, (key,), (name_of_key,) = row.__table__, inspect(row).identity, row.__table__.primary_key.columns.keys()
    session.flush()
    texts = {name: value for name, value in values.items() if isinstance(value, str)}
    lists = {name: list(value) for name, value in values.items() if not isinstance(value, str)}
    columns = [each.name for each in table.columns if each.name != name_of_key or name_of_key in values]
    sources = [texts.get(name) or _source(name, lists) for name in columns]
    statement = (
        f"INSERT INTO {table.name} ({', '.join(map(_quoted, columns))}) SELECT {', '.join(sources)} "
        f"FROM {table.name} t CROSS JOIN generate_series(1, :times) n "
        f"WHERE t.{name_of_key} = :key ORDER BY n RETURNING {name_of_key}"
    )
    parameters = {"times": times, "key": key, **{f"v_{name}": value for name, value in lists.items()}}
    return list(session.scalars(text(statement), parameters))


def _source(name: str, lists: dict[str, list[Any]]) -> str:
    return f"(CAST(:v_{name} AS bigint[]))[n]" if name in lists else f"t.{_quoted(name)}"


def _quoted(name: str) -> str:
    return f'"{name}"'
