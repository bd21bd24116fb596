"""The end of the month in Paris: one invoice per cost centre, issued by the clock, once whatever runs twice."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from api.adapters import invoicing
from api.db import transaction
from api.domain.billing import organisations
from api.domain.billing.facturx import Document
from api.domain.billing.invoices import Invoice
from api.domain.core.changes import list_changes
from api.domain.core.errors import Busy
from api.domain.places import sites
from api.domain.places.sites import Resource
from api.domain.sales import tabs
from api.domain.sales.tabs import MonthlyBill
from api.duties import background_duties
from tests.world import HOUR
from tests.world.billing import Shop, accept_all, check_only, issue, make_details, make_room, make_shop, stay
from tests.world.booking import ALWAYS

#: 23:30 to 00:30 at the end of November, and 22:30 to 23:30 just before, on the clocks of Mende.
LATE = datetime(2026, 11, 30, 22, 30, tzinfo=UTC)
#: 00:30 on the first of December there.
FIRST = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)


@pytest.fixture
def shop(session: Session) -> Shop:
    return make_shop(session, details=make_details(monthly=True))


def run(session: Session, shop: Shop, *, now: datetime = FIRST, **over: Any) -> Invoice | None:
    facts = {"organisation_id": shop.company.id, "cost_centre_id": None, "judge": accept_all, **over}
    return tabs.bill_month(session, seller_id=shop.seller.id, now=now, **facts)


@pytest.mark.parametrize(
    ("now", "month"),
    [
        (datetime(2026, 11, 30, 22, 59, 59, tzinfo=UTC), date(2026, 10, 1)),
        (datetime(2026, 11, 30, 23, 0, tzinfo=UTC), date(2026, 11, 1)),
        (datetime(2026, 7, 31, 21, 59, 59, tzinfo=UTC), date(2026, 6, 1)),
        (datetime(2026, 7, 31, 22, 0, tzinfo=UTC), date(2026, 7, 1)),
        (datetime(2026, 12, 31, 23, 0, tzinfo=UTC), date(2026, 12, 1)),
        (datetime(2027, 3, 1, 12, tzinfo=UTC), date(2027, 2, 1)),
    ],
)
def test_a_month_is_over_at_midnight_in_paris_winter_and_summer(now: datetime, month: date) -> None:
    assert tabs.last_month(now) == month


def open_all_night(session: Session, shop: Shop) -> Resource:
    sites.set_hours(session, site=shop.world.site, rows=ALWAYS)
    return make_room(session, shop)


def test_what_ended_before_midnight_is_of_the_month_and_what_ended_after_is_of_the_next(
    session: Session, shop: Shop
) -> None:
    room = open_all_night(session, shop)
    before = stay(session, shop, room=room, start=LATE - HOUR, hours=1)
    until_midnight = stay(session, shop, room=room, start=LATE, hours=1).id  # ends at 00:30
    session.flush()
    invoice = run(session, shop, now=LATE + 2 * HOUR)

    assert invoice is not None
    assert invoice.issued_on == date(2026, 12, 1)
    assert invoice.document.supplied_on == date(2026, 11, 30)
    assert list(session.scalars(select(tabs.BilledItem.booking_id))) == [before.id]
    assert [each.id for each in tabs.list_owed(session, seller=shop.seller, now=LATE + 2 * HOUR)] == [until_midnight]


def test_a_stay_that_ends_at_midnight_belongs_to_the_day_that_ends(session: Session, shop: Shop) -> None:
    room = open_all_night(session, shop)
    stay(session, shop, room=room, start=FIRST - timedelta(minutes=90), hours=1)  # 23:00 to 00:00

    assert tabs.list_owed(session, seller=shop.seller, now=FIRST)[0].supplied_on == date(2026, 11, 30)


def test_the_clock_invoices_a_month_once(session: Session, shop: Shop) -> None:
    stay(session, shop)
    assert tabs.list_due_months(session, now=FIRST - HOUR) == []  # it is still November
    first = run(session, shop)
    again = run(session, shop)

    assert first is not None
    assert (again, first.net_cents) == (None, 2500)
    assert session.scalar(select(func.count()).select_from(Invoice)) == 1
    assert tabs.list_due_months(session, now=FIRST) == []
    assert [each.verb for each in list_changes(session, noun="organisation", noun_id=shop.company.id)][-1] == (
        "month_invoiced"
    )


def test_what_comes_late_goes_with_the_next_month(session: Session, shop: Shop) -> None:
    room = make_room(session, shop)
    stay(session, shop, room=room)
    run(session, shop)
    stay(session, shop, room=room, start=LATE.replace(hour=9))  # entered after the invoice of November
    assert run(session, shop) is None
    december = run(session, shop, now=datetime(2027, 1, 2, 8, tzinfo=UTC))

    assert december is not None
    assert december.document.supplied_on == date(2026, 11, 30)
    assert session.scalars(select(MonthlyBill.month).order_by(MonthlyBill.id)).all() == [
        date(2026, 11, 1),
        date(2026, 12, 1),
    ]


def test_each_cost_centre_gets_its_own(session: Session, shop: Shop) -> None:
    alice, room = shop.world.alice, make_room(session, shop)
    centre = organisations.add_cost_centre(session, organisation=shop.company, actor=alice, code="A", name="A")
    first = stay(session, shop, room=room)
    stay(session, shop, room=room, start=first.end_at + HOUR)
    tabs.set_cost_centre(session, booking=first, cost_centre_id=centre.id, actor=alice)
    made = [run(session, shop), run(session, shop, cost_centre_id=centre.id)]

    assert [each.net_cents for each in made if each] == [2500, 2500]


def test_only_organisations_with_monthly_terms_are_invoiced_by_the_clock(session: Session) -> None:
    shop = make_shop(session)
    stay(session, shop)

    assert tabs.list_due_months(session, now=FIRST) == []
    assert run(session, shop) is None


def test_a_refused_month_is_kept_for_staff_and_tried_again_the_next_day(session: Session) -> None:
    details = make_details(is_public=True, needs_engagement=True, monthly=True)
    shop = make_shop(session, details=details)
    stay(session, shop)
    session.info["steps"] = []
    assert run(session, shop, judge=check_only) is None

    assert session.info["steps"] == []  # no drawing of an invoice that never was
    assert session.scalar(select(func.count()).select_from(Invoice)) == 0
    assert "MissingEngagement" in tabs.list_refused(session, seller_id=shop.seller.id)[0].refusal
    assert tabs.list_due_months(session, now=FIRST + HOUR) == []
    organisations.change_details(
        session,
        organisation=shop.company,
        actor=shop.world.alice,
        details=replace(details, needs_engagement=False),
        now=FIRST,
    )
    assert run(session, shop, now=FIRST + timedelta(days=1), judge=check_only) is not None
    assert tabs.list_refused(session, seller_id=shop.seller.id) == []


def test_a_validator_that_is_away_is_no_refusal(session: Session, shop: Shop) -> None:
    def away(_: Document) -> bytes:
        raise Busy()

    stay(session, shop)
    with pytest.raises(Busy), session.begin_nested():
        run(session, shop, judge=away)

    assert session.scalar(select(func.count()).select_from(MonthlyBill)) == 0


def test_asking_names_each_tab_once(session: Session, shop: Shop) -> None:
    stay(session, shop)
    session.info["steps"] = []
    tabs.enqueue_months(session, now=FIRST)

    assert session.info["steps"] == [
        (
            "bill_month",
            f"month:{shop.seller.id}:{shop.company.id}:None",
            {"seller_id": shop.seller.id, "organisation_id": shop.company.id, "cost_centre_id": None},
        )
    ]


def test_the_duty_asks_and_the_step_invoices_what_the_last_month_left(installation: Path) -> None:
    """By the clock of the machine: a stay of October 2026 is of a month that is over."""
    with transaction() as session:
        shop = make_shop(session, details=make_details(monthly=True))
        stay(session, shop, start=datetime(2026, 10, 20, 9, tzinfo=UTC))
    [months] = [duty for duty in background_duties() if duty.name == "months"]
    months.perform()
    with transaction() as session:
        query = text("SELECT task_name, args FROM procrastinate_jobs WHERE task_name = 'bill_month'")
        ((_, arguments),) = session.execute(query)
    for _ in range(2):
        invoicing.bill_month(**arguments)

    with transaction() as session:
        invoice = session.scalars(select(Invoice)).one()
        assert (invoice.organisation_id, invoice.net_cents) == (shop.company.id, 2500)
        assert invoice.document.supplied_on == date(2026, 10, 20)


def test_a_month_that_another_step_invoiced_meanwhile_leaves_nothing_behind(session: Session, shop: Shop) -> None:
    stay(session, shop)
    other = issue(session, shop)

    def slow(_: Document) -> bytes:
        """While this one is judged, the other one lands."""
        session.add(
            MonthlyBill(
                seller_id=shop.seller.id,
                organisation_id=shop.company.id,
                month=date(2026, 11, 1),
                invoice_id=other.id,
                tried_at=FIRST,
            )
        )
        session.flush()
        return b"seen"

    session.info["steps"] = []
    assert run(session, shop, judge=slow) is None

    assert session.info["steps"] == []  # its drawing is not asked for
    assert session.scalar(select(func.count()).select_from(Invoice)) == 1
