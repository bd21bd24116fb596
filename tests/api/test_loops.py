"""Endless loops end when they are told, and a process ends when its work has, whatever hangs."""

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from api.loops import pause, repeat

ROOT = Path(__file__).resolve().parents[2]
Loop = Callable[[Callable[[], Awaitable[object]]], Awaitable[None]]


async def lose_cancellation() -> None:
    """As psycopg when the server dies in the moment of the cancellation: its own error takes the place."""
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        raise OSError("terminating connection") from None


class LosesOne:
    """A step that loses the first cancellation, and only waits from then on."""

    def __init__(self) -> None:
        self.calls = 0

    async def __call__(self) -> None:
        self.calls += 1
        await (lose_cancellation() if self.calls == 1 else asyncio.sleep(60))


async def naive(step: Callable[[], Awaitable[object]]) -> None:
    while True:
        with suppress(OSError):
            await step()
        await asyncio.sleep(0.01)


async def ours(step: Callable[[], Awaitable[object]]) -> None:
    await repeat(step, every_s=0.01, name="test")


async def ends_when_cancelled(loop: Loop) -> bool:
    task = asyncio.ensure_future(loop(LosesOne()))
    await asyncio.sleep(0.05)
    task.cancel()
    _, pending = await asyncio.wait([task], timeout=0.5)
    task.cancel()
    await asyncio.wait([task], timeout=0.5)
    return not pending


@pytest.mark.parametrize(("loop", "ends"), [(ours, True), (naive, False)])
def test_a_loop_ends_although_its_cancellation_was_lost(loop: Loop, ends: bool) -> None:
    assert asyncio.run(ends_when_cancelled(loop)) is ends


def test_a_loop_goes_on_after_an_error() -> None:
    rounds = []

    async def step() -> None:
        rounds.append(len(rounds))
        if len(rounds) == 3:
            raise asyncio.CancelledError
        raise RuntimeError

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(repeat(step, every_s=0, name="test"))
    assert rounds == [0, 1, 2]


def test_a_loop_that_was_told_to_end_does_not_sleep_first() -> None:
    async def scenario() -> None:
        task = asyncio.ensure_future(lose_cancellation())
        await asyncio.sleep(0)

        async def after() -> None:
            try:
                await task
            except (OSError, asyncio.CancelledError):
                await pause(60)

        waiting = asyncio.ensure_future(after())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait_for(asyncio.wait([waiting]), 2)

    asyncio.run(scenario())


HANGING = """
import asyncio, threading, time
from api import loops
loops.END_WITHIN_S, loops.BLOCKED_S = 0.5, 1

async def hangs():
    while True:
        try:
            await asyncio.sleep(60)
        except BaseException:
            pass

async def in_a_thread():
    await asyncio.to_thread(time.sleep, 60)

async def blocks():
    try:
        await asyncio.sleep(60)
    finally:
        if {blocks}:
            time.sleep(60)

async def part():
    print("up", flush=True)
    await asyncio.sleep({life_s})

async def main():
    await loops.run_together(hangs(), in_a_thread(), blocks(), part(), stop_within_s=0.5)

asyncio.run(main())
"""


@pytest.mark.parametrize("blocks", [False, True])
@pytest.mark.parametrize("life_s", [0.1, 60])
def test_a_process_ends_within_seconds_whatever_hangs(life_s: float, blocks: bool) -> None:
    """By itself when one part has ended, and after a signal; also when the loop itself is blocked."""
    program = [sys.executable, "-c", HANGING.replace("{life_s}", str(life_s)).replace("{blocks}", str(blocks))]
    with subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == b"up\n"
        started_at = time.monotonic()
        if life_s == 60:
            process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 1
        assert time.monotonic() - started_at < 10
        # Where it stood is in the log.
        assert (b"in blocks" in process.stderr.read()) is blocks
        assert (b"ends without" in process.stdout.read()) is not blocks
