"""The message after a redirect: only ours is shown, whatever cookie is sent, and its values fill names alone."""

import ast
import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import Response
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.requests import Request

from api.domain.core.errors import DomainError, fill
from api.domain.people.accounts import Locale
from tests.world import World
from tests.world.browsers import Browser
from web import flash, formats
from web.flash import Flash

ROOT = Path(__file__).resolve().parents[2]


def packed(*content: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(content).encode()).decode()


FORGERIES = [
    packed("good", "{missing}", {}, ""),
    packed("good", "{a:>60000000}", {"a": "x"}, ""),
    packed("good", "{a.__class__.__mro__}", {"a": "x"}, ""),
    packed("Plate cleared.", {}, "good", ""),
    packed("Plate cleared.", {}, "good", "") + "." + "0" * 64,
    packed("Plate cleared.", {}, "good", "") + ".é",
    "",
    ".",
    "x",
    "x.y.z",
    "%%%",
    "a" * 3000,
    "W10=",
    packed() + "." + flash.hashlib.sha256(b"").hexdigest(),
]


@pytest.mark.parametrize("cookie", FORGERIES)
@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/nowhere", 404)])
def test_a_message_that_is_not_ours_is_ignored(
    world: World, anonymous: httpx.Client, cookie: str, path: str, status: int
) -> None:
    headers = {"cookie": b"flash=" + cookie.encode()}
    answer = anonymous.get(path, headers=headers)
    assert (answer.status_code, 'role="status"' in answer.text) == (status, False)
    assert len(answer.content) < 100_000


def carried(message: Flash) -> Flash | None:
    """What the next page reads of this message."""
    answer = Response()
    flash.write_flash(answer, message)
    cookie = answer.headers["set-cookie"].partition(";")[0]
    return flash.read_flash(Request({"type": "http", "headers": [(b"cookie", cookie.encode())]}))


@pytest.mark.usefixtures("data_dir")
def test_our_message_arrives_whole() -> None:
    message = Flash("{name} is booked.", {"name": "Salle « A » {b}"}, undo="/print/1/restore")
    assert carried(message) == message


@pytest.mark.usefixtures("data_dir")
def test_a_message_with_a_very_long_name_still_fits_into_a_cookie() -> None:
    answer = Response()
    flash.write_flash(answer, Flash("{name} is booked.", {"name": "é" * 10_000}))
    assert len(answer.headers["set-cookie"]) < 4096


def test_a_message_of_another_installation_is_ignored(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer = Response()
    flash.write_flash(answer, Flash("Booked.", {}))
    (data_dir / "secrets" / "messages").write_text("another key")
    flash._key.cache_clear()
    cookie = answer.headers["set-cookie"].partition(";")[0].encode()
    assert flash.read_flash(Request({"type": "http", "headers": [(b"cookie", cookie)]})) is None


@pytest.mark.parametrize(
    "next_page", ["//evil.example/", "/\\evil.example", "https://evil.example", "//[", "\\", "/a\nb"]
)
def test_no_address_leads_to_another_host(world: World, anonymous: httpx.Client, next_page: str) -> None:
    answer = anonymous.post("/language", data={"locale": "en", "next": next_page})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


@pytest.mark.parametrize("origin", ["http://[", "//[", "null", "é"])
def test_an_origin_that_is_no_address_is_refused(world: World, anonymous: httpx.Client, origin: str) -> None:
    answer = anonymous.post("/language", data={"locale": "en"}, headers={"origin": origin.encode()})
    assert answer.status_code == 403


def test_the_page_after_saving_a_slicing_configuration_is_shown(bob: Browser, world: World) -> None:
    """The message has a value called `kind`, as an argument of the message itself once was."""
    sent = bob.post(f"/staff/kinds/{world.printer.kind_id}/configuration", {"remove": "yes"})
    cookie = f"session={bob.cookie}; flash={sent.cookies['flash']}"
    page = bob.get(sent.headers["location"], headers={"cookie": cookie})
    assert page.status_code == 200
    assert f"{world.printer.kind.name}: slicing with the built-in settings again." in page.text


TEXTS = st.text(alphabet="ab{}[]:.!_ %1>é", max_size=30)


@given(TEXTS, st.dictionaries(st.sampled_from(["a", "b", "ab", "text", "params", "self", "locale"]), TEXTS))
@settings(max_examples=500)
def test_filling_never_raises_and_replaces_names_alone(text: str, values: dict[str, str]) -> None:
    filled = formats.fill(Locale.EN, text, values)
    assert filled == fill(text, values)
    assert len(filled) <= len(text) + sum(len(value) for value in values.values()) * len(text)
    if not any(f"{{{name}}}" in text for name in values):
        assert filled == text


def test_no_error_has_a_value_by_the_name_of_its_own_argument() -> None:
    """`field=` says beside which field of a form the error stands; it never reaches the text."""
    errors = list(subclasses(DomainError))
    assert len(errors) > 100
    assert [error.__name__ for error in errors if "{field}" in error.msgid()] == []


def subclasses(of: type[DomainError]) -> Iterator[type[DomainError]]:
    for each in of.__subclasses__():
        yield each
        yield from subclasses(each)


def messages() -> Iterator[tuple[str, set[str], set[str]]]:
    """Each redirect of the pages with a message that stands in it: its place, the placeholders, the values."""
    for path in sorted((ROOT / "web" / "pages").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in ("to", "to_with_undo")
            ):
                texts = [text for each in node.args for text in constants(each)]
                if texts:
                    names = set(re.findall(r"\{(\w+)\}", texts[-1]))
                    yield f"{path.name}:{node.lineno}", names, {str(word.arg) for word in node.keywords}


def constants(node: ast.expr) -> list[str]:
    """The msgid of an `N_("...")`."""
    is_text = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "N_"
    return [str(ast.literal_eval(node.args[0]))] if is_text else []  # type: ignore[attr-defined]  # a Call


def test_every_message_gets_the_values_that_it_names() -> None:
    redirects = list(messages())
    assert len(redirects) > 40
    assert [(place, names, values) for place, names, values in redirects if names != values] == []
