"""Sheets for a spreadsheet program: what a customer typed is never run as a formula."""

import csv
import zipfile
from datetime import date
from io import BytesIO, StringIO

import pytest

from api.adapters import sheets


def test_a_sheet_never_runs_what_a_customer_typed() -> None:
    rows: list[list[sheets.Cell]] = [["=1+1", 5, date(2026, 11, 23), None]]

    assert b"'=1+1;5;2026-11-23;" in sheets.to_csv(["a", "b", "c", "d"], rows)
    with zipfile.ZipFile(BytesIO(sheets.to_xlsx("T", ["a", "b", "c", "d"], rows))) as package:
        assert "&#39;=1+1" in (sheet := package.read("xl/worksheets/sheet1.xml").decode()) or "'=1+1" in sheet


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@A1", "\t=1", "＝1", "＋1", "﹣1", "＠A1", "\r=1", "\n=1", "  =1"])
def test_no_text_is_run_as_a_formula(text: str) -> None:
    table = StringIO(sheets.to_csv(["a"], [[text]]).decode("utf-8-sig"), newline="")
    assert list(csv.reader(table, delimiter=";"))[1] == [f"'{text}"]


def test_a_sign_within_a_text_is_left_alone() -> None:
    assert "Dana -1 = 2" in sheets.to_csv(["a"], [["Dana -1 = 2"]]).decode("utf-8-sig").splitlines()
