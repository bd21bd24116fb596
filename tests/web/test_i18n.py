"""French is complete: every text of templates, code and errors has its translation, with the same placeholders."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir

import api
import web
from api.domain.core.errors import DomainError
from api.domain.people.accounts import Locale
from web.formats import duration, fill, measure, money, percent
from web.i18n import catalogue, translate, translate_count

ROOT = Path(__file__).resolve().parents[2]
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
KEYWORDS = {"_": None, "N_": None, "ngettext": (1, 2)}


def every_error() -> set[type[DomainError]]:
    for package in (api, web):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if ".migrations" not in found.name and "__main__" not in found.name:
                importlib.import_module(found.name)
    importlib.import_module("printers.address")
    errors, new = set[type[DomainError]](), {DomainError}
    while new:
        errors |= new
        new = {sub for error in new for sub in error.__subclasses__()} - errors
    return {error for error in errors if error.__module__.split(".")[0] in ("api", "web", "printers")}


def every_msgid() -> set[str]:
    options = {"**/templates/**.html": {"trimmed": "true", "silent": "false"}}
    found = {error.msgid() for error in every_error()}
    for _, _, message, _, _ in extract_from_dir(
        ROOT / "web", method_map=METHODS, options_map=options, keywords=KEYWORDS
    ):
        found.add(message[0] if isinstance(message, tuple) else message)
    return found - {""}


def test_every_text_is_in_french() -> None:
    missing = every_msgid() - set(catalogue(Locale.FR))
    assert sorted(missing) == []


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"\{[^}]*\}|%\([a-z_]+\)[sd]", text))


def test_a_translation_has_the_placeholders_of_its_text() -> None:
    wrong = {
        msgid: forms
        for msgid, forms in catalogue(Locale.FR).items()
        if len(forms) == 1 and placeholders(forms[0]) - placeholders(msgid)
    }
    assert wrong == {}


@pytest.mark.parametrize(("count", "fr"), [(0, "jour"), (1, "jour"), (2, "jours")])
def test_zero_is_one_in_french(count: int, fr: str) -> None:
    assert translate_count(Locale.FR, "day", "days", count) == fr
    assert translate_count(Locale.EN, "day", "days", 0) == "days"


def test_a_text_without_translation_is_shown_as_written() -> None:
    assert translate(Locale.FR, "no such text {x}") == "no such text {x}"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (money(Locale.FR, 1240), "12,40\xa0€"),
        (money(Locale.EN, 1240), "€12.40"),
        (measure(Locale.FR, 24.84, "g"), "24,8\u202fg"),
        (duration(Locale.FR, 12000), "3\xa0h\xa020"),
        (duration(Locale.FR, 59.6), "1\xa0min"),
        (duration(Locale.EN, 3 * 86400), "3\xa0days"),
        (percent(Locale.FR, 0.42), "42\xa0%"),
        (percent(Locale.EN, float("nan")), "0%"),
        (percent(Locale.EN, 1.7), "100%"),
    ],
)
def test_numbers_read_as_in_the_language(said: str, expected: str) -> None:
    assert said == expected


def test_a_message_writes_its_numbers_as_the_language_does() -> None:
    assert fill(Locale.FR, "{size_mm} mm, {triangles}", {"size_mm": 300.5, "triangles": 1_300_000}) == (
        "300,5 mm, 1\u202f300\u202f000"
    )


@pytest.mark.parametrize(
    ("value", "french"),
    [(1e30, "1E30"), (2e5, "200 000"), (2e-5, "0,00002"), (0.04, "0,04"), (20.0, "20"), (0.0, "0"), (2.346, "2,35")],
)
def test_a_figure_in_an_error_is_written_as_people_write_it(value: float, french: str) -> None:
    assert fill(Locale.FR, "{size} mm", {"size": value}).replace("\u202f", " ") == f"{french} mm"
