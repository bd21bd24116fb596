"""Files by key: in our folder by default, in any store that obstore knows by URL; the same from outside."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.adapters import files
from tests.installation import forget_caches


@pytest.fixture(params=["folder", "url"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The default folder, and a store behind a URL (here also a folder, but we must not know that)."""
    monkeypatch.setenv("ETABLI_DATA_DIR", str(tmp_path / "data"))
    if request.param == "url":
        (tmp_path / "bucket").mkdir()
        monkeypatch.setenv("ETABLI_FILES_URL", (tmp_path / "bucket").as_uri())
    forget_caches()
    yield request.param
    forget_caches()


def test_what_was_put_is_read_again_and_gone_after_deletion(store: str) -> None:
    key = files.new_key("models", "stl")
    files.put(key, b"x" * 600_000)
    assert b"".join(files.read(key)) == b"x" * 600_000
    files.delete(key)
    with pytest.raises(FileNotFoundError):
        b"".join(files.read(key))


def test_a_file_is_stored_as_a_path_and_given_as_a_path(store: str, tmp_path: Path) -> None:
    source = tmp_path / "part.gcode"
    source.write_bytes(b"G28\n")
    files.put("gcode/ab/part.gcode", source)
    with files.as_path("gcode/ab/part.gcode") as path:
        assert (path.read_bytes(), path.suffix) == (b"G28\n", ".gcode")


def test_deleting_what_is_not_there_is_fine(store: str) -> None:
    kept = files.new_key("models", "stl")
    files.put(kept, b"solid")
    files.delete(files.new_key("models", "stl"))
    assert b"".join(files.read(kept)) == b"solid"


def test_keys_are_random_and_hold_no_words_of_a_user() -> None:
    one, two = files.new_key("models", "stl"), files.new_key("models", "stl")
    assert one != two
    kind, shelf, name = one.split("/")
    assert (kind, name[:2], name[-4:], len(name)) == ("models", shelf, ".stl", 36)
