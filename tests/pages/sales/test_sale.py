"""The pages of selling: enter an organisation, ask, accept, check, deliver, invoice, match; strangers find nothing."""

import re
from decimal import Decimal

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.billing.invoices import Invoice
from api.domain.billing.payments import open_cents
from api.domain.people.accounts import Organisation
from api.domain.printing import jobs
from api.domain.sales.orders import Order
from api.domain.sales.quotes import Quote
from tests.world import NOW, make_model, make_tariff
from tests.world.billing import FIELDS, Shop, ask, issue
from tests.world.browsers import Browser
from tests.world.documents import make_siren
from tests.world.sales import accept, print_next, slice_all

pytestmark = pytest.mark.usefixtures("data_dir")


def test_a_wrong_siren_stands_beside_its_field_with_what_was_typed(alice: Browser) -> None:
    answer = alice.post("/org/new", {**FIELDS, "siren": "123456789"})

    assert answer.status_code == 422
    assert 'id="error-siren"' in answer.text
    assert 'value="123456789"' in answer.text


def test_an_organisation_is_entered_and_edited(session: Session, alice: Browser) -> None:
    answer = alice.post("/org/new", {**FIELDS, "siren": make_siren(55)})
    assert answer.headers["location"] == "/org/tournerie"
    assert make_siren(55) in alice.get("/org/tournerie/edit").text
    alice.post("/org/tournerie", {**FIELDS, "siren": make_siren(55), "city": "Florac"})

    assert "Florac" in alice.get("/org/tournerie").text
    assert session.scalar(select(Organisation.siren).where(Organisation.slug == "tournerie")) == make_siren(55)


def test_an_invitation_link_is_shown_once(alice: Browser, shop: Shop) -> None:
    answer = alice.post(f"/org/{shop.company.slug}/invitations", {"email": "x@example.org", "buying": "viewer"})

    assert "/org/join?token=" in answer.text
    assert "/org/join?token=" not in alice.get(f"/org/{shop.company.slug}").text


def cube() -> bytes:
    """A tetrahedron of 20 mm in text."""
    corners = [(0, 0, 0), (20, 0, 0), (0, 20, 0), (0, 0, 20)]
    faces = [(0, 2, 1), (0, 1, 3), (0, 3, 2), (1, 2, 3)]
    loops = "".join(
        "facet normal 0 0 0\nouter loop\n"
        + "".join("vertex {} {} {}\n".format(*corners[c]) for c in face)
        + "endloop\nendfacet\n"
        for face in faces
    )
    return f"solid a\n{loops}endsolid a\n".encode()


def test_several_files_become_a_quote_with_its_trace(session: Session, alice: Browser, shop: Shop) -> None:
    sent = [("files", (f"piece {n}.stl", cube())) for n in range(3)]
    answer = alice.post("/quotes/files", files=sent)
    page = answer.headers["location"]
    assert page.startswith("/quotes/new?models=")
    ids = page.partition("=")[2]
    fields = {"models": ids, "organisation_id": str(shop.company.id), "site_id": str(shop.world.site.id)}
    fields |= {f"quantity-{model_id}": "2" for model_id in ids.split(",")}
    quoted = alice.post("/quotes/new", fields)
    shown = alice.get(quoted.headers["location"]).text

    assert shown.count("piece ") >= 3
    assert "g of PLA" in shown
    assert "Order for" in shown
    assert session.scalars(select(Quote)).one().net_cents > 0


def test_a_negative_quantity_comes_back_beside_the_form(session: Session, alice: Browser, shop: Shop) -> None:
    model = make_model(session, shop.world.alice)
    fields = {"models": str(model.id), "organisation_id": str(shop.company.id), "site_id": str(shop.world.site.id)}
    answer = alice.post("/quotes/new", {**fields, f"quantity-{model.id}": "-2"})

    assert answer.status_code == 422
    assert 'id="error-copies"' in answer.text


def test_an_edited_price_is_refused_on_the_page(session: Session, alice: Browser, shop: Shop) -> None:
    quote = ask(session, shop)
    answer = alice.post(f"/quotes/{quote.id}/accept", {"total_cents": "1"})

    assert answer.status_code == 409
    assert session.scalar(select(Order.id)) is None


