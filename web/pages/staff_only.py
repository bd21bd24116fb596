"""Who may see the pages of the staff: whoever staffs a site. A member gets 403, a visitor the login."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends

from api.deps import CurrentUser
from api.domain.people.roles import StaffOnly
from web.render import PageReader, Reader


def staff_reader(reader: Reader, user: CurrentUser) -> PageReader:
    if not reader.staffs:
        raise StaffOnly()
    return reader


StaffReader = Annotated[PageReader, Depends(staff_reader)]


def site_ids(reader: PageReader) -> list[int]:
    return [site.id for site in reader.staffs]
