"""Models: uploaded STL files and what was measured in them. The file kept is our own re-written copy."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Numeric, String, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from api.domain.core.base import Base, Id, Instant
from api.domain.core.changes import record
from api.domain.core.errors import NotFound, Stale
from api.domain.core.locks import lock_row
from api.domain.core.paging import FIRST_PAGE, Page, PageWindow, read_page
from api.domain.core.text import one_line
from api.domain.people.accounts import Membership, User

# So long a removed model can be had back.
RESTORE_WITHIN = timedelta(hours=1)


class Model(Base):
    """One accepted file. `stl_key` is the clean binary STL in the file store; `sha256` is of that clean copy."""

    __tablename__ = "models"
    __table_args__ = (Index("ix_models_owner_id_id", "owner_id", "id"),)

    id: Mapped[Id]
    owner_id: Mapped[int] = mapped_column(ForeignKey("users.id"))
    organisation_id: Mapped[int | None] = mapped_column(ForeignKey("organisations.id"), index=True)
    name: Mapped[str] = mapped_column(String(200))
    sha256: Mapped[str] = mapped_column(String(64), index=True)
    stl_key: Mapped[str] = mapped_column(String(200))
    bytes: Mapped[int] = mapped_column(BigInteger)
    triangles: Mapped[int]
    size_x_mm: Mapped[float]
    size_y_mm: Mapped[float]
    size_z_mm: Mapped[float]
    volume_mm3: Mapped[float]
    area_mm2: Mapped[float]
    shells: Mapped[int]
    closed: Mapped[bool]
    # All else that was measured (open edges, inverted, likely unit, ...): api.domain.printing.mesh.Measures as JSON.
    measures: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[Instant]
    deleted_at: Mapped[Instant | None]
    # A confidential model is for its owner and the staff who print it; its files go some days after its last use.
    confidential: Mapped[bool] = mapped_column(default=False)
    # When its files were deleted: the row stays, because jobs and invoices refer to it.
    purged_at: Mapped[Instant | None]
    # The factor that makes millimetres of what was probably drawn in inches or metres; None: it looks right.
    suggested_scale: Mapped[Decimal | None] = mapped_column(Numeric(8, 3))

    owner: Mapped[User] = relationship()

    @property
    def size_mm(self) -> tuple[float, float, float]:
        return self.size_x_mm, self.size_y_mm, self.size_z_mm


def clean_name(name: str) -> str:
    """What people see of a file name: one line, no path, at most 200 characters."""
    return one_line(name.replace("\\", "/").rsplit("/", 1)[-1])[:200] or "model.stl"


def add_model(session: Session, *, owner: User, name: str, now: datetime, **facts: Any) -> Model:
    """Keep a measured model; `facts` are columns of Model."""
    model = Model(owner_id=owner.id, name=clean_name(name), created_at=now, **facts)
    session.add(model)
    session.flush()
    record(session, noun="model", noun_id=model.id, verb="uploaded", now=now, actor_id=owner.id, name=model.name)
    return model


def put_in_place(session: Session, *, turned: Model, model: Model, actor: User, now: datetime) -> None:
    """Let a turned copy stand for `model`, which goes out of sight if it is the actor's own, and can be had back.

    Raises Stale when it went meanwhile: of a double click, one copy is kept.
    """
    lock_row(session, model)
    if model.deleted_at is not None:
        raise Stale()
    turned.organisation_id, turned.confidential = model.organisation_id, model.confidential
    record(session, noun="model", noun_id=turned.id, verb="turned", now=now, actor_id=actor.id, model_id=model.id)
    if model.owner_id == actor.id:
        delete_model(session, model=model, actor=actor, now=now)


def get_model(session: Session, model_id: int, *, user: User, deleted_too: bool = False) -> Model:
    """One's own model, or one of an organisation that one buys for; anybody else's is NotFound."""
    model = session.get(Model, model_id)
    if model is None or (model.deleted_at is not None and not deleted_too):
        raise NotFound()
    if model.owner_id != user.id and not _shares_organisation(session, model, user):
        raise NotFound()
    return model


def _shares_organisation(session: Session, model: Model, user: User) -> bool:
    if model.organisation_id is None or model.confidential:
        return False
    query = select(Membership.id).where(
        Membership.user_id == user.id, Membership.organisation_id == model.organisation_id
    )
    return session.scalar(query) is not None


def stored_bytes(session: Session, *, user: User, now: datetime) -> int:
    """What one's models take on the disk: also those that were removed within the last day, which can be done over."""
    query = select(func.coalesce(func.sum(Model.bytes), 0)).where(
        Model.owner_id == user.id,
        Model.purged_at.is_(None),
        Model.deleted_at.is_(None) | (Model.deleted_at > now - timedelta(days=1)),
    )
    return int(session.scalar(query) or 0)


def lock_model(session: Session, model: Model) -> None:
    """Its files stay until this transaction ends; NotFound when it was deleted since this session has read it.

    What was deleted before may be printed again for an order, which keeps the files.
    """
    deleted_at = model.deleted_at
    # FOR KEY SHARE: many may print one model at once, but not while it is being hidden (`messages.purges`).
    session.refresh(model, ["deleted_at", "purged_at"], with_for_update={"key_share": True, "read": True})
    if model.purged_at is not None or model.deleted_at not in (None, deleted_at):
        raise NotFound(field="model_id")


def list_models(session: Session, *, user: User, window: PageWindow = FIRST_PAGE) -> Page[Model]:
    """Newest first."""
    query = select(Model).where(Model.owner_id == user.id, Model.deleted_at.is_(None))
    return read_page(session, query, window=window, id=Model.id)


def delete_model(session: Session, *, model: Model, actor: User, now: datetime) -> None:
    """Out of sight at once; jobs that use it keep their own slice. Done twice, it is deleted since the first time."""
    lock_row(session, model)
    if model.deleted_at is not None:
        return
    model.deleted_at = now
    record(session, noun="model", noun_id=model.id, verb="deleted", now=now, actor_id=actor.id)


def restore_model(session: Session, *, model_id: int, actor: User, now: datetime) -> Model:
    """Take back the removal of one's own model; NotFound when it is another's, purged, or RESTORE_WITHIN is over."""
    model = session.get(Model, model_id)
    if model is None or model.owner_id != actor.id:
        raise NotFound()
    # The step that deletes its files may be hiding it at this moment (`messages.purges`).
    lock_row(session, model)
    if model.deleted_at is None or model.purged_at is not None or now - model.deleted_at > RESTORE_WITHIN:
        raise NotFound()
    model.deleted_at = None
    record(session, noun="model", noun_id=model.id, verb="restored", now=now, actor_id=actor.id)
    return model
