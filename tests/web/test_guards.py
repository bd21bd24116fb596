"""What holds for every route at once: no unsafe request without our own page's token, no page of staff for others."""

import re
from collections.abc import Iterator

from fastapi import APIRouter, FastAPI
from sqlalchemy.orm import Session

from api import deps
from api.deps import SAFE_METHODS
from tests.world import World, make_run, make_sliced
from tests.world.browsers import Browser
from web.app import routers


def walk(router: APIRouter | FastAPI) -> Iterator[tuple[str, str]]:
    """(method, path) of every route, also of routers within routers."""
    for route in router.routes:
        inner = getattr(route, "original_router", None)
        if inner is not None:
            yield from walk(inner)
        for method in getattr(route, "methods", None) or ():
            yield method, str(getattr(route, "path", ""))


def every_route() -> list[tuple[str, str]]:
    found = {pair for router in routers() for pair in walk(router)}
    return sorted((method, path) for method, path in found if path)


def filled(path: str) -> str:
    """With an id where one belongs."""
    path = re.sub(r"\{run_id[^}]*\}", "00000000-0000-0000-0000-000000000000", path)
    return re.sub(r"\{[^}]+\}", "1", path)


# As a page and a JSON problem show it alike.
REFUSAL = deps.ForgedRequest.msgid().partition(",")[0]
UNSAFE = [(method, path) for method, path in every_route() if method not in SAFE_METHODS]


def test_there_are_unsafe_routes_to_guard() -> None:
    assert ("POST", "/login") in UNSAFE
    assert ("POST", "/staff/printers/{printer_id}/clear") in UNSAFE
    assert len(UNSAFE) > 30


def test_every_unsafe_route_refuses_what_comes_from_elsewhere(alice: Browser) -> None:
    let_through = []
    for method, path in UNSAFE:
        headers = {"cookie": f"session={alice.cookie}", "sec-fetch-site": "cross-site", "x-csrf-token": "0" * 32}
        answer = alice.client.request(method, filled(path), headers=headers)
        if answer.status_code != 403:
            let_through.append((method, path, answer.status_code))
    assert let_through == []


def test_every_unsafe_route_refuses_a_cookie_without_the_form_token(alice: Browser) -> None:
    let_through = []
    for method, path in UNSAFE:
        headers = {"cookie": f"session={alice.cookie}", "sec-fetch-site": "same-origin"}
        answer = alice.client.request(method, filled(path), headers=headers)
        if answer.status_code != 403 or REFUSAL not in answer.text:
            let_through.append((method, path, answer.status_code))
    assert let_through == []


def test_no_staff_route_answers_a_member_of_the_place(alice: Browser) -> None:
    open_to_members = []
    for method, path in every_route():
        if path.startswith("/staff") and method in ("GET", "POST"):
            ask = alice.get if method == "GET" else alice.post
            status = ask(filled(path)).status_code
            if status not in (403, 404):
                open_to_members.append((method, path, status))
    assert open_to_members == []


def test_no_get_changes_anything(alice: Browser, bob: Browser, session: Session, world: World) -> None:
    """A prefetching browser, or a QR code, may call any GET."""
    make_sliced(session, world.site, alice.user)
    make_run(session, world.printer)
    session.flush()
    for method, path in every_route():
        if method == "GET" and not path.startswith("/live") and "{" not in path:
            bob.get(path)
            assert not session.dirty, path
            assert not session.new, path


def test_a_wrong_token_shows_no_page_even_with_a_good_cookie(alice: Browser) -> None:
    answer = alice.get("/me", headers={"authorization": "Bearer etb_wrong"})
    assert (answer.status_code, deps.LoginNeeded.code()) == (303, "login-needed")
