"""What we need of a machine that prints, in our words; no vendor's type is used here.

Every adapter (OctoPrint, the simulator) passes the same contract tests: tests/printers/contract.py.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from api.domain.printing.beds import MachineFacts
from api.domain.printing.states import Machine


@dataclass(frozen=True)
class Observation:
    """One look at a printer. `path` is the file that is selected or printing, relative to the printer's store."""

    machine: Machine
    path: str | None = None
    error: str = ""
    progress: float | None = None  # 0..1
    elapsed_s: float | None = None
    left_s: float | None = None
    # Bytes of G-code sent. It stands still when the firmware hangs, while the machine still reads "printing".
    filepos: int | None = None


@dataclass(frozen=True)
class StoredFile:
    """A file as the printer's server holds it; `size` in bytes; `successes` and `failures` count its ended prints."""

    path: str
    size: int
    sha1: str
    successes: int = 0
    failures: int = 0
    last_success: bool | None = None
    last_print_s: float | None = None

    @property
    def ended(self) -> int:
        return self.successes + self.failures


@dataclass(frozen=True)
class ProbeResult:
    """What a new printer answers: its server's version, whose key it is, the missing rights, and its machine."""

    version: str
    user: str
    missing_rights: tuple[str, ...] = ()
    dangerous_rights: tuple[str, ...] = ()  # more than we need, e.g. ADMIN or SETTINGS
    # What its server has been told of the machine; None when it says nothing usable.
    machine: MachineFacts | None = None


class PrinterError(Exception):
    """The printer's server did not do it. `permanent` is the retry policy: True means that trying again is useless."""

    def __init__(self, message: str, *, permanent: bool = False, reason: str = "unreachable") -> None:
        super().__init__(message)
        self.permanent = permanent
        # one of: unreachable, timeout, wrong_key, no_right, not_found, busy, disk_full, refused, bad_answer,
        # forbidden (its name leads to where no printer may be)
        self.reason = reason


class PrinterPort(Protocol):
    """The verbs that we use. Each has a timeout and a size limit, and raises only PrinterError.

    Paths are relative to the printer's store and use `/`.
    """

    def probe(self) -> ProbeResult: ...

    def observe(self) -> Observation: ...

    def find_file(self, path: str) -> StoredFile | None: ...

    def list_files(self, folder: str) -> list[StoredFile]:
        """The files of this folder, without those of its subfolders; none when it does not exist."""

    def free_bytes(self) -> int | None: ...

    def upload(self, path: str, source: Path) -> None:
        """Stream `source` to `path`, neither selecting nor printing it. Never overwrites: a taken path is `refused`."""

    def select(self, path: str) -> None: ...

    def start(self, path: str) -> None:
        """Select and print by path; `not_found` when the file is gone, `busy` when anything else runs."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def cancel(self) -> None: ...

    def move(self, path: str, folder: str) -> None:
        """Move into `folder` (made if missing). A path that is already there is fine."""

    def delete(self, path: str) -> None:
        """Remove the file; one that is not there is fine."""

    def close(self) -> None: ...
