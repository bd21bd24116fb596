"""Feeds, read back by the libraries `icalendar` and `vobject`, and by the letter of RFC 5545: to the same instants."""

from datetime import UTC, timedelta
from typing import Any

import icalendar
import pytest

from api.domain.booking import bookings, feeds, gatherings
from api.domain.core.errors import NotFound
from tests.world.booking import NOW, BookingWorld, at
from tests.world.calendars import read_by_hand, read_by_library, read_by_vobject


def own_feed(world: BookingWorld) -> feeds.FeedContent:
    """Of alice, at a new address."""
    secret = feeds.open_feed(world.session, user=world.alice, now=NOW)
    return feeds.read_feed(world.session, secret=secret, now=NOW)


def test_all_parsers_read_the_feed_back_to_the_same_instants(world: BookingWorld) -> None:
    made = [
        world.book(at(day, 10, month=month), at(day, 11, month=month), note="Apporter l'adaptateur ; é, \\ \n" * 9)
        for day, month in ((3, 3), (28, 3), (30, 3))
    ]
    want = {
        f"booking-{booking.id}@{feeds.uid_host(world.session)}": (booking.start_at, booking.end_at) for booking in made
    }

    text = own_feed(world).render()

    assert read_by_library(text) == read_by_vobject(text) == read_by_hand(text) == want


def test_a_cancelled_booking_leaves_the_feed(world: BookingWorld) -> None:
    bookings.cancel(world.session, booking=world.book(at(3, 10), at(3, 11)), actor=world.alice, now=NOW)

    secret = feeds.open_feed(world.session, user=world.alice, now=NOW)

    assert read_by_library(feeds.read_feed(world.session, secret=secret, now=NOW).render()) == {}


def test_a_new_address_ends_the_one_before(world: BookingWorld) -> None:
    old = feeds.open_feed(world.session, user=world.alice, now=NOW)
    new = feeds.open_feed(world.session, user=world.alice, now=NOW)

    assert feeds.read_feed(world.session, secret=new, now=NOW).render()
    for wrong in (old, "unknown"):
        with pytest.raises(NotFound):
            feeds.read_feed(world.session, secret=wrong, now=NOW).render()


def test_the_feed_of_a_resource_is_for_its_staff_and_names_people(world: BookingWorld) -> None:
    world.book(at(3, 10), at(3, 11))
    with pytest.raises(NotFound):
        feeds.open_feed(world.session, user=world.alice, resource=world.room, now=NOW)

    secret = feeds.open_feed(world.session, user=world.bob, resource=world.room, now=NOW)

    assert "Alice" in feeds.read_feed(world.session, secret=secret, now=NOW).render().decode()


def test_the_public_feed_of_a_place_has_its_gatherings_and_nobodys_booking(world: BookingWorld) -> None:
    world.book(at(3, 10), at(3, 11))
    start = NOW + timedelta(days=3)
    gatherings.announce(
        world.session, site=world.site, title="Fête", start=start, end=start + timedelta(hours=2), seats=9,
        actor=world.bob, now=NOW,
    )  # fmt: skip

    text = feeds.site_feed(world.session, site=world.site, now=NOW).render()

    assert list(read_by_library(text).values()) == [(start, start + timedelta(hours=2))]
    assert read_by_library(text) == read_by_hand(text)


def test_one_booking_is_a_calendar_of_its_own(world: BookingWorld) -> None:
    booking = world.book(at(3, 10), at(3, 11))

    assert list(read_by_hand(feeds.booking_ics(world.session, booking=booking)).values()) == [
        (booking.start_at, booking.end_at)
    ]


def test_the_letter_of_a_booking_carries_it_and_that_of_its_end_takes_it_away(world: BookingWorld) -> None:
    booking = world.book(at(3, 10), at(3, 11))
    kept = feeds.ics_of_letter(world.session, kind="booking_confirmed", about=f"booking:{booking.id}:x")
    bookings.cancel(world.session, booking=booking, actor=world.alice, now=NOW)
    ended = feeds.ics_of_letter(world.session, kind="booking_cancelled", about=f"booking:{booking.id}:y")

    assert kept is not None
    assert ended is not None
    assert read_by_library(kept[1]) == read_by_hand(ended[1])  # the same event, by the same UID
    assert (kept[0], event_of(kept[1])["status"]) == ("PUBLISH", "CONFIRMED")
    assert (ended[0], event_of(ended[1])["status"]) == ("CANCEL", "CANCELLED")
    assert int(event_of(ended[1])["sequence"]) > int(event_of(kept[1])["sequence"])


def event_of(text: bytes) -> dict[str, str]:
    """The lines of its one event, by name."""
    (event,) = icalendar.Calendar.from_ical(text).walk("VEVENT")
    return {str(name).lower(): value.to_ical().decode() for name, value in event.items()}


