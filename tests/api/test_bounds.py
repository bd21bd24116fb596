"""Ids as people send them."""

import pytest

from api.bounds import id_of


@pytest.mark.parametrize(("text", "number"), [("7", 7), ("007", 7), ("9" * 18, 10**18 - 1)])
def test_an_id_is_read(text: str, number: int) -> None:
    assert id_of(text) == number


@pytest.mark.parametrize("text", ["", " 7", "-1", "+1", "1_0", "1.0", "²", "٧", "7" * 19, "9" * 5000, "7\x00", "room"])
def test_what_cannot_be_an_id_is_none(text: str) -> None:
    assert id_of(text) is None
