"""The pages of terms: the buyer sees what is in force and what is requested; staff grant or decline it."""

from collections.abc import Callable

import pytest
from sqlalchemy.orm import Session

from api.domain.billing import organisations
from api.domain.people.accounts import User
from tests.world import make_user
from tests.world.billing import FIELDS, Shop
from tests.world.browsers import Browser
from tests.world.documents import make_siren

pytestmark = pytest.mark.usefixtures("data_dir")


@pytest.mark.parametrize(("act", "terms"), [("grant", (45, True)), ("decline", (30, False))])
def test_a_request_waits_on_the_page_of_the_staff(
    alice: Browser, bob: Browser, session: Session, shop: Shop, act: str, terms: tuple[int, bool]
) -> None:
    slug = shop.company.slug
    typed = {**FIELDS, "siren": make_siren(40), "terms_days": "45", "monthly": "1"}
    assert alice.post(f"/org/{slug}", typed).status_code == 303
    own = alice.get(f"/org/{slug}").text
    assert "within 30 days" in own
    assert "Requested: within 45 days" in own
    assert 'value="45"' in alice.get(f"/org/{slug}/edit").text

    assert "Payment terms requested" in bob.get("/staff").text
    page = bob.get("/staff/terms").text
    assert "Tournerie" in page
    assert bob.post(f"/staff/terms/{slug}", {"terms_days": "45", "monthly": "1", "act": act}).status_code == 303
    details = organisations.find_details(session, organisation=shop.company)
    assert details is not None
    assert (details.terms_days, details.monthly) == terms
    assert "Tournerie" not in bob.get("/staff/terms").text
    assert "Requested" not in alice.get(f"/org/{slug}").text
    # Somebody else of the staff still had the page open.
    assert bob.post(f"/staff/terms/{slug}", {"act": "decline"}).status_code == 409


def test_a_wrong_term_stands_beside_its_field(alice: Browser, bob: Browser, shop: Shop) -> None:
    alice.post(f"/org/{shop.company.slug}", {**FIELDS, "siren": make_siren(40), "terms_days": "45"})
    answer = bob.post(f"/staff/terms/{shop.company.slug}", {"terms_days": "99", "act": "grant"})
    assert answer.status_code == 422
    assert 'id="error-terms_days"' in answer.text
    assert 'value="99"' in answer.text


def test_members_and_strangers_grant_nothing(
    alice: Browser, log_in: Callable[[User], Browser], session: Session, shop: Shop
) -> None:
    path, terms = f"/staff/terms/{shop.company.slug}", {"terms_days": "45", "act": "grant"}
    assert alice.get("/staff/terms").status_code == 403
    assert alice.post(path, terms).status_code == 403
    assert log_in(make_user(session)).post(path, terms).status_code in (403, 404)
