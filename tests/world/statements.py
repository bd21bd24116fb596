"""Statements of a bank as tests write them: CSV as a French bank exports it, and camt.053."""

CSV = """Compte;30004;;
Date opération;Libellé;Débit;Crédit
24/11/2026;VIR RECU {number} MENUISERIE;;{amount}
24/11/2026;PRLV ELECTRICITE;-80,00;
"""


def french(cents: int) -> str:
    return f"{cents // 100:,}".replace(",", "\u202f") + f",{cents % 100:02d}"


def camt(entries: str) -> bytes:
    space = "urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"
    return f'<Document xmlns="{space}"><BkToCstmrStmt><Stmt>{entries}</Stmt></BkToCstmrStmt></Document>'.encode()


def entry(cents: int, words: str, ref: str, *, side: str = "CRDT") -> str:
    return (
        f'<Ntry><Amt Ccy="EUR">{cents / 100:.2f}</Amt><CdtDbtInd>{side}</CdtDbtInd>'
        f"<BookgDt><Dt>2026-11-24</Dt></BookgDt>"
        f"<AcctSvcrRef>{ref}</AcctSvcrRef><NtryDtls><TxDtls><RltdPties><Dbtr><Pty><Nm>ESSAI</Nm></Pty></Dbtr></RltdPties>"
        f"<RmtInf><Ustrd>{words}</Ustrd></RmtInf></TxDtls></NtryDtls></Ntry>"
    )
