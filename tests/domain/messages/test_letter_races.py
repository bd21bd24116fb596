"""Letters that two workers would write at once are written once."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from api.domain.messages import dunning, notifications, reminders
from api.domain.messages.dunning import Reminder
from api.domain.messages.notifications import Mail
from api.domain.people.accounts import User
from api.domain.printing import faults
from api.domain.printing.states import FaultCode
from tests.world import NOW
from tests.world.billing import Shop, in_shop, issue, make_shop, shop_in, stay
from tests.world.races import Connect, count_rows, overlap


@pytest.fixture
def shop(connect: Connect) -> Shop:
    with connect.begin() as session:
        return make_shop(session)


def overdue(session: Session, shop: Shop) -> None:
    issue(session, shop)


def remind(session: Session, shop: Shop) -> None:
    dunning.remind_all(session, now=NOW + timedelta(days=60))


def due(session: Session, shop: Shop) -> None:
    stay(session, shop)


def send(session: Session, shop: Shop) -> None:
    reminders.send_due(session, now=NOW)


def broken(session: Session, shop: Shop) -> None:
    printer_id = shop.world.printer.id
    faults.record_fault(session, printer_id=printer_id, fault=FaultCode.FIRMWARE, text="x", now=NOW)


def nothing(session: Session, shop: Shop) -> None:
    return None


def write(session: Session, shop: Shop) -> None:
    alice = session.get_one(User, shop.world.alice.id)
    facts = {"number": "D1", "until": "demain", "reason": ""}
    notifications.write_letter(session, user=alice, kind="quote_offered", about="quote:1", now=NOW, **facts)


@pytest.mark.parametrize(
    ("setup", "act"), [(overdue, remind), (due, send), (broken, send), (nothing, write)], ids=lambda f: f.__name__
)
def test_two_workers_write_a_letter_once(
    connect: Connect, shop: Shop, setup: Callable[[Session, Shop], None], act: Callable[..., None]
) -> None:
    with connect.begin() as session:
        setup(session, shop_in(session, shop))
    assert overlap(connect, in_shop(shop, act), in_shop(shop, act)) == (None, None)
    assert count_rows(connect, Mail) == 1
    assert count_rows(connect, Reminder) == (1 if act is remind else 0)
