"""OctoPrint's JSON in our words. Pure. Any text in it may be a stranger's, so it is cut and cleaned."""

from __future__ import annotations

import math
import unicodedata
from decimal import Decimal
from typing import Any

from api.domain.printing.beds import BedPlace, MachineFacts, place_bed
from api.domain.printing.states import Machine
from printers.port import Observation, PrinterError, ProbeResult, StoredFile

# The rights that dispatch needs, by OctoPrint's permission keys.
NEEDED_RIGHTS = (
    "STATUS",
    "FILES_LIST",
    "FILES_UPLOAD",
    "FILES_DOWNLOAD",
    "FILES_DELETE",
    "FILES_SELECT",
    "PRINT",
    "CONNECTION",
)
# More than we need: with these a stolen key could send G-code, change the server or run commands on it.
DANGEROUS_RIGHTS = ("ADMIN", "SETTINGS", "SYSTEM", "CONTROL", "PLUGIN_APPKEYS_ADMIN")

# The text that OctoPrint's state begins with (comm.getStateString), longest first where one begins another.
_STATES: tuple[tuple[str, Machine], ...] = (
    ("Operational", Machine.IDLE),
    ("Starting", Machine.STARTING),
    ("Printing", Machine.PRINTING),
    ("Sending file", Machine.PRINTING),
    ("Transferring file", Machine.PRINTING),
    ("Pausing", Machine.PAUSING),
    ("Paused", Machine.PAUSED),
    ("Resuming", Machine.RESUMING),
    ("Cancelling", Machine.CANCELLING),
    ("Finishing", Machine.FINISHING),
    ("Opening serial", Machine.CONNECTING),
    ("Detecting", Machine.CONNECTING),
    ("Connecting", Machine.CONNECTING),
    ("Offline after error", Machine.ERROR),
    ("Offline (Error", Machine.ERROR),
    ("Offline", Machine.OFFLINE),
    ("Error", Machine.ERROR),
)


def read_machine(text: str) -> Machine:
    # A state that we do not know is an ERROR: nothing is started, and a person must look.
    return next((machine for start, machine in _STATES if text.startswith(start)), Machine.ERROR)


def read_observation(job: Any) -> Observation:
    """From GET /api/job. Raises PrinterError `bad_answer` when it is not one."""
    state = job.get("state") if isinstance(job, dict) else None
    if not isinstance(state, str):
        raise PrinterError("The answer is not OctoPrint's", permanent=True, reason="bad_answer")
    text = clean_text(state)
    machine = read_machine(text)
    selection, progress = _dict(job.get("job")), _dict(job.get("progress"))
    completion, filepos = _number(progress.get("completion")), _number(progress.get("filepos"))
    return Observation(
        machine=machine,
        path=_read_path(_dict(selection.get("file"))),
        error=(clean_text(job.get("error")) or text) if machine is Machine.ERROR else "",
        # OctoPrint reports -100 % for an empty file.
        progress=None if completion is None else min(max(completion / 100, 0.0), 1.0),
        elapsed_s=_number(progress.get("printTime")),
        left_s=_number(progress.get("printTimeLeft")),
        filepos=None if filepos is None else int(filepos),
    )


def read_file(answer: Any) -> StoredFile:
    """From GET /api/files/local/<path>. Raises PrinterError `bad_answer` when it is not a file."""
    entry = _dict(answer)
    path, size, sha1 = entry.get("path"), _number(entry.get("size")), entry.get("hash")
    if not isinstance(path, str) or size is None or not isinstance(sha1, str):
        raise PrinterError("The answer is not a file's", permanent=True, reason="bad_answer")
    prints = _dict(entry.get("prints"))
    last = _dict(prints.get("last"))
    success = last.get("success")
    return StoredFile(
        path=path,
        size=int(size),
        sha1=clean_text(sha1, 40).lower(),
        successes=int(_number(prints.get("success")) or 0),
        failures=int(_number(prints.get("failure")) or 0),
        last_success=success if isinstance(success, bool) else None,
        last_print_s=_number(last.get("printTime")),
    )


