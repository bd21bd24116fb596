"""What the demo sells with: a fictitious legal entity of the network, and a buyer's company. Runs again safely.

Refuses real identities: the keys are computed and belong to nobody we know of; the IBAN is a published test one.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session
from stdnum import luhn
from stdnum.fr import siren as siren_rules

from api.domain.billing import organisations, sellers
from api.domain.billing.facturx import Address, Bank, Party
from api.domain.billing.organisations import BillingDetails
from api.domain.billing.sellers import Seller
from api.domain.people.accounts import User, list_organisations
from api.domain.pricing.legal import Regime


def seed_money(session: Session, *, buyer: User, now: datetime) -> None:
    """Make what lacks, so that a quote can be asked for at once; for the buyer's first organisation."""
    if session.scalar(select(Seller.id)) is None:
        _add_seller(session, now)
    for organisation in list_organisations(session, user=buyer)[:1]:
        if organisations.find_details(session, organisation=organisation) is None:
            siren, siret, vat_number = _keys("90000000")
            details = BillingDetails(
                name=organisation.name,
                legal_form="SARL",
                address=Address(lines=("12 rue de l'Exemple",), postcode="48000", city="Mende"),
                siren=siren,
                siret=siret,
                vat_number=vat_number,
            )
            organisations.change_details(session, organisation=organisation, actor=buyer, details=details, now=now)


def _add_seller(session: Session, now: datetime) -> None:
    siren, siret, vat_number = _keys("91000000")
    party = Party(
        name="Réseau Établi (démonstration)",
        legal_form="SAS au capital de 1 000 €",
        address=Address(lines=("1 place de la Démonstration",), postcode="48000", city="Mende"),
        siren=siren,
        siret=siret,
        vat_number=vat_number,
    )
    bank = Bank(iban="FR7630006000011234567890189", bic="AGRIFRPPXXX", name="Banque d'essai")
    sellers.add_seller(session, party=party, bank=bank, regime=Regime.PAYER, now=now)


def _keys(stem: str) -> tuple[str, str, str]:
    """SIREN, SIRET and VAT number with right keys, from eight digits."""
    siren = stem + luhn.calc_check_digit(stem)
    site = siren + "0001"
    return siren, site + luhn.calc_check_digit(site), "FR" + siren_rules.to_tva(siren).replace(" ", "")
