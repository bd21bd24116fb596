"""Writes the complete PrusaSlicer configuration of a machine, a material and a quality.

No key is left out, because a model file could set what the configuration omits; and none may run a program.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from decimal import Decimal
from importlib import resources

from api.domain.pricing.materials import LAYER_MM, Quality
from api.domain.printing.beds import Bed, BedForm
from api.domain.printing.plates import SPACING_MM
from printers.configuration import MACHINE_KEY, Settings, parse_settings
from printers.gcode import GcodeLimits
from printers.scripts import NO_MARGINS, Margins

_START = """\
G21
G90
M83
M140 S[first_layer_bed_temperature]
M104 S[first_layer_temperature]
M190 S[first_layer_bed_temperature]
M109 S[first_layer_temperature]
G28
G92 E0
G1 Z2 F600
G1 X{print_bed_min[0] + 5} Y{print_bed_min[1] + 2} F6000
G1 Z0.28 F600
G1 X{print_bed_min[0] + 0.45 * print_bed_size[0]} E10 F1200
G1 E-0.5 F2400
G92 E0
G1 Z2 F600
"""
# On a round bed the corner is beside the bed: along a chord at its front.
_ROUND_START = _START.replace(
    "G1 X{print_bed_min[0] + 5} Y{print_bed_min[1] + 2} F6000",
    "G1 X{print_bed_min[0] + 0.3 * print_bed_size[0]} Y{print_bed_min[1] + 0.05 * print_bed_size[1]} F6000",
).replace("0.45 * print_bed_size[0]", "0.7 * print_bed_size[0]")
_END = """\
G1 E-2 F2400
G1 Z{min(max_layer_z + 10, max_print_height)} F600
G1 X{print_bed_min[0] + 5} Y{print_bed_min[1] + 0.95 * print_bed_size[1]} F6000
M104 S0
M140 S0
M107
M84
"""
_ROUND_END = _END.replace("print_bed_min[0] + 5", "print_bed_min[0] + 0.5 * print_bed_size[0]")


@dataclass(frozen=True)
class MachineSpec:
    """A printer kind, in mm. The scripts may hold PrusaSlicer's placeholders; "" stands for ours.

    `margins_mm` is how far beside the bed its scripts may purge or park: left, front, right, back.
    """

    bed: Bed = field(default_factory=lambda: Bed(220, 220))
    height_mm: float = 250
    nozzle_mm: float = 0.4
    nozzle_max_c: int = 260
    bed_max_c: int = 100
    margins_mm: Margins = NO_MARGINS
    # Lines off our list that a person took responsibility for.
    extra_lines: tuple[str, ...] = ()
    start_gcode: str = ""
    end_gcode: str = ""


@dataclass(frozen=True)
class MaterialSpec:
    """A filament as the slicer needs it; `flow_max_mm3_s` is what the nozzle can melt, `cost_per_kg` in euro."""

    code: str
    density_g_cm3: Decimal
    nozzle_c: int
    bed_c: int
    first_nozzle_c: int
    first_bed_c: int
    flow_max_mm3_s: float
    fan_min_percent: int = 100
    fan_max_percent: int = 100
    cost_per_kg: Decimal = Decimal(0)


# Solid layers on top and at the bottom: about a millimetre, whatever the height of a layer.
_SOLID = {Quality.DRAFT: (4, 3), Quality.STANDARD: (5, 4), Quality.FINE: (8, 6)}
# The first layer is at least this thick, so that it sticks to a bed that is not quite level.
_FIRST_MM = 0.2


@functools.cache
def _base() -> Settings:
    text = resources.files("printers").joinpath("profiles", "base.ini").read_text("utf-8")
    return parse_settings(text)


def render_profile(machine: MachineSpec, material: MaterialSpec, quality: Quality, base_ini: str | None = None) -> str:
    """The whole configuration as an ini text, the same for the same arguments.

    `base_ini` is a configuration that staff exported (and `read_configuration` accepted). It tells about the machine
    only; material and quality are ours, because members choose and pay for them.
    """
    settings = _base() | _machine(machine)
    if base_ini is not None:
        settings |= _exported_machine(parse_settings(base_ini))
    settings |= _material(material) | _quality(quality, machine.nozzle_mm) | _forced(machine, material)
    return "".join(f"{key} = {value}".rstrip() + "\n" for key, value in sorted(settings.items()))


def gcode_limits(machine: MachineSpec) -> GcodeLimits:
    return GcodeLimits(
        bed=machine.bed,
        margins_mm=machine.margins_mm,
        extra_lines=machine.extra_lines,
        height_mm=machine.height_mm + 0.5,  # the nozzle hops over the last layer
        nozzle_max_c=machine.nozzle_max_c,
        bed_max_c=machine.bed_max_c,
    )


def _machine(machine: MachineSpec) -> Settings:
    line_mm = f"{machine.nozzle_mm * 1.125:.3g}"
    is_round = machine.bed.form is BedForm.ROUND
    start = machine.start_gcode or (_ROUND_START if is_round else _START)
    end = machine.end_gcode or (_ROUND_END if is_round else _END)
    widths = ["", "external_perimeter_", "perimeter_", "infill_", "solid_infill_", "first_layer_"]
    return {
        **{f"{name}extrusion_width": line_mm for name in widths},
        "top_infill_extrusion_width": f"{machine.nozzle_mm:g}",
        "support_material_extrusion_width": f"{machine.nozzle_mm * 0.9:.3g}",
        "start_gcode": _escape(start),
        "end_gcode": _escape(end),
    }


def _exported_machine(own: Settings) -> Settings:
    """The machine's keys of a configuration that staff exported."""
    # Only keys that our own version knows: others could not be checked.
    machine = {key: own[key] for key in _base().keys() & own.keys() if MACHINE_KEY.fullmatch(key)}
    if own.get("use_relative_e_distances") == "0":
        # Ours resets E at each layer, which only relative distances allow.
        machine.setdefault("before_layer_gcode", "")
    return machine


