"""Who sells in the demo and who buys: a fictitious legal entity of the network, and the details of a company.

No identity is real: the check digits are computed, and the IBAN is a published test number.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session
from stdnum import luhn
from stdnum.fr import siren as siren_rules

from api.domain.billing import organisations, sellers
from api.domain.billing.facturx import Address, Bank, Party
from api.domain.billing.money_rights import give_money_right
from api.domain.billing.organisations import BillingDetails
from api.domain.billing.sellers import Seller
from api.domain.people.accounts import User, list_organisations
from api.domain.pricing.legal import Regime


def seed_billing(session: Session, *, buyer: User, staff_email: str, now: datetime) -> None:
    """Create what is missing, so that the buyer's first organisation can ask for a quote at once."""
    if session.scalar(select(Seller.id)) is None:
        seller = _add_seller(session, now)
        give_money_right(session, seller_id=seller.id, email=staff_email, actor=None, now=now)
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


def _add_seller(session: Session, now: datetime) -> Seller:
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
    return sellers.add_seller(session, party=party, bank=bank, regime=Regime.PAYER, now=now)


def _keys(stem: str) -> tuple[str, str, str]:
    """SIREN, SIRET and VAT number with valid check digits, from the first eight digits of the SIREN."""
    siren = stem + luhn.calc_check_digit(stem)
    site = siren + "0001"  # The NIC of the first establishment, without its check digit.
    return siren, site + luhn.calc_check_digit(site), "FR" + siren_rules.to_tva(siren).replace(" ", "")
