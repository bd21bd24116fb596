"""How long prints of a printer kind really take at a site: one small row, kept up to date by each print that ends.

The plan is made at every claim and on many pages: it cannot read all prints of the past each time.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Float, ForeignKey, func, select, true
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from api.domain.core.base import Base, Instant
from api.domain.places.sites import Resource, Site
from api.domain.printing.plan import PlanSettings
from api.domain.printing.printers import Printer
from api.domain.printing.runs.table import Run, RunStatus
from api.domain.printing.slices import Slice

# Before a kind has a history of its own, a print is taken to last at most so much longer than the slicer says.
RATIO_P50, RATIO_P90 = 1.05, 1.25
ENOUGH_HISTORY = 20
# Of each printer only the latest runs count: they say most about the next, and their number bounds the work.
LATEST_RUNS = 100
# An outlier says nothing about the next print, and would move the percentiles of a small site.
LEAST_RATIO, MOST_RATIO = 0.5, 4.0


class PrintStatistics(Base):
    """`ratio_*`: real over estimated seconds in half and in nine of ten of the `count` prints that count."""

    __tablename__ = "print_statistics"

    site_id: Mapped[int] = mapped_column(ForeignKey("sites.id", ondelete="CASCADE"), primary_key=True)
    kind_id: Mapped[int] = mapped_column(ForeignKey("printer_kinds.id", ondelete="CASCADE"), primary_key=True)
    count: Mapped[int]
    ratio_p50: Mapped[float] = mapped_column(Float)
    ratio_p90: Mapped[float] = mapped_column(Float)
    updated_at: Mapped[Instant]


def update_statistics(session: Session, *, printer: Printer, now: datetime) -> None:
    """Count the print that has just ended well on this printer."""
    # Two that end at once may each miss the other: the next end counts both.
    latest = (
        select(Run.print_s, Slice.seconds)
        .join(Slice, Slice.id == Run.slice_id)
        .where(Run.printer_id == Printer.id, Run.status == RunStatus.DONE)
        .order_by(Run.claimed_at.desc())
        .limit(LATEST_RUNS)
        .lateral()
    )
    ratio = latest.c.print_s / func.nullif(latest.c.seconds, 0)
    figures = (
        select(
            func.count(),
            func.percentile_cont(0.5).within_group(ratio),
            func.percentile_cont(0.9).within_group(ratio),
        )
        .select_from(Printer)
        .join(Resource, Resource.id == Printer.id)
        .join(latest, true())
        .where(Resource.site_id == printer.site_id, Printer.kind_id == printer.kind_id)
        .where(ratio.between(LEAST_RATIO, MOST_RATIO))
    )
    count, p50, p90 = session.execute(figures).one()
    if not count:
        return
    values = {"count": count, "ratio_p50": p50, "ratio_p90": p90, "updated_at": now}
    adding = insert(PrintStatistics).values(site_id=printer.site_id, kind_id=printer.kind_id, **values)
    session.execute(adding.on_conflict_do_update(index_elements=["site_id", "kind_id"], set_=values))


def site_settings(session: Session, *, site: Site) -> PlanSettings:
    """What the site's own prints have taught, of each printer kind that has printed enough there."""
    query = select(PrintStatistics).where(PrintStatistics.site_id == site.id, PrintStatistics.count >= ENOUGH_HISTORY)
    ratios = {row.kind_id: (row.ratio_p50, max(row.ratio_p50, row.ratio_p90)) for row in session.scalars(query)}
    return PlanSettings(ratio_p50=RATIO_P50, ratio_p90=RATIO_P90, stagger_s=site.stagger_s, ratios=ratios)
