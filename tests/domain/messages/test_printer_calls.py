"""Who is called to a printer that only a person gets further, and how often."""

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.messages.notifications import Mail
from api.domain.messages.printer_calls import WHYS, call_staff
from api.domain.messages.reminders import send_due
from api.domain.people.accounts import Locale
from api.domain.printing.faults import mend, record_fault
from api.domain.printing.runs import RunStatus, Stall
from api.domain.printing.states import FaultCode
from tests.world import MINUTE, NOW, World
from tests.world.runs import start_print


def letters(session: Session) -> list[Mail]:
    return list(session.scalars(select(Mail).where(Mail.kind == "printer_call").order_by(Mail.id)))


def test_the_staff_of_the_place_are_called_once_to_a_print_that_stays_paused(session: Session, world: World) -> None:
    world.bob.locale = Locale.EN
    run = start_print(session, world, status=RunStatus.PAUSED)
    for minute in (5, 11, 12):
        send_due(session, now=NOW + minute * MINUTE)
    (letter,) = letters(session)
    assert letter.user_id == world.bob.id
    assert letter.subject == f"{world.printer.name} needs you"
    assert "a print is paused. Go and look" in letter.body
    assert run.job.model.name not in letter.body


def test_a_second_pause_of_the_same_print_calls_again(session: Session, world: World) -> None:
    run = start_print(session, world, status=RunStatus.PAUSED)
    call_staff(session, now=NOW + 11 * MINUTE)
    run.status_at = NOW + 30 * MINUTE
    call_staff(session, now=NOW + 41 * MINUTE)
    assert len(letters(session)) == 2


def test_a_fault_calls_at_once_and_no_more_when_it_is_mended(session: Session, world: World) -> None:
    record_fault(session, printer_id=world.printer.id, fault=FaultCode.FIRMWARE, text="Thermal Runaway", now=NOW)
    session.expire_all()
    for _ in range(2):
        call_staff(session, now=NOW)
    mend(session, printer=world.printer, actor=world.bob, now=NOW)
    call_staff(session, now=NOW + MINUTE)
    (letter,) = letters(session)
    assert "erreur matérielle" in letter.body


@pytest.mark.parametrize("why", [*Stall, *FaultCode])
def test_every_reason_has_its_words_in_both_languages(why: str) -> None:
    assert set(WHYS[why]) == set(Locale)
