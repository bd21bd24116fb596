"""Jobs: every pair of statuses, who may do what, what may be asked, and what slices and approval do to one."""

from datetime import timedelta
from decimal import Decimal
from importlib import import_module
from itertools import product
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from api.domain.core.base import ForbiddenMove
from api.domain.core.changes import list_changes
from api.domain.core.errors import NotFound, Stale
from api.domain.core.paging import PageWindow
from api.domain.people.accounts import BuyingRight, Membership, User
from api.domain.people.roles import StaffOnly
from api.domain.pricing.materials import Quality
from api.domain.pricing.tariffs import NoTariff
from api.domain.printing import jobs, runs
from api.domain.printing.jobs import NEXT, Job, JobOfAnother, JobStatus
from api.domain.printing.jobs.request import CopiesWrong, NoPrinterHere, ScaleWrong
from api.domain.printing.jobs.table import ENDED
from api.domain.printing.mesh import Unit
from api.domain.printing.mesh.refusals import MeshRefused
from api.domain.printing.slices import mark_failed
from tests.world import (
    NOW,
    World,
    make_job,
    make_kind,
    make_model,
    make_printer,
    make_request,
    make_site,
    make_sliced,
    make_submitted,
    make_tariff,
    make_user,
    make_world,
)

S = JobStatus


def put(session: Session, job: Job, status: JobStatus) -> Job:
    """Into this status past all rules."""
    session.execute(update(Job).where(Job.id == job.id).values(status=status, ended_at=None))
    session.refresh(job)
    return job


def test_a_job_moves_as_the_table_says_and_in_no_other_way(session: Session, world: World) -> None:
    job = make_job(session, world.site, world.alice)
    for old, new in product(JobStatus, JobStatus):
        put(session, job, old)
        if new in NEXT.get(old, frozenset()):
            jobs.move_job(session, job, new, now=NOW)
            session.flush()
            assert (job.status, job.ended_at is not None) == (new, new in ENDED)
            assert list_changes(session, noun="job", noun_id=job.id)[-1].facts == {"old": old, "new": new}
        else:
            with pytest.raises(ForbiddenMove):
                jobs.move_job(session, job, new, now=NOW)


def test_a_move_that_another_made_first_is_stale(session: Session, world: World) -> None:
    job = make_sliced(session, world.site, world.alice)
    session.execute(
        update(Job).where(Job.id == job.id).values(status=S.CANCELLED).execution_options(synchronize_session=False)
    )
    with pytest.raises(Stale):
        jobs.move_job(session, job, S.ON_HOLD, now=NOW)


ALLOWED = {
    "approve": {S.SUBMITTED},
    "reject": {S.SUBMITTED},
    "put_on_hold": {S.QUEUED, S.PRINTING},
    "resume": {S.ON_HOLD},
    "collect": {S.PRINTED},
}


def test_what_staff_may_do_in_which_status(session: Session, world: World) -> None:
    job = make_submitted(session, world.site, world.alice)
    for verb, status in product(ALLOWED, JobStatus):
        put(session, job, status)
        if status in ALLOWED[verb]:
            call(session, verb, job, world.bob)
        else:
            with pytest.raises(ForbiddenMove):
                call(session, verb, job, world.bob)
            assert job.status == status


def call(session: Session, verb: str, job: Job, actor: User) -> None:
    more: dict[str, Any] = {"text": " Too thin "} if verb in ("reject", "put_on_hold") else {}
    getattr(jobs, verb)(session, job=job, actor=actor, now=NOW, **more)


@pytest.mark.parametrize("verb", ["approve", "reject", "put_on_hold", "resume", "collect"])
def test_what_staff_do_members_and_strangers_may_not(session: Session, world: World, verb: str) -> None:
    job = make_submitted(session, world.site, world.alice)
    for actor in (world.alice, world.charlie):
        with pytest.raises(StaffOnly):
            call(session, verb, job, actor)


def test_a_rejection_says_why_and_the_owner_hears_of_it(session: Session, world: World) -> None:
    job = make_submitted(session, world.site, world.alice)
    jobs.reject(session, job=job, actor=world.bob, text=" Too thin ", now=NOW)
    assert job.reason == {"text": "Too thin"}
    step = {"job_id": job.id, "verb": "rejected", "since": NOW.isoformat()}
    assert ("notify_job", None, step) in session.info["steps"]


def test_a_job_held_and_resumed_keeps_its_place(session: Session, world: World) -> None:
    job = make_sliced(session, world.site, world.alice)
    jobs.put_on_hold(session, job=job, actor=world.bob, text="Wait", now=NOW)
    jobs.resume(session, job=job, actor=world.bob, now=NOW + timedelta(hours=1))
    assert (job.status, job.queued_at, job.reason) == (S.QUEUED, NOW, None)


# Who sees and who changes.


