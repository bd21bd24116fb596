"""Places and their hours: local wall time made instants, across summer time, holidays, closures and midnight."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.orm import Session

from api.domain.core.errors import NotFound
from api.domain.people.roles import Level, grant
from api.domain.places.calendar import (
    REGIONS,
    Calendar,
    calendar_of,
    is_closed_on,
    is_open_at,
    local_instant,
    open_intervals,
)
from api.domain.places.sites import (
    Closure,
    HoursWrong,
    Site,
    get_default_site,
    get_resource,
    get_site,
    get_site_by_slug,
    list_sites,
    list_staffed_sites,
    set_hours,
)
from tests.world import NOW, make_printer, make_site, make_user

EVERY_DAY = range(7)


def a_site(session: Session, *rows: tuple[time, time], staffed: bool = True, **facts: object) -> Site:
    site = make_site(session, **facts)  # type: ignore[arg-type]  # columns of Site
    set_hours(session, site=site, rows=[(day, opens, closes, staffed) for day in EVERY_DAY for opens, closes in rows])
    return site


def day_of(site: Site, on: date) -> list[tuple[str, str]]:
    """Its open intervals of one local day, as UTC hours."""
    start = local_instant(site.zone, on, time(0))
    found = open_intervals(
        calendar_of(site), start=start, end=local_instant(site.zone, on + timedelta(days=1), time(0))
    )
    return [(f"{a:%d %H:%M}", f"{b:%d %H:%M}") for a, b in found]


def test_winter_and_summer_open_at_the_same_wall_time(session: Session) -> None:
    site = a_site(session, (time(9), time(18)))
    assert day_of(site, date(2026, 1, 15)) == [("15 08:00", "15 17:00")]
    assert day_of(site, date(2026, 7, 15)) == [("15 07:00", "15 16:00")]


def test_the_night_when_clocks_go_forward_is_an_hour_shorter(session: Session) -> None:
    site = a_site(session, (time(0), time(0)))
    assert day_of(site, date(2026, 3, 29)) == [("28 23:00", "29 22:00")]


def test_the_night_when_clocks_go_back_is_an_hour_longer(session: Session) -> None:
    site = a_site(session, (time(0), time(0)))
    assert day_of(site, date(2026, 10, 25)) == [("24 22:00", "25 23:00")]


def test_an_hour_that_does_not_exist_moves_forward_and_one_that_exists_twice_is_the_first(session: Session) -> None:
    site = make_site(session)
    assert local_instant(site.zone, date(2026, 3, 29), time(2, 30)) == datetime(2026, 3, 29, 1, 30, tzinfo=UTC)
    assert local_instant(site.zone, date(2026, 10, 25), time(2, 30)) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)


def test_hours_that_the_spring_night_swallows_are_no_opening(session: Session) -> None:
    site = a_site(session, (time(2, 30), time(3)))
    assert day_of(site, date(2026, 3, 29)) == []


def test_a_night_is_two_rows_that_join_at_midnight(session: Session) -> None:
    site = a_site(session, (time(20), time(0)), (time(0), time(2)))
    found = open_intervals(
        calendar_of(site),
        start=local_instant(site.zone, date(2026, 1, 15), time(12)),
        end=local_instant(site.zone, date(2026, 1, 16), time(12)),
    )
    assert found == [(datetime(2026, 1, 15, 19, tzinfo=UTC), datetime(2026, 1, 16, 1, tzinfo=UTC))]


def test_what_is_asked_cuts_what_is_open(session: Session) -> None:
    site = a_site(session, (time(9), time(18)))
    start, end = datetime(2026, 1, 15, 10, tzinfo=UTC), datetime(2026, 1, 15, 11, tzinfo=UTC)
    assert open_intervals(calendar_of(site), start=start, end=end) == [(start, end)]


def test_a_public_holiday_is_closed_where_the_place_keeps_it(session: Session) -> None:
    keeps = a_site(session, (time(9), time(18)))
    works = a_site(session, (time(9), time(18)), closed_on_holidays=False)
    assert day_of(keeps, date(2026, 7, 14)) == []
    assert day_of(works, date(2026, 7, 14)) == [("14 07:00", "14 16:00")]


def test_a_closure_takes_both_its_days(session: Session) -> None:
    site = a_site(session, (time(9), time(18)))
    session.add(Closure(site_id=site.id, first_on=date(2026, 1, 15), last_on=date(2026, 1, 16), reason="Works"))
    session.flush()
    session.refresh(site)
    assert [bool(day_of(site, date(2026, 1, day))) for day in (14, 15, 16, 17)] == [True, False, False, True]


def test_staffed_hours_leave_out_the_others(session: Session) -> None:
    site = make_site(session)
    rows = [(day, opens, closes, opens == time(9)) for day in EVERY_DAY for opens, closes in WITH_EVENING]
    set_hours(session, site=site, rows=rows)
    start = datetime(2026, 1, 15, tzinfo=UTC)
    found = open_intervals(calendar_of(site), start=start, end=start + timedelta(days=1), staffed_only=True)
    assert [(a.hour, b.hour) for a, b in found] == [(8, 16)]


WITH_EVENING = [(time(9), time(17)), (time(17), time(22))]


def test_hours_replace_the_week_and_must_end_after_they_begin(session: Session) -> None:
    site = a_site(session, (time(9), time(18)))
    set_hours(session, site=site, rows=[(0, time(10), time(12), True)])
    assert len(site.hours) == 1
    for opens, closes in ((time(9), time(9)), (time(8), time(7)), (time(12), time(5))):
        with pytest.raises(HoursWrong):
            set_hours(session, site=site, rows=[(0, opens, closes, True)])
    assert len(site.hours) == 1


def test_hours_past_midnight_belong_to_the_day_on_which_they_begin(session: Session) -> None:
    site = make_site(session)
    set_hours(session, site=site, rows=[(3, time(18), time(2), True)])  # Thursdays
    assert day_of(site, date(2026, 1, 15)) == [("15 17:00", "15 23:00")]
    assert day_of(site, date(2026, 1, 16)) == [("15 23:00", "16 01:00")]
    # 30 April 2026 is a Thursday, and the day after it a holiday: the night is that of Thursday.
    assert day_of(site, date(2026, 5, 1)) == [("30 22:00", "01 00:00")]
    session.add(Closure(site_id=site.id, first_on=date(2026, 1, 15), last_on=date(2026, 1, 15), reason="Works"))
    session.flush()
    session.refresh(site)
    assert day_of(site, date(2026, 1, 16)) == []


@pytest.mark.parametrize(
    ("region", "day"),
    [
        ("6AE", date(2026, 12, 26)),
        ("57", date(2026, 4, 3)),
        ("971", date(2026, 5, 27)),
        ("974", date(2027, 12, 20)),
        ("972", date(2026, 5, 22)),
        ("973", date(2026, 6, 10)),
    ],
)
def test_a_place_keeps_the_holidays_of_its_region(session: Session, region: str, day: date) -> None:
    here, elsewhere = make_site(session, holiday_region=region), make_site(session)
    assert [is_closed_on(calendar_of(site), day) for site in (here, elsewhere)] == [True, False]


def test_every_region_is_known_to_the_calendar_of_holidays() -> None:
    for region in REGIONS:
        assert is_closed_on(Calendar(zone=ZoneInfo("Europe/Paris"), holiday_region=region), date(2026, 7, 14))


def test_open_now(session: Session) -> None:
    site = a_site(session, (time(9), time(18)))
    assert is_open_at(calendar_of(site), datetime(2026, 1, 15, 8, tzinfo=UTC))
    assert not is_open_at(calendar_of(site), datetime(2026, 1, 15, 17, tzinfo=UTC))


def test_a_place_is_found_by_id_and_slug_or_not_at_all(session: Session) -> None:
    site = make_site(session, slug="mende")
    assert get_site(session, site.id) is get_site_by_slug(session, "mende")
    for lost in (
        lambda: get_site(session, 0),
        lambda: get_site_by_slug(session, "x"),
        lambda: get_resource(session, 0),
    ):
        with pytest.raises(NotFound):
            lost()


def test_the_default_place_is_the_first_open_one_with_a_printer(session: Session) -> None:
    make_site(session, "Without")
    closed, open_ = make_site(session, closed_at=NOW), make_site(session)
    make_printer(session, closed)
    with pytest.raises(NotFound):
        get_default_site(session)
    printer = make_printer(session, open_)
    assert get_default_site(session) is open_
    assert get_resource(session, printer.id).name == printer.name


def test_people_run_the_places_of_their_roles_and_admins_all_that_are_open(session: Session) -> None:
    one, other, closed = make_site(session), make_site(session), make_site(session, closed_at=NOW)
    bob, admin = make_user(session, "Bob"), make_user(session, "Root", is_admin=True)
    grant(session, user=bob, site_id=one.id, level=Level.STAFF, now=NOW)
    grant(session, user=bob, site_id=other.id, level=Level.MEMBER, now=NOW)
    assert list_staffed_sites(session, user=bob) == [one]
    assert {one, other} <= set(list_staffed_sites(session, user=admin))
    assert closed not in list_sites(session)
