"""Who prints next, and why a job waits: the rules of api.domain.printing.plan, by example."""

from datetime import timedelta

import pytest

from api.domain.printing.plan import (
    Hours,
    Plan,
    PlanHold,
    PlanSettings,
    WhyCode,
    next_start,
    plan,
)
from api.domain.printing.states import PrinterState
from tests.world import HOUR, NOW
from tests.world.plan import OFFICE, PLAIN, make_plan, plan_job, plan_printer


def codes(made: Plan, job_id=1):
    return {reason.code for reason in made.of(job_id).why}


def param(made: Plan, job_id, code, name):
    return next(dict(each.params)[name] for each in made.of(job_id).why if each.code is code)


def order(made: Plan):
    return [slot.job_id for slot in made.slots]


def test_a_ready_printer_starts_the_job_now():
    made = make_plan([plan_printer()], [plan_job()])
    slot = next_start(made, printer_id=1, now=NOW).slot
    assert slot is not None
    assert (slot.job_id, slot.start_p50, slot.end_p50) == (1, NOW, NOW + HOUR)
    assert made.of(1).eta_p90 == NOW + 1.5 * HOUR
    assert made.of(1).position == 1
    assert made.of(1).why == ()


def test_the_second_job_waits_for_the_printer_and_says_who_is_before():
    made = make_plan([plan_printer()], [plan_job(1), plan_job(2)])
    assert made.of(2).eta_p50 == NOW + 2 * HOUR
    assert made.of(2).eta_p90 == NOW + 3 * HOUR
    assert codes(made, 2) == {WhyCode.BEFORE_YOU, WhyCode.WAITS_FOR_PRINTER}
    assert param(made, 2, WhyCode.BEFORE_YOU, "jobs") == 1
    assert made.of(2).position == 2


def test_a_start_needs_its_upper_end_before_the_next_hold():
    booking = PlanHold(1, NOW + 1.4 * HOUR, NOW + 3 * HOUR)
    made = make_plan([plan_printer()], [plan_job()], holds=[booking])
    assert made.slots[0].start_p50 == NOW + 3 * HOUR
    assert param(made, 1, WhyCode.WAITS_FOR_BOOKING, "until") == NOW + 3 * HOUR


def test_a_run_may_end_at_the_second_the_hold_begins():
    booking = PlanHold(1, NOW + 1.5 * HOUR, NOW + 3 * HOUR)
    assert make_plan([plan_printer()], [plan_job()], holds=[booking]).slots[0].start_p50 == NOW


def test_a_short_job_fills_the_gap_before_a_booking_without_delaying_the_long_one():
    booking = PlanHold(1, NOW + 2 * HOUR, NOW + 3 * HOUR)
    made = make_plan([plan_printer()], [plan_job(1, hours=4), plan_job(2, hours=1)], holds=[booking])
    assert order(made) == [2, 1]
    assert made.of(1).slots[0].start_p50 == NOW + 3 * HOUR


def test_a_plate_is_cleared_only_when_somebody_is_there():
    made = make_plan([plan_printer()], [plan_job(1, hours=10), plan_job(2)], hours=OFFICE)
    assert made.of(2).slots[0].start_p50 == NOW + 24 * HOUR
    assert param(made, 2, WhyCode.WAITS_FOR_STAFF, "opening") == NOW + 24 * HOUR


def test_clearing_takes_its_time():
    how = PlanSettings(ratio_p50=1, ratio_p90=1, stagger_s=0, clearing_s=300)
    made = make_plan([plan_printer()], [plan_job(1), plan_job(2)], how=how)
    assert made.of(2).slots[0].start_p50 == NOW + HOUR + timedelta(minutes=5)


def test_where_nobody_may_be_away_a_run_ends_before_closing():
    hours = Hours(OFFICE.staffed, unattended=False)
    made = make_plan([plan_printer()], [plan_job(1, hours=5), plan_job(2, hours=5)], hours=hours)
    assert made.of(2).slots[0].start_p50 == NOW + 24 * HOUR
    assert WhyCode.WAITS_FOR_STAFF in codes(made, 2)


def test_a_site_without_hours_prints_once_attended_by_nobody_never():
    made = plan(now=NOW, printers=[plan_printer()], holds=[], hours={}, jobs=[plan_job()], settings=PLAIN)
    assert codes(made) == {WhyCode.BEYOND_HORIZON}


def test_the_loaded_filament_goes_first():
    jobs = [plan_job(1, material="PETG"), plan_job(2), plan_job(3)]
    made = make_plan([plan_printer()], jobs)
    assert order(made) == [2, 3, 1]
    assert made.slots[-1].filament_change
    assert param(made, 1, WhyCode.NEEDS_FILAMENT_CHANGE, "material") == "PETG"


