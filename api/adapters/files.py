"""The file store: files by key, through obstore. A folder by default, S3 and the like by URL."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from uuid import uuid4

import obstore
from obstore.store import LocalStore, ObjectStore, from_url

from api.settings import settings


@lru_cache
def _store() -> ObjectStore:
    url = settings().files_url
    if url:
        return from_url(url)
    folder = _folder()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return LocalStore(prefix=folder)


def _folder() -> Path:
    return (settings().data_dir / "files").resolve()


def free_mb() -> float:
    """What the disk of the installation has left: the store is on it, and what arrives goes there first."""
    return shutil.disk_usage(settings().data_dir).free / 1_000_000


def new_key(kind: str, suffix: str) -> str:
    """`models/1f/1f0c….stl`; never made of a name that a user typed."""
    # Random: nobody can guess a key, and two uploads never meet.
    name = uuid4().hex
    return f"{kind}/{name[:2]}/{name}.{suffix}"


def put(key: str, source: Path | bytes) -> None:
    """Store under `key`; a path is streamed."""
    obstore.put(_store(), key, source)


@contextmanager
def as_path(key: str) -> Iterator[Path]:
    """The file as a readable path: in place when the store is a folder, else a temporary copy."""
    if not settings().files_url:
        yield _folder() / key
        return
    with tempfile.NamedTemporaryFile(suffix=Path(key).suffix) as copy:
        for chunk in obstore.get(_store(), key).stream(min_chunk_size=1 << 20):
            copy.write(chunk)
        copy.flush()
        yield Path(copy.name)


def read(key: str) -> Iterator[bytes]:
    """The file in chunks; raises FileNotFoundError."""
    for chunk in obstore.get(_store(), key).stream(min_chunk_size=1 << 18):
        yield bytes(chunk)


def delete(key: str) -> None:
    """Remove; a key that is not there is fine."""
    # Steps run again after a crash, and then find some of their files deleted already.
    try:
        obstore.delete(_store(), key)
    except FileNotFoundError:
        return
