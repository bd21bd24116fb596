"""Filaments, their colours, and the print qualities that can be chosen."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from sqlalchemy import ForeignKey, Numeric, String, UniqueConstraint, select
from sqlalchemy.orm import Mapped, Session, mapped_column, relationship

from api.domain.core.base import Base, Id
from api.domain.core.errors import Invalid


class Quality(StrEnum):
    """How fine a part is printed: its layer height in LAYER_MM."""

    DRAFT = "draft"
    STANDARD = "standard"
    FINE = "fine"


# The slicing profile and the estimate both read these, so that they count the same layers.
LAYER_MM = {Quality.DRAFT: Decimal("0.28"), Quality.STANDARD: Decimal("0.20"), Quality.FINE: Decimal("0.12")}


class Material(Base):
    """A filament type; temperatures in degrees Celsius."""

    __tablename__ = "materials"

    id: Mapped[Id]
    code: Mapped[str] = mapped_column(String(20), unique=True)
    name: Mapped[str] = mapped_column(String(80))
    # For readers of English; when empty, `name` is the same in both languages.
    name_en: Mapped[str] = mapped_column(String(80), default="")
    density_g_cm3: Mapped[Decimal] = mapped_column(Numeric(6, 4))
    nozzle_c: Mapped[int]
    bed_c: Mapped[int]
    # How much a nozzle can melt: it limits the speed of wide lines.
    max_flow_mm3_s: Mapped[Decimal] = mapped_column(Numeric(6, 2), default=Decimal(10))
    price_per_kg: Mapped[Decimal] = mapped_column(Numeric(10, 4), default=Decimal(25))
    offered: Mapped[bool] = mapped_column(default=True)

    colours: Mapped[list[Colour]] = relationship(order_by="Colour.id", back_populates="material")


class Colour(Base):
    """A colour of a material; `hex` is how pages show it."""

    __tablename__ = "colours"
    __table_args__ = (UniqueConstraint("material_id", "code"),)

    id: Mapped[Id]
    material_id: Mapped[int] = mapped_column(ForeignKey("materials.id"))
    code: Mapped[str] = mapped_column(String(30))
    name: Mapped[str] = mapped_column(String(60))
    name_en: Mapped[str] = mapped_column(String(60), default="")
    hex: Mapped[str] = mapped_column(String(7), default="#808080")
    offered: Mapped[bool] = mapped_column(default=True)

    material: Mapped[Material] = relationship(back_populates="colours")


class MaterialUnknown(Invalid):
    """This material is not available: {code}."""

    field = "material"


class ColourUnknown(Invalid):
    """{material} is not available in this colour: {code}."""

    field = "colour"


def list_materials(session: Session) -> list[Material]:
    return list(session.scalars(select(Material).where(Material.offered).order_by(Material.id)))


def get_material(session: Session, code: str) -> Material:
    """By code, whatever its case; raises MaterialUnknown."""
    material = session.scalar(select(Material).where(Material.code == code.upper(), Material.offered))
    if material is None:
        raise MaterialUnknown(code=code[:20])
    return material


def get_colour(material: Material, code: str) -> Colour:
    """An offered colour of the material by code; raises ColourUnknown."""
    for colour in material.colours:
        if colour.code == code.lower() and colour.offered:
            return colour
    raise ColourUnknown(material=material.name, code=code[:30])
