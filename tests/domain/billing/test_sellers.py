"""Legal entities: every key is checked, a regime is dated, a place without its own sells through the network's."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from api.domain.billing import sellers
from api.domain.billing.facturx import faults
from api.domain.billing.money_rights import MoneyOnly
from api.domain.billing.sellers import NoSeller, Seller
from api.domain.core.errors import DomainError, NotFound
from api.domain.people.roles import AdministratorOnly
from api.domain.pricing.legal import NoLegalText, Regime, list_facts, threshold_cents
from tests.world import NOW, World, make_site, make_user
from tests.world.billing import add_seller, let_handle_money
from tests.world.documents import make_bank, make_seller, make_siren, make_siret, make_vat_number

TODAY = date(2026, 11, 23)
TOMORROW = TODAY + timedelta(days=1)


def change(session: Session, seller: Seller, world: World, **over: Any) -> None:
    """By bob, who handles its money."""
    sellers.change_seller(session, seller=seller, party=replace(seller.party, **over), actor=world.bob, now=NOW)


def handled(session: Session, world: World, **over: Any) -> Seller:
    """The network's seller, whose money bob handles."""
    seller = add_seller(session, **over)
    let_handle_money(session, world.bob, seller)
    return seller


def plan(session: Session, seller: Seller, world: World, **over: Any) -> None:
    asked = {"start": TOMORROW, "regime": Regime.FRANCHISE, "vat_on_debits": False, "actor": world.bob, **over}
    sellers.plan_regime(session, seller=seller, now=NOW, **asked)


def test_a_place_sells_through_its_own_entity_else_through_the_networks(session: Session, world: World) -> None:
    other = make_site(session)
    with pytest.raises(NoSeller):
        sellers.get_site_seller(session, site_id=other.id)
    network, own = add_seller(session), add_seller(session, site=world.site, prefix="X")

    assert sellers.get_site_seller(session, site_id=world.site.id) == own
    assert sellers.get_site_seller(session, site_id=other.id) == network
    assert world.site.id not in sellers.list_site_ids(session, seller=network)
    assert sellers.list_sellers(session) == [network, own]


def test_the_money_of_an_entity_is_handled_by_who_was_given_that_right_and_by_administrators(
    session: Session, world: World
) -> None:
    network, own = add_seller(session), add_seller(session, site=world.site, prefix="X")
    let_handle_money(session, world.alice, network)
    admin = make_user(session, "Root", is_admin=True)

    assert sellers.list_sellers(session, user=world.alice) == [network]
    assert sellers.list_sellers(session, user=admin) == [network, own]
    assert sellers.get_seller(session, network.id, user=world.alice) == network
    # bob manages the place of `own`, charlie one that sells through the network's: neither is a right to the money.
    for person, seller_id in ((world.bob, own.id), (world.charlie, network.id), (admin, 0)):
        with pytest.raises(NotFound):
            sellers.get_seller(session, seller_id, user=person)


def test_staff_sell_at_the_till_of_their_own_place_only(session: Session, world: World) -> None:
    network = add_seller(session)
    sites = sellers.list_site_ids(session, seller=network)
    assert sellers.list_till_site_ids(session, user=world.bob, seller=network) == [world.site.id]
    assert sellers.list_till_sellers(session, user=world.alice) == []
    with pytest.raises(NotFound):
        sellers.get_till_seller(session, network.id, user=world.alice)
    let_handle_money(session, world.alice, network)

    assert sellers.list_till_site_ids(session, user=world.alice, seller=network) == sites


@pytest.mark.parametrize("prefix", ["", "f", "É", "TOOLONG-X", "A B"])
def test_a_prefix_is_short_capital_and_plain(session: Session, prefix: str) -> None:
    with pytest.raises(sellers.PrefixWrong):
        add_seller(session, prefix=prefix)


def test_an_entity_is_entered_once_and_by_an_administrator(session: Session, world: World) -> None:
    admin = make_user(session, "Root", is_admin=True)
    # A place's own entity takes money that went to another account before, so its manager cannot enter one.
    for site in (None, world.site):
        with pytest.raises(AdministratorOnly):
            add_seller(session, site=site, actor=world.bob)
    assert sellers.may_add_seller(session, user=admin, site_id=None)
    add_seller(session, actor=admin)
    add_seller(session, site=world.site, actor=admin)

    assert not sellers.may_add_seller(session, user=admin, site_id=None)
    assert not sellers.may_add_seller(session, user=world.bob, site_id=world.site.id)
    with pytest.raises(sellers.DuplicateSeller):
        add_seller(session, actor=admin)


