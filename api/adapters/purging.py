"""The background step that deletes the files of a confidential model; a crash in the middle is made up for.

Copies on a printer are not reached from here: who clears a printer's store deletes them there.
"""

from __future__ import annotations

from datetime import UTC, datetime

from api.adapters import files
from api.db import transaction
from api.domain.messages import purges
from api.settings import settings


def purge_model(model_id: int) -> None:
    """Out of sight, then deleted, then noted. A file that is gone already is fine."""
    with transaction() as session:
        found = purges.hide_model(session, model_id=model_id, now=_now(), after_days=settings().confidential_days)
    if found is None:
        return
    for key in found.keys:
        files.delete(key)
    with transaction() as session:
        purges.record_purge(session, files=found, now=_now())


def _now() -> datetime:
    return datetime.now(UTC)
