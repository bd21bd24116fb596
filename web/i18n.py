"""Which language a reader gets, and the texts in it. Catalogues are `locales/<language>/*.po`, read once.

English is the language of the code: a text without a translation is shown as it is written there.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

from babel.messages.pofile import read_po
from starlette.requests import Request

from api.domain.core import errors
from api.domain.people.accounts import Locale
from web.cookies import find_cookie

# The same mark for texts of pages as for those of errors.
N_ = errors.N_

LOCALES = Path(__file__).parent / "locales"
COOKIE = "locale"
Catalogue = dict[str, tuple[str, ...]]

# Which form goes with a count: in French 0 and 1 are singular, in English only 1.
PLURAL: dict[Locale, Callable[[int], int]] = {
    Locale.FR: lambda n: int(abs(n) > 1),
    Locale.EN: lambda n: int(n != 1),
}


@lru_cache
def catalogue(locale: Locale) -> Catalogue:
    """Forms by msgid, merged from all files of the language; of two files the later by name wins."""
    words: Catalogue = {}
    for path in sorted((LOCALES / locale.value).glob("*.po")):
        with path.open("rb") as source:
            for message in read_po(source, locale=locale.value):
                forms = message.string if isinstance(message.string, list | tuple) else [message.string]
                msgid = message.id[0] if isinstance(message.id, list | tuple) else message.id
                # The header has an empty msgid; a text with an empty form counts as untranslated.
                if msgid and all(forms):
                    words[msgid] = tuple(form for form in forms if form)
    return words


def translate(locale: Locale, msgid: str) -> str:
    """The text in this language, with its placeholders as they are."""
    return catalogue(locale).get(msgid, (msgid,))[0]


def translate_count(locale: Locale, one: str, many: str, count: int) -> str:
    """The form of the text that goes with `count`."""
    forms = catalogue(locale).get(one, (one, many))
    return forms[min(PLURAL[locale](count), len(forms) - 1)]


def locale_of(request: Request) -> Locale:
    """What the user chose, else what this browser chose, else what it asks for, else French."""
    if identity := getattr(request.state, "identity", None):
        return Locale(identity.locale)
    if (chosen := find_cookie(request, COOKIE)) in set(Locale):
        return Locale(chosen)
    return _best_locale(request.headers.get("accept-language", ""))


def _best_locale(header: str) -> Locale:
    """The language of `Accept-Language` with the highest weight among ours; French without one."""
    choices: list[tuple[float, Locale]] = []
    for part in header.split(",")[:20]:  # The client decides how long it is.
        tag, _, rest = part.strip().partition(";")
        language = tag.split("-")[0].lower()
        if language in set(Locale):
            choices.append((_weight(rest), Locale(language)))
    weight, locale = max(choices, key=lambda choice: choice[0], default=(0.0, Locale.FR))
    return locale if weight > 0 else Locale.FR  # RFC 9110: weight 0 means "not acceptable".


def _weight(parameters: str) -> float:
    name, _, value = parameters.strip().partition("=")
    try:
        return float(value) if name == "q" else 1.0
    except ValueError:
        return 0.0
