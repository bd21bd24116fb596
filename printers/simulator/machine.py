"""A printer with its files, in memory: what OctoPrint 1.11 would hold and answer. Its time passes only by `tick`."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from typing import Any


class Refusal(Exception):
    """An answer that is not 2xx, with the status and the text that OctoPrint would give."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass
class SimulatedFile:
    content: bytes
    successes: int = 0
    failures: int = 0
    last_success: bool | None = None

    def as_json(self, path: str) -> dict[str, Any]:
        sha1 = hashlib.sha1(self.content, usedforsecurity=False).hexdigest()
        entry: dict[str, Any] = {"path": path, "origin": "local", "size": len(self.content), "hash": sha1}
        if self.last_success is not None:
            last = {"date": 0.0, "success": self.last_success}
            if self.last_success:
                last["printTime"] = 1.0
            entry["prints"] = {"success": self.successes, "failure": self.failures, "last": last}
        return entry


@dataclass
class SimulatedPrinter:
    """What happens at the machine is a method too: `finish`, `break_down`, `cancel_at_printer`, `print_by_hand`, ...

    `print_s` is how long every print takes, in seconds of `tick`. `started` and `ended` are what really happened.
    """

    print_s: float = 60.0
    free_bytes: int = 10_000_000_000
    # What OctoPrint has been told of the machine; this is what it says of one that nobody has described.
    profile: dict[str, Any] = field(
        default_factory=lambda: {
            "id": "_default",
            "current": True,
            "default": True,
            "volume": {
                "formFactor": "rectangular",
                "origin": "lowerleft",
                "width": 200.0,
                "depth": 200.0,
                "height": 200.0,
            },
            "extruder": {"count": 1, "nozzleDiameter": 0.4},
        }
    )
    files: dict[str, SimulatedFile] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    state: str = "Operational"
    error: str = ""
    selected: str | None = None
    user: str | None = None
    elapsed_s: float = 0.0
    started: list[str] = field(default_factory=list)
    ended: list[tuple[str, bool]] = field(default_factory=list)
    # Held while a request is served or something happens at the machine: both come from threads of their own.
    lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def is_active(self) -> bool:
        return self.state in ("Printing", "Paused")

    # What happens at the machine.

    def tick(self, seconds: float) -> None:
        """Let simulated time pass; a print that reaches `print_s` ends well."""
        with self.lock:
            if self.state == "Printing":
                self.elapsed_s += seconds
                if self.elapsed_s >= self.print_s:
                    self.finish()

    def finish(self) -> None:
        """The running print ends well, now."""
        self._end(success=True, state="Operational")

    def break_down(self, error: str = "Thermal Runaway, system stopped!") -> None:
        """A firmware error: the print fails, nothing is selected any more, the printer is gone until `connect`."""
        with self.lock:
            if self.is_active:
                self._end(success=False, state="Operational")
            self.state, self.error, self.selected, self.user = "Offline after error", error, None, None

    def cancel_at_printer(self) -> None:
        """Somebody pressed cancel on the printer's screen."""
        self._end(success=False, state="Operational")

    def print_by_hand(self, path: str = "by-hand.gcode", user: str = "somebody") -> None:
        """A person starts their own file, past us."""
        with self.lock:
            self.files.setdefault(path, SimulatedFile(b"G4 P1\n"))
            self.select(path, start=True, user=user)

    def restart(self) -> None:
        """The server died and came back: no job, no history of the print that ran, no error (measured)."""
        with self.lock:
            self.state, self.error, self.selected, self.user, self.elapsed_s = "Operational", "", None, None, 0.0

    def disconnect(self) -> None:
        """The printer is switched off; its server is not."""
        with self.lock:
            if self.is_active:
                self._end(success=False, state="Operational")
            self.state, self.selected, self.user = "Offline", None, None

    def connect(self) -> None:
        with self.lock:
            self.state, self.error = "Operational", ""

    # What requests ask for.

    def job(self) -> dict[str, Any]:
        running = self.is_active
        share = min(self.elapsed_s / self.print_s, 1.0)
        size = len(self.files[self.selected].content) if self.selected else 0
        done = {"completion": share * 100, "filepos": int(share * size), "printTime": self.elapsed_s}
        left = {"printTimeLeft": max(self.print_s - self.elapsed_s, 0.0)}
        nothing = dict.fromkeys((*done, *left))
        file = {"path": self.selected, "origin": "local" if self.selected else None}
        answer = {"state": self.state, "job": {"file": file, "user": self.user}}
        answer["progress"] = done | left if running else nothing
        return answer | ({"error": self.error} if self.error else {})

    def find(self, path: str) -> dict[str, Any]:
        if path in self.folders:
            inside = [file.as_json(at) for at, file in self.files.items() if at.rpartition("/")[0] == path]
            return {"path": path, "type": "folder", "children": inside}
        folder = path.rpartition("/")[0]
        # As in OctoPrint 1.11: 500 where the folder above is missing, 404 where only the file is.
        if folder and folder not in self.folders:
            raise Refusal(500, "The server encountered an internal error")
        if path not in self.files:
            raise Refusal(404, "The requested URL was not found on the server")
        return self.files[path].as_json(path)

    def store(self, path: str, content: bytes, *, overwrite: bool = False) -> None:
        if path in self.files and not overwrite:
            raise Refusal(409, "File already exists and noOverwrite was set")
        self.make_folder(path.rpartition("/")[0])
        self.files[path] = SimulatedFile(content)

    def make_folder(self, folder: str) -> None:
        while folder:
            self.folders.add(folder)
            folder = folder.rpartition("/")[0]

    def select(self, path: str, *, start: bool, user: str) -> None:
        with self.lock:
            if path not in self.files:
                raise Refusal(404, "The requested URL was not found on the server")
            if self.state != "Operational":
                raise Refusal(409, "Printer is already printing, cannot select a new file")
            self.selected, self.user = path, user
            if start:
                self.state, self.elapsed_s = "Printing", 0.0
                self.started.append(path)

    def steer(self, command: str, action: str) -> None:
        with self.lock:
            if not self.is_active:
                raise Refusal(409, f"Printer is neither printing nor paused, '{command}' cannot be performed")
            if command == "cancel":
                self._end(success=False, state="Operational")
            else:
                self.state = "Paused" if action == "pause" else "Printing"

    def move(self, path: str, folder: str) -> None:
        target = f"{folder}/{path.rpartition('/')[2]}"
        self._refuse_busy(path)
        # OctoPrint makes no folder here and answers 415.
        if folder not in self.folders:
            raise Refusal(415, f"Could not move {path} to {folder}, invalid type")
        if target in self.files:
            raise Refusal(409, "File or folder does already exist")
        self.files[target] = self.files.pop(path)
        self._deselect(path)

    def remove(self, path: str) -> None:
        self._refuse_busy(path)
        del self.files[path]
        self._deselect(path)

    def _refuse_busy(self, path: str) -> None:
        if path not in self.files:
            raise Refusal(404, "The requested URL was not found on the server")
        if self.is_active and path == self.selected:
            raise Refusal(409, "Trying to touch a file that is currently in use")

    def _deselect(self, path: str) -> None:
        if self.selected == path:
            self.selected = self.user = None

    def _end(self, *, success: bool, state: str) -> None:
        with self.lock:
            if not self.is_active or self.selected is None:
                raise RuntimeError("nothing is printing")
            file = self.files[self.selected]
            file.successes += success
            file.failures += not success
            file.last_success = success
            self.ended.append((self.selected, success))
            self.state = state
