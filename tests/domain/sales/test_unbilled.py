"""What can still be billed is found without reading what was billed long ago: bookings, prints, and who pays them."""

from datetime import datetime

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from api.domain.booking import bookings
from api.domain.booking.bookings import Booking
from api.domain.core.paging import PageWindow
from api.domain.people.accounts import User
from api.domain.printing.jobs import JobStatus
from api.domain.printing.runs import RunStatus
from api.domain.sales import orders, tabs
from api.domain.sales.tabs.table import UnbilledItem
from tests.world import HOUR, NOW, make_run
from tests.world.billing import START, Shop, accept_all, ask, make_room, make_shop, stay
from tests.world.races import Connect
from tests.world.sales import accept, print_for, produce

LATER = START + 24 * HOUR


def unbilled(session: Session) -> list[tuple[int | None, int | None]]:
    """(booking, job) of each row."""
    session.flush()
    query = select(UnbilledItem.booking_id, UnbilledItem.job_id).order_by(UnbilledItem.id)
    return [(row[0], row[1]) for row in session.execute(query)]


def bill_all(session: Session, shop: Shop) -> None:
    for tab in tabs.list_tabs(session, seller=shop.seller, now=LATER):
        tabs.bill(session, seller=shop.seller, tab=tab, judge=accept_all, now=LATER)


def test_a_booking_stands_there_from_the_start_until_it_is_billed(session: Session, shop: Shop) -> None:
    booked = stay(session, shop)
    assert unbilled(session) == [(booked.id, None)]
    bill_all(session, shop)
    assert unbilled(session) == []


def test_what_costs_nothing_or_no_longer_does_is_not_there(session: Session, shop: Shop) -> None:
    room, free = make_room(session, shop), make_room(session, shop, late_fee_cents=0)
    in_time = stay(session, shop, room=room, start=START + 72 * HOUR)
    late = stay(session, shop, room=room)
    without_fee = stay(session, shop, room=free)
    for each in (in_time, late, without_fee):
        bookings.cancel(session, booking=each, actor=shop.world.alice, now=START - HOUR)

    assert unbilled(session) == [(late.id, None)]


def test_a_booking_that_begins_to_cost_comes_back(session: Session, shop: Shop) -> None:
    booked, change = stay(session, shop), text("UPDATE bookings SET net_cents = :cents WHERE id = :id")
    session.execute(change, {"cents": 0, "id": booked.id})
    assert unbilled(session) == []
    session.execute(change, {"cents": 100, "id": booked.id})
    assert unbilled(session) == [(booked.id, None)]
    session.execute(change, {"cents": 200, "id": booked.id})
    assert unbilled(session) == [(booked.id, None)]


def test_it_is_due_at_its_end_or_when_it_came_to_one(session: Session, shop: Shop) -> None:
    alice, room = shop.world.alice, make_room(session, shop, no_show_minutes=15)
    moved, left = (stay(session, shop, room=room, start=START + n * 24 * HOUR) for n in range(2))
    assert due_times(session) == [moved.end_at, left.end_at]
    start = START + 72 * HOUR
    bookings.move(session, booking=moved, start=start, end=start + HOUR, actor=alice, now=NOW)
    bookings.check_in(session, booking=left, actor=alice, now=left.start_at)
    assert due_times(session) == [start + HOUR, left.end_at]
    gone_at = left.start_at + HOUR
    bookings.check_out(session, booking=left, actor=alice, now=gone_at)
    assert due_times(session) == [start + HOUR, gone_at]
    assert [each.id for each in tabs.list_owed(session, seller=shop.seller, now=gone_at)] == [left.id]


def due_times(session: Session) -> list[datetime]:
    session.flush()
    return list(session.scalars(select(UnbilledItem.due_at).order_by(UnbilledItem.id)))


def test_a_print_is_there_once_it_was_charged_and_that_of_an_order_never(session: Session, shop: Shop) -> None:
    order = accept(session, shop, ask(session, shop))
    produce(session, shop, order)
    job = print_for(session, shop, organisation_id=shop.company.id)
    assert unbilled(session) == [(None, job.id)]
    bill_all(session, shop)
    assert unbilled(session) == []


