"""From an uploaded file to a model: what is kept is our clean copy; what is refused leaves nothing behind."""

from io import BytesIO
from pathlib import Path

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.adapters import files
from api.adapters.uploads import keep_upload, measure_upload
from api.domain.printing import mesh
from api.domain.printing.library import Model
from api.domain.printing.mesh.gate import measure
from tests import corpus
from tests.world import NOW, make_user


def receive(session: Session, content: bytes, name: str = "cube.stl") -> Model:
    upload = measure_upload(name, BytesIO(content))
    return keep_upload(session, owner=make_user(session), upload=upload, now=NOW)


def test_a_cube_is_measured_and_kept(session: Session, data_dir: Path) -> None:
    model = receive(session, corpus.cube(), "C:\\parts\\Würfel.stl")
    assert (model.name, model.size_mm, model.volume_mm3, model.area_mm2) == ("Würfel.stl", (20, 20, 20), 8000, 2400)
    assert (model.triangles, model.shells, model.closed, model.bytes) == (12, 1, True, 684)
    assert "likely_unit" in model.measures


def test_what_is_kept_is_our_own_copy_not_the_strangers_bytes(session: Session, data_dir: Path) -> None:
    model = receive(session, corpus.ascii_cube())
    with files.as_path(model.stl_key) as kept:
        assert kept.read_bytes() != corpus.ascii_cube()
        assert (measure(kept).volume_mm3, kept.stat().st_size) == (8000, model.bytes)


def test_one_shape_written_in_two_ways_is_one_shape(session: Session, data_dir: Path) -> None:
    one, two = receive(session, corpus.cube()), receive(session, corpus.ascii_cube())
    assert one.sha256 == two.sha256
    assert one.stl_key != two.stl_key


def test_a_refused_file_leaves_nothing(session: Session, data_dir: Path) -> None:
    with pytest.raises(mesh.MeshRefused):
        receive(session, b"nothing of a model")
    assert session.scalar(select(func.count(Model.id))) == 0
    assert [path for path in data_dir.rglob("*") if path.is_file()] == []
