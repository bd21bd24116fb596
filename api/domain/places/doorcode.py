"""Door codes that a device verifies offline: the whole scheme, with its reference verifier (docs/access-codes.md).

Standard library only, and nothing else of this project: this file is copied onto the door device.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

# Windows begin and end on quarters of an hour since 1970-01-01 00:00 UTC, so that a door has few of them to try.
QUARTER_S = 15 * 60
# No window is longer than 16 hours: a door tries at most 64 x 65 / 2 windows.
LONGEST_QUARTERS = 64
MAC_DIGITS = 9


@dataclass(frozen=True)
class Window:
    """When a code opens: `[start, end)` in UTC."""

    start: datetime
    end: datetime


def window_of(start: datetime, end: datetime) -> tuple[int, int]:
    """(first quarter, number of quarters) that cover `[start, end)`; raises ValueError beyond 16 hours."""
    first = int(start.timestamp()) // QUARTER_S
    quarters = -(-int(end.timestamp()) // QUARTER_S) - first
    if not 0 < quarters <= LONGEST_QUARTERS:
        raise ValueError("a code is good for 15 minutes to 16 hours")
    return first, quarters


def code_for(secret: bytes, *, start: datetime, end: datetime, lane: int) -> str:
    """Ten digits: the lane, then HMAC-SHA256 truncated as in RFC 4226, section 5.3; raises ValueError as `window_of`.

    `lane` is the id of the booking: its last digit tells two bookings of the same window apart.
    """
    return _code(secret, *window_of(start, end), lane % 10)


def verify(secret: bytes, code: str, *, at: datetime) -> Window | None:
    """The window of this code if it contains `at`, else None. Needs only the secret and a clock."""
    digits = code.replace(" ", "")
    if len(digits) != 1 + MAC_DIGITS or not digits.isascii() or not digits.isdigit():
        return None
    now = int(at.timestamp()) // QUARTER_S
    match = None
    # The code does not say its window, so every one that contains now is tried: at most 2080 HMACs, 5 ms on a Raspberry
    # Pi. No early return, and a comparison in constant time: how long it takes tells nothing of the right code.
    for first in range(now - LONGEST_QUARTERS + 1, now + 1):
        for quarters in range(now - first + 1, LONGEST_QUARTERS + 1):
            if hmac.compare_digest(_code(secret, first, quarters, int(digits[0])), digits):
                match = first, quarters
    return _window(*match) if match else None


def _code(secret: bytes, first: int, quarters: int, lane: int) -> str:
    # The first bytes name scheme and version, so that no other HMAC by the same secret can be taken for a code.
    message = b"etabli-door-1" + first.to_bytes(8, "big") + quarters.to_bytes(2, "big") + bytes([lane])
    digest = hmac.digest(secret, message, hashlib.sha256)
    # Dynamic truncation of RFC 4226: 31 bits from a place that the digest itself chooses.
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{lane}{number % 10**MAC_DIGITS:0{MAC_DIGITS}d}"


def _window(first: int, quarters: int) -> Window:
    start = datetime.fromtimestamp(first * QUARTER_S, UTC)
    return Window(start, start + timedelta(seconds=quarters * QUARTER_S))
