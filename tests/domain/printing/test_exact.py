"""The exact price before handing in: asked once, shared with the job that follows, and not to be had without end."""

from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.printing import jobs
from api.domain.printing.jobs import ExactPrice, JobRequest, JobStatus
from api.domain.printing.jobs.exact import MOST_PENDING
from api.domain.printing.jobs.request import CopiesWrong
from api.domain.printing.slices import Slice, SliceStatus, mark_failed, mark_ready
from tests.world import (
    NOW,
    World,
    make_job,
    make_kind,
    make_model,
    make_printer,
    make_request,
    make_sliced,
    make_submitted,
)


def ask(session: Session, request: JobRequest) -> ExactPrice:
    return jobs.request_exact_price(session, request=request, now=NOW)


def look(session: Session, request: JobRequest) -> ExactPrice:
    return jobs.find_exact_price(session, request=request, now=NOW)


def request_of(session: Session, world: World, **facts: Any) -> JobRequest:
    return make_request(session, world.site, make_model(session, world.alice), **facts)


def all_slices(session: Session) -> list[Slice]:
    return list(session.scalars(select(Slice).order_by(Slice.id)))


def ready(session: Session, found: Slice, *, seconds: int = 3600, grams: str = "10") -> None:
    facts: dict[str, Any] = {"gcode_key": "gcode/none.gcode", "size": 1000, "sha1": "0" * 40, "now": NOW}
    mark_ready(session, slice_=found, seconds=seconds, grams=Decimal(grams), **facts)


def fail(session: Session, found: Slice, *, again: bool = False) -> None:
    mark_failed(session, slice_=found, code="too-thin", params={}, again=again, now=NOW)


def test_the_first_question_asks_for_the_slice_in_the_same_transaction(session: Session, world: World) -> None:
    request = request_of(session, world)
    assert not look(session, request).is_pending
    assert not ask(session, request).is_final
    [found] = all_slices(session)
    assert ("slice", f"slice:{found.id}", {"slice_id": found.id}) in session.info["steps"]
    assert look(session, request).is_pending


def test_asking_again_while_it_is_made_asks_nothing_more(session: Session, world: World) -> None:
    request = request_of(session, world)
    ask(session, request)
    steps = list(session.info["steps"])
    assert not ask(session, request).is_final
    assert (len(all_slices(session)), session.info["steps"]) == (1, steps)


def test_looking_asks_for_nothing(session: Session, world: World) -> None:
    assert look(session, request_of(session, world)) == ExactPrice()
    assert all_slices(session) == []


def test_the_exact_price_is_what_the_job_then_costs_and_it_queues_at_once(session: Session, world: World) -> None:
    request = request_of(session, world)
    ask(session, request)
    ready(session, all_slices(session)[0])
    price = look(session, request)
    assert price == ask(session, request)
    assert price.price is not None
    # 1 euro + 10 g x 0.05 + 60 min x 0.02 = 2.70 net
    assert (price.price.net_cents, price.vat_cents, price.seconds, price.grams) == (270, 54, 3600, Decimal("10.00"))
    job = make_submitted(session, world.site, world.alice, model=request.model)
    assert [wanted.slice for wanted in job.slices] == all_slices(session)
    assert (job.status, job.net_cents, job.vat_cents, job.price_exact) == (JobStatus.QUEUED, 270, 54, True)


def test_several_plates_are_all_sliced_and_the_fullest_decides(session: Session, world: World) -> None:
    make_printer(session, world.site, kind=make_kind(session, volume_mm=(60, 60, 60)))
    request = request_of(session, world, copies=5)
    ask(session, request)
    single, full = sorted(all_slices(session), key=lambda made: made.copies)
    assert (single.copies, full.copies) == (1, 4)
    ready(session, full, seconds=4000, grams="40")
    assert not ask(session, request).is_final
    ready(session, single, seconds=1500, grams="11")
    price = ask(session, request)
    job = make_submitted(session, world.site, world.alice, model=request.model, copies=5)
    assert price.price is not None
    assert (price.seconds, price.grams, price.price.net_cents) == (1000, Decimal("10.00"), job.net_cents)
    assert (job.status, job.price_exact) == (JobStatus.QUEUED, True)


@pytest.mark.parametrize(("again", "code"), [(False, "too-thin"), (True, None)])
def test_what_cannot_be_sliced_says_why_and_is_not_tried_without_end(
    session: Session, world: World, again: bool, code: str | None
) -> None:
    """What failed for a passing reason is still under way: the sweep tries it again."""
    request = request_of(session, world)
    ask(session, request)
    fail(session, all_slices(session)[0], again=again)
    for price in (ask(session, request), ask(session, request)):
        assert (price.price, price.error and price.error["code"], price.is_pending) == (None, code, again)
    assert all_slices(session)[0].status == SliceStatus.FAILED


def test_when_one_kind_of_printer_cannot_the_next_is_asked(session: Session, world: World) -> None:
    make_printer(session, world.site, kind=make_kind(session))
    request = request_of(session, world)
    ask(session, request)
    fail(session, all_slices(session)[0])
    assert not ask(session, request).is_final
    first, second = all_slices(session)
    assert first.kind_id != second.kind_id
    fail(session, second)
    price = ask(session, request)
    assert price.error is not None


def test_a_slice_that_a_job_had_made_prices_at_once(session: Session, world: World) -> None:
    job = make_sliced(session, world.site, world.alice)
    price = ask(session, make_request(session, world.site, job.model))
    assert price.price is not None
    assert price.price.net_cents == job.net_cents


def test_nobody_has_more_than_a_few_slices_made_for_their_prices_alone(session: Session, world: World) -> None:
    for scale in range(1, MOST_PENDING + 3):
        ask(session, request_of(session, world, scale=Decimal(scale)))
    assert len(all_slices(session)) == MOST_PENDING
    ask(session, make_request(session, world.site, make_model(session, world.bob)))
    assert len(all_slices(session)) == MOST_PENDING + 1


def test_the_fence_opens_when_a_slice_ends_or_becomes_a_jobs(session: Session, world: World) -> None:
    waiting = [request_of(session, world) for _ in range(MOST_PENDING + 2)]
    for request in waiting[:MOST_PENDING]:
        ask(session, request)
    ready(session, all_slices(session)[0])
    ask(session, waiting[-2])
    assert len(all_slices(session)) == MOST_PENDING + 1
    make_submitted(session, world.site, world.alice, model=waiting[1].model)
    ask(session, waiting[-1])
    assert len(all_slices(session)) == MOST_PENDING + 2


def test_handing_in_passes_the_fence(session: Session, world: World) -> None:
    for _ in range(MOST_PENDING):
        ask(session, request_of(session, world))
    job = make_job(session, world.site, world.alice)
    jobs.submit(session, job=job, actor=world.alice, now=NOW)
    assert len(job.slices) == 1


def test_a_wrong_request_is_refused_before_anything_is_sliced(session: Session, world: World) -> None:
    with pytest.raises(CopiesWrong):
        ask(session, request_of(session, world, copies=0))
    assert all_slices(session) == []
