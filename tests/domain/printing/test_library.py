"""Models: a name that harms nobody, and who sees whose."""

from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from api.domain.core.errors import NotFound
from api.domain.core.paging import PageWindow
from api.domain.people.accounts import BuyingRight, Membership
from api.domain.printing.library import clean_name, delete_model, get_model, list_models, stored_bytes
from tests.world import NOW, World, make_model, make_user


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("hook.stl", "hook.stl"),
        ("/etc/passwd", "passwd"),
        ("C:\\parts\\hook.stl", "hook.stl"),
        ("e\u0301tabli.stl", "établi.stl"),
        ("evil\u202elts.exe", "evillts.exe"),
        (" a\x00\r\nb.stl ", "a b.stl"),
        ("", "model.stl"),
        ("parts/", "model.stl"),
        ("x" * 300, "x" * 200),
    ],
)
def test_a_name_has_no_path_no_control_and_an_end(name: str, shown: str) -> None:
    assert clean_name(name) == shown


def test_a_model_is_its_owners_alone(session: Session, world: World) -> None:
    model = make_model(session, world.alice)
    assert get_model(session, model.id, user=world.alice) is model
    for stranger in (world.bob, world.charlie):
        with pytest.raises(NotFound):
            get_model(session, model.id, user=stranger)
    with pytest.raises(NotFound):
        get_model(session, 0, user=world.alice)


@pytest.mark.parametrize("confidential", [False, True])
def test_an_organisations_model_is_its_members_too_but_for_the_confidential(
    session: Session, world: World, confidential: bool
) -> None:
    model = make_model(session, world.charlie, organisation_id=world.acme.id, confidential=confidential)
    member = make_user(session)
    session.add(Membership(organisation_id=world.acme.id, user_id=member.id, buying=BuyingRight.VIEWER, since=NOW))
    session.flush()
    with pytest.raises(NotFound):
        get_model(session, model.id, user=world.alice)
    if confidential:
        with pytest.raises(NotFound):
            get_model(session, model.id, user=member)
    else:
        assert get_model(session, model.id, user=member) is model


def test_lists_are_newest_first_and_page_on(session: Session, world: World) -> None:
    first, second, third = (make_model(session, world.alice) for _ in range(3))
    make_model(session, world.bob)
    assert list_models(session, user=world.alice, window=PageWindow(2)).rows == [third, second]
    assert list_models(session, user=world.alice, window=PageWindow(after=second.id)).rows == [first]


def test_a_deleted_model_is_out_of_sight(session: Session, world: World) -> None:
    model = make_model(session, world.alice)
    delete_model(session, model=model, actor=world.alice, now=NOW)
    session.flush()
    assert list_models(session, user=world.alice).rows == []
    with pytest.raises(NotFound):
        get_model(session, model.id, user=world.alice)


def test_what_ones_models_take_counts_removed_ones_for_a_day(session: Session, world: World) -> None:
    kept, removed = (make_model(session, world.alice, bytes=size) for size in (1000, 200))
    make_model(session, world.bob, bytes=5)
    delete_model(session, model=removed, actor=world.alice, now=NOW)
    session.flush()
    assert stored_bytes(session, user=world.alice, now=NOW + timedelta(hours=23)) == 1200
    assert stored_bytes(session, user=world.alice, now=NOW + timedelta(hours=25)) == kept.bytes
