"""Tries to log in are counted over the whole installation, however many processes serve its pages."""

import pytest
from starlette.requests import Request

from tests.installation import forget_caches
from web import throttle


def tries_allowed(monkeypatch: pytest.MonkeyPatch, *, processes: int) -> int:
    """How often one process lets the same account try."""
    monkeypatch.setenv("ETABLI_WEB_PROCESSES", str(processes))
    forget_caches()
    throttle.limiter.cache_clear()
    return try_until_refused()


def try_until_refused() -> int:
    request = Request({"type": "http", "client": ("192.0.2.1", 1), "headers": []})
    for count in range(100):
        try:
            throttle.count_try(request, account="alice@example.org")
        except throttle.TooManyTries:
            return count
    return 100


@pytest.mark.parametrize(("processes", "allowed"), [(1, 10), (2, 5), (3, 4), (32, 1)])
def test_each_process_allows_its_part(monkeypatch: pytest.MonkeyPatch, processes: int, allowed: int) -> None:
    assert tries_allowed(monkeypatch, processes=processes) == allowed
    throttle.limiter.cache_clear()
    forget_caches()


def test_a_good_login_clears_the_count_of_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    allowed = tries_allowed(monkeypatch, processes=2)
    assert try_until_refused() == 0
    throttle.forgive(account=" Alice@example.org ")
    assert try_until_refused() == allowed
    throttle.limiter.cache_clear()
    forget_caches()
