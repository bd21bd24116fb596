"""Texts of the letters about bookings, events, kits, authorisations and access agreements; `reminders` writes them."""

from __future__ import annotations

from api.domain.messages.notifications import HELLO, LETTERS, Letter
from api.domain.people.accounts import Locale

_FR, _EN = Locale.FR, Locale.EN
FEE = {_FR: " Frais d’annulation tardive : {}.", _EN: " Late cancellation fee: {}."}
WHY = {_FR: " Motif\u202f: {}.", _EN: " Reason: {}."}
FREE = {_FR: " Annulation sans frais jusqu’au {}.", _EN: " Cancelling is free until {}."}
# What becomes of a booking whose thing is out of service.
_KEPT = {
    _FR: "Votre réservation du {when} est gardée. Si ce n’est pas réparé à temps, elle sera annulée sans frais. "
    "D’ici là, vous pouvez la déplacer ou l’annuler sans frais, sur sa page.",
    _EN: "Your booking of {when} is kept. If it is not repaired by then, it will be cancelled free of charge. "
    "Until then you can move it or cancel it free of charge, on its page.",
}


def _letters(fr: tuple[str, str], en: tuple[str, str]) -> dict[Locale, Letter]:
    return {
        _FR: Letter(fr[0], HELLO[_FR] + fr[1] + "\n"),
        _EN: Letter(en[0], HELLO[_EN] + en[1] + "\n"),
    }


LETTERS.update(
    {
        "booking_requested": _letters(
            (
                "Demande reçue : {thing}, {when}",
                "Votre demande pour {thing} à {site}, {when}{ends}, attend la validation de l’équipe.",
            ),
            (
                "Request received: {thing}, {when}",
                "Your request for {thing} at {site}, {when}{ends}, is waiting for approval.",
            ),
        ),
        "booking_confirmed": _letters(
            ("Réservé : {thing}, {when}", "{thing} vous est réservé à {site}, {when}{ends}.{free}"),
            ("Booked: {thing}, {when}", "{thing} is booked for you at {site}, {when}{ends}.{free}"),
        ),
        "booking_moved": _letters(
            (
                "Déplacé\u202f: {thing}, {when}",
                "Votre réservation de {thing} à {site} est maintenant le {when}{ends}.{free}",
            ),
            ("Moved: {thing}, {when}", "Your booking of {thing} at {site} is now on {when}{ends}.{free}"),
        ),
        "booking_rejected": _letters(
            ("Demande refusée : {thing}, {when}", "Votre demande pour {thing} à {site}, {when}, n’a pas été acceptée."),
            ("Request refused: {thing}, {when}", "Your request for {thing} at {site}, {when}, was not accepted."),
        ),
        "booking_cancelled": _letters(
            ("Annulé : {thing}, {when}", "La réservation de {thing} à {site}, {when}{ends}, est annulée.{why}{fee}"),
            ("Cancelled: {thing}, {when}", "The booking of {thing} at {site}, {when}{ends}, is cancelled.{why}{fee}"),
        ),
        "booking_no_show": _letters(
            ("Absence : {thing}, {when}", "Personne n’est venu pour {thing} à {site}, {when} : le créneau est libéré."),
            ("No-show: {thing}, {when}", "Nobody came for {thing} at {site}, {when}: the slot has been released."),
        ),
        "wait_offered": _letters(
            ("Un créneau s’est libéré : {thing}, {when}", "{thing} à {site}, {when}, vous est gardé jusqu’au {until}."),
            ("A slot is free: {thing}, {when}", "{thing} at {site}, {when}, is kept for you until {until}."),
        ),
        "wait_withdrawn": _letters(
            (
                "Créneau retiré : {thing}, {when}",
                "{thing} à {site}, {when}, ne peut plus vous être proposé. Vous restez sur la liste d’attente.",
            ),
            (
                "Offer withdrawn: {thing}, {when}",
                "{thing} at {site}, {when}, can no longer be offered to you. You stay on the waitlist.",
            ),
        ),
        "kit_out": _letters(
            ("{thing} est hors service", "{thing} à {site} est hors service ({why}). " + _KEPT[_FR]),
            ("{thing} is out of service", "{thing} at {site} is out of service ({why}). " + _KEPT[_EN]),
        ),
        "printer_out": _letters(
            ("{thing} est en maintenance", "{thing} à {site} est en maintenance. " + _KEPT[_FR]),
            ("{thing} is in maintenance", "{thing} at {site} is in maintenance. " + _KEPT[_EN]),
        ),
        "out_over": _letters(
            (
                "{thing} est de nouveau utilisable",
                "Votre réservation, {when}, est maintenue : {thing} à {site} sera là.",
            ),
            ("{thing} can be used again", "{thing} at {site} can be used again. Your booking stands: {when}."),
        ),
        "kit_late": _letters(
            ("{thing} n’est pas rendu", "{thing} à {site} devait être rendu {when}."),
            ("{thing} is not back", "{thing} at {site} was due back {when}."),
        ),
        "skill_ends": _letters(
            (
                "Votre habilitation « {thing} » se termine",
                "Votre habilitation « {thing} » est valable jusqu’au {when}.",
            ),
            ("Your authorisation “{thing}” ends", "Your authorisation “{thing}” is valid until {when}."),
        ),
        "convention_ends": _letters(
            ("La convention {thing} se termine", "La convention {thing} avec {site} se termine le {when}."),
            ("The access agreement {thing} ends", "The access agreement {thing} with {site} ends on {when}."),
        ),
        "convention_suspended": _letters(
            (
                "La convention {thing} est suspendue",
                "La convention {thing} avec {site} est suspendue. Votre réservation du {when} n’ouvre plus la porte.",
            ),
            (
                "The access agreement {thing} is suspended",
                "The access agreement {thing} with {site} is suspended. Your booking of {when} opens no door now.",
            ),
        ),
        "seat_registered": _letters(
            ("Inscription : {thing}, {when}", "Votre place pour « {thing} » à {site}, {when}, est réservée."),
            ("Registered: {thing}, {when}", "Your seat at “{thing}”, {site}, {when}, is reserved."),
        ),
        "seat_waiting": _letters(
            (
                "Liste d’attente : {thing}, {when}",
                "« {thing} » à {site}, {when}, est complet : vous êtes sur liste d’attente.",
            ),
            ("Waitlist: {thing}, {when}", "“{thing}” at {site}, {when}, is full: you are on the waitlist."),
        ),
        "seat_called_off": _letters(
            ("Annulé : {thing}, {when}", "« {thing} » à {site}, {when}, n’aura pas lieu."),
            ("Event cancelled: {thing}, {when}", "“{thing}” at {site}, {when}, will not take place."),
        ),
        "run_overruns": _letters(
            (
                "{thing} : l’impression déborde",
                "L’impression sur {thing} à {site} déborde sur la réservation du {when}.",
            ),
            ("{thing}: the print overruns", "The print on {thing} at {site} runs into the booking of {when}."),
        ),
    }
)
