"""Fictitious parties and documents: SIREN and SIRET Luhn-valid, made from a seed; test IBANs only."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

from stdnum import luhn
from stdnum.fr import siren as stdnum_siren

from api.domain.billing.facturx import (
    Address,
    Allowance,
    Bank,
    Document,
    DocumentAllowance,
    Line,
    Nature,
    Party,
    Reference,
    VatCategory,
    credit_note,
)
from api.domain.pricing.legal import Regime

ISSUED_ON = date(2026, 11, 23)


def make_siren(seed: int) -> str:
    stem = f"{random.Random(seed).randrange(10_000_000, 99_999_999)}"
    return stem + luhn.calc_check_digit(stem)


def make_siret(siren: str, establishment: int = 1) -> str:
    stem = f"{siren}{establishment:04d}"
    return stem + luhn.calc_check_digit(stem)


def make_vat_number(siren: str) -> str:
    return "FR" + stdnum_siren.to_tva(siren).replace(" ", "")


def make_party(seed: int, known_as: str, **over: Any) -> Party:
    siren = make_siren(seed)
    party = Party(
        name=known_as,
        address=Address(lines=(f"{seed} rue des Essais",), postcode="63000", city="Exempleville"),
        siren=siren,
        siret=make_siret(siren),
        vat_number=make_vat_number(siren),
    )
    return replace(party, **over)


def make_seller(**over: Any) -> Party:
    fields = {"legal_form": "SAS au capital de 10 000 €, RCS Exempleville", **over}
    return make_party(1, "Atelier du Test", **fields)


def make_buyer(**over: Any) -> Party:
    return make_party(2, "Ébénisterie Fictive SARL", **over)


def make_public_buyer(**over: Any) -> Party:
    fields = {
        "is_public": True,
        "service_code": "SERV-42",
        "needs_service_code": True,
        "needs_engagement": True,
        "vat_number": None,
        **over,
    }
    return make_party(3, "Commune d'Exempleville", **fields)


def make_consumer(**over: Any) -> Party:
    return make_party(4, "Camille Essai", siren=None, siret=None, vat_number=None, **over)


def make_bank() -> Bank:
    return Bank(iban="FR7630006000011234567890189", bic="AGRIFRPPXXX", name="Banque d'essai")


def make_line(**over: Any) -> Line:
    line = Line(
        description="Support de capteur, impression 3D",
        quantity=Decimal(10),
        unit="C62",
        unit_price=Decimal("2.0890"),
        nature=Nature.GOODS,
    )
    return replace(line, **over)


def make_lines() -> tuple[Line, ...]:
    return (
        make_line(details="PETG noir, qualité standard, 12,4 g"),
        make_line(description="Filament PLA", quantity=Decimal("37.4"), unit="GRM", unit_price=Decimal("0.085")),
        make_line(
            description="Temps machine",
            quantity=Decimal("2.5"),
            unit="HUR",
            unit_price=Decimal("18.3333"),
            nature=Nature.SERVICES,
        ),
        make_line(
            description="Préparation des fichiers",
            quantity=Decimal(1),
            unit="LS",
            unit_price=Decimal(60),
            nature=Nature.SERVICES,
            allowance=Allowance(amount_cents=600, reason="Remise adhérent 10 %"),
        ),
    )


def make_document(**over: Any) -> Document:
    fields: dict[str, Any] = {
        "number": "F2026-0001",
        "issued_on": ISSUED_ON,
        "due_on": over.get("issued_on", ISSUED_ON) + timedelta(days=30),
        "supplied_on": date(2026, 11, 20),
        "seller": make_seller(),
        "buyer": make_buyer(),
        "lines": make_lines(),
        "bank": make_bank(),
        "purchase_order": "BC-2026-117",
    }
    return Document(**{**fields, **over})


def as_franchise(document: Document) -> Document:
    """The same sale by a seller under the franchise, without a VAT number."""
    lines = tuple(replace(line, category=VatCategory.EXEMPT, rate=Decimal(0)) for line in document.lines)
    allowances = tuple(replace(a, category=VatCategory.EXEMPT, rate=Decimal(0)) for a in document.allowances)
    seller = replace(document.seller, vat_number=None, legal_form="Association loi 1901")
    return replace(document, regime=Regime.FRANCHISE, lines=lines, allowances=allowances, seller=seller)


def as_paid(document: Document, total_cents: int) -> Document:
    """The same sale, paid by card on the day of issue."""
    on = document.issued_on
    return replace(document, paid_cents=total_cents, paid_on=on, due_on=on)


def make_random_document(seed: int) -> Document:
    """1 to 60 lines, three rates; sometimes franchise, public buyer, credit note or consumer."""
    rng = random.Random(seed)
    lines = tuple(_random_line(rng) for _ in range(rng.choice([1, 2, 3, 4, 4, 5, 7]) if seed % 20 else 60))
    document = make_document(number=f"F2026-{seed:04d}", lines=lines)
    if rng.random() < 0.3:
        base = sum(line.quantity * line.unit_price for line in lines if line.rate == lines[0].rate)
        if base > 2:
            off = DocumentAllowance(amount_cents=int(base * 5), reason="Remise de fidélité", rate=lines[0].rate)
            document = replace(document, allowances=(off,))
    pick = rng.random()
    if pick < 0.2:
        return as_franchise(document)
    if pick < 0.4:
        return replace(document, buyer=make_public_buyer())
    if pick < 0.55:
        return credit_note(document, number=f"A2026-{seed:04d}", issued_on=ISSUED_ON, reason="Pièces refusées")
    if pick < 0.65:
        return replace(document, buyer=make_consumer())
    return document


def _random_line(rng: random.Random) -> Line:
    quantity = Decimal(rng.randrange(1, 2_000_000)).scaleb(-rng.choice([0, 2, 4])) % 1000 or Decimal(1)
    price = Decimal(rng.randrange(1, 90_000_000)).scaleb(-rng.choice([2, 4, 6])) % 500 or Decimal("0.125")
    gross_cents = int(quantity * price * 100)
    allowance = Allowance(amount_cents=gross_cents // 7, reason="Remise sur quantité") if gross_cents > 100 else None
    return make_line(
        description=rng.choice(["Boîtier étanche", "Heure de laser", "Pièce d'essai œuvrée", "Gabarit n° 4"]),
        quantity=quantity,
        unit=rng.choice(["C62", "HUR", "GRM", "MIN"]),
        unit_price=price,
        nature=rng.choice([Nature.GOODS, Nature.SERVICES]),
        rate=Decimal(rng.choice(["20", "20", "10", "5.5"])),
        allowance=allowance if rng.random() < 0.3 else None,
    )


def make_reference() -> Reference:
    return Reference(number="F2026-0001", issued_on=ISSUED_ON)
