"""A program that means harm: what it can reach, how long it lives, and what is left of it."""

import os
import shutil
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from printers import sandbox
from printers.sandbox import (
    EndReason,
    SandboxKind,
    SandboxLimits,
    SandboxResult,
    open_workdir,
    run_sandboxed,
    sandbox_kind,
)

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def workdir() -> Iterator[Path]:
    with open_workdir("etabli-test-") as workdir:
        yield workdir


@pytest.fixture(params=list(SandboxKind))
def kind(request: pytest.FixtureRequest) -> SandboxKind:
    wanted: SandboxKind = request.param
    if wanted is SandboxKind.BUBBLEWRAP and sandbox_kind() is not wanted:
        pytest.skip("bubblewrap does not work on this machine (no user namespaces)")
    return wanted


def sh(
    script: str, workdir: Path, kind: SandboxKind | None = None, limits: SandboxLimits | None = None
) -> SandboxResult:
    argv = ["/usr/bin/bash", "-c", script]
    return run_sandboxed(argv, workdir=workdir, limits=limits or SandboxLimits(wall_s=60), kind=kind)


def pids_with(mark: str) -> list[int]:
    return [
        process.pid
        for process in psutil.process_iter(["cmdline", "status"])
        if mark in " ".join(process.info["cmdline"] or []) and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


def wait_until(condition: Callable[[], bool], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)


def test_it_reads_in_and_writes_out(workdir: Path, kind: SandboxKind) -> None:
    (workdir / "in" / "asked").write_text("what\n")
    outcome = sh("cat in/asked; tr a-z A-Z < in/asked > out/answered", workdir, kind)
    assert outcome == SandboxResult(EndReason.OK, 0, "what\n")
    assert (workdir / "out" / "answered").read_text() == "WHAT\n"


def test_a_workdir_and_its_files_are_gone_at_the_end() -> None:
    with open_workdir() as workdir:
        sh("mkdir out/deep; echo x > out/deep/file", workdir)
    assert not workdir.exists()


@pytest.mark.parametrize(
    ("script", "ended", "status"),
    [
        ("exit 3", EndReason.FAILED, 3),
        ("kill -ABRT $$", EndReason.FAILED, 134),
        ("kill -KILL $$", EndReason.KILLED, 137),
        ("echo 'what(): std::bad_alloc' >&2; kill -ABRT $$", EndReason.OUT_OF_MEMORY, 134),
    ],
)
def test_the_outcome_tells_how_it_ended(
    workdir: Path, kind: SandboxKind, script: str, ended: EndReason, status: int
) -> None:
    outcome = sh(script, workdir, kind)
    assert (outcome.kind, outcome.status) == (ended, status)


def test_only_the_end_of_what_it_says_is_kept(workdir: Path) -> None:
    outcome = sh("head -c 100000 /dev/zero | tr '\\0' a; echo the end >&2", workdir, SandboxKind.LIMITS)
    assert outcome.stderr_tail.endswith("aathe end\n")
    assert len(outcome.stderr_tail) == 16_384


def test_the_wall_clock_ends_it_and_all_its_children(workdir: Path, kind: SandboxKind) -> None:
    mark = uuid.uuid4().hex
    start_s = time.monotonic()
    outcome = sh(f"bash -c 'sleep 600; : {mark}' & sleep 600; : {mark}", workdir, kind, SandboxLimits(wall_s=0.5))
    assert outcome.kind is EndReason.TIMEOUT
    assert time.monotonic() - start_s < 20
    wait_until(lambda: not pids_with(mark))


def test_a_child_does_not_outlive_a_program_that_ends_well(workdir: Path, kind: SandboxKind) -> None:
    mark = uuid.uuid4().hex
    assert sh(f"bash -c 'sleep 600; : {mark}' & exit 0", workdir, kind).kind is EndReason.OK
    wait_until(lambda: not pids_with(mark))


def test_the_processor_limit_ends_it(workdir: Path, kind: SandboxKind) -> None:
    outcome = sh("while :; do :; done", workdir, kind, SandboxLimits(wall_s=60, cpu_s=1))
    assert (outcome.kind, outcome.status) == (EndReason.TIMEOUT, 152)


def test_the_memory_limit_ends_it(workdir: Path, kind: SandboxKind) -> None:
    outcome = sh("x=$(yes)", workdir, kind, SandboxLimits(wall_s=60, memory_bytes=100 << 20))
    assert outcome.kind is EndReason.OUT_OF_MEMORY


def test_a_file_cannot_grow_beyond_its_limit(workdir: Path, kind: SandboxKind) -> None:
    script = "exec head -c 50000000 /dev/urandom > out/big"
    outcome = sh(script, workdir, kind, SandboxLimits(wall_s=60, file_bytes=1 << 20))
    assert outcome.kind is EndReason.KILLED
    assert (workdir / "out" / "big").stat().st_size == 1 << 20


def test_a_fork_bomb_stays_small(workdir: Path, kind: SandboxKind) -> None:
    script = "for i in $(seq 400); do sleep 600 & done; echo all > out/all"
    outcome = sh(script, workdir, kind, SandboxLimits(wall_s=4, processes=30))
    assert "fork" in outcome.stderr_tail
    assert not (workdir / "out" / "all").exists()


def test_it_runs_at_the_lowest_priority_of_our_own_scheduling_group(workdir: Path, kind: SandboxKind) -> None:
    """In a session of its own the kernel's autogroup would make the priority worthless."""
    outcome = sh("nice; cat /proc/self/oom_score_adj; cat /proc/self/autogroup || true", workdir, kind)
    nice, oom, *group = outcome.stderr_tail.split()
    assert (nice, oom) == ("19", "1000")
    ours = Path("/proc/self/autogroup")  # Empty where a control group outranks the autogroup; absent in some kernels.
    assert group[:1] == (ours.read_text().split()[:1] if ours.exists() else [])


def test_no_variable_of_ours_reaches_it(workdir: Path, kind: SandboxKind, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETABLI_DATABASE_URL", "secret")
    assert "secret" not in sh("env", workdir, kind).stderr_tail


def test_root_gives_its_account_up(workdir: Path, kind: SandboxKind) -> None:
    uid = int(sh("id -u", workdir, kind).stderr_tail)
    assert uid == (sandbox.SANDBOX_UID if os.geteuid() == 0 else os.geteuid())


@pytest.mark.parametrize("way", ["TERM", "KILL"])
def test_killing_its_parent_kills_it(workdir: Path, kind: SandboxKind, way: str) -> None:
    mark = uuid.uuid4().hex
    program = (
        "import sys; from pathlib import Path; from printers.sandbox import *\n"
        f"run_sandboxed(['/usr/bin/tail', '-f', '/dev/null', 'out/{mark}'], workdir=Path(sys.argv[1]),"
        " limits=SandboxLimits(), kind=SandboxKind(sys.argv[2]))"
    )
    (workdir / "out" / mark).touch()
    parent = subprocess.Popen([sys.executable, "-c", program, str(workdir), kind], cwd=ROOT)
    try:
        wait_until(lambda: any(psutil.Process(pid).name() == "tail" for pid in pids_with(mark)))
    finally:
        parent.terminate() if way == "TERM" else parent.kill()
        parent.wait(timeout=20)
    wait_until(lambda: not pids_with(mark))


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


ESCAPES = {
    "read the password file": "cat /etc/shadow",
    "read the list of accounts": "cat /etc/passwd",
    "read our code": f"cat {ROOT}/pyproject.toml",
    "list homes": "ls /home || ls /root",
    "list the variable data": "ls /var",
    "write into the system": "echo x > /usr/escaped",
    "write beside the workdir": "echo x > /workdir/escaped",
    "write into the input": "echo x > in/escaped",
    "change the input": "rm in/model",
    "see our processes": "test $(ls -d /proc/[0-9]* | wc -l) -gt 12",
    "signal its parent": f"kill -0 {os.getpid()}",
    "call a server of this machine": "echo x > /dev/tcp/127.0.0.1/$(cat in/port)",
    "look at the network": "test $(tail -n +3 /proc/net/dev | wc -l) -gt 1",
    "write to the terminal": "echo x > /dev/tty",
    "read a disk": "ls /dev/sd* /dev/vd* /dev/mem",
    "mount": "mount -t tmpfs none /tmp",
    "become root": "su -c true || setpriv --reuid=0 true",
    "raise its limits": "ulimit -n 100000 || prlimit --as=unlimited --pid $$",
    "take its priority back": "renice -n 0 $$",
    "change the kernel": "echo x > /proc/sys/kernel/core_pattern",
}


@pytest.mark.parametrize("escape", ESCAPES)
def test_no_escape_succeeds_under_bubblewrap(workdir: Path, listening: int, escape: str) -> None:
    if sandbox_kind() is not SandboxKind.BUBBLEWRAP:
        pytest.skip("bubblewrap does not work on this machine (no user namespaces)")
    (workdir / "in" / "port").write_text(str(listening))
    (workdir / "in" / "model").write_text("model")
    outcome = sh(f"({ESCAPES[escape]}) && echo 'it es''caped'", workdir)
    assert "it escaped" not in outcome.stderr_tail
    assert outcome.kind is EndReason.FAILED
    assert (workdir / "in" / "model").read_text() == "model"


def test_the_escapes_would_be_noticed(listening: int) -> None:
    """The same connection and reading do succeed outside: the scripts above are not broken in themselves."""
    assert subprocess.run(["bash", "-c", f"echo x > /dev/tcp/127.0.0.1/{listening} && cat {ROOT}/pyproject.toml"],
                          capture_output=True, check=True).stdout  # fmt: skip


def test_the_kind_is_what_a_trial_found(monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, str | None] = {"bwrap": None}
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: found[name] if name in found else which(name))
    sandbox_kind.cache_clear()
    try:
        assert sandbox_kind() is SandboxKind.LIMITS
    finally:
        sandbox_kind.cache_clear()


def test_a_bubblewrap_that_fails_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_bubblewrap", lambda workdir: ["false", str(workdir)])
    sandbox_kind.cache_clear()
    try:
        assert sandbox_kind() is SandboxKind.LIMITS
    finally:
        sandbox_kind.cache_clear()
