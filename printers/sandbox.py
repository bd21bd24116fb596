"""Runs one program on one folder of files, without network or other files, and ends it in time.

Without bubblewrap only the limits and (for root) the foreign account remain: `sandbox_kind()` says which, and `etabli
doctor` shows it.
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

# The account of the program when we run as root. It needs no entry in passwd; nothing else runs or owns files under it.
SANDBOX_UID = 62_533
_STDERR_BYTES = 16_384
_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LC_ALL": "C.UTF-8"}  # noqa: S108  the sandbox's own /tmp


class SandboxKind(StrEnum):
    BUBBLEWRAP = "bubblewrap"
    LIMITS = "limits"


class EndReason(StrEnum):
    """How the program ended."""

    OK = "ok"
    FAILED = "failed"  # a status of its own, or abort(): it could not read its input
    TIMEOUT = "timeout"  # our wall clock or the CPU limit
    OUT_OF_MEMORY = "out_of_memory"
    KILLED = "killed"  # any other signal, e.g. the size limit of a file or the kernel's memory killer


@dataclass(frozen=True)
class SandboxLimits:
    """What one run may use. `processes` are in addition to those of the account."""

    wall_s: float = 300
    cpu_s: int = 600
    memory_bytes: int = 4 << 30
    file_bytes: int = 256 << 20
    open_files: int = 256
    processes: int = 256


@dataclass(frozen=True)
class SandboxResult:
    """`status` as a shell gives it (128 + signal); `stderr_tail` is the end of what the program wrote."""

    kind: EndReason
    status: int
    stderr_tail: str


@contextlib.contextmanager
def open_workdir(prefix: str = "etabli-") -> Iterator[Path]:
    """A new folder with `in` (the program reads it) and `out` (it writes there), deleted at the end."""
    with tempfile.TemporaryDirectory(prefix=prefix) as name:
        workdir = Path(name)
        (workdir / "in").mkdir()
        (workdir / "out").mkdir()
        yield workdir


def run_sandboxed(
    argv: Sequence[str], *, workdir: Path, limits: SandboxLimits, kind: SandboxKind | None = None
) -> SandboxResult:
    """Run `argv` in `workdir` (paths such as `in/model.stl` and `out/part.gcode`), at the lowest priority.

    Neither the program nor its children outlive this call or, should it be killed, this process. Only with LIMITS a
    child in a session of its own can; its CPU limit ends it.
    """
    kind = kind or sandbox_kind()
    _set_permissions(workdir)
    with tempfile.TemporaryFile() as output:
        # A file and not a pipe: a program that writes without end cannot fill our memory, its own limits stop it.
        process = subprocess.Popen(  # noqa: S603  no shell; the callers' argv hold no word of a stranger
            _command(argv, workdir=workdir, limits=limits, kind=kind),
            cwd=workdir,
            env=_ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # A group of its own, so that all of it can be killed; not a session of its own, to which the kernel's
            # autogroup would give half of the machine whatever its nice value (measured).
            process_group=0,
        )
        in_time = _wait(process, limits.wall_s)
        text = _tail(output.fileno())
    return _outcome(process.returncode, in_time=in_time, text=text)


@functools.cache
def sandbox_kind() -> SandboxKind:
    """What works here, by a real trial at the first call."""
    return SandboxKind.BUBBLEWRAP if _bubblewrap_works() else SandboxKind.LIMITS


def _bubblewrap_works() -> bool:
    # Tried and not only looked for: in many containers it is installed and may not make namespaces.
    if shutil.which("bwrap") is None:
        return False
    script = "test ! -e /etc/shadow && read line < in/asked && echo $line > out/answered"
    with open_workdir("etabli-trial-") as workdir:
        (workdir / "in" / "asked").write_text("yes\n")
        trial = SandboxLimits(wall_s=20)
        run_sandboxed(["/bin/sh", "-c", script], workdir=workdir, limits=trial, kind=SandboxKind.BUBBLEWRAP)
        answered = workdir / "out" / "answered"
        return answered.exists() and answered.read_text() == "yes\n"


def _set_permissions(workdir: Path) -> None:
    """Make root's folders readable (in) and writable (out) for the account that the program gets."""
    if os.geteuid() != 0:
        return
    workdir.chmod(0o711)
    (workdir / "in").chmod(0o755)
    for file in (workdir / "in").iterdir():
        file.chmod(0o644)
    os.chown(workdir / "out", SANDBOX_UID, SANDBOX_UID)


