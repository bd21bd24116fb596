"""What is sliced in tests: small binary STL files (boxes, balls, prisms), three filaments, and a usual printer."""

from __future__ import annotations

import math
from decimal import Decimal
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from printers.profile import MachineSpec, MaterialSpec

Triangles = NDArray[np.float32]

GENERIC_220 = MachineSpec()
PLA = MaterialSpec("PLA", Decimal("1.24"), 210, 60, 215, 60, 11, cost_per_kg=Decimal(22))
PETG = MaterialSpec("PETG", Decimal("1.27"), 240, 80, 235, 80, 8, 30, 50, cost_per_kg=Decimal(25))
TPU = MaterialSpec("TPU", Decimal("1.21"), 225, 50, 225, 50, 2.5, 50, 80, cost_per_kg=Decimal(35))
MATERIALS = {material.code: material for material in (PLA, PETG, TPU)}


def write_stl(path: Path, triangles: Triangles) -> Path:
    records = np.zeros(len(triangles), [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
    records["corners"] = triangles
    path.write_bytes(bytes(80) + len(triangles).to_bytes(4, "little") + records.tobytes())
    return path


def box(path: Path, x: float, y: float, z: float) -> Path:
    return prism(path, [(0, 0), (x, 0), (x, y), (0, y)], z)


def prism(path: Path, outline: list[tuple[float, float]], z: float) -> Path:
    """A convex outline, counterclockwise, raised to `z`."""
    low = [(x, y, 0.0) for x, y in outline]
    high = [(x, y, z) for x, y in outline]
    faces = []
    for i in range(1, len(outline) - 1):
        faces += [(low[0], low[i + 1], low[i]), (high[0], high[i], high[i + 1])]
    for i in range(len(outline)):
        j = (i + 1) % len(outline)
        faces += [(low[i], low[j], high[j]), (low[i], high[j], high[i])]
    return write_stl(path, np.array(faces, np.float32))


def regular(corners: int, radius: float) -> list[tuple[float, float]]:
    return [
        (radius * math.cos(math.tau * i / corners), radius * math.sin(math.tau * i / corners)) for i in range(corners)
    ]


def ball(path: Path, radius: float, *, rings: int = 24) -> Path:
    theta = np.linspace(0, math.pi, rings + 1)
    phi = np.linspace(0, math.tau, 2 * rings, endpoint=False)

    def at(i: int, j: int) -> tuple[float, float, float]:
        t, p = theta[i], phi[j % len(phi)]
        if i in (0, rings):
            return (0.0, 0.0, radius * (1 if i == 0 else -1))
        return (radius * math.sin(t) * math.cos(p), radius * math.sin(t) * math.sin(p), radius * math.cos(t))

    faces = []
    for i in range(rings):
        for j in range(len(phi)):
            a, b, c, d = at(i, j), at(i + 1, j), at(i + 1, j + 1), at(i, j + 1)
            faces += [(a, b, c)] * (i < rings - 1) + [(a, c, d)] * (i > 0)
    return write_stl(path, np.array(faces, np.float32))
