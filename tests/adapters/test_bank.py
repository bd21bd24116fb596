"""What is no bank statement is refused, whatever its bytes."""

import pytest

from api.adapters.bank import BadLine, NotAStatement, read_statement
from tests.world.statements import camt


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"hello",
        b"Date;Libelle;Montant\r\nhier;x;1,00\r\n",
        b"Date;Libelle;Montant\r\n24/11/2026;x;beaucoup\r\n",
        b"<Document/>",
        b"<Document",
        b'<!DOCTYPE a [<!ENTITY b "c">]>' + camt("&b;"),
        camt('<Ntry><Amt Ccy="USD">1</Amt><BookgDt><Dt>2026-11-24</Dt></BookgDt></Ntry>'),
        b"x" * 5_000_001,
    ],
)
def test_what_is_no_statement_is_refused(raw: bytes) -> None:
    with pytest.raises((NotAStatement, BadLine)):
        read_statement(raw)
