"""From uploaded files to models: measured in another process, stored as clean copies. A refusal leaves nothing."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import BinaryIO

from sqlalchemy.orm import Session

from api.adapters import files
from api.adapters.measure import measure_untrusted
from api.domain.people.accounts import User
from api.domain.printing.library import Model, add_model
from api.domain.printing.mesh import MATRICES, Measures, Position, Unit


@dataclass(frozen=True)
class Upload:
    """An STL that passed the gate: its clean copy is in the file store, no row knows of it yet."""

    name: str
    # Of the file as it came, by which a repeated upload is known.
    sent_sha256: str
    sha256: str
    stl_key: str
    size_bytes: int
    measures: Measures


def measure_upload(name: str, file: BinaryIO) -> Upload:
    """Measure and store an STL, without a session; raises a MeshRefused that says what is wrong with it."""
    with tempfile.TemporaryDirectory(prefix="etabli-upload-") as folder:
        arrived, clean = Path(folder) / "arrived", Path(folder) / "model.stl"
        with arrived.open("wb") as copy:
            shutil.copyfileobj(file, copy, 1 << 20)
        # Beside the measuring, which is another process: 100 MB take 0.3 s.
        with ThreadPoolExecutor(1) as beside:
            sent_sha256 = beside.submit(_sha256, arrived)
            measures = measure_untrusted(arrived, clean)
        # The upload itself is dropped: what is stored, shown and sliced is our own binary copy.
        return _store(name, sent_sha256.result(), clean, measures)


def measure_turned(name: str, stl_key: str, position: Position) -> Upload:
    """Measure and store a turned copy of a model's file, without a session; raises a MeshRefused."""
    with tempfile.TemporaryDirectory(prefix="etabli-turn-") as folder, files.as_path(stl_key) as drawn:
        clean = Path(folder) / "model.stl"
        measures = measure_untrusted(drawn, clean, turn=MATRICES[position])
        return _store(name, _sha256(drawn), clean, measures)


def _store(name: str, sent_sha256: str, clean: Path, measures: Measures) -> Upload:
    key, size_bytes = files.new_key("models", "stl"), clean.stat().st_size
    files.put(key, clean)
    return Upload(name, sent_sha256, _sha256(clean), key, size_bytes, measures)


def keep_upload(session: Session, *, owner: User, upload: Upload, now: datetime) -> Model:
    """The model of an upload."""
    measures = upload.measures
    x, y, z = measures.size_mm
    unit = measures.likely_unit
    return add_model(
        session,
        owner=owner,
        name=upload.name,
        now=now,
        sha256=upload.sha256,
        stl_key=upload.stl_key,
        bytes=upload.size_bytes,
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


def discard_upload(upload: Upload) -> None:
    files.delete(upload.stl_key)


def _sha256(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
