"""Reads a bank statement: CSV as French banks write it, or CAMT.053 XML. Matching is `billing.payments`."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal, InvalidOperation

from lxml import etree

from api.domain.billing.payments import Movement
from api.domain.core.errors import N_, Invalid
from api.domain.pricing.prices import round_cents

MOST_BYTES = 5_000_000
MOST_LINES = 20_000

DATE = ("date operation", "date d operation", "date comptable", "date", "date de comptabilisation", "booking date")
TEXT = ("libelle", "libelle operation", "libelle simplifie", "description", "details", "motif", "label")
AMOUNT = ("montant", "montant(euros)", "montant eur", "amount")
CREDIT, DEBIT = ("credit", "credit euros", "montant credit"), ("debit", "debit euros", "montant debit")
NAME = ("contrepartie", "nom contrepartie", "tiers", "counterparty", "nom")


class NotAStatement(Invalid):
    """This bank statement cannot be read: {why}."""

    field = "file"


class BadLine(Invalid):
    """Line {line} of this bank statement cannot be read: check its date and its amount."""

    field = "file"


def read_statement(raw: bytes) -> list[Movement]:
    """The movements of a CSV or CAMT.053 file, in its order; raises NotAStatement."""
    if len(raw) > MOST_BYTES:
        raise NotAStatement(why=N_("it is larger than 5 MB"))
    lines = list(read_camt(raw) if raw.lstrip(b"\xef\xbb\xbf \r\n\t").startswith(b"<") else read_csv(raw))
    if not lines:
        raise NotAStatement(why=N_("it contains no movements"))
    if len(lines) > MOST_LINES:
        raise NotAStatement(why=N_("it contains too many movements"))
    return lines


def read_csv(raw: bytes) -> Iterator[Movement]:
    """Semicolon, comma or tab; a signed amount, or debit and credit."""
    # Banks write the account and the period above the table: the header is the first line with a date and a label.
    rows = list(csv.reader(io.StringIO(_text(raw)), delimiter=_delimiter(raw)))
    at = next((n for n, row in enumerate(rows) if _has(row, DATE) is not None and _has(row, TEXT) is not None), None)
    if at is None:
        raise NotAStatement(why=N_("no header line with the columns date, label and amount"))
    head = rows[at]
    for number, row in enumerate(rows[at + 1 :], start=at + 2):
        if any(cell.strip() for cell in row):
            yield _csv_line(head, row, number)


def _csv_line(head: list[str], row: list[str], number: int) -> Movement:
    def cell(names: tuple[str, ...]) -> str:
        index = _has(head, names)
        return row[index].strip() if index is not None and index < len(row) else ""

    try:
        amount = cell(AMOUNT)
        # In the column "debit" some banks write the amount with a minus, others without.
        cents = _cents(amount) if amount else abs(_cents(cell(CREDIT) or "0")) - abs(_cents(cell(DEBIT) or "0"))
        return Movement(_day(cell(DATE)), cents, " ".join(cell(TEXT).split()), cell(NAME))
    except (ValueError, InvalidOperation) as e:
        raise BadLine(line=number) from e


def _has(row: list[str], names: tuple[str, ...]) -> int | None:
    plain = [_plain(cell) for cell in row]
    return next((plain.index(name) for name in names if name in plain), None)


def _plain(cell: str) -> str:
    for accented, letter in (("é", "e"), ("è", "e"), ("'", " "), ("’", " "), ("\ufeff", "")):
        cell = cell.lower().replace(accented, letter)
    return " ".join(cell.split())


def _text(raw: bytes) -> str:
    # UTF-8 first: nearly any bytes are right in cp1252, so it could never be refused.
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise NotAStatement(why=N_("save it as UTF-8"))


def _delimiter(raw: bytes) -> str:
    head = raw[:4000]
    return max((";", "\t", ","), key=lambda mark: head.count(mark.encode()))


def _cents(text: str) -> int:
    """Of "1 234,56", "-1,234.56" and the like; raises InvalidOperation."""
    bare = re.sub(r"[\s\u00a0\u202f€]|EUR", "", text)
    # Of comma and point, the one that stands last is the decimal mark.
    if "," in bare and bare.rfind(",") > bare.rfind("."):
        bare = bare.replace(".", "").replace(",", ".")
    return round_cents(Decimal(bare.replace(",", "")))


def _day(text: str) -> date:
    for shape in ("%d/%m/%Y", "%Y-%m-%d", "%d/%m/%y", "%d-%m-%Y", "%d.%m.%Y"):
        try:
            return datetime.strptime(text, shape).date()  # noqa: DTZ007  # a day of a statement has no zone
        except ValueError:
            continue
    raise ValueError(text)


def read_camt(raw: bytes) -> Iterator[Movement]:
    """ISO 20022 camt.053, any version: booked entries in euros."""
    # The file comes from outside: no entities, no DTD, no network (XXE, and entities that unfold without end).
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        root = etree.fromstring(raw, parser)
    except etree.XMLSyntaxError as e:
        raise NotAStatement(why=N_("the XML is damaged")) from e
    if b"<!DOCTYPE" in raw or "camt.053" not in (etree.QName(root).namespace or ""):
        raise NotAStatement(why=N_("it is not CAMT.053"))
    for entry in root.iter("{*}Ntry"):
        yield _camt_line(entry)


def _camt_line(entry: etree._Element) -> Movement:
    amount = entry.find("{*}Amt")
    day = entry.find("{*}BookgDt/{*}Dt")
    if day is None:
        day = entry.find("{*}BookgDt/{*}DtTm")
    if amount is None or day is None or amount.get("Ccy") != "EUR":
        raise NotAStatement(why=N_("an entry has no date or no amount in euros"))
    sign = -1 if entry.findtext("{*}CdtDbtInd") == "DBIT" else 1
    # A reversal is stated with the sign of the entry that it takes back.
    sign = -sign if entry.findtext("{*}RvslInd") == "true" else sign
    words = [node.text or "" for tag in ("Ustrd", "EndToEndId", "Ref") for node in entry.iter(f"{{*}}{tag}")]
    words += [node.text or "" for node in entry.iter("{*}AddtlNtryInf")]
    party = next(iter([*entry.iterfind(".//{*}Dbtr//{*}Nm")]), None)
    try:
        return Movement(
            booked_on=date.fromisoformat((day.text or "")[:10]),
            cents=sign * round_cents(Decimal((amount.text or "").strip())),
            text=" ".join(" ".join(words).split())[:1000],
            counterparty=(party.text or "") if party is not None else "",
            # The bank's own reference tells two equal movements apart when a statement is imported twice.
            bank_id=entry.findtext("{*}AcctSvcrRef") or "",
        )
    except (ValueError, InvalidOperation) as e:
        raise NotAStatement(why=N_("an entry cannot be read")) from e
