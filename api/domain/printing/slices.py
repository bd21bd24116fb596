"""Slices: the G-code of one model, profile, scale and number of copies; made once, shared by all who need the same.

No slicer runs here: `printers/slicing.py` does that, and records here what came of it.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Any

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Numeric, String, func, select
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from api.domain.core.base import Base, EnumText, Id, Instant, advance
from api.domain.core.changes import enqueue, record
from api.domain.pricing.materials import LAYER_MM, Material, Quality
from api.domain.printing.kinds import PrinterKind
from api.domain.printing.library import Model

# Raise when what printers/ gives to the slicer changes: old G-code, and old refusals, are then not reused.
PROFILE_VERSION = 3
# A time-out may be the fault of a busy machine; the same model is not sliced more often than this, nor by a worker
# that never came back from it.
MOST_ATTEMPTS = 3
# What failed for a passing reason is tried again after so long.
RETRY_AFTER = timedelta(minutes=5)


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
    # Of the latest attempt; `attempts` counts those since it was last requested by a person.
    started_at: Mapped[Instant | None]
    attempts: Mapped[int] = mapped_column(default=0)
    ended_at: Mapped[Instant | None]

    @property
    def is_hopeless(self) -> bool:
        """Whether it failed, and will not be tried again."""
        return self.status == SliceStatus.FAILED and not (self.error and self.error.get("again"))

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
        "machine_mm": [kind.width_mm, kind.depth_mm, kind.height_mm, kind.bed_form, kind.bed_x_mm, kind.bed_y_mm],
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
    """The slice for these facts: the one that there is, or a new one whose making is enqueued in this transaction.

    It is locked (FOR SHARE) until the transaction ends.
    """
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
    slice_ = _lock_wanted(session, fingerprint)
    # Also for one that waits already: its step may have been lost, and a twin in the queue is not added.
    if slice_.status == SliceStatus.PENDING:
        enqueue_slice(session, slice_.id)
    return slice_


def _lock_wanted(session: Session, fingerprint: str) -> Slice:
    """The slice, locked; pending again where it failed for a passing reason."""
    query = select(Slice).where(Slice.fingerprint == fingerprint).execution_options(populate_existing=True)
    slice_ = session.scalars(query).one()
    if slice_.status == SliceStatus.FAILED and not slice_.is_hopeless:
        slice_ = session.scalars(query.with_for_update(of=Slice)).one()
        if slice_.status == SliceStatus.FAILED:
            advance(session, slice_, SliceStatus.PENDING, moves=NEXT, status=Slice.status, error=None, attempts=0)
    # The worker that ends it looks for the jobs that wait for it. Without the lock it could do so after we read
    # "pending" and before our job can be seen: nobody would ever tell that job.
    return session.scalars(query.with_for_update(read=True, of=Slice)).one()


def enqueue_slice(session: Session, slice_id: int) -> None:
    enqueue(session, "slice", once=f"slice:{slice_id}", slice_id=slice_id)


def begin_attempt(session: Session, *, slice_id: int, now: datetime) -> Slice | None:
    """Count an attempt at a pending slice; None when there is nothing to make."""
    # Two at once both count: without `populate_existing` it would be locked, but not read again.
    slice_ = session.get(Slice, slice_id, with_for_update=True, populate_existing=True)
    if slice_ is None or slice_.status != SliceStatus.PENDING:
        return None
    slice_.attempts, slice_.started_at = slice_.attempts + 1, now
    session.flush()
    return slice_


def enqueue_lost(session: Session, *, wall_s: float, now: datetime) -> None:
    """Enqueue slices whose step is lost (no attempt within `wall_s`), and those that failed for a passing reason."""
    query = select(Slice).order_by(Slice.id).limit(100).with_for_update(skip_locked=True, of=Slice)
    failed = query.where(
        Slice.status == SliceStatus.FAILED,
        Slice.error["again"].as_boolean(),
        Slice.ended_at < now - RETRY_AFTER,
    )
    for slice_ in session.scalars(failed):
        advance(session, slice_, SliceStatus.PENDING, moves=NEXT, status=Slice.status, error=None)
        enqueue_slice(session, slice_.id)
    # If a step only waits in a long queue, its name keeps a twin out.
    since = func.coalesce(Slice.started_at, Slice.created_at)
    lost = query.where(Slice.status == SliceStatus.PENDING, since < now - timedelta(seconds=wall_s))
    for slice_ in session.scalars(lost):
        enqueue_slice(session, slice_.id)


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
