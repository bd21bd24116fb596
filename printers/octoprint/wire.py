"""A requests session with limits on time and size, without redirects or proxies, that raises only PrinterError.

octorest is given this session. It never sees an answer that is not 2xx, because we raise before.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3

from printers.octoprint.pinned import PinnedAdapter
from printers.port import PrinterError


@dataclass(frozen=True)
class HttpLimits:
    """Seconds and bytes that one call may take. `read_s` bounds each read; `body_s` bounds the whole answer."""

    connect_s: float = 2.0
    read_s: float = 5.0
    body_s: float = 15.0
    upload_s: float = 60.0
    answer_bytes: int = 16_000_000


class GuardedSession(requests.Session):
    """Keep-alive to one server; no proxies or .netrc of the environment, no redirects, no cookies kept.

    `base` may have a path (OctoPrint behind a prefix). octorest knows only the origin, so the path is added here.
    """

    def __init__(self, base: str, key: str = "", *, limits: HttpLimits | None = None) -> None:
        super().__init__()
        parts = urlsplit(base)
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self.base = base.rstrip("/")
        self.limits = limits or HttpLimits()
        self.trust_env = False
        self.mount("http://", PinnedAdapter())
        self.mount("https://", PinnedAdapter())
        self.headers["User-Agent"] = "etabli"
        if key:
            self.headers["X-Api-Key"] = key

    def request(self, method: str, url: str, *args: Any, **options: Any) -> requests.Response:  # type: ignore[override]
        # octorest passes what requests passes; only what we force is named here.
        limits = self.limits
        options |= {"allow_redirects": False, "stream": True}
        # octorest sets no timeout anywhere: with a frozen OctoPrint a call would block for ever.
        options.setdefault("timeout", (limits.connect_s, limits.read_s))
        url = self.base + url.removeprefix(self.origin)
        with translated():
            response = super().request(method, url, *args, **options)
            # What requests itself sets when it reads an answer whole.
            response._content = _read_capped(response, limits)
        self.cookies.clear()
        raise_for_refusal(response)
        return response


def _read_capped(response: requests.Response, limits: HttpLimits) -> bytes:
    """Raises PrinterError `bad_answer` beyond `answer_bytes`, `timeout` beyond `body_s`, and drops the connection."""
    # requests' own timeout is for each read, so a server that sends a byte a second would never exceed it.
    deadline = time.monotonic() + limits.body_s
    body = bytearray()
    while chunk := response.raw.read1(65536, decode_content=True):
        body += chunk
        if len(body) > limits.answer_bytes:
            response.close()
            raise PrinterError("The answer is too long", permanent=True, reason="bad_answer")
        if time.monotonic() > deadline:
            response.close()
            raise PrinterError("The answer takes too long", reason="timeout")
    response.raw.release_conn()
    return bytes(body)


@contextmanager
def translated() -> Iterator[None]:
    """Raise every error of the wire as a PrinterError. It holds no text of the other side: that could be anybody's."""
    try:
        yield
    except (requests.Timeout, urllib3.exceptions.TimeoutError) as error:
        raise PrinterError("The printer's server does not answer in time", reason="timeout") from error
    except (
        requests.exceptions.InvalidURL,
        requests.exceptions.InvalidSchema,
        requests.exceptions.MissingSchema,
    ) as error:
        raise PrinterError("This is not the address of a server", permanent=True) from error
    except (requests.JSONDecodeError, UnicodeError, RecursionError) as error:
        raise PrinterError("The answer is not JSON", permanent=True, reason="bad_answer") from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        raise PrinterError("The printer's server cannot be reached") from error


# status -> (message, permanent, reason); the others are judged by their class in `raise_for_refusal`.
_REFUSALS: dict[int, tuple[str, bool, str]] = {
    401: ("The key may not do this", True, "no_right"),
    403: ("The key may not do this", True, "no_right"),
    404: ("There is no such file", True, "not_found"),
    409: ("The printer is busy", False, "busy"),
    429: ("The printer's server wants to be asked less often", False, "busy"),
    502: ("The printer's server is not up", False, "unreachable"),
    503: ("The printer's server is not up", False, "unreachable"),
    504: ("The printer's server is not up", False, "timeout"),
    507: ("The printer's server has no room left", False, "disk_full"),
}


def raise_for_refusal(response: requests.Response) -> None:
    """Raises PrinterError for everything that is not 2xx."""
    status = response.status_code
    if 200 <= status < 300:
        return
    if status in _REFUSALS:
        message, permanent, reason = _REFUSALS[status]
    # OctoPrint answers 500, not 507, when its disk is full, with the system's own error text.
    elif status >= 500 and b"Errno 28" in response.content[:4096]:
        message, permanent, reason = _REFUSALS[507]
    elif status >= 500:
        message, permanent, reason = "The printer's server failed", False, "refused"
    # Not followed: the address that a person gave was checked, the one in the reply was not.
    elif 300 <= status < 400:
        message, permanent, reason = "The address leads elsewhere; enter the final one", True, "bad_answer"
    else:
        message, permanent, reason = "The printer's server refused", True, "refused"
    raise PrinterError(f"{message} ({status})", permanent=permanent, reason=reason)
