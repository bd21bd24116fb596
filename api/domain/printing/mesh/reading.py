"""Opens an STL file and hands out its triangles in chunks that fit the processor's cache."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from api.domain.printing.mesh.refusals import (
    AttributeData,
    EmptyFile,
    NotAnStl,
    NoTriangles,
    OtherFormat,
    ThreeMf,
    TooManyTriangles,
    Truncated,
    WrongTriangleCount,
)
from api.domain.printing.mesh.text import parse_text

Source = Path | bytes
# Nine rows (x y z of three corners) by one column per triangle, 32-bit as in the file.
Corners = NDArray[np.float32]

# 9 x 8,192 numbers stay in the cache; the pass is 2 to 8 times slower at 65,536 (measured).
CHUNK = 8_192
HEADER_BYTES = 84
FACET = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")])
# What else people upload, by its first bytes.
FORMATS = {
    b"\x89PNG": "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"GIF8": "GIF",
    b"%PDF": "PDF",
    b"glTF": "glTF",
    b"ISO-10303-21": "STEP",
    b"ply\n": "PLY",
    b"ply\r": "PLY",
    b"mtllib": "OBJ",
    b"v ": "OBJ",
    b"OFF": "OFF",
    b"<!doctype html": "HTML",
    b"<html": "HTML",
    b"\x1f\x8b": "gzip",
    b"7z\xbc\xaf": "7z",
    b"Rar!": "RAR",
}


@dataclass(frozen=True, slots=True)
class Facets:
    """A file that looks like an STL of `count` triangles; each call of `chunks` reads them again.

    A chunk is valid only until the next one is read: its buffer is used again.
    """

    count: int
    is_ascii: bool
    chunks: Callable[[], Iterator[Corners]]


def read_stl(source: Source, *, max_triangles: int) -> Facets:
    """Decide by content what the file is; raises a MeshRefused that names what is wrong.

    Binary if its length is 84 + 50 × its count, or a few bytes more that are no triangle.
    """
    with _open(source) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        head = file.read(4096)
    # The length decides, never the word "solid", which also begins the header of binary files. A file with fewer or
    # more triangles than it announces is always refused: a cut upload and a broken exporter look alike, and half a part
    # helps nobody.
    announced = int.from_bytes(head[80:84], "little")
    over = size - HEADER_BYTES - FACET.itemsize * announced
    if len(head) >= HEADER_BYTES and over == 0:
        return _binary(source, announced, max_triangles)
    if _is_text_stl(head):
        return _text(source, max_triangles)
    _refuse_attributes(head, announced, over)
    # A line feed or padding behind the last triangle: nothing of the part is missing.
    if announced and 0 < over < FACET.itemsize and _looks_binary_stl(head):
        return _binary(source, announced, max_triangles)
    raise _what_it_is(head, size)


def _open(source: Source) -> io.BufferedIOBase:
    return io.BytesIO(source) if isinstance(source, bytes) else source.open("rb")


def _binary(source: Source, count: int, max_triangles: int) -> Facets:
    if count == 0:
        raise NoTriangles
    if count > max_triangles:
        raise TooManyTriangles(triangles=count, limit=max_triangles)
    return Facets(count, False, lambda: _binary_chunks(source, count))


def _binary_chunks(source: Source, count: int) -> Iterator[Corners]:
    # Read, not mapped: a file cut while it is mapped kills the process, and mapped pages count as its memory.
    buffer = np.empty(min(CHUNK, count), FACET)
    corners = np.empty((9, len(buffer)), np.float32)
    with _open(source) as file:
        file.seek(HEADER_BYTES)
        for first in range(0, count, CHUNK):
            facets = buffer[: count - first]
            if file.readinto(facets.view(np.uint8).data) < facets.nbytes:
                raise Truncated(announced=count, found=first)
            chunk = corners[:, : len(facets)]
            chunk[...] = facets["corners"].reshape(-1, 9).T
            yield chunk


def _text(source: Source, max_triangles: int) -> Facets:
    with _open(source) as file:
        corners = parse_text(file, max_triangles=max_triangles)
    return Facets(corners.shape[1], True, lambda: _slices(corners))


def _slices(corners: Corners) -> Iterator[Corners]:
    for first in range(0, corners.shape[1], CHUNK):
        yield corners[:, first : first + CHUNK].copy()


def _is_text_stl(head: bytes) -> bool:
    # No zero byte either: the count of a binary file always has one below 16 million triangles.
    is_solid = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:5].lower() == b"solid"
    return is_solid and b"\0" not in head.rstrip(b"\0")


def _refuse_attributes(head: bytes, announced: int, over: int) -> None:
    """Raises AttributeData when each facet is followed by as many bytes as its attribute says."""
    first = head[: HEADER_BYTES + FACET.itemsize]
    attribute = int.from_bytes(first[-2:], "little")
    if attribute and over == announced * attribute and _looks_binary_stl(first):
        raise AttributeData


def _what_it_is(head: bytes, size: int) -> NotAnStl | EmptyFile | Truncated | WrongTriangleCount:
    """The error to raise for a file that is neither a whole binary STL nor a text one."""
    if not size:
        return EmptyFile()
    # A 3MF is a zip.
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return ThreeMf(format="3MF")
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()[:16].lower()
    for magic, name in FORMATS.items():
        if head.startswith(magic) or start.startswith(magic.lower()):
            return OtherFormat(format=name)
    # Exporters begin an OBJ file with comments; its corners come soon after.
    if start.startswith(b"#") and re.search(rb"^v[ \t]+[-\d.]", head, re.MULTILINE):
        return OtherFormat(format="OBJ")
    return _what_is_wrong(head, size) if _looks_binary_stl(head) else NotAnStl()


def _what_is_wrong(head: bytes, size: int) -> Truncated | WrongTriangleCount:
    announced = int.from_bytes(head[80:84], "little")
    count, over = divmod(size - HEADER_BYTES, FACET.itemsize)
    # Cut in the middle of a triangle, or with more than half of it there: most likely an upload that broke off.
    if announced > count and (over or announced - count < count):
        return Truncated(announced=announced, found=count)
    return WrongTriangleCount(announced=announced, found=count)


def _looks_binary_stl(head: bytes) -> bool:
    """At least one whole triangle, whose numbers are of a size that a model has, and normals not longer than one."""
    body = head[HEADER_BYTES:]
    facets = np.frombuffer(body, FACET, count=len(body) // FACET.itemsize)
    with np.errstate(all="ignore"):
        normals, corners = np.abs(facets["normal"]), np.abs(facets["corners"])
        usual = (corners == 0) | ((corners > 1e-12) & (corners < 1e6))
    return bool(len(facets) and np.all(normals < 1.01) and np.mean(usual) > 0.9)
