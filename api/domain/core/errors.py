"""The errors of the domain, in five families; `api/problems.py` maps the families to status codes of HTTP.

The first paragraph of the docstring of an error is its message to the user, and the English msgid of its translations.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from typing import Any, ClassVar


def N_(text: str) -> str:  # noqa: N802  # gettext's own name for it
    """Marks a text for translation where no reader is known yet; it is translated when it is shown."""
    return text


def fill(text: str, values: Mapping[str, object]) -> str:
    """`text` with its `{placeholders}` replaced; one without a value stays as it is."""
    # `str.format` also obeys widths and reads attributes, which a text or value of somebody else must never ask for.
    return re.sub(r"\{(\w+)\}", lambda match: str(values.get(match[1], match[0])), text)


class DomainError(Exception):
    """This is not possible."""

    # The form field that the error stands beside; `field=` overrides it for one raise.
    field: str | None = None
    # Set on the five families only.
    family: ClassVar[str] = "invalid"

    def __init__(self, *, field: str | None = None, **params: Any) -> None:
        super().__init__(params)
        self.params = params
        if field is not None:
            self.field = field

    @classmethod
    def msgid(cls) -> str:
        """The untranslated message with its `{placeholders}`: first paragraph of the docstring, on one line."""
        first = inspect.cleandoc(cls.__doc__ or cls.__name__).split("\n\n")[0]
        return " ".join(first.split())

    @classmethod
    def code(cls) -> str:
        """`TooManyTriangles` -> `too-many-triangles`: the stable name of this error for machines."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", cls.__name__).lower()

    def __str__(self) -> str:
        return fill(self.msgid(), self.params)


class NotFound(DomainError):
    """This does not exist, or you do not have access to it."""

    family = "not_found"


class NotAllowed(DomainError):
    """You do not have permission to do this."""

    family = "not_allowed"


class Conflict(DomainError):
    """This is no longer possible: someone was faster, or the state has changed."""

    family = "conflict"


class Invalid(DomainError):
    """This value is not valid: check it."""

    family = "invalid"


class Busy(DomainError):
    """Too many requests at once: try again in a moment."""

    family = "busy"


class Stale(Conflict):
    """This has changed in the meantime: reload the page and check."""
