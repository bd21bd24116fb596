"""Pages of the desk and of organisations: reviews, credit notes, deposits, books, cost centres, the legal entity."""

from collections.abc import Callable
from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from api.domain.billing import money_requests, organisations
from api.domain.billing.facturx import DocumentKind, totals
from api.domain.billing.invoices import Invoice, closed_until
from api.domain.billing.payments import credit_balance_cents, open_cents
from api.domain.billing.sellers import Seller, list_regimes
from api.domain.people import accounts
from api.domain.people.accounts import BuyingRight, Locale, User
from api.domain.pricing.legal import Regime
from api.domain.sales import quotes
from api.domain.sales.orders import draft_invoice
from api.domain.sales.orders.billing import DepositHalfCredited
from api.domain.sales.quotes import Quote, QuoteStatus, Review, get_rule
from tests.world import NOW, make_model, make_user
from tests.world.billing import FIELDS, Shop, ask, issue, join, let_handle_money
from tests.world.browsers import Browser
from tests.world.documents import make_siren, make_siret, make_vat_number
from tests.world.sales import accept

pytestmark = pytest.mark.usefixtures("data_dir")

PAGES = ("/staff/money", "/staff/quotes", "/staff/orders", "/staff/tariffs", "/staff/sellers", "/staff/books")


@pytest.fixture
def reviewed(session: Session, shop: Shop) -> Quote:
    """A quote that waits for the staff."""
    quotes.set_rule(session, site_id=shop.world.site.id, review=Review.ALWAYS)
    return ask(session, shop)


@pytest.mark.parametrize("locale", list(Locale))
def test_every_page_of_money_is_drawn_in_both_languages(
    session: Session, shop: Shop, alice: Browser, bob: Browser, locale: Locale
) -> None:
    quote, bill = ask(session, shop), issue(session, shop)
    order = accept(session, shop, ask(session, shop))
    for person in (shop.world.alice, shop.world.bob):
        person.locale = locale
    session.flush()
    common = ("/quotes", "/orders", f"/quotes/{quote.id}", f"/orders/{order.id}", f"/invoices/{bill.id}")

    for path in (*PAGES, *common, f"/staff/sellers/{shop.seller.id}"):
        assert bob.get(path).status_code == 200, path
    for path in (*common, f"/org/{shop.company.slug}", f"/org/{shop.company.slug}/edit", "/org"):
        assert alice.get(path).status_code == 200, path


def test_the_desk_is_closed_to_members_and_invoices_to_strangers(
    session: Session, shop: Shop, alice: Browser, log_in: Callable[[User], Browser]
) -> None:
    bill, stranger = issue(session, shop), log_in(make_user(session, "Dan"))
    for path in PAGES:
        assert alice.get(path).status_code == 403, path
    assert alice.post(f"/invoices/{bill.id}/credit", {"reason": "x", "what": "whole"}).status_code == 404
    assert stranger.get(f"/invoices/{bill.id}").status_code == 404
    assert stranger.get("/staff/books").status_code == 403


def test_staff_see_what_waits_and_offer_it_at_another_price(
    session: Session, shop: Shop, reviewed: Quote, alice: Browser, bob: Browser
) -> None:
    page, net_cents = f"/quotes/{reviewed.id}", reviewed.net_cents
    assert reviewed.number in bob.get("/staff/quotes").text
    assert "Staff are reviewing this quote" in alice.get(page).text
    bob.post(f"{page}/price", {"net": f"{(net_cents - 100) / 100}", "price_reason": "Simple part"})
    bob.post(f"{page}/price", {"net": f"{(net_cents + 250) / 100}", "price_reason": "Supports"})
    bob.post(f"{page}/offer")
    session.refresh(reviewed)
    shown = alice.get(page).text

    assert (reviewed.status, reviewed.net_cents) == (QuoteStatus.OFFERED, net_cents + 250)
    assert "Simple part" in shown
    assert "−€1.00" in shown
    assert "Supports" in shown
    assert "+€3.50" in shown