def test_a_higher_priority_may_change_the_filament_first():
    made = make_plan([plan_printer()], [plan_job(1), plan_job(2, material="PETG", priority=1)])
    assert order(made) == [2, 1]


def test_filament_is_changed_only_in_staffed_hours():
    late = NOW + 9.5 * HOUR
    made = make_plan([plan_printer()], [plan_job(1, colour="red")], hours=OFFICE, now=late)
    assert made.slots[0].start_p50 == NOW + 24 * HOUR + timedelta(minutes=10)
    assert param(made, 1, WhyCode.WAITS_FOR_STAFF, "opening") == NOW + 24 * HOUR


def test_a_gap_is_never_filled_with_another_filament():
    jobs = [plan_job(1, hours=4), plan_job(2, colour="red")]
    made = make_plan([plan_printer()], jobs, holds=[PlanHold(1, NOW + 2 * HOUR, NOW + 3 * HOUR)])
    assert order(made) == [1, 2]


def test_a_gap_leaves_the_time_to_clear_and_to_change_before_the_next_run():
    how = PlanSettings(ratio_p50=1, ratio_p90=1, stagger_s=0, clearing_s=300, filament_change_s=600)
    jobs = [plan_job(1, colour="red", priority=1), plan_job(2)]
    made = make_plan([plan_printer()], jobs, hours=OFFICE, now=NOW + 9.5 * HOUR, how=how)
    assert order(made) == [1, 2]


def test_jobs_of_one_filament_share_the_change():
    jobs = [plan_job(1, colour="red"), plan_job(2, colour="blue"), plan_job(3, colour="red")]
    made = make_plan([plan_printer()], jobs)
    assert order(made) == [1, 3, 2]
    assert sum(slot.filament_change for slot in made.slots) == 2


def test_a_printer_whose_filament_must_be_changed_starts_nothing_by_itself():
    made = make_plan([plan_printer(material=None, colour=None)], [plan_job()])
    answer = next_start(made, printer_id=1, now=NOW + HOUR)
    assert answer.slot is None
    assert answer.why[0].code is WhyCode.NEEDS_FILAMENT_CHANGE


def test_priority_then_due_day_then_age_decide():
    jobs = [
        plan_job(1),
        plan_job(2, due_at=NOW + 50 * HOUR),
        plan_job(3, due_at=NOW + 10 * HOUR),
        plan_job(4, priority=1),
    ]
    assert order(make_plan([plan_printer()], jobs)) == [4, 3, 2, 1]


def test_members_take_turns():
    jobs = [plan_job(id_, owner_id=7) for id_ in (1, 2, 3)] + [plan_job(4, owner_id=8)]
    assert order(make_plan([plan_printer()], jobs)) == [1, 4, 2, 3]


def test_what_was_printed_lately_counts_as_turns():
    jobs = [plan_job(1, owner_id=7), plan_job(2, owner_id=8)]
    assert order(make_plan([plan_printer()], jobs, served={7: 1})) == [2, 1]


def test_plates_of_one_job_spread_over_printers():
    made = make_plan([plan_printer(1), plan_printer(2)], [plan_job(plates=2)])
    assert {slot.printer_id for slot in made.slots} == {1, 2}
    assert made.of(1).eta_p50 == NOW + HOUR


def test_heat_ups_of_a_site_are_staggered():
    how = PlanSettings(ratio_p50=1, ratio_p90=1, stagger_s=120)
    printers = [plan_printer(1, state=PrinterState.READY, started_at=NOW), plan_printer(2)]
    made = make_plan(printers, [plan_job(1), plan_job(2)], how=how)
    assert [slot.start_p50 - NOW for slot in made.slots] == [timedelta(minutes=2), timedelta(minutes=4)]
    assert codes(made) == {WhyCode.STAGGER}


def test_a_running_printer_is_free_when_its_run_has_ended():
    running = plan_printer(state=PrinterState.BUSY, ends_p50=NOW + HOUR, ends_p90=NOW + 2 * HOUR)
    made = make_plan([running], [plan_job()])
    assert (made.slots[0].start_p50, made.slots[0].start_p90) == (NOW + HOUR, NOW + 2 * HOUR)
    assert codes(made) == {WhyCode.WAITS_FOR_PRINTER}
    assert next_start(made, printer_id=1, now=NOW).why[0].code is WhyCode.PRINTER_UNAVAILABLE


