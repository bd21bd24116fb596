"""How often one may try to log in: slows down a guesser, and locks nobody out for longer than five minutes."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.requests import Request

from api.domain.core.errors import Busy
from api.settings import settings

# Tries in five minutes, over the whole installation. Per address more: many people may share one.
PER_ACCOUNT = 10
PER_ADDRESS = 60


class TooManyTries(Busy):
    """Too many attempts: wait a few minutes, then try again."""

    field = "password"


@lru_cache
def limiter() -> MovingWindowRateLimiter:
    # In memory: a restart forgets the counts, which helps a guesser by a few tries only.
    return MovingWindowRateLimiter(MemoryStorage())


def count_try(request: Request, *, account: str) -> None:
    """Count one attempt for this account and this network; raises TooManyTries."""
    windows: list[tuple[RateLimitItem, str]] = [
        (_share(PER_ADDRESS), network_of(request)),
        (_share(PER_ACCOUNT), account.strip().lower()[:254]),
    ]
    if not all(limiter().hit(window, "login", key) for window, key in windows):
        raise TooManyTries()


def _share(tries: int) -> RateLimitItem:
    """The part of `tries` that one web process allows."""
    # Each process counts alone, and the kernel decides which one gets a connection; rounding up keeps one try each.
    return RateLimitItemPerMinute(-(-tries // settings().web_processes), 5)


def forgive(*, account: str) -> None:
    """Clear the count of an account after a good login."""
    # In this process only: the other ones forget by themselves after five minutes.
    limiter().clear(_share(PER_ACCOUNT), "login", account.strip().lower()[:254])


def network_of(request: Request) -> str:
    """The address of the client; for IPv6 its /64, since one person usually has all addresses of one."""
    host = request.client.host if request.client else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    return host if address.version == 4 else str(ipaddress.ip_network(f"{host}/64", strict=False))
