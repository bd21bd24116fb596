"""One question, "is it free for this person?", wherever free time is shown: tried in random worlds."""

import pytest
from sqlalchemy import Engine

from tests.domain.booking.free_worlds import CLAUSES, run_worlds


def test_what_is_offered_can_be_booked_and_nothing_is_hidden(engine: Engine) -> None:
    tally = run_worlds(engine, range(40))

    assert tally.failures == []
    assert tally.offered > 100


@pytest.mark.parametrize("clause", CLAUSES)
def test_without_one_clause_of_the_question_it_fails(engine: Engine, clause: str) -> None:
    """The negative control: these worlds would show it."""
    assert any(run_worlds(engine, range(n, n + 1), clause=clause).failures for n in range(30))