def test_a_job_is_seen_by_its_owner_and_staff_and_is_nothing_to_strangers(session: Session, world: World) -> None:
    job = make_job(session, world.site, world.alice)
    assert jobs.get_job(session, job.id, user=world.alice) is jobs.get_job(session, job.id, user=world.bob)
    for stranger in (world.charlie, make_user(session)):
        with pytest.raises(NotFound):
            jobs.get_job(session, job.id, user=stranger)
    with pytest.raises(NotFound):
        jobs.get_job(session, 0, user=world.alice)


@pytest.mark.parametrize("confidential", [False, True])
def test_an_organisations_members_see_its_jobs_but_the_confidential(
    session: Session, world: World, confidential: bool
) -> None:
    model = make_model(session, world.charlie, confidential=confidential)
    job = make_job(session, world.site, world.charlie, model=model, organisation_id=world.acme.id)
    viewer = member_of(session, world, BuyingRight.VIEWER)
    assert jobs.list_jobs(session, user=viewer).rows == ([] if confidential else [job])
    if confidential:
        with pytest.raises(NotFound):
            jobs.get_job(session, job.id, user=viewer)
    else:
        assert jobs.get_job(session, job.id, user=viewer) is job


def member_of(session: Session, world: World, buying: BuyingRight) -> User:
    user = make_user(session, "Dana")
    session.add(Membership(organisation_id=world.acme.id, user_id=user.id, buying=buying, since=NOW))
    session.flush()
    return user


def test_who_only_looks_for_an_organisation_cancels_nothing(session: Session, world: World) -> None:
    job = make_job(session, world.site, world.charlie, organisation_id=world.acme.id)
    viewer, buyer = member_of(session, world, BuyingRight.VIEWER), member_of(session, world, BuyingRight.BUYER)
    for actor in (viewer, world.alice):
        with pytest.raises(JobOfAnother):
            runs.cancel_job(session, job=job, actor=actor, now=NOW)
        with pytest.raises(JobOfAnother):
            jobs.submit(session, job=job, actor=actor, now=NOW)
    runs.cancel_job(session, job=job, actor=buyer, now=NOW)
    assert job.status == S.CANCELLED


def test_only_buyers_ask_for_an_organisation(session: Session, world: World) -> None:
    with pytest.raises(NotFound) as raised:
        make_job(session, world.site, world.alice, organisation_id=world.acme.id)
    assert raised.value.field == "organisation_id"


def test_lists_page_on_and_staff_see_their_sites(session: Session, world: World) -> None:
    first, second = (make_submitted(session, world.site, world.alice) for _ in range(2))
    assert jobs.list_jobs(session, user=world.alice, window=PageWindow(1)).rows == [second]
    assert jobs.list_jobs(session, user=world.alice, window=PageWindow(after=second.id)).rows == [first]
    assert jobs.list_site_jobs(session, site_ids=[world.site.id], statuses=[S.SUBMITTED]) == [first, second]


# What may be asked.


