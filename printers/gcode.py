"""Whether a printer may be given this G-code: an allow-list of commands, the volume, the temperatures.

What is not on the list is refused; nothing is repaired, and no line is guessed at. A file can otherwise do what our
key may not: `M500` writes the firmware's settings, `M118 //action:cancel` cancels a print by way of OctoPrint.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from api.domain.core.errors import Invalid
from api.domain.printing.beds import Bed, BedForm
from printers.commands import (
    ALLOWED,
    CHAMBER_MAX_C,
    COMMAND,
    MOVE,
    PERCENT_MAX,
    REMARK,
    TEXT,
    WORD,
    line_pattern,
    may_be_allowed,
)
from printers.scripts import NO_MARGINS, Margins

# The last line of every file of ours: one that does not end with it was cut off on its way.
END_MARKER = b"; etabli: end of plate\n"

Axis3 = tuple[float, float, float]
Words = dict[str, float | None]


class GcodeUnsafe(Invalid):
    """The G-code is refused at line {line}: {why}."""


class GcodeUnlisted(GcodeUnsafe):
    """The G-code is refused at line {line}: nobody has taken responsibility for “{command}”."""


@dataclass(frozen=True)
class GcodeLimits:
    """What the machine and its material can take. Lengths in mm, temperatures in °C, feed in mm/min.

    `margins_mm` is how far beside the bed the nozzle may go: left, front, right, back.
    """

    bed: Bed
    height_mm: float
    nozzle_max_c: float
    bed_max_c: float
    feed_max_mm_min: float = 36_000
    margins_mm: Margins = NO_MARGINS
    dwell_max_s: float = 60
    line_max_bytes: int = 256
    comment_max_bytes: int = 16_384
    tools: int = 1
    # Lines off the list that a person took responsibility for, as they stand in the scripts of a configuration.
    extra_lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class GcodeFacts:
    """What the file would make the machine do: `low` and `high` bound every move of the nozzle, travel included."""

    lines: int
    layers: int
    low: Axis3
    high: Axis3
    nozzle_c: float
    bed_c: float


_AXES = "XYZ"


class _Reader:
    """Follows the machine line by line; it starts at 0 0 0, in absolute coordinates."""

    def __init__(self, limits: GcodeLimits) -> None:
        self.limits = limits
        self.line = 0
        self.layers = 0
        self.relative = False
        self.position = [0.0, 0.0, 0.0]
        self.low = [math.inf] * 3
        self.high = [-math.inf] * 3
        self.nozzle_c = 0.0
        self.bed_c = 0.0
        bed, (left, front, right, back) = limits.bed, limits.margins_mm
        self.floor = (bed.x_mm - left, bed.y_mm - front, 0.0)
        self.ceiling = (bed.x_mm + bed.width_mm + right, bed.y_mm + bed.depth_mm + back, limits.height_mm)
        self.middle = bed.middle_mm
        is_round = bed.form is BedForm.ROUND
        self.extra = [line_pattern(extra) for extra in limits.extra_lines]
        self.radius = bed.width_mm / 2 + max(limits.margins_mm) if is_round else math.inf

    def refuse(self, why: str) -> GcodeUnsafe:
        return GcodeUnsafe(line=self.line, why=why)

    def read(self, lines: Iterable[bytes]) -> None:
        longest, move, limits = self.limits.line_max_bytes, MOVE, self.limits
        is_round = self.radius < math.inf
        for self.line, line in enumerate(lines, 1):
            if len(line) > longest and not self._is_remark(line):
                raise self.refuse(f"the line is longer than {longest} characters")
            if m := move(line):
                x, y, z, f = m.groups()
                if f is not None and float(f) > limits.feed_max_mm_min:
                    raise self.refuse(f"a speed of {float(f):g} mm/min is more than {limits.feed_max_mm_min:g}")
                if x is not None:
                    self._go(0, float(x))
                if y is not None:
                    self._go(1, float(y))
                if z is not None:
                    self._go(2, float(z))
                if is_round:
                    self._stay_round(self.position[0], self.position[1])
            elif REMARK(line):
                self.layers += line.startswith(b";LAYER_CHANGE")
            else:
                self._command(line)

    def _is_remark(self, line: bytes) -> bool:
        return len(line) <= self.limits.comment_max_bytes and REMARK(line) is not None

    def _go(self, axis: int, value: float) -> None:
        if self.relative:
            value += self.position[axis]
        self.position[axis] = value
        self._bound(axis, value)

    def _bound(self, axis: int, value: float) -> None:
        # The tolerance is for sums of relative moves.
        if value < self.low[axis]:
            if value < self.floor[axis] - 1e-6:
                raise self.refuse(f"{_AXES[axis]} {value:g} mm is outside the machine")
            self.low[axis] = value
        if value > self.high[axis]:
            if value > self.ceiling[axis] + 1e-6:
                raise self.refuse(f"{_AXES[axis]} {value:g} mm is outside the machine")
            self.high[axis] = value

    def _stay_round(self, x: float, y: float) -> None:
        if math.dist((x, y), self.middle) > self.radius + 1e-6:
            raise self.refuse(f"X {x:g} mm, Y {y:g} mm is outside the round bed")

    def _command(self, line: bytes) -> None:
        if TEXT(line):
            return
        m = COMMAND(line)
        if m is None:
            self._unlisted(line, f"“{_printable(line)}” is not a line of G-code that we know")
            return
        code, rest = m[1].decode(), m[2].decode()
        if code.startswith("T"):
            self._tool(code, rest)
        elif code in ALLOWED:
            words = self._words(code, rest)
            if handler := _HANDLERS.get(code):
                handler(self, code, words)
        else:
            self._unlisted(line, f"the command {code} is not allowed")

    def _unlisted(self, line: bytes, why: str) -> None:
        """Pass only what a person has taken responsibility for."""
        command = line.decode("ascii", "replace").partition(";")[0].strip()
        if not may_be_allowed(command):
            raise self.refuse(why)
        if not any(pattern.fullmatch(command) for pattern in self.extra):
            raise GcodeUnlisted(line=self.line, why=why, command=command)

    def _tool(self, code: str, rest: str) -> None:
        if rest.strip() or int(float(code[1:])) >= self.limits.tools:
            raise self.refuse(f"there is no tool {code}")

    def _words(self, code: str, rest: str) -> Words:
        words: Words = {}
        for letter, number in WORD.findall(rest):
            if letter in words:
                raise self.refuse(f"{letter} stands twice in one {code}")
            if letter not in ALLOWED[code]:
                raise self.refuse(f"{code} may not carry {letter} here")
            words[letter] = float(number) if number else None
        return words

    def _numbers(self, code: str, words: Words) -> dict[str, float]:
        """The words with their values; a word without one means 0 to the firmware, and is refused."""
        if empty := [letter for letter, value in words.items() if value is None]:
            raise self.refuse(f"{code} {empty[0]} has no value")
        return {letter: value for letter, value in words.items() if value is not None}

    def _move(self, code: str, words: Words) -> None:
        numbers = self._numbers(code, words)
        if numbers.get("F", 0) > self.limits.feed_max_mm_min:
            raise self.refuse(f"a speed of {numbers['F']:g} mm/min is more than {self.limits.feed_max_mm_min:g}")
        for axis, letter in enumerate(_AXES):
            if letter in numbers:
                self._go(axis, numbers[letter])
        self._stay_round(self.position[0], self.position[1])

    def _arc(self, code: str, words: Words) -> None:
        """Bounds by the end of the arc, and by each of the circle's four outermost points that it passes."""
        x0, y0 = self.position[0], self.position[1]
        numbers = self._numbers(code, words)
        self._move(code, words)
        cx, cy = x0 + numbers.get("I", 0.0), y0 + numbers.get("J", 0.0)
        radius = math.hypot(x0 - cx, y0 - cy)
        start, end = math.atan2(y0 - cy, x0 - cx), math.atan2(self.position[1] - cy, self.position[0] - cx)
        if code == "G2":  # clockwise: the same arc, walked from its other end
            start, end = end, start
        # Equal ends are a full circle, not an arc of no length.
        sweep = (end - start) % math.tau or math.tau
        for quarter, (axis, value) in enumerate(
            [(0, cx + radius), (1, cy + radius), (0, cx - radius), (1, cy - radius)]
        ):
            if (quarter * math.pi / 2 - start) % math.tau < sweep:
                self._bound(axis, value)
        if self.radius < math.inf:
            # Of an arc as of a polygon: between two corners of 5 degrees it bulges by a thousandth of its radius.
            for step in range(math.ceil(sweep / math.radians(5))):
                turn = start + step * math.radians(5)
                self._stay_round(cx + radius * math.cos(turn), cy + radius * math.sin(turn))

    def _dwell(self, code: str, words: Words) -> None:
        numbers = self._numbers(code, words)
        seconds = numbers.get("S", 0.0) + numbers.get("P", 0.0) / 1000
        if not 0 <= seconds <= self.limits.dwell_max_s:
            raise self.refuse(f"a pause of {seconds:g} s is more than {self.limits.dwell_max_s:g} s")

    def _retract(self, code: str, words: Words) -> None:
        if any(value not in (0, 1) for value in self._numbers(code, words).values()):
            raise self.refuse(f"{code} may only carry S0 or S1")

    def _home(self, code: str, words: Words) -> None:
        del code
        named = [axis for axis, letter in enumerate(_AXES) if letter in words]
        for axis in named or range(3):
            self.position[axis] = 0.0

    def _origin(self, code: str, words: Words) -> None:
        # ALLOWED lets only E stand here, and E moves no axis: the position stays as it is.
        if not self._numbers(code, words):
            raise self.refuse("G92 may only set E: else all places would shift")

    def _mode(self, code: str, words: Words) -> None:
        del words
        self.relative = code == "G91"

    def _nozzle(self, code: str, words: Words) -> None:
        self.nozzle_c = max(self.nozzle_c, self._heat(code, words, self.limits.nozzle_max_c))

    def _bed(self, code: str, words: Words) -> None:
        self.bed_c = max(self.bed_c, self._heat(code, words, self.limits.bed_max_c))

    def _heat(self, code: str, words: Words, highest_c: float) -> float:
        numbers = self._numbers(code, words)
        # M109 R waits for cooling as well, so it sets the target like S.
        celsius = max(numbers.get("S", 0.0), numbers.get("R", 0.0))
        if celsius > highest_c:
            raise self.refuse(f"{code} asks for {celsius:g} °C, more than {highest_c:g} °C")
        return celsius

    def _chamber(self, code: str, words: Words) -> None:
        self._heat(code, words, CHAMBER_MAX_C)

    def _percent(self, code: str, words: Words) -> None:
        percent = self._numbers(code, {k: v for k, v in words.items() if k == "S"}).get("S", 100.0)
        if not 0 < percent <= PERCENT_MAX[code]:
            raise self.refuse(f"{code} may not ask for {percent:g} %")

    def facts(self) -> GcodeFacts:
        if any(math.isinf(value) for value in self.low):
            raise self.refuse("the file moves nothing")
        return GcodeFacts(
            lines=self.line,
            layers=self.layers,
            low=(self.low[0], self.low[1], self.low[2]),
            high=(self.high[0], self.high[1], self.high[2]),
            nozzle_c=self.nozzle_c,
            bed_c=self.bed_c,
        )


