"""Canonical JSON of dataclasses, and the dataclasses back from it: how issued documents are kept.

Equal values give equal text, so that a hash of the text is a hash of the document.
"""

from __future__ import annotations

import hashlib
import json
import types
from dataclasses import fields, is_dataclass
from datetime import date
from decimal import Decimal
from enum import StrEnum
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def freeze(value: Any) -> str:
    """Keys sorted, no spaces, decimals and dates as text; raises TypeError as `pack` does."""
    return json.dumps(pack(value), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def thaw(text: str, shape: type[T]) -> T:
    """The inverse of `freeze` for a dataclass `shape`."""
    value: T = _read(json.loads(text), shape)
    return value


def digest(previous: str, text: str) -> str:
    """One link of a hash chain: SHA-256 of the link before and of the frozen text."""
    return hashlib.sha256(f"{previous}\n{text}".encode()).hexdigest()


def pack(value: Any) -> Any:
    """As plain JSON values; raises TypeError for a float, and for any type not listed here."""
    if is_dataclass(value):
        return {each.name: pack(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, Decimal):
        # As text: a JSON number would be read back as a float, and 0.1 is no float.
        return str(value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, tuple | list):
        return [pack(each) for each in value]
    if value is None or isinstance(value, str | int):
        return value
    raise TypeError(f"{type(value).__name__} cannot be frozen")


# Resolving the annotations of a class evaluates them, and a document has hundreds of values of few classes.
@cache
def _hints(shape: type) -> dict[str, Any]:
    return get_type_hints(shape)


def _read(value: Any, shape: Any) -> Any:
    if get_origin(shape) in {types.UnionType, Union}:
        if value is None:
            return None
        # Documents have no other unions than `X | None`.
        return _read(value, next(each for each in get_args(shape) if each is not type(None)))
    if get_origin(shape) is tuple:
        return tuple(_read(each, get_args(shape)[0]) for each in value)
    if is_dataclass(shape) and isinstance(shape, type):
        hints = _hints(shape)
        # A field that the class has lost since is passed over; one that it has gained takes its default.
        return shape(**{name: _read(each, hints[name]) for name, each in value.items() if name in hints})
    if shape is date:
        return date.fromisoformat(value)
    if isinstance(shape, type) and issubclass(shape, Decimal | StrEnum):
        return shape(value)
    return value
