"""French is complete: every text of templates, code and errors has its translation, with the same placeholders."""

import importlib
import pkgutil
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from babel.messages.extract import extract_from_dir

import api
import web
from api.domain.core.errors import DomainError
from api.domain.messages import dunning, reminders  # noqa: F401  # they add their letters
from api.domain.messages.notifications import LETTERS
from api.domain.people.accounts import Locale
from web.formats import duration, fill, measure, money, percent
from web.i18n import catalogue, translate, translate_count

ROOT = Path(__file__).resolve().parents[2]
METHODS = [("**.py", "python"), ("**/templates/**.html", "jinja2")]
KEYWORDS = {"_": None, "N_": None, "ngettext": (1, 2), "translate_count": (2, 3)}
PLURAL = "\n"


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


@cache
def every_text() -> frozenset[str]:
    """All msgids, with their plurals: of errors, templates and code."""
    options = {"**/templates/**.html": {"trimmed": "true", "silent": "false"}}
    texts = {error.msgid() for error in every_error()}
    for package in ("web", "api", "printers"):
        for _, _, message, _, _ in extract_from_dir(
            ROOT / package, method_map=METHODS, options_map=options, keywords=KEYWORDS
        ):
            texts |= {message} if isinstance(message, str) else {message[0], f"{message[0]}{PLURAL}{message[1]}"}
    return frozenset(texts - {""})


def every_msgid() -> set[str]:
    return {text for text in every_text() if PLURAL not in text}


def texts_in(locale: Locale) -> set[str]:
    """All that a reader may be shown in this language: texts with their plurals, and letters."""
    letters = {part for letter in LETTERS.values() for part in letter[locale]}
    if locale == Locale.FR:
        return letters | {form for forms in catalogue(Locale.FR).values() for form in forms}
    return letters | {form for text in every_text() for form in text.split(PLURAL)}


def entries() -> list[tuple[str, str]]:
    """(file, msgid) of each entry of the French catalogue, those that stand twice twice."""
    return [
        (path.name, msgid)
        for path in sorted((ROOT / "web/locales/fr").glob("*.po"))
        for msgid in re.findall(r'^msgid "(.+)"$', path.read_text(), re.MULTILINE)
    ]


def test_every_text_is_in_french() -> None:
    missing = every_msgid() - set(catalogue(Locale.FR))
    assert sorted(missing) == []


def test_no_translation_is_unused() -> None:
    unused = set(catalogue(Locale.FR)) - every_msgid()
    assert sorted(unused) == []


def test_no_text_is_translated_twice() -> None:
    counts = Counter(msgid for _, msgid in entries())
    assert [msgid for msgid, count in counts.items() if count > 1] == []


def placeholders(text: str) -> set[str]:
    return set(re.findall(r"\{[^}]*\}|%\([a-z_]+\)[sd]", text))


def test_a_translation_has_the_placeholders_of_its_text() -> None:
    wrong = {
        msgid: forms
        for msgid, forms in catalogue(Locale.FR).items()
        if len(forms) == 1 and placeholders(forms[0]) != placeholders(msgid)
    }
    assert wrong == {}


def test_templates_write_percent_signs_twice() -> None:
    # Jinja's `_()` formats every text by %.
    texts = [
        text
        for path in (ROOT / "web/templates").rglob("*.html")
        for text in re.findall(r'_\("([^"]*)"', path.read_text())
    ]
    faults = [text for text in texts if re.search(r"%(?!\([a-z_]+\)s|%)", text.replace("%%", ""))]
    assert faults == []


# What a text may not contain, by language, and why.
TYPOGRAPHY = {
    Locale.FR: {
        r"[^\u00a0\u202f][;!?»]|«[^\u00a0\u202f]": "a no-break space before ; ! ? and inside « »",
        r"[^\u00a0\u202f\d]:(?!//)|\d:(?![\d/])": "a no-break space before :",
        r"[^\u00a0\u202f%(]%(?!\()": "a no-break space before %",
        r"['\"“”]": "’ for an apostrophe, « » for quotes",
        r"\.\.\.": "… for three dots",
        r"\((?:s|e|es)\)": "ngettext for a plural",
    },
    Locale.EN: {
        r"['\"]": "’ for an apostrophe, “ ” for quotes",
        r"\.\.\.": "… for three dots",
        r"\s[;:!?%](?![(A-Za-z])": "no space before ; : ! ? %",
        r"\(s\)": "ngettext for a plural",
    },
}


@pytest.mark.parametrize("locale", list(Locale))
def test_texts_are_set_as_the_language_wants(locale: Locale) -> None:
    faults = [
        (why, text)
        for pattern, why in TYPOGRAPHY[locale].items()
        for text in texts_in(locale)
        if re.search(pattern, text)
    ]
    assert sorted(faults) == []


# Words that a text may not contain, and what to write instead.
INSTEAD = {
    Locale.FR: {
        "courriel": "e-mail",
        "adresse électronique": "adresse e-mail",
        "courrier": "e-mail",
        "depuis il y a": "depuis {time}",
        "entité légale": "entité juridique",
        "renoncer": "Annuler",
        "noter": "Enregistrer",
        "fixer une règle": "Définir des règles",
        "fixer les horaires": "Enregistrer",
        "laisser imprimer": "Valider l’impression",
        "la regarder": "Voir la pièce, Tester la connexion",
        "regarder à nouveau": "Vérifier à nouveau",
        "^tient sur": "Imprimable sur",
        "mise en place": "Mise en route",
        "hors taxe,": "hors taxes",
        "tva comprise": "TTC",
        "est réservé pour vous": "c’est réservé",
        "vous êtes inscrit": "Votre place est réservée",
        "vous êtes connecté": "Vos connexions",
        "est envoyée.": "Votre pièce … est partie à l’impression",
        "chaîne des factures": "Numérotation vérifiée",
        "d’une seule chose": "Par équipement",
        "si vous devriez": "Si vous pensez devoir y accéder",
        "est faux": "incorrect",
    },
    Locale.EN: {
        "hand it in": "Send to print",
        "handed in": "Sent",
        "make an account": "Create an account",
        "make a token": "Create token",
        "whole again": "Repaired",
        "chain of invoices": "Numbering checked",
        "give up": "Cancel",
        "note it": "Save",
        " noted": "saved",
        "there is none": "say what there is none of",
        "came in today": "Taken today",
        "least price": "Minimum",
        "under the franchise": "small business exemption",
        "it stays": "cannot be changed later",
        "it stands": "appears",
        "written to": "get an e-mail",
        "the thing": "name it",
        "charged like a stay": "is charged",
        "never changed": "cannot be edited",
        "since %": "for %(time)s",
        "you do not need it": "No longer needed?",
        "announce a": "New event",
        "a word for the staff": "Note for staff",
        "in line": "on the waitlist",
        "desk": "till",
        "gathering": "event",
        "before vat": "excl. VAT",
        "vat included": "incl. VAT",
        ", please": "Enter …",
        "please ": "say what to do",
        "must not ": "cannot",
    },
}


@pytest.mark.parametrize("locale", list(Locale))
def test_texts_avoid_words_that_were_given_up(locale: Locale) -> None:
    faults = [(word, text) for word in INSTEAD[locale] for text in texts_in(locale) if re.search(word, text.lower())]
    assert sorted(faults) == []


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
