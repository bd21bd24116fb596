"""The pages behind the staff door; each asks for a place that the reader staffs, and shows only those places."""

from fastapi import APIRouter

from web.pages.staff import (
    acts,
    adding,
    calendar,
    conventions,
    gatherings,
    hours,
    now,
    printers,
    records,
    rules,
    slicing,
)

router = APIRouter(include_in_schema=False)
for part in (now, acts, adding, calendar, gatherings, rules, hours, conventions, printers, slicing, records):
    router.include_router(part.router)
