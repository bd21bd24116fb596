"""Handing invoices to a platform: statuses typed by hand, and what is sent, tried again and asked about when."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from api.domain.billing import invoices, platform
from api.domain.billing.invoices import Customer, Invoice
from api.domain.billing.platform import FlowStatus, FlowTry
from api.domain.core.changes import list_changes
from api.domain.core.errors import NotFound
from tests.world import NOW
from tests.world.billing import DRAWN, Shop, issue, released


def test_a_deposit_by_hand_takes_typed_statuses(session: Session, shop: Shop) -> None:
    invoice = released(session, shop)
    flow = platform.note_deposit(
        session, invoice=invoice, platform="manual", flow_id="manual:1", now=NOW, actor=shop.world.bob
    )
    with pytest.raises(platform.RefusalWithoutReason):
        platform.note_status(session, flow=flow, status=FlowStatus.REFUSED, now=NOW)
    platform.note_status(session, flow=flow, status=FlowStatus.PAID, now=NOW)

    assert platform.list_flows(session, invoice_id=invoice.id)[0].status is FlowStatus.PAID
    with pytest.raises(platform.DepositedAlready):
        platform.note_deposit(session, invoice=invoice, platform="manual", flow_id="x", now=NOW)


def test_an_unreleased_invoice_is_not_deposited(session: Session, shop: Shop) -> None:
    with pytest.raises(NotFound):
        platform.note_deposit(session, invoice=issue(session, shop), platform="manual", flow_id="x", now=NOW)


def to_send(session: Session, now: datetime = NOW) -> list[int]:
    return platform.list_to_send(session, platform="afnor", now=now)


def trouble(session: Session, invoice: Invoice, *, permanent: bool = False, now: datetime = NOW) -> FlowTry:
    return platform.note_trouble(
        session, invoice=invoice, platform="afnor", trouble="503", permanent=permanent, now=now
    )


def test_a_released_invoice_to_an_organisation_is_sent_once(session: Session, shop: Shop) -> None:
    invoice = released(session, shop)
    issue(session, shop)  # still being drawn
    person = issue(session, shop, customer=Customer(user_id=shop.world.alice.id))
    invoices.release(session, invoice=person, now=NOW, **DRAWN)
    assert to_send(session) == [invoice.id]
    assert to_send(session, NOW + timedelta(days=31)) == []
    platform.note_deposit(session, invoice=invoice, platform="manual", flow_id="x", now=NOW)

    assert to_send(session) == []


def test_a_failed_deposit_is_tried_later_and_later(session: Session, shop: Shop) -> None:
    invoice, now, waits = released(session, shop), NOW, []
    for _ in range(7):
        row = trouble(session, invoice, now=now)
        assert row.next_at is not None
        assert to_send(session, row.next_at - timedelta(seconds=1)) == []
        assert to_send(session, row.next_at) == [invoice.id]
        waits.append(row.next_at - now)
        now = row.next_at

    assert waits == [*platform.RETRY_DELAYS, platform.RETRY_DELAYS[-1], platform.RETRY_DELAYS[-1]]
    assert [found.id for found, _ in platform.list_troubles(session, seller_id=shop.seller.id)] == [invoice.id]


def test_a_refused_deposit_waits_for_a_person(session: Session, shop: Shop) -> None:
    invoice = released(session, shop)
    trouble(session, invoice, permanent=True)

    assert to_send(session, NOW + timedelta(days=20)) == []
    assert list_changes(session, noun="invoice", noun_id=invoice.id)[-1].verb == "flow_blocked"


def test_a_flow_is_asked_about_each_hour_until_its_end(session: Session, shop: Shop) -> None:
    def due(now: datetime) -> list[int]:
        return platform.list_to_poll(session, platform="afnor", now=now)

    flow = platform.note_deposit(session, invoice=released(session, shop), platform="afnor", flow_id="f", now=NOW)
    assert due(NOW) == [flow.id]
    platform.note_polled_status(session, flow=flow, status=FlowStatus.DEPOSITED, now=NOW)
    assert (due(NOW + timedelta(minutes=59)), due(NOW + timedelta(hours=1))) == ([], [flow.id])
    platform.note_polled_status(session, flow=flow, status=FlowStatus.REJECTED, now=NOW)

    assert due(NOW + timedelta(days=1)) == []
    assert due(NOW + timedelta(days=91)) == []


def test_what_a_person_typed_is_not_taken_back_by_a_platform_that_knows_less(session: Session, shop: Shop) -> None:
    flow = platform.note_deposit(session, invoice=released(session, shop), platform="afnor", flow_id="f", now=NOW)
    platform.note_status(session, flow=flow, status=FlowStatus.APPROVED, now=NOW)
    platform.note_polled_status(session, flow=flow, status=FlowStatus.DEPOSITED, now=NOW)

    assert flow.status is FlowStatus.APPROVED


def test_steps_are_asked_for_what_is_due(session: Session, shop: Shop) -> None:
    invoice = released(session, shop)
    sent = issue(session, shop)
    invoices.release(session, invoice=sent, now=NOW, **DRAWN)
    flow = platform.note_deposit(session, invoice=sent, platform="afnor", flow_id="f", now=NOW)
    session.info["steps"] = []
    platform.enqueue_flows(session, platform="afnor", now=NOW)

    assert session.info["steps"] == [
        ("send_invoice", f"flow:{invoice.id}", {"invoice_id": invoice.id}),
        ("poll_flow", f"poll:{flow.id}", {"flow_id": flow.id}),
    ]
