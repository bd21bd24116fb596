"""Letters about who handles the money of a legal entity, and about what needs a second person.

They go to all who handle that money; those about a bank account or a closing also to the entity's own address.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from api.domain.billing.money_requests import MoneyRequest, RequestKind, mask_iban
from api.domain.billing.money_rights import list_money_people
from api.domain.billing.sellers import Seller
from api.domain.core.changes import Change
from api.domain.messages.notifications import HELLO, LETTERS, Letter, date_text, write_letter
from api.domain.people.accounts import Locale, User

_FR, _EN = Locale.FR, Locale.EN
_UNEXPECTED = {
    _FR: "\n\nSi cela vous étonne, parlez-en aux autres personnes concernées avant toute confirmation.\n",
    _EN: "\n\nIf this surprises you, talk to the others concerned before anybody confirms.\n",
}


def _letters(fr: tuple[str, str], en: tuple[str, str]) -> dict[Locale, Letter]:
    return {
        _FR: Letter(fr[0], HELLO[_FR] + fr[1] + _UNEXPECTED[_FR]),
        _EN: Letter(en[0], HELLO[_EN] + en[1] + _UNEXPECTED[_EN]),
    }


LETTERS.update(
    {
        "bank_requested": _letters(
            (
                "{seller}\u202f: changement de coordonnées bancaires demandé",
                (
                    "{actor} demande de remplacer le compte {old} par {new} ({bank}) sur les factures de {seller}. "
                    "Cela prend effet quand une autre personne confirme, au plus tard le {until}."
                ),
            ),
            (
                "{seller}: change of bank details requested",
                (
                    "{actor} asks to replace the account {old} by {new} ({bank}) on the invoices of {seller}. "
                    "It takes effect when another person confirms, by {until} at the latest."
                ),
            ),
        ),
        "bank_confirmed": _letters(
            (
                "{seller}\u202f: coordonnées bancaires changées",
                (
                    "{actor} a confirmé\u202f: les factures de {seller} portent maintenant le compte {new} ({bank}) "
                    "à la place de {old}."
                ),
            ),
            (
                "{seller}: bank details changed",
                "{actor} has confirmed: invoices of {seller} now show the account {new} ({bank}) instead of {old}.",
            ),
        ),
        "bank_withdrawn": _letters(
            (
                "{seller}\u202f: changement de coordonnées bancaires retiré",
                "{actor} a retiré la demande de remplacer le compte {old} par {new}. Rien ne change.",
            ),
            (
                "{seller}: change of bank details withdrawn",
                "{actor} has withdrawn the request to replace the account {old} by {new}. Nothing changes.",
            ),
        ),
        "closing_requested": _letters(
            (
                "{seller}\u202f: clôture demandée",
                (
                    "{actor} demande de clôturer les comptes de {seller} jusqu’au {day} inclus. "
                    "Cela prend effet quand une autre personne confirme, au plus tard le {until}."
                ),
            ),
            (
                "{seller}: closing of the books requested",
                (
                    "{actor} asks to close the books of {seller} up to and including {day}. "
                    "It takes effect when another person confirms, by {until} at the latest."
                ),
            ),
        ),
        "closing_confirmed": _letters(
            (
                "{seller}\u202f: comptes clôturés",
                "{actor} a confirmé\u202f: les comptes de {seller} sont clôturés jusqu’au {day} inclus.",
            ),
            (
                "{seller}: books closed",
                "{actor} has confirmed: the books of {seller} are closed up to and including {day}.",
            ),
        ),
        "closing_withdrawn": _letters(
            (
                "{seller}\u202f: demande de clôture retirée",
                "{actor} a retiré la demande de clôturer les comptes jusqu’au {day}. Rien ne change.",
            ),
            (
                "{seller}: closing of the books withdrawn",
                "{actor} has withdrawn the request to close the books up to {day}. Nothing changes.",
            ),
        ),
        "money_right_given": _letters(
            (
                "{seller}\u202f: {person} gère maintenant l’argent",
                "{actor} a donné à {person} le droit de gérer l’argent de {seller}.",
            ),
            (
                "{seller}: {person} now handles the money",
                "{actor} has given {person} the right to handle the money of {seller}.",
            ),
        ),
        "money_right_withdrawn": _letters(
            (
                "{seller}\u202f: {person} ne gère plus l’argent",
                "{actor} a retiré à {person} le droit de gérer l’argent de {seller}.",
            ),
            (
                "{seller}: {person} no longer handles the money",
                "{actor} has withdrawn from {person} the right to handle the money of {seller}.",
            ),
        ),
        "seller_email_changed": _letters(
            (
                "{seller}\u202f: adresse e-mail changée",
                "{actor} a remplacé l’adresse {old} de {seller} par {new}.",
            ),
            (
                "{seller}: e-mail address changed",
                "{actor} has replaced the address {old} of {seller} by {new}.",
            ),
        ),
    }
)


def notify_money_request(session: Session, *, request_id: int, verb: str, actor_id: int, now: datetime) -> None:
    """Write that a request was made, confirmed or withdrawn (`verb`), by `actor_id`."""
    request = session.get_one(MoneyRequest, request_id)
    seller, actor = session.get_one(Seller, request.seller_id), session.get_one(User, actor_id)
    kind, about = f"{request.kind.value}_{verb}", f"money_request:{request.id}"
    for person in list_money_people(session, seller_id=seller.id):
        words = _describe(request, person.locale)
        write_letter(
            session, user=person, kind=kind, about=about, now=now, seller=seller.name, actor=actor.name, **words
        )
    if seller.email:
        _write_to_seller(
            session, seller, seller.email, actor, kind=kind, about=about, now=now, **_describe(request, actor.locale)
        )


def _describe(request: MoneyRequest, locale: Locale) -> dict[str, Any]:  # Any: values of a template
    until = date_text(request.expires_at.date(), locale)
    if request.kind is RequestKind.CLOSING:
        return {"until": until, "day": date_text(request.until, locale)}
    old, new = mask_iban(request.old_bank.iban), mask_iban(request.bank.iban)
    return {"until": until, "old": old, "new": new, "bank": request.bank.name}


def _write_to_seller(
    session: Session, seller: Seller, address: str, actor: User, *, kind: str, about: str, now: datetime, **words: Any
) -> None:
    """To an address of the entity, which is no account: the letter stands in the list of who caused it."""
    write_letter(
        session,
        user=actor,
        recipient=address,
        kind=kind,
        about=f"{about}:entity",
        now=now,
        **{"name": seller.name, "seller": seller.name, "actor": actor.name, **words},
    )


def notify_money_right(session: Session, *, change_id: int, now: datetime) -> None:
    """Write that the right was given or withdrawn, as that change says; also to the person themselves."""
    change = session.get_one(Change, change_id)
    seller, person = session.get_one(Seller, int(change.noun_id)), session.get_one(User, change.facts["user"])
    actor = session.get_one(User, change.actor_id)
    people = {each.id: each for each in [*list_money_people(session, seller_id=seller.id), person]}
    for each in people.values():
        write_letter(
            session,
            user=each,
            kind=change.verb,
            about=f"change:{change.id}",
            now=now,
            seller=seller.name,
            person=person.name,
            actor=actor.name,
        )


def notify_seller_email(session: Session, *, seller_id: int, old: str, new: str, actor_id: int, now: datetime) -> None:
    """Write to the old address, which heard of requests until now, and to all who handle the money."""
    seller, actor = session.get_one(Seller, seller_id), session.get_one(User, actor_id)
    kind, about = "seller_email_changed", f"seller:{seller.id}:{now:%y%m%d%H%M%S}"
    words: dict[str, Any] = {"old": old, "new": new or "—"}
    for person in list_money_people(session, seller_id=seller.id):
        write_letter(
            session, user=person, kind=kind, about=about, now=now, seller=seller.name, actor=actor.name, **words
        )
    _write_to_seller(session, seller, old, actor, kind=kind, about=about, now=now, **words)
