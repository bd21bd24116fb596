"""What the staff decide about a quote reaches the buyer once, in words; the trace reads in the reader's language."""

from io import BytesIO

import pytest
from pypdf import PdfReader
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.messages.notifications import Mail, notify_quote
from api.domain.people.accounts import Locale
from api.domain.sales import quotes
from api.domain.sales.quotes import Quote, Review
from tests.world import NOW
from tests.world.billing import Shop, ask
from tests.world.browsers import Browser


@pytest.fixture
def reviewed(session: Session, shop: Shop) -> Quote:
    quotes.set_rule(session, site_id=shop.world.site.id, review=Review.ALWAYS)
    return ask(session, shop)


def steps(session: Session) -> list[tuple[int, str]]:
    wished = session.info.get("steps", [])
    return [(told["quote_id"], told["verb"]) for step, _, told in wished if step == "notify_quote"]


def test_an_offer_is_told_to_who_asked(session: Session, shop: Shop, reviewed: Quote) -> None:
    quotes.offer(session, quote=reviewed, actor=shop.world.bob, now=NOW)
    assert steps(session) == [(reviewed.id, "offered")]
    for _ in range(2):
        notify_quote(session, quote_id=reviewed.id, verb="offered", now=NOW)
    letter = session.scalars(select(Mail)).one()

    assert letter.recipient == shop.world.alice.email
    assert reviewed.number in letter.subject
    assert "23 décembre 2026" in letter.body


def test_a_refusal_carries_its_reason(session: Session, shop: Shop, reviewed: Quote) -> None:
    quotes.decline(session, quote=reviewed, actor=shop.world.bob, reason="Trop fin pour nos buses", now=NOW)
    assert steps(session) == [(reviewed.id, "declined")]
    notify_quote(session, quote_id=reviewed.id, verb="declined", now=NOW)

    assert "Trop fin pour nos buses" in session.scalars(select(Mail)).one().body


def test_the_trace_reads_in_french(session: Session, shop: Shop, alice: Browser) -> None:
    quote = ask(session, shop)
    shop.world.alice.locale = Locale.FR
    session.flush()
    page = alice.get(f"/quotes/{quote.id}").text

    assert "0,05 €" in page.replace("\xa0", " ")
    assert "la pièce" in page


def test_the_paper_says_what_the_staff_changed(session: Session, shop: Shop, reviewed: Quote, alice: Browser) -> None:
    first = reviewed.net_cents
    for cents, reason in ((first - 50, "Pièce simple"), (first + 700, "Supports à retirer")):
        quotes.change_price(session, quote=reviewed, net_cents=cents, reason=reason, actor=shop.world.bob, now=NOW)
    answer = alice.get(f"/api/v1/quotes/{reviewed.id}/pdf")
    text = " ".join(page.extract_text() for page in PdfReader(BytesIO(answer.content)).pages).replace("\xa0", " ")

    assert "Pièce simple" in text
    assert "Supplément : Supports à retirer" in text
    assert f"{reviewed.total_cents / 100:.2f}".replace(".", ",") in text
