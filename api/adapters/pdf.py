"""Documents on paper: HTML template -> WeasyPrint PDF/A-3a -> container mended by pikepdf. Same input, same bytes.

Every date in the file is the `stamp` that is passed in. An invoice carries its XML as `factur-x.xml`.
"""

from __future__ import annotations

import gc
import io
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from api.adapters import paper
from api.domain.billing.facturx import DeliveryNote, Document, Profile, QuoteDocument

if TYPE_CHECKING:  # WeasyPrint and pikepdf take a second to load: only who draws loads them, not each start.
    import weasyprint
    from weasyprint.text.fonts import FontConfiguration

_drawing = threading.Lock()
# Everything that is not a character of XML 1.0.
UNREADABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
LEVELS = {Profile.EN16931: "EN 16931", Profile.EXTENDED: "EXTENDED"}


def render_invoice(document: Document, xml: bytes, *, stamp: datetime) -> bytes:
    """The released form of an invoice or credit note; `xml` must be what `write_xml` gave for this document."""
    return _render("invoice.html", paper.invoice_page(document), stamp, xml=xml, level=LEVELS[document.profile])


def render_quote(quote: QuoteDocument, *, stamp: datetime) -> bytes:
    return _render("quote.html", paper.quote_page(quote), stamp)


def render_delivery_note(note: DeliveryNote, *, stamp: datetime) -> bytes:
    return _render("delivery_note.html", paper.delivery_page(note), stamp)


def _render(
    template: str, page: dict[str, Any], stamp: datetime, *, xml: bytes | None = None, level: str | None = None
) -> bytes:
    import weasyprint  # noqa: PLC0415

    html = _templates().get_template(template).render(page)
    attachments = []
    if xml is not None:
        attachments = [
            weasyprint.Attachment(
                string=xml,
                name="factur-x.xml",
                description="Factur-X",
                relationship="Data",
                created=stamp,
                modified=stamp,
            )
        ]
    pdf = _draw(html, attachments)
    title, author = f"{page['title']} {page['number']}", page["seller"]["name"]
    return _finish(pdf, title=title, author=author, stamp=stamp, level=level)


def _draw(html: str, attachments: list[weasyprint.Attachment]) -> bytes:
    # One at a time: the fonts are shared. The colour profile that WeasyPrint 70 opens and does not close would fail a
    # test, where warnings are errors.
    with _drawing, _without_collecting(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "unclosed file", ResourceWarning)
        pdf: bytes = _parsed(html).write_pdf(
            pdf_variant="pdf/a-3a",
            attachments=attachments,
            stylesheets=[_stylesheet()],
            font_config=_fonts(),
        )
        return pdf


def _parsed(html: str) -> weasyprint.HTML:
    """As `weasyprint.HTML(string=html)`, but parsed as XML, which our templates are: 10 ms less for each page.

    A character that XML cannot hold (in a name, for instance) becomes U+FFFD.
    """
    import weasyprint  # noqa: PLC0415
    from cssselect2 import ElementWrapper  # type: ignore[import-untyped]  # has no stubs  # noqa: PLC0415
    from weasyprint.urls import URLFetcher  # noqa: PLC0415

    page = weasyprint.HTML.__new__(weasyprint.HTML)
    page.base_url, page.media_type = None, "print"
    # The QR code is a data URL; nothing else may be fetched, neither a file nor an address on the network.
    page.url_fetcher = URLFetcher(allowed_protocols=["data"], fail_on_errors=True)
    root = ElementTree.fromstring(UNREADABLE.sub("\ufffd", html))  # noqa: S314  our own templates, all values escaped
    page.wrapper_element = ElementWrapper.from_html_root(root, content_language=None)
    page.etree_element = page.wrapper_element.etree_element
    return page


@contextmanager
def _without_collecting() -> Iterator[None]:
    # Drawing makes half a million objects that live until its end: collecting among them costs a tenth of the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _finish(pdf: bytes, *, title: str, author: str, stamp: datetime, level: str | None) -> bytes:
    """1. our XMP, as one rdf:RDF; 2. each attachment once in /AF; 3. dates and an ID that are the same each time."""
    import pikepdf  # noqa: PLC0415

    with pikepdf.open(io.BytesIO(pdf)) as file:
        producer = str(file.docinfo["/Producer"])
        metadata = file.make_stream(_xmp(title, author, producer, stamp, level))
        metadata["/Type"], metadata["/Subtype"] = pikepdf.Name.Metadata, pikepdf.Name.XML
        file.Root.Metadata = file.make_indirect(metadata)
        # WeasyPrint lists an attachment twice (its issue 2917), and PDF/A-3 wants one entry.
        if "/AF" in file.Root:
            file.Root.AF = pikepdf.Array(list({each.objgen: each for each in file.Root.AF}.values()))
        file.Root.ViewerPreferences = pikepdf.Dictionary(DisplayDocTitle=True)
        for key in ("/CreationDate", "/ModDate"):
            file.docinfo[key] = stamp.strftime("D:%Y%m%d%H%M%S+00'00'")
        file.docinfo["/Title"], file.docinfo["/Author"] = title, author
        file.docinfo["/Subject"], file.docinfo["/Creator"] = title, "Établi"
        finished = io.BytesIO()
        file.save(finished, deterministic_id=True, compress_streams=True, fix_metadata_version=False)
        return finished.getvalue()


def _xmp(title: str, author: str, producer: str, stamp: datetime, level: str | None) -> bytes:
    words = {"title": title, "author": author, "subject": title, "producer": producer, "level": level}
    text = _templates().get_template("xmp.xml").render(words, stamp=f"{stamp:%Y-%m-%dT%H:%M:%S}+00:00")
    return text.encode()


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("api.adapters", "documents"),
        autoescape=select_autoescape(["html", "xml"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


@cache
def _fonts() -> FontConfiguration:
    # One for the process, used under the drawing lock: searching the fonts again took a third of each drawing.
    from weasyprint.text.fonts import FontConfiguration  # noqa: PLC0415

    return FontConfiguration()


@cache
def _stylesheet() -> weasyprint.CSS:
    import weasyprint  # noqa: PLC0415

    return weasyprint.CSS(string=files("api.adapters").joinpath("documents/paper.css").read_text("utf-8"))
