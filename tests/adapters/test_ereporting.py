"""Flux 10: the day's sales to consumers as the state's schema wants them, with the sums of the invoices."""

from datetime import UTC, date, datetime
from decimal import Decimal
from importlib import util
from pathlib import Path

import pytest
from lxml import etree

from api.adapters.ereporting import PeriodTooShort, PlatformUnnamed, report_sales
from api.domain.billing.invoices import DayTotal, VatOperation
from tests.world.billing import Shop

FIRST, END = date(2026, 11, 1), date(2026, 12, 1)
#: 00:30 on the first of December in Paris.
NOW = datetime(2026, 11, 30, 23, 30, tzinfo=UTC)
SALES = [
    DayTotal(date(2026, 11, 3), VatOperation.GOODS, Decimal("5.5"), 1000, 55),
    DayTotal(date(2026, 11, 3), VatOperation.GOODS, Decimal("20.0"), 2500, 500),
    DayTotal(date(2026, 11, 3), VatOperation.SERVICES, Decimal(20), 999, 200),
    DayTotal(date(2026, 11, 4), VatOperation.EXEMPT, Decimal(0), -300, 0),
]


def report(shop: Shop, **over: object) -> etree._Element:
    facts = {"start": FIRST, "end": END, "platform": "0042", "now": NOW, **over}
    return etree.fromstring(report_sales(SALES, seller=shop.seller, **facts))  # type: ignore[arg-type]  # as named


def test_each_day_and_category_is_one_group_whose_rates_add_up(shop: Shop) -> None:
    groups = report(shop).findall("TransactionsReport/Transactions")
    told = [
        [each.findtext(tag) for tag in ("Date", "CategoryCode", "TaxExclusiveAmount", "TaxTotal")] for each in groups
    ]

    assert told == [
        ["20261103", "TLB1", "35.00", "5.55"],
        ["20261103", "TPS1", "9.99", "2.00"],
        ["20261104", "TNT1", "-3.00", "0.00"],
    ]
    assert [each.findtext("TaxPercent") for each in groups[0].findall("TaxSubtotal")] == ["5.5", "20"]


def test_who_sends_who_declares_and_when(shop: Shop) -> None:
    root = report(shop)

    assert [(each.text, each.get("schemeId")) for each in root.iterfind("ReportDocument/*/Id")] == [
        ("0042", "0238"),
        (shop.seller.siren, "0002"),
    ]
    assert root.findtext("ReportDocument/IssueDateTime/DateTimeString") == "20261201003000"
    assert root.findtext("TransactionsReport/ReportPeriod/EndDate") == "20261130"
    assert len(root.findtext("ReportDocument/Id") or "") <= 50


def test_a_report_needs_the_platforms_number_and_more_than_a_day(shop: Shop) -> None:
    with pytest.raises(PlatformUnnamed):
        report(shop, platform="")
    with pytest.raises(PeriodTooShort):
        report(shop, end=date(2026, 11, 2))


@pytest.mark.skipif(util.find_spec("mcp_facture_electronique_fr") is None, reason="the state's XSD is not installed")
def test_the_schema_of_the_state_accepts_it(shop: Shop) -> None:
    found = util.find_spec("mcp_facture_electronique_fr")
    assert found is not None
    folder = Path(str((found.submodule_search_locations or [""])[0])) / "resources/dgfip/xsd"
    etree.XMLSchema(etree.parse(folder / "ereporting.xsd")).assertValid(report(shop))
