"""Letters about bookings, offers, gatherings, kits, skills and conventions, and the warning that a print overruns.

The sweep writes them: once per thing and state, because `notifications` drops a second one. `told_at` marks what is
done.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.booking.bookings import LIVE, Booking, BookingStatus, Wait, WaitStatus, list_affected_bookings
from api.domain.booking.gatherings import Gathering, GatheringStatus, Registration, RegistrationStatus
from api.domain.booking.kits import Kit
from api.domain.core.changes import map_last_verbs
from api.domain.messages.booking_texts import FEE, FREE, WHY
from api.domain.messages.notifications import Mail, date_text, local_time_text, money_text, write_letter
from api.domain.messages.printer_calls import call_staff
from api.domain.people.accounts import Locale
from api.domain.people.roles import list_staff
from api.domain.places.conventions import Convention
from api.domain.places.sites import get_site
from api.domain.places.skills import Authorisation, list_ending
from api.domain.places.timeline import Hold, HoldReason
from api.domain.pricing.prices import vat_cents
from api.domain.pricing.tariffs import get_vat_rate
from api.domain.printing.maintenance import list_out_of_service, out_of_service_since
from api.domain.printing.runs import Run, get_run

# A letter goes out so long before an authorisation or a convention ends.
AHEAD = timedelta(days=30)
BATCH = 200
# How long a kit may come back after its end before somebody is written to.
LATE_BACK = timedelta(minutes=15)


def send_due(session: Session, *, now: datetime) -> None:
    """Write every letter that is due."""
    _write_for_bookings(session, now)
    _write_for_offers(session, now)
    _write_for_registrations(session, now)
    _write_for_kits(session, now)
    _write_for_printers(session, now)
    _write_for_late_kits(session, now)
    _write_for_suspensions(session, now)
    _write_for_endings(session, now)
    call_staff(session, now=now)


def _write_for_bookings(session: Session, now: datetime) -> None:
    """One letter about the present status of each booking that changed; who is there already gets none."""
    # Rows that a request has locked are skipped: their change is not finished, and the next sweep finds them.
    query = select(Booking).where(Booking.told_at.is_(None)).order_by(Booking.id).limit(BATCH)
    bookings = list(session.scalars(query.with_for_update(skip_locked=True, key_share=True)))
    verbs = map_last_verbs(session, noun="booking", noun_ids=[str(booking.id) for booking in bookings])
    for booking in bookings:
        if booking.status not in (BookingStatus.CHECKED_IN, BookingStatus.CHECKED_OUT):
            # Who reads "booked" a second time would think of a second booking.
            is_moved = booking.status == BookingStatus.CONFIRMED and verbs.get(str(booking.id)) == "moved"
            _write_for_booking(session, booking, "booking_moved" if is_moved else f"booking_{booking.status}", now)
        booking.told_at = now
    session.flush()


def _write_for_booking(session: Session, booking: Booking, kind: str, now: datetime) -> None:
    locale, site, fee_cents = booking.user.locale, booking.site, _shown_fee_cents(session, booking)
    free_until = local_time_text(booking.free_until, site=site, locale=locale)
    write_letter(
        session,
        user=booking.user,
        kind=kind,
        # Each change is another subject, else its letter would be dropped as a second one.
        about=f"booking:{booking.id}:{booking.revision}",
        now=now,
        site=site,
        thing=booking.resource.name,
        when=local_time_text(booking.start_at, site=site, locale=locale),
        ends=f" – {_end_time(booking, locale)}",
        why=WHY[locale].format(booking.cancelled_why.rstrip(".")) if booking.cancelled_why else "",
        free=FREE[locale].format(free_until) if booking.late_fee_cents and booking.free_until > now else "",
        fee=FEE[locale].format(money_text(fee_cents, locale)) if fee_cents else "",
    )


def _shown_fee_cents(session: Session, booking: Booking) -> int:
    """A person reads what they will pay; an organisation, as on all its prices, the amount without VAT."""
    if not booking.fee_cents or booking.organisation_id is not None:
        return booking.fee_cents
    rate = get_vat_rate(session, site_id=booking.site_id, at=booking.start_at)
    return booking.fee_cents + vat_cents(booking.fee_cents, rate)


def _end_time(booking: Booking, locale: Locale) -> str:
    """The hour alone, when it ends on the day of its start."""
    start, end = (when.astimezone(booking.site.zone) for when in (booking.start_at, booking.end_at))
    is_same_day = start.date() == end.date()
    return f"{end:%H:%M}" if is_same_day else local_time_text(booking.end_at, site=booking.site, locale=locale)


def _write_for_offers(session: Session, now: datetime) -> None:
    """To those who are made an offer, and to those whose offer is withdrawn, who wait again."""
    # Who waits and was never made an offer has no letter to come.
    is_due = (Wait.status == WaitStatus.OFFERED) | (
        (Wait.status == WaitStatus.WAITING) & Wait.offered_until.is_not(None)
    )
    query = select(Wait).where(is_due, Wait.told_at.is_(None)).order_by(Wait.id).limit(BATCH)
    for wait in session.scalars(query.with_for_update(skip_locked=True)):
        site, locale, until = wait.resource.site, wait.user.locale, wait.offered_until or wait.start_at
        write_letter(
            session,
            user=wait.user,
            kind="wait_offered" if wait.status == WaitStatus.OFFERED else "wait_withdrawn",
            # By the time of the offer, because a second one is another letter.
            about=f"wait:{wait.id}:{until:%y%m%d%H%M%S}",
            now=now,
            site=site,
            thing=wait.resource.name,
            when=local_time_text(wait.start_at, site=site, locale=locale),
            until=local_time_text(until, site=site, locale=locale),
        )
        wait.told_at = now
    session.flush()


def _write_for_registrations(session: Session, now: datetime) -> None:
    statuses = [RegistrationStatus.REGISTERED, RegistrationStatus.WAITING]
    query = select(Registration).where(Registration.told_at.is_(None), Registration.status.in_(statuses)).limit(BATCH)
    for seat in session.scalars(query.with_for_update(skip_locked=True)):
        called_off = seat.gathering.status == GatheringStatus.CANCELLED
        _write_for_registration(session, seat, "seat_called_off" if called_off else f"seat_{seat.status}", now)
        seat.told_at = now
    session.flush()


def _write_for_registration(session: Session, seat: Registration, kind: str, now: datetime) -> None:
    gathering: Gathering = seat.gathering
    write_letter(
        session,
        user=seat.user,
        kind=kind,
        # Who leaves and registers again gets a new letter.
        about=f"seat:{seat.id}:{seat.joined_at:%y%m%d%H%M%S}",
        now=now,
        site=gathering.site,
        thing=gathering.title,
        when=local_time_text(gathering.start_at, site=gathering.site, locale=seat.user.locale),
    )


def _write_for_kits(session: Session, now: datetime) -> None:
    """To those who have booked a kit that is out of service, each time that it goes out of service."""
    for kit in session.scalars(select(Kit).where(Kit.out_of_service_at.is_not(None)).order_by(Kit.id)):
        for booking in list_affected_bookings(session, resource_id=kit.id, now=now):
            since, why = kit.out_of_service_at or now, kit.out_of_service_why
            _warn_of_failure(session, booking, "kit_out", since=since, now=now, thing=kit.resource.name, why=why)


def _write_for_printers(session: Session, now: datetime) -> None:
    """To those who have booked a printer that is in maintenance, once for each maintenance."""
    for printer in list_out_of_service(session):
        since = out_of_service_since(session, printer=printer) or now
        for booking in list_affected_bookings(session, resource_id=printer.id, now=now):
            _warn_of_failure(session, booking, "printer_out", since=since, now=now, thing=printer.name)


def _warn_of_failure(
    session: Session, booking: Booking, kind: str, *, since: datetime, now: datetime, thing: str, why: str = ""
) -> None:
    """What a booking to come rests on has failed `since` then: once each time that it fails."""
    write_letter(
        session,
        user=booking.user,
        kind=kind,
        about=_about_failure(booking, since),
        now=now,
        site=booking.site,
        thing=thing,
        why=why,
        when=local_time_text(booking.start_at, site=booking.site, locale=booking.user.locale),
    )


def _about_failure(booking: Booking, since: datetime) -> str:
    return f"booking:{booking.id}:{since:%y%m%d%H%M%S}"


def notify_repair(session: Session, *, resource_id: int, since: str, now: datetime) -> None:
    """To those who were told that what they have booked has failed `since` then (ISO 8601): it is usable again."""
    failed_at = datetime.fromisoformat(since)
    for booking in list_affected_bookings(session, resource_id=resource_id, now=now):
        about = _about_failure(booking, failed_at)
        letters = select(Mail.id).where(Mail.kind.in_(("kit_out", "printer_out")), Mail.about == about)
        if session.scalar(letters.limit(1)) is not None:
            name = booking.resource.name
            _warn_of_failure(session, booking, "out_over", since=failed_at, now=now, thing=name)


def _write_for_late_kits(session: Session, now: datetime) -> None:
    """To the staff and the person, once, when a kit is not back some time after its end."""
    query = (
        select(Booking)
        .join(Kit, Kit.id == Booking.resource_id)
        .where(
            Booking.status == BookingStatus.CHECKED_IN,
            # Older ones have been written about.
            Booking.end_at.between(now - timedelta(days=2), now - LATE_BACK),
        )
    )
    for booking in session.scalars(query.order_by(Booking.id)):
        people = {person.id: person for person in (*list_staff(session, site_id=booking.site_id), booking.user)}
        for person in people.values():
            write_letter(
                session,
                user=person,
                kind="kit_late",
                about=f"booking:{booking.id}:late",
                now=now,
                site=booking.site,
                thing=booking.resource.name,
                when=local_time_text(booking.end_at, site=booking.site, locale=person.locale),
            )


def _write_for_suspensions(session: Session, now: datetime) -> None:
    """To those whose booking stands under a convention that is suspended: their code opens no door."""
    query = (
        select(Booking, Convention)
        .join(Convention, Convention.id == Booking.convention_id)
        .where(Convention.suspended_at.is_not(None), Booking.start_at > now, Booking.status.in_(LIVE))
        .order_by(Booking.id)
    )
    for booking, convention in session.execute(query):
        since, name = convention.suspended_at or now, convention.reference
        _warn_of_failure(session, booking, "convention_suspended", since=since, now=now, thing=name)


def _write_for_endings(session: Session, now: datetime) -> None:
    for authorisation in list_ending(session, before=now + AHEAD, now=now):
        _write_for_authorisation(session, authorisation, now)
    query = select(Convention).where(
        Convention.ends_on.between(now.date(), (now + AHEAD).date()), Convention.warned_at.is_(None)
    )
    for convention in session.scalars(query.limit(BATCH)):
        _write_for_convention(session, convention, now)
    session.flush()


def _write_for_authorisation(session: Session, authorisation: Authorisation, now: datetime) -> None:
    site, person = get_site(session, authorisation.site_id), authorisation.user
    write_letter(
        session,
        user=person,
        kind="skill_ends",
        about=f"authorisation:{authorisation.id}",
        now=now,
        site=site,
        thing=authorisation.skill.name,
        when=local_time_text(authorisation.expires_at or now, site=site, locale=person.locale),
    )
    authorisation.warned_at = now


def _write_for_convention(session: Session, convention: Convention, now: datetime) -> None:
    for person in convention.people:
        write_letter(
            session,
            user=person.user,
            kind="convention_ends",
            about=f"convention:{convention.id}",
            now=now,
            site=convention.site,
            thing=convention.reference,
            when=date_text(convention.ends_on, person.user.locale),
        )
    convention.warned_at = now


def warn_overrun(session: Session, *, run_id: str, now: datetime) -> None:
    """Write to the staff that a print outlasts its hold, and to the person whose booking comes next, if any."""
    run = get_run(session, UUID(run_id))
    following = _next_booking(session, run, now)
    people = list_staff(session, site_id=run.job.site_id)
    if following is not None:
        people.append(following.user)
    site = get_site(session, run.job.site_id)
    when = following.start_at if following else now
    # By id, because the person of the booking may be one of the staff.
    for person in {person.id: person for person in people}.values():
        write_letter(
            session,
            user=person,
            kind="run_overruns",
            about=f"run:{run.id}",
            now=now,
            site=site,
            thing=run.printer.name,
            when=local_time_text(when, site=site, locale=person.locale),
        )


def _next_booking(session: Session, run: Run, now: datetime) -> Booking | None:
    # By the hold, not by the times of the booking: the print runs into its buffer first.
    query = select(Hold).where(
        Hold.resource_id == run.printer_id,
        Hold.reason == HoldReason.BOOKING,
        Hold.released_at.is_(None),
        Hold.during.op(">>")(run.hold.during) if run.hold else Hold.during.op("@>")(now),
    )
    hold = session.scalar(query.order_by(Hold.during).limit(1))
    about = (hold.about_id if hold else None) or ""
    return session.get(Booking, int(about)) if about.isdigit() else None
