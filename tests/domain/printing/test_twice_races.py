"""What two do at once about a printer, a probe, a slice, a run or a job is done once, or well twice."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.core.base import Base, ForbiddenMove
from api.domain.core.changes import list_changes
from api.domain.core.errors import Conflict, Stale
from api.domain.messages.purges import ModelFiles, record_purge
from api.domain.people.accounts import User
from api.domain.places.sites import Site
from api.domain.printing import faults, jobs, probes, runs, slices
from api.domain.printing.beds import Bed, MachineFacts
from api.domain.printing.jobs import Job, JobStatus
from api.domain.printing.kinds import PrinterKind, get_or_create_kind
from api.domain.printing.library import Model
from api.domain.printing.printers import Printer
from api.domain.printing.probes import Probe
from api.domain.printing.runs import Run, RunStatus
from api.domain.printing.slices import Slice
from api.domain.printing.states import FaultCode
from tests.world import (
    NOW,
    World,
    make_job,
    make_model,
    make_request,
    make_sliced,
    make_submitted,
    make_world,
    world_in,
)
from tests.world.races import Connect, Twice, assert_outcomes, count_rows, on, overlap
from tests.world.runs import start_print

Act = Callable[..., object]
MACHINE = MachineFacts(Bed(333, 333), 300, Decimal("0.4"))


@pytest.fixture
def world(connect: Connect) -> World:
    with connect.begin() as session:
        return make_world(session, stagger_s=0)


def a_site(session: Session, world: World) -> Base:
    return world.site


def a_printer(session: Session, world: World) -> Base:
    return world.printer


def a_broken_printer(session: Session, world: World) -> Base:
    break_printer(session, world.printer)
    return world.printer


def a_probe(session: Session, world: World) -> Base:
    facts = {"url": "http://octopi.local", "sealed_key": "k", "actor": world.bob, "now": NOW}
    return probes.request_probe(session, site=world.site, **facts)


def an_answered_probe(session: Session, world: World) -> Base:
    probe = a_probe(session, world)
    answer(session, probe)
    return probe


def a_pending_slice(session: Session, world: World) -> Base:
    return make_submitted(session, world.site, world.alice).slices[0].slice


def a_run(session: Session, world: World) -> Base:
    return start_print(session, world)


def a_printed_job(session: Session, world: World) -> Base:
    run = start_print(session, world)
    runs.finish(session, run=run, outcome=RunStatus.DONE, now=NOW)
    return run.job


def a_waiting_job(session: Session, world: World) -> Base:
    return make_sliced(session, world.site, world.alice)


def a_job_to_approve(session: Session, world: World) -> Base:
    return make_submitted(session, world.site, world.alice)


def a_held_job(session: Session, world: World) -> Base:
    job = make_sliced(session, world.site, world.alice)
    hold_back(session, job)
    return job


def a_draft(session: Session, world: World) -> Base:
    return make_job(session, world.site, world.alice)


def a_hidden_model(session: Session, world: World) -> Base:
    return make_model(session, world.alice, deleted_at=NOW, confidential=True)


def bob_of(session: Session) -> User:
    return session.scalars(select(User).where(User.name == "Bob")).one()


def add_kind(session: Session, site: Site) -> int:
    return get_or_create_kind(session, machine=MACHINE).id


def break_printer(session: Session, printer: Printer) -> None:
    faults.record_fault(session, printer_id=printer.id, fault=FaultCode.FIRMWARE, text="Thermal", now=NOW)


def mend(session: Session, printer: Printer) -> None:
    faults.mend(session, printer=printer, actor=bob_of(session), now=NOW)


def answer(session: Session, probe: Probe) -> None:
    probes.record_answer(session, probe=probe, sealed_key="k", version="1", user="u", missing=[], dangerous=[])


def ask_person(session: Session, probe: Probe) -> None:
    probes.wait_for_person(session, probe=probe, token="t")


def fail_probe(session: Session, probe: Probe) -> None:
    probes.record_failure(session, probe=probe, code="wrong_key")


def add_probed(session: Session, probe: Probe) -> int:
    kind = session.scalars(select(PrinterKind).limit(1)).one()
    facts = {"name": "Cobalt", "kind": kind, "actor": bob_of(session), "now": NOW}
    return probes.add_probed(session, probe=probe, **facts).id


def mark_ready(session: Session, slice_: Slice) -> None:
    facts: dict[str, Any] = {"seconds": 600, "grams": Decimal(5), "gcode_key": "x", "size": 9, "sha1": "0" * 40}
    slices.mark_ready(session, slice_=slice_, now=NOW, **facts)


def mark_failed(session: Session, slice_: Slice) -> None:
    slices.mark_failed(session, slice_=slice_, code="busy", params={}, again=True, now=NOW)


def begin(session: Session, slice_: Slice) -> None:
    assert slices.begin_attempt(session, slice_id=slice_.id, now=NOW) is not None


def finish(session: Session, run: Run) -> None:
    runs.finish(session, run=run, outcome=RunStatus.DONE, now=NOW)


def collect(session: Session, job: Job) -> None:
    jobs.collect(session, job=job, actor=bob_of(session), now=NOW)


def hold_back(session: Session, job: Job) -> None:
    jobs.put_on_hold(session, job=job, actor=bob_of(session), text="Attendez", now=NOW)


def reject(session: Session, job: Job) -> None:
    jobs.reject(session, job=job, actor=bob_of(session), text="Non", now=NOW)


def resume(session: Session, job: Job) -> None:
    jobs.resume(session, job=job, actor=bob_of(session), now=NOW)


def cancel(session: Session, job: Job) -> None:
    runs.cancel_job(session, job=job, actor=bob_of(session), now=NOW)


def purge(session: Session, model: Model) -> None:
    record_purge(session, files=ModelFiles(model.id, ()), now=NOW)


TWICE = {
    "a printer kind": Twice(add_kind, None, a_site, PrinterKind, 2),
    "a fault": Twice(break_printer, None, a_printer),
    "a repair": Twice(mend, None, a_broken_printer),
    "the answer of a probe": Twice(answer, Stale, a_probe),
    "a probe that waits for a person": Twice(ask_person, Stale, a_probe),
    "the failure of a probe": Twice(fail_probe, Stale, a_probe),
    "a probe that becomes a printer": Twice(add_probed, Conflict, an_answered_probe, Printer, 2),
    "a slice that is ready": Twice(mark_ready, Stale, a_pending_slice),
    "a slice that failed": Twice(mark_failed, Stale, a_pending_slice),
    "an attempt at a slice": Twice(begin, None, a_pending_slice),
    "the end of a run": Twice(finish, Conflict, a_run, runs.Charge),
    "a part that is handed out": Twice(collect, ForbiddenMove, a_printed_job),
    "a job that is refused": Twice(reject, ForbiddenMove, a_job_to_approve),
    "a job that is held back": Twice(hold_back, ForbiddenMove, a_waiting_job),
    "a job that goes on": Twice(resume, ForbiddenMove, a_held_job),
    "a job that is cancelled": Twice(cancel, ForbiddenMove, a_waiting_job),
    "files that are gone": Twice(purge, None, a_hidden_model),
}


@pytest.mark.parametrize("case", TWICE.values(), ids=TWICE)
def test_what_two_do_at_once_is_done_once_or_well_twice(connect: Connect, world: World, case: Twice) -> None:
    with connect.begin() as session:
        row = case.setup(session, world_in(session, world))
    assert_outcomes(overlap(connect, on(case.act, row), on(case.act, row)), case.refusal)
    if case.table is not None:
        assert count_rows(connect, case.table) == case.count


def test_both_attempts_at_a_slice_count_and_a_fault_is_told_once(connect: Connect, world: World) -> None:
    with connect.begin() as session:
        there = world_in(session, world)
        slice_, printer = a_pending_slice(session, there), a_printer(session, there)
    overlap(connect, on(begin, slice_), on(begin, slice_))
    overlap(connect, on(break_printer, printer), on(break_printer, printer))
    with connect() as session:
        assert session.scalars(select(Slice.attempts)).one() == 2
        verbs = [each.verb for each in list_changes(session, noun="printer", noun_id=world.printer.id)]
        assert verbs.count("fault_found") == 1


def test_two_looks_at_one_server_become_one_printer(connect: Connect, world: World) -> None:
    """Each by its own probe; what the server calls itself is not known, so only its address says that it is one."""
    with connect.begin() as session:
        pair = [an_answered_probe(session, world_in(session, world)) for _ in range(2)]
    first, second = overlap(connect, *(on(add_probed, probe) for probe in pair))
    assert isinstance(first, int)
    assert first == second


def test_tabs_that_ask_for_exact_prices_at_once_stay_within_the_limit(connect: Connect, world: World) -> None:
    with connect.begin() as session:
        there = world_in(session, world)
        for scale in (2, 3):
            request = make_request(session, there.site, make_model(session, there.alice), scale=Decimal(scale))
            jobs.request_exact_price(session, request=request, now=NOW)
        models = [make_model(session, there.alice) for _ in range(2)]

    def ask(session: Session, model: Model, site: Site) -> None:
        jobs.request_exact_price(session, request=make_request(session, site, model), now=NOW)

    assert overlap(connect, *(on(ask, model, world.site) for model in models)) == (None, None)
    assert count_rows(connect, Slice) == 3


def test_a_job_found_on_a_restored_printer_is_held_once(connect: Connect, world: World) -> None:
    with connect.begin() as session:
        job = a_waiting_job(session, world_in(session, world))
        assert isinstance(job, Job)
        sha1 = job.slices[0].slice.sha1

    def compare(session: Session, printer: Printer, job: Job) -> list[int]:
        files = {UUID(int=1): sha1}  # of a run that this copy does not know
        return [each.id for each in runs.hold_printed(session, printer_id=printer.id, files=files, now=NOW)]

    first, second = overlap(connect, *(on(compare, world.printer, job) for _ in range(2)))
    assert (first, second) == ([job.id], [])
    with connect() as session:
        assert session.get_one(Job, job.id).status == JobStatus.ON_HOLD
