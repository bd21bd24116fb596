"""`/api/v1/sites` and `/api/v1/materials`. Open to all."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, Field

from api.deps import DbSession, Now
from api.domain.places.calendar import calendar_of, is_open_at
from api.domain.places.sites import Site, get_site, list_sites
from api.domain.pricing.materials import list_materials

router = APIRouter(prefix="/api/v1", tags=["places"])


class HoursOut(BaseModel):
    weekday: int = Field(description="0 is Monday.")
    opens: str = Field(examples=["09:00"])
    closes: str = Field(examples=["19:00"])
    staffed: bool


class SiteOut(BaseModel):
    id: int
    slug: str
    name: str
    city: str
    address: str
    timezone: str
    open_now: bool
    approves_prints: bool
    hours: list[HoursOut]


class ColourOut(BaseModel):
    code: str = Field(examples=["black"])
    name: str = Field(description="In French.", examples=["Noir"])
    name_en: str = Field(examples=["Black"])
    hex: str = Field(examples=["#1c1c1c"])


class MaterialOut(BaseModel):
    code: str = Field(examples=["PLA"])
    name: str = Field(description="In French.", examples=["PLA"])
    name_en: str = Field(examples=["PLA"])
    density_g_cm3: float
    colours: list[ColourOut]


@router.get("/sites")
def sites(session: DbSession, now: Now) -> list[SiteOut]:
    """The places of the network."""
    return [_site(site, now) for site in list_sites(session)]


@router.get("/sites/{site_id}")
def site(site_id: int, session: DbSession, now: Now) -> SiteOut:
    """One place, with its hours of the week."""
    return _site(get_site(session, site_id), now)


def _site(site: Site, now: Now) -> SiteOut:
    return SiteOut(
        id=site.id,
        slug=site.slug,
        name=site.name,
        city=site.city,
        address=site.address,
        timezone=site.timezone,
        open_now=is_open_at(calendar_of(site), now),
        approves_prints=site.approves_prints,
        hours=[
            HoursOut(weekday=h.weekday, opens=f"{h.opens:%H:%M}", closes=f"{h.closes:%H:%M}", staffed=h.staffed)
            for h in site.hours
        ],
    )


@router.get("/materials")
def materials(session: DbSession) -> list[MaterialOut]:
    """What can be printed with."""
    return [
        MaterialOut(
            code=material.code,
            name=material.name,
            name_en=material.name_en or material.name,
            density_g_cm3=float(material.density_g_cm3),
            colours=[
                ColourOut(code=c.code, name=c.name, name_en=c.name_en or c.name, hex=c.hex)
                for c in material.colours
                if c.offered
            ],
        )
        for material in list_materials(session)
    ]
