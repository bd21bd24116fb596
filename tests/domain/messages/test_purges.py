"""Confidential models lose their files some days after their last use; who still needs them keeps them."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.adapters import files, purging
from api.db import transaction
from api.domain.core.changes import list_changes
from api.domain.core.errors import NotFound
from api.domain.messages import purges
from api.domain.printing import library, slices
from api.domain.printing.jobs import Job
from api.domain.printing.library import Model
from api.domain.printing.slices import Slice
from api.domain.sales.orders import OrderStatus
from api.settings import settings
from tests.world import NOW, make_model, make_sliced, make_submitted
from tests.world.billing import Shop, ask, make_shop
from tests.world.sales import accept, print_for, produce

DAYS = 30
LATER = NOW + timedelta(days=DAYS)


@pytest.fixture
def model(session: Session, shop: Shop) -> Model:
    return make_model(session, shop.world.alice, confidential=True)


def due(session: Session, now: datetime = LATER) -> list[int]:
    return purges.list_due_models(session, now=now, after_days=DAYS)


def test_a_confidential_model_goes_when_its_days_are_over(session: Session, model: Model) -> None:
    assert due(session, LATER - timedelta(seconds=1)) == []
    assert due(session) == [model.id]
    model.confidential = False
    session.flush()
    assert due(session) == []


def test_the_days_count_from_the_end_of_its_last_print(session: Session, shop: Shop, model: Model) -> None:
    job = print_for(session, shop, model=model)
    job.ended_at = NOW + timedelta(days=3)
    session.flush()

    assert due(session) == []
    assert due(session, LATER + timedelta(days=3)) == [model.id]


def waits(session: Session, shop: Shop, model: Model) -> None:
    make_sliced(session, shop.world.site, shop.world.alice, model=model)


def is_quoted(session: Session, shop: Shop, model: Model) -> None:
    quote = ask(session, shop, now=LATER)
    quote.lines[0].model.confidential, quote.lines[0].model.created_at = True, NOW
    model.confidential = False
    session.flush()


def is_ordered(session: Session, shop: Shop, model: Model) -> None:
    order = accept(session, shop, ask(session, shop))
    produce(session, shop, order)
    assert order.status is OrderStatus.CHECKED
    order.parts[0].quote_line.model.confidential = True
    model.confidential = False
    session.flush()


def is_sliced_for_another(session: Session, shop: Shop, model: Model) -> None:
    twin = make_model(session, shop.world.alice, sha256=model.sha256)
    done = print_for(session, shop, model=model)
    waiting = make_submitted(session, shop.world.site, shop.world.alice, model=twin)
    assert waiting.slices[0].slice_id == done.slices[0].slice_id


@pytest.mark.parametrize("need", [waits, is_quoted, is_ordered, is_sliced_for_another])
def test_what_somebody_still_needs_stays(
    session: Session, shop: Shop, model: Model, need: Callable[[Session, Shop, Model], None]
) -> None:
    need(session, shop, model)

    assert due(session) == []
    assert purges.hide_model(session, model_id=model.id, now=LATER, after_days=DAYS) is None


def test_a_claimed_model_is_out_of_sight_and_its_slices_are_nobodys(session: Session, shop: Shop, model: Model) -> None:
    job = print_for(session, shop, model=model)
    old = job.slices[0].slice
    found = purges.hide_model(session, model_id=model.id, now=LATER + timedelta(days=1), after_days=DAYS)

    assert found is not None
    assert set(found.keys) == {model.stl_key, old.gcode_key}
    with pytest.raises(NotFound):
        library.get_model(session, model.id, user=shop.world.alice)
    session.expire_all()
    twin = make_model(session, shop.world.alice, sha256=model.sha256)
    again = make_submitted(session, shop.world.site, shop.world.alice, model=twin)
    assert again.slices[0].slice_id != old.id


def test_a_file_that_another_model_stands_on_is_kept(session: Session, shop: Shop, model: Model) -> None:
    make_model(session, shop.world.alice, stl_key=model.stl_key)
    found = purges.hide_model(session, model_id=model.id, now=LATER, after_days=DAYS)

    assert found is not None
    assert found.keys == ()


def test_each_due_model_is_asked_for_once(session: Session, model: Model) -> None:
    session.info["steps"] = []
    purges.enqueue_purges(session, now=LATER, after_days=DAYS)

    assert session.info["steps"] == [("purge_model", f"purge:{model.id}", {"model_id": model.id})]


def test_the_files_are_gone_and_the_deletion_is_noted_once(installation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings(), "confidential_days", 0)
    for key in ("models/secret.stl", "gcode/secret.gcode"):
        files.put(key, b"solid secret")
    with transaction() as session:
        shop = make_shop(session)
        model = make_model(session, shop.world.alice, confidential=True, stl_key="models/secret.stl")
        job = print_for(session, shop, model=model)
        model.created_at = job.ended_at = NOW - timedelta(days=2)
        session.scalars(select(Slice)).one().gcode_key = "gcode/secret.gcode"
    for _ in range(2):
        purging.purge_model(model.id)
    purging.purge_model(10**6)  # no such model: nothing to do

    for key in ("models/secret.stl", "gcode/secret.gcode"):
        with pytest.raises(FileNotFoundError):
            list(files.read(key))
    with transaction() as session:
        purged = session.get_one(Model, model.id)
        noted = [each for each in list_changes(session, noun="model", noun_id=model.id) if each.verb == "purged"]
        assert purged.purged_at is not None
        assert [each.facts for each in noted] == [{"files": 2}]
        assert session.scalars(select(Job.net_cents)).one() > Decimal(0)
        assert slices.SliceStatus.READY in session.scalars(select(Slice.status)).all()
