"""Names in addresses: what is left of a title, and the number that makes it unique."""

import pytest

from api.domain.core.slugs import free_slug


@pytest.mark.parametrize(
    ("name", "slug"),
    [("Soirée jeux", "soiree-jeux"), ("  L'été !", "l-ete"), ("日本", "untitled"), ("a" * 90, "a" * 60)],
)
def test_a_slug_is_what_is_left_without_accents_and_signs(name: str, slug: str) -> None:
    assert free_slug(name, default="untitled", is_taken=lambda _: False) == slug


def test_a_slug_is_numbered_while_it_is_taken() -> None:
    assert free_slug("Laser", default="untitled", is_taken={"laser", "laser-2"}.__contains__) == "laser-3"
