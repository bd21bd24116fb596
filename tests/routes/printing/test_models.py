"""Models by JSON: each file is taken or refused for a reason, in time, and a refusal leaves nothing on the disk."""

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.settings import settings
from tests import corpus
from tests.world.programs import Face, Program

#: A few of each kind; the whole corpus is measured in tests/domain/printing/test_mesh.py and test_mesh_refusals.py.
REFUSED = [
    "text renamed",
    "a 3MF",
    "binary cut in a triangle",
    "count of 4 thousand million",
    "100,000 random triangles",
]
ACCEPTED = ["cube", "text with a name of 2 MB", "open box", "inch"]
FILES: dict[str, Any] = {name: corpus.ACCEPTED[name] for name in ACCEPTED}
FILES |= {name: corpus.REFUSED[name][0] for name in REFUSED}


def upload(program: Program, content: bytes, name: str = "part.stl", **more: Any) -> httpx.Response:
    return program("POST", "/models", files={"file": (name, content)}, **more)


def stored(data_dir: Path) -> list[Path]:
    return [path for path in (data_dir / "files").rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_taken_or_refused_for_a_reason_within_seconds(alice: Program, data_dir: Path, name: str) -> None:
    content = FILES[name]()
    began = time.monotonic()
    answer = upload(alice, content)
    taken_s = time.monotonic() - began
    if name in corpus.ACCEPTED:
        assert (answer.status_code, answer.json()["triangles"] > 0, len(stored(data_dir))) == (201, True, 1)
    else:
        assert (answer.status_code, answer.json()["field"], stored(data_dir)) == (422, "file", [])
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["detail"]
    assert taken_s < 20  # 2 s on a machine that does nothing else, as bench/mesh.py measures


@pytest.mark.parametrize(("size", "scale"), [(20.0, None), (2.0, 25.4), (0.05, 1000.0)])
def test_a_part_in_inches_or_metres_comes_with_the_scale_that_puts_it_right(
    alice: Program, size: float, scale: float | None
) -> None:
    assert upload(alice, corpus.binary(corpus.box(size, size, size))).json()["suggested_scale"] == scale


def test_what_is_uploaded_can_be_read_listed_fetched_and_taken_back(alice: Program) -> None:
    made = upload(alice, corpus.cube(), "Été/../hook.stl").json()
    assert (made["name"], made["size_mm"], made["closed"]) == ("hook.stl", {"x": 20.0, "y": 20.0, "z": 20.0}, True)
    assert len(made["fits_printers"]) == 1
    assert alice("GET", f"/models/{made['id']}").json() == made
    assert [m["id"] for m in alice("GET", "/models").json()["items"]] == [made["id"]]
    file = alice("GET", f"/models/{made['id']}/file")
    assert (len(file.content), "sandbox" in file.headers["content-security-policy"]) == (made["bytes"], True)
    assert alice("DELETE", f"/models/{made['id']}").status_code == 204
    assert alice("GET", f"/models/{made['id']}").status_code == 404


def test_the_list_pages_on(alice: Program) -> None:
    ids = [upload(alice, corpus.cube()).json()["id"] for _ in range(3)]
    first = alice("GET", "/models?limit=2").json()
    second = alice("GET", f"/models?limit=2&cursor={first['next']}").json()
    assert ([m["id"] for m in first["items"]], [m["id"] for m in second["items"]]) == (ids[:0:-1], ids[:1])
    assert second["next"] is None


def test_a_repeated_upload_with_one_key_makes_one_model(alice: Program) -> None:
    headers = {"Idempotency-Key": "k1"}
    first, again = (upload(alice, corpus.cube(), headers=headers) for _ in range(2))
    assert (first.json(), again.headers["idempotent-replayed"]) == (again.json(), "true")
    assert upload(alice, corpus.ascii_cube(), headers=headers).status_code == 409


def test_a_strangers_model_does_not_exist(alice: Program, charlie: Program, bob: Program) -> None:
    model_id = upload(alice, corpus.cube()).json()["id"]
    for stranger in (charlie, bob):
        for method, path in (("GET", ""), ("GET", "/file"), ("DELETE", "")):
            assert stranger(method, f"/models/{model_id}{path}").status_code == 404


def test_who_is_nobody_is_asked_to_log_in(face: Face) -> None:
    assert face.request("POST", "/api/v1/models", files={"file": ("a.stl", corpus.cube())}).status_code == 401
    assert face.get("/api/v1/models").status_code == 401


def test_a_file_above_the_limit_is_stopped_while_it_streams(
    alice: Program, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings(), "upload_limit_mb", 1)
    answer = upload(alice, bytes(3_000_000))
    assert (answer.status_code, answer.json()["code"], stored(data_dir)) == (413, "too-large", [])


@pytest.mark.parametrize("more", [{}, {"data": {"file": "text"}}, {"json": {"file": "x"}}])
def test_a_request_without_a_file_says_which_field_lacks(alice: Program, more: dict[str, Any]) -> None:
    answer = alice("POST", "/models", **more)
    assert (answer.status_code, answer.json()["field"]) == (422, "file")


def test_a_part_is_laid_on_another_side_by_a_copy_that_takes_its_place(alice: Program, charlie: Program) -> None:
    rod = upload(alice, corpus.binary(corpus.box(10, 20, 30)), "rod.stl").json()
    assert charlie("POST", f"/models/{rod['id']}/turn", json={"position": "on_front"}).status_code == 404
    assert alice("POST", f"/models/{rod['id']}/turn", json={"position": "sideways"}).status_code == 422
    answer = alice("POST", f"/models/{rod['id']}/turn", json={"position": "on_front"})
    turned = answer.json()

    assert (answer.status_code, turned["name"], turned["size_mm"]) == (201, "rod.stl", {"x": 10, "y": 30, "z": 20})
    assert turned["volume_mm3"] == rod["volume_mm3"]
    assert [each["id"] for each in alice("GET", "/models").json()["items"]] == [turned["id"]]
    assert alice("POST", f"/models/{rod['id']}/turn", json={"position": "on_back"}).status_code == 404


def test_a_repeated_turn_with_one_key_turns_once(alice: Program) -> None:
    rod = upload(alice, corpus.binary(corpus.box(10, 20, 30))).json()["id"]
    headers = {"Idempotency-Key": "k1"}
    first, again = (alice("POST", f"/models/{rod}/turn", json={"position": "on_left"}, headers=headers) for _ in "12")
    assert (first.status_code, first.json()) == (201, again.json())
    assert alice("POST", f"/models/{rod}/turn", json={"position": "on_back"}, headers=headers).status_code == 409
    assert [each["id"] for each in alice("GET", "/models").json()["items"]] == [first.json()["id"]]
