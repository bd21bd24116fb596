"""The pages behind the staff door; each asks for a place that the reader staffs, and shows only those places."""

from fastapi import APIRouter

from web.pages.staff import acts, adding, calendar, now, printers, records

router = APIRouter(include_in_schema=False)
for part in (now, acts, adding, calendar, printers, records):
    router.include_router(part.router)
