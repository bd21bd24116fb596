"""The background step that tries a configuration of staff: a cube in three materials and three qualities."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy.orm import Session

from api.db import transaction
from api.domain.core.errors import Busy, DomainError
from api.domain.pricing.materials import Quality, list_materials
from api.domain.printing.beds import Bed
from api.domain.printing.configurations import (
    ConfigurationStatus,
    KindConfiguration,
    finish_trial,
    list_allowed_lines,
    settle,
)
from printers.drawing import draw_plate
from printers.profile import MachineSpec, MaterialSpec, gcode_limits, render_profile
from printers.sandbox import SandboxLimits
from printers.slicer import slice_model
from printers.slicing import machine_spec, material_spec

log = structlog.get_logger()

CUBE_MM = 20.0
# A cube takes two seconds; a machine that is busy takes longer.
WALL_S = 120.0
# Those that behave most unlike each other, if they are offered.
_MATERIALS = ("PLA", "PETG", "TPU")


@dataclass(frozen=True)
class TrialTask:
    """What to try, as plain facts: no row is held while the slicer works."""

    config_ini: str
    machine: MachineSpec
    materials: tuple[MaterialSpec, ...]


def try_configuration(configuration_id: int) -> None:
    """Make the nine test slices of a configuration that waits for them; running twice is harmless."""
    task = _begin(configuration_id)
    if task is None:
        return
    try:
        tries, drawing = slice_cubes(task)
    except Busy as error:
        # The sweep asks again: what is in use stays.
        log.warning("configuration not tried", configuration=configuration_id, code=error.code())
        return
    with transaction() as session:
        configuration = session.get_one(KindConfiguration, configuration_id)
        finish_trial(session, configuration=configuration, tries=tries, drawing=drawing, now=datetime.now(UTC))


def slice_cubes(task: TrialTask) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """`KindConfiguration.tries` and `.drawing` of a trial. Raises Busy when there is no slicer now."""
    drawing: dict[str, Any] = {"outline": task.machine.bed.outline()}
    tries = [_record_of(task, material, quality, drawing) for material, quality in product(task.materials, Quality)]
    return tries, drawing


def choose_materials(session: Session) -> tuple[MaterialSpec, ...]:
    """Three that are offered, those that behave most unlike each other first."""
    offered = sorted(list_materials(session), key=lambda material: material.code not in _MATERIALS)
    return tuple(material_spec(material) for material in offered[: len(_MATERIALS)])


def _begin(configuration_id: int) -> TrialTask | None:
    with transaction() as session:
        configuration = session.get(KindConfiguration, configuration_id)
        if configuration is None or configuration.status != ConfigurationStatus.TRYING:
            return None
        kind = configuration.kind
        try:
            machine = settle(session, configuration)
        except DomainError:
            machine = configuration.facts  # `finish_trial` says what is wrong
        lines = tuple(allowed.line for allowed in list_allowed_lines(session, kind))
        return TrialTask(
            config_ini=configuration.config_ini,
            machine=machine_spec(machine, configuration.config_ini, lines),
            materials=choose_materials(session),
        )


def _record_of(task: TrialTask, material: MaterialSpec, quality: Quality, drawing: dict[str, Any]) -> dict[str, Any]:
    """One entry of `KindConfiguration.tries`; the first slice that succeeds adds what it draws to the picture."""
    names = {"material": material.code, "quality": quality.value}
    with tempfile.TemporaryDirectory(prefix="etabli-trial-") as folder:
        try:
            plate = slice_model(
                write_cube(Path(folder) / "cube.stl"),
                render_profile(task.machine, material, quality, task.config_ini),
                machine=gcode_limits(task.machine),
                out_dir=Path(folder),
                limits=SandboxLimits(wall_s=WALL_S),
            )
        except Busy:
            raise
        except DomainError as error:
            return {**names, "code": error.code(), "params": {key: str(value) for key, value in error.params.items()}}
        if "part" not in drawing:
            drawing.update(draw_plate(plate.gcode))
        return {**names, "seconds": plate.seconds, "grams": str(plate.grams)}


def write_cube(path: Path) -> Path:
    """A binary STL of CUBE_MM."""
    facets = [struct.pack("<12fH", 0, 0, 0, *a, *b, *c, 0) for a, b, c in _cube_facets(Bed(CUBE_MM, CUBE_MM))]
    path.write_bytes(bytes(80) + struct.pack("<I", len(facets)) + b"".join(facets))
    return path


Corner = tuple[float, float, float]


def _cube_facets(base: Bed) -> Iterator[tuple[Corner, Corner, Corner]]:
    low: list[Corner] = [(x, y, 0.0) for x, y in base.outline()]
    high: list[Corner] = [(x, y, CUBE_MM) for x, y in base.outline()]
    yield from [(low[0], low[2], low[1]), (low[0], low[3], low[2])]
    yield from [(high[0], high[1], high[2]), (high[0], high[2], high[3])]
    for here, there in ((0, 1), (1, 2), (2, 3), (3, 0)):
        yield low[here], low[there], high[there]
        yield low[here], high[there], high[here]
