"""What people type, made safe to show, to print and to put into a letter's header."""

from __future__ import annotations

import re
import unicodedata

# Control characters but tab and line feed, and those that turn the direction of text, by which a name can lie.
_HIDDEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def one_line(text: str) -> str:
    """A name or title: NFC, no control characters, single spaces."""
    # Some control characters count as spaces. What stands on both sides of the others may compose once they are gone,
    # so the normal form comes last.
    visible = _HIDDEN.sub("", " ".join(text.split()))
    return " ".join(unicodedata.normalize("NFC", visible).split())


def prose(text: str) -> str:
    """A note, which keeps its lines: NFC, no other control characters."""
    return unicodedata.normalize("NFC", _HIDDEN.sub("", text.replace("\r\n", "\n"))).strip()


def has_words(text: str, searched: str) -> bool:
    """Whether the text holds every word that is searched, whatever its case and accents; true for no word."""
    name = " ".join(plain_words(text))
    return all(word in name for word in plain_words(searched))


def plain_words(text: str) -> list[str]:
    """The words of a text without case and accents, for searching: "Hélène 2" gives "helene" and "2"."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(each for each in decomposed if not unicodedata.combining(each)).split()
