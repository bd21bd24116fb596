"""Reads the text ("ASCII") form of STL, block by block.

Refuses polygons of four corners and all that does not come in whole facets; the names of solids are thrown away unread.
"""

from __future__ import annotations

import io
import re
import warnings

import numpy as np
from numpy.typing import NDArray

from api.domain.printing.mesh.refusals import NotAnStl, NotFinite, NoTriangles, TooManyTriangles, TruncatedText

BLOCK_BYTES = 4 << 20
# How much text may come without a single facet in it (a solid's name, a very long line).
MAX_PROSE_BYTES = 12 << 20
END = b"endfacet"
# In one facet: 12 numbers between these words. E is not looked at, for it is also part of numbers.
NUMBERS = 12
WORDS = b"facet normal outer loop vertex vertex vertex endloop endfacet"
LETTERS = b"abcdfghijklmnopqrstuvwxyz"
ALL_BUT_LETTERS = bytes(set(range(256)) - set(LETTERS))
FRAME = WORDS.translate(None, ALL_BUT_LETTERS)
BLANK = bytes.maketrans(LETTERS + b"\n\t", b" " * (len(LETTERS) + 2))
# A line that names a solid, or ends it. Possessive: a name of many megabytes costs one look.
SOLID_LINE = re.compile(rb"^[ \t]*+(?:end)?solid[^\n]*+", re.MULTILINE)
NO_NUMBER = re.compile(rb"[\s+-](?:nan|inf)")


def parse_text(file: io.BufferedIOBase, *, max_triangles: int) -> NDArray[np.float32]:
    """The corners of all facets as a (9, n) array. Upper case, tabs, CR line ends and many solids in one file are
    all read.

    Raises NoTriangles, NotAnStl, TruncatedText (with the number of the last good triangle) and TooManyTriangles.
    """
    parts: list[NDArray[np.float32]] = []
    rest, found = b"", 0
    while block := file.read(BLOCK_BYTES):
        facets, rest = _cut(rest + block.lower().replace(b"\r", b"\n"))
        parts.append(_parse(facets, found))
        found += parts[-1].shape[1]
        _refuse_odd(rest, found, max_triangles)
    _refuse_rest(rest, found)
    return np.concatenate(parts, axis=1)


def _cut(text: bytes) -> tuple[bytes, bytes]:
    """(whole facets, what comes after the last of them)."""
    end = text.rfind(END) + len(END)
    return (text[:end], text[end:]) if end >= len(END) else (b"", text)


def _parse(facets: bytes, found: int) -> NDArray[np.float32]:
    """Compare the letters alone with those of whole facets, blank them, and read what is left as numbers."""
    text = facets.removeprefix(b"\xef\xbb\xbf")
    if b"solid" in text:
        text = SOLID_LINE.sub(b"", text)
    letters = text.translate(None, ALL_BUT_LETTERS)
    count = len(letters) // len(FRAME)
    if letters != FRAME * count:
        raise NotFinite if NO_NUMBER.search(text) else TruncatedText(announced="?", found=found)
    numbers = _numbers(text.translate(BLANK).replace(b" e", b"  "), found)
    if numbers.size != NUMBERS * count:
        raise TruncatedText(announced="?", found=found)
    with np.errstate(over="ignore"):
        return numbers.reshape(-1, NUMBERS)[:, 3:].T.astype(np.float32, order="C")


def _numbers(text: bytes, found: int) -> NDArray[np.float64]:
    """20 times faster than line by line."""
    if not text or text.isspace():
        return np.empty(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # older numpy warns where newer raises
            return np.fromstring(text, sep=" ")
    except (ValueError, DeprecationWarning) as e:
        raise TruncatedText(announced="?", found=found) from e


def _refuse_odd(rest: bytes, found: int, max_triangles: int) -> None:
    if found > max_triangles:
        raise TooManyTriangles(triangles=found, limit=max_triangles)
    if len(rest) > MAX_PROSE_BYTES:
        raise TruncatedText(announced="?", found=found) if found else NotAnStl()


def _refuse_rest(rest: bytes, found: int) -> None:
    """After the last facet only the ends of solids may come."""
    prose = SOLID_LINE.sub(b"", rest).strip()
    if prose and (found or b"facet" in prose):
        raise TruncatedText(announced="?", found=found)
    if prose:
        raise NotAnStl
    if not found:
        raise NoTriangles
