"""The slicing step: one cube through the real slicer, every way to fail, and two workers on one slice."""

import errno
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from sqlalchemy import update

from api.adapters import files
from api.adapters.first_layer import draw_first_layer
from api.db import transaction
from api.domain.core.errors import DomainError
from api.domain.people.accounts import User
from api.domain.pricing.tariffs import TariffRow
from api.domain.printing.configurations import AllowedLine
from api.domain.printing.jobs import Job, JobStatus
from api.domain.printing.runs import cancel_job
from api.domain.printing.slices import MOST_ATTEMPTS, Slice, SliceStatus, enqueue_lost, mark_ready
from printers import slicer, slicing
from printers.gcode import END_MARKER, GcodeUnlisted
from printers.sandbox import SandboxLimits
from printers.slicer import NothingToPrint, SlicedPlate, SlicerMissing, SliceTooComplex, SlicingInterrupted
from printers.slicing import make_slice
from tests.printers.parts import box, configuration
from tests.world import NOW, make_kind, make_model, make_submitted, make_world


def submit(stl: bytes, *, bed_mm: tuple[float, float, float] = (220, 220, 250), **facts: Any) -> tuple[int, int]:
    """(job, slice) of alice's one part, whose file says `stl` and whose row says `facts`."""
    key = files.new_key("models", "stl")
    files.put(key, stl)
    with transaction() as session:
        world = make_world(session)
        world.printer.kind_id = make_kind(session, volume_mm=bed_mm).id
        session.flush()
        session.expire_all()
        model = make_model(session, world.alice, stl_key=key, **facts)
        job = make_submitted(session, world.site, world.alice, model=model)
        return job.id, job.slices[0].slice_id


def cube(folder: Path, x: float = 10, y: float = 10, z: float = 2) -> bytes:
    return box(folder / "cube.stl", x, y, z).read_bytes()


def look(job_id: int, slice_id: int) -> tuple[Job, Slice]:
    with transaction() as session:
        return session.get_one(Job, job_id), session.get_one(Slice, slice_id)


def kept(folder: Path) -> list[Path]:
    return list((folder / "files" / "gcode").rglob("*.gcode"))


@pytest.mark.real
def test_a_submitted_cube_is_sliced_priced_and_queued(installation: Path) -> None:
    job_id, slice_id = submit(cube(installation))
    make_slice(slice_id)
    job, made = look(job_id, slice_id)
    assert (job.status, job.price_exact) == (JobStatus.QUEUED, True)
    assert (made.status, made.seconds > 0, made.grams > 0) == (SliceStatus.READY, True, True)
    with files.as_path(made.gcode_key) as gcode:
        assert (gcode.stat().st_size, gcode.read_bytes().endswith(END_MARKER)) == (made.size, True)
    assert "<path" in draw_first_layer(files.read(made.gcode_key))  # what PrusaSlicer writes is what is read


@pytest.mark.real
def test_a_part_that_fits_only_turned_is_sliced_turned(installation: Path) -> None:
    stl = cube(installation, 200, 20, 0.6)
    job_id, slice_id = submit(stl, bed_mm=(100, 220, 250), size_x_mm=200.0, size_z_mm=0.6)
    make_slice(slice_id)
    assert look(job_id, slice_id)[1].status == SliceStatus.READY


@pytest.mark.real
def test_what_the_slicer_finds_too_thin_stays_failed_and_the_job_says_why(installation: Path) -> None:
    job_id, slice_id = submit(cube(installation, z=0.01))
    make_slice(slice_id)
    job, slice_ = look(job_id, slice_id)
    assert slice_.error == {"code": NothingToPrint.code(), "params": {}, "again": False}
    assert (slice_.status, job.status, job.reason) == (SliceStatus.FAILED, JobStatus.REJECTED, slice_.error)
    assert kept(installation) == []


def test_a_file_that_is_no_model_is_refused_before_the_slicer_sees_it(
    installation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slicer, "run_sandboxed", lambda *_, **__: pytest.fail("the slicer saw it"))
    job_id, slice_id = submit(b"not a model at all")
    make_slice(slice_id)
    job, slice_ = look(job_id, slice_id)
    assert slice_.error is not None
    assert (slice_.status, slice_.error["again"]) == (SliceStatus.FAILED, False)
    assert (job.status, job.reason) == (JobStatus.REJECTED, slice_.error)


