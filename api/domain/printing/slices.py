"""Slices: the G-code of one model, profile, scale and number of copies; made once, shared by all who need the same.

No slicer runs here: `printers/slicing.py` does that, and records here what came of it.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Numeric, String, select
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from api.domain.core.base import Base, EnumText, Id, Instant, advance
from api.domain.core.changes import enqueue, record
from api.domain.pricing.materials import LAYER_MM, Material, Quality
from api.domain.printing.library import Model
from api.domain.printing.printers import PrinterKind

# Raise when the profiles that printers/ renders change: old G-code is then not reused.
PROFILE_VERSION = 1


class SliceStatus(StrEnum):
    PENDING = "pending"
    READY = "ready"
    FAILED = "failed"


# What failed for a passing reason (`error["again"]`) may be asked for once more.
NEXT = {
    SliceStatus.PENDING: frozenset({SliceStatus.READY, SliceStatus.FAILED}),
    SliceStatus.FAILED: frozenset({SliceStatus.PENDING}),
}


class Slice(Base):
    """`fingerprint` hashes all that decides the G-code; seconds, grams and bytes (`size`) are of the whole plate."""

    __tablename__ = "slices"
    __table_args__ = (
        CheckConstraint("copies > 0", name="copies"),
        CheckConstraint("status <> 'ready' OR (seconds > 0 AND gcode_key <> '')", name="ready"),
    )

    id: Mapped[Id]
    fingerprint: Mapped[str] = mapped_column(String(64), unique=True)
    model_id: Mapped[int] = mapped_column(ForeignKey("models.id"), index=True)
    kind_id: Mapped[int] = mapped_column(ForeignKey("printer_kinds.id"))
    material_id: Mapped[int] = mapped_column(ForeignKey("materials.id"))
    quality: Mapped[Quality] = mapped_column(EnumText(Quality))
    scale: Mapped[Decimal] = mapped_column(Numeric(8, 4))
    copies: Mapped[int]
    status: Mapped[SliceStatus] = mapped_column(EnumText(SliceStatus), default=SliceStatus.PENDING)
    seconds: Mapped[int] = mapped_column(default=0)
    grams: Mapped[Decimal] = mapped_column(Numeric(10, 2), default=0)
    gcode_key: Mapped[str] = mapped_column(String(200), default="")
    size: Mapped[int] = mapped_column(BigInteger, default=0)
    # SHA-1 because that is the hash that OctoPrint gives for its files: an upload is compared with it.
    sha1: Mapped[str] = mapped_column(String(40), default="")
    # Why it failed: the name of a domain error and its parameters, shown in the reader's language.
    error: Mapped[dict[str, Any] | None] = mapped_column(JSONB)
    created_at: Mapped[Instant]
    ended_at: Mapped[Instant | None]

    model: Mapped[Model] = relationship()
    kind: Mapped[PrinterKind] = relationship()
    material: Mapped[Material] = relationship()


def recipe_fingerprint(
    *, model: Model, kind: PrinterKind, material: Material, quality: Quality, scale: Decimal, copies: int
) -> str:
    """One hash of all that decides the G-code, and the printer kind; equal for two uploads of the same shape."""
    # Decimals are normalized: 0.40 from the table and 0.4 from a form are the same nozzle.
    facts = {
        "version": PROFILE_VERSION,
        "kind": kind.id,  # a job has one slice per kind, also of two kinds that measure the same
        "model": model.sha256,
        "volume_mm": kind.volume_mm,
        "nozzle_mm": str(kind.nozzle_mm.normalize()),
        "config": hashlib.sha256(kind.config_ini.encode()).hexdigest(),
        "material": [
            material.code,
            str(material.density_g_cm3.normalize()),
            material.nozzle_c,
            material.bed_c,
            str(material.max_flow_mm3_s.normalize()),
        ],
        "layer_mm": str(LAYER_MM[quality]),
        "scale": str(scale.normalize()),
        "copies": copies,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def request_slice(
    session: Session,
    *,
    model: Model,
    kind: PrinterKind,
    material: Material,
    quality: Quality,
    scale: Decimal,
    copies: int,
    now: datetime,
) -> Slice:
    """The slice for these facts: the one that there is, or a new one whose making is enqueued in this transaction."""
    fingerprint = recipe_fingerprint(
        model=model, kind=kind, material=material, quality=quality, scale=scale, copies=copies
    )
    # Two members may ask for the same at once: one inserts, the other finds the row of the first.
    session.execute(
        insert(Slice)
        .values(
            fingerprint=fingerprint,
            model_id=model.id,
            kind_id=kind.id,
            material_id=material.id,
            quality=quality,
            scale=scale,
            copies=copies,
            created_at=now,
        )
        .on_conflict_do_nothing(index_elements=[Slice.fingerprint])
    )
    slice_ = session.scalars(select(Slice).where(Slice.fingerprint == fingerprint)).one()
    if slice_.status == SliceStatus.FAILED and slice_.error and slice_.error.get("again"):
        advance(session, slice_, SliceStatus.PENDING, moves=NEXT, status=Slice.status, error=None)
    # Also for one that waits already: its step may have been lost, and a twin in the queue is not added.
    if slice_.status == SliceStatus.PENDING:
        enqueue_slice(session, slice_.id)
    return slice_


def enqueue_slice(session: Session, slice_id: int) -> None:
    enqueue(session, "slice", once=f"slice:{slice_id}", slice_id=slice_id)


def mark_ready(
    session: Session,
    *,
    slice_: Slice,
    seconds: int,
    grams: Decimal,
    gcode_key: str,
    size: int,
    sha1: str,
    now: datetime,
) -> None:
    """The slicer succeeded and our own check of its G-code passed. Raises Stale when another worker was first."""
    advance(
        session,
        slice_,
        SliceStatus.READY,
        moves=NEXT,
        status=Slice.status,
        seconds=seconds,
        grams=grams,
        gcode_key=gcode_key,
        size=size,
        sha1=sha1,
        ended_at=now,
    )
    record(session, noun="slice", noun_id=slice_.id, verb="ready", now=now, seconds=seconds, grams=str(grams))


def mark_failed(
    session: Session, *, slice_: Slice, code: str, params: dict[str, Any], again: bool, now: datetime
) -> None:
    """It cannot be sliced; `again` says that a later try may help (a time-out of a busy machine, a missing slicer)."""
    error = {"code": code, "params": {key: str(value) for key, value in params.items()}, "again": again}
    advance(session, slice_, SliceStatus.FAILED, moves=NEXT, status=Slice.status, error=error, ended_at=now)
    record(session, noun="slice", noun_id=slice_.id, verb="failed", now=now, code=code)
