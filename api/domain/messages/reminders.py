"""Letters about bookings, offers, gatherings, kits, skills and conventions, and the warning that a print overruns.

Written by the sweep, once per thing and state (`notifications` drops twins); refuses to change any of them but the mark
that its person was told.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.booking.bookings import Booking, BookingStatus, Wait, WaitStatus, list_hit_by
from api.domain.booking.gatherings import Gathering, GatheringStatus, Registration, RegistrationStatus
from api.domain.booking.kits import Kit
from api.domain.messages.notifications import LETTERS, Letter, write
from api.domain.people.accounts import Locale, User
from api.domain.people.roles import RANK, Level, Role
from api.domain.places.conventions import Convention
from api.domain.places.sites import Site, get_site
from api.domain.places.skills import list_ending
from api.domain.places.timeline import Hold, HoldReason
from api.domain.printing.runs import Run, get_run

# People hear so long before an authorisation or a convention ends.
AHEAD = timedelta(days=30)
AT_ONCE = 200

_FR, _EN = Locale.FR, Locale.EN
_HELLO = {_FR: "Bonjour {name},\n\n", _EN: "Hello {name},\n\n"}


def _pair(fr: tuple[str, str], en: tuple[str, str]) -> dict[Locale, Letter]:
    return {
        _FR: Letter(fr[0], _HELLO[_FR] + fr[1] + "\n"),
        _EN: Letter(en[0], _HELLO[_EN] + en[1] + "\n"),
    }


LETTERS.update(
    {
        "booking_requested": _pair(
            (
                "Demande reçue : {thing}, {when}",
                "votre demande pour {thing} à {site}, {when}, attend l'accord de l'équipe.",
            ),
            ("Request received: {thing}, {when}", "your request for {thing} at {site}, {when}, waits for approval."),
        ),
        "booking_confirmed": _pair(
            ("Réservé : {thing}, {when}", "{thing} vous est réservé à {site}, {when}."),
            ("Booked: {thing}, {when}", "{thing} is booked for you at {site}, {when}."),
        ),
        "booking_rejected": _pair(
            ("Demande refusée : {thing}, {when}", "votre demande pour {thing} à {site}, {when}, n'a pas été acceptée."),
            ("Request declined: {thing}, {when}", "your request for {thing} at {site}, {when}, was not accepted."),
        ),
        "booking_cancelled": _pair(
            ("Annulé : {thing}, {when}", "la réservation de {thing} à {site}, {when}, est annulée. Frais : {fee} €."),
            ("Cancelled: {thing}, {when}", "the booking of {thing} at {site}, {when}, is cancelled. Fee: {fee} €."),
        ),
        "booking_no_show": _pair(
            (
                "Absence : {thing}, {when}",
                "personne n'est venu pour {thing} à {site}, {when} : le créneau a été libéré.",
            ),
            ("Missed: {thing}, {when}", "nobody came for {thing} at {site}, {when}: the slot was freed."),
        ),
        "wait_offered": _pair(
            ("Un créneau s'est libéré : {thing}, {when}", "{thing} à {site}, {when}, vous est gardé jusqu'à {until}."),
            ("A slot is free: {thing}, {when}", "{thing} at {site}, {when}, is kept for you until {until}."),
        ),
        "kit_out": _pair(
            ("{thing} est hors service", "{thing} à {site} est hors service ({why}). Votre réservation : {when}."),
            ("{thing} is out of service", "{thing} at {site} is out of service ({why}). Your booking: {when}."),
        ),
        "skill_ends": _pair(
            (
                "Votre habilitation « {thing} » se termine",
                "votre habilitation « {thing} » est valable jusqu'au {when}.",
            ),
            ("Your authorisation “{thing}” ends", "your authorisation “{thing}” is good until {when}."),
        ),
        "convention_ends": _pair(
            ("La convention {thing} se termine", "la convention {thing} avec {site} se termine le {when}."),
            ("The convention {thing} ends", "the convention {thing} with {site} ends on {when}."),
        ),
        "seat_registered": _pair(
            ("Inscription : {thing}, {when}", "votre place pour « {thing} » à {site}, {when}, est réservée."),
            ("Registered: {thing}, {when}", "you have a seat at “{thing}”, {site}, {when}."),
        ),
        "seat_waiting": _pair(
            ("Liste d'attente : {thing}, {when}", "« {thing} » à {site}, {when}, est complet ; vous êtes en attente."),
            ("Waitlist: {thing}, {when}", "“{thing}” at {site}, {when}, is full; you are in line."),
        ),
        "seat_called_off": _pair(
            ("Annulé : {thing}, {when}", "« {thing} » à {site}, {when}, n'aura pas lieu."),
            ("Called off: {thing}, {when}", "“{thing}” at {site}, {when}, will not take place."),
        ),
        "run_overruns": _pair(
            (
                "{thing} : l'impression déborde",
                "l'impression sur {thing} à {site} déborde sur la réservation de {when}.",
            ),
            ("{thing}: the print overruns", "the print on {thing} at {site} runs into the booking at {when}."),
        ),
    }
)


def send_due(session: Session, *, now: datetime) -> None:
    """Write every letter that is due."""
    _tell_bookings(session, now)
    _tell_offers(session, now)
    _tell_seats(session, now)
    _tell_kits(session, now)
    _tell_endings(session, now)


def moment(when: datetime, *, site: Site, locale: Locale) -> str:
    """24/11/2026 10:00 (or 2026-11-24 10:00) on the wall clock of the place."""
    wall = when.astimezone(site.zone)
    return wall.strftime("%d/%m/%Y %H:%M" if locale == _FR else "%Y-%m-%d %H:%M")


def _tell_bookings(session: Session, now: datetime) -> None:
    """Its present status, once it is settled for this sweep; what is over already needs no letter."""
    query = select(Booking).where(Booking.told_at.is_(None)).order_by(Booking.id).limit(AT_ONCE)
    for booking in session.scalars(query.with_for_update(skip_locked=True, key_share=True)):
        if booking.status not in (BookingStatus.CHECKED_IN, BookingStatus.CHECKED_OUT):
            _tell_booking(session, booking, now)
        booking.told_at = now
    session.flush()


def _tell_booking(session: Session, booking: Booking, now: datetime) -> None:
    write(
        session,
        user=booking.user,
        kind=f"booking_{booking.status}",
        about=f"booking:{booking.id}:{booking.status_at:%y%m%d%H%M%S}:{booking.start_at:%y%m%d%H%M}",
        now=now,
        place=booking.site,
        thing=booking.resource.name,
        when=moment(booking.start_at, site=booking.site, locale=booking.user.locale),
        fee=f"{booking.fee_cents / 100:.2f}",
    )


def _tell_offers(session: Session, now: datetime) -> None:
    query = select(Wait).where(Wait.status == WaitStatus.OFFERED, Wait.told_at.is_(None)).limit(AT_ONCE)
    for wait in session.scalars(query.with_for_update(skip_locked=True)):
        site, locale = wait.resource.site, wait.user.locale
        write(
            session,
            user=wait.user,
            kind="wait_offered",
            about=f"wait:{wait.id}",
            now=now,
            place=site,
            thing=wait.resource.name,
            when=moment(wait.start_at, site=site, locale=locale),
            until=moment(wait.offered_until or wait.start_at, site=site, locale=locale),
        )
        wait.told_at = now
    session.flush()


def _tell_seats(session: Session, now: datetime) -> None:
    told = [RegistrationStatus.REGISTERED, RegistrationStatus.WAITING]
    query = select(Registration).where(Registration.told_at.is_(None), Registration.status.in_(told)).limit(AT_ONCE)
    for seat in session.scalars(query.with_for_update(skip_locked=True)):
        called_off = seat.gathering.status == GatheringStatus.CANCELLED
        _tell_seat(session, seat, "seat_called_off" if called_off else f"seat_{seat.status}", now)
        seat.told_at = now
    session.flush()


def _tell_seat(session: Session, seat: Registration, kind: str, now: datetime) -> None:
    gathering: Gathering = seat.gathering
    write(
        session,
        user=seat.user,
        kind=kind,
        about=f"seat:{seat.id}:{seat.joined_at:%y%m%d%H%M%S}",
        now=now,
        place=gathering.site,
        thing=gathering.title,
        when=moment(gathering.start_at, site=gathering.site, locale=seat.user.locale),
    )


def _tell_kits(session: Session, now: datetime) -> None:
    """Those who have booked a kit that is out of service, once per booking and time that it went out."""
    for kit in session.scalars(select(Kit).where(Kit.out_of_service_at.is_not(None)).order_by(Kit.id)):
        for booking in list_hit_by(session, kit=kit, now=now):
            write(
                session,
                user=booking.user,
                kind="kit_out",
                about=f"booking:{booking.id}:{kit.out_of_service_at:%y%m%d%H%M%S}",
                now=now,
                place=booking.site,
                thing=kit.resource.name,
                why=kit.out_of_service_why,
                when=moment(booking.start_at, site=booking.site, locale=booking.user.locale),
            )


def _tell_endings(session: Session, now: datetime) -> None:
    for granted in list_ending(session, before=now + AHEAD, now=now):
        site = get_site(session, granted.site_id)
        when = moment(granted.expires_at or now, site=site, locale=granted.user.locale)
        about, name = f"authorisation:{granted.id}", granted.skill.name
        write(session, user=granted.user, kind="skill_ends", about=about, now=now, place=site, thing=name, when=when)
        granted.warned_at = now
    query = select(Convention).where(
        Convention.ends_on.between(now.date(), (now + AHEAD).date()), Convention.warned_at.is_(None)
    )
    for convention in session.scalars(query.limit(AT_ONCE)):
        _tell_convention(session, convention, now)
    session.flush()


def _tell_convention(session: Session, convention: Convention, now: datetime) -> None:
    for person in convention.people:
        write(
            session,
            user=person.user,
            kind="convention_ends",
            about=f"convention:{convention.id}",
            now=now,
            place=convention.site,
            thing=convention.reference,
            when=convention.ends_on.isoformat(),
        )
    convention.warned_at = now


def warn_overrun(session: Session, *, run_id: str, now: datetime) -> None:
    """A print outlasts its hold and somebody has booked what comes next: staff and that person are written to."""
    run = get_run(session, UUID(run_id))
    following = _next_booking(session, run, now)
    people = _staff_of(session, run.job.site_id)
    if following is not None:
        people.append(following.user)
    site = get_site(session, run.job.site_id)
    when = following.start_at if following else now
    for person in {person.id: person for person in people}.values():
        write(
            session,
            user=person,
            kind="run_overruns",
            about=f"run:{run.id}",
            now=now,
            place=site,
            thing=run.printer.name,
            when=moment(when, site=site, locale=person.locale),
        )


def _next_booking(session: Session, run: Run, now: datetime) -> Booking | None:
    """Whose hold is the next on this printer: found by the hold, because buffers count."""
    query = select(Hold).where(
        Hold.resource_id == run.printer_id,
        Hold.reason == HoldReason.BOOKING,
        Hold.released_at.is_(None),
        Hold.during.op(">>")(run.hold.during) if run.hold else Hold.during.op("@>")(now),
    )
    held = session.scalar(query.order_by(Hold.during).limit(1))
    about = (held.about_id if held else None) or ""
    return session.get(Booking, int(about)) if about.isdigit() else None


def _staff_of(session: Session, site_id: int) -> list[User]:
    levels = [level for level in Level if RANK[level] >= RANK[Level.STAFF]]
    query = select(User).join(Role, Role.user_id == User.id).where(Role.site_id == site_id, Role.level.in_(levels))
    return list(session.scalars(query.where(User.disabled_at.is_(None)).order_by(User.id)))
