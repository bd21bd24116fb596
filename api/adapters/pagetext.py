"""Reads the words that a finished PDF shows and where they stand, from its drawing commands and nothing else.

Refuses to guess: a sign of which the font does not say what it means becomes U+FFFD; invisible text is not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pikepdf

# All that moves, chooses or shows text in what our drawer writes.
OPERATORS = "q Q cm BT ET Tm Tf Tr TJ Tj"
# Any other way to show text; a page that holds one is not read at all.
UNKNOWN = "' \" Td TD T*"
INVISIBLE = 3
# Words on one line of print differ by less, in points.
SAME_LINE_PT = 1.5

Matrix = tuple[float, float, float, float, float, float]


class UnknownDrawing(ValueError):
    """The page shows text in a way that this reader does not know."""


@dataclass(frozen=True, slots=True)
class PageWord:
    """What one text command shows; `x` and `y` in points from the lower left corner of `page` (from 0)."""

    page: int
    x: float
    y: float
    text: str


def read_rows(file: pikepdf.Pdf) -> list[list[PageWord]]:
    """Lines of print from the first page's top to the last one's foot, each from left to right."""
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
    pen = _Pen({name: _signs(font) for name, font in page.Resources.get("/Font", {}).items()})
    for command in pikepdf.parse_content_stream(page, f"{OPERATORS} {UNKNOWN}"):
        operator = str(command.operator)
        if operator in UNKNOWN.split():
            raise UnknownDrawing(operator)
        if operator in {"q", "Q", "cm"}:
            pen.turn(operator, command.operands)
        elif operator != "ET":
            pen.write(operator, command.operands)
        elif pen.shown.strip():
            yield PageWord(number, pen.place[4], pen.place[5], pen.shown)


class _Pen:
    """Where the next text goes, in which font, and what was shown since BT."""

    def __init__(self, fonts: dict[str, dict[bytes, str]]) -> None:
        self.fonts, self.signs, self.mode = fonts, dict[bytes, str](), 0
        self.matrix: Matrix = (1, 0, 0, 1, 0, 0)
        self.kept: list[Matrix] = []
        self.place: Matrix = self.matrix
        self.shown = ""

    def turn(self, operator: str, operands: Any) -> None:
        if operator == "q":
            self.kept.append(self.matrix)
        elif operator == "Q":
            self.matrix = self.kept.pop()
        else:
            self.matrix = _times(_numbers(operands), self.matrix)

    def write(self, operator: str, operands: Any) -> None:
        match operator:
            case "BT":
                self.shown, self.place = "", self.matrix
            case "Tm":
                self.place = _times(_numbers(operands), self.matrix)
            case "Tf":
                self.signs = self.fonts[str(operands[0])]
            case "Tr":
                self.mode = int(operands[0])
            case _ if self.mode != INVISIBLE:
                self.shown += _text(operands[0] if operator == "TJ" else operands, self.signs)


def _numbers(operands: Any) -> Matrix:
    a, b, c, d, e, f = (float(each) for each in operands)
    return a, b, c, d, e, f


def _times(inner: Matrix, outer: Matrix) -> Matrix:
    """PDF 32000-1, 8.3.4: a point goes through `inner` first."""
    a, b, c, d, e, f = inner
    p, q, r, s, t, u = outer
    return a * p + b * r, a * q + b * s, c * p + d * r, c * q + d * s, e * p + f * r + t, e * q + f * s + u


def _text(pieces: Any, signs: dict[bytes, str]) -> str:
    """Two bytes a glyph; the numbers between are distances."""
    codes = b"".join(bytes(piece) for piece in pieces if isinstance(piece, pikepdf.String))
    return "".join(signs.get(codes[at : at + 2], "\ufffd") for at in range(0, len(codes), 2))


def _signs(font: Any) -> dict[bytes, str]:
    """Glyph -> what it means, from the font's own ToUnicode table; what is not in it stays unknown."""
    if "/ToUnicode" not in font:
        return {}
    table = font.ToUnicode.read_bytes().decode("latin-1")
    signs: dict[bytes, str] = {}
    for block in re.findall(r"beginbfchar\s(.*?)endbfchar", table, re.S):
        for glyph, text in re.findall(r"<(\w+)>\s*<(\w+)>", block):
            signs[bytes.fromhex(glyph)] = bytes.fromhex(text).decode("utf-16-be")
    return signs
