"""What a customer asks to have printed, and whether the printers of the site can take it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from api.domain.core.errors import Invalid
from api.domain.places.sites import Site
from api.domain.pricing.materials import Colour, Material, Quality
from api.domain.printing.jobs.table import Job
from api.domain.printing.kinds import PrinterKind
from api.domain.printing.library import Model
from api.domain.printing.mesh import require_fit
from api.domain.printing.plates import copies_per_plate
from api.domain.printing.printers import list_printers

MOST_COPIES = 500
# Factors: 1 % to 100,000 %, which is what makes metres of a file that was meant in metres.
SCALES = (Decimal("0.01"), Decimal(1000))


class CopiesWrong(Invalid):
    """Enter between 1 and {most} copies."""

    field = "copies"


class ScaleWrong(Invalid):
    """Enter a scale between {least}% and {most}%."""

    field = "scale"


class NoPrinterHere(Invalid):
    """This place has no printers yet."""

    field = "site_id"


@dataclass(frozen=True)
class JobRequest:
    """What a customer asks for; `scale` 1 is the size of the file."""

    model: Model
    site: Site
    material: Material
    colour: Colour | None = None
    quality: Quality = Quality.STANDARD
    copies: int = 1
    scale: Decimal = Decimal(1)
    note: str = ""
    due_at: datetime | None = None
    organisation_id: int | None = None

    @property
    def size_mm(self) -> tuple[float, float, float]:
        x, y, z = self.model.size_mm
        factor = float(self.scale)
        return x * factor, y * factor, z * factor

    @property
    def slicing(self) -> dict[str, Any]:
        """What of it decides the G-code; printer kind and copies on the plate come on top (`slices.request_slice`)."""
        return {
            "model": self.model,
            "material": self.material,
            "quality": self.quality,
            "scale": self.scale,
        }


def request_of(job: Job) -> JobRequest:
    """The request that a stored job came from."""
    return JobRequest(
        model=job.model,
        site=job.site,
        material=job.material,
        colour=job.colour,
        quality=job.quality,
        copies=job.copies,
        scale=job.scale,
        organisation_id=job.organisation_id,
    )


def check_request(session: Session, request: JobRequest) -> list[PrinterKind]:
    """The printer kinds of the site that can take the part, by id; raises the error of the field that is wrong."""
    if not 1 <= request.copies <= MOST_COPIES:
        raise CopiesWrong(most=MOST_COPIES)
    if not SCALES[0] <= request.scale <= SCALES[1]:
        raise ScaleWrong(least=1, most=100_000)
    printers = list_printers(session, site_ids=[request.site.id])
    # Asked apart: "it fits no printer" would be a strange answer of a place that has none.
    if not printers:
        raise NoPrinterHere()
    kinds = {printer.kind_id: printer.kind for printer in printers}
    fit = require_fit(request.size_mm, {kind_id: kind.volume_mm for kind_id, kind in kinds.items()})
    # In one order everywhere: the slices of each are locked, and two jobs with the same ones must not do it crosswise.
    return [kinds[kind_id] for kind_id in sorted(fit.printers)]


def most_per_plate(request: JobRequest, kinds: list[PrinterKind]) -> int:
    """Copies on a full plate, the same on every printer kind, so that any printer can take any plate."""
    return min(request.copies, *(copies_per_plate(request.size_mm, kind.volume_mm) for kind in kinds))
