"""Which files of confidential models are to be deleted, some days after their last use.

The background step `adapters.purging` deletes them, between `hide_model` and `record_purge`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, exists, func, or_, select, update
from sqlalchemy.orm import Session

from api.domain.billing.sellers import today
from api.domain.core.changes import enqueue, record
from api.domain.printing.jobs import Job
from api.domain.printing.jobs.table import ENDED, JobSlice
from api.domain.printing.library import RESTORE_WITHIN, Model
from api.domain.printing.slices import Slice
from api.domain.sales.orders.table import OPEN, Order
from api.domain.sales.quotes import Quote, QuoteLine, QuoteStatus


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """Keys in the file store: the model's own file, and the G-code that was sliced from it."""

    model_id: int
    keys: tuple[str, ...]


def list_due_models(session: Session, *, now: datetime, after_days: int, limit: int = 50) -> list[int]:
    """Ids of confidential models that were uploaded, and whose last job ended, `after_days` ago, with nothing open."""
    query = select(Model.id).where(*_due(now, after_days)).order_by(Model.id)
    return list(session.scalars(query.limit(limit)))


def _due(now: datetime, after_days: int) -> list[ColumnElement[bool]]:
    before = now - timedelta(days=after_days)
    recent_job = exists().where(
        Job.model_id == Model.id, or_(Job.status.not_in(ENDED), func.coalesce(Job.ended_at, now) > before)
    )
    # A slice is shared by all jobs of the same shape: a job of another model must not lose its G-code.
    in_use = exists().where(
        Slice.model_id == Model.id, JobSlice.slice_id == Slice.id, Job.id == JobSlice.job_id, Job.status.not_in(ENDED)
    )
    in_line = QuoteLine.model_id == Model.id
    quoted = exists().where(in_line, QuoteLine.quote_id == Quote.id, _is_open(now))
    ordered = exists().where(in_line, QuoteLine.quote_id == Order.quote_id, Order.status.in_(OPEN))
    reasons_to_keep = (recent_job, in_use, quoted, ordered)
    return [
        Model.confidential.is_(True),
        Model.purged_at.is_(None),
        # A model that was never printed counts from its upload.
        Model.created_at <= before,
        *(~reason for reason in reasons_to_keep),
    ]


def _is_open(now: datetime) -> ColumnElement[bool]:
    return Quote.status.in_([QuoteStatus.IN_REVIEW, QuoteStatus.OFFERED]) & (Quote.valid_until >= today(now))


def enqueue_purges(session: Session, *, now: datetime, after_days: int) -> None:
    for model_id in list_due_models(session, now=now, after_days=after_days):
        enqueue(session, "purge_model", once=f"purge:{model_id}", model_id=model_id)


def hide_model(session: Session, *, model_id: int, now: datetime, after_days: int) -> ModelFiles | None:
    """Mark the model as deleted, so that nobody orders it meanwhile; None when it is not due (any more)."""
    # The lock first, in a statement of its own: it waits for a job that is being made of this model, and the question
    # sees that job. Asked in one statement, the answer would be as old as the beginning of the wait.
    session.execute(select(Model.id).where(Model.id == model_id).with_for_update())
    due = select(Model).where(Model.id == model_id, *_due(now, after_days))
    model = session.scalar(due.execution_options(populate_existing=True))
    if model is None:
        return None
    # As if it were long ago: its owner could else take the removal back while the files are being deleted.
    too_late = now - RESTORE_WITHIN - timedelta(seconds=1)
    model.deleted_at = min(model.deleted_at or too_late, too_late)
    session.flush()
    own = [] if _is_shared(session, model) else [model.stl_key]
    return ModelFiles(model_id, (*own, *_retire_slices(session, model_id)))


def _retire_slices(session: Session, model_id: int) -> list[str]:
    """The keys of their G-code."""
    # Slices are looked up by fingerprint: with another one, a new job of the same shape is sliced again.
    retire = update(Slice).where(Slice.model_id == model_id).values(fingerprint=func.concat("purged:", Slice.id))
    keys = session.scalars(retire.returning(Slice.gcode_key).execution_options(synchronize_session=False))
    return [key for key in keys if key]


def _is_shared(session: Session, model: Model) -> bool:
    """Whether another model uses the same stored file."""
    query = select(Model.id).where(
        Model.stl_key == model.stl_key, Model.id != model.id, Model.purged_at.is_(None), Model.deleted_at.is_(None)
    )
    return session.scalar(query.limit(1)) is not None


def record_purge(session: Session, *, files: ModelFiles, now: datetime) -> None:
    """Record, once, that the files are deleted. The row stays, because jobs and invoices refer to it."""
    won = session.scalar(
        update(Model)
        .where(Model.id == files.model_id, Model.purged_at.is_(None))
        .values(purged_at=now)
        .returning(Model.id)
    )
    if won is not None:
        record(session, noun="model", noun_id=won, verb="purged", now=now, files=len(files.keys))
