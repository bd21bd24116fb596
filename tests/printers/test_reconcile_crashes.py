"""A worker may die between any two lines, any reply may be lost, and two may race: each plate is printed once."""

from threading import Barrier, Thread

import pytest

from api.domain.printing.jobs import JobStatus
from api.domain.printing.runs import RunStatus
from printers.simulator import Mode, SimulatedOctoPrint
from tests.world.workshop import Mortal, Workshop


def mend(workshop: Workshop) -> None:
    """Reconcile as the tick would, until the print runs and ends well."""
    for _ in range(4):
        workshop.reconcile()
        workshop.clock.pass_by(3)
    if workshop.sim.printer.is_active:
        workshop.sim.printer.finish()
    for _ in range(3):
        workshop.reconcile()
        workshop.clock.pass_by(3)


def one_print_only(workshop: Workshop, job_id: int) -> None:
    assert len(workshop.sim.printer.started) == 1
    assert [run.status for run in workshop.runs(job_id)] == [RunStatus.DONE]
    assert workshop.job(job_id).status == JobStatus.PRINTED
    assert sum(c.net_cents for c in workshop.charges(job_id)) == workshop.job(job_id).net_cents
    assert not workshop.printer().plate_clear
    assert list(workshop.sim.printer.files) == [workshop.run(job_id).done_path]


#: Look and claim; upload, find, select, look, start; the look that believes, and the one with nothing left to do.
CALLS_TO_PRINT = 8


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", range(CALLS_TO_PRINT + 1))
def test_a_worker_killed_around_any_call_on_the_way_to_the_start(workshop: Workshop, call: int, after: bool) -> None:
    job_id = workshop.queue()
    assert workshop.die_at(call, after=after) == (call < CALLS_TO_PRINT)
    mend(workshop)
    one_print_only(workshop, job_id)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", range(6))
def test_a_worker_killed_around_any_call_after_the_end(workshop: Workshop, call: int, after: bool) -> None:
    job_id = workshop.printing()
    workshop.sim.printer.finish()
    workshop.die_at(call, after=after)
    mend(workshop)
    one_print_only(workshop, job_id)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("call", range(9))
def test_a_worker_killed_around_any_call_of_taking_over(workshop: Workshop, call: int, after: bool) -> None:
    """The second worker goes step by step from what the first one left, and dies as well."""
    job_id = workshop.at(RunStatus.CLAIMED)
    workshop.die_at(call, after=after)
    mend(workshop)
    one_print_only(workshop, job_id)


@pytest.mark.parametrize("status", [RunStatus.UPLOADING, RunStatus.SELECTED, RunStatus.STARTING])
def test_a_run_left_in_any_status_is_brought_to_its_end(workshop: Workshop, status: RunStatus) -> None:
    job_id = workshop.at(status)
    mend(workshop)
    one_print_only(workshop, job_id)


@pytest.mark.parametrize("call", [1, 3, 4], ids=["upload", "select", "look"])
def test_a_cancel_that_comes_while_a_fresh_claim_is_dispatched_prevents_the_start(
    workshop: Workshop, call: int
) -> None:
    job_id = workshop.queue()
    client = Mortal(workshop.open(workshop.sim.url, workshop.sim.key), call, True)
    client.die = lambda: workshop.cancel(job_id)  # type: ignore[method-assign]  # a command instead of a death
    workshop.reconcile(opener=lambda *_: client)
    assert (workshop.sim.printer.started, workshop.run(job_id).status) == ([], RunStatus.CANCELLED)


def test_a_file_that_somebody_chose_after_our_select_is_not_started(workshop: Workshop) -> None:
    """The last look before the start sees it; then ours is chosen again, and printed once."""
    job_id = workshop.queue()
    workshop.sim.printer.store("by-hand.gcode", b"G28\n")
    client = Mortal(workshop.open(workshop.sim.url, workshop.sim.key), 3, True)  # the select
    client.die = lambda: workshop.sim.printer.select(  # type: ignore[method-assign]  # a person instead of a death
        "by-hand.gcode", start=False, user="somebody"
    )
    workshop.reconcile(opener=lambda *_: client)
    assert workshop.sim.printer.started == [workshop.run(job_id).path]


