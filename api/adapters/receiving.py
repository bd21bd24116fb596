"""Uploads of one request: measured before the request takes a database connection, and kept together or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from fastapi import Request
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from api.adapters.uploads import Upload, discard_upload, keep_upload, measure_upload
from api.deps import read_first, require_user
from api.domain.people.accounts import User
from api.domain.printing.library import Model
from api.slow_work import UPLOADS


@dataclass
class Batch:
    """Files that have passed the gate, and are stored; `keep` makes them models."""

    request: Request
    uploads: list[Upload] = field(default_factory=list)
    is_kept: bool = False

    async def measure(self, file: UploadFile) -> None:
        """Raises a MeshRefused, or TooMuchWaiting."""
        upload = await UPLOADS.run(self.request, lambda: measure_upload(file.filename or "model.stl", file.file))
        self.uploads.append(upload)

    def keep(self, session: Session, *, owner: User, now: datetime) -> list[Model]:
        self.is_kept = True
        return [keep_upload(session, owner=owner, upload=upload, now=now) for upload in self.uploads]


@asynccontextmanager
async def receive(request: Request, now: datetime) -> AsyncIterator[Batch]:
    """A batch for who is logged in; raises LoginNeeded. Its files go unless they are kept and the block ends well."""

    # Measuring takes seconds of a processor: strangers get none of them.
    await read_first(request, lambda session: require_user(request, session, now))
    batch, is_over = Batch(request), False
    try:
        yield batch
        is_over = True
    finally:
        # An error takes the rows back, but not files.
        if not (batch.is_kept and is_over):
            for upload in batch.uploads:
                await run_in_threadpool(discard_upload, upload)
