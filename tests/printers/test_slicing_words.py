"""Every reason why a model or a configuration is refused has its French words, with the same placeholders."""

import re

import pytest

from api.domain.core.errors import DomainError
from api.domain.people.accounts import Locale
from printers import gcode, profile, slicer
from web.i18n import catalogue

ERRORS = [
    error
    for module in (gcode, profile, slicer)
    for error in vars(module).values()
    if isinstance(error, type) and issubclass(error, DomainError) and error.__module__ == module.__name__
]


@pytest.mark.parametrize("error", ERRORS)
def test_a_refusal_has_french_words_with_the_same_placeholders(error: type[DomainError]) -> None:
    french = catalogue(Locale.FR)[error.msgid()][0]
    assert sorted(re.findall(r"\{\w+\}", french)) == sorted(re.findall(r"\{\w+\}", error.msgid()))
