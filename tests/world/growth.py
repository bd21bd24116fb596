"""A place that has grown: of everything that lists show, as many as wanted, each with people and things of its own.

Rows that shared their person or model would hide a query for each row: the session has read the second one already.
"""

from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from api.domain.billing import payments
from api.domain.billing.invoices import Invoice
from api.domain.billing.organisations import BillingProfile, TermsRequest
from api.domain.billing.payments import BankLine, Movement, PaymentMeans
from api.domain.booking.bookings import Booking, BookingRequest, join_waitlist
from api.domain.booking.bookings.waitlist import Wait
from api.domain.booking.gatherings import Gathering, announce
from api.domain.core.changes import Change
from api.domain.messages.notifications import Mail
from api.domain.people.accounts import Membership
from api.domain.people.roles import Level, grant
from api.domain.places import conventions, doors
from api.domain.places.conventions import Convention
from api.domain.places.doors import Door, DoorUse
from api.domain.places.sites import Resource
from api.domain.printing.jobs import Job
from api.domain.printing.runs import Run
from api.domain.sales.orders import Order
from api.domain.sales.quotes import Quote
from tests.world import HOUR, NOW
from tests.world.billing import START, TODAY, Shop, ask, issue, make_room, stay
from tests.world.multiply import multiply
from tests.world.sales import accept, print_for

DAY = timedelta(days=1)
JOB_STATUSES = "(ARRAY['submitted', 'on_hold', 'queued', 'printed', 'collected'])[1 + n % 5]"


@dataclass
class Seeds:
    """One row of each kind, made by the verbs themselves."""

    shop: Shop
    room: Resource
    job: Job
    run: Run
    booking: Booking
    past: Booking
    wait: Wait
    gathering: Gathering
    quote: Quote
    order: Order
    invoice: Invoice
    line: BankLine
    mail: Mail
    convention: Convention
    door: Door
    use: DoorUse
    terms: TermsRequest
    round: int = 0


def plant(session: Session, shop: Shop) -> Seeds:
    world = shop.world
    job = print_for(session, shop)
    run = session.scalars(select(Run).where(Run.job_id == job.id)).one()
    room = make_room(session, shop)
    booking = stay(session, shop, room=room)
    past = stay(session, shop, room=room, start=START - 4 * DAY)
    grant(session, user=world.charlie, site_id=world.site.id, level=Level.MEMBER, now=NOW)
    request = BookingRequest(resource_id=room.id, start=booking.start_at, end=booking.end_at)
    wait = join_waitlist(session, request=request, user=world.charlie, now=NOW)
    gathering = announce(
        session,
        site=world.site,
        title="Atelier",
        start=NOW + DAY,
        end=NOW + DAY + HOUR,
        seats=5,
        actor=world.bob,
        now=NOW,
    )
    quote = ask(session, shop)
    order = accept(session, shop, quote)
    invoice = issue(session, shop)
    payments.pay(
        session,
        invoice=invoice,
        means=PaymentMeans.TRANSFER,
        cents=1,
        received_on=TODAY,
        key="seed",
        now=NOW,
    )
    [line] = payments.import_lines(
        session,
        seller=shop.seller,
        lines=[Movement(booked_on=date(2026, 11, 23), cents=1234, text="VIR")],
        actor=None,
        now=NOW,
    )
    mail = Mail(
        user_id=world.alice.id,
        site_id=world.site.id,
        kind="job_printed",
        about="job:1",
        recipient="alice@example.org",
        subject="A",
        body="B",
        created_at=NOW,
    )
    session.add(mail)
    session.flush()
    convention = conventions.sign_convention(
        session,
        site=world.site,
        party=world.alice,
        people=[world.alice],
        areas=[],
        hours=[(0, NOW.time().replace(hour=19), NOW.time().replace(hour=22))],
        signed_on=date(2026, 1, 1),
        starts_on=date(2026, 1, 1),
        ends_on=date(2027, 1, 1),
        actor=world.bob,
        now=NOW,
    )
    door = doors.add_door(session, site=world.site, name="Porte", actor=world.bob, now=NOW)
    use = DoorUse(door_id=door.id, booking_id=past.id, at=NOW - DAY, accepted=True, hint="12", reported_at=NOW)
    session.add(use)
    session.flush()
    terms = TermsRequest(
        organisation_id=shop.company.id, terms_days=45, monthly=True, requested_by=world.alice.id, at=NOW
    )
    session.add(terms)
    session.flush()
    sold = {"quote": quote, "order": order, "invoice": invoice, "line": line, "terms": terms}
    booked = {"room": room, "booking": booking, "past": past, "wait": wait, "gathering": gathering}
    return Seeds(shop, job=job, run=run, mail=mail, convention=convention, door=door, use=use, **sold, **booked)


def grow(session: Session, seeds: Seeds, n: int) -> None:
    """Add `n` of everything."""
    seeds.round += 1
    key = f"{seeds.round}-"
    people = _grow_people(session, seeds, n, key)
    rooms = multiply(session, seeds.room, n, name=f"'Salle {key}' || n")
    _grow_bookings(session, seeds, n, key, people, rooms)
    _grow_sales(session, seeds, n, key, people)
    # After the prints of orders, which are all queued: the first page of jobs has one of each status.
    _grow_prints(session, seeds, n, people)
    _grow_papers(session, seeds, n, key, people)


