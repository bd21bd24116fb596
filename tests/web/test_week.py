"""The week on the page: what is free to book, what is taken and why, on the wall clock of the place."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from api.domain.booking.bookings import TakenSpan
from web.week import Occupancy, SlotNeeds, Stretch, Week, build_week

PARIS = ZoneInfo("Europe/Paris")
MONDAY = date(2026, 11, 23)
NEVER = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
PLAIN = SlotNeeds(timedelta(minutes=15), timedelta(0), timedelta(0))


def at(hour: int, minute: int = 0, day: int = 23) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=PARIS).astimezone(UTC)


def taken(start: datetime, end: datetime, reason: str = "booking", *, booking_id: int | None = None) -> TakenSpan:
    return TakenSpan(start, end, reason, booking_id is not None, booking_id)


def lay(*held: TakenSpan, needs: SlotNeeds = PLAIN, bookable: tuple[datetime, datetime] = NEVER) -> Week:
    opening, spans = [(at(9), at(12))], list(held)
    return build_week([MONDAY], PARIS, opening=opening, taken=spans, bookable=bookable, needs=needs, fit=whole)


def whole(start: datetime, end: datetime) -> tuple[datetime, datetime]:
    return start, end


def said(week: Week) -> list[tuple[str, str]]:
    """What stands in the first day: ("free", "09:00-12:00"), .."""
    cells: list[Stretch] = [cell for _, cells in week.rows for cell in cells]
    return [(cell.occupancy.value, f"{cell.start:%H:%M}-{cell.end:%H:%M}") for cell in cells]


def test_the_day_is_drawn_as_long_as_the_place_is_open() -> None:
    assert said(lay()) == [("free", "09:00-12:00")]
    assert [hour.hour for hour, _ in lay().rows if hour] == [9, 10, 11]


def test_what_is_taken_parts_what_is_free() -> None:
    week = lay(taken(at(10), at(10, 30)))
    assert said(week) == [("free", "09:00-10:00"), ("taken", "10:00-10:30"), ("free", "10:30-12:00")]


def test_a_print_off_the_grid_takes_every_quarter_that_it_touches() -> None:
    week = lay(taken(at(10, 5), at(10, 20), "run"))
    assert said(week)[1] == ("taken", "10:00-10:30")


def test_beside_what_is_taken_the_buffers_stay_free() -> None:
    needs = SlotNeeds(timedelta(minutes=15), timedelta(minutes=15), timedelta(minutes=30))
    week = lay(taken(at(10), at(11)), needs=needs)
    assert said(week) == [
        ("free", "09:00-09:30"),
        ("buffer", "09:30-10:00"),
        ("taken", "10:00-11:00"),
        ("buffer", "11:00-11:15"),
        ("free", "11:15-12:00"),
    ]


def test_a_booking_is_drawn_without_the_buffers_that_are_held_with_it() -> None:
    span = replace(taken(at(9, 45), at(11, 30), booking_id=7), used=(at(10), at(11)))
    assert said(lay(span)) == [
        ("free", "09:00-09:45"),
        ("buffer", "09:45-10:00"),
        ("taken", "10:00-11:00"),
        ("buffer", "11:00-11:30"),
        ("free", "11:30-12:00"),
    ]
    assert lay(span).has_buffers
    assert not lay(taken(at(10), at(11))).has_buffers


def test_time_that_is_over_or_closed_is_no_buffer() -> None:
    needs = SlotNeeds(timedelta(minutes=15), timedelta(minutes=30), timedelta(minutes=30))
    week = lay(taken(at(9), at(10)), needs=needs, bookable=(at(11), NEVER[1]))
    assert [what for what, _ in said(week)] == ["taken", "closed", "free"]


def test_what_is_over_or_shorter_than_the_shortest_booking_is_not_offered() -> None:
    assert said(lay(bookable=(at(10), NEVER[1]))) == [("closed", "09:00-10:00"), ("free", "10:00-12:00")]
    hourly = SlotNeeds(timedelta(hours=1), timedelta(0), timedelta(0))
    assert [what for what, _ in said(lay(taken(at(9, 30), at(11, 30)), needs=hourly))] == ["closed", "taken", "closed"]


def test_every_row_of_every_day_is_covered_exactly_once_also_when_the_clocks_change() -> None:
    days = [date(2026, 10, 24) + timedelta(days=n) for n in range(3)]
    opening = [(datetime(2026, 10, 23, 22, tzinfo=UTC), datetime(2026, 10, 26, 23, tzinfo=UTC))]
    week = build_week(days, PARIS, opening=opening, taken=[], bookable=NEVER, needs=PLAIN, fit=whole)
    assert len(week.rows) == 96
    assert sum(cell.rows for _, cells in week.rows for cell in cells) == 3 * 96
    assert {cell.occupancy for _, cells in week.rows for cell in cells} == {Occupancy.FREE}
