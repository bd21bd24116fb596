"""Properties of the plan: it is sound, it does not depend on the order of its facts, and nobody starves."""

import itertools
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from api.domain.printing.plan import (
    Hours,
    PlanHold,
    PlanSettings,
)
from api.domain.printing.states import PrinterState
from tests.world import HOUR, NOW
from tests.world.plan import ALWAYS, OFFICE, PLAIN, make_plan, plan_job, plan_printer


def play(first, rival, *, hours_max, how=PLAIN):
    """Each hour the rival hands in one more job of an hour; one printer, dispatched as the worker would."""
    waiting, now, hour = [first], NOW, 0
    printer = plan_printer()
    while hour < hours_max:
        waiting.append(rival(100 + hour, NOW + hour * HOUR))
        made = make_plan([printer], waiting, now=now, how=how)
        slot = made.slots[0]
        job = next(each for each in waiting if each.id == slot.job_id)
        if job.id == first.id:
            return hour
        printer = plan_printer(material=job.material, colour=job.colour or printer.colour)
        waiting.remove(job)
        hour, now = hour + 1, now + HOUR
    return None


def test_a_low_priority_is_reached_within_the_ageing_of_the_difference():
    how = PlanSettings(ratio_p50=1, ratio_p90=1, stagger_s=0, clearing_s=0, ageing=timedelta(hours=10))
    started = play(
        plan_job(1, priority=0, queued_at=NOW),
        lambda id_, at: plan_job(id_, owner_id=id_, priority=2, queued_at=at),
        hours_max=200,
        how=how,
    )
    assert started is not None
    assert started <= 31  # (2 + 1) periods of 10 hours, and the job that runs


def test_another_filament_is_reached_within_one_ageing():
    how = PlanSettings(ratio_p50=1, ratio_p90=1, stagger_s=0, clearing_s=0, ageing=timedelta(hours=10))
    started = play(
        plan_job(1, colour="red", queued_at=NOW),
        lambda id_, at: plan_job(id_, owner_id=id_, queued_at=at),
        hours_max=100,
        how=how,
    )
    assert started is not None
    assert started <= 11


def test_due_dates_of_others_do_not_starve_an_undated_job():
    how = PlanSettings(ratio_p50=1, ratio_p90=1, stagger_s=0, clearing_s=0, ageing=timedelta(hours=10))
    started = play(
        plan_job(1, queued_at=NOW),
        lambda id_, at: plan_job(id_, owner_id=id_, queued_at=at, due_at=at + HOUR),
        hours_max=100,
        how=how,
    )
    assert started is not None
    assert started <= 11


minutes = st.integers(0, 60 * 24 * 4)


some_printers = st.lists(
    st.builds(
        lambda state, colour, ends: {"state": state, "colour": colour, "ends": ends},
        st.sampled_from(PrinterState), st.sampled_from(["black", "red"]), minutes,
    ),
    min_size=1, max_size=4,
)  # fmt: skip


some_holds = st.lists(st.tuples(st.integers(1, 4), minutes, st.integers(1, 600)), max_size=8)


some_jobs = st.lists(
    st.builds(
        lambda hours, plates, owner, colour, priority, age, due, size: {
            "hours": hours, "plates": plates, "owner_id": owner, "colour": colour, "priority": priority,
            "queued_at": NOW - timedelta(minutes=age), "due_at": None if due is None else NOW + timedelta(minutes=due),
            "size_mm": (size, 20, 20),
        },
        st.floats(0.01, 30), st.integers(1, 3), st.integers(1, 3), st.sampled_from([None, "black", "red", "blue"]),
        st.integers(0, 2), minutes, st.none() | minutes, st.sampled_from([50, 300]),
    ),
    max_size=10,
)  # fmt: skip


some_hours = st.sampled_from([ALWAYS, OFFICE, Hours(OFFICE.staffed, unattended=False)])


REAL = PlanSettings(stagger_s=90)


def build(printers, holds, jobs):
    return (
        [
            plan_printer(
                id_, state=facts["state"], colour=facts["colour"],
                ends_p50=NOW + timedelta(minutes=facts["ends"]), ends_p90=NOW + timedelta(minutes=facts["ends"] * 1.2),
            )
            for id_, facts in enumerate(printers, 1)
        ],
        [
            PlanHold(printer, NOW + timedelta(minutes=start), NOW + timedelta(minutes=start + length))
            for printer, start, length in holds
        ],
        [plan_job(id_, **facts) for id_, facts in enumerate(jobs, 1)],
    )  # fmt: skip


