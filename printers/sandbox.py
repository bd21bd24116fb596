"""Runs one program on one folder of files, with no network, no other files, and an end in time.

Refuses to know what the program is for. Without bubblewrap only the limits and (for root) the foreign account remain:
`sandbox_kind()` says which, and `etabli doctor` shows it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import psutil

# Root gives its rights up to this account. It needs no entry in passwd, and nothing else runs or owns files under it.
SANDBOX_UID = 62_533
_STDERR_BYTES = 16_384
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LC_ALL": "C.UTF-8"}  # noqa: S108  the sandbox's own /tmp


class SandboxKind(StrEnum):
    BUBBLEWRAP = "bubblewrap"
    LIMITS = "limits"


class EndReason(StrEnum):
    """How the program ended."""

    OK = "ok"
    FAILED = "failed"  # a status of its own, or abort(): it did not like its input
    TIMEOUT = "timeout"  # our wall clock or the CPU limit
    OUT_OF_MEMORY = "out_of_memory"
    KILLED = "killed"  # any other signal, e.g. the size limit of a file or the kernel's memory killer


@dataclass(frozen=True)
class SandboxLimits:
    """What one run may use. `processes` come on top of those of the account: the kernel counts by account."""

    wall_s: float = 300
    cpu_s: int = 600
    memory_bytes: int = 4 << 30
    file_bytes: int = 256 << 20
    open_files: int = 256
    processes: int = 256


@dataclass(frozen=True)
class SandboxResult:
    """`status` as a shell tells it (128 + signal); `stderr_tail` is the end of what the program said."""

    kind: EndReason
    status: int
    stderr_tail: str


@contextlib.contextmanager
def open_workdir(prefix: str = "etabli-") -> Iterator[Path]:
    """A fresh folder with `in` (the program reads it) and `out` (it writes there); all of it is gone at the end."""
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        room = Path(name)
        (room / "in").mkdir()
        (room / "out").mkdir()
        yield room


def run_sandboxed(
    argv: Sequence[str], *, room: Path, limits: SandboxLimits, kind: SandboxKind | None = None
) -> SandboxResult:
    """Run `argv` in `room` (paths such as `in/model.stl` and `out/part.gcode`), at the lowest priority.

    Neither the program nor its children outlive this call or, should it be killed, this process. (With "limits" a child
    that hides in a session of its own can; its CPU limit ends it.)
    """
    kind = kind or sandbox_kind()
    _set_permissions(room)
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603  no shell; the callers' argv hold no word of a stranger
            _command(argv, room=room, limits=limits, kind=kind),
            cwd=room,
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
            # Its own group, so that all of it can be killed; never its own session: the kernel's autogroup would then
            # give it half of the machine, whatever its nice value says.
            process_group=0,
        )
        in_time = _wait(process, limits.wall_s)
        text = _tail(said.fileno())
    return _outcome(process.returncode, in_time=in_time, text=text)


@functools.cache
def sandbox_kind() -> SandboxKind:
    """What works here, found by a real trial at the first call."""
    return SandboxKind.BUBBLEWRAP if _bubblewrap_works() else SandboxKind.LIMITS


def _bubblewrap_works() -> bool:
    if shutil.which("bwrap") is None:
        return False
    script = "test ! -e /etc/shadow && read line < in/asked && echo $line > out/answered"
    with open_workdir("etabli-trial-") as room:
        (room / "in" / "asked").write_text("yes\n")
        trial = SandboxLimits(wall_s=20)
        run_sandboxed(["/bin/sh", "-c", script], room=room, limits=trial, kind=SandboxKind.BUBBLEWRAP)
        answered = room / "out" / "answered"
        return answered.exists() and answered.read_text() == "yes\n"


def _set_permissions(room: Path) -> None:
    """Root's folders become readable (in) and writable (out) for the account that the program gets."""
    if os.geteuid() != 0:
        return
    room.chmod(0o711)
    (room / "in").chmod(0o755)
    for file in (room / "in").iterdir():
        file.chmod(0o644)
    os.chown(room / "out", SANDBOX_UID, SANDBOX_UID)


def _command(argv: Sequence[str], *, room: Path, limits: SandboxLimits, kind: SandboxKind) -> list[str]:
    """Small programs of util-linux, each of which becomes the next: limits, priority, walls, account, program."""
    account = _account_options()
    walls = _bubblewrap(room) if kind is SandboxKind.BUBBLEWRAP else []
    if not walls or account:
        # bwrap has `--die-with-parent`; the signal is lost where the account changes, so it is set after that.
        account = ["setpriv", *account, "--no-new-privs", "--pdeathsig", "KILL"]
    # The kernel's memory killer should take this before the database.
    return [*_rlimits(limits), "nice", "-n", "19", "choom", "-n", "1000", "--", *walls, *account, *argv]