def test_the_price_set_by_staff_is_the_price_of_the_invoice(session: Session, shop: Shop, reviewed: Quote) -> None:
    for cents, reason in ((reviewed.net_cents - 77, "Remise"), (reviewed.net_cents + 1234, "Supports")):
        quotes.change_price(
            session, quote=reviewed, net_cents=cents, reason=reason, actor=shop.world.bob, now=reviewed.created_at
        )
    quotes.offer(session, quote=reviewed, actor=shop.world.bob, now=reviewed.created_at)
    order = accept(session, shop, reviewed)
    bill = issue(session, shop, draft=draft_invoice(session, orders=[order], on=date(2026, 11, 23)))

    assert (bill.net_cents, bill.total_cents) == (reviewed.net_cents, reviewed.total_cents)


@pytest.mark.parametrize(
    ("sent", "field"),
    [
        ({"net": "0", "price_reason": "Because"}, "net"),
        ({"net": "free", "price_reason": "Because"}, "net"),
        ({"net": "12", "price_reason": " "}, "price_reason"),
    ],
)
def test_a_price_without_amount_or_reason_is_refused(
    session: Session, reviewed: Quote, bob: Browser, sent: dict[str, str], field: str
) -> None:
    before = reviewed.net_cents
    answer = bob.post(f"/quotes/{reviewed.id}/price", sent)

    assert answer.status_code == 422
    assert f'id="error-{field}"' in answer.text
    assert reviewed.net_cents == before


def test_what_was_offered_keeps_its_price_and_buyers_set_none(
    session: Session, shop: Shop, alice: Browser, bob: Browser
) -> None:
    offered = ask(session, shop)
    said = {"net": "1", "price_reason": "Because"}

    assert bob.post(f"/quotes/{offered.id}/price", said).status_code == 409
    assert alice.post(f"/quotes/{offered.id}/price", said).status_code == 403


def test_the_database_itself_keeps_an_offered_price(session: Session, shop: Shop) -> None:
    offered = ask(session, shop)
    with pytest.raises(DBAPIError, match="never changes"), session.begin_nested():
        session.execute(update(Quote).where(Quote.id == offered.id).values(net_cents=1, vat_cents=0, total_cents=1))


def test_a_manager_says_when_quotes_are_looked_at(session: Session, shop: Shop, bob: Browser) -> None:
    url = f"/staff/quotes/rules/{shop.world.site.slug}"
    bob.post(url, {"review": "above", "above": "250,50", "valid_days": "15"})
    rule = get_rule(session, site_id=shop.world.site.id)

    assert (rule.review, rule.above_cents, rule.valid_days) == (Review.ABOVE, 25_050, 15)
    for wrong, field in (
        ({"above": "-1", "valid_days": "15"}, "above"),
        ({"above": "1", "valid_days": "0"}, "valid_days"),
    ):
        answer = bob.post(url, {"review": "above", **wrong})
        assert answer.status_code == 422
        assert f'id="error-{field}"' in answer.text
    assert bob.post("/staff/quotes/rules/nowhere", {}).status_code == 404


def test_an_invoice_is_credited_by_line_and_never_above_the_rest(session: Session, shop: Shop, bob: Browser) -> None:
    bill = issue(session, shop)
    first = bill.document.lines[0]
    page = f"/invoices/{bill.id}/credit"
    assert 'id="error-reason"' in bob.post(page, {"what": "whole"}).text
    assert 'id="error-quantity"' in bob.post(page, {"what": "lines", "reason": "Broken"}).text
    assert 'id="error-quantity-0"' in bob.post(page, {"what": "lines", "reason": "x", "quantity-0": "-1"}).text
    made = bob.post(page, {"what": "lines", "reason": "Broken", "quantity-0": str(first.quantity)})
    note = session.scalars(select(Invoice).where(Invoice.kind == DocumentKind.CREDIT_NOTE)).one()

    assert made.headers["location"] == f"/invoices/{note.id}"
    assert note.document.lines[0].description == first.description
    assert 'id="error-whole"' in bob.post(page, {"what": "whole", "reason": "All"}).text
    assert bob.post(page, {"what": "whole", "whole": "yes", "reason": "All"}).status_code == 422
    shown = bob.get(f"/invoices/{bill.id}").text
    assert shown.index('value="lines"') < shown.index('value="whole"')
    assert note.number in bob.get(f"/invoices/{bill.id}").text