def assert_sound(made, holds, jobs, hours, how):
    assert [each.job_id for each in made.jobs] == [job.id for job in jobs]
    wanted = {(job.id, plate.no) for job in jobs for plate in job.plates}
    planned = [(slot.job_id, slot.plate_no) for slot in made.slots]
    assert len(planned) == len(set(planned))
    assert set(planned) <= wanted
    for each, job in zip(made.jobs, jobs, strict=True):
        assert each.why or (each.eta_p50 and min(slot.start_p50 for slot in each.slots) == NOW)
        assert (each.eta_p50 is None) == (len(each.slots) < len(job.plates))
    for slot in made.slots:
        upper = slot.end_p90 - slot.start_p90
        assert slot.start_p50 <= slot.start_p90
        assert slot.end_p50 <= slot.end_p90
        for hold in (each for each in holds if each.printer_id == slot.printer_id):
            assert slot.end_p90 <= hold.start or slot.start_p90 >= hold.end
            assert slot.start_p50 + upper <= hold.start or slot.start_p50 >= hold.end
        if slot.filament_change:
            assert any(start <= slot.start_p50 < end for start, end in hours.staffed)
        if not hours.unattended:
            assert any(start <= slot.start_p90 and slot.end_p90 <= end for start, end in hours.staffed)
    for printer in made.printers:
        own = [slot for slot in made.slots if slot.printer_id == printer.id]
        for first, second in itertools.pairwise(own):
            assert first.end_p50 + timedelta(seconds=how.clearing_s) <= second.start_p50
            assert first.end_p90 + timedelta(seconds=how.clearing_s) <= second.start_p90
            assert any(start <= second.start_p50 and first.end_p50 < end for start, end in hours.staffed)
    starts = sorted(slot.start_p50 for slot in made.slots)
    assert all(b - a >= timedelta(seconds=how.stagger_s) for a, b in itertools.pairwise(starts))


@settings(max_examples=150, deadline=None)
@given(some_printers, some_holds, some_jobs, some_hours)
def test_no_plan_overlaps_loses_or_doubles_anything(printers, holds, jobs, hours):
    printers, holds, jobs = build(printers, holds, jobs)
    made = make_plan(printers, jobs, holds=holds, hours=hours, how=REAL)
    assert_sound(made, holds, jobs, hours, REAL)


@settings(max_examples=60, deadline=None)
@given(some_printers, some_holds, some_jobs, some_hours, st.tuples(st.integers(1, 4), minutes, st.integers(1, 600)))
def test_one_more_hold_leaves_a_sound_plan(printers, holds, jobs, hours, one_more):
    printers, holds, jobs = build(printers, [*holds, one_more], jobs)
    made = make_plan(printers, jobs, holds=holds, hours=hours, how=REAL)
    assert_sound(made, holds, jobs, hours, REAL)


@settings(max_examples=40, deadline=None)
@given(some_printers, some_holds, some_jobs, some_hours, st.randoms(use_true_random=False))
def test_the_same_facts_in_any_order_give_the_same_plan(printers, holds, jobs, hours, chance):
    printers, holds, jobs = build(printers, holds, jobs)
    first = make_plan(printers, jobs, holds=holds, hours=hours, how=REAL)
    for facts in (printers, holds, jobs):
        chance.shuffle(facts)
    again = make_plan(printers, jobs, holds=holds, hours=hours, how=REAL)
    assert again.slots == first.slots
    assert {each.job_id: each for each in again.jobs} == {each.job_id: each for each in first.jobs}


@settings(max_examples=60, deadline=None)
@given(some_printers, some_holds, some_jobs)
def test_a_job_of_lower_rank_delays_nobody(printers, holds, jobs):
    """Without filament to wait for, one more job at the end of the ranking changes no slot of the others."""
    printers, holds, jobs = build(printers, holds, [facts | {"colour": None} for facts in jobs])
    before = make_plan(printers, jobs, holds=holds, how=REAL)
    last = plan_job(99, hours=0.5, owner_id=99, priority=-99, queued_at=NOW)
    after = make_plan(printers, [*jobs, last], holds=holds, how=REAL)
    assert tuple(slot for slot in after.slots if slot.job_id != 99) == before.slots
