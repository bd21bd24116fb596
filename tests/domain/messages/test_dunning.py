"""Reminders of overdue invoices: by steps, each once, with the mentions of the law."""

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.messages import dunning
from api.domain.messages.notifications import Mail
from tests.world import NOW
from tests.world.billing import TODAY, Shop, issue


def test_an_overdue_invoice_is_reminded_by_steps(session: Session, shop: Shop) -> None:
    invoice = issue(session, shop)
    at = {days: NOW + timedelta(days=(invoice.due_on - TODAY).days + days) for days in (0, 1, 2, 15, 30)}
    sent = [len(dunning.remind(session, seller=shop.seller, now=now)) for now in at.values()]
    letter = session.scalars(select(Mail).where(Mail.kind == "invoice_overdue")).first()

    assert sent == [0, 1, 0, 1, 1]
    assert letter is not None
    assert "trois fois le taux" in letter.body
    assert "40 €" in letter.body
    assert letter.user_id == shop.world.alice.id
