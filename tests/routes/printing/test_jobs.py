"""Jobs by JSON: asked, followed, stopped; and a matrix of who may do what to another's."""

import uuid
from datetime import time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.adapters import files
from api.domain.places.sites import set_hours
from api.domain.printing.runs import RunStatus
from api.domain.printing.slices import Slice, SliceStatus, mark_failed, mark_ready
from tests.world import NOW, World, make_job, make_model, make_run, make_sliced, make_submitted
from tests.world.programs import Program


@pytest.fixture
def model_id(session: Session, world: World) -> int:
    return make_model(session, world.alice).id


def ask(program: Program, model_id: int, **facts: Any) -> Any:
    return program("POST", "/jobs", json={"model_id": model_id, **facts})


def test_a_job_needs_only_its_model(alice: Program, world: World, model_id: int) -> None:
    answer = ask(alice, model_id, site_id=world.site.id)
    job = answer.json()
    assert (answer.status_code, job["status"], job["material"], job["copies"], job["runs"]) == (
        201,
        "submitted",
        "PLA",
        1,
        [],
    )
    assert job["price_cents"] == job["net_cents"] + job["vat_cents"] > 0
    assert alice("GET", f"/jobs/{job['id']}").json()["id"] == job["id"]


def test_a_draft_is_submitted_later(alice: Program, world: World, model_id: int) -> None:
    job = ask(alice, model_id, site_id=world.site.id, submit=False).json()
    assert job["status"] == "draft"
    assert alice("POST", f"/jobs/{job['id']}/submit").json()["status"] == "submitted"
    assert alice("POST", f"/jobs/{job['id']}/submit").status_code == 409


