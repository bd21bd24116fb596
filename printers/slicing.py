"""The background step that makes one slice: fetch the model, slice it, keep the G-code, update the jobs."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.adapters import files
from api.db import transaction
from api.domain.core.base import ForbiddenMove
from api.domain.core.errors import Busy, DomainError, Stale
from api.domain.pricing.materials import Material
from api.domain.printing.jobs import Job, JobSlice, settle_slices
from api.domain.printing.mesh import fits
from api.domain.printing.printers import PrinterKind
from api.domain.printing.slices import Slice, SliceStatus, mark_failed, mark_ready
from api.settings import settings
from printers.profile import MachineSpec, MaterialSpec, gcode_limits, render_profile
from printers.sandbox import SandboxLimits
from printers.slicer import SlicedPlate, SliceTooComplex, slice_model

log = structlog.get_logger()

# Another worker made the slice meanwhile: before we looked, or between our look and our write.
TOO_LATE = (ForbiddenMove, Stale)


@dataclass(frozen=True)
class SliceTask:
    """One slice to make, as plain facts: no row is held while the slicer works."""

    stl_key: str
    profile_ini: str
    machine: MachineSpec
    scale: float
    copies: int
    turned: bool


def make_slice(slice_id: int) -> None:
    """Make the slice if it is still wanted. Running twice is harmless: the second result is dropped."""
    with transaction() as session:
        slice_ = session.get(Slice, slice_id)
        if slice_ is None or slice_.status != SliceStatus.PENDING:
            return
        task = _read_task(slice_)
    try:
        with tempfile.TemporaryDirectory(prefix="etabli-slice-") as folder, files.as_path(task.stl_key) as stl:
            sliced = _run(task, stl, Path(folder))
            # Before the row: a crash in between leaves a file that nobody reads, and not a row without its file.
            gcode_key = files.new_key("gcode", "gcode")
            files.put(gcode_key, sliced.gcode)
    except DomainError as error:
        log.info("not sliced", slice=slice_id, code=error.code())
        _record_failure(slice_id, error)
        return
    _record_success(slice_id, sliced, gcode_key)


def _run(task: SliceTask, stl: Path, folder: Path) -> SlicedPlate:
    return slice_model(
        stl,
        task.profile_ini,
        machine=gcode_limits(task.machine),
        out_dir=folder,
        scale=task.scale,
        copies=task.copies,
        turned=task.turned,
        limits=SandboxLimits(wall_s=settings().slice_wall_s),
    )


def _read_task(slice_: Slice) -> SliceTask:
    machine, material = machine_spec(slice_.kind), material_spec(slice_.material)
    x, y, z = (side * float(slice_.scale) for side in slice_.model.size_mm)
    # PrusaSlicer arranges copies but never turns a part that would fit only the other way round.
    turned = fits((x, y, z), {slice_.kind_id: slice_.kind.volume_mm}).printers.get(slice_.kind_id, False)
    return SliceTask(
        stl_key=slice_.model.stl_key,
        profile_ini=render_profile(machine, material, slice_.quality, slice_.kind.config_ini or None),
        machine=machine,
        scale=float(slice_.scale),
        copies=slice_.copies,
        turned=turned,
    )


def machine_spec(kind: PrinterKind) -> MachineSpec:
    return MachineSpec(
        width_mm=kind.width_mm, depth_mm=kind.depth_mm, height_mm=kind.height_mm, nozzle_mm=float(kind.nozzle_mm)
    )


def material_spec(material: Material) -> MaterialSpec:
    return MaterialSpec(
        code=material.code,
        density_g_cm3=material.density_g_cm3,
        nozzle_c=material.nozzle_c,
        bed_c=material.bed_c,
        first_nozzle_c=material.nozzle_c,
        first_bed_c=material.bed_c,
        flow_max_mm3_s=float(material.max_flow_mm3_s),
        cost_per_kg=Decimal(material.price_per_kg),
    )


def _record_success(slice_id: int, sliced: SlicedPlate, gcode_key: str) -> None:
    now = datetime.now(UTC)
    try:
        with transaction() as session:
            mark_ready(
                session,
                slice_=session.get_one(Slice, slice_id),
                seconds=sliced.seconds,
                grams=sliced.grams,
                gcode_key=gcode_key,
                size=sliced.size,
                sha1=sliced.sha1,
                now=now,
            )
            update_jobs(session, slice_id, now)
    except TOO_LATE:
        files.delete(gcode_key)  # another worker was faster, and its G-code is the one that the row names


def _record_failure(slice_id: int, error: DomainError) -> None:
    # A missing slicer or a time-out of a busy machine may pass; a model that cannot be sliced stays so.
    again = isinstance(error, Busy | SliceTooComplex)
    now = datetime.now(UTC)
    with contextlib.suppress(*TOO_LATE), transaction() as session:
        slice_ = session.get_one(Slice, slice_id)
        mark_failed(session, slice_=slice_, code=error.code(), params=error.params, again=again, now=now)
        update_jobs(session, slice_id, now)


def update_jobs(session: Session, slice_id: int, now: datetime) -> None:
    """Let each job that needs this slice price and queue itself, or be rejected."""
    # In the order of their ids, so that two workers with the same jobs cannot lock them crosswise.
    jobs = session.scalars(select(Job).join(JobSlice).where(JobSlice.slice_id == slice_id).order_by(Job.id))
    for job in jobs.unique():
        settle_slices(session, job=job, now=now)
