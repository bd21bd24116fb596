"""Checks a finished PDF before its release: is it the PDF/A-3 that it claims to be, and does it print its XML?

It finds what WeasyPrint and pikepdf were seen to get wrong; a full validator such as veraPDF checks more.
"""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pikepdf
from lxml import etree

from api.adapters.pagetext import UnknownDrawing, read_rows
from api.adapters.recount import read_totals

RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
PDFAID = "{http://www.aiim.org/pdfa/ns/id/}"
FX = "{urn:factur-x:pdfa:CrossIndustryDocument:invoice:1p0#}"
EXTENSION = "{http://www.aiim.org/pdfa/ns/property#}"
FX_VALUES = {"DocumentType": {"INVOICE"}, "DocumentFileName": {"factur-x.xml"}, "Version": {"1.0"}}
FX_VALUES["ConformanceLevel"] = {"EN 16931", "EXTENDED"}
FORBIDDEN_KEYS = {"/JS", "/JavaScript", "/AA", "/OpenAction", "/Launch"}
AMOUNT = re.compile(r"-?[\d\u202f\u00a0 ]+,\d\d\u00a0€")
BASE = re.compile(rf"sur {AMOUNT.pattern}")
VAT_LABEL = re.compile(r"TVA ([\d,]+)\u00a0%")
# What stands left of a sum -> its BT code (EN 16931). Without VAT only the total is printed, as "Total".
LABELS = {
    "Total HT": "BT-109",
    "Total TTC": "BT-112",
    "Total": "BT-112",
    "Déjà payé": "BT-113",
    "Net à payer": "BT-115",
    "À votre crédit": "BT-115",
}


def release_faults(pdf: bytes, xml: bytes) -> list[str]:
    """Every reason why this invoice must not be handed out."""
    with _opened(pdf) as file:
        faults = list(_lint(pdf, file, invoice=True))
        # Only of a sound file: reading the attachment of another may raise.
        if not faults and _embedded_xml(file) != xml:
            faults.append("the XML inside is not the XML that was checked")
        try:
            wrong = _misprints(file, xml)
        except UnknownDrawing as e:
            return [*faults, f"the page cannot be read: {e}"]
    return faults + [f"{code}: printed {printed}, XML {stated}" for code, printed, stated in wrong]


def lint(pdf: bytes, *, invoice: bool = True) -> list[str]:
    """What is missing from or forbidden in a PDF/A-3a; `invoice=False` for papers that embed nothing."""
    with _opened(pdf) as file:
        return list(_lint(pdf, file, invoice=invoice))


def embedded_xml(pdf: bytes) -> bytes:
    """The bytes of factur-x.xml."""
    with _opened(pdf) as file:
        return _embedded_xml(file)


def printed_totals(pdf: bytes) -> dict[str, Decimal]:
    """BT code -> euros as printed: net, VAT per rate, total, paid, due."""
    with _opened(pdf) as file:
        return _printed_totals(file)


def misprints(pdf: bytes, xml: bytes) -> list[tuple[str, Decimal | None, Decimal]]:
    """(BT code, printed, in the XML) wherever the two differ."""
    with _opened(pdf) as file:
        return _misprints(file, xml)


def _opened(pdf: bytes) -> pikepdf.Pdf:
    return pikepdf.open(io.BytesIO(pdf))


def _embedded_xml(file: pikepdf.Pdf) -> bytes:
    return file.attachments["factur-x.xml"].get_file().read_bytes()


def _lint(pdf: bytes, file: pikepdf.Pdf, *, invoice: bool) -> Iterator[str]:
    yield from _container(pdf, file)
    yield from _fonts(file)
    yield from _forbidden(file)
    yield from _metadata(file, invoice=invoice)
    if invoice:
        yield from _attachment(file)


def _printed_totals(file: pikepdf.Pdf) -> dict[str, Decimal]:
    # A sum stands alone right of its label; a note that speaks of a total has more words. The sums come after the
    # lines, so of two rows with one label the last counts.
    totals: dict[str, Decimal] = {}
    for row in read_rows(file):
        words = [word.text.strip() for word in row]
        for at, label in enumerate(words):
            if (code := _code(label)) and (amount := _sum_beside(words[at + 1 :], code)) is not None:
                totals[code] = amount
    return totals


def _code(label: str) -> str | None:
    if rate := VAT_LABEL.fullmatch(label):
        return f"BT-117 {Decimal(rate[1].replace(',', '.')):.2f}"
    return LABELS.get(label)


def _sum_beside(words: list[str], code: str) -> Decimal | None:
    if code.startswith("BT-117"):
        if not words or not BASE.fullmatch(words[0]):
            return None
        words = words[1:]
    return _euros(words[0]) if len(words) == 1 and AMOUNT.fullmatch(words[0]) else None


