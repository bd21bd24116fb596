"""Reading a page: what is shown, where it stands, and nothing that a person does not see."""

from __future__ import annotations

import io

import pikepdf
import pytest
from pypdf import PdfReader

from api.adapters.facturx import generate
from api.adapters.pagetext import UnknownDrawing, read_rows, read_words
from api.adapters.proofread import printed_totals, release_faults
from tests.world.documents import make_document, make_random_document
from tests.world.paper import DOCUMENTS, draw, rendered, text_of

MEANINGS = b"2 beginbfchar\n<0001> <0041>\n<0002> <0042>\nendbfchar"


def make_page(commands: bytes) -> pikepdf.Pdf:
    """One page whose font, made like those of our drawer, knows A (1) and B (2)."""
    file = pikepdf.new()
    glyphs = pikepdf.Dictionary(Type=pikepdf.Name.Font, Subtype=pikepdf.Name.CIDFontType2, BaseFont=pikepdf.Name.Toy)
    font = pikepdf.Dictionary(
        Type=pikepdf.Name.Font,
        Subtype=pikepdf.Name.Type0,
        BaseFont=pikepdf.Name.Toy,
        Encoding=pikepdf.Name("/Identity-H"),
        DescendantFonts=[glyphs],
        ToUnicode=file.make_stream(MEANINGS),
    )
    resources = pikepdf.Dictionary(Font=pikepdf.Dictionary(F=file.make_indirect(font)))
    page = pikepdf.Dictionary(
        Type=pikepdf.Name.Page, MediaBox=[0, 0, 100, 100], Resources=resources, Contents=file.make_stream(commands)
    )
    file.pages.append(pikepdf.Page(file.make_indirect(page)))
    return file


def texts(commands: bytes) -> list[str]:
    return [word.text for word in read_words(make_page(commands))]


def show(glyphs: bytes, at: bytes = b"10 10") -> bytes:
    return b"BT 1 0 0 1 " + at + b" Tm /F 9 Tf [<" + glyphs + b">] TJ ET "


def test_a_glyph_means_what_its_font_says_and_nothing_else() -> None:
    assert texts(show(b"00010002")) == ["AB"]
    assert texts(show(b"00010007")) == ["A\ufffd"]


def test_a_single_string_is_read_like_an_array_with_distances() -> None:
    assert texts(b"BT 1 0 0 1 0 0 Tm /F 9 Tf <0001> Tj ET") == ["A"]
    assert texts(b"BT 1 0 0 1 0 0 Tm /F 9 Tf [<0001> -20 () 3 <0002>] TJ ET") == ["AB"]


def test_invisible_text_is_not_read() -> None:
    assert texts(b"3 Tr " + show(b"0001") + b"0 Tr " + show(b"0002")) == ["B"]


def test_text_stands_where_all_the_movements_put_it() -> None:
    file = make_page(
        b"q 2 0 0 2 5 5 cm q 1 0 0 1 1 0 cm " + show(b"0001") + b"Q " + show(b"0001") + b"Q " + show(b"0002")
    )
    assert [(word.x, word.y) for word in read_words(file)] == [(27, 25), (25, 25), (10, 10)]


def test_a_line_of_print_is_read_from_left_to_right_and_lines_from_the_top() -> None:
    file = make_page(show(b"0002", b"10 10") + show(b"0002", b"50 81") + show(b"0001", b"20 80"))
    assert [[word.text for word in row] for row in read_rows(file)] == [["A", "B"], ["B"]]


@pytest.mark.parametrize("way", [b"0 5 Td [<0001>] TJ", b"<0001> '", b"T* <0001> Tj"])
def test_a_page_with_text_drawn_another_way_is_not_read(way: bytes) -> None:
    with pytest.raises(UnknownDrawing):
        texts(b"BT /F 9 Tf " + way + b" ET")


def test_a_document_that_cannot_be_read_is_not_released() -> None:
    with pikepdf.open(io.BytesIO(rendered("ordinary"))) as file:
        file.pages[0].contents_add(file.make_stream(b"BT 0 5 Td ET"))
        out = io.BytesIO()
        file.save(out)
    assert any("cannot be read" in fault for fault in release_faults(out.getvalue(), generate(DOCUMENTS["ordinary"])))


@pytest.mark.parametrize(
    ("commands", "ours", "theirs"), [(show(b"00010034"), "A\ufffd", "A4"), (b"3 Tr " + show(b"0001"), "", "A")]
)
def test_pypdf_reads_a_glyph_without_meaning_and_text_that_nobody_sees(commands: bytes, ours: str, theirs: str) -> None:
    """Why a release is not proofread with pypdf: docs/decisions/0004. When this fails, think again."""
    out = io.BytesIO()
    make_page(commands).save(out)
    assert ("".join(texts(commands)), PdfReader(out).pages[0].extract_text()) == (ours, theirs)


@pytest.mark.parametrize("name", ["ordinary", "franchise", "three pages", "final after deposit"])
def test_a_stranger_reads_the_same_words(name: str) -> None:
    stranger = text_of(rendered(name)).replace(" ", "")
    with pikepdf.open(io.BytesIO(rendered(name))) as file:
        ours = [word.text.strip() for word in read_words(file)]
    assert sum(map(len, ours)) > 500
    assert [text for text in ours if "".join(text.split()) not in stranger] == []


@pytest.mark.parametrize("seed", [3, 20])
def test_every_sum_that_is_read_stands_in_a_strangers_text(seed: int) -> None:
    document = make_random_document(seed)
    file = draw(document)
    stranger = "".join(page.extract_text() for page in PdfReader(io.BytesIO(file)).pages)
    totals = printed_totals(file)
    assert len(totals) >= 3
    for amount in totals.values():
        assert f"{amount:,.2f}".replace(",", "\u202f").replace(".", ",") in stranger


def test_a_note_that_speaks_of_a_total_does_not_stand_for_it() -> None:
    document = make_document(notes=("Net à payer 5,00\u00a0€", "Total TTC"))
    assert release_faults(draw(document), generate(document)) == []