def read_folder(answer: Any) -> list[StoredFile]:
    """The files of GET /api/files/local/<folder>, without folders and entries that have no hash."""
    children = _dict(answer).get("children")
    if not isinstance(children, list):
        raise PrinterError("The answer is not a folder's", permanent=True, reason="bad_answer")
    return [read_file(child) for child in children if _dict(child).get("type") != "folder" and "hash" in _dict(child)]


def read_probe(version: Any, user: Any) -> ProbeResult:
    """From GET /api/version and GET /api/currentuser. Raises `bad_answer`, or `wrong_key` when the key is nobody's."""
    server = _dict(version).get("server")
    if not isinstance(server, str):
        raise PrinterError("The answer is not OctoPrint's", permanent=True, reason="bad_answer")
    name = clean_text(_dict(user).get("name"), 100)
    if not name:
        raise PrinterError("The key is nobody's", permanent=True, reason="wrong_key")
    permissions = _dict(user).get("permissions")
    rights = {right for right in permissions if isinstance(right, str)} if isinstance(permissions, list) else set()
    return ProbeResult(
        version=clean_text(server, 40),
        user=name,
        missing_rights=tuple(right for right in NEEDED_RIGHTS if right not in rights),
        dangerous_rights=tuple(right for right in DANGEROUS_RIGHTS if right in rights),
    )


def read_machine_facts(answer: Any) -> MachineFacts | None:
    """From GET /api/printerprofiles: the profile in use, else its default; None when it is none of a machine."""
    profiles = [_dict(profile) for profile in _dict(_dict(answer).get("profiles")).values()]
    profiles.sort(key=lambda profile: (profile.get("current") is not True, profile.get("default") is not True))
    profile = profiles[0] if profiles else {}
    volume = _dict(profile.get("volume"))
    width, depth, height = (_number(volume.get(side)) for side in ("width", "depth", "height"))
    nozzle = _number(_dict(profile.get("extruder")).get("nozzleDiameter"))
    if width is None or depth is None or height is None or nozzle is None:
        return None
    if not all(math.isfinite(number) for number in (width, depth, height, nozzle)):
        return None
    place = BedPlace.MIDDLE if volume.get("origin") == "center" else BedPlace.CORNER
    if volume.get("formFactor") == "circular":
        place = BedPlace.ROUND
    return MachineFacts(place_bed(width, depth, place), height, Decimal(str(round(nozzle, 2))))


def read_free(listing: Any) -> int | None:
    """Bytes left on the server's disk, from GET /api/files/local."""
    free = _number(_dict(listing).get("free"))
    return None if free is None else int(free)


def read_stored_path(answer: Any) -> str | None:
    """Where OctoPrint says that it put an upload."""
    path = _dict(_dict(_dict(answer).get("files")).get("local")).get("path")
    return path if isinstance(path, str) else None


def clean_text(value: Any, length: int = 300) -> str:
    """The text on one line, without control and formatting characters, at most `length` long; '' if it is no text."""
    if not isinstance(value, str):
        return ""
    # Cut before it is cleaned, so that megabytes cost nothing; at four times the length, because cleaning shortens.
    printable = (
        " " if character.isspace() else character
        for character in value[: length * 4]
        if character.isspace() or unicodedata.category(character)[0] != "C"
    )
    return " ".join("".join(printable).split())[:length]


def _read_path(file: dict[str, Any]) -> str | None:
    path = file.get("path")
    if not isinstance(path, str) or not path:
        return None
    # A file on the printer's own card keeps its origin, so that it is never taken for one of ours.
    return path if file.get("origin") in (None, "local") else f"{clean_text(file['origin'], 20)}:{path}"


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: Any) -> float | None:
    """A finite number, else None."""
    # A bool is an int to Python. Its JSON reader lets NaN and Infinity through; neither is below the bound.
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e15 else None
