"""What a request is answered when the database fails, and what of it is logged."""

from collections.abc import Iterator

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import Engine, text
from structlog.testing import capture_logs

from api import problems
from api.db import make_engine
from tests.serving import client_of

NOWHERE = "postgresql+psycopg://etabli@/etabli?host=/nowhere-at-all"
END_OWN = "SELECT pg_terminate_backend(pg_backend_pid())"
LONG_WAIT = "SET statement_timeout = 1; SELECT pg_sleep(1)"


@pytest.fixture
def client(engine: Engine) -> Iterator[httpx.Client]:
    app = FastAPI()
    problems.install(app)
    statements = {"gone": END_OWN, "busy": LONG_WAIT, "wrong": "SELECT 1 FROM no_such_table", "data": "SELECT 'x'::int"}

    @app.get("/{name}")
    def read(name: str) -> None:
        with (make_engine(NOWHERE) if name == "never" else engine).connect() as connection:
            connection.execute(text(statements.get(name, "SELECT 1")))

    with client_of(app) as made:
        yield made


@pytest.mark.parametrize(
    ("path", "status", "code", "lines"),
    [
        ("never", 503, "database-away", ["the database does not answer"]),
        ("gone", 503, "database-away", ["the database does not answer"]),
        ("busy", 503, "database-busy", []),
        ("data", 422, "invalid", []),
        ("wrong", 500, "our-fault", ["request failed"]),
    ],
)
def test_a_failure_of_the_database_is_answered_as_what_it_is(
    client: httpx.Client, path: str, status: int, code: str, lines: list[str]
) -> None:
    with capture_logs() as logs:
        answer = client.get(f"/{path}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert [line["event"] for line in logs] == lines
    # Only what is a fault of the program needs to be traced.
    assert ["exc_info" in line for line in logs] == [each == "request failed" for each in lines]


def test_the_next_request_finds_the_database_again(client: httpx.Client) -> None:
    assert [client.get(path).status_code for path in ("/gone", "/fine")] == [503, 200]
