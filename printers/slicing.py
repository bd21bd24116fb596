"""The background step that makes one slice: fetch the model, slice it, keep the G-code, update the jobs."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import structlog
from sqlalchemy import select

from api.adapters import files
from api.db import transaction
from api.domain.core.base import ForbiddenMove
from api.domain.core.errors import Busy, DomainError, Stale
from api.domain.pricing.materials import Material
from api.domain.printing.beds import MachineFacts
from api.domain.printing.configurations import list_allowed_lines
from api.domain.printing.jobs import JobSlice, settle_job
from api.domain.printing.mesh import fits
from api.domain.printing.slices import MOST_ATTEMPTS, Slice, begin_attempt, mark_failed, mark_ready
from api.settings import settings
from printers.configuration import parse_settings, read_margins
from printers.profile import MachineSpec, MaterialSpec, gcode_limits, render_profile
from printers.sandbox import SandboxLimits
from printers.slicer import SlicedPlate, SliceTooComplex, SlicingInterrupted, slice_model

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
    """Make the slice if it is still wanted, then settle the jobs that need it.

    Running twice is harmless: the second result is dropped.
    """
    task = _begin(slice_id)
    if task is not None:
        _make(slice_id, task)
    # Also when another worker has made it: that one may have died before it came to the jobs.
    settle_jobs(slice_id)


def _begin(slice_id: int) -> SliceTask | None:
    now = datetime.now(UTC)
    with transaction() as session:
        slice_ = begin_attempt(session, slice_id=slice_id, now=now)
        if slice_ is None:
            return None
        if slice_.attempts <= MOST_ATTEMPTS:
            lines = list_allowed_lines(session, slice_.kind)
            return _read_task(slice_, tuple(allowed.line for allowed in lines))
        # Each attempt before ended without a word, with its worker: it would take the next one along, too.
        mark_failed(session, slice_=slice_, code=SliceTooComplex.code(), params={}, again=False, now=now)
        return None


def _make(slice_id: int, task: SliceTask) -> None:
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
    except OSError as error:  # above all a full disk, which staff free without knowing of this slice
        log.exception("slicing interrupted", slice=slice_id)
        _record_failure(slice_id, SlicingInterrupted(reason=type(error).__name__))
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


def _read_task(slice_: Slice, extra_lines: tuple[str, ...] = ()) -> SliceTask:
    config_ini = slice_.kind.config_ini
    machine, material = machine_spec(slice_.kind.machine, config_ini, extra_lines), material_spec(slice_.material)
    x, y, z = (side * float(slice_.scale) for side in slice_.model.size_mm)
    # PrusaSlicer arranges copies but never turns a part that would fit only the other way round.
    turned = fits((x, y, z), {slice_.kind_id: slice_.kind.volume_mm}).printers.get(slice_.kind_id, False)
    return SliceTask(
        stl_key=slice_.model.stl_key,
        profile_ini=render_profile(machine, material, slice_.quality, config_ini or None),
        machine=machine,
        scale=float(slice_.scale),
        copies=slice_.copies,
        turned=turned,
    )


def machine_spec(machine: MachineFacts, config_ini: str, extra_lines: tuple[str, ...]) -> MachineSpec:
    """Of a machine that is sliced for with this configuration of staff's ("" for ours), and the lines it may hold."""
    margins_mm = read_margins(parse_settings(config_ini), machine.bed)
    return MachineSpec(
        machine.bed,
        machine.height_mm,
        nozzle_mm=float(machine.nozzle_mm),
        margins_mm=margins_mm,
        extra_lines=extra_lines,
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
    except TOO_LATE:
        files.delete(gcode_key)  # another worker was faster, and its G-code is the one that the row names


def _record_failure(slice_id: int, error: DomainError) -> None:
    now = datetime.now(UTC)
    try:
        with transaction() as session:
            slice_ = session.get_one(Slice, slice_id)
            # A missing slicer or a time-out of a busy machine may pass; a model that cannot be sliced stays so.
            is_missing = isinstance(error, Busy)
            again = is_missing or (isinstance(error, SliceTooComplex) and slice_.attempts < MOST_ATTEMPTS)
            # What failed before the slicer saw the model is no attempt at it.
            slice_.attempts = 0 if is_missing else slice_.attempts
            mark_failed(session, slice_=slice_, code=error.code(), params=error.params, again=again, now=now)
    except TOO_LATE:
        log.info("another worker was faster", slice=slice_id)


def settle_jobs(slice_id: int) -> None:
    """Let each job that needs this slice price and queue itself, or be rejected."""
    with transaction() as session:
        query = select(JobSlice.job_id).where(JobSlice.slice_id == slice_id).order_by(JobSlice.job_id)
        job_ids = list(session.scalars(query))
    # One transaction each: what goes wrong with one job may take neither the slice nor the other jobs back with it.
    for job_id in job_ids:
        try:
            with transaction() as session:
                settle_job(session, job_id=job_id, now=datetime.now(UTC))
        except Exception:  # the sweep tries again, and staff are shown the job meanwhile
            log.exception("job not settled", job=job_id, slice=slice_id)