def test_a_payment_is_taken_back_once_and_with_a_reason(session: Session, shop: Shop, bob: Browser) -> None:
    bill = issue(session, shop)
    bob.post(f"/staff/money/invoices/{bill.id}/pay", {"amount": "10", "means": "cash", "payments": "0"})
    page = bob.get(f"/invoices/{bill.id}").text
    payment_id = page.partition(f"/invoices/{bill.id}/payments/")[2].partition("/")[0]
    url = f"/invoices/{bill.id}/payments/{payment_id}/reverse"

    assert bob.post(url, {}).status_code == 422
    assert bob.post(url, {"reason": "Typed twice"}).status_code == 303
    assert bob.post(url, {"reason": "Typed twice"}).status_code == 409
    assert bob.post(f"/invoices/{bill.id}/payments/0/reverse", {"reason": "x"}).status_code == 404
    assert open_cents(session, invoice=bill) == bill.total_cents


def test_a_deposit_is_asked_on_the_order_page(session: Session, shop: Shop, alice: Browser, bob: Browser) -> None:
    order = accept(session, shop, ask(session, shop))
    page = f"/orders/{order.id}"
    assert 'id="error-percent"' in bob.post(f"{page}/deposit", {"percent": "91"}).text
    bob.post(f"{page}/deposit", {"percent": "30"})
    deposit = session.scalars(select(Invoice).where(Invoice.kind == DocumentKind.DEPOSIT)).one()

    assert deposit.number in alice.get(page).text
    assert abs(deposit.total_cents - Decimal(order.quote.total_cents) * 30 / 100) <= 5
    assert "Request a deposit" not in bob.get(page).text


def test_a_credited_deposit_is_not_deducted_and_gives_way_to_another(
    session: Session, shop: Shop, alice: Browser, bob: Browser
) -> None:
    order = accept(session, shop, ask(session, shop))
    page = f"/orders/{order.id}"
    bob.post(f"{page}/deposit", {"percent": "30"})
    deposit = session.scalars(select(Invoice).where(Invoice.kind == DocumentKind.DEPOSIT)).one()
    bob.post(f"/invoices/{deposit.id}/credit", {"what": "lines", "reason": "Half", "quantity-0": "0.5"})
    with pytest.raises(DepositHalfCredited):
        draft_invoice(session, orders=[order], on=date(2026, 11, 23))
    assert bob.get(page).status_code == 200
    bob.post(f"/invoices/{deposit.id}/credit", {"what": "lines", "reason": "Rest", "quantity-0": "0.5"})

    assert totals(draft_invoice(session, orders=[order], on=date(2026, 11, 23))).total_cents == order.quote.total_cents
    assert "Credited" in alice.get(page).text
    assert "Request a deposit" in bob.get(page).text


def test_credit_is_noted_once_per_form(session: Session, shop: Shop, bob: Browser) -> None:
    url, person = f"/staff/books/{shop.seller.id}/credit", shop.world.alice
    form = {"email": person.email, "cents": "20", "means": "cash", "once": "a1"}
    answers = [bob.post(url, form).status_code for _ in range(2)]

    assert answers == [303, 409]
    assert credit_balance_cents(session, seller_id=shop.seller.id, party=f"user:{person.id}") == 2000
    assert 'id="error-email"' in bob.post(url, {**form, "email": "nobody@example.org"}).text
    assert 'id="error-cents"' in bob.post(url, {**form, "once": "a2", "cents": "-3"}).text


