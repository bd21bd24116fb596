"""How often one may try to log in. Delays a guesser, and never locks the owner out for long."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.requests import Request

from api.domain.core.errors import Busy
from api.settings import settings

# Tries in five minutes, of the whole installation.
PER_ACCOUNT = 10
PER_ADDRESS = 60


class TooManyTries(Busy):
    """Too many attempts; please wait a few minutes and try again."""

    field = "password"


@lru_cache
def limiter() -> MovingWindowRateLimiter:
    """In the memory of this process: losing it at a restart costs a guesser nothing that matters."""
    return MovingWindowRateLimiter(MemoryStorage())


def count_try(request: Request, *, account: str) -> None:
    """One more attempt for this account from this network; raises TooManyTries."""
    windows: list[tuple[RateLimitItem, str]] = [
        (_share(PER_ADDRESS), network_of(request)),
        (_share(PER_ACCOUNT), account.strip().lower()[:254]),
    ]
    if not all(limiter().hit(window, "login", key) for window, key in windows):
        raise TooManyTries()


def _share(tries: int) -> RateLimitItem:
    """Each process that serves pages counts alone, so each allows its part: together they never allow much more."""
    return RateLimitItemPerMinute(-(-tries // settings().web_processes), 5)


def forgive(*, account: str) -> None:
    """A good login clears the account's count."""
    limiter().clear(_share(PER_ACCOUNT), "login", account.strip().lower()[:254])


def network_of(request: Request) -> str:
    """The address that asks; for IPv6 its /64, which one person usually holds whole."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return host if address.version == 4 else str(ipaddress.ip_network(f"{host}/64", strict=False))
