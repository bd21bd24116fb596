"""Slices: one recipe is made once, whoever asks; each change of what shapes the G-code makes it another."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy.orm import Session

from api.domain.core.base import ForbiddenMove
from api.domain.core.changes import list_changes
from api.domain.pricing.materials import Quality
from api.domain.printing.slices import (
    RETRY_AFTER,
    Slice,
    SliceStatus,
    begin_attempt,
    enqueue_lost,
    mark_failed,
    mark_ready,
    recipe_fingerprint,
    request_slice,
)
from tests.world import NOW, make_kind, make_material, make_model, make_user


@pytest.fixture
def recipe(session: Session) -> dict[str, Any]:
    return {
        "model": make_model(session, make_user(session)),
        "kind": make_kind(session),
        "material": make_material(session),
        "quality": Quality.STANDARD,
        "scale": Decimal(1),
        "copies": 1,
    }


def ready(session: Session, found: Slice) -> None:
    mark_ready(session, slice_=found, seconds=60, grams=Decimal(2), gcode_key="gcode/x", size=9, sha1="0" * 40, now=NOW)


def asked(session: Session) -> list[str]:
    return [once for step, once, _ in session.info.get("steps", []) if step == "slice"]


def test_one_recipe_is_one_slice_whoever_asks(session: Session, recipe: dict[str, Any]) -> None:
    twin = make_model(session, make_user(session), sha256=recipe["model"].sha256)
    one = request_slice(session, **recipe, now=NOW)
    assert request_slice(session, **{**recipe, "model": twin}, now=NOW) is one
    assert set(asked(session)) == {f"slice:{one.id}"}


def test_how_a_number_is_written_makes_no_other_slice(session: Session, recipe: dict[str, Any]) -> None:
    assert recipe_fingerprint(**recipe) == recipe_fingerprint(**{**recipe, "scale": Decimal("1.000")})


def test_whatever_shapes_the_gcode_makes_another_slice(session: Session, recipe: dict[str, Any]) -> None:
    exported = make_kind(session)
    exported.config_ini = "perimeters = 7"
    others: list[dict[str, Any]] = [
        {"model": make_model(session, make_user(session))},
        {"kind": make_kind(session)},
        {"kind": exported},
        {"material": make_material(session, "PETG")},
        {"quality": Quality.FINE},
        {"scale": Decimal("1.5")},
        {"copies": 2},
    ]
    prints = {recipe_fingerprint(**{**recipe, **other}) for other in [{}, *others]}
    assert len(prints) == 1 + len(others)


def test_a_hotter_nozzle_makes_another_slice(session: Session, recipe: dict[str, Any]) -> None:
    before = recipe_fingerprint(**recipe)
    recipe["material"].nozzle_c += 5
    assert recipe_fingerprint(**recipe) != before


def test_a_slice_that_is_ready_is_not_asked_for_again(session: Session, recipe: dict[str, Any]) -> None:
    ready(session, request_slice(session, **recipe, now=NOW))
    session.info.pop("steps")
    assert request_slice(session, **recipe, now=NOW + timedelta(days=9)).status == SliceStatus.READY
    assert asked(session) == []


@pytest.mark.parametrize(("again", "status"), [(True, SliceStatus.PENDING), (False, SliceStatus.FAILED)])
def test_what_failed_is_tried_again_only_if_that_may_help(
    session: Session, recipe: dict[str, Any], again: bool, status: SliceStatus
) -> None:
    found = request_slice(session, **recipe, now=NOW)
    mark_failed(session, slice_=found, code="too-thin", params={"mm": Decimal("0.1")}, again=again, now=NOW)
    assert found.error == {"code": "too-thin", "params": {"mm": "0.1"}, "again": again}
    session.info.pop("steps")
    assert request_slice(session, **recipe, now=NOW).status == status
    assert bool(asked(session)) == again


def test_an_end_is_recorded_and_comes_once(session: Session, recipe: dict[str, Any]) -> None:
    found = request_slice(session, **recipe, now=NOW)
    ready(session, found)
    with pytest.raises(ForbiddenMove):
        ready(session, found)
    with pytest.raises(ForbiddenMove):
        mark_failed(session, slice_=found, code="late", params={}, again=False, now=NOW)
    assert [change.verb for change in list_changes(session, noun="slice", noun_id=found.id)] == ["ready"]


@pytest.mark.parametrize(
    ("again", "waited", "status"),
    [
        (True, RETRY_AFTER + timedelta(seconds=1), SliceStatus.PENDING),
        (True, RETRY_AFTER - timedelta(seconds=1), SliceStatus.FAILED),
        (False, timedelta(days=1), SliceStatus.FAILED),
    ],
)
def test_the_sweep_tries_again_what_failed_for_a_passing_reason(
    session: Session, recipe: dict[str, Any], again: bool, waited: timedelta, status: SliceStatus
) -> None:
    slice_ = request_slice(session, **recipe, now=NOW)
    mark_failed(session, slice_=slice_, code="busy", params={}, again=again, now=NOW)
    session.info.pop("steps")
    enqueue_lost(session, wall_s=600, now=NOW + waited)
    assert (slice_.status, bool(asked(session))) == (status, status == SliceStatus.PENDING)


@pytest.mark.parametrize(("idle_s", "lost"), [(599, False), (601, True)])
def test_a_slice_is_lost_when_no_attempt_began_for_longer_than_one_may_take(
    session: Session, recipe: dict[str, Any], idle_s: int, lost: bool
) -> None:
    slice_ = request_slice(session, **recipe, now=NOW)
    begin_attempt(session, slice_id=slice_.id, now=NOW + timedelta(hours=1))
    session.info.pop("steps")
    enqueue_lost(session, wall_s=600, now=NOW + timedelta(hours=1, seconds=idle_s))
    assert bool(asked(session)) == lost


def test_a_person_who_asks_for_it_again_gives_it_all_its_attempts(session: Session, recipe: dict[str, Any]) -> None:
    slice_ = request_slice(session, **recipe, now=NOW)
    begin_attempt(session, slice_id=slice_.id, now=NOW)
    mark_failed(session, slice_=slice_, code="busy", params={}, again=True, now=NOW)
    assert (request_slice(session, **recipe, now=NOW).status, slice_.attempts) == (SliceStatus.PENDING, 0)
