"""Reads the start and end scripts of a PrusaSlicer configuration: conditions, placeholders, and where they move to."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from api.domain.printing.beds import Bed, BedForm

# {an expression}, [a name] or [a name[of a name]]: what PrusaSlicer replaces by a value.
PLACEHOLDER = re.compile(r"\{[^{}\n]*\}|\[[^\[\]\n]*(?:\[[^\[\]\n]*\][^\[\]\n]*)*\]")
_CONDITION = re.compile(r"\{\s*(if|elsif|else|endif)\b[^{}]*\}")
# A script with more branches than this in one condition is nobody's machine.
_MOST_BRANCHES = 20

Margins = tuple[float, float, float, float]
NO_MARGINS: Margins = (0.0, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class ScriptLine:
    """One line as some branch of the conditions gives it; `number` counts the lines of the script from 1."""

    number: int
    text: str

    @property
    def command(self) -> str:
        """Without its comment and the space around."""
        return self.text.partition(";")[0].strip()

    @property
    def filled(self) -> str:
        """With 0 where PrusaSlicer will put a value."""
        return PLACEHOLDER.sub("0", self.text).strip()


@dataclass
class _Choice:
    """A condition: its branches, of which the last is empty where there is no `else`."""

    branches: list[list[_Node]] = field(default_factory=lambda: [[]])
    has_else: bool = False

    def branch(self, number: int) -> list[_Node]:
        branches = self.branches if self.has_else else [*self.branches, []]
        return branches[min(number, len(branches) - 1)]


# A piece of text with the number of its first line, or a condition.
_Node = tuple[int, str] | _Choice


def read_script(value: str) -> list[ScriptLine]:
    """The lines of a script as it stands in a configuration; each branch of each condition is taken once."""
    text = re.sub(r'(?<!\\)";"', r"\\n", re.sub(r'^"|"$', "", value))
    text = text.replace("\\n", "\n").replace('\\"', '"').replace("\\\\", "\\")
    tree, widest = _parse(text)
    lines = (line for number in range(min(widest, _MOST_BRANCHES)) for line in _lines(_take(tree, number)))
    return sorted(dict.fromkeys(lines), key=lambda line: line.number)


def _parse(text: str) -> tuple[list[_Node], int]:
    """The tree of conditions, and the number of branches of the widest one."""
    tree: list[_Node] = []
    open_choices: list[_Choice] = []
    here, at, widest = tree, 0, 1
    for match in _CONDITION.finditer(text):
        here.append((text.count("\n", 0, at) + 1, text[at : match.start()]))
        at, word = match.end(), match[1]
        if word == "if":
            choice = _Choice()
            here.append(choice)
            open_choices.append(choice)
        elif not open_choices:
            continue  # one word too many: the slicer will say so
        elif word == "endif":
            open_choices.pop()
        else:
            open_choices[-1].branches.append([])
            open_choices[-1].has_else |= word == "else"
        here = open_choices[-1].branches[-1] if open_choices else tree
        widest = max([widest, *(len(choice.branches) + 1 for choice in open_choices)])
    here.append((text.count("\n", 0, at) + 1, text[at:]))
    return tree, widest


def _take(nodes: list[_Node], number: int) -> Iterator[tuple[int, str]]:
    for node in nodes:
        if isinstance(node, _Choice):
            yield from _take(node.branch(number), number)
        else:
            yield node


def _lines(pieces: Iterable[tuple[int, str]]) -> Iterator[ScriptLine]:
    number, text = 1, ""
    for first, piece in pieces:
        if not text.strip():
            number = first
        head, *rest = piece.split("\n")
        text += head
        for count, line in enumerate(rest, 1):
            yield ScriptLine(number, text.strip())
            number, text = first + count, line
    yield ScriptLine(number, text.strip())


WORD = re.compile(r"([XYZEIJ])\s*([-+]?(?:\d+\.?\d*|\.\d+))(?![\d.{\[])")


def measure_margins(scripts: Iterable[str], bed: Bed) -> Margins:
    """How far the moves of these scripts go beside the bed, in mm: left, front, right, back.

    Moves to where only the slicer knows (placeholders) are not counted.
    """
    margins = NO_MARGINS
    for script in scripts:
        for beside in _beside(read_script(script), bed):
            margins = _widest(margins, beside)
    return margins


def _beside(lines: Iterable[ScriptLine], bed: Bed) -> Iterator[Margins]:
    is_relative = False
    # In the middle, until a move says otherwise.
    x, y = bed.middle_mm
    for line in lines:
        command, _, rest = line.command.partition(" ")
        if command in ("G90", "G91"):
            is_relative = command == "G91"
        if command not in ("G0", "G1", "G2", "G3"):
            continue
        words = {letter: float(number) for letter, number in WORD.findall(rest)}
        if is_relative:
            # It may start at any edge of the bed.
            dx, dy = words.get("X", 0.0), words.get("Y", 0.0)
            yield (max(0.0, -dx), max(0.0, -dy), max(0.0, dx), max(0.0, dy))
        else:
            x, y = words.get("X", x), words.get("Y", y)
            yield _outside(x, y, bed)


def _outside(x: float, y: float, bed: Bed) -> Margins:
    if bed.form is BedForm.ROUND:
        over = max(0.0, math.dist((x, y), bed.middle_mm) - bed.width_mm / 2)
        return (over, over, over, over)
    right, back = x - bed.x_mm - bed.width_mm, y - bed.y_mm - bed.depth_mm
    return (max(0.0, bed.x_mm - x), max(0.0, bed.y_mm - y), max(0.0, right), max(0.0, back))


def _widest(one: Margins, other: Margins) -> Margins:
    return (max(one[0], other[0]), max(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3]))