def test_the_slow_world_may_fall_behind_a_booking_that_the_median_one_precedes():
    running = plan_printer(state=PrinterState.BUSY, ends_p50=NOW + HOUR, ends_p90=NOW + 2 * HOUR)
    booking = PlanHold(1, NOW + 3 * HOUR, NOW + 5 * HOUR)
    slot = make_plan([running], [plan_job()], holds=[booking]).slots[0]
    assert (slot.start_p50, slot.start_p90) == (NOW + HOUR, NOW + 5 * HOUR)


def test_a_dirty_plate_waits_for_staff_and_starts_nothing():
    evening = NOW + 10 * HOUR
    made = make_plan([plan_printer(state=PrinterState.NEEDS_CLEARING)], [plan_job()], hours=OFFICE, now=evening)
    assert codes(made) == {WhyCode.WAITS_FOR_CLEARING, WhyCode.WAITS_FOR_STAFF}
    answer = next_start(made, printer_id=1, now=evening + 48 * HOUR)
    assert answer.why[0].code is WhyCode.WAITS_FOR_CLEARING


def test_next_start_waits_for_the_planned_second():
    made = make_plan([plan_printer()], [plan_job()], holds=[PlanHold(1, NOW, NOW + HOUR)])
    assert next_start(made, printer_id=1, now=NOW).slot is None
    assert next_start(made, printer_id=1, now=NOW + HOUR).slot == made.slots[0]


def test_an_empty_queue_starts_nothing():
    answer = next_start(make_plan([plan_printer()], []), printer_id=1, now=NOW)
    assert [each.code for each in answer.why] == [WhyCode.NOTHING_QUEUED]


@pytest.mark.parametrize(
    ("job", "code"),
    [
        (plan_job(on_hold=True), WhyCode.ON_HOLD),
        (plan_job(skills_ok=False), WhyCode.NEEDS_SKILL),
        (plan_job(site_id=9), WhyCode.NO_SUITABLE_PRINTER),
        (plan_job(nozzle_mm=0.6), WhyCode.NO_SUITABLE_PRINTER),
        (plan_job(material="ABS"), WhyCode.NO_SUITABLE_PRINTER),
        (plan_job(kinds=(2,)), WhyCode.NO_SUITABLE_PRINTER),
        (plan_job(size_mm=(10, 230, 10)), WhyCode.FITS_NO_PRINTER),
        (plan_job(hours=800), WhyCode.BEYOND_HORIZON),
        (plan_job(hours=800, material="PETG"), WhyCode.BEYOND_HORIZON),
    ],
)
def test_a_job_that_cannot_be_planned_says_what_stands_against_it(job, code):
    made = make_plan([plan_printer(materials=frozenset({"PLA", "PETG"}))], [job])
    assert codes(made) == {code}
    assert (made.of(1).eta_p50, made.of(1).position, made.slots) == (None, None, ())


def test_the_dimension_that_does_not_fit_is_named():
    made = make_plan([plan_printer(1), plan_printer(2, volume_mm=(300, 300, 100))], [plan_job(size_mm=(10, 10, 260))])
    assert param(made, 1, WhyCode.FITS_NO_PRINTER, "dimension") == "z"
    assert param(made, 1, WhyCode.FITS_NO_PRINTER, "limit_mm") == 250


@pytest.mark.parametrize("state", [PrinterState.OFFLINE, PrinterState.MAINTENANCE, PrinterState.BUSY])
def test_a_printer_that_nobody_knows_the_end_of_is_not_planned(state):
    made = make_plan([plan_printer(state=state)], [plan_job()])
    assert param(made, 1, WhyCode.PRINTER_UNAVAILABLE, "state") == state.value


def test_a_job_with_one_plate_beyond_the_horizon_promises_no_date():
    how = PlanSettings(ratio_p50=1, ratio_p90=1, horizon_days=1)
    made = make_plan([plan_printer()], [plan_job(hours=20, plates=2)], how=how)
    assert len(made.slots) == 1
    assert made.of(1).eta_p50 is None
    assert WhyCode.BEYOND_HORIZON in codes(made)


def test_jobs_that_block_each_others_filament_are_planned_all_the_same():
    never = plan_job(2, hours=800)  # suits the loaded filament, but never fits the horizon
    made = make_plan([plan_printer()], [plan_job(1, colour="red"), never])
    assert order(made) == [1]


def test_the_slow_world_that_leaves_the_horizon_is_not_promised():
    running = plan_printer(state=PrinterState.BUSY, ends_p50=NOW, ends_p90=NOW + 23 * HOUR)
    how = PlanSettings(ratio_p50=1, ratio_p90=1.5, stagger_s=0, horizon_days=1)
    assert make_plan([running], [plan_job()], how=how).slots == ()
