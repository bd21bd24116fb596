"""The supervisor: what exits is started again, what stops stops in time, and nothing outlives it."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from web.supervisor import ManagedProcess, ProcessesEnded, Supervisor


@pytest.fixture
def supervise() -> Iterator[Callable[..., Supervisor]]:
    made: list[Supervisor] = []

    def start(*programs: str) -> Supervisor:
        parts = [ManagedProcess(f"part{n}", [sys.executable, "-c", program]) for n, program in enumerate(programs)]
        made.append(Supervisor(parts))
        made[-1].start()
        return made[-1]

    yield start
    for supervisor in made:
        supervisor.stop()


def wait_for(condition: Callable[[], object], timeout_s: float = 20) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)


SLEEP = "import time; time.sleep(600)"
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"


def test_a_part_that_exits_with_status_0_is_started_again(
    supervise: Callable[..., Supervisor], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    supervisor = supervise(f"open({str(tmp_path / 'starts')!r}, 'a').write('x')")

    supervisor.wait_until(lambda: (tmp_path / "starts").exists() and len((tmp_path / "starts").read_text()) >= 2, 30)

    assert "exited with status 0" in capsys.readouterr().out


def test_a_part_that_keeps_exiting_is_started_more_and_more_seldom(supervise: Callable[..., Supervisor]) -> None:
    part = supervise("pass").processes[0]

    waits = []
    for _ in range(9):
        waits.append(part.backoff_s)
        part.plan_restart(part.started_at + 1)

    assert waits == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_output_is_prefixed_with_the_name_of_the_part(
    supervise: Callable[..., Supervisor], capsys: pytest.CaptureFixture[str]
) -> None:
    supervise("print('hello')")
    seen = ""

    def said() -> bool:
        nonlocal seen
        seen += capsys.readouterr().out
        return "part0      | hello" in seen

    wait_for(said)


def test_stop_ends_also_what_ignores_sigterm_and_its_children(
    supervise: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.supervisor.STOP_WITHIN_S", 0.5)
    supervisor = supervise(f"import subprocess, sys; subprocess.run([sys.executable, '-c', {DEAF!r}])")
    parent = psutil.Process(supervisor.processes[0].pid)
    wait_for(parent.children)
    child = parent.children()[0]

    supervisor.stop()

    wait_for(lambda: not child.is_running() or child.status() == psutil.STATUS_ZOMBIE)


def test_a_part_that_never_gets_ready_is_an_error_that_names_it(supervise: Callable[..., Supervisor]) -> None:
    supervisor = supervise(SLEEP, "raise SystemExit(3)")

    with pytest.raises(ProcessesEnded, match="part1"):
        supervisor.wait_until(lambda: False, timeout_s=1.0)


BEATING = """
import asyncio, faulthandler, signal, time
from api.loops import beat_forever
faulthandler.register(signal.SIGUSR1)
print("up", flush=True)
async def main():
    beating = asyncio.create_task(beat_forever())
    await asyncio.sleep(0.3)
    {then}
asyncio.run(main())
"""


@pytest.fixture
def beating(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Supervisor]]:
    """A process that beats, and after a moment does what the test says."""
    monkeypatch.setattr("web.supervisor.SILENT_AFTER_S", 2.5)
    supervisors: list[Supervisor] = []

    def start(then: str) -> Supervisor:
        program = BEATING.replace("{then}", then)
        process = ManagedProcess("part0", [sys.executable, "-c", program], beats=True)
        supervisors.append(Supervisor([process]))
        supervisors[0].start()
        return supervisors[0]

    yield start
    for supervisor in supervisors:
        supervisor.stop()


@pytest.mark.parametrize("then", ["time.sleep(600)", "signal.raise_signal(signal.SIGSTOP)"])
def test_a_process_that_lives_and_is_silent_is_killed_and_started_again(
    beating: Callable[[str], Supervisor], capsys: pytest.CaptureFixture[str], then: str
) -> None:
    supervisor = beating(then)
    first = supervisor.processes[0].pid

    supervisor.wait_until(lambda: supervisor.processes[0].pid not in (None, first), 30)

    output = capsys.readouterr().out
    assert "alive, but silent" in output
    assert "starting again" in output
    assert "in main" in output or "SIGSTOP" in then  # where it stood


def test_a_process_that_beats_is_left_alone(
    beating: Callable[[str], Supervisor], capsys: pytest.CaptureFixture[str]
) -> None:
    supervisor = beating("await asyncio.sleep(600)")
    pid = supervisor.processes[0].pid
    until = time.monotonic() + 4

    supervisor.wait_until(lambda: time.monotonic() > until, 10)

    assert supervisor.processes[0].pid == pid
    assert supervisor.processes[0].has_beaten
    assert "silent" not in capsys.readouterr().out


def test_a_process_that_never_beats_gets_the_time_of_a_slow_start(
    supervise: Callable[..., Supervisor], monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = supervise(SLEEP)
    process = supervisor.processes[0]
    process.beats = True
    process.end_if_silent(process.started_at + 100)
    assert not process._asked
    process.end_if_silent(process.started_at + 121)
    assert process._asked


def test_a_supervisor_that_was_stopped_itself_blames_nobody(supervise: Callable[..., Supervisor]) -> None:
    supervisor = supervise(SLEEP)
    process = supervisor.processes[0]
    process.beats = process.has_beaten = True
    process.beat_at = supervisor._checked_at = time.monotonic() - 60
    supervisor.check()
    assert not process._asked


def test_a_process_that_had_come_up_is_started_again_at_once(supervise: Callable[..., Supervisor]) -> None:
    """A database that dies six times in a minute must not make its workers wait for half a minute."""
    process = supervise("pass").processes[0]
    process.has_beaten = True
    for _ in range(6):
        process.plan_restart(process.started_at + 6)
        assert process.restart_at == process.started_at + 6.5


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_outlives_the_supervisor(ending: signal.Signals) -> None:
    program = textwrap.dedent("""
        import sys
        from web.supervisor import ManagedProcess, Supervisor
        child = "from web.supervisor import die_with_parent; die_with_parent(); print('up', flush=True);"
        child += "import time; time.sleep(600)"
        supervisor = Supervisor([ManagedProcess("child", [sys.executable, "-c", child])])
        supervisor.catch_signals()
        supervisor.start()
        supervisor.run()
        supervisor.stop()
    """)
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert process.stdout
    assert b"up" in process.stdout.readline()
    child = psutil.Process(process.pid).children()[0]

    os.kill(process.pid, ending)
    process.wait(10)
    process.stdout.close()

    wait_for(lambda: not child.is_running())
