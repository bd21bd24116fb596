"""The history in sentences: who did what to which thing, with links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from markupsafe import Markup, escape
from sqlalchemy.orm import Session

from api.domain.core.changes import Change
from api.domain.messages.named_things import NAMES, ThingName, name_things
from api.domain.messages.reports import name_actors
from api.domain.places.sites import ResourceKind
from web.formats import clock, day, money
from web.i18n import N_
from web.render import PageReader
from web.states import LOG_NOUNS, LOG_VERBS, RESOURCE_KINDS

# By (noun, verb): `{thing}` is its name, a link. Others are told by their noun and verb alone.
SENTENCES: dict[tuple[str, str], str] = {
    ("booking", "requested"): N_("{who} requested {thing} for {start}"),
    ("booking", "confirmed"): N_("{who} booked {thing} for {start}"),
    ("booking", "cancelled"): N_("{who} cancelled the booking of {thing} for {start}"),
    ("booking", "rejected"): N_("{who} refused the booking of {thing} for {start}"),
    ("booking", "moved"): N_("{who} moved {thing} from {old} to {new}"),
    ("booking", "checked_in"): N_("{who} recorded the arrival for {thing}"),
    ("booking", "checked_out"): N_("{who} recorded the departure for {thing}"),
    ("booking", "no_show"): N_("{who} recorded that nobody came for {thing}"),
    ("booking", "handed_out"): N_("{who} handed {thing} over"),
    ("booking", "handed_back"): N_("{who} took {thing} back"),
    ("wait", "joined"): N_("{who} joined the waitlist for {thing}"),
    ("wait", "left"): N_("{who} left the waitlist for {thing}"),
    ("wait", "offered"): N_("{who} offered a freed slot of {thing}"),
    ("wait", "taken"): N_("{who} took the freed slot of {thing}"),
    ("wait", "expired"): N_("{who} withdrew the offer of {thing}: its time was over"),
    ("gathering", "announced"): N_("{who} drafted the event {thing}"),
    ("gathering", "published"): N_("{who} published the event {thing}"),
    ("gathering", "cancelled"): N_("{who} called off the event {thing}"),
    ("gathering", "registered"): N_("{who} registered for {thing}"),
    ("gathering", "waiting"): N_("{who} joined the waitlist of {thing}"),
    ("gathering", "withdrawn"): N_("{who} withdrew from {thing}"),
    ("gathering", "moved_up"): N_("{who} moved somebody up from the waitlist of {thing}"),
    ("gathering", "came"): N_("{who} recorded who came to {thing}"),
    ("kit", "out_of_service"): N_("{who} took {thing} out of service"),
    ("kit", "in_service"): N_("{who} put {thing} back into service"),
    ("job", "drafted"): N_("{who} prepared the print of {thing}"),
    ("job", "submitted"): N_("{who} sent {thing} to print"),
    ("job", "queued"): N_("{who} put {thing} into the queue"),
    ("job", "printing"): N_("{who} started printing {thing}"),
    ("job", "printed"): N_("{who} finished printing {thing}"),
    ("job", "collected"): N_("{who} handed {thing} over to its owner"),
    ("job", "on_hold"): N_("{who} put {thing} on hold"),
    ("job", "rejected"): N_("{who} refused to print {thing}"),
    ("job", "cancelled"): N_("{who} cancelled the print of {thing}"),
    ("printer", "plate_cleared"): N_("{who} cleared the plate of {thing}"),
    ("printer", "filament_loaded"): N_("{who} loaded {material} {colour} on {thing}"),
    ("printer", "maintenance_on"): N_("{who} started the maintenance of {thing}"),
    ("printer", "maintenance_off"): N_("{who} ended the maintenance of {thing}"),
    ("printer", "fault_found"): N_("{thing} was stopped by a fault"),
    ("printer", "fault_mended"): N_("{who} recorded that the fault of {thing} is mended"),
    ("quote", "offered"): N_("{who} sent the quote {thing}"),
    ("quote", "accepted"): N_("{who} accepted the quote {thing}"),
    ("quote", "declined"): N_("{who} declined the quote {thing}"),
    ("quote", "price_changed"): N_("{who} changed the price of {thing} from {old_cents} to {new_cents}"),
    ("order", "placed"): N_("{who} placed the order {thing}"),
    ("order", "delivered"): N_("{who} delivered the order {thing}"),
    ("order", "cancelled"): N_("{who} cancelled the order {thing}"),
    ("invoice", "issued"): N_("{who} issued the invoice {thing}: {total_cents}"),
    ("invoice", "paid"): N_("{who} recorded a payment of {cents} for {thing}"),
    ("invoice", "reminded"): N_("{who} sent a payment reminder for {thing}"),
    ("user", "signed_up"): N_("{thing} created an account"),
    ("user", "granted"): N_("{who} gave {thing} a role"),
    ("user", "authorised"): N_("{who} granted {thing} an authorisation"),
    ("site", "hours"): N_("{who} changed the opening hours of {thing}"),
}
OTHERWISE = N_("{who}: {noun} {thing}, {verb}")
# Of what has no name: its number would say nothing.
NAMELESS = N_("{who}: {noun}, {verb}")
PAGES = {
    "booking": "/bookings/",
    "job": "/jobs/",
    "run": "/jobs/",
    "printer": "/staff/printers/",
    "quote": "/quotes/",
    "order": "/orders/",
    "invoice": "/invoices/",
    "gathering": "/staff/gatherings/",
    "convention": "/staff/conventions/",
    "door": "/staff/doors/",
    "seller": "/staff/sellers/",
    "organisation": "/org/",
}


@dataclass(frozen=True)
class HistoryLine:
    """One change as a sentence; `more` leads to all that happened to the same thing."""

    at: datetime
    text: Markup
    more: str


def describe_changes(session: Session, reader: PageReader, changes: Sequence[Change]) -> list[HistoryLine]:
    """A few statements for all of them, however many they are."""
    actors = name_actors(session, changes=changes)
    things = name_things(session, changes=changes)
    return [_line(reader, change, actors, things) for change in changes]


def _line(
    reader: PageReader, change: Change, actors: dict[int, str], things: dict[tuple[str, str], ThingName]
) -> HistoryLine:
    thing = things.get((change.noun, change.noun_id))
    # What the machine does by itself has no actor.
    who = actors.get(change.actor_id or 0, "Établi")
    values = {
        "who": Markup("<b>{}</b>").format(who),
        "thing": _link(reader, change, thing),
        "noun": reader.text(LOG_NOUNS.get(change.noun, change.noun)),
        "verb": reader.text(LOG_VERBS.get(change.verb, change.verb)),
        "start": _when(reader, thing.at) if thing and thing.at else "",
        **_facts(reader, change.facts),
    }
    sentence = SENTENCES.get((change.noun, change.verb), OTHERWISE) if change.noun in NAMES else NAMELESS
    more = urlencode({"noun": change.noun, "id": change.noun_id})
    return HistoryLine(change.at, _fill(reader, sentence, values), f"/staff/log?{more}")


def _fill(reader: PageReader, sentence: str, values: dict[str, Any]) -> Markup:
    """A sentence that lacks one of its facts (an older row) is told without it, by noun and verb."""
    if any(f"{{{name}}}" in sentence and not values.get(name) for name in FACTS):
        sentence = OTHERWISE
    text = reader.text(sentence)
    # Only names of ours stand in braces; `format` of Markup escapes what is not Markup.
    return escape(text).format_map(values)


FACTS = ("start", "old", "new", "old_cents", "new_cents", "total_cents", "cents", "material", "colour")


def _facts(reader: PageReader, facts: dict[str, Any]) -> dict[str, str]:
    return {name: _written(reader, name, facts[name]) for name in FACTS if facts.get(name)}


def _written(reader: PageReader, name: str, value: Any) -> str:
    if name.endswith("cents") and isinstance(value, int):
        return money(reader.locale, value)
    # The first of a start and an end.
    first = value[0] if isinstance(value, list) and value else value
    try:
        return _when(reader, datetime.fromisoformat(str(first)))
    except ValueError:
        return str(first)


def _when(reader: PageReader, at: datetime) -> str:
    """A day and a time: an old row is read long after, when "in 2 h" would say nothing."""
    if at.tzinfo is None:
        return day(reader.locale, at.date(), "EEE d MMM y")
    zone = (reader.site or reader.staffs[0]).timezone
    return f"{day(reader.locale, at.astimezone(ZoneInfo(zone)).date(), 'EEE d MMM')} {clock(reader.locale, at, zone)}"


def _link(reader: PageReader, change: Change, thing: ThingName | None) -> Markup:
    label = thing.label if thing else change.noun_id
    # Rules that are not of one resource are called by their kind.
    if change.noun == "rule" and label in set(ResourceKind):
        label = reader.text(RESOURCE_KINDS[ResourceKind(label)])
    base = PAGES.get(change.noun)
    if base is None or thing is None:
        return escape(label)
    return Markup('<a href="{}{}">{}</a>').format(base, quote(thing.key), label)
