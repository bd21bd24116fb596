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
