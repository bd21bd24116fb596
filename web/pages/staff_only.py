"""Who may see the pages of the staff: whoever staffs a site; those of money also who handles it. A member gets 403."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends

from api.deps import CurrentUser, DbSession
from api.domain.billing.money_rights import list_handled_ids
from api.domain.people.roles import StaffOnly
from web.render import PageReader, Reader


def staff_reader(reader: Reader, user: CurrentUser) -> PageReader:
    if not reader.staffs:
        raise StaffOnly()
    return reader


StaffReader = Annotated[PageReader, Depends(staff_reader)]


def site_ids(reader: PageReader) -> list[int]:
    return [site.id for site in reader.staffs]


def money_reader(reader: Reader, session: DbSession, user: CurrentUser) -> PageReader:
    # A treasurer or an accountant may have no role at any place.
    if not reader.staffs and not list_handled_ids(session, user=user):
        raise StaffOnly()
    return reader


MoneyReader = Annotated[PageReader, Depends(money_reader)]
