"""The JSON face of organisations: entered once, wrong keys at their field, joined by invitation."""

from sqlalchemy.orm import Session

from api.domain.billing import organisations
from tests.world import make_user
from tests.world.billing import ADDRESS, Shop
from tests.world.documents import make_siren, make_siret
from tests.world.programs import Programs


def test_an_organisation_is_entered_once_and_read_back(program: Programs, shop: Shop) -> None:
    alice = program(shop.world.alice)
    siren = make_siren(77)
    body = {"name": "Atelier 77", "address": ADDRESS, "siren": siren, "siret": make_siret(siren)}
    made = [alice("POST", "/organisations", json=body, headers={"Idempotency-Key": "one"}) for _ in range(2)]

    assert [answer.status_code for answer in made] == [201, 201]
    assert made[0].json() == made[1].json()
    read = alice("GET", f"/organisations/{made[0].json()['slug']}").json()
    assert read["billing"]["siret"] == make_siret(siren)


def test_a_wrong_key_is_told_at_its_field(program: Programs, shop: Shop) -> None:
    body = {"name": "X", "address": ADDRESS, "siren": "123456789"}
    answer = program(shop.world.alice)("POST", "/organisations", json=body)

    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "wrong-siren", "siren")


def test_an_invitation_is_joined(session: Session, program: Programs, shop: Shop) -> None:
    dana = make_user(session)
    body = {"email": dana.email, "buying": "buyer", "monthly_cents": 5000}
    token = program(shop.world.alice)("POST", f"/organisations/{shop.company.slug}/invitations", json=body).json()
    assert program(dana)("POST", "/organisations/join", json=token).status_code == 200

    [_, (member, _, limit)] = organisations.list_members(session, organisation=shop.company)
    assert (member.user_id, limit) == (dana.id, 5000)


def test_terms_are_requested_by_the_buyer_and_granted_by_staff(session: Session, program: Programs, shop: Shop) -> None:
    alice, path = program(shop.world.alice), f"/organisations/{shop.company.slug}"
    billing = alice("GET", path).json()["billing"]
    asked = alice("PUT", path, json={**billing, "terms_days": 45, "monthly": True}).json()
    assert (asked["billing"]["terms_days"], asked["requested_terms"]) == (30, {"terms_days": 45, "monthly": True})

    terms = {"terms_days": 45, "monthly": False}
    assert alice("PUT", f"{path}/terms", json=terms).status_code == 403
    assert program(make_user(session))("PUT", f"{path}/terms", json=terms).status_code == 404
    granted = program(shop.world.bob)("PUT", f"{path}/terms", json=terms).json()
    assert (granted["billing"]["terms_days"], granted["requested_terms"]) == (45, None)
