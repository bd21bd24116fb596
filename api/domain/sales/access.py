"""Who may read a quote or an order: the members of its organisation, and the staff of its site."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from sqlalchemy import or_, select
from sqlalchemy.orm import Session
from sqlalchemy.orm.interfaces import ORMOption

from api.domain.core.base import Base
from api.domain.core.errors import NotFound
from api.domain.core.paging import Page, PageWindow, read_page
from api.domain.people.accounts import Membership, User
from api.domain.people.roles import may_staff

# Quote or Order: no type says that both have `id`, `organisation_id` and `site_id`, so these are read through Any.
S = TypeVar("S", bound=Base)


def get_readable(session: Session, table: type[S], sale_id: int, *, user: User) -> S:
    """Raises NotFound also to a user who may not read it: nobody learns by numbers what exists."""
    sale = session.get(table, sale_id)
    if sale is None or not _may_read(session, user, sale):
        raise NotFound()
    return sale


def _may_read(session: Session, user: User, sale: Any) -> bool:
    # Any member, not only buyers: viewers read what their organisation ordered.
    member = select(Membership.id).where(
        Membership.user_id == user.id, Membership.organisation_id == sale.organisation_id
    )
    return session.scalar(member) is not None or may_staff(session, user=user, site_id=sale.site_id)


def list_readable(
    session: Session,
    table: type[S],
    *,
    user: User,
    organisation_id: int | None,
    site_ids: Sequence[int] | None,
    window: PageWindow,
    shown: Sequence[ORMOption] = (),
) -> Page[S]:
    """Those of the user's organisations, and with `site_ids` those of these sites; newest first.

    The caller checks that the user staffs the sites. `shown` loads what a row shows beside the sale itself.
    """
    columns: Any = table
    own = columns.organisation_id.in_(select(Membership.organisation_id).where(Membership.user_id == user.id))
    query = select(table).where(or_(own, columns.site_id.in_(site_ids)) if site_ids else own)
    if organisation_id is not None:
        query = query.where(columns.organisation_id == organisation_id)
    return read_page(session, query.options(*shown), window=window, id=columns.id)
