"""The load: people who look at pages, and a member who hands prints in until each is accepted."""

from __future__ import annotations

import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field

import requests

from bench.faults.installation import Installation

PAGES = ("/", "/help", "/jobs", "/print", "/book", "/wall")
VISITORS = 3
# Between two pages of one person.
THINK_S = 0.15
CUBE_MM = 5


@dataclass
class Load:
    """What the visitors saw; `waits` are (begin, seconds, status), begin by the monotonic clock, status 0 for none."""

    installation: Installation
    waits: list[tuple[float, float, int]] = field(default_factory=list)
    accepted: list[int] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _no_more_prints: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def start(self) -> None:
        targets = [self._visit] * VISITORS + [self._hand_in]
        self._threads = [threading.Thread(target=target, daemon=True) for target in targets]
        for thread in self._threads:
            thread.start()

    def end_prints(self) -> None:
        self._no_more_prints.set()

    def stop(self) -> None:
        self._no_more_prints.set()
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _visit(self) -> None:
        headers = {"cookie": f"session={self.installation.cookie}"}
        count = 0
        with requests.Session() as browser:
            while not self._stop.wait(THINK_S):
                begin_s, status = time.monotonic(), 0
                with suppress(requests.RequestException):
                    url = self.installation.url + PAGES[count % len(PAGES)]
                    status = browser.get(url, headers=headers, timeout=30).status_code
                self.waits.append((begin_s, time.monotonic() - begin_s, status))
                count += 1

    def _hand_in(self) -> None:
        model_id = self._upload()
        while not self._no_more_prints.wait(3):
            self.accepted.append(self._order(model_id))

    def _upload(self) -> int:
        answer = self._insist("/api/v1/models", files={"file": ("cube.stl", cube(CUBE_MM))})
        return int(answer["id"])

    def _order(self, model_id: int) -> int:
        """Ask until the answer comes, by one key: asked twice, it is still one job."""
        body = {"model_id": model_id, "site_id": self.installation.stage.site_id, "material": "PLA", "submit": True}
        return int(self._insist("/api/v1/jobs", json=body, key=str(uuid.uuid4()))["id"])

    def _insist(self, path: str, *, key: str = "", **content: object) -> dict[str, object]:
        headers = {"authorization": f"Bearer {self.installation.token}"} | ({"idempotency-key": key} if key else {})
        while True:
            with suppress(requests.RequestException):
                answer = requests.post(self.installation.url + path, headers=headers, timeout=30, **content)  # type: ignore[arg-type]
                if answer.status_code == 201:
                    made: dict[str, object] = answer.json()
                    return made
                if answer.status_code in (400, 401, 403, 404, 422):
                    raise AssertionError(f"{path}: {answer.status_code} {answer.text[:300]}")
            time.sleep(0.5)


def cube(side_mm: float) -> bytes:
    """A text STL of a cube with a corner at 0 0 0."""
    facets = []
    for axis in range(3):
        for at in (0.0, side_mm):
            square = [_corner(axis, at, u, v) for u, v in ((0, 0), (side_mm, 0), (side_mm, side_mm), (0, side_mm))]
            square = square if at else square[::-1]
            facets += [(square[0], square[1], square[2]), (square[0], square[2], square[3])]
    lines = "".join(
        "facet normal 0 0 0\nouter loop\n"
        + "".join(f"vertex {x} {y} {z}\n" for x, y, z in facet)
        + "endloop\nendfacet\n"
        for facet in facets
    )
    return f"solid cube\n{lines}endsolid cube\n".encode()


def _corner(axis: int, at: float, u: float, v: float) -> tuple[float, float, float]:
    # The other two axes in turn, so that all squares turn the same way seen from outside.
    corner = [0.0, 0.0, 0.0]
    corner[axis], corner[(axis + 1) % 3], corner[(axis + 2) % 3] = at, u, v
    return corner[0], corner[1], corner[2]


def p95_ms(waits: list[tuple[float, float, int]], faults: list[tuple[float, float]]) -> tuple[float, int]:
    """(95th percentile in ms, failures) of what began and ended outside of all faults."""
    calm = [
        (wait_s, status)
        for begin_s, wait_s, status in waits
        if not any(begin_s < end and begin_s + wait_s > begin for begin, end in faults)
    ]
    ordered = sorted(wait_s for wait_s, _ in calm)
    failures = sum(status == 0 or status >= 500 for _, status in calm)
    return round(ordered[int(len(ordered) * 0.95)] * 1000, 1) if ordered else 0.0, failures
