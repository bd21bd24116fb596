"""Uploads of one request: measured before the request takes a database connection, and kept together or not at all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from fastapi import Request
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from api.adapters.files import free_mb
from api.adapters.uploads import Upload, discard_upload, keep_upload, measure_turned, measure_upload
from api.deps import read_first, require_user
from api.domain.core.errors import Conflict, NotFound
from api.domain.people.accounts import User
from api.domain.printing.library import Model, get_model, stored_bytes
from api.domain.printing.mesh import Position
from api.problems import DiskFull
from api.settings import settings
from api.slow_work import UPLOADS

MB = 1_000_000


class TooManyFiles(Conflict):
    """Your files take more than {limit_mb} MB together: remove some of them first; their room is free after a day."""

    field = "file"


@dataclass(frozen=True)
class ModelFile:
    """What is to be known of a model when it is turned: nothing of it needs a session."""

    name: str
    stl_key: str
    size_bytes: int


@dataclass
class Batch:
    """Files that have passed the gate, and are stored; `keep` makes them models."""

    # Of this person, with those of the batch.
    stored_bytes: int
    uploads: list[Upload] = field(default_factory=list)
    is_kept: bool = False

    async def measure(self, file: UploadFile) -> None:
        """Raises a MeshRefused, TooMuchWaiting, or TooManyFiles."""
        await self._add(file.size or 0, lambda: measure_upload(file.filename or "model.stl", file.file))

    async def turn(self, model: ModelFile, position: Position) -> None:
        """Add a turned copy of it; raises what `measure` does."""
        await self._add(model.size_bytes, lambda: measure_turned(model.name, model.stl_key, position))

    async def _add(self, size_bytes: int, make: Callable[[], Upload]) -> None:
        if self.stored_bytes + size_bytes > settings().files_limit_mb * MB:
            raise TooManyFiles(limit_mb=settings().files_limit_mb)
        upload = await UPLOADS.run(make)
        self.uploads.append(upload)
        self.stored_bytes += upload.size_bytes

    def keep(self, session: Session, *, owner: User, now: datetime) -> list[Model]:
        self.is_kept = True
        return [keep_upload(session, owner=owner, upload=upload, now=now) for upload in self.uploads]


@asynccontextmanager
async def receive(request: Request, now: datetime) -> AsyncIterator[Batch]:
    """A batch for who is logged in; its files go unless they are kept and the block ends well.

    Raises LoginNeeded, and DiskFull before the disk is: letters, prints and the database need the rest.
    """

    def read(session: Session) -> int:
        return stored_bytes(session, user=require_user(request, session, now), now=now)

    # Measuring takes seconds of a processor: strangers get none of them.
    batch, is_over = Batch(await read_first(request, read)), False
    if free_mb() < settings().disk_floor_mb:
        raise DiskFull()
    try:
        yield batch
        is_over = True
    finally:
        # An error takes the rows back, but not files.
        if not (batch.is_kept and is_over):
            for upload in batch.uploads:
                await run_in_threadpool(discard_upload, upload)


async def read_stored(request: Request, model_id: int, now: datetime) -> ModelFile:
    """Of a model that its reader may use; NotFound for another's, and for one whose file is gone.

    Also of one that was deleted: a request that is repeated with its key still finds what it turned the first time.
    """

    def read(session: Session) -> ModelFile:
        model = get_model(session, model_id, user=require_user(request, session, now), deleted_too=True)
        if model.purged_at is not None:
            raise NotFound()
        return ModelFile(model.name, model.stl_key, model.bytes)

    return await read_first(request, read)