def _account_options() -> list[str]:
    if os.geteuid() != 0:
        return []
    return [f"--reuid={SANDBOX_UID}", f"--regid={SANDBOX_UID}", "--clear-groups"]


def _rlimits(limits: SandboxLimits) -> list[str]:
    wanted = [
        ("as", resource.RLIMIT_AS, limits.memory_bytes),
        ("fsize", resource.RLIMIT_FSIZE, limits.file_bytes),
        ("nofile", resource.RLIMIT_NOFILE, limits.open_files),
        ("nproc", resource.RLIMIT_NPROC, limits.processes + _threads_of(os.geteuid() or SANDBOX_UID)),
        ("core", resource.RLIMIT_CORE, 0),
    ]
    options = [f"--{name}={_at_most(number, value)}" for name, number, value in wanted]
    # At the soft limit comes SIGXCPU, which we can name; five seconds later SIGKILL.
    cpu = _at_most(resource.RLIMIT_CPU, limits.cpu_s)
    return ["prlimit", *options, f"--cpu={cpu}:{_at_most(resource.RLIMIT_CPU, limits.cpu_s + 5)}"]


def _at_most(number: int, value: int) -> int:
    """A limit may only be lowered."""
    hard = resource.getrlimit(number)[1]
    return value if hard == resource.RLIM_INFINITY else min(value, hard)


def _threads_of(uid: int) -> int:
    total = 0
    for process in psutil.process_iter(["uids", "num_threads"]):
        uids = process.info["uids"]
        if uids and uids.real == uid:
            total += process.info["num_threads"] or 1
    return total


def _bubblewrap(room: Path) -> list[str]:
    """No network, own process and IPC numbers, `/usr` to read, an own `/tmp`; no terminal exists in its `/dev`.

    Root keeps its user namespace, and gives its rights up inside: then no unprivileged namespaces are needed.
    """
    names = ["--unshare-all"]
    if os.geteuid() == 0:
        names = ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    system = ["--ro-bind", "/usr", "/usr"]
    for top in ("bin", "sbin", "lib", "lib64"):
        if Path("/", top).is_symlink():
            system += ["--symlink", f"usr/{top}", f"/{top}"]
        else:
            system += ["--ro-bind-try", f"/{top}", f"/{top}"]
    devices = ["--perms", "0755", "--dir", "/dev"]
    for device in ("/dev/null", "/dev/urandom"):
        devices += ["--dev-bind", device, device]
    own = ["--proc", "/proc", "--perms", "1777", "--tmpfs", "/tmp", "--perms", "0755", "--dir", "/room"]  # noqa: S108
    files = ["--ro-bind", f"{room}/in", "/room/in", "--bind", f"{room}/out", "/room/out", "--chdir", "/room"]
    return ["bwrap", *names, "--die-with-parent", *system, *devices, *own, *files, "--"]


def _wait(process: subprocess.Popen[bytes], wall_s: float) -> bool:
    """Whether it ended by itself in time. In every case nothing of its group is left afterwards."""
    try:
        process.wait(timeout=wall_s)
    except subprocess.TimeoutExpired:
        return False
    else:
        return True
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _tail(fd: int) -> str:
    size = os.fstat(fd).st_size
    start = max(0, size - _STDERR_BYTES)
    return os.pread(fd, size - start, start).decode("utf-8", "replace")


_OUT_OF_MEMORY = re.compile("bad_alloc|[Cc]annot allocate|failed to map segment|MemoryError")


def _outcome(returncode: int, *, in_time: bool, text: str) -> SandboxResult:
    status = returncode if returncode >= 0 else 128 - returncode
    kind = EndReason.FAILED
    if status == 0:
        kind = EndReason.OK
    if not in_time or status == 128 + signal.SIGXCPU:
        kind = EndReason.TIMEOUT
    elif status and _OUT_OF_MEMORY.search(text):
        kind = EndReason.OUT_OF_MEMORY
    elif status in {128 + signal.SIGKILL, 128 + signal.SIGXFSZ, 128 + signal.SIGTERM}:
        kind = EndReason.KILLED
    return SandboxResult(kind=kind, status=status, stderr_tail=text)
