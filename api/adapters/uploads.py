"""From an uploaded file to a Model: measured in another process, stored as a clean copy. A refusal leaves nothing."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from dataclasses import asdict
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO

from sqlalchemy.orm import Session

from api.adapters import files
from api.adapters.measure import measure_untrusted
from api.domain.people.accounts import User
from api.domain.printing.library import Model, add_model
from api.domain.printing.mesh import Unit


def receive_model(session: Session, *, owner: User, name: str, file: BinaryIO, now: datetime) -> Model:
    """Measure and keep an STL; raises a MeshRefused that says what is wrong with it."""
    with tempfile.TemporaryDirectory(prefix="etabli-upload-") as folder:
        arrived, clean = Path(folder) / "arrived", Path(folder) / "model.stl"
        with arrived.open("wb") as copy:
            shutil.copyfileobj(file, copy, 1 << 20)
        measures = measure_untrusted(arrived, clean)
        # The upload itself is dropped: what is stored, shown and sliced is our own binary copy.
        digest = _sha256(clean)
        key = files.new_key("models", "stl")
        files.put(key, clean)
        size_bytes = clean.stat().st_size
    x, y, z = measures.size_mm
    unit = measures.likely_unit
    return add_model(
        session,
        owner=owner,
        name=name,
        now=now,
        sha256=digest,
        stl_key=key,
        bytes=size_bytes,
        triangles=measures.triangles,
        size_x_mm=x,
        size_y_mm=y,
        size_z_mm=z,
        volume_mm3=measures.volume_mm3,
        area_mm2=measures.area_mm2,
        shells=measures.shells,
        closed=measures.closed,
        measures=asdict(measures) | {"likely_unit": unit},
        suggested_scale=None if unit == Unit.MM else Decimal(str(unit.in_mm)),
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