@pytest.mark.parametrize(
    ("facts", "error"),
    [
        ({"copies": 0}, CopiesWrong),
        ({"copies": 501}, CopiesWrong),
        ({"scale": Decimal("0.009")}, ScaleWrong),
        ({"scale": Decimal(1001)}, ScaleWrong),
        ({"scale": Decimal(50)}, MeshRefused),
    ],
)
def test_what_cannot_be_printed_is_refused_at_its_field(
    session: Session, world: World, facts: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        make_job(session, world.site, world.alice, **facts)


@pytest.mark.parametrize("unit", Unit)
def test_the_scale_that_is_suggested_for_a_wrong_unit_can_be_chosen(session: Session, world: World, unit: Unit) -> None:
    """A part of 200 x 150 x 100 mm, drawn in this unit."""
    scale = Decimal(str(unit.in_mm))
    facts = {f"size_{axis}_mm": mm / unit.in_mm for axis, mm in (("x", 200), ("y", 150), ("z", 100))}
    facts |= {"volume_mm3": 3e6 / unit.in_mm**3, "area_mm2": 130_000 / unit.in_mm**2}
    job = make_job(session, world.site, world.alice, model=make_model(session, world.alice, **facts), scale=scale)
    assert job.scale == scale


def test_a_place_without_printers_or_prices_says_so(session: Session, world: World) -> None:
    bare = make_site(session)
    with pytest.raises(NoPrinterHere):
        make_job(session, bare, world.alice)


def test_a_place_without_prices_says_so(session: Session) -> None:
    site = make_site(session)
    make_printer(session, site)
    with pytest.raises(NoTariff):
        make_job(session, site, make_user(session))


def test_the_price_is_known_at_once_and_lies_within_its_range(session: Session, world: World) -> None:
    quote = jobs.estimate_price(session, make_request(session, world.site, make_model(session, world.alice)), now=NOW)
    likely = quote.price.net_cents + quote.vat_cents
    assert 0 < quote.low_cents <= likely <= quote.high_cents
    assert quote.vat_cents == round(quote.price.net_cents * 0.2)


def test_many_copies_are_cut_into_plates_that_fit_the_smallest_printer(session: Session, world: World) -> None:
    make_printer(session, world.site, kind=make_kind(session, volume_mm=(60, 60, 60)))
    job = make_submitted(session, world.site, world.alice, copies=5)
    assert job.copies_per_plate == 4
    assert {(wanted.slice.kind_id, wanted.slice.copies) for wanted in job.slices} == {
        (kind_id, copies) for kind_id in {wanted.slice.kind_id for wanted in job.slices} for copies in (4, 1)
    }


# Slices and approval.


def test_a_sliced_job_has_its_exact_price_and_queues(session: Session, world: World) -> None:
    job = make_sliced(session, world.site, world.alice, seconds=3600, grams="10")
    # 1 euro + 10 g x 0.05 + 60 min x 0.02 = 2.70 net
    assert (job.status, job.net_cents, job.vat_cents, job.price_exact) == (S.QUEUED, 270, 54, True)
    assert job.price_cents == 324
    assert (job.grams_each, job.seconds_each) == (Decimal("10.00"), 3600)


def test_where_staff_approve_a_job_waits_for_both(session: Session) -> None:
    world = make_world(session, approves_prints=True)
    early, late = make_submitted(session, world.site, world.alice), make_sliced(session, world.site, world.alice)
    jobs.approve(session, job=early, actor=world.bob, now=NOW)
    assert (early.status, late.status) == (S.SUBMITTED, S.SUBMITTED)
    jobs.approve(session, job=late, actor=world.bob, now=NOW)
    assert (late.status, late.approved_by) == (S.QUEUED, world.bob.id)


def test_a_job_that_no_printer_can_slice_is_rejected_with_the_slicers_reason(session: Session, world: World) -> None:
    job = make_submitted(session, world.site, world.alice)
    mark_failed(session, slice_=job.slices[0].slice, code="too-thin", params={"mm": 0.1}, again=False, now=NOW)
    jobs.settle_slices(session, job=job, now=NOW)
    assert job.status == S.REJECTED
    assert job.reason == {"code": "too-thin", "params": {"mm": "0.1"}, "again": False}


def test_one_printer_kind_that_can_is_enough(session: Session, world: World) -> None:
    make_printer(session, world.site)
    job = make_submitted(session, world.site, world.alice)
    bad, good = (wanted.slice for wanted in job.slices)
    mark_failed(session, slice_=bad, code="too-thin", params={}, again=False, now=NOW)
    jobs.settle_slices(session, job=job, now=NOW)
    assert job.status == S.SUBMITTED
    make_sliced(session, world.site, world.alice, model=job.model)
    jobs.settle_slices(session, job=job, now=NOW)
    assert (good.status, job.status) == ("ready", S.QUEUED)


def test_the_same_part_is_sliced_once_for_all_who_ask(session: Session, world: World) -> None:
    first = make_sliced(session, world.site, world.alice)
    again = make_model(session, world.charlie, sha256=first.model.sha256)
    second = make_submitted(session, world.site, world.charlie, model=again)
    assert second.slices[0].slice is first.slices[0].slice
    assert second.status == S.QUEUED


def test_slices_that_come_late_change_nothing(session: Session, world: World) -> None:
    job = put(session, make_submitted(session, world.site, world.alice), S.CANCELLED)
    jobs.settle_slices(session, job=job, now=NOW)
    assert job.status == S.CANCELLED


def test_a_job_is_submitted_once(session: Session, world: World) -> None:
    job = make_submitted(session, world.site, world.alice)
    with pytest.raises(ForbiddenMove):
        jobs.submit(session, job=job, actor=world.alice, now=NOW)


def test_a_draft_keeps_the_price_list_of_its_day(session: Session, world: World) -> None:
    job = make_job(session, world.site, world.alice, quality=Quality.FINE)
    before = job.tariff_id
    make_tariff(session, world.site, set_up=Decimal(100))
    jobs.submit(session, job=job, actor=world.alice, now=NOW)
    assert job.tariff_id == before


# The package gives its verb this name.
SUBMIT = import_module("api.domain.printing.jobs.submit")


def test_one_person_cannot_keep_the_slicer_busy_for_hours(
    session: Session, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SUBMIT, "MOST_PENDING_EACH", 3)
    for _ in range(3):
        make_submitted(session, world.site, world.alice)
    with pytest.raises(SUBMIT.TooManyWaiting):
        make_submitted(session, world.site, world.alice)
    # Another person may, and so may an order, whose price binds us.
    make_submitted(session, world.site, world.bob)
    ordered = make_job(session, world.site, world.alice)
    jobs.submit(session, job=ordered, actor=world.alice, now=NOW, is_ordered=True)


def test_what_is_sliced_counts_no_more(session: Session, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SUBMIT, "MOST_PENDING_EACH", 1)
    assert all(make_sliced(session, world.site, world.alice).status == JobStatus.QUEUED for _ in range(3))
