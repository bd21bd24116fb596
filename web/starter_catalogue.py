"""What a new installation prints with: PLA, PETG and TPU, and a tariff that managers change later."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy.orm import Session

from api.domain.pricing.materials import Colour, Material
from api.domain.pricing.prices import Tariff


def seed_materials(session: Session) -> None:
    # Code, names, density in g/cm3, nozzle and bed in °C, flow in mm3/s, price of a kilogram in euros: of the data
    # sheets, as the slicing profiles use them.
    rows = [
        ("PLA", "PLA", "PLA", "1.24", 210, 60, "11", "22"),
        ("PETG", "PETG", "PETG", "1.27", 240, 80, "8", "25"),
        ("TPU", "TPU (souple)", "TPU (flexible)", "1.21", 225, 50, "2.5", "35"),
    ]
    colours = [
        ("black", "Noir", "Black", "#1c1c1c"),
        ("white", "Blanc", "White", "#f5f5f0"),
        ("orange", "Orange", "Orange", "#e8641b"),
    ]
    for code, name, name_en, density, nozzle_c, bed_c, flow, per_kg in rows:
        material = Material(
            code=code,
            name=name,
            name_en=name_en,
            density_g_cm3=Decimal(density),
            nozzle_c=nozzle_c,
            bed_c=bed_c,
            max_flow_mm3_s=Decimal(flow),
            price_per_kg=Decimal(per_kg),
        )
        material.colours = [Colour(code=c, name=n, name_en=e, hex=h) for c, n, e, h in colours]
        session.add(material)
    session.flush()


def default_tariff() -> Tariff:
    """Prices in euros before VAT."""
    return Tariff(
        per_gram={"PLA": Decimal("0.06"), "PETG": Decimal("0.07"), "TPU": Decimal("0.10")},
        per_minute=Decimal("0.02"),
        handling=Decimal("0.80"),
        set_up=Decimal("1.50"),
        min_line=Decimal("3.00"),
        min_order=Decimal("5.00"),
        quantity_breaks=((10, Decimal("0.90")), (50, Decimal("0.80"))),
        rush_factors={"express": Decimal("1.5")},
    )
