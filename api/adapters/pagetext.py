"""Reads the words that a finished PDF shows, and where they stand, from its drawing commands.

Why not with pypdf: docs/decisions/0004-reading-our-own-pdfs.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pikepdf

# All that moves, chooses or shows text in what WeasyPrint writes.
OPERATORS = "q Q cm BT ET Tm Tf Tr TJ Tj"
# Every other command that moves or shows text. A page that holds one is not read at all: we would miss words.
UNKNOWN = "' \" Td TD T*"
# Render mode of text that is neither filled nor stroked (PDF 32000-1, 9.3.6).
INVISIBLE = 3
# Words on one line of print differ in height by less.
SAME_LINE_PT = 1.5

Matrix = tuple[float, float, float, float, float, float]


class UnknownDrawing(ValueError):
    """The page shows text in a way that this reader does not know."""


@dataclass(frozen=True, slots=True)
class PageWord:
    """What one text object (BT .. ET) shows; `x` and `y` in points from the lower left corner of `page` (from 0)."""

    page: int
    x: float
    y: float
    text: str


def read_rows(file: pikepdf.Pdf) -> list[list[PageWord]]:
    """Lines of print in reading order, each from left to right."""
    rows: list[list[PageWord]] = []
    for word in sorted(read_words(file), key=lambda word: (word.page, -word.y)):
        if rows and rows[-1][0].page == word.page and rows[-1][0].y - word.y < SAME_LINE_PT:
            rows[-1].append(word)
        else:
            rows.append([word])
    return [sorted(row, key=lambda word: word.x) for row in rows]


def read_words(file: pikepdf.Pdf) -> list[PageWord]:
    """In the order in which they are drawn."""
    return [word for number, page in enumerate(file.pages) for word in _words(page, number)]


def _words(page: pikepdf.Page, number: int) -> Iterator[PageWord]:
    pen = _Pen({name: _meanings(font) for name, font in page.Resources.get("/Font", {}).items()})
    for command in pikepdf.parse_content_stream(page, f"{OPERATORS} {UNKNOWN}"):
        operator = str(command.operator)
        if operator in UNKNOWN.split():
            raise UnknownDrawing(operator)
        if operator in {"q", "Q", "cm"}:
            pen.transform(operator, command.operands)
        elif operator != "ET":
            pen.write(operator, command.operands)
        elif pen.text.strip():
            yield PageWord(number, pen.place[4], pen.place[5], pen.text)


class _Pen:
    """Where the next text goes, in which font, and the text since BT."""

    def __init__(self, fonts: dict[str, dict[bytes, str]]) -> None:
        self.fonts, self.meanings, self.mode = fonts, dict[bytes, str](), 0
        self.matrix: Matrix = (1, 0, 0, 1, 0, 0)
        self.saved: list[Matrix] = []
        self.place: Matrix = self.matrix
        self.text = ""

    def transform(self, operator: str, operands: Any) -> None:
        if operator == "q":
            self.saved.append(self.matrix)
        elif operator == "Q":
            self.matrix = self.saved.pop()
        else:
            self.matrix = _times(_numbers(operands), self.matrix)

    def write(self, operator: str, operands: Any) -> None:
        match operator:
            case "BT":
                self.text, self.place = "", self.matrix
            case "Tm":
                self.place = _times(_numbers(operands), self.matrix)
            case "Tf":
                self.meanings = self.fonts[str(operands[0])]
            case "Tr":
                self.mode = int(operands[0])
            case _ if self.mode != INVISIBLE:
                self.text += _text(operands[0] if operator == "TJ" else operands, self.meanings)


def _numbers(operands: Any) -> Matrix:
    a, b, c, d, e, f = (float(each) for each in operands)
    return a, b, c, d, e, f


def _times(inner: Matrix, outer: Matrix) -> Matrix:
    """PDF 32000-1, 8.3.4: a point goes through `inner` first."""
    a, b, c, d, e, f = inner
    p, q, r, s, t, u = outer
    return a * p + b * r, a * q + b * s, c * p + d * r, c * q + d * s, e * p + f * r + t, e * q + f * s + u


def _text(pieces: Any, meanings: dict[bytes, str]) -> str:
    # The numbers between the strings are distances. A glyph has two bytes; one without a meaning becomes U+FFFD, which
    # no check takes for a digit.
    codes = b"".join(bytes(piece) for piece in pieces if isinstance(piece, pikepdf.String))
    return "".join(meanings.get(codes[at : at + 2], "\ufffd") for at in range(0, len(codes), 2))


def _meanings(font: Any) -> dict[bytes, str]:
    """Glyph -> text, from the font's own ToUnicode table."""
    if "/ToUnicode" not in font:
        return {}
    table = font.ToUnicode.read_bytes().decode("latin-1")
    meanings: dict[bytes, str] = {}
    for block in re.findall(r"beginbfchar\s(.*?)endbfchar", table, re.S):
        for glyph, text in re.findall(r"<(\w+)>\s*<(\w+)>", block):
            meanings[bytes.fromhex(glyph)] = bytes.fromhex(text).decode("utf-16-be")
    return meanings
