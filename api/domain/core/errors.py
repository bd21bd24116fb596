"""The errors of the domain, in five families; `api/problems.py` maps the families to status codes of HTTP.

The first paragraph of the docstring of an error is its message to the user, and the English msgid of its translations.
"""

from __future__ import annotations

import inspect
import re
from typing import Any, ClassVar


class DomainError(Exception):
    """Something went against the rules."""

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
        return self.msgid().format(**self.params)


class NotFound(DomainError):
    """This does not exist, or is not yours."""

    family = "not_found"


class NotAllowed(DomainError):
    """You do not have the right to do this."""

    family = "not_allowed"


class Conflict(DomainError):
    """Somebody else was faster, or the state does not allow it any more."""

    family = "conflict"


class Invalid(DomainError):
    """This cannot be right."""

    family = "invalid"


class Busy(DomainError):
    """Too much at once; try again in a moment."""

    family = "busy"


class Stale(Conflict):
    """This changed in the meantime; look again."""
