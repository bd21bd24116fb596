"""Feeds read back: by two libraries, and by the letter of RFC 5545."""

import re
from datetime import UTC, datetime

import icalendar
import vobject


def read_by_library(text: bytes) -> dict[str, tuple[datetime, datetime]]:
    calendar = icalendar.Calendar.from_ical(text)
    return {str(e["uid"]): (e["dtstart"].dt, e["dtend"].dt) for e in calendar.walk("VEVENT")}


def read_by_vobject(text: bytes) -> dict[str, tuple[datetime, datetime]]:
    calendar = vobject.readOne(text.decode())
    return {e.uid.value: (e.dtstart.value, e.dtend.value) for e in calendar.vevent_list}


def read_by_hand(text: bytes) -> dict[str, tuple[datetime, datetime]]:
    """RFC 5545 as read by its text: lines end with CRLF, at most 75 bytes, continued ones begin with a blank."""
    assert text.endswith(b"\r\n")
    lines = text.split(b"\r\n")
    assert all(len(line) <= 75 for line in lines)
    assert not any(b"\n" in line for line in lines)
    unfolded = re.sub(rb"\r\n[ \t]", b"", text).decode().split("\r\n")
    assert (unfolded[0], unfolded[-2]) == ("BEGIN:VCALENDAR", "END:VCALENDAR")
    assert "VERSION:2.0" in unfolded
    found: dict[str, tuple[datetime, datetime]] = {}
    event: dict[str, str] = {}
    for line in unfolded[:-1]:
        name, _, value = line.partition(":")
        if line == "BEGIN:VEVENT":
            event = {}
        elif line == "END:VEVENT":
            assert {"UID", "DTSTAMP", "DTSTART", "DTEND", "SUMMARY"} <= event.keys()
            found[event["UID"]] = instant(event["DTSTART"]), instant(event["DTEND"])
        event[name.partition(";")[0]] = value
    return found


def instant(value: str) -> datetime:
    return datetime.strptime(value, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