def _grow_people(session: Session, seeds: Seeds, n: int, key: str) -> list[int]:
    alice = seeds.shop.world.alice
    return multiply(session, alice, n, email=f"'u{key}' || n || '@example.org'", name=f"'Personne {key}' || n")


def _grow_prints(session: Session, seeds: Seeds, n: int, people: list[int]) -> None:
    shop, job = seeds.shop, seeds.job
    multiply(session, job.model, n)  # alice's own
    models = multiply(session, job.model, n, owner_id=people)
    printer = shop.world.printer
    resources = multiply(session, printer.resource, n, name="'Imprimante ' || n")
    printers = multiply(session, printer, n, id=resources, url="'http://127.0.0.1:9/' || n")
    jobs = multiply(
        session,
        job,
        n,
        model_id=models,
        owner_id=people,
        organisation_id=str(shop.company.id),
        status=JOB_STATUSES,
        priority="-1",
    )
    status = "(ARRAY['done', 'printing'])[1 + n % 2]"
    multiply(
        session, seeds.run, n, id="gen_random_uuid()", job_id=jobs, printer_id=printers, hold_id="NULL", status=status
    )


def _grow_bookings(session: Session, seeds: Seeds, n: int, key: str, people: list[int], rooms: list[int]) -> None:
    today = {
        "start_at": "t.start_at - interval '1 day' + n * interval '1 minute'",
        "end_at": "t.end_at - interval '1 day' + n * interval '1 minute'",
    }
    multiply(session, seeds.booking, n, resource_id=rooms)
    multiply(session, seeds.booking, n, resource_id=rooms, user_id=people, **today)
    multiply(session, seeds.booking, n, resource_id=rooms, user_id=people, status="'requested'")
    multiply(session, seeds.past, n, resource_id=rooms)
    multiply(session, seeds.past, n, resource_id=rooms, user_id=people, organisation_id="NULL")
    multiply(session, seeds.wait, n, resource_id=rooms, user_id=str(seeds.shop.world.alice.id))
    multiply(session, seeds.gathering, n, slug=f"'g{key}' || n")


def _grow_sales(session: Session, seeds: Seeds, n: int, key: str, people: list[int]) -> None:
    shop, order, quote = seeds.shop, seeds.order, seeds.quote
    companies = multiply(session, shop.company, n, slug=f"'c{key}' || n", name=f"'Maison {key}' || n")
    membership = session.scalars(select(Membership).where(Membership.organisation_id == shop.company.id)).first()
    multiply(session, membership, n, organisation_id=companies)
    quotes = multiply(
        session,
        quote,
        n,
        number=f"'D{key}' || n",
        organisation_id=companies,
        status="(ARRAY['accepted', 'in_review'])[1 + n % 2]",
    )
    lines = multiply(session, quote.lines[0], n, quote_id=quotes)
    orders = multiply(session, order, n, number=f"'C{key}' || n", organisation_id=companies, quote_id=quotes)
    part = order.parts[0]
    parts = multiply(session, part, n, order_id=orders, quote_line_id=lines)
    jobs = multiply(session, part.prints[0].job, n, status="'queued'")
    multiply(session, part.prints[0], n, part_id=parts, job_id=jobs)
    multiply(session, seeds.past, n, organisation_id=companies)
    profile = session.get_one(BillingProfile, shop.company.id)
    multiply(session, profile, n, organisation_id=companies)
    multiply(session, seeds.terms, n, organisation_id=companies, requested_by=people)


def _grow_papers(session: Session, seeds: Seeds, n: int, key: str, people: list[int]) -> None:
    # Copies do not continue the hash chain; the change of the table goes with the transaction of the test.
    session.execute(text("ALTER TABLE invoices DISABLE TRIGGER guard_insert"))
    of_alice = {"organisation_id": "NULL", "user_id": str(seeds.shop.world.alice.id)}
    for prefix, owner in (("O", {}), ("P", of_alice)):
        last = session.scalar(select(func.max(Invoice.no)))
        multiply(
            session,
            seeds.invoice,
            n,
            number=f"'{prefix}{key}' || n",
            no=f"{last} + n",
            sha256=f"md5('{prefix}{key}' || n)",
            **owner,
        )
    multiply(session, seeds.line, n, fingerprint=f"md5('{key}' || n)")
    multiply(session, seeds.mail, n, about=f"'job:{key}' || n", user_id=people)
    multiply(session, seeds.use, n, at=f"t.at - n * interval '1 minute' - interval '{seeds.round} days'")
    _grow_history(session, seeds, n)
    agreements = multiply(session, seeds.convention, n, user_id=people)
    multiply(session, seeds.convention.people[0], n, convention_id=agreements, user_id=people)


def _grow_history(session: Session, seeds: Seeds, n: int) -> None:
    """Of each noun in turn, so that every page of the history holds all of them."""
    first = select(func.min(Change.id)).where(Change.site_id.is_not(None)).group_by(Change.noun)
    columns = "at, noun, noun_id, verb, actor_id, site_id, facts"
    statement = f"""INSERT INTO changes ({columns}) SELECT {columns} FROM changes t CROSS JOIN generate_series(1, :n) n
        WHERE t.id = ANY(:ids) ORDER BY n, t.id"""
    session.execute(text(statement), {"n": n, "ids": list(session.scalars(first))})
