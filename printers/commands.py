"""The commands of G-code that a printer may be given, and those that nobody can take responsibility for."""

from __future__ import annotations

import re

from printers.scripts import PLACEHOLDER

# Bounded in length: a number of 400 digits ended the reading thread of OctoPrint's Virtual Printer (measured).
_NUMBER = r"[-+]?(?:\d{1,9}\.?\d{0,9}|\.\d{1,9})"
_COMMENT = r"[ \t]*(?:;[\t\x20-\x7e]*)?\r?"
# Nine of ten lines of a sliced file: a straight move with its words in the order that slicers write. One expression
# reads them whole, because the general way below takes four times as long (measured).
MOVE = re.compile(
    rf"G[01](?: X({_NUMBER}))?(?: Y({_NUMBER}))?(?: Z({_NUMBER}))?(?: E{_NUMBER})?(?: F({_NUMBER}))?{_COMMENT}".encode()
).fullmatch
REMARK = re.compile(rb"[ \t]*(?:;[\t\x20-\x7e]*)?\r?").fullmatch
COMMAND = re.compile(rf"[ \t]*([GMT]\d{{1,4}}(?:\.\d)?)((?:[ \t]*[A-Z](?:{_NUMBER})?)*){_COMMENT}".encode()).fullmatch
WORD = re.compile(rf"([A-Z])({_NUMBER})?")
# Commands that carry text. M117 may not hold "//" or "!!": OctoPrint acts on such lines when a firmware echoes them.
TEXT = re.compile(
    rb"M117(?: (?![^;]*(?://|!!))[A-Za-z0-9 .,:%/()=+_!?'*&-]{0,64})?(?:;[\t\x20-\x7e]*)?\r?"
    # Of Prusa's firmware: the oldest version that will do, and the multi material unit.
    rb"|M115(?: U ?[0-9A-Za-z.+-]{1,20})?[ \t]*(?:;[\t\x20-\x7e]*)?\r?"
    # A speed left alone where the condition before it does not hold; no firmware does anything by it.
    rb"|F\d{1,5}[ \t]*(?:;[\t\x20-\x7e]*)?\r?"
    rb"|T[xc?][ \t]*(?:;[\t\x20-\x7e]*)?\r?"
    rb'|M862\.[1-6](?:[ \t]*[PTAQ] ?(?:"[A-Za-z0-9 .+_-]{0,40}"|[\d.]{1,9}))*[ \t]*(?:;[\t\x20-\x7e]*)?\r?'
    rb"|M486 (?:S-?\d{1,5}|T\d{1,5}|A[A-Za-z0-9 ._-]{0,64})\r?"
).fullmatch

_MOVING = "XYZEF"
# Every command that a file may hold, with the words that it may carry. G92 may only set E, so that no place shifts.
ALLOWED: dict[str, str] = {
    "G0": _MOVING + "S",
    "G1": _MOVING + "S",
    "G2": _MOVING + "IJ",
    "G3": _MOVING + "IJ",
    "G4": "SP",
    "G10": "S",
    "G11": "S",
    "G21": "",
    "G28": "XYZOWR",
    "G29": "ACFHJLPWXY",
    "G90": "",
    "G91": "",
    "G92": "E",
    "G32": "SP",
    "G33": "PTCFEV",
    "G34": "ITAZSL",
    "G80": "NRXYWH",
    "M17": "XYZES",
    "M18": "XYZES",
    "M73": "PRQSCD",
    "M75": "",
    "M76": "",
    "M77": "",
    "M82": "",
    "M83": "",
    "M84": "XYZES",
    "M85": "S",
    "M104": "ST",
    "M105": "",
    "M109": "SRT",
    "M140": "S",
    "M190": "SR",
    "M106": "SP",
    "M107": "P",
    "M114": "",
    "M141": "S",
    "M150": "RUWBPSI",
    "M155": "S",
    "M191": "SR",
    "M200": "DSTL",
    "M201": "XYZETFS",
    "M202": "XYZET",
    "M203": "XYZET",
    "M204": "PRTSXYZ",
    "M205": "XYZEJBST",
    "M220": "SBR",
    "M221": "ST",
    "M300": "SP",
    "M400": "",
    "M413": "S",
    "M420": "SVZL",
    "M425": "BFSXYZ",
    "M566": "XYZEP",
    "M572": "DS",
    "M702": "CUZT",
    "M704": "P",
    "M705": "P",
    "M706": "P",
    "M900": "KLTSWHD",
    "M907": "XYZEBCS",
}
# Of the air in a closed machine, in °C.
CHAMBER_MAX_C = 70.0
# Speed and flow in percent: they scale every feed that was checked, so they are bounded too.
PERCENT_MAX = {"M220": 200.0, "M221": 200.0}

# Stop, restart or rewrite the machine, write files, speak to its server, or count lines anew: never, whoever asks.
_NEVER = frozenset({20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 32, 33, 34, 36, 37, 81, 108, 110, 112, 118, 226, 303})
_NEVER |= {410, 524, 540, 551, 552, 553, 554, 559, 560, 575, 587, 588, 589, 708, 871, 928, 997, 999}
# A macro of the firmware, such as PRINT_START BED=60. Klipper's own that stop it, save, or speak to its server.
_MACRO = re.compile(
    r"(?!(?i:[A-Z]\d))(?!(?i:N|emergency|firmware|restart|shutdown|save|run|respond|action|cancel|sdcard|update)(?:_|\b))"
    r"[A-Za-z_][A-Za-z0-9_]{2,40}(?:[ \t]+[A-Za-z_][A-Za-z0-9_]{0,40}=[A-Za-z0-9_.+-]{1,40}){0,12}"
)
# What PrusaSlicer may put in the place of a placeholder.
_VALUE = r"[A-Za-z0-9_.+-]{0,40}"


def may_be_allowed(line: str) -> bool:
    """Whether a person may take responsibility for this command, which is off the list; without its comment."""
    if match := COMMAND(line.encode("ascii", "replace")):
        code, rest = match[1].decode(), match[2].decode()
        # A number is read without leading noughts and decimals, as firmware reads it.
        is_known = code in ALLOWED or code[0] == "T"
        return not is_known and not (code[0] == "M" and int(float(code[1:])) in _NEVER) and not re.search("[GMN]", rest)
    return _MACRO.fullmatch(line) is not None


def line_pattern(line: str) -> re.Pattern[str]:
    """What a line of a script may become once PrusaSlicer has filled in its placeholders."""
    pieces = [re.escape(piece) for piece in PLACEHOLDER.split(line)]
    return re.compile(_VALUE.join(pieces))
