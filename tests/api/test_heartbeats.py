"""Heartbeats: who is silent by the clock of the database, and a start that waits until the database takes one."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api import heartbeats
from api.db import transaction
from api.domain.core.heartbeats import SILENT_AFTER, Heartbeat, list_silent


def test_who_has_not_beaten_for_a_while_is_silent(session: Session) -> None:
    now = session.scalar(select(func.now()))
    assert now is not None
    for name, age in (("dispatch", timedelta(0)), ("mail", SILENT_AFTER + timedelta(seconds=1))):
        session.add(Heartbeat(name=name, beat_at=now - age))
    session.flush()
    assert list_silent(session, ["mail", "dispatch", "slice"]) == ["mail", "slice"]


@pytest.mark.parametrize("error", [psycopg.errors.DiskFull, psycopg.errors.CannotConnectNow, psycopg.OperationalError])
def test_a_start_waits_until_the_database_takes_its_heartbeat(
    installation: Path, monkeypatch: pytest.MonkeyPatch, error: type[psycopg.Error]
) -> None:
    """It starts, it recovers, or its disk is full: the process is there when it is well again."""
    real, tries = psycopg.connect, []

    def connect(*arguments: Any, **options: Any) -> Any:
        tries.append(1)
        if len(tries) < 3:
            raise error("not now")
        return real(*arguments, **options)

    monkeypatch.setattr(psycopg, "connect", connect)
    monkeypatch.setattr(heartbeats, "RETRY_S", 0)
    heartbeats.wait_for_database(["mail", "dispatch"])
    assert len(tries) == 3
    with transaction() as session:
        assert list_silent(session, ["dispatch", "mail"]) == []
