"""What things of the history are called: one statement for each kind of thing, however many there are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import String, cast, func, literal, select
from sqlalchemy.orm import Session

from api.domain.billing.invoices import Invoice
from api.domain.billing.sellers import Seller
from api.domain.booking.bookings import Booking
from api.domain.booking.bookings.waitlist import Wait
from api.domain.booking.gatherings import Gathering
from api.domain.booking.rules import Rule
from api.domain.core.changes import Change
from api.domain.people.accounts import Organisation, User
from api.domain.places.conventions import Convention
from api.domain.places.doors import Door
from api.domain.places.sites import Resource, Site
from api.domain.printing.jobs import Job
from api.domain.printing.kinds import PrinterKind
from api.domain.printing.library import Model
from api.domain.printing.runs import Run
from api.domain.sales.orders import Order
from api.domain.sales.quotes import Quote


@dataclass(frozen=True, slots=True)
class ThingName:
    """`label` is what people call it, `key` what addresses name it by, `at` when it begins, if it has a time."""

    label: str
    key: str
    at: datetime | None = None


NO_TIME = literal(None)
# noun -> (id, label, key of its page, time) of things of that kind.
# (Any: rows of different types.)
NAMES: dict[str, Any] = {
    "booking": select(Booking.id, Resource.name, Booking.id, Booking.start_at).join(Booking.resource),
    "wait": select(Wait.id, Resource.name, Wait.id, Wait.start_at).join(Wait.resource),
    "gathering": select(Gathering.id, Gathering.title, Gathering.slug, Gathering.start_at),
    "kit": select(Resource.id, Resource.name, Resource.id, NO_TIME),
    "printer": select(Resource.id, Resource.name, Resource.id, NO_TIME),
    "job": select(Job.id, Model.name, Job.id, NO_TIME).join(Job.model),
    "run": select(Run.id, Model.name, Job.id, NO_TIME).join(Run.job).join(Job.model),
    "model": select(Model.id, Model.name, Model.id, NO_TIME),
    "quote": select(Quote.id, Quote.number, Quote.id, NO_TIME),
    "order": select(Order.id, Order.number, Order.id, NO_TIME),
    "invoice": select(Invoice.id, Invoice.number, Invoice.id, NO_TIME),
    "printer_kind": select(PrinterKind.id, PrinterKind.name, PrinterKind.id, NO_TIME),
    "rule": select(Rule.id, func.coalesce(Resource.name, cast(Rule.kind, String)), Rule.id, NO_TIME).outerjoin(
        Resource, Resource.id == Rule.resource_id
    ),
    "user": select(User.id, User.name, User.id, NO_TIME),
    "organisation": select(Organisation.id, Organisation.name, Organisation.slug, NO_TIME),
    "seller": select(Seller.id, Seller.name, Seller.id, NO_TIME),
    "site": select(Site.id, Site.name, Site.slug, NO_TIME),
    "door": select(Door.id, Door.name, Door.id, NO_TIME),
    "convention": select(Convention.id, Convention.reference, Convention.id, NO_TIME),
}
IDS: dict[str, Callable[[str], object]] = defaultdict(lambda: int, run=UUID)


def name_things(session: Session, *, changes: Iterable[Change]) -> dict[tuple[str, str], ThingName]:
    """By (noun, id as the change has it); what is not there any more, or has no name, is left out."""
    ids: defaultdict[str, set[str]] = defaultdict(set)
    for change in changes:
        ids[change.noun].add(change.noun_id)
    names: dict[tuple[str, str], ThingName] = {}
    for noun in ids.keys() & NAMES.keys():
        names |= _names_of(session, noun, ids[noun])
    return names


def _names_of(session: Session, noun: str, ids: set[str]) -> dict[tuple[str, str], ThingName]:
    query = NAMES[noun]
    key = query.selected_columns[0]
    rows = session.execute(query.where(key.in_([IDS[noun](each) for each in ids])))
    return {(noun, str(row[0])): ThingName(row[1] or str(row[0]), str(row[2]), row[3]) for row in rows}
