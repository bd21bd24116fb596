"""From when a part can be collected: the first time at which staff are there, else at which the place is open."""

from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

import pytest

from api.domain.places.calendar import Calendar, ClosedDays, WeeklyHours, next_attended

PARIS = ZoneInfo("Europe/Paris")


def week(*hours: WeeklyHours, closures: tuple[ClosedDays, ...] = ()) -> Calendar:
    return Calendar(zone=PARIS, hours=hours, closures=closures)


WORKDAYS = [WeeklyHours(day, time(9), time(18)) for day in range(5)]


@pytest.mark.parametrize(
    ("at", "start"),
    [
        ("2026-11-28T21:19", "2026-11-30T08:00"),  # Saturday night: Monday at nine
        ("2026-11-30T07:00", "2026-11-30T08:00"),
        ("2026-11-30T10:00", "2026-11-30T10:00"),  # somebody is there
        ("2026-11-30T17:00", "2026-12-01T08:00"),  # it closes at that instant
        ("2026-12-24T20:00", "2026-12-28T08:00"),  # Christmas, then the weekend
    ],
)
def test_it_is_the_next_time_that_the_place_is_attended(at: str, start: str) -> None:
    attended = next_attended(week(*WORKDAYS), datetime.fromisoformat(at).replace(tzinfo=UTC))
    assert attended is not None
    assert attended[0] == datetime.fromisoformat(start).replace(tzinfo=UTC)


def test_open_hours_without_staff_do_not_count_where_others_have_staff() -> None:
    calendar = week(WeeklyHours(6, time(9), time(18), staffed=False), *WORKDAYS)
    attended = next_attended(calendar, datetime(2026, 11, 28, 21, tzinfo=UTC))
    assert attended == (datetime(2026, 11, 30, 8, tzinfo=UTC), datetime(2026, 11, 30, 17, tzinfo=UTC))


def test_where_nobody_is_ever_there_open_hours_count() -> None:
    calendar = week(WeeklyHours(6, time(9), time(18), staffed=False))
    attended = next_attended(calendar, datetime(2026, 11, 28, 21, tzinfo=UTC))
    assert attended is not None
    assert attended[0] == datetime(2026, 11, 29, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    "calendar",
    [week(), week(*WORKDAYS, closures=(ClosedDays(date(2026, 11, 1), date(2027, 6, 1)),))],
)
def test_a_place_that_is_shut_for_months_has_no_such_time(calendar: Calendar) -> None:
    assert next_attended(calendar, datetime(2026, 11, 28, 21, tzinfo=UTC)) is None