def _misprints(file: pikepdf.Pdf, xml: bytes) -> list[tuple[str, Decimal | None, Decimal]]:
    printed = _printed_totals(file)
    stated = read_totals(xml)
    # What was paid is printed as a subtraction.
    stated["BT-113"] = -stated["BT-113"]
    with_vat = "BT-109" in printed
    codes = ["BT-109", "BT-112", "BT-115"] if with_vat else ["BT-112", "BT-115"]
    codes += ["BT-113"] if stated["BT-113"] else []
    codes += [code for code in stated if code.startswith("BT-117") and with_vat]
    wrong = [(code, printed.get(code), stated[code]) for code in codes if printed.get(code) != stated[code]]
    if not with_vat and stated["BT-110"]:
        wrong.append(("BT-110", None, stated["BT-110"]))
    return wrong


def _euros(printed: str) -> Decimal:
    return Decimal(re.sub(r"[\u202f\u00a0 €]", "", printed).replace(",", "."))


def _container(pdf: bytes, file: pikepdf.Pdf) -> Iterator[str]:
    if not re.match(rb"%PDF-1\.7\n%[\x80-\xff]{4}", pdf):
        yield "header: not PDF 1.7 with a binary comment"
    if "/ID" not in file.trailer:
        yield "trailer: no ID"
    if file.is_encrypted:
        yield "encrypted"
    intents: list[Any] = list(file.Root.get("/OutputIntents", []))
    if len(intents) != 1 or intents[0].get("/S") != "/GTS_PDFA1" or "/DestOutputProfile" not in intents[0]:
        yield "output intent: no embedded ICC profile"
    if _in(file.Root, "/MarkInfo", "/Marked") is not True or "/StructTreeRoot" not in file.Root:
        yield "not tagged"
    if not file.Root.get("/Lang"):
        yield "no language"
    if not _in(file.Root, "/ViewerPreferences", "/DisplayDocTitle"):
        yield "the title is not displayed"


def _in(root: pikepdf.Object, outer: str, inner: str) -> Any:
    return root[outer].get(inner) if outer in root else None


def _fonts(file: pikepdf.Pdf) -> Iterator[str]:
    for each in file.objects:
        if not isinstance(each, pikepdf.Dictionary) or each.get("/Type") != "/Font":
            continue
        if each.get("/Subtype") in {"/CIDFontType0", "/CIDFontType2"}:
            descriptor = each.FontDescriptor
            if not any(key in descriptor for key in ("/FontFile", "/FontFile2", "/FontFile3")):
                yield f"font not embedded: {each.BaseFont}"
            if not re.match(r"/[A-Z]{6}\+", str(each.BaseFont)):
                yield f"font not a subset: {each.BaseFont}"
        elif each.get("/Subtype") != "/Type0" or "/ToUnicode" not in each:
            yield f"font without Unicode: {each.get('/BaseFont')}"


def _forbidden(file: pikepdf.Pdf) -> Iterator[str]:
    for each in file.objects:
        if isinstance(each, pikepdf.Dictionary | pikepdf.Stream):
            for key in FORBIDDEN_KEYS & set(each.keys()):
                yield f"forbidden: {key}"
            if "LZWDecode" in str(each.get("/Filter", "")):
                yield "forbidden: LZW"


def _metadata(file: pikepdf.Pdf, *, invoice: bool) -> Iterator[str]:
    packet = file.Root.Metadata.read_bytes() if "/Metadata" in file.Root else b""
    # WeasyPrint writes a second rdf:RDF beside its own when it is given XMP of ours.
    if packet.count(b"<rdf:RDF") != 1:
        yield f"XMP: {packet.count(b'<rdf:RDF')} rdf:RDF, not one"
        return
    root = etree.fromstring(packet)
    for name, value in (("part", "3"), ("conformance", "A")):
        if root.findtext(f".//{PDFAID}{name}") != value:
            yield f"XMP: pdfaid:{name} is not {value}"
    if any(each.get(f"{RDF}about") is None for each in root.iter(f"{RDF}Description")):
        yield "XMP: a description without rdf:about"
    if not invoice:
        return
    for name, values in FX_VALUES.items():
        if root.findtext(f".//{FX}{name}") not in values:
            yield f"XMP: fx:{name} is {root.findtext(f'.//{FX}{name}')}"
    if {each.text for each in root.iter(f"{EXTENSION}name")} != set(FX_VALUES):
        yield "XMP: the extension schema does not describe the four fx properties"


def _attachment(file: pikepdf.Pdf) -> Iterator[str]:
    # WeasyPrint lists the file twice (its issue 2917); `pdf._finish` mends that.
    associated: list[Any] = list(file.Root.get("/AF", []))
    if len(associated) != 1 or list(file.attachments) != ["factur-x.xml"]:
        yield f"AF: {len(associated)} entries, attachments {list(file.attachments)}"
        return
    spec = associated[0]
    stream = spec.EF.F
    if spec.get("/AFRelationship") != "/Data" or str(spec.get("/UF")) != "factur-x.xml":
        yield "AF: relationship or name"
    if stream.get("/Subtype") not in {"/text/xml", "/application/xml"}:
        yield f"AF: subtype {stream.get('/Subtype')}"
    params = stream.get("/Params", {})
    if "/ModDate" not in params:
        yield "AF: no modification date"
    # MD5 is what the format asks for; it protects against damage, not against forgery.
    checksum = hashlib.md5(stream.read_bytes(), usedforsecurity=False).digest()
    if bytes(params.get("/CheckSum", b"")) != checksum:
        yield "AF: checksum"
