"""`/api/v1/models`: upload an STL, read its measures, take it back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response, UploadFile, status
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from api.adapters import files
from api.adapters.receiving import Batch, read_stored, receive
from api.bodies import Body
from api.deps import CurrentUser, DbSession, Idempotent, Now, Paging, cursor_of
from api.domain.printing import mesh
from api.domain.printing.library import Model, delete_model, get_model, list_models, put_in_place
from api.domain.printing.mesh import Position
from api.domain.printing.printers import list_printers

router = APIRouter(prefix="/api/v1/models", tags=["models"])


class SizeOut(BaseModel):
    """Millimetres, as if the file's numbers were millimetres."""

    x: float
    y: float
    z: float


class ModelOut(BaseModel):
    id: int
    name: str = Field(examples=["support-velo.stl"])
    created_at: datetime
    bytes: int
    triangles: int
    size_mm: SizeOut
    volume_mm3: float
    area_mm2: float
    shells: int
    closed: bool = Field(description="False: the mesh has holes; it is printed as the slicer repairs it.")
    floating: int = Field(description="Pieces that begin in mid-air: nothing holds them up while they are printed.")
    likely_unit: str = Field(description="mm, inch or metre: what the numbers look like.", examples=["mm"])
    suggested_scale: float | None = Field(
        description="The `scale` of a job that puts a part right which was drawn in inches or metres.", examples=[25.4]
    )
    fits_printers: list[int] = Field(description="Ids of the printers whose volume takes it at this size.")

    @classmethod
    def of(cls, model: Model, *, volumes: dict[int, tuple[float, float, float]]) -> ModelOut:
        x, y, z = model.size_mm
        return cls(
            id=model.id,
            name=model.name,
            created_at=model.created_at,
            bytes=model.bytes,
            triangles=model.triangles,
            size_mm=SizeOut(x=x, y=y, z=z),
            volume_mm3=model.volume_mm3,
            area_mm2=model.area_mm2,
            shells=model.shells,
            closed=model.closed,
            # Models of older releases were not measured for it.
            floating=int(model.measures.get("floating", 0)),
            likely_unit=str(model.measures.get("likely_unit", "mm")),
            suggested_scale=None if model.suggested_scale is None else float(model.suggested_scale),
            fits_printers=list(mesh.fits(model.size_mm, volumes).printers),
        )


class ModelPage(BaseModel):
    items: list[ModelOut]
    next: str | None = None


def _volumes(session: DbSession) -> dict[int, tuple[float, float, float]]:
    return {printer.id: printer.kind.volume_mm for printer in list_printers(session)}


async def measured_file(request: Request, file: UploadFile, now: Now) -> AsyncIterator[Batch]:
    async with receive(request, now) as batch:
        await batch.measure(file)
        yield batch


# The batch stands before the session: measuring takes seconds, in which no database connection may be held.
@router.post("", status_code=status.HTTP_201_CREATED)
def upload(
    batch: Annotated[Batch, Depends(measured_file)],
    session: DbSession,
    user: CurrentUser,
    now: Now,
    idempotent: Idempotent,
) -> ModelOut:
    """Upload one STL (binary or ASCII, multipart field `file`). 413 above the size limit, 422 says what is wrong."""

    def make() -> ModelOut:
        model = batch.keep(session, owner=user, now=now)[0]
        return ModelOut.of(model, volumes=_volumes(session))

    file = batch.uploads[0]
    return idempotent(ModelOut, make, content=f"{file.name} {file.sent_sha256}")


class TurnIn(Body):
    position: Position = Field(description="The side of the drawing that is down; diagonal: corner to corner.")


async def turned_copy(request: Request, model_id: int, body: TurnIn, now: Now) -> AsyncIterator[Batch]:
    async with receive(request, now) as batch:
        await batch.turn(await read_stored(request, model_id, now), body.position)
        yield batch


@router.post("/{model_id}/turn", status_code=status.HTTP_201_CREATED)
def turn(
    model_id: int,
    batch: Annotated[Batch, Depends(turned_copy)],
    body: TurnIn,
    session: DbSession,
    user: CurrentUser,
    now: Now,
    idempotent: Idempotent,
) -> ModelOut:
    """Lay it on another side: a turned copy takes its place in one's files, with measures of its own."""

    def make() -> ModelOut:
        model = get_model(session, model_id, user=user)
        turned = batch.keep(session, owner=user, now=now)[0]
        put_in_place(session, turned=turned, model=model, actor=user, now=now)
        return ModelOut.of(turned, volumes=_volumes(session))

    return idempotent(ModelOut, make, content=body)


@router.get("")
def list_mine(session: DbSession, user: CurrentUser, window: Paging) -> ModelPage:
    """One's own models, newest first."""
    page, volumes = list_models(session, user=user, window=window), _volumes(session)
    return ModelPage(items=[ModelOut.of(model, volumes=volumes) for model in page], next=cursor_of(page.next))


@router.get("/{model_id}")
def read(model_id: int, session: DbSession, user: CurrentUser) -> ModelOut:
    """One model; another's is 404."""
    return ModelOut.of(get_model(session, model_id, user=user), volumes=_volumes(session))


@router.get("/{model_id}/file", response_class=Response)
def download(model_id: int, session: DbSession, user: CurrentUser) -> StreamingResponse:
    """The clean binary STL."""
    return send_stl(get_model(session, model_id, user=user))


def send_stl(model: Model) -> StreamingResponse:
    """The file of a model that its reader may see."""
    # Somebody's upload, even if we wrote it anew: a browser shall save it and never run anything in it on our origin.
    headers = {
        "Content-Disposition": 'attachment; filename="model.stl"',
        "Content-Length": str(model.bytes),
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Cache-Control": "private, no-store",
    }
    return StreamingResponse(files.read(model.stl_key), media_type="model/stl", headers=headers)


@router.delete("/{model_id}", status_code=status.HTTP_204_NO_CONTENT)
def remove(model_id: int, session: DbSession, user: CurrentUser, now: Now) -> None:
    """Out of sight; jobs that were made from it stay."""
    delete_model(session, model=get_model(session, model_id, user=user), actor=user, now=now)