def test_an_entity_without_siren_or_name_is_refused(session: Session) -> None:
    for over, error in (({"siren": None, "siret": None}, faults.WrongSiren), ({"name": " "}, sellers.SellerNameless)):
        party = replace(make_seller(), **over)
        with pytest.raises(error):
            sellers.add_seller(session, party=party, bank=make_bank(), regime=Regime.PAYER, now=NOW)


def test_a_change_keeps_what_was_typed_and_is_recorded(session: Session, world: World) -> None:
    seller = handled(session, world)
    change(session, seller, world, name="Autre Nom", legal_form=None, email="a@example.org")

    assert (seller.name, seller.legal_form, seller.party.email) == ("Autre Nom", "", "a@example.org")


@pytest.mark.parametrize(
    ("over", "error"),
    [
        ({"siren": make_siren(8), "siret": make_siret(make_siren(8)), "vat_number": None}, sellers.AnotherEntity),
        ({"siret": make_siret(make_siren(9))}, faults.SiretOfAnother),
        ({"siret": "1"}, faults.WrongSiret),
        ({"vat_number": make_vat_number(make_siren(9))}, faults.WrongVatNumber),
        ({"vat_number": None}, sellers.VatNumberMissing),
    ],
)
def test_a_wrong_key_changes_nothing(
    session: Session, world: World, over: dict[str, Any], error: type[DomainError]
) -> None:
    seller = handled(session, world)
    with pytest.raises(error):
        change(session, seller, world, **over)

    assert seller.party == make_seller()


def test_a_regime_holds_from_its_day_until_the_next(session: Session, world: World) -> None:
    seller = handled(session, world)
    plan(session, seller, world)

    regimes = [sellers.get_regime(session, seller=seller, on=day).regime for day in (TODAY, TOMORROW)]
    assert regimes == [Regime.PAYER, Regime.FRANCHISE]
    assert [row.start for row in sellers.list_regimes(session, seller=seller)] == [TOMORROW, date(2020, 1, 1)]
    with pytest.raises(NoSeller):
        sellers.get_regime(session, seller=seller, on=date(2019, 12, 31))


@pytest.mark.parametrize(
    ("over", "error"),
    [
        ({"start": TODAY - timedelta(days=1)}, sellers.RegimeInPast),
        ({"vat_on_debits": True}, faults.DebitsWithoutVat),
    ],
)
def test_a_regime_neither_rewrites_the_past_nor_contradicts_itself(
    session: Session, world: World, over: dict[str, Any], error: type[DomainError]
) -> None:
    with pytest.raises(error):
        plan(session, handled(session, world), world, **over)


def test_of_two_regimes_of_one_day_the_second_is_refused(session: Session, world: World) -> None:
    seller = handled(session, world)
    plan(session, seller, world)

    with pytest.raises(sellers.OverlappingRegime):
        plan(session, seller, world, regime=Regime.PAYER)


def test_who_has_no_vat_number_cannot_begin_to_charge_vat_nor_lose_it_before(session: Session, world: World) -> None:
    seller = sellers.add_seller(
        session, party=make_seller(vat_number=None), bank=make_bank(), regime=Regime.FRANCHISE, now=NOW
    )
    let_handle_money(session, world.bob, seller)
    with pytest.raises(sellers.VatNumberMissing):
        plan(session, seller, world, regime=Regime.PAYER)
    change(session, seller, world, vat_number=make_vat_number(seller.siren))
    plan(session, seller, world, regime=Regime.PAYER)

    with pytest.raises(sellers.VatNumberMissing):
        change(session, seller, world, vat_number=None)


def test_regimes_and_details_are_changed_by_who_handles_the_money(session: Session, world: World) -> None:
    seller = add_seller(session)
    for act in (lambda: plan(session, seller, world), lambda: change(session, seller, world, name="Other")):
        with pytest.raises(MoneyOnly):
            act()


def test_the_legal_facts_of_a_day_are_those_in_force_with_their_source() -> None:
    facts = {(fact.subject, fact.of): fact for fact in list_facts(TODAY)}
    before = {(fact.subject, fact.of): fact for fact in list_facts(date(2026, 8, 31))}

    assert "L. 223-3" in str(facts["exemption", "franchise"].value)
    assert "293 B" in str(before["exemption", "franchise"].value)
    assert facts["threshold", "franchise_goods"].value == threshold_cents(TODAY, "franchise_goods")
    assert facts["term", "business"].value == 60
    assert all(fact.source and fact.reviewed_on for fact in facts.values())
    assert not any(fact.subject == "threshold" for fact in list_facts(date(2024, 1, 1)))
    with pytest.raises(NoLegalText):
        threshold_cents(date(2024, 1, 1), "franchise_goods")