def _command(argv: Sequence[str], *, workdir: Path, limits: SandboxLimits, kind: SandboxKind) -> list[str]:
    """Small programs, each of which becomes the next by exec: limits, priority, namespaces, account, program."""
    account = _account_options()
    namespaces = _bubblewrap(workdir) if kind is SandboxKind.BUBBLEWRAP else []
    if not namespaces or account:
        # bwrap has `--die-with-parent`; the kernel clears that signal when the account changes, so it is set after it.
        account = ["setpriv", *account, "--no-new-privs", "--pdeathsig", "KILL"]
    # The kernel's memory killer should take this before the database.
    return [*_rlimits(limits), "nice", "-n", "19", "choom", "-n", "1000", "--", *namespaces, *account, *argv]


def _account_options() -> list[str]:
    if os.geteuid() != 0:
        return []
    return [f"--reuid={SANDBOX_UID}", f"--regid={SANDBOX_UID}", "--clear-groups"]


def _rlimits(limits: SandboxLimits) -> list[str]:
    rlimits = [
        ("as", resource.RLIMIT_AS, limits.memory_bytes),
        ("fsize", resource.RLIMIT_FSIZE, limits.file_bytes),
        ("nofile", resource.RLIMIT_NOFILE, limits.open_files),
        # The kernel counts processes and threads by account, not by program.
        ("nproc", resource.RLIMIT_NPROC, limits.processes + _threads_of(os.geteuid() or SANDBOX_UID)),
        ("core", resource.RLIMIT_CORE, 0),
    ]
    options = [f"--{name}={_at_most(number, value)}" for name, number, value in rlimits]
    # The soft limit sends SIGXCPU, by which `_outcome` knows the cause; five seconds later comes SIGKILL.
    cpu = _at_most(resource.RLIMIT_CPU, limits.cpu_s)
    return ["prlimit", *options, f"--cpu={cpu}:{_at_most(resource.RLIMIT_CPU, limits.cpu_s + 5)}"]


def _at_most(number: int, value: int) -> int:
    """A process may only lower its own hard limit."""
    hard = resource.getrlimit(number)[1]
    return value if hard == resource.RLIM_INFINITY else min(value, hard)


def _threads_of(uid: int) -> int:
    total = 0
    for process in psutil.process_iter(["uids", "num_threads"]):
        uids = process.info["uids"]
        if uids and uids.real == uid:
            total += process.info["num_threads"] or 1
    return total


def _bubblewrap(workdir: Path) -> list[str]:
    """No network, process and IPC numbers of its own, `/usr` read-only, a `/tmp` of its own, no terminal in `/dev`."""
    names = ["--unshare-all"]
    # Root keeps its user namespace and gives its rights up inside, so that it works where the kernel forbids user
    # namespaces.
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
    own = ["--proc", "/proc", "--perms", "1777", "--tmpfs", "/tmp", "--perms", "0755", "--dir", "/workdir"]  # noqa: S108
    binds = ["--ro-bind", f"{workdir}/in", "/workdir/in", "--bind", f"{workdir}/out", "/workdir/out"]
    return ["bwrap", *names, "--die-with-parent", *system, *devices, *own, *binds, "--chdir", "/workdir", "--"]


def _wait(process: subprocess.Popen[bytes], wall_s: float) -> bool:
    """Whether it ended by itself in time. Afterwards nothing of its group is left in either case."""
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