def test_a_queued_job_knows_its_position_and_a_printing_one_its_progress(
    session: Session, alice: Program, world: World
) -> None:
    job = make_sliced(session, world.site, world.alice)
    assert alice("GET", f"/jobs/{job.id}").json()["position"] == 1
    run = make_run(session, world.printer, progress=0.5)
    seen = alice("GET", f"/jobs/{job.id}").json()
    assert (seen["status"], seen["progress"], seen["runs"][0]["id"]) == ("printing", 0.5, str(run.id))


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"material": "WOOD"}, "material"),
        ({"material": "P\x00A"}, None),
        ({"colour": "plaid"}, "colour"),
        ({"copies": 0}, "copies"),
        ({"copies": 10**30}, "copies"),
        ({"scale": "0"}, "scale"),
        ({"scale": "NaN"}, "scale"),
        ({"scale": 50}, "scale"),
        ({"quality": "best"}, "quality"),
        ({"due_at": "2026-12-01T12:00:00"}, "due_at"),
        ({"colors": "red"}, "colors"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(
    alice: Program, world: World, model_id: int, wrong: dict[str, Any], field: str | None
) -> None:
    answer = ask(alice, model_id, **{"site_id": world.site.id, **wrong})
    assert answer.status_code == 422, answer.text
    assert field is None or answer.json().get("field") == field


@pytest.mark.parametrize("wrong", [{"model_id": 0}, {"model_id": 10**30}, {"site_id": 0}, {"organisation_id": 1}])
def test_what_does_not_exist_or_is_anothers_is_not_found(
    alice: Program, world: World, model_id: int, wrong: dict[str, int]
) -> None:
    facts = {"model_id": model_id, "site_id": world.site.id, **wrong}
    assert alice("POST", "/jobs", json=facts).status_code in (404, 422)


def test_anothers_model_cannot_be_printed(charlie: Program, world: World, model_id: int) -> None:
    assert ask(charlie, model_id, site_id=world.site.id).status_code == 404


def test_one_key_makes_one_job(alice: Program, world: World, model_id: int) -> None:
    body, headers = {"model_id": model_id, "site_id": world.site.id}, {"Idempotency-Key": "k"}
    first, again = (alice("POST", "/jobs", json=body, headers=headers) for _ in range(2))
    assert first.json()["id"] == again.json()["id"]
    assert len(alice("GET", "/jobs").json()["items"]) == 1
    assert alice("POST", "/jobs", json={**body, "copies": 2}, headers=headers).status_code == 409


RUN = uuid.uuid4()
STAFF_VERBS = {
    "approve": {},
    "reject": {"json": {"text": "no"}},
    "hold": {"json": {"text": "wait"}},
    "resume": {},
    "collect": {},
}


@pytest.mark.parametrize("path", ["", *(f"/{verb}" for verb in ("submit", "cancel", *STAFF_VERBS))])
def test_a_strangers_job_does_not_exist(session: Session, charlie: Program, world: World, path: str) -> None:
    job = make_submitted(session, world.site, world.alice)
    more: dict[str, Any] = STAFF_VERBS.get(path.strip("/"), {})
    assert charlie("POST" if path else "GET", f"/jobs/{job.id}{path}", **more).status_code == 404


@pytest.mark.parametrize("verb", STAFF_VERBS)
def test_a_member_does_not_do_what_staff_do(session: Session, alice: Program, world: World, verb: str) -> None:
    job = make_submitted(session, world.site, world.alice)
    assert alice("POST", f"/jobs/{job.id}/{verb}", **STAFF_VERBS[verb]).status_code == 403


def test_staff_hold_resume_and_the_owner_cancels(session: Session, alice: Program, bob: Program, world: World) -> None:
    job = make_sliced(session, world.site, world.alice)
    assert bob("POST", f"/jobs/{job.id}/hold", json={"text": "wait"}).json()["reason"] == {"text": "wait"}
    assert bob("POST", f"/jobs/{job.id}/resume").json()["status"] == "queued"
    assert alice("POST", f"/jobs/{job.id}/cancel").json()["status"] == "cancelled"
    assert alice("POST", f"/jobs/{job.id}/cancel").status_code == 409


def test_staff_approve_and_reject(session: Session, bob: Program, world: World) -> None:
    world.site.approves_prints = True
    first, second = (make_sliced(session, world.site, world.alice) for _ in range(2))
    assert bob("POST", f"/jobs/{first.id}/approve").json()["status"] == "queued"
    assert bob("POST", f"/jobs/{second.id}/reject", json={"text": "no"}).json()["status"] == "rejected"


def test_a_doubt_is_resolved_by_staff_under_its_own_job(
    session: Session, alice: Program, bob: Program, world: World
) -> None:
    job = make_sliced(session, world.site, world.alice)
    run = make_run(session, world.printer, status=RunStatus.IN_DOUBT)
    other = make_job(session, world.site, world.alice)
    body = {"printed": True, "resolution": "Looks good"}
    assert alice("POST", f"/jobs/{job.id}/runs/{run.id}/resolve", json=body).status_code == 403
    assert bob("POST", f"/jobs/{other.id}/runs/{run.id}/resolve", json=body).status_code == 404
    assert bob("POST", f"/jobs/{job.id}/runs/{RUN}/resolve", json=body).status_code == 404
    assert bob("POST", f"/jobs/{job.id}/runs/{run.id}/resolve", json=body).json()["status"] == "printed"
    assert bob("POST", f"/jobs/{job.id}/collect").json()["status"] == "collected"


def test_lists_page_on(session: Session, alice: Program, world: World) -> None:
    ids = [make_job(session, world.site, world.alice).id for _ in range(3)]
    first = alice("GET", "/jobs?limit=2").json()
    assert [job["id"] for job in first["items"]] == ids[:0:-1]
    assert [job["id"] for job in alice("GET", f"/jobs?cursor={first['next']}").json()["items"]] == ids[:1]
    assert alice("GET", "/jobs?cursor=x").status_code == 422


def slices_arrive(session: Session) -> None:
    for found in session.scalars(select(Slice).where(Slice.status == SliceStatus.PENDING)):
        mark_ready(
            session,
            slice_=found,
            seconds=3600,
            grams=Decimal(10),
            gcode_key="gcode/none",
            size=1,
            sha1="0" * 40,
            now=NOW,
        )


def test_the_exact_price_is_told_before_anything_is_handed_in(
    alice: Program, session: Session, world: World, model_id: int
) -> None:
    asked = {"model_id": model_id, "site_id": world.site.id}
    first = alice("POST", "/jobs/quote", json=asked).json()
    assert (first["price_exact"], first["slicing"]) == (False, True)
    assert first["low_cents"] <= first["price_cents"] <= first["high_cents"]
    slices_arrive(session)
    exact = alice("POST", "/jobs/quote", json=asked).json()
    assert (exact["price_exact"], exact["slicing"], exact["price_cents"], exact["grams_each"]) == (True, False, 324, 10)
    assert alice("GET", "/jobs").json()["items"] == []
    job = ask(alice, model_id, site_id=world.site.id).json()
    assert alice("GET", f"/jobs/{job['id']}").json()["price_cents"] == exact["price_cents"]


def test_a_draft_is_quoted_too_and_a_strangers_is_not_there(
    alice: Program, charlie: Program, session: Session, world: World
) -> None:
    job = make_job(session, world.site, world.alice)
    assert alice("POST", f"/jobs/{job.id}/quote").json()["slicing"]
    slices_arrive(session)
    assert alice("POST", f"/jobs/{job.id}/quote").json()["price_exact"]
    assert charlie("POST", f"/jobs/{job.id}/quote").status_code == 404


def test_what_cannot_be_sliced_says_why_beside_the_estimate(
    alice: Program, session: Session, world: World, model_id: int
) -> None:
    asked = {"model_id": model_id, "site_id": world.site.id}
    alice("POST", "/jobs/quote", json=asked)
    mark_failed(
        session, slice_=session.scalars(select(Slice)).one(), code="slicer-crashed", params={}, again=False, now=NOW
    )
    said = alice("POST", "/jobs/quote", json=asked).json()
    assert (said["price_exact"], said["slicing"], said["error"]["code"]) == (False, False, "slicer-crashed")


def test_the_part_of_a_job_is_sent_to_who_may_see_the_job(
    session: Session, data_dir: Path, program: Any, world: World
) -> None:
    files.put("models/a.stl", b"solid")
    files.put("gcode/a.gcode", b";LAYER_CHANGE\n;TYPE:Perimeter\nG1 X1 Y1\nG1 X9 Y1 E1\n")
    model = make_model(session, world.alice, stl_key="models/a.stl", bytes=5)
    job = make_sliced(session, world.site, world.alice, model=model)
    job.slices[0].slice.gcode_key = "gcode/a.gcode"
    session.flush()

    for user, status in ((world.alice, 200), (world.bob, 200), (world.charlie, 404)):
        send = program(user)
        file, layer = send("GET", f"/jobs/{job.id}/file"), send("GET", f"/jobs/{job.id}/first-layer")
        assert (file.status_code, layer.status_code) == (status, status)
        if status == 200:
            assert (file.content, file.headers["content-disposition"]) == (b"solid", 'attachment; filename="model.stl"')
            assert layer.headers["content-type"] == "image/svg+xml"
            assert "<path" in layer.text
    model.purged_at = NOW
    session.flush()
    assert program(world.bob)("GET", f"/jobs/{job.id}/file").status_code == 404


def test_a_job_tells_from_when_it_can_be_collected(session: Session, alice: Program, world: World) -> None:
    set_hours(session, site=world.site, rows=[(day, time(9), time(14), True) for day in range(5)])
    world.site.prints_unattended = True
    job = make_sliced(session, world.site, world.alice, seconds=4 * 3600)
    told = alice("GET", f"/jobs/{job.id}").json()
    assert told["eta_p50"] < told["collect_from"] == "2026-11-24T08:00:00Z"