def test_a_missing_slicer_is_no_fault_of_the_model_a_later_try_may_help(
    installation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    job_id, slice_id = submit(cube(installation))
    make_slice(slice_id)
    assert look(job_id, slice_id)[1].error == {"code": SlicerMissing.code(), "params": {}, "again": True}


@pytest.mark.real
def test_too_slow_may_be_the_machines_fault_a_later_try_may_help(
    installation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slicing, "SandboxLimits", lambda wall_s: SandboxLimits(wall_s=0.05))
    job_id, slice_id = submit(cube(installation))
    make_slice(slice_id)
    assert look(job_id, slice_id)[1].error == {"code": SliceTooComplex.code(), "params": {}, "again": True}


@pytest.mark.parametrize("error", [SlicerMissing, SliceTooComplex, SlicingInterrupted])
def test_a_job_is_not_rejected_for_a_reason_that_may_pass(
    installation: Path, monkeypatch: pytest.MonkeyPatch, error: type[DomainError]
) -> None:
    def fail(*_: object) -> SlicedPlate:
        raise error()

    monkeypatch.setattr(slicing, "_run", fail)
    job_id, slice_id = submit(cube(installation))
    make_slice(slice_id)
    assert look(job_id, slice_id)[0].status == JobStatus.SUBMITTED
    sweep(minutes=6)
    monkeypatch.setattr(slicing, "_run", lambda *_: sliced(installation))
    make_slice(slice_id)
    assert look(job_id, slice_id)[0].status == JobStatus.QUEUED


def sweep(*, minutes: float) -> None:
    """As once a minute, so many minutes from now."""
    with transaction() as session:
        enqueue_lost(session, wall_s=600, now=datetime.now(UTC) + timedelta(minutes=minutes))


@pytest.mark.parametrize(
    ("error", "becomes"), [(SliceTooComplex, JobStatus.REJECTED), (SlicerMissing, JobStatus.SUBMITTED)]
)
def test_a_model_that_takes_too_long_each_time_is_refused_a_missing_slicer_is_waited_for(
    installation: Path, monkeypatch: pytest.MonkeyPatch, error: type[DomainError], becomes: JobStatus
) -> None:
    def fail(*_: object) -> SlicedPlate:
        raise error()

    monkeypatch.setattr(slicing, "_run", fail)
    job_id, slice_id = submit(cube(installation))
    for _ in range(4):
        make_slice(slice_id)
        sweep(minutes=6)
    assert look(job_id, slice_id)[0].status == becomes


def test_a_full_disk_is_no_fault_of_the_model(installation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> SlicedPlate:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(slicing, "_run", fail)
    job_id, slice_id = submit(cube(installation))
    make_slice(slice_id)
    job, slice_ = look(job_id, slice_id)
    assert (job.status, slice_.status, slice_.error and slice_.error["again"]) == ("submitted", "failed", True)


def test_a_slice_that_takes_its_worker_along_is_given_up(installation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(*_: object) -> SlicedPlate:
        raise KeyboardInterrupt

    monkeypatch.setattr(slicing, "_run", die)
    job_id, slice_id = submit(cube(installation))
    for _ in range(MOST_ATTEMPTS):
        with pytest.raises(KeyboardInterrupt):
            make_slice(slice_id)
    assert look(job_id, slice_id)[0].status == JobStatus.SUBMITTED
    make_slice(slice_id)
    assert look(job_id, slice_id)[0].status == JobStatus.REJECTED


def test_a_job_that_was_cancelled_meanwhile_takes_no_slice_from_the_others(
    installation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id, slice_id = submit(cube(installation))
    with transaction() as session:
        first = session.get_one(Job, job_id)
        other_id = make_submitted(session, first.site, first.owner, model=first.model).id

    def cancel_meanwhile(*_: object) -> SlicedPlate:
        with transaction() as session:
            job = session.get_one(Job, job_id)
            cancel_job(session, job=job, actor=job.owner, now=NOW)
        return sliced(installation)

    monkeypatch.setattr(slicing, "_run", cancel_meanwhile)
    make_slice(slice_id)
    assert (look(job_id, slice_id)[0].status, look(other_id, slice_id)[0].status) == ("cancelled", "queued")
    assert len(kept(installation)) == 1


def test_a_job_that_cannot_be_priced_takes_no_slice_from_the_others(
    installation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id, slice_id = submit(cube(installation))
    with transaction() as session:
        first = session.get_one(Job, job_id)
        other_id = make_submitted(session, first.site, first.owner, model=first.model).id
        cheap = dict(session.get_one(TariffRow, first.tariff_id).body, per_gram={})
        row = TariffRow(site_id=first.site_id, valid_from=NOW, body=cheap)
        session.add(row)
        session.flush()
        first.tariff_id = row.id
    monkeypatch.setattr(slicing, "_run", lambda *_: sliced(installation))
    make_slice(slice_id)
    assert (look(job_id, slice_id)[0].status, look(other_id, slice_id)[0].status) == ("submitted", "queued")


def test_a_step_that_comes_again_settles_the_jobs_that_the_first_worker_left(installation: Path) -> None:
    job_id, slice_id = submit(cube(installation))
    another_is_faster(slice_id)
    assert look(job_id, slice_id)[0].status == JobStatus.SUBMITTED
    make_slice(slice_id)
    assert look(job_id, slice_id)[0].status == JobStatus.QUEUED


@pytest.mark.real
def test_jobs_handed_in_all_along_a_slice_are_all_queued(installation: Path) -> None:
    """One of them is being handed in when the slice becomes ready."""
    for side in range(3):
        first, slice_id = submit(cube(installation, 6 + side, 7, 3))
        worker = Thread(target=make_slice, args=(slice_id,))
        worker.start()
        jobs = [first]
        while worker.is_alive():
            with transaction() as session:
                job = session.get_one(Job, first)
                jobs.append(make_submitted(session, job.site, job.owner, model=job.model).id)
        worker.join()
        assert {look(job_id, slice_id)[0].status for job_id in jobs} == {JobStatus.QUEUED}


def sliced(folder: Path) -> SlicedPlate:
    gcode = folder / "made.gcode"
    gcode.write_text("G28\n")
    return SlicedPlate(gcode=gcode, seconds=60, grams=Decimal(1), layers=1, size=4, sha1="0" * 40)


def another_is_faster(slice_id: int) -> None:
    with transaction() as session:
        found = session.get_one(Slice, slice_id)
        mark_ready(
            session, slice_=found, seconds=90, grams=Decimal(2), gcode_key="gcode/first.gcode", size=9, sha1="1" * 40,
            now=NOW,
        )  # fmt: skip


def test_the_second_of_two_workers_drops_its_result(installation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id, slice_id = submit(cube(installation))

    def slow_run(*_: object) -> SlicedPlate:
        another_is_faster(slice_id)
        return sliced(installation)

    monkeypatch.setattr(slicing, "_run", slow_run)
    make_slice(slice_id)
    assert look(job_id, slice_id)[1].gcode_key == "gcode/first.gcode"
    assert kept(installation) == []


def test_the_failure_of_the_second_worker_changes_nothing(installation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id, slice_id = submit(cube(installation))

    def slow_run(*_: object) -> SlicedPlate:
        another_is_faster(slice_id)
        raise SliceTooComplex()

    monkeypatch.setattr(slicing, "_run", slow_run)
    make_slice(slice_id)
    assert look(job_id, slice_id)[1].status == SliceStatus.READY


def test_what_is_sliced_or_gone_is_not_sliced_again(installation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slicing, "_run", lambda *_: pytest.fail("sliced again"))
    job_id, slice_id = submit(cube(installation))
    with transaction() as session:
        session.execute(update(Slice).values(status=SliceStatus.FAILED, ended_at=datetime.now(UTC)))
    make_slice(slice_id)
    make_slice(0)
    assert look(job_id, slice_id)[1].status == SliceStatus.FAILED
    assert kept(installation) == []


@pytest.mark.parametrize(
    ("size_mm", "bed_mm", "turned"),
    [((50, 20), (100, 220), False), ((200, 20), (100, 220), True), ((220.004, 90), (220, 100), False)],
)
def test_a_part_is_turned_only_when_it_fits_in_no_other_way(
    installation: Path, size_mm: tuple[float, float], bed_mm: tuple[float, float], turned: bool
) -> None:
    size_x_mm, size_y_mm = map(float, size_mm)
    slice_id = submit(cube(installation), bed_mm=(*bed_mm, 100), size_x_mm=size_x_mm, size_y_mm=size_y_mm)[1]
    with transaction() as session:
        order = slicing._read_task(session.get_one(Slice, slice_id))
    assert (order.turned, order.copies, order.scale) == (turned, 1, 1.0)


def test_the_printers_own_exported_configuration_is_used(installation: Path) -> None:
    slice_id = submit(cube(installation))[1]
    with transaction() as session:
        found = session.get_one(Slice, slice_id)
        found.kind.config_ini = "retract_length = 6.5\n"
        assert "retract_length = 6.5" in slicing._read_task(found).profile_ini


@pytest.mark.real
@pytest.mark.parametrize("is_answered", [True, False])
def test_a_line_off_the_list_is_sliced_only_while_a_person_answers_for_it(
    installation: Path, is_answered: bool
) -> None:
    job_id, slice_id = submit(cube(installation))
    with transaction() as session:
        kind = session.get_one(Slice, slice_id).kind
        kind.config_ini = configuration(end_gcode="PRINT_END HEAT=[temperature]")
        if is_answered:
            bob = session.query(User).filter_by(name="Bob").one()
            line = AllowedLine(kind_id=kind.id, line="PRINT_END HEAT=[temperature]", allowed_by=bob.id, allowed_at=NOW)
            session.add(line)
    make_slice(slice_id)
    job, made = look(job_id, slice_id)
    if is_answered:
        assert made.status == SliceStatus.READY
    else:
        assert made.error is not None
        assert (made.status, made.error["code"]) == (SliceStatus.FAILED, GcodeUnlisted.code())
        assert job.status == JobStatus.REJECTED
