"""The background step that deletes the files of a confidential model; copies on a printer are not reached from here."""

from __future__ import annotations

from datetime import UTC, datetime

from api.adapters import files
from api.db import transaction
from api.domain.messages import purges
from api.settings import settings


def purge_model(model_id: int) -> None:
    """Hide the model, delete its files, note that they are gone."""
    # Three parts, and each may run again: after a crash the next sweep finds the model hidden but not noted.
    with transaction() as session:
        model_files = purges.hide_model(session, model_id=model_id, now=_now(), after_days=settings().confidential_days)
    if model_files is None:
        return
    for key in model_files.keys:
        files.delete(key)
    with transaction() as session:
        purges.record_purge(session, files=model_files, now=_now())


def _now() -> datetime:
    return datetime.now(UTC)