def test_what_changes_after_the_bill_does_not_come_back(session: Session, shop: Shop) -> None:
    booked = stay(session, shop, room=make_room(session, shop, no_show_minutes=15))
    bookings.check_in(session, booking=booked, actor=shop.world.alice, now=START)
    bill_all(session, shop)
    bookings.check_out(session, booking=booked, actor=shop.world.alice, now=LATER)
    session.execute(text("UPDATE bookings SET net_cents = 0"))
    session.execute(text("UPDATE bookings SET net_cents = 5"))

    assert unbilled(session) == []


def test_customers_and_debtors_come_in_pages(session: Session, shop: Shop) -> None:
    world, room = shop.world, make_room(session, shop)
    stay(session, shop, room=room)
    stay(session, shop, room=room, start=START + 2 * HOUR, organisation_id=world.acme.id, user=world.charlie)
    for n, person in enumerate((world.alice, world.charlie), start=2):
        stay(session, shop, room=room, start=START + 2 * n * HOUR, organisation_id=None, user=person)
    facts = {"seller": shop.seller, "now": LATER, "site_ids": [world.site.id]}
    first, people = (read(session, **facts, window=PageWindow(1)) for read in (tabs.list_customers, tabs.list_debtors))
    assert first.next is not None
    assert people.next is not None
    second = tabs.list_customers(session, **facts, window=first.next)
    others = tabs.list_debtors(session, **facts, window=people.next)

    assert [each.id for each in (*first, *second)] == sorted([shop.company.id, world.acme.id])
    assert [each.id for each in (*people, *others)] == sorted([world.alice.id, world.charlie.id])
    assert second.next is others.next is None


def test_who_has_only_what_lies_ahead_owes_nothing_yet(session: Session, shop: Shop) -> None:
    room = make_room(session, shop)
    stay(session, shop, room=room)
    stay(session, shop, room=room, start=START + 3 * HOUR, organisation_id=None)
    facts = {"seller": shop.seller, "now": NOW, "site_ids": [shop.world.site.id]}

    assert tabs.list_customers(session, **facts).rows == tabs.list_debtors(session, **facts).rows == []


def test_who_has_only_an_order_to_invoice_is_a_customer(session: Session, shop: Shop) -> None:
    order = accept(session, shop, ask(session, shop))
    produce(session, shop, order)
    orders.deliver(session, order=order, actor=shop.world.bob, now=NOW)
    sites = [shop.world.site.id]
    page = tabs.list_customers(session, seller=shop.seller, now=LATER, site_ids=sites)

    assert page.rows == [shop.company]
    assert tabs.list_customers(session, seller=shop.seller, now=LATER, site_ids=[]).rows == []


def test_who_leaves_while_the_stay_is_billed_is_not_listed_again(connect: Connect) -> None:
    with connect.begin() as session:
        shop = make_shop(session)
        booked = stay(session, shop, room=make_room(session, shop, no_show_minutes=15))
        bookings.check_in(session, booking=booked, actor=shop.world.alice, now=START)
    with connect() as desk, connect() as door:
        shop.seller = desk.merge(shop.seller)
        bill_all(desk, shop)
        alice = door.get_one(User, shop.world.alice.id)
        bookings.check_out(door, booking=door.get_one(Booking, booked.id), actor=alice, now=LATER)
        door.commit()
        desk.commit()
    with connect() as session:
        assert unbilled(session) == []


@pytest.mark.parametrize("status", [RunStatus.CLAIMED, RunStatus.PRINTING, RunStatus.PAUSED, RunStatus.IN_DOUBT])
def test_a_cancelled_job_is_billed_when_its_last_plate_has_ended(
    session: Session, shop: Shop, status: RunStatus
) -> None:
    job = print_for(session, shop, copies=80)
    shop.world.printer.plate_clear = True
    run = make_run(session, shop.world.printer, status=status)
    job.status = JobStatus.CANCELLED
    session.flush()
    assert run.job_id == job.id
    assert tabs.list_owed(session, seller=shop.seller, now=LATER) == []

    run.status = RunStatus.CANCELLED
    session.flush()
    assert [owed.id for owed in tabs.list_owed(session, seller=shop.seller, now=LATER)] == [job.id]
