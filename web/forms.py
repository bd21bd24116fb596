"""A form as it was sent: the values typed, and one error beside each field. Refuses to know what is right."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Annotated, Any

from fastapi import Depends, Request
from sqlalchemy.orm import Session
from starlette.datastructures import FormData, UploadFile

from api.domain.core.errors import DomainError, NotFound
from api.problems import status_of
from web.render import text_for


class Form:
    """`form["email"]` is what was typed (""), `form.errors` what is wrong with it, translated."""

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

    def typed(self, name: str) -> str:
        """Exactly as typed: a password may begin with a space."""
        value = self.data.get(name, "")
        return value if isinstance(value, str) else ""

    def file(self, name: str) -> UploadFile | None:
        value = self.data.get(name)
        return value if isinstance(value, UploadFile) and value.filename else None

    def int(self, name: str, *, otherwise: int = 0) -> int:
        """A whole number, or `otherwise`: verbs refuse what is out of their range."""
        try:
            return int(self[name])
        except ValueError:
            return otherwise

    def refuse(self, error: DomainError, *, field: str | None = None) -> None:
        """Put the error beside its field; one of no field stands above the form, under ""."""
        self.errors[field or error.field or ""] = text_for(self.request, error.msgid(), error.params)
        self.status = status_of(error)


@contextmanager
def trying(session: Session, form: Form) -> Iterator[None]:
    """Do the verb in a savepoint; when it refuses, nothing of it stays and the form holds the error.

    What is not there for this person stays 404: that is no mistake in a form.
    """
    try:
        with session.begin_nested():
            yield
    except NotFound:
        raise
    except DomainError as error:
        form.refuse(error)


async def read_form(request: Request) -> AsyncIterator[Form]:
    """The uploaded files in it are closed, and gone from the disk, when the answer is."""
    async with request.form() as data:
        yield Form(request, data)


Sent = Annotated[Form, Depends(read_form)]