_HANDLERS: dict[str, Callable[[_Reader, str, Words], None]] = {
    **dict.fromkeys(["G0", "G1"], _Reader._move),
    **dict.fromkeys(["G2", "G3"], _Reader._arc),
    **dict.fromkeys(["G10", "G11"], _Reader._retract),
    **dict.fromkeys(["G90", "G91"], _Reader._mode),
    **dict.fromkeys(["M104", "M109"], _Reader._nozzle),
    **dict.fromkeys(["M140", "M190"], _Reader._bed),
    **dict.fromkeys(["M141", "M191"], _Reader._chamber),
    **dict.fromkeys(["M220", "M221"], _Reader._percent),
    "G4": _Reader._dwell,
    "G28": _Reader._home,
    "G92": _Reader._origin,
}


def check_gcode(source: Path | bytes, limits: GcodeLimits) -> GcodeFacts:
    """What the file makes the machine do. Raises GcodeUnsafe at the first line off the list or beyond the limits."""
    data = source if isinstance(source, bytes) else source.read_bytes()
    reader = _Reader(limits)
    reader.read(data.removesuffix(b"\n").split(b"\n"))
    return reader.facts()


def check_line(line: str, *, nozzle_max_c: float, bed_max_c: float) -> None:
    """One line of a start or end script: the list, the words and the temperatures count. Raises GcodeUnsafe."""
    # Where the nozzle is cannot be known out of context, so the volume is without bounds.
    reader = _Reader(GcodeLimits(Bed(0, 0), 0, nozzle_max_c, bed_max_c))
    reader.floor, reader.ceiling = (-math.inf,) * 3, (math.inf,) * 3
    reader.read([line.encode()])


def append_end_marker(path: Path) -> None:
    with path.open("ab") as file:
        file.write(END_MARKER)


def _printable(line: bytes) -> str:
    return "".join(c if c.isprintable() else "·" for c in line[:60].decode("ascii", "replace")).replace("\ufffd", "·")
