"""What the demo books with: rules, a VR kit, a helper, a room under a convention with a door, two gatherings."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.booking.bookings import BookingRequest, book, find_slots, get_terms
from api.domain.booking.gatherings import announce
from api.domain.booking.kits import create_kit
from api.domain.booking.rules import Policy, Rule, set_rule
from api.domain.people.accounts import User
from api.domain.places.calendar import local_instant
from api.domain.places.conventions import sign_convention
from api.domain.places.doors import add_door
from api.domain.places.sites import Resource, ResourceKind, Site, create_resource
from api.domain.places.skills import create_skill
from api.domain.pricing.prices import BookingRates


def seed_bookings(session: Session, *, sites: dict[str, Site], staff: User, member: User, now: datetime) -> None:
    """`sites` by slug; `staff` manages `atelier` and `telecentre`. Does nothing where rules stand already."""
    if session.scalar(select(Rule.id).limit(1)) is not None:
        return
    atelier, telecentre = sites["atelier"], sites["telecentre"]
    _set_rules(session, [atelier, telecentre], now)
    kit = _add_vr_kit(session, atelier, now)
    _add_helper(session, atelier, now)
    _sign_convention(session, telecentre, staff, member, now)
    _announce_gatherings(session, atelier, staff, now)
    _book_one(session, kit, member, now)


def _set_rules(session: Session, sites: list[Site], now: datetime) -> None:
    hourly = BookingRates(
        tiers=((0, Decimal(8)), (120, Decimal(6))), role_factors={"member": Decimal("0.5"), "staff": Decimal(0)}
    )
    room = Policy(max_minutes=600, quota_week_minutes=1200, cancel_minutes=24 * 60, late_fee_cents=500, rates=hourly)
    printer = Policy(min_minutes=30, step_minutes=30, max_minutes=480, at_once=2)
    for site in sites:
        set_rule(session, site=site, kind=ResourceKind.ROOM, policy=room, now=now)
        set_rule(session, site=site, kind=ResourceKind.PRINTER, policy=printer, now=now)


def _add_vr_kit(session: Session, site: Site, now: datetime) -> Resource:
    """A headset and its play area, as one kit; the headset that could be booked alone is retired."""
    query = select(Resource).where(Resource.site_id == site.id, Resource.kind == ResourceKind.VR_KIT)
    for headset_alone in session.scalars(query):
        headset_alone.retired_at = now  # Resources are never deleted: past bookings refer to them.
    headset = create_resource(session, site=site, kind=ResourceKind.MACHINE, name="Casque VR", now=now)
    area = create_resource(session, site=site, kind=ResourceKind.ROOM, name="Aire de jeu VR", now=now)
    items = [("Casque", "VR-0001"), ("Manette gauche", "VR-0002"), ("Manette droite", "VR-0003")]
    kit = create_kit(
        session,
        site=site,
        name="Kit VR 1",
        members=[headset, area],
        items=items,
        now=now,
        min_age=12,
        deposit_cents=20_000,
    )
    # Half an hour afterwards for cleaning; a quarter of an hour late and the slot is free again.
    policy = Policy(min_minutes=30, step_minutes=30, max_minutes=120, after_minutes=30, no_show_minutes=15)
    set_rule(session, site=site, kind=ResourceKind.VR_KIT, policy=policy, now=now)
    return kit.resource or session.get_one(Resource, kit.id)


def _add_helper(session: Session, site: Site, now: datetime) -> None:
    # Weekday (0 is Monday), from, until.
    hours = {"hours": [[1, "14:00", "17:00"], [3, "09:00", "12:00"]]}
    create_resource(session, site=site, kind=ResourceKind.PERSON, name="Aide aux démarches", now=now, facts=hours)


def _sign_convention(session: Session, site: Site, staff: User, member: User, now: datetime) -> None:
    """The meeting room on weekday evenings, for one person, with a door that checks codes offline."""
    rooms = session.scalars(
        select(Resource).where(Resource.site_id == site.id, Resource.kind == ResourceKind.ROOM)
    ).all()
    room = (
        rooms[0]
        if rooms
        else create_resource(session, site=site, kind=ResourceKind.ROOM, name="Salle du soir", now=now)
    )
    today = now.date()
    sign_convention(
        session,
        site=site,
        party=member,
        people=[member],
        areas=[room],
        # Outside the opening hours of the site, which end at 17:00: that is what a convention is for.
        hours=[(weekday, time(17), time(23)) for weekday in range(5)],
        signed_on=today,
        starts_on=today,
        ends_on=today + timedelta(days=365),
        actor=staff,
        now=now,
        reference="C-2026-01",
    )
    add_door(session, site=site, name="Entrée", actor=staff, now=now)


def _announce_gatherings(session: Session, site: Site, staff: User, now: datetime) -> None:
    skill = create_skill(session, slug="impression-3d", name="Impression 3D", now=now)
    for days, title, seats, taught in ((7, "Formation impression 3D", 6, skill), (12, "Soirée jeux", 20, None)):
        start = local_instant(site.zone, (now + timedelta(days=days)).date(), time(18))
        announce(
            session,
            site=site,
            title=title,
            start=start,
            end=start + timedelta(hours=2),
            seats=seats,
            actor=staff,
            now=now,
            skill=taught,
            # Whatever day the demo is started: one of them may fall on a holiday.
            is_confirmed=True,
        )


def _book_one(session: Session, kit: Resource, member: User, now: datetime) -> None:
    terms = get_terms(session, resource_id=kit.id, user=member)
    slots = find_slots(session, terms=[terms], minutes=60, start=now, end=now + timedelta(days=14), now=now, count=1)
    # The first free slot, whatever day and hour the demo is started.
    for start, end in slots[kit.id]:
        book(session, request=BookingRequest(kit.id, start, end, youngest_age=30), user=member, now=now)
