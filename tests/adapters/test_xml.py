"""The XML passes its schema, both schematrons and our recount; every mutation is caught by the judge that should."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from lxml import etree

from api.adapters import facturx as adapter
from api.adapters.facturx import (
    Failure,
    Refused,
    Schematron,
    ValidatorAbsent,
    generate,
    is_b2b,
    validate,
    write_xml,
)
from api.adapters.recount import NAMESPACES
from api.domain.billing.facturx import (
    Address,
    DeliverTo,
    Document,
    DocumentKind,
    Nature,
    PaymentMeansCode,
    Profile,
    credit_note,
    deduct_deposits,
    deposit_invoice,
    totals,
)
from tests.world.documents import (
    ISSUED_ON,
    as_franchise,
    as_paid,
    make_buyer,
    make_consumer,
    make_document,
    make_line,
    make_lines,
    make_public_buyer,
    make_random_document,
    make_seller,
    make_siren,
    make_vat_number,
)

TOTAL = totals(make_document()).total_cents
DEPOSIT = deposit_invoice(
    make_document(), number="F2026-0009", issued_on=ISSUED_ON, due_on=ISSUED_ON, percent=Decimal(30)
)
CREDIT = credit_note(make_document(), number="A2026-0001", issued_on=ISSUED_ON, reason="Erreur")
RIGHT: dict[str, Document] = {
    "ordinary": make_document(),
    "franchise": as_franchise(make_document()),
    "public": make_document(buyer=make_public_buyer()),
    "consumer": make_document(buyer=make_consumer()),
    "credit note": CREDIT,
    "deposit": DEPOSIT,
    "final after deposit": deduct_deposits(make_document(), [DEPOSIT]),
    "paid by card": replace(as_paid(make_document(), TOTAL), means=PaymentMeansCode.CARD),
    "over a period": make_document(
        supplied_on=None, supplied_from=date(2026, 10, 1), supplied_until=date(2026, 10, 31)
    ),
    "corrected": replace(CREDIT, kind=DocumentKind.CORRECTED, number="F2026-0002"),
    "awkward text": make_document(lines=(make_line(description="Pièce <b> & « œuf » €"),)),
}


def judge(document: Document, xml: bytes) -> list[Failure]:
    return validate(xml, document.profile, b2b=is_b2b(document), document=document)


def value(xml: bytes, path: str) -> str:
    found = etree.fromstring(xml).xpath(f"string({path})", namespaces=NAMESPACES)
    return str(found).strip()


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_document_passes_every_judge(name: str) -> None:
    assert judge(RIGHT[name], write_xml(RIGHT[name])) == []


def test_enough_rules_fire_for_the_judges_to_be_awake() -> None:
    xml = write_xml(make_document())
    for rules, least in ((Profile.EN16931, 100), (adapter.FRENCH, 80)):
        fixed, per_line = adapter.LEAST_RULES_FIRED[rules]
        assert fixed + per_line * xml.count(b"<ram:IncludedSupplyChainTradeLineItem>") >= least


Mutation = tuple[str, str, str, str, str]
#: document, what stands in its XML, what is put instead, the judge and the rule that must object.
CAUGHT_BY_SCHEMATRON: list[Mutation] = [
    ("ordinary", "GrandTotalAmount>148.68", "GrandTotalAmount>148.69", "en16931", "BR-CO-15"),
    ("ordinary", "BasisAmount>123.90", "BasisAmount>123.80", "en16931", "BR-S-08"),
    ("ordinary", 'unitCode="HUR"', 'unitCode="ZZZZ"', "en16931", "FX-SCH-A-000613"),
    ("ordinary", "<ram:SubjectCode>PMT", "<ram:SubjectCode>AAI", "fr-ctc", "BR-FR-05"),
    ("ordinary", "<ram:ID>F2026-0001<", "<ram:ID>F2026 0001<", "fr-ctc", "BR-FR-02"),
    ("ordinary", "RateApplicablePercent>20.00", "RateApplicablePercent>21.00", "fr-ctc", "BR-FR-16"),
    ("ordinary", ">20261223<", ">20261122<", "fr-ctc", "BR-FR-CO-07"),
    ("ordinary", "ChargeAmount>18.3333<", "ChargeAmount>18.3333001<", "fr-ctc", "BR-FR-DEC-03"),
    ("ordinary", f'<ram:ID schemeID="0002">{make_siren(2)}</ram:ID>', "", "fr-ctc", "BR-FR-11"),
    ("franchise", f'<ram:ID schemeID="FC">{make_siren(1)}</ram:ID>', "", "en16931", "BR-E-02"),
    ("credit note", "InvoiceReferencedDocument>", "Gone>", "fr-ctc", "BR-FR-CO-05"),
    ("paid by card", "<ram:TotalPrepaidAmount>148.68</ram:TotalPrepaidAmount>", "", "fr-ctc", "BR-FR-CO-09"),
]


@pytest.mark.parametrize("mutation", CAUGHT_BY_SCHEMATRON, ids=[m[4] for m in CAUGHT_BY_SCHEMATRON])
def test_schematrons_catch_what_they_are_for(mutation: Mutation) -> None:
    name, old, new, source, rule = mutation
    document = RIGHT[name]
    xml = generate(document).decode()
    assert old in xml
    mutated = drop_empty(xml.replace(old, new))
    rules = [document.profile, adapter.FRENCH]
    found = adapter.schematron().failures(mutated, rules)
    assert [f for f in found if f.source == source and f.rule.startswith(rule)], found


def drop_empty(xml: str) -> bytes:
    """Without the elements that a mutation renamed "Gone" or left empty."""
    root = etree.fromstring(xml.encode())
    for each in root.xpath("//ram:Gone | //ram:SpecifiedTaxRegistration[not(*)]", namespaces=NAMESPACES):
        each.getparent().remove(each)
    return etree.tostring(root, xml_declaration=True, encoding="UTF-8")


#: What both schematrons let through, and the rule of ours that objects.
BAD_SIREN = make_siren(2)[:-1] + str((int(make_siren(2)[-1]) + 1) % 10)
LET_THROUGH: list[tuple[str, str, list[tuple[str, str]]]] = [
    ("vat-amount", "ordinary", [(">24.78<", ">24.79<"), (">148.68<", ">148.69<")]),
    (
        "line-net",
        "ordinary",
        [(">20.89<", ">21.89<"), (">123.90<", ">124.90<"), (">24.78<", ">24.98<"), (">148.68<", ">149.88<")],
    ),
    ("siren", "ordinary", [(make_siren(2), BAD_SIREN)]),
    ("vat-number", "ordinary", [(make_vat_number(make_siren(2)), "FR00" + make_siren(2))]),
    ("iban", "ordinary", [("FR7630006000011234567890189", "FR7630006000011234567890188")]),
    ("exemption", "franchise", [("<ram:ExemptionReasonCode>VATEX-FR-FRANCHISE</ram:ExemptionReasonCode>", "")]),
    ("document", "ordinary", [("<ram:ID>M1<", "<ram:ID>B1<")]),
]


@pytest.mark.parametrize(("rule", "name", "changes"), LET_THROUGH, ids=[row[0] for row in LET_THROUGH])
def test_our_recount_catches_what_schematrons_let_through(rule: str, name: str, changes: list[tuple[str, str]]) -> None:
    document = RIGHT[name]
    xml = generate(document).decode()
    for old, new in changes:
        assert old in xml
        xml = xml.replace(old, new)
    found = judge(document, xml.encode())
    assert {f.source for f in found} == {"recount"}  # the schematrons said nothing
    assert rule in {f.rule for f in found}


def test_an_exempt_sale_coded_as_zero_rate_is_refused() -> None:
    xml = generate(RIGHT["franchise"]).decode().replace("CategoryCode>E<", "CategoryCode>Z<")
    assert "vat-category" in {f.rule for f in judge(RIGHT["franchise"], xml.encode())}


def test_a_negative_invoice_is_refused_though_schematrons_accept_it() -> None:
    lines = tuple(replace(line, quantity=-line.quantity, allowance=None) for line in make_lines())
    document = make_document(lines=lines)
    assert "negative-total" in {f.rule for f in judge(document, generate(document))}


def test_one_cent_more_in_our_builder_stops_the_release(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(document: Document) -> bytes:
        return generate(document).replace(b"GrandTotalAmount>148.68", b"GrandTotalAmount>148.69")

    monkeypatch.setattr(adapter, "generate", broken)
    with pytest.raises(Refused) as refused:
        write_xml(make_document())
    assert {"en16931", "recount"} <= {f.source for f in refused.value.failures}


def test_without_saxonche_nothing_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "saxonche", None)
    monkeypatch.setattr(adapter, "schematron", Schematron)
    with pytest.raises(ValidatorAbsent):
        write_xml(make_document())


def test_without_the_french_rules_nothing_is_released(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(adapter.XSLT, adapter.FRENCH, "gone.xslt")
    monkeypatch.setattr(adapter, "schematron", Schematron)
    with pytest.raises(ValidatorAbsent):
        write_xml(make_document())


def test_a_validator_that_fires_no_rule_is_absent_not_green() -> None:
    with pytest.raises(ValidatorAbsent):
        adapter.schematron().failures(b"<nothing/>", [Profile.EN16931])


def test_french_rules_are_not_asked_about_a_consumer() -> None:
    document = RIGHT["consumer"]
    assert not is_b2b(document)
    assert validate(generate(document), document.profile, b2b=True) != []


@pytest.mark.parametrize("typo", [b"<ram:Typo/><ram:TypeCode>380", b"<ram:Typo>380"], ids=["schema", "not XML"])
def test_an_element_out_of_place_breaks_the_schema(typo: bytes) -> None:
    xml = generate(make_document()).replace(b"<ram:TypeCode>380", typo)
    assert {f.source for f in judge(make_document(), xml)} == {"xsd"}


FRANCHISE_TAX = "//ram:SellerTradeParty/ram:SpecifiedTaxRegistration/ram:ID[@schemeID='FC']"


def test_a_franchise_is_category_e_with_text_code_and_its_siren() -> None:
    xml = write_xml(RIGHT["franchise"])
    tax = "//ram:ApplicableHeaderTradeSettlement/ram:ApplicableTradeTax"
    assert value(xml, f"{tax}/ram:CategoryCode") == "E"
    assert value(xml, f"{tax}/ram:ExemptionReasonCode") == "VATEX-FR-FRANCHISE"
    assert "L. 223-3" in value(xml, f"{tax}/ram:ExemptionReason")
    assert value(xml, FRANCHISE_TAX) == make_siren(1)


@pytest.mark.parametrize(("on", "code"), [(True, "5"), (False, "")])
def test_vat_on_debits_is_said_only_when_opted(on: bool, code: str) -> None:
    xml = write_xml(make_document(vat_on_debits=on))
    assert value(xml, "//ram:DueDateTypeCode") == code


def test_a_delivery_address_is_given_only_when_it_is_another() -> None:
    elsewhere = DeliverTo(name="École", address=Address(lines=("2 place X",), postcode="63000", city="Exempleville"))
    same = DeliverTo(name="Ébénisterie Fictive SARL", address=make_buyer().address)
    assert value(write_xml(make_document(deliver_to=elsewhere)), "//ram:ShipToTradeParty/ram:Name") == "École"
    assert b"ShipToTradeParty" not in write_xml(make_document(deliver_to=same))


@pytest.mark.parametrize(
    ("natures", "frame"),
    [((Nature.GOODS,), "B1"), ((Nature.SERVICES,), "S1"), ((Nature.GOODS, Nature.SERVICES), "M1")],
)
def test_the_frame_of_the_xml_says_goods_services_or_both(natures: tuple[Nature, ...], frame: str) -> None:
    xml = write_xml(make_document(lines=tuple(make_line(nature=n) for n in natures)))
    assert value(xml, "//ram:BusinessProcessSpecifiedDocumentContextParameter/ram:ID") == frame


def test_a_credit_note_names_its_original_and_its_date() -> None:
    xml = write_xml(CREDIT)
    assert value(xml, "//rsm:ExchangedDocument/ram:TypeCode") == "381"
    assert value(xml, "//ram:InvoiceReferencedDocument/ram:IssuerAssignedID") == "F2026-0001"
    assert "20261123" in value(xml, "//ram:InvoiceReferencedDocument/ram:FormattedIssueDateTime")


def test_a_card_sale_is_paid_in_full() -> None:
    xml = write_xml(RIGHT["paid by card"])
    assert value(xml, "//ram:BusinessProcessSpecifiedDocumentContextParameter/ram:ID") == "M2"
    assert value(xml, "//ram:TotalPrepaidAmount") == value(xml, "//ram:GrandTotalAmount")
    assert value(xml, "//ram:DuePayableAmount") == "0.00"


def test_a_public_buyer_gets_siret_service_code_and_engagement_in_extended() -> None:
    xml = write_xml(RIGHT["public"])
    buyer = "//ram:BuyerTradeParty"
    assert value(xml, f"{buyer}/ram:GlobalID[@schemeID='0009']").startswith(make_siren(3))
    assert value(xml, f"{buyer}/ram:GlobalID[@schemeID='0224']") == "SERV-42"
    assert value(xml, "//ram:BuyerReference") == "SERV-42"
    assert value(xml, "//ram:BuyerOrderReferencedDocument/ram:IssuerAssignedID") == "BC-2026-117"
    assert value(xml, "//ram:GuidelineSpecifiedDocumentContextParameter/ram:ID").endswith("extended")


def test_the_same_document_gives_the_same_bytes() -> None:
    assert write_xml(make_document()) == write_xml(make_document(seller=make_seller()))


@pytest.mark.parametrize("first", range(0, 200, 20))
def test_random_documents_pass_every_judge(first: int) -> None:
    wrong: dict[int, list[Failure]] = {}
    for seed in range(first, first + 20):
        document = make_random_document(seed)
        if found := judge(document, generate(document)):
            wrong[seed] = found
    assert wrong == {}


def test_one_judge_serves_several_threads(make_threads: Callable[[Callable[[], bytes]], list[bytes]]) -> None:
    results = make_threads(lambda: write_xml(make_document()))
    assert len(set(results)) == 1