def test_books_are_closed_up_to_yesterday_at_most_when_a_second_person_confirms(
    session: Session, shop: Shop, bob: Browser, charlie: Browser
) -> None:
    let_handle_money(session, charlie.user, shop.seller)
    url = f"/staff/books/{shop.seller.id}/close"
    for wrong in ("2026-11-23", "soon"):
        assert 'id="error-until"' in bob.post(url, {"until": wrong}).text
    pending = bob.post(url, {"until": "2026-10-31"}).headers["location"]
    assert closed_until(session, seller_id=shop.seller.id) is None
    assert "A closing waits to be confirmed." in bob.get("/staff/books").text
    (request, _), *_ = money_requests.list_pending(session, seller=shop.seller, now=NOW)
    assert bob.post(f"{pending}/{request.id}/confirm").status_code == 403
    assert charlie.post(f"{pending}/{request.id}/confirm").status_code == 303

    assert closed_until(session, seller_id=shop.seller.id) == date(2026, 10, 31)
    assert "Closed up to and including 31 Oct 2026" in bob.get("/staff/books").text
    assert bob.post(f"/staff/books/{shop.seller.id}/reminders").status_code == 303


def entity(seller: Seller, **over: str) -> dict[str, str]:
    plain = {name: getattr(seller, name) or "" for name in ("name", "siren", "siret", "vat_number", "bic", "bank_name")}
    return {**plain, "iban": seller.iban, "street": "1 rue A", "postcode": "48000", "city": "Mende", **over}


def test_the_legal_entity_is_changed_with_its_keys_checked(session: Session, shop: Shop, bob: Browser) -> None:
    url, other = f"/staff/sellers/{shop.seller.id}", make_siren(77)
    for field, value in {"siren": other, "siret": "123", "iban": "FR76", "vat_number": make_vat_number(other)}.items():
        answer = bob.post(url, entity(shop.seller, **{field: value}))
        assert answer.status_code == 422, field
    assert bob.post(url, entity(shop.seller, legal_form="SARL au capital de 5 000 €")).status_code == 303

    assert shop.seller.legal_form == "SARL au capital de 5 000 €"
    assert "SARL au capital de 5 000 €" in bob.get("/staff/sellers").text


def test_a_place_gets_its_own_legal_entity(
    session: Session, shop: Shop, bob: Browser, log_in: Callable[[User], Browser]
) -> None:
    # The form is not shown to who may not send it.
    assert bob.get(f"/staff/sellers/new?site={shop.world.site.slug}").status_code == 403
    assert "/staff/sellers/new" not in bob.get("/staff/sellers").text
    bob = log_in(make_user(session, "Root", is_admin=True))
    siren = make_siren(78)
    keys = {"siren": siren, "siret": make_siret(siren), "vat_number": "", "site": shop.world.site.slug}
    sent = entity(shop.seller, **keys, prefix="G", regime="franchise", name="Association Fictive")
    assert 'id="error-vat_number"' in bob.post("/staff/sellers/new", {**sent, "regime": "payer"}).text
    assert bob.get(f"/staff/sellers/new?site={shop.world.site.slug}").status_code == 200
    assert bob.post("/staff/sellers/new", sent).status_code == 303
    own = session.scalars(select(Seller).where(Seller.site_id == shop.world.site.id)).one()

    assert (own.name, list_regimes(session, seller=own)[0].regime) == ("Association Fictive", Regime.FRANCHISE)
    assert bob.post("/staff/sellers/new", sent).status_code == 409
    assert bob.post("/staff/sellers/new", {**sent, "site": "network"}).status_code == 409
    assert bob.get("/staff/sellers/new?site=nowhere").status_code == 404