def _material(material: MaterialSpec) -> Settings:
    return {
        "filament_type": material.code,
        "temperature": str(material.nozzle_c),
        "bed_temperature": str(material.bed_c),
        "first_layer_temperature": str(material.first_nozzle_c),
        "first_layer_bed_temperature": str(material.first_bed_c),
        "filament_max_volumetric_speed": f"{material.flow_max_mm3_s:g}",
        "min_fan_speed": str(material.fan_min_percent),
        "max_fan_speed": str(material.fan_max_percent),
        "bridge_fan_speed": str(material.fan_max_percent),
    }


def _quality(quality: Quality, nozzle_mm: float) -> Settings:
    # A layer thicker than 0.7 of the nozzle would not stick to the one below.
    thickest, height = 0.7 * nozzle_mm, float(LAYER_MM[quality])
    top, bottom = _SOLID[quality]
    return {
        "layer_height": f"{min(height, thickest):g}",
        "first_layer_height": f"{min(max(height, _FIRST_MM), thickest):g}",
        "top_solid_layers": str(top),
        "bottom_solid_layers": str(bottom),
    }


def _forced(machine: MachineSpec, material: MaterialSpec) -> Settings:
    # Empty, because they run programs or carry data that no printer needs; `never` are commands off our list.
    silent = ["post_process", "gcode_substitutions", "thumbnails", "notes", "printer_notes", "printer_model"]
    never = ["color_change_gcode", "pause_print_gcode", "template_custom_gcode", "colorprint_heights"]
    return {
        **dict.fromkeys([*silent, *never], ""),
        "filament_notes": '""',
        "bed_shape": _bed_shape(machine.bed),
        "max_print_height": f"{machine.height_mm:g}",
        "nozzle_diameter": f"{machine.nozzle_mm:g}",
        "filament_density": f"{material.density_g_cm3:f}",
        "filament_cost": f"{material.cost_per_kg:f}",
        "gcode_comments": "0",
        "gcode_label_objects": "0",
        "printer_technology": "FFF",
        "complete_objects": "0",
        "duplicate_distance": f"{SPACING_MM:g}",
        "output_filename_format": "part.gcode",
    }


def _bed_shape(bed: Bed) -> str:
    # A hundredth around the bed: a model drawn as large as the bed is a bit larger in the 32-bit floats of its file.
    wide = replace(
        bed, x_mm=bed.x_mm - 0.01, y_mm=bed.y_mm - 0.01, width_mm=bed.width_mm + 0.02, depth_mm=bed.depth_mm + 0.02
    )
    return ",".join(f"{x:.7g}x{y:.7g}" for x, y in wide.outline())


def _escape(script: str) -> str:
    return script.replace("\\", "\\\\").replace("\n", "\\n")
