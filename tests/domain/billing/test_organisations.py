"""Organisations: keys checked at the field, members by invitation, and nothing for strangers."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from api.domain.billing import organisations
from api.domain.billing.facturx import faults
from api.domain.core.errors import DomainError, NotFound
from api.domain.people.accounts import BuyingRight
from tests.world import NOW, make_user
from tests.world.billing import Shop, join, make_details
from tests.world.documents import make_siren, make_siret, make_vat_number


@pytest.mark.parametrize(
    ("wrong", "error", "field"),
    [
        ({"siren": "123456789", "siret": None, "vat_number": None}, faults.WrongSiren, "siren"),
        ({"siret": make_siret(make_siren(40))[:-1] + "0"}, faults.WrongSiret, "siret"),
        ({"siret": make_siret(make_siren(41))}, faults.SiretOfAnother, "siret"),
        ({"vat_number": "FR00" + make_siren(40)}, faults.WrongVatNumber, "vat_number"),
        ({"vat_number": make_vat_number(make_siren(41))}, faults.WrongVatNumber, "vat_number"),
        ({"is_public": True, "needs_service_code": True}, faults.MissingServiceCode, "service_code"),
        ({"is_public": True, "terms_days": 45}, organisations.TermWrong, "terms_days"),
        ({"terms_days": 61}, organisations.TermWrong, "terms_days"),
        ({"name": " "}, organisations.NameWrong, "name"),
        ({"address": replace(make_details().address, city="")}, faults.IncompleteAddress, "address"),
    ],
)
def test_what_is_wrong_is_named_at_its_field(
    session: Session, wrong: dict[str, object], error: type[DomainError], field: str
) -> None:
    with pytest.raises(error) as told:
        organisations.create_organisation(session, owner=make_user(session), details=make_details(**wrong), now=NOW)

    assert told.value.field == field


def test_keys_are_taken_with_the_spaces_of_a_letterhead(session: Session) -> None:
    siren = make_siren(40)
    spaced = make_details(siren=f"{siren[:3]} {siren[3:6]} {siren[6:]}", vat_number=None, siret=None)
    made = organisations.create_organisation(session, owner=make_user(session), details=spaced, now=NOW)

    assert made.siren == siren


def test_two_of_one_name_get_two_addresses(session: Session, shop: Shop) -> None:
    second = organisations.create_organisation(session, owner=shop.world.charlie, details=make_details(), now=NOW)

    assert (shop.company.slug, second.slug) == ("menuiserie-essai-40", "menuiserie-essai-40-2")


def test_a_stranger_never_sees_it(session: Session, shop: Shop) -> None:
    with pytest.raises(NotFound):
        organisations.get_organisation(session, shop.company.slug, user=shop.world.charlie)
    with pytest.raises(NotFound):
        organisations.change_details(
            session, organisation=shop.company, actor=shop.world.charlie, details=make_details(), now=NOW
        )


def test_a_viewer_sees_and_changes_nothing(session: Session, shop: Shop) -> None:
    dana = make_user(session)
    company = join(session, shop, dana, BuyingRight.VIEWER)

    assert organisations.get_organisation(session, company.slug, user=dana) is company
    with pytest.raises(organisations.BuyersOnly):
        organisations.change_details(session, organisation=company, actor=dana, details=make_details(), now=NOW)


def test_an_invitation_is_for_one_person_once_and_in_time(session: Session, shop: Shop) -> None:
    dana = make_user(session)
    token = organisations.invite(
        session, organisation=shop.company, actor=shop.world.alice, email=dana.email, buying=BuyingRight.BUYER, now=NOW
    )
    late = NOW + timedelta(days=15)
    for user, given, now in ((shop.world.charlie, token, NOW), (dana, "guess", NOW), (dana, token, late)):
        with pytest.raises(organisations.InvitationWrong):
            organisations.accept_invitation(session, user=user, token=given, now=now)
    organisations.accept_invitation(session, user=dana, token=token, now=NOW)
    with pytest.raises(organisations.InvitationWrong):
        organisations.accept_invitation(session, user=dana, token=token, now=NOW)


def test_the_last_buyer_stays(session: Session, shop: Shop) -> None:
    with pytest.raises(organisations.LastBuyer):
        organisations.remove_member(
            session, organisation=shop.company, actor=shop.world.alice, user_id=shop.world.alice.id, now=NOW
        )


def test_a_cost_centre_of_another_is_not_found(session: Session, shop: Shop) -> None:
    centre = organisations.add_cost_centre(
        session, organisation=shop.company, actor=shop.world.alice, code="R-D", name="Recherche"
    )
    with pytest.raises(NotFound):
        organisations.get_cost_centre(session, centre.id, organisation_id=shop.world.acme.id)
