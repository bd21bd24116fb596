"""Printer kinds: printers that take the same G-code, with the facts of their machine."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import Float, Numeric, String, Text, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from api.domain.core.base import Base, EnumText, Id
from api.domain.core.errors import Invalid
from api.domain.core.locks import lock_name
from api.domain.printing.beds import Bed, BedForm, MachineFacts

# By so much a configuration may be smaller than its kind: vendors round.
SLACK_MM = 1.0


class PrinterKind(Base):
    """A type of printer: its build volume and nozzle in mm, and the configuration that staff exported for it."""

    __tablename__ = "printer_kinds"

    id: Mapped[Id]
    name: Mapped[str] = mapped_column(String(120), unique=True)
    width_mm: Mapped[float] = mapped_column(Float)
    depth_mm: Mapped[float] = mapped_column(Float)
    height_mm: Mapped[float] = mapped_column(Float)
    nozzle_mm: Mapped[Decimal] = mapped_column(Numeric(4, 2), default=Decimal("0.4"))
    # The lowest corner of the bed in the printer's own coordinates; see beds.Bed.
    bed_x_mm: Mapped[float] = mapped_column(Float, default=0.0, server_default="0")
    bed_y_mm: Mapped[float] = mapped_column(Float, default=0.0, server_default="0")
    bed_form: Mapped[BedForm] = mapped_column(
        EnumText(BedForm), default=BedForm.RECTANGLE, server_default=BedForm.RECTANGLE.value
    )
    # A PrusaSlicer configuration exported by staff; empty means our own generic one.
    config_ini: Mapped[str] = mapped_column(Text, default="")

    @property
    def bed(self) -> Bed:
        return Bed(self.width_mm, self.depth_mm, self.bed_x_mm, self.bed_y_mm, self.bed_form)

    @property
    def machine(self) -> MachineFacts:
        return MachineFacts(self.bed, self.height_mm, self.nozzle_mm)

    @property
    def volume_mm(self) -> tuple[float, float, float]:
        """The box (x, y, z) that a plate may fill."""
        return *self.bed.usable_mm, self.height_mm


class SizeWrong(Invalid):
    """Enter a build volume of 20 to 2,000 mm in each direction, and a nozzle of 0.1 to 2 mm."""

    field = "width_mm"


class ConfigurationBedWrong(Invalid):
    """The configuration is for a printer of {size}, but this type of printer has {own_size}."""

    field = "file"


class ConfigurationNozzleWrong(Invalid):
    """The configuration is for a nozzle of {nozzle_mm} mm, but this type of printer has {own_mm} mm."""

    field = "file"


def get_or_create_kind(session: Session, *, machine: MachineFacts, config_ini: str = "") -> PrinterKind:
    """The kind of this machine and of this configuration. Raises SizeWrong."""
    check_size(machine, field="width_mm")
    if kind := _find_kind(session, machine, config_ini):
        return kind
    # Two printers of a new kind may be added at once: the second looks again.
    lock_name(session, "printer_kind:new")
    if kind := _find_kind(session, machine, config_ini):
        return kind
    kind = PrinterKind(name=_free_name(session, machine), config_ini=config_ini, **_columns(machine))
    session.add(kind)
    session.flush()
    return kind


def _find_kind(session: Session, machine: MachineFacts, config_ini: str) -> PrinterKind | None:
    same = select(PrinterKind).filter_by(config_ini=config_ini, **_columns(machine))
    return session.scalars(same.order_by(PrinterKind.id).limit(1)).first()


def check_size(machine: MachineFacts, *, field: str) -> None:
    """Raises SizeWrong, beside `field`, for what no machine measures."""
    sides = (machine.bed.width_mm, machine.bed.depth_mm, machine.height_mm)
    if not all(20 <= side <= 2000 for side in sides) or not Decimal("0.1") <= machine.nozzle_mm <= 2:
        raise SizeWrong(field=field)


def _columns(machine: MachineFacts) -> dict[str, float | Decimal | BedForm]:
    bed = machine.bed
    return {
        "width_mm": bed.width_mm,
        "depth_mm": bed.depth_mm,
        "height_mm": machine.height_mm,
        "nozzle_mm": machine.nozzle_mm,
        "bed_x_mm": bed.x_mm,
        "bed_y_mm": bed.y_mm,
        "bed_form": bed.form,
    }


def _free_name(session: Session, machine: MachineFacts) -> str:
    lock_name(session, "printer_kind:new")
    name = f"{machine}, {machine.nozzle_mm.normalize():g} mm"
    # Kinds that differ in their configuration or origin alone would get the same name, which is unique.
    namesakes = session.scalar(select(func.count()).where(PrinterKind.name.startswith(name)))
    return f"{name} ({namesakes + 1})" if namesakes else name


def settle_machine(
    kind: PrinterKind, machine: MachineFacts, *, is_used: bool, takes_size: bool = False
) -> MachineFacts:
    """What is true of a kind that is sliced for with a configuration of this machine.

    A kind that nobody has used takes all facts from it. One that has been used keeps size and nozzle, and its bed lies
    in the middle of the machine's; size and form it takes only when a person says so (`takes_size`).
    Raises ConfigurationBedWrong, ConfigurationNozzleWrong.
    """
    if is_used and kind.nozzle_mm != machine.nozzle_mm:
        raise ConfigurationNozzleWrong(nozzle_mm=f"{machine.nozzle_mm:f}", own_mm=f"{kind.nozzle_mm.normalize():f}")
    if takes_size or not is_used:
        return machine
    own, theirs = kind.bed, machine.bed
    if own.form is not theirs.form or not (
        own.width_mm <= theirs.width_mm + SLACK_MM
        and own.depth_mm <= theirs.depth_mm + SLACK_MM
        and kind.height_mm <= machine.height_mm + SLACK_MM
    ):
        raise ConfigurationBedWrong(size=str(machine), own_size=str(kind.machine))
    x = theirs.x_mm + (theirs.width_mm - own.width_mm) / 2
    y = theirs.y_mm + (theirs.depth_mm - own.depth_mm) / 2
    return MachineFacts(Bed(own.width_mm, own.depth_mm, x, y, own.form), kind.height_mm, kind.nozzle_mm)


def set_machine(session: Session, *, kind: PrinterKind, machine: MachineFacts) -> None:
    """Write down what is true of the kind; a name that was made of its size is made anew."""
    if kind.name.startswith(str(kind.machine)) and str(machine) != str(kind.machine):
        kind.name = _free_name(session, machine)
    for column, value in _columns(machine).items():
        setattr(kind, column, value)
    session.flush()
