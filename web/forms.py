"""A form as it was sent: the typed values, and one error beside each field. What is right, the verbs decide."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import Depends, Request
from sqlalchemy.orm import Session
from starlette.datastructures import FormData, UploadFile

from api.bounds import id_of
from api.domain.core.errors import DomainError, NotFound
from api.problems import status_of
from web.render import text_for

MOST_NUMBER = 2**31


class Form:
    """`form["email"]` is the typed value or "", `form.errors` what is wrong with it, translated."""

    def __init__(self, request: Request, data: FormData | dict[str, Any] | None = None) -> None:
        self.request = request
        self.data: Any = data if data is not None else {}
        self.errors: dict[str, str] = {}
        self.status = 200

    def __getitem__(self, name: str) -> str:
        value = self.data.get(name, "")
        return value.strip() if isinstance(value, str) else ""

    def get(self, name: str, otherwise: str = "") -> str:
        return self[name] or otherwise

    def all(self, name: str) -> list[str]:
        """All values of a field that may be sent several times."""
        # The form of a first visit holds a plain dict, without lists of values.
        return [str(each) for each in self.data.getlist(name)] if hasattr(self.data, "getlist") else []

    def ids(self, name: str) -> list[int]:
        """The ids that were ticked; what is no id is left out."""
        return [number for text in self.all(name) if (number := id_of(text)) is not None]

    def typed(self, name: str) -> str:
        """The value with its spaces at both ends, which may be part of a password."""
        value = self.data.get(name, "")
        return value if isinstance(value, str) else ""

    def file(self, name: str) -> UploadFile | None:
        value = self.data.get(name)
        return value if isinstance(value, UploadFile) and value.filename else None

    def int(self, name: str, *, otherwise: int = 0) -> int:
        """A whole number, or `otherwise`; the range is checked by the verb."""
        try:
            number = int(self[name])
        except ValueError:
            return otherwise
        # Beyond it the number fits no column, and no sum with a date.
        return number if abs(number) < MOST_NUMBER else otherwise

    def refuse(self, error: DomainError, *, field: str | None = None) -> None:
        """Put the error beside its field; an error without a field is kept under "", above the form."""
        self.errors[field or error.field or ""] = text_for(self.request, error.msgid(), error.params)
        self.status = status_of(error)


@contextmanager
def trying(session: Session, form: Form) -> Iterator[None]:
    """Run a verb in a savepoint; when it refuses, its writes and steps are undone and the form holds the error."""
    try:
        with session.begin_nested():
            yield
    except NotFound:  # what is not there for this person is no mistake in a form: the page is a 404
        raise
    except DomainError as error:
        form.refuse(error)


async def read_form(request: Request) -> AsyncIterator[Form]:
    # The end of this block closes the uploaded files, which deletes them from the disk.
    async with request.form() as data:
        yield Form(request, data)


Sent = Annotated[Form, Depends(read_form)]
