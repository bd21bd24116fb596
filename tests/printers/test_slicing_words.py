"""Every reason why a model or a configuration is refused has its French words, with the same placeholders."""

import re
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from api.domain.core.errors import DomainError
from printers import gcode, profile, slicer

WORDS = Path(__file__).resolve().parents[2] / "web" / "locales" / "fr" / "slicing.po"
ERRORS = [
    error
    for module in (gcode, profile, slicer)
    for error in vars(module).values()
    if isinstance(error, type) and issubclass(error, DomainError) and error.__module__ == module.__name__
]


@pytest.mark.parametrize("error", ERRORS)
def test_a_refusal_has_french_words_with_the_same_placeholders(error: type[DomainError]) -> None:
    with WORDS.open("rb") as file:
        message = read_po(file, locale="fr").get(error.msgid())
    assert message is not None
    assert message.string
    assert sorted(re.findall(r"\{\w+\}", str(message.string))) == sorted(re.findall(r"\{\w+\}", error.msgid()))
