"""The 25 checks of an independent reviewer of French invoices, each with the tests that make it; and what is not run.

Refuses a check without a test: one that is renamed or removed is missed here.
"""

import ast
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.adapters.invoicing import judge
from api.domain.billing.facturx import Document, faults
from api.domain.billing.invoices import Invoice
from api.domain.core.errors import Invalid
from tests.world.billing import Shop, issue
from tests.world.documents import make_bank, make_buyer, make_document, make_siren, make_siret, make_vat_number

TESTS = Path(__file__).resolve().parents[2]
PDF, XML, RELEASE, ARCHIVE, REPORT, GATEWAYS = (
    f"adapters/test_{name}.py" for name in ("pdf", "xml", "release", "archive", "ereporting", "gateways")
)
TOTALS, CHECKS, ORGANISATIONS, ISSUE, RACES, PAY, HERE = (
    f"domain/billing/test_{name}.py"
    for name in ("totals", "checks", "organisations", "invoices", "races", "payments", "acceptance")
)
LEGAL, TABS, API = "domain/pricing/test_legal.py", "domain/sales/test_tabs.py", "routes/billing/test_payments.py"

MADE_BY: dict[int, list[tuple[str, str]]] = {
    1: [(XML, "a_right_document_passes_every_judge"), (PDF, "the_lint_finds_what_was_spoiled"),
        (PDF, "the_xml_inside_is_the_xml_that_was_checked")],
    2: [(XML, "enough_rules_fire_for_the_judges_to_be_awake"), (XML, "random_documents_pass_every_judge")],
    3: [(XML, "enough_rules_fire_for_the_judges_to_be_awake"), (XML, "schematrons_catch_what_they_are_for")],
    4: [(XML, "one_cent_more_in_our_builder_stops_the_release"), (XML, "without_saxonche_nothing_is_released"),
        (ISSUE, "an_absent_validator_refuses")],
    5: [(PDF, "preflight_complains_only_of_what_pdf_a_3_allows")],
    6: [(PDF, "one_font_family_embedded_as_a_subset")],
    7: [(PDF, "a_released_document_has_no_fault"), (PDF, "the_lint_finds_what_was_spoiled")],
    8: [(PDF, "every_mention_of_the_law_is_printed")],
    9: [(PDF, "printed_totals_are_those_of_the_xml"), (PDF, "a_misprinted_total_is_found")],
    10: [(TOTALS, "every_sum_can_be_recounted_by_hand"), (XML, "our_recount_catches_what_schematrons_let_through")],
    11: [(PDF, "a_franchise_prints_its_article_and_no_vat"),
         (XML, "a_franchise_is_category_e_with_text_code_and_its_siren"),
         (LEGAL, "the_franchise_mention_changes_on_the_first_of_september_2026")],
    12: [(XML, "vat_on_debits_is_said_only_when_opted"),
         (PDF, "a_public_buyer_reads_its_service_code_and_engagement")],
    13: [(PDF, "a_delivery_address_is_printed_only_when_it_is_another"),
         (XML, "a_delivery_address_is_given_only_when_it_is_another")],
    14: [(CHECKS, "the_frame_follows_what_is_sold"), (XML, "the_frame_of_the_xml_says_goods_services_or_both")],
    15: [(ORGANISATIONS, "what_is_wrong_is_named_at_its_field"), (HERE, "a_wrong_key_is_refused_again_at_issue")],
    16: [(RACES, "eight_issuers_with_crashes_leave_no_gap"), (ISSUE, "numbers_count_from_one_each_year"),
         (ISSUE, "a_date_before_the_last_is_refused"), (CHECKS, "what_is_wrong_is_refused_by_its_name")],
    17: [(ISSUE, "the_database_refuses_to_change_what_was_issued"),
         (ISSUE, "the_chain_finds_what_was_changed_past_the_guard")],
    18: [(XML, "a_credit_note_names_its_original_and_its_date"), (TOTALS, "credit_above_what_remains_is_refused"),
         (ISSUE, "a_full_credit_brings_the_ledger_to_zero"), (ISSUE, "a_credit_by_line_leaves_the_rest")],
    19: [(TOTALS, "vat_over_deposit_and_final_is_the_vat_of_the_whole_sale"),
         (ISSUE, "a_deposit_and_its_final_invoice_bear_the_vat_of_the_sale")],
    20: [(XML, "a_card_sale_is_paid_in_full"), (PDF, "a_paid_invoice_says_so_and_has_no_qr_code"),
         (TABS, "a_member_pays_a_print_and_a_booking_in_cash_and_every_judge_accepts")],
    21: [(XML, "a_public_buyer_gets_siret_service_code_and_engagement_in_extended"),
         (ISSUE, "a_public_buyer_that_wants_its_codes_blocks_issue_without_them"),
         (TABS, "a_public_buyer_that_wants_an_engagement_number_gets_no_invoice_without")],
    22: [(API, "a_checkout_is_paid_by_its_webhook_only_once"), (PAY, "another_amount_is_flagged_and_not_booked"),
         (GATEWAYS, "contract_only_a_fresh_and_right_signature_is_believed")],
    23: [(PDF, "the_qr_code_pays_the_exact_amount_to_the_right_account"),
         (PDF, "the_qr_code_in_the_file_is_that_code_module_by_module")],
    24: [(RELEASE, "nothing_that_changes_later_changes_the_document"),
         (ARCHIVE, "an_export_verifies_offline_and_a_changed_byte_is_found")],
    25: [(ISSUE, "the_fec_has_18_columns_and_the_vat_of_the_invoices"),
         (TABS, "a_sale_at_the_desk_is_in_the_days_e_reporting"), (REPORT, "the_schema_of_the_state_accepts_it")],
}  # fmt: skip
#: Of an outside service, or of a program that is not installed here.
NOT_RUN = {
    5: "veraPDF -f 3a (PDFBox preflight runs, where Debian's jars are installed)",
    25: "the state's XSD, unless the package that carries it is installed; FNFE-MPE's online validator",
}


@cache
def names_in(path: str) -> frozenset[str]:
    tree = ast.parse((TESTS / path).read_text())
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


@pytest.mark.parametrize("number", range(1, 26))
def test_each_check_is_made_by_tests_that_exist(number: int) -> None:
    missing = [f"{path}::{name}" for path, name in MADE_BY[number] if f"test_{name}" not in names_in(path)]

    assert missing == []


def with_buyer(**wrong: Any) -> Document:
    return make_document(buyer=replace(make_buyer(), **wrong))


@pytest.mark.parametrize(
    ("draft", "error"),
    [
        (with_buyer(siren="123456789", siret=None, vat_number=None), faults.WrongSiren),
        (with_buyer(siret=make_siret(make_siren(41))), faults.SiretOfAnother),
        (with_buyer(vat_number=make_vat_number(make_siren(41))), faults.WrongVatNumber),
        (make_document(bank=replace(make_bank(), iban="FR7630006000011234567890188")), faults.WrongIban),
    ],
)
def test_a_wrong_key_is_refused_again_at_issue(
    session: Session, shop: Shop, draft: Document, error: type[Invalid]
) -> None:
    with pytest.raises(error):
        issue(session, shop, draft=draft, judge=judge)

    assert session.scalar(select(func.count()).select_from(Invoice)) == 0
