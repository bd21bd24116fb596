"""Legal texts are dated: the same sale says something else on another day."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest

from api.domain.pricing.legal import (
    CustomerType,
    NoLegalText,
    Regime,
    longest_term_days,
    mentions,
    threshold_cents,
    to_confirm,
    vat_rates,
)


def test_the_franchise_mention_changes_on_the_first_of_september_2026() -> None:
    before = mentions(date(2026, 8, 31), Regime.FRANCHISE)
    after = mentions(date(2026, 9, 1), Regime.FRANCHISE)
    assert before.exemption == "TVA non applicable, art. 293 B du CGI"
    assert after.exemption is not None
    assert "L. 223-3" in after.exemption
    assert "CGI" not in after.exemption
    assert after.exemption_code == "VATEX-FR-FRANCHISE"


def test_who_charges_vat_has_no_exemption() -> None:
    assert mentions(date(2026, 11, 23), Regime.PAYER).exemption is None


def test_a_day_without_a_text_is_refused() -> None:
    with pytest.raises(NoLegalText):
        mentions(date(2028, 1, 1), Regime.EXEMPT_ASSOCIATION)


def test_public_buyers_and_consumers_have_their_own_law() -> None:
    on = date(2026, 11, 23)
    assert longest_term_days(on, CustomerType.PUBLIC) == 30
    assert longest_term_days(on, CustomerType.BUSINESS) == 60
    assert "Banque centrale" in str(mentions(on, Regime.PAYER, CustomerType.PUBLIC).penalty)
    assert mentions(on, Regime.PAYER, CustomerType.CONSUMER).penalty is None


def test_rates_thresholds_and_open_questions_are_configuration() -> None:
    on = date(2026, 11, 23)
    assert Decimal("5.5") in vat_rates(on)
    assert Decimal(21) not in vat_rates(on)
    assert threshold_cents(on, "franchise_goods") == 8_500_000
    assert any("261" in each for each in to_confirm())
