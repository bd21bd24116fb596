"""Names and notes keep no character that hides, breaks a line or turns the direction of what follows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.domain.core.text import has_words, one_line, prose


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (" Dana  Durand ", "Dana Durand"),
        ("a\x01b\r\nc", "ab c"),
        ("a\x1b[31mb", "a[31mb"),
        ("evil\u202elts.exe", "evillts.exe"),
        ("e\u0301", "é"),
        ("a\u2028b\u0085c", "a b c"),
        ("\x00", ""),
        ("e\x00\u0301", "é"),
        ("a \x00 b", "a b"),
        ("«\u00a0A\u00a0»", "« A »"),
    ],
)
def test_a_name_is_one_line_without_control_characters(typed: str, kept: str) -> None:
    assert one_line(typed) == kept


@pytest.mark.parametrize(
    ("typed", "kept"), [(" a\r\n\tb\n", "a\n\tb"), ("a\x07\x00b", "ab"), ("a\u2066b", "ab"), ("\r\n", "")]
)
def test_a_note_keeps_its_lines(typed: str, kept: str) -> None:
    assert prose(typed) == kept


@given(st.text())
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert one_line(one_line(text)) == one_line(text)
    assert prose(prose(text)) == prose(text)
    assert not set(one_line(text)) & set("\n\r\t\x00\x1b\u202e")


@pytest.mark.parametrize(
    ("searched", "is_in"),
    [("", True), ("HELENE", True), ("héle  2", True), ("2 helene", True), ("helene 3", False), ("2d", False)],
)
def test_a_name_is_found_by_words_whatever_their_case_accents_and_order(searched: str, is_in: bool) -> None:
    assert has_words("Salle Hélène 2", searched) is is_in