def test_another_regime_is_planned_from_a_day_on(session: Session, shop: Shop, bob: Browser) -> None:
    url = f"/staff/sellers/{shop.seller.id}/regimes"
    assert 'id="error-start"' in bob.post(url, {"start": "2026-11-01", "regime": "franchise"}).text
    assert 'id="error-start"' in bob.post(url, {"start": "", "regime": "franchise"}).text
    bob.post(url, {"start": "2027-01-01", "regime": "franchise"})

    assert [row.start.year for row in list_regimes(session, seller=shop.seller)] == [2027, 2020]
    assert "Planned" in bob.get("/staff/sellers").text


def test_cost_centres_are_added_once_used_and_closed(session: Session, shop: Shop, alice: Browser) -> None:
    page = f"/org/{shop.company.slug}"
    alice.post(f"{page}/cost-centres", {"code": "R-D", "centre_name": "Research"})
    for wrong in ({"code": "R-D", "centre_name": "Again"}, {"code": "", "centre_name": "x"}):
        assert 'id="error-code"' in alice.post(f"{page}/cost-centres", wrong).text
    (centre,) = organisations.list_cost_centres(session, organisation=shop.company)
    model = make_model(session, shop.world.alice)
    fields = {"models": str(model.id), "organisation_id": str(shop.company.id), "site_id": str(shop.world.site.id)}
    fields[f"quantity-{model.id}"] = "1"
    quoted = alice.post("/quotes/new", {**fields, "cost_centre_id": str(centre.id)})
    assert "R-D Research" in alice.get(quoted.headers["location"]).text
    assert 'id="error-cost_centre_id"' in alice.post("/quotes/new", {**fields, "cost_centre_id": "0"}).text
    alice.post(f"{page}/cost-centres/{centre.id}/close")

    assert organisations.list_cost_centres(session, organisation=shop.company) == []


def test_a_members_limit_is_set_and_the_last_buyer_stays(session: Session, shop: Shop, alice: Browser) -> None:
    page, person = f"/org/{shop.company.slug}", shop.world.bob
    join(session, shop, person, BuyingRight.BUYER)
    alice.post(f"{page}/members/{person.id}/limit", {f"limit-{person.id}": "99,90"})
    assert "€99.90" in alice.get(page).text
    assert (
        f'id="error-limit-{person.id}"'
        in alice.post(f"{page}/members/{person.id}/limit", {f"limit-{person.id}": "-1"}).text
    )
    assert alice.post(f"{page}/members/{person.id}/remove").status_code == 303

    answer = alice.post(f"{page}/members/{shop.world.alice.id}/remove")
    assert answer.status_code == 409
    assert f'id="error-limit-{shop.world.alice.id}"' in answer.text


def test_a_delivery_address_comes_back_in_the_form(session: Session, shop: Shop, alice: Browser) -> None:
    page, siren = f"/org/{shop.company.slug}", make_siren(56)
    there = {"delivery_street": "2 rue B", "delivery_postcode": "48400", "delivery_city": "Florac"}
    assert 'id="error-deliver_to"' in alice.post(page, {**FIELDS, "siren": siren, "delivery_city": "Florac"}).text
    alice.post(page, {**FIELDS, "siren": siren, **there, "phone": "0400000000"})

    form = alice.get(f"{page}/edit").text
    assert "2 rue B" in form
    assert 'value="48400"' in form
    assert "2 rue B" in alice.get(page).text


def test_no_organisation_takes_the_address_of_a_page(session: Session, alice: Browser) -> None:
    answer = alice.post("/org/new", {**FIELDS, "name": "New", "siren": make_siren(57)})

    assert answer.headers["location"] == "/org/new-2"
    assert accounts.list_organisations(session, user=alice.user)[-1].slug == "new-2"


def test_an_urgency_is_chosen_for_a_quote(session: Session, shop: Shop, alice: Browser) -> None:
    model = make_model(session, shop.world.alice)
    fields = {"models": str(model.id), "organisation_id": str(shop.company.id), "site_id": str(shop.world.site.id)}
    answer = alice.post("/quotes/new", {**fields, f"quantity-{model.id}": "1", "rush": "yesterday"})

    assert answer.status_code == 422
    assert 'id="error-rush"' in answer.text
