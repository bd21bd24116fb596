"""Reads the text ("ASCII") form of STL, block by block.

Only whole facets of three corners are taken; the names of solids are thrown away unread.
"""

from __future__ import annotations

import io
import re
import warnings

import numpy as np
from numpy.typing import NDArray

from api.domain.printing.mesh.refusals import (
    DecimalComma,
    NotAnStl,
    NotFinite,
    NoTriangles,
    TooManyTriangles,
    TruncatedText,
)

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
# The three numbers of a normal, whatever they are: exporters write nan, inf or -1.#IND for a facet without area, and
# normals are computed anew from the corners.
NORMAL = re.compile(rb"(facet\s+normal)\s+\S+\s+\S+\s+\S+")
# What some exporters write behind a facet, on its line.
BEHIND = re.compile(rb"(?<=endfacet)[ \t]+(?!\s*facet)((?!facet|vertex|solid)[^\n])+(?=\n|$)")
DECIMAL_COMMA = re.compile(rb"\d,\d")
# Padding that editors, mailers and old systems leave at the end of a file.
PADDING = b" \t\n\0\x1a"


def parse_text(file: io.BufferedIOBase, *, max_triangles: int) -> NDArray[np.float32]:
    """The corners of all facets as a (9, n) array. Upper case, tabs, CR line ends and several solids are read too.

    Raises NoTriangles, NotAnStl, NotFinite, TruncatedText (with the number of the last good triangle) and
    TooManyTriangles.
    """
    parts: list[NDArray[np.float32]] = []
    rest, total = b"", 0
    while block := file.read(BLOCK_BYTES):
        facets, rest = _cut(rest + block.lower().replace(b"\r", b"\n"))
        parts.append(_parse(facets, total))
        total += parts[-1].shape[1]
        _refuse_odd(rest, total, max_triangles)
    _refuse_rest(rest, total)
    return np.concatenate(parts, axis=1)


def _cut(text: bytes) -> tuple[bytes, bytes]:
    """(whole facets, what comes after the last of them)."""
    end = text.rfind(END) + len(END)
    return (text[:end], text[end:]) if end >= len(END) else (b"", text)


def _parse(facets: bytes, total: int) -> NDArray[np.float32]:
    """Compare the letters alone with those of whole facets, blank them, and read what is left as numbers."""
    text = facets.removeprefix(b"\xef\xbb\xbf")
    if b"solid" in text:
        text = SOLID_LINE.sub(b"", text)
    # One comparison for the whole block: anything but whole facets in order leaves other letters.
    if not _is_framed(text):
        text = BEHIND.sub(b"", NORMAL.sub(rb"\1 0 0 0", text))
        if not _is_framed(text):
            raise NotFinite if NO_NUMBER.search(text) else TruncatedText(announced="?", found=total)
    if b"," in text and DECIMAL_COMMA.search(text):
        raise DecimalComma
    count = text.count(END)
    numbers = _numbers(text.translate(BLANK).replace(b" e", b"  "), total)
    if numbers.size != NUMBERS * count:
        raise TruncatedText(announced="?", found=total)
    # A number beyond 32 bits becomes infinite here and is refused by its name in the gate.
    with np.errstate(over="ignore"):
        return numbers.reshape(-1, NUMBERS)[:, 3:].T.astype(np.float32, order="C")


def _is_framed(text: bytes) -> bool:
    letters = text.translate(None, ALL_BUT_LETTERS)
    return letters == FRAME * (len(letters) // len(FRAME))


def _numbers(text: bytes, total: int) -> NDArray[np.float64]:
    # One call for the whole block is 20 times faster than one per line.
    if not text or text.isspace():
        return np.empty(0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", DeprecationWarning)  # older numpy warns where newer raises
            return np.fromstring(text, sep=" ")
    except (ValueError, DeprecationWarning) as e:
        raise TruncatedText(announced="?", found=total) from e


def _refuse_odd(rest: bytes, total: int, max_triangles: int) -> None:
    if total > max_triangles:
        raise TooManyTriangles(triangles=total, limit=max_triangles)
    if len(rest) > MAX_PROSE_BYTES:
        raise TruncatedText(announced="?", found=total) if total else NotAnStl()


def _refuse_rest(rest: bytes, total: int) -> None:
    """Raises the error of the file, if anything but the ends of solids comes after the last facet.

    Behind the end of a solid there may be anything that is no facet, such as the footer of a web page.
    """
    prose = SOLID_LINE.sub(b"", rest).strip(PADDING)
    is_closed = total and b"endsolid" in rest and b"facet" not in prose
    if prose and not is_closed and (total or b"facet" in prose):
        raise TruncatedText(announced="?", found=total)
    if prose and not is_closed:
        raise NotAnStl
    if not total:
        raise NoTriangles