def test_from_accept_to_paid_on_pages(session: Session, alice: Browser, bob: Browser, shop: Shop) -> None:
    quote = ask(session, shop)
    said = {"total_cents": str(quote.total_cents), "purchase_order": "BC-3"}
    page = alice.post(f"/quotes/{quote.id}/accept", said).headers["location"]
    order = session.scalars(select(Order)).one()
    slice_all(session, order)
    print_next(session, shop)
    assert "100%" in alice.get(page).text
    bob.post(f"{page}/parts/1/check", {"good": "2"})
    assert bob.get(f"{page}/invoice").status_code == 409  # nothing is delivered yet
    bob.post(f"{page}/deliver")
    preview = bob.get(f"{page}/invoice").text
    assert quote.lines[0].model.name in preview
    assert f"€{quote.total_cents / 100:.2f}" in preview
    assert session.scalar(select(Invoice.id)) is None
    assert alice.get(f"{page}/invoice").status_code == 403
    bob.post(f"{page}/invoice")
    invoice = session.scalars(select(Invoice)).one()
    statement = f"Date;Libelle;Montant\n24/11/2026;{invoice.number};{invoice.total_cents / 100}\n".encode()
    bob.post(f"/staff/money/{shop.seller.id}/statement", files={"statement": ("a.csv", statement)})
    money = bob.get("/staff/money").text
    assert "Number and amount match" in money
    line = money.partition(f"/staff/money/{shop.seller.id}/lines/")[2].partition("/")[0]
    bob.post(f"/staff/money/{shop.seller.id}/lines/{line}/confirm", {"invoice_id": str(invoice.id)})

    assert invoice.total_cents == quote.total_cents
    assert open_cents(session, invoice=invoice) == 0
    assert "Paid" in alice.get(page).text
    assert invoice.number in alice.get(f"/org/{shop.company.slug}").text


def test_money_at_the_desk_is_taken_once_per_form(session: Session, bob: Browser, shop: Shop) -> None:
    invoice = issue(session, shop)
    form = {"amount": "10,50", "means": "cash", "payments": "0"}
    answers = [bob.post(f"/staff/money/invoices/{invoice.id}/pay", form).status_code for _ in range(2)]

    assert answers == [303, 409]
    assert open_cents(session, invoice=invoice) == invoice.total_cents - 1050


@pytest.mark.parametrize("amount", ["10,505", "a lot", "-3", "1e400", ""])
def test_an_amount_that_is_none_takes_no_money(session: Session, bob: Browser, shop: Shop, amount: str) -> None:
    invoice = issue(session, shop)
    form = {"amount": amount, "means": "cash", "payments": "0"}

    assert bob.post(f"/staff/money/invoices/{invoice.id}/pay", form).status_code == 422
    assert open_cents(session, invoice=invoice) == invoice.total_cents


def test_strangers_and_members_are_kept_out(session: Session, alice: Browser, charlie: Browser, shop: Shop) -> None:
    quote = ask(session, shop)
    order = accept(session, shop, ask(session, shop))
    for path in (f"/org/{shop.company.slug}", f"/quotes/{quote.id}", f"/orders/{order.id}"):
        assert alice.get(path).status_code == 200
        assert charlie.get(path).status_code == 404
        assert charlie.post(f"{path}/x").status_code in {404, 405}
    assert alice.get("/staff/money").status_code == 403
    assert alice.post(f"/orders/{order.id}/deliver").status_code == 403


@pytest.mark.parametrize("least", [0, 50])
def test_the_amounts_of_a_quote_add_up_on_its_page(session: Session, shop: Shop, alice: Browser, least: int) -> None:
    make_tariff(session, shop.world.site, min_order=Decimal(least))
    quote = ask(session, shop)
    page = alice.get(f"/quotes/{quote.id}").text
    rows = page.partition('class="list card flush"')[2].partition("</section>")[0]
    amounts = [Decimal(each) for each in re.findall(r'<span class="num">\+?€([\d.,]+)</span>', rows)]

    assert sum(amounts) * 100 == quote.net_cents
    assert ("Order minimum" in page) == (least > 0)


def test_an_order_whose_prints_wait_for_the_staff_says_so_and_leads_to_them(
    alice: Browser, bob: Browser, session: Session, shop: Shop
) -> None:
    shop.world.site.approves_prints = True
    order = accept(session, shop, ask(session, shop))
    slice_all(session, order)
    job = order.parts[0].prints[0].job
    for page in (alice.get(f"/orders/{order.id}").text, alice.get("/orders").text, bob.get("/staff/orders").text):
        assert "Awaiting approval" in page
        assert "In production" not in page
    assert f'href="/jobs/{job.id}"' in bob.get(f"/orders/{order.id}").text

    jobs.approve(session, job=job, actor=shop.world.bob, now=NOW)
    session.flush()
    assert "In production" in alice.get(f"/orders/{order.id}").text


def test_copies_are_checked_once_they_are_printed_and_not_before(bob: Browser, session: Session, shop: Shop) -> None:
    order = accept(session, shop, ask(session, shop, copies=2))
    slice_all(session, order)
    assert 'name="good"' not in bob.get(f"/orders/{order.id}").text
    print_next(session, shop)
    assert 'name="good" min="0" max="2" value="2"' in bob.get(f"/orders/{order.id}").text
