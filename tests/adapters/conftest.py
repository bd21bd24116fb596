"""What several tests of documents need."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

Work = Callable[[], bytes]


@pytest.fixture
def make_threads() -> Callable[[Work], list[bytes]]:
    """Does the same work in four threads, three times each; raises what any of them raised."""

    def run(work: Work) -> list[bytes]:
        with ThreadPoolExecutor(4) as pool:
            return list(pool.map(lambda _: work(), range(12)))

    return run