def test_a_seat_has_a_calendar_and_other_letters_have_none(world: BookingWorld) -> None:
    start = at(5, 18).replace(tzinfo=UTC)
    made = gatherings.announce(
        world.session,
        site=world.site,
        title="Jeux",
        start=start,
        end=start + timedelta(hours=2),
        seats=2,
        actor=world.bob,
        now=NOW,
    )
    seat = gatherings.register(world.session, gathering=made, user=world.alice, now=NOW)
    found = feeds.ics_of_letter(world.session, kind="seat_registered", about=f"seat:{seat.id}:x")

    assert found is not None
    assert read_by_library(found[1]) == {
        f"gathering-{made.id}@{feeds.uid_host(world.session)}": (start, start + timedelta(hours=2))
    }
    for kind, about in (
        ("job_printed", "job:1"),
        ("kit_out", "booking:1:x"),
        ("booking_confirmed", "booking:0"),
        ("x", "y"),
    ):
        assert feeds.ics_of_letter(world.session, kind=kind, about=about) is None


def party(world: BookingWorld) -> gatherings.Gathering:
    start = NOW + timedelta(days=3)
    facts: dict[str, Any] = {"title": "Fête", "start": start, "end": start + timedelta(hours=2), "seats": 9}
    return gatherings.announce(world.session, site=world.site, actor=world.bob, now=NOW, **facts)


def call_off(world: BookingWorld, gathering: gatherings.Gathering) -> None:
    new = gatherings.GatheringStatus.CANCELLED
    gatherings.move_gathering(world.session, gathering=gathering, new=new, actor=world.bob, now=NOW)


def test_what_is_called_off_is_so_in_feeds_and_taken_away_by_its_letter(world: BookingWorld) -> None:
    gathering = party(world)
    seat = gatherings.register(world.session, gathering=gathering, user=world.alice, now=NOW)
    kept = feeds.ics_of_letter(world.session, kind="seat_registered", about=f"seat:{seat.id}:x")
    call_off(world, gathering)
    ended = feeds.ics_of_letter(world.session, kind="seat_called_off", about=f"seat:{seat.id}:y")

    assert kept is not None
    assert ended is not None
    event = event_of(own_feed(world).render())
    assert (event["status"], event["sequence"]) == ("CANCELLED", "1")
    assert (ended[0], event_of(ended[1])["uid"]) == ("CANCEL", event_of(kept[1])["uid"])
    assert int(event_of(ended[1])["sequence"]) > int(event_of(kept[1])["sequence"])
    assert read_by_library(feeds.site_feed(world.session, site=world.site, now=NOW).render()) == {}


@pytest.mark.parametrize("what", ["move", "annotate", "approve"])
def test_a_changed_booking_is_newer_in_feed_page_and_letter(world: BookingWorld, what: str) -> None:
    if what == "approve":
        world.rule(needs_approval=True)
    booking, later = world.book(at(3, 10), at(3, 11)), NOW + timedelta(hours=1)
    old = event_of(own_feed(world).render())
    if what == "move":
        move: dict[str, Any] = {"start": at(3, 12), "end": at(3, 13), "actor": world.alice}
        bookings.move(world.session, booking=booking, now=later, **move)
    elif what == "annotate":
        bookings.annotate(world.session, booking=booking, text="deux", actor=world.alice, now=later)
    else:
        bookings.approve(world.session, booking=booking, actor=world.bob, now=later)

    letter = feeds.ics_of_letter(world.session, kind="booking_confirmed", about=f"booking:{booking.id}:x")
    assert letter is not None
    page = feeds.booking_ics(world.session, booking=booking)
    for event in map(event_of, (own_feed(world).render(), letter[1], page)):
        assert int(event["sequence"]) > int(old["sequence"])
        assert event["last-modified"] > old["last-modified"]
        assert event["uid"] == old["uid"]


def test_the_tag_of_a_feed_changes_with_anything_in_it_and_with_nothing_else(world: BookingWorld) -> None:
    secret = feeds.open_feed(world.session, user=world.alice, now=NOW)
    tags = list[str]()

    def look() -> None:
        tags.append(feeds.read_feed(world.session, secret=secret, now=NOW).tag)

    look()
    booking = world.book(at(3, 10), at(3, 11))
    look()
    bookings.annotate(world.session, booking=booking, text="deux", actor=world.alice, now=NOW)
    look()
    gathering = party(world)
    gatherings.register(world.session, gathering=gathering, user=world.alice, now=NOW)
    look()
    call_off(world, gathering)
    look()
    bookings.cancel(world.session, booking=booking, actor=world.alice, now=NOW)
    look()
    assert len(set(tags)) == len(tags)

    world.book(at(5, 10), at(5, 11), user=world.charlie)
    party(world)
    look()
    assert tags[-1] == tags[-2]


def test_an_installation_has_a_host_of_its_own(world: BookingWorld) -> None:
    host = feeds.uid_host(world.session)
    assert host.endswith(".etabli.invalid")
    assert len(host) > len("etabli.invalid") + 20
