"""What the gate refuses: bad files by name, in words and in time; and no bytes bring out anything but a refusal."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from api.domain.people.accounts import Locale
from api.domain.printing import mesh
from api.domain.printing.mesh import reading
from api.domain.printing.mesh.gate import measure
from tests import corpus
from web.i18n import catalogue


@pytest.mark.parametrize(("make", "error"), corpus.REFUSED.values(), ids=corpus.REFUSED)
def test_bad_input_is_refused_by_name_in_words_and_in_time(make: Callable[[], bytes], error: str) -> None:
    content = make()
    start = time.process_time()
    with pytest.raises(mesh.MeshRefused) as refusal:
        measure(content)
    assert type(refusal.value).__name__ == error
    assert time.process_time() - start < corpus.DEADLINE_S
    assert refusal.value.field == "file"
    assert "{" not in str(refusal.value)


@pytest.mark.parametrize("make", [corpus.binary, corpus.text])
def test_more_triangles_than_the_limit_are_refused_with_both_numbers(make: Callable[..., bytes]) -> None:
    with pytest.raises(mesh.TooManyTriangles) as refusal:
        measure(make(corpus.box()), max_triangles=11)
    assert refusal.value.params == {"triangles": 12, "limit": 11}
    assert measure(make(corpus.box()), max_triangles=12).triangles == 12


def test_a_header_alone_does_not_make_room_for_what_it_announces() -> None:
    with pytest.raises(mesh.MeshRefused):
        measure(corpus.lying_header(4_000_000_000))


def test_a_file_cut_while_it_is_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cut.stl"
    path.write_bytes(corpus.cube())
    facets = reading.read_stl(path, max_triangles=100)
    path.write_bytes(corpus.truncated())
    with pytest.raises(mesh.Truncated):
        list(facets.chunks())


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text.replace(b"endfacet", b"endfacet vertex 1 2 3", 1),
        lambda text: text.replace(b"endsolid corpus", b"endsolid corpus\nfacet normal 0 0 1"),
        lambda text: text.replace(b"normal 0 0 0", b"normal 0 0", 1),
    ],
    ids=["a corner behind a facet", "half a facet behind the end", "two numbers of a normal"],
)
def test_what_may_be_a_part_of_the_model_is_never_left_out(damage: Callable[[bytes], bytes]) -> None:
    with pytest.raises(mesh.TruncatedText):
        measure(damage(corpus.ascii_cube()))


def test_a_cut_text_says_after_which_triangle() -> None:
    with pytest.raises(mesh.TruncatedText) as refusal:
        measure(corpus.truncated_text())
    assert refusal.value.params["found"] == 10


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"vertex", b"vertexes"),
        (b"20.0", b"2o.0"),
        (b"20.0", b"2\xc3\xa90"),
        (b"20.0 ", b""),
        (b"  vertex 0.0 0.0 0.0\n", b"  vertex 0 0 0\n  vertex 1 1 1\n"),
        (b"endsolid corpus", b"and more"),
    ],
    ids=["word", "letter in a number", "accent in a number", "number missing", "four corners", "prose behind"],
)
def test_a_damaged_text_is_refused(old: bytes, new: bytes) -> None:
    with pytest.raises(mesh.TruncatedText):
        measure(corpus.ascii_cube().replace(old, new, 1))


@pytest.mark.parametrize(("start", "error"), [(b"", mesh.NotAnStl), (corpus.ascii_cube(), mesh.TruncatedText)])
def test_endless_prose_is_not_kept_in_memory(start: bytes, error: type[mesh.MeshRefused]) -> None:
    with pytest.raises(error):
        measure(start + b"solid " + b"x" * (20 << 20))


def _only_refusals(content: bytes) -> None:
    start = time.process_time()
    with suppress(mesh.MeshRefused):
        measure(content)
    assert time.process_time() - start < corpus.DEADLINE_S


@settings(max_examples=150, deadline=None)
@given(content=st.binary(max_size=2000))
def test_random_bytes_are_only_ever_refused(content: bytes) -> None:
    _only_refusals(content)


@settings(max_examples=150, deadline=None)
@given(body=st.binary(max_size=1000).map(lambda b: b[: len(b) // 50 * 50]))
def test_random_triangles_under_an_honest_count_are_refused_or_measured(body: bytes) -> None:
    _only_refusals(bytes(80) + (len(body) // 50).to_bytes(4, "little") + body)


@settings(max_examples=150, deadline=None)
@given(
    words=st.lists(
        st.sampled_from(
            [
                "solid x\n",
                "facet normal 0 0 1",
                "outer loop",
                "vertex 1 2 3",
                "endloop",
                "endfacet",
                "endsolid",
                "1e9",
                "é",
            ]
        ),
        max_size=40,
    )
)
def test_random_text_is_refused_or_measured(words: list[str]) -> None:
    _only_refusals(("solid\n" + "\n".join(words)).encode())


@settings(max_examples=150, deadline=None)
@example(place=127, value=127)  # makes a signalling NaN, at which numpy warns
@given(place=st.integers(0, 683), value=st.integers(0, 255))
def test_any_byte_of_a_cube_changed_is_refused_or_measured(place: int, value: int) -> None:
    content = bytearray(corpus.cube())
    content[place] = value
    _only_refusals(bytes(content))


def test_every_refusal_has_its_french() -> None:
    french = catalogue(Locale.FR)
    errors = [it for it in vars(mesh).values() if isinstance(it, type) and issubclass(it, mesh.MeshRefused)]
    for msgid in [error.msgid() for error in errors] + list(mesh.UNIT_REASONS.values()):
        assert set(re.findall(r"{\w+}", french[msgid][0])) == set(re.findall(r"{\w+}", msgid))
