"""On paper: PDF/A-3 as claimed, every mention printed, printed totals equal to the XML, same bytes each time."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pikepdf
import pytest
import segno
from pypdf import PdfReader

from api.adapters import paper, pdf
from api.adapters.facturx import generate, write_xml
from api.adapters.proofread import embedded_xml, lint, misprints, printed_totals, release_faults
from api.domain.billing.facturx import (
    Address,
    DeliveredItem,
    DeliverTo,
    DeliveryNote,
    QuoteDocument,
    TraceRow,
    totals,
)
from api.domain.pricing.legal import CustomerType, mentions
from tests.world.documents import (
    ISSUED_ON,
    as_franchise,
    make_document,
    make_lines,
    make_public_buyer,
    make_random_document,
    make_siren,
)
from tests.world.paper import DOCUMENTS, STAMP, draw, rendered, text_of


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_released_document_has_no_fault(name: str) -> None:
    assert release_faults(rendered(name), write_xml(DOCUMENTS[name])) == []


def test_the_same_document_and_stamp_give_the_same_bytes() -> None:
    assert draw(DOCUMENTS["ordinary"]) == rendered("ordinary")


@pytest.mark.parametrize("name", ["ordinary", "public", "franchise"])
def test_every_mention_of_the_law_is_printed(name: str) -> None:
    document, text = DOCUMENTS[name], text_of(rendered(name))
    legal = mentions(document.issued_on, document.regime, document.buyer.customer)
    wanted = [
        document.number,
        "23 novembre 2026",
        "20 novembre 2026",
        "23 décembre 2026",
        document.seller.name,
        document.buyer.name,
        make_siren(1),
        str(document.buyer.siren),
        str(document.buyer.siret),
        "livraison de biens et prestation de services",
        str(legal.penalty),
        str(legal.indemnity),
        str(legal.discount),
        "FR76 3000 6000 0112 3456 7890 189",
        "AGRIFRPPXXX",
        "Banque d'essai",
        "BC-2026-117",
    ]
    wanted += [line.description for line in document.lines]
    assert [words for words in wanted if words not in text] == []


def test_a_franchise_prints_its_article_and_no_vat() -> None:
    text = text_of(rendered("franchise"))
    assert "TVA non applicable, article L. 223-3 du Code des impositions" in text
    assert not re.search(r"TVA \d+ %|Total HT|Total TTC", text)
    before = as_franchise(make_document(issued_on=date(2026, 8, 31), supplied_on=date(2026, 8, 30)))
    assert "TVA non applicable, art. 293 B du CGI" in text_of(draw(before))


def test_a_public_buyer_reads_its_service_code_and_engagement() -> None:
    text = text_of(rendered("public"))
    assert "Code service : SERV-42" in text
    assert "N° d’engagement" in text
    assert mentions(ISSUED_ON, make_document().regime, CustomerType.PUBLIC).debits in text
    assert "d'après les débits" not in text_of(rendered("ordinary"))


def test_a_delivery_address_is_printed_only_when_it_is_another() -> None:
    place = Address(lines=("2 place des Écoles",), postcode="63000", city="Exempleville")
    text = text_of(draw(make_document(deliver_to=DeliverTo(name="École", address=place))))
    assert "2 place des Écoles" in text
    assert "Adresse de livraison" not in text_of(rendered("ordinary"))


def test_a_credit_note_names_its_invoice() -> None:
    text = text_of(rendered("credit note"))
    assert "Avoir sur la facture n° F2026-0001 du 23 novembre 2026." in text
    assert "À votre crédit" in text


def test_a_paid_invoice_says_so_and_has_no_qr_code() -> None:
    text = text_of(rendered("paid by card"))
    assert "Acquittée le 23 novembre 2026" in text
    assert "Payée par carte." in text
    assert "Virement par" not in text
    assert "Virement par" in text_of(rendered("ordinary"))


def test_the_qr_code_pays_the_exact_amount_to_the_right_account() -> None:
    document = DOCUMENTS["ordinary"]
    wanted = [
        "BCD", "002", "1", "SCT", "AGRIFRPPXXX", "Atelier du Test", "FR7630006000011234567890189", "EUR148.68",
        "", "", "F2026-0001",
    ]  # fmt: skip
    expected = segno.make_qr("\n".join(wanted).encode(), error="m", boost_error=False)
    assert paper.epc_qr(document, totals(document)).matrix == expected.matrix


def test_the_qr_code_in_the_file_is_that_code_module_by_module() -> None:
    document = DOCUMENTS["ordinary"]
    with pikepdf.open(io.BytesIO(rendered("ordinary"))) as file:
        [drawn] = file.pages[0].get_images().values()
        assert isinstance(drawn, pikepdf.Stream)
        shown = pikepdf.PdfImage(drawn).as_pil_image().convert("1")
        smoothed = bool(drawn.get("/Interpolate", False))
    matrix = paper.epc_qr(document, totals(document)).matrix
    side = len(matrix)
    assert shown.size == (side + 2, side + 2)  # a light border of one module
    assert [[shown.getpixel((x + 1, y + 1)) == 0 for x in range(side)] for y in range(side)] == [
        [bool(module) for module in row] for row in matrix
    ]
    assert not smoothed  # PDF/A forbids it, and a scanner would stumble


def test_a_sign_that_no_page_can_hold_is_shown_as_unreadable() -> None:
    quote = replace(make_quote(), purchase_order="BC\x0b-<7>&\ufffe")
    text = text_of(pdf.render_quote(quote, stamp=STAMP))
    assert "BC\ufffd-<7>&\ufffd" in text


def test_headers_are_repeated_and_the_totals_are_not_torn() -> None:
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(rendered("three pages"))).pages]
    assert len(pages) == 3
    assert all("Désignation" in page for page in pages[:2])
    assert [number for number, page in enumerate(pages) if "Total HT" in page] == [
        number for number, page in enumerate(pages) if "Net à payer" in page
    ]
    assert "Page 2 / 3" in pages[1]


def heights(file: bytes) -> dict[str, float]:
    """Where each text stands on the first page, in points from the bottom."""
    found: dict[str, float] = {}
    PdfReader(io.BytesIO(file)).pages[0].extract_text(
        visitor_text=lambda text, cm, tm, *_: found.setdefault(text.strip(), cm[3] * tm[5] + cm[5])
    )
    return found


def test_nothing_is_drawn_over_the_totals() -> None:
    """A box of floats without height let the payment block hide them; text extraction alone did not notice."""
    file = draw(make_document(buyer=make_public_buyer(), notes=("Merci.",)))
    stands = heights(file)
    order = ["Facturé à", "Désignation", "Total HT", "Total TTC", "Net à payer", "Merci.", "Règlement"]
    levels = [stands[text] for text in order]
    assert all(above - below > 8 for above, below in pairwise(levels)), levels


@pytest.mark.parametrize("name", DOCUMENTS)
def test_one_font_family_embedded_as_a_subset(name: str) -> None:
    with pikepdf.open(io.BytesIO(rendered(name))) as file:
        names = {
            str(each.BaseFont).split("+")[1].replace("-Bold", "")
            for each in file.objects
            if isinstance(each, pikepdf.Dictionary) and each.get("/Subtype") == "/CIDFontType2"
        }
    assert len(names) == 1
    assert names <= {"Noto-Sans", "DejaVu-Sans"}


def make_quote() -> QuoteDocument:
    document = make_document()
    return QuoteDocument(
        number="D2026-0007",
        issued_on=ISSUED_ON,
        valid_until=date(2026, 12, 23),
        promised_on=date(2026, 12, 2),
        seller=document.seller,
        buyer=document.buyer,
        lines=document.lines,
        traces=((TraceRow(label="Matière", detail="12,4 g × 0,085 €", cents=105),),),
    )


def test_a_quote_prints_its_validity_its_promise_and_its_trace() -> None:
    file = pdf.render_quote(make_quote(), stamp=STAMP)
    text = text_of(file)
    assert lint(file, invoice=False) == []
    wanted = ["Devis", "23 décembre 2026", "2 décembre 2026", "Matière : 12,4 g × 0,085 € = 1,05 €"]
    assert [words for words in wanted if words not in text] == []
    assert printed_totals(file)["BT-112"] == Decimal("148.68")


def test_a_delivery_note_prints_what_was_checked_and_no_price() -> None:
    document = make_document()
    item = DeliveredItem(description="Support", quantity=Decimal(8), unit="C62", remaining=Decimal(2), checked_by="Bob")
    note = DeliveryNote(
        number="BL2026-0003",
        delivered_on=ISSUED_ON,
        seller=document.seller,
        buyer=document.buyer,
        order_number="C2026-0012",
        items=(item,),
    )
    file = pdf.render_delivery_note(note, stamp=STAMP)
    text = text_of(file)
    assert lint(file, invoice=False) == []
    assert "8 pièces 2 pièces Contrôlé par Bob" in text
    assert "€" not in text.replace("10 000 €", "")


@pytest.mark.parametrize("seed", [*range(1, 40, 4), 60])
def test_printed_totals_are_those_of_the_xml(seed: int) -> None:
    document = make_random_document(seed)
    assert misprints(draw(document), generate(document)) == []


def test_a_misprinted_total_is_found() -> None:
    other = make_document(lines=make_lines()[:3])
    found = {code for code, *_ in misprints(rendered("ordinary"), generate(other))}
    assert found == {"BT-109", "BT-112", "BT-115", "BT-117 20.00"}
    assert release_faults(rendered("ordinary"), generate(other)) != []


def test_vat_of_a_rate_that_is_not_printed_is_found() -> None:
    tenth = make_document(lines=tuple(replace(line, rate=Decimal(10)) for line in make_lines()))
    assert ("BT-117 10.00", None, Decimal("12.39")) in misprints(rendered("ordinary"), generate(tenth))
    assert ("BT-110", None, Decimal("24.78")) in misprints(rendered("franchise"), generate(DOCUMENTS["ordinary"]))


def test_what_was_paid_is_printed_as_it_is_stated() -> None:
    assert misprints(rendered("paid by card"), generate(DOCUMENTS["paid by card"])) == []
    part = generate(make_document(paid_cents=100))
    assert ("BT-113", None, Decimal("-1.00")) in misprints(rendered("ordinary"), part)


def spoiled() -> Iterator[tuple[str, bytes, str]]:
    good = rendered("ordinary")
    for what, complaint in (("af", "AF:"), ("name", "AF:"), ("script", "forbidden"), ("xmp", "XMP"), ("lang", "lang")):
        with pikepdf.open(io.BytesIO(good)) as file:
            if what == "af":
                file.Root.AF.append(file.Root.AF[0])
            if what == "name":
                file.Root.AF[0].AFRelationship = pikepdf.Name.Unspecified
            if what == "script":
                file.Root.OpenAction = pikepdf.Dictionary(S=pikepdf.Name.JavaScript, JS="app.alert(1)")
            if what == "xmp":
                file.Root.Metadata.write(file.Root.Metadata.read_bytes() * 2)
            if what == "lang":
                del file.Root.Lang
            out = io.BytesIO()
            file.save(out, fix_metadata_version=False)
            yield what, out.getvalue(), complaint


def test_the_lint_finds_what_was_spoiled() -> None:
    for what, file, complaint in spoiled():
        assert any(complaint in fault for fault in lint(file)), what


def test_the_xml_inside_is_the_xml_that_was_checked() -> None:
    assert embedded_xml(rendered("ordinary")) == write_xml(DOCUMENTS["ordinary"])
    assert release_faults(rendered("ordinary"), generate(make_document(number="F2026-0002"))) != []


JARS = Path("/usr/share/java")
NEEDED = ("pdfbox2", "preflight", "xmpbox", "fontbox2", "commons-logging", "commons-io", "javax.activation", "jaxb-api")
#: What PDF/A-1b forbids and PDF/A-3 allows: an embedded file (twice), compressed cross references, no CIDSet, part 3.
EXPECTED = {"1.4.7", "1.2.9", "1.4", "3.1.11", "7.11.2"}


@pytest.mark.skipif(
    not shutil.which("java") or not all((JARS / f"{jar}.jar").exists() for jar in NEEDED),
    reason="PDFBox preflight (libpdfbox2-java, libactivation-java, libjaxb-api-java) is not installed",
)
def test_preflight_complains_only_of_what_pdf_a_3_allows(tmp_path: Path) -> None:
    (tmp_path / "invoice.pdf").write_bytes(rendered("ordinary"))
    path = ":".join(str(JARS / f"{jar}.jar") for jar in NEEDED)
    command = ["java", "-cp", path, "org.apache.pdfbox.preflight.Validator_A1b", str(tmp_path / "invoice.pdf")]
    report = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False).stdout
    codes = set(re.findall(r"^([\d.]+) :", report, re.M))
    assert codes
    assert codes <= EXPECTED, report
