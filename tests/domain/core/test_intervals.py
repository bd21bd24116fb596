"""The union of half-open intervals, of seconds and of instants alike."""

from datetime import UTC, datetime

import pytest

from api.domain.core.intervals import merge_intervals


def at(hour: int) -> datetime:
    return datetime(2026, 1, 1, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("intervals", "merged"),
    [([(1, 2), (2, 3)], [(1, 3)]), ([(3, 4), (1, 2)], [(1, 2), (3, 4)]), ([(1, 5), (2, 3)], [(1, 5)]), ([(2, 2)], [])],
)
def test_intervals_merge(intervals: list[tuple[int, int]], merged: list[tuple[int, int]]) -> None:
    assert merge_intervals(intervals) == merged
    assert merge_intervals([(at(a), at(b)) for a, b in intervals]) == [(at(a), at(b)) for a, b in merged]