def test_a_fresh_upload_that_was_cut_is_never_started(workshop: Workshop) -> None:
    job_id = workshop.queue()
    client = Mortal(workshop.open(workshop.sim.url, workshop.sim.key), 1, True)  # the upload

    def cut() -> None:
        workshop.sim.printer.store(workshop.run(job_id).path, b"G28\n", overwrite=True)

    client.die = cut  # type: ignore[method-assign]  # a bad disk instead of a death
    workshop.reconcile(opener=lambda *_: client)
    (run,) = workshop.runs(job_id)
    assert (run.reason, workshop.sim.printer.started) == ("bad_upload", [])


class LosesReply:
    """The simulated server does the n-th thing that it is asked to change, and drops the connection."""

    def __init__(self, sim: SimulatedOctoPrint, nth: int) -> None:
        self.sim, self.left, self.answer = sim, nth, sim.answer

    def __call__(self, method: str, *args: object) -> tuple[int, object]:
        self.sim.mode = Mode.NORMAL
        answer = self.answer(method, *args)  # type: ignore[arg-type]  # passed through
        if method == "POST":
            self.sim.mode = Mode.LOST_REPLY if self.left == 0 else Mode.NORMAL
            self.left -= 1
        return answer


@pytest.mark.parametrize("nth", range(3), ids=["upload", "select", "start"])
def test_a_lost_reply_is_no_news(workshop: Workshop, nth: int, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = workshop.queue()
    monkeypatch.setattr(workshop.sim, "answer", LosesReply(workshop.sim, nth))
    workshop.reconcile()
    assert workshop.printer().trouble_reason == "unreachable"
    mend(workshop)
    one_print_only(workshop, job_id)


def test_a_start_that_never_arrived_is_made_again_after_the_grace(workshop: Workshop) -> None:
    job_id = workshop.at(RunStatus.STARTING)
    assert workshop.sim.printer.started == []
    workshop.reconcile()
    assert (workshop.run(job_id).status, len(workshop.sim.printer.started)) == (RunStatus.PRINTING, 1)


def test_a_start_that_was_lost_with_its_server_is_a_doubt(workshop: Workshop) -> None:
    job_id = workshop.at(RunStatus.STARTING)
    workshop.sim.printer.restart()
    workshop.reconcile()
    assert (workshop.run(job_id).status, workshop.sim.printer.started) == (RunStatus.IN_DOUBT, [])


def count_starts(workshop: Workshop) -> list[str]:
    """Every start that reaches the server from now on, refused ones as well."""
    starts, select = [], workshop.sim.printer.select

    def counted(path: str, *, start: bool, user: str) -> None:
        if start:
            starts.append(path)
        select(path, start=start, user=user)

    workshop.sim.printer.select = counted  # type: ignore[method-assign]  # to see what it refuses
    return starts


@pytest.mark.parametrize("status", [None, RunStatus.UPLOADING, RunStatus.SELECTED, RunStatus.STARTING])
def test_workers_that_race_on_one_printer_start_once(workshop: Workshop, status: RunStatus | None) -> None:
    job_id = workshop.at(status) if status else workshop.queue()
    gate, broken, starts = Barrier(3), [], count_starts(workshop)

    def work() -> None:
        gate.wait()
        try:
            workshop.reconcile()
        except Exception as error:  # whatever it is, it fails the test
            broken.append(error)

    threads = [Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    mend(workshop)
    assert broken == []
    assert len(starts) == 1  # not even one that the server would have refused
    one_print_only(workshop, job_id)


def test_two_printers_that_race_for_one_plate_print_it_once(workshop: Workshop) -> None:
    with SimulatedOctoPrint() as other:
        second = workshop.add_printer(other)
        job_id = workshop.queue()
        threads = [Thread(target=workshop.reconcile, args=(printer,)) for printer in (workshop.printer_id, second)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert len(workshop.sim.printer.started + other.printer.started) == 1
        assert len(workshop.runs(job_id)) == 1


def test_a_worker_that_looked_long_ago_cannot_end_what_runs_now(workshop: Workshop) -> None:
    """It decided on a look from before the start; by then another worker had started the print."""
    job_id = workshop.at(RunStatus.SELECTED)
    client = workshop.open(workshop.sim.url, workshop.sim.key)
    find = client.find_file

    def slow_find(path: str) -> None:
        """What the frozen worker had read: no file. Meanwhile the other one acts."""
        client.find_file = find  # type: ignore[method-assign]  # frozen once
        workshop.reconcile()

    client.find_file = slow_find  # type: ignore[method-assign]  # frozen once
    workshop.reconcile(opener=lambda *_: client)
    assert workshop.run(job_id).status == RunStatus.PRINTING
    mend(workshop)
    one_print_only(workshop, job_id)
