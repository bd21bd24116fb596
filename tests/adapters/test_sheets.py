"""Sheets for a spreadsheet program: what a customer typed is never run as a formula."""

import zipfile
from datetime import date
from io import BytesIO

from api.adapters import sheets


def test_a_sheet_never_runs_what_a_customer_typed() -> None:
    rows: list[list[sheets.Cell]] = [["=1+1", 5, date(2026, 11, 23), None]]

    assert b"'=1+1;5;2026-11-23;" in sheets.to_csv(["a", "b", "c", "d"], rows)
    with zipfile.ZipFile(BytesIO(sheets.to_xlsx("T", ["a", "b", "c", "d"], rows))) as package:
        assert "&#39;=1+1" in (sheet := package.read("xl/worksheets/sheet1.xml").decode()) or "'=1+1" in sheet
