"""Writes the complete PrusaSlicer configuration of a machine, a material and a quality; checks one that staff upload.

No key is left out, because a model file could set what the configuration omits; and none may run a program.
"""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from decimal import Decimal
from importlib import resources

from api.domain.core.errors import N_, Invalid
from api.domain.pricing.materials import LAYER_MM, Quality
from api.domain.printing.plates import SPACING_MM
from printers.gcode import GcodeLimits, GcodeUnsafe, check_line

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
G1 X5 Y2 F6000
G1 Z0.28 F600
G1 X{0.45 * print_bed_max[0]} E10 F1200
G1 E-0.5 F2400
G92 E0
G1 Z2 F600
"""
_END = """\
G1 E-2 F2400
G1 Z{min(max_layer_z + 10, max_print_height)} F600
G1 X5 Y{0.95 * print_bed_max[1]} F6000
M104 S0
M140 S0
M107
M84
"""


@dataclass(frozen=True)
class MachineSpec:
    """A printer kind: build volume from the corner 0 0 0, in mm; the scripts may hold PrusaSlicer's placeholders."""

    width_mm: float = 220
    depth_mm: float = 220
    height_mm: float = 250
    nozzle_mm: float = 0.4
    nozzle_max_c: int = 260
    bed_max_c: int = 100
    start_gcode: str = _START
    end_gcode: str = _END


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


class NotASlicerConfiguration(Invalid):
    """This is not a configuration exported by PrusaSlicer: in PrusaSlicer, use File > Export > Export Config."""

    field = "file"


class ConfigurationBundle(Invalid):
    """This is a bundle of several configurations: export a single one with File > Export > Export Config."""

    field = "file"


class ConfigurationTooLong(Invalid):
    """The configuration is larger than {limit_kb} kB."""

    field = "file"


class ConfigurationKeyRefused(Invalid):
    """The setting “{key}” is refused: {why}."""

    field = "file"


class ConfigurationGcodeRefused(Invalid):
    """The G-code in “{key}” is refused at line {line}: {why}."""

    field = "file"


Settings = dict[str, str]

# What a configuration that staff exported may decide: the keys of PrusaSlicer's printer settings, and the diameter of
# the filament, which the machine's drive and hot end are made for.
MACHINE_KEY = re.compile(
    r"(?:start|end|layer|before_layer|between_objects|toolchange)_gcode|gcode_flavor|(?:de)?retract_\w+|wipe|machine_\w+"
    r"|use_(?:relative_e_distances|firmware_retraction|volumetric_e)|z_offset|remaining_times|silent_mode"
    r"|filament_diameter"
)


@functools.cache
def _base() -> Settings:
    text = resources.files("printers").joinpath("profiles", "base.ini").read_text("utf-8")
    return _parse(text)


def render_profile(machine: MachineSpec, material: MaterialSpec, quality: Quality, base_ini: str | None = None) -> str:
    """The whole configuration as an ini text, the same for the same arguments.

    `base_ini` is a configuration that staff exported (and `check_profile` accepted). It tells about the machine only;
    material and quality are ours, because members choose and pay for them.
    """
    settings = _base() | _machine(machine)
    if base_ini is not None:
        settings |= _exported_machine(_parse(base_ini))
    settings |= _material(material) | _quality(quality, machine.nozzle_mm) | _forced(machine, material)
    return "".join(f"{key} = {value}".rstrip() + "\n" for key, value in sorted(settings.items()))


def gcode_limits(machine: MachineSpec) -> GcodeLimits:
    return GcodeLimits(
        width_mm=machine.width_mm,
        depth_mm=machine.depth_mm,
        height_mm=machine.height_mm + 0.5,  # the nozzle hops over the last layer
        nozzle_max_c=machine.nozzle_max_c,
        bed_max_c=machine.bed_max_c,
    )


def _machine(machine: MachineSpec) -> Settings:
    line_mm = f"{machine.nozzle_mm * 1.125:.3g}"
    widths = ["", "external_perimeter_", "perimeter_", "infill_", "solid_infill_", "first_layer_"]
    return {
        **{f"{name}extrusion_width": line_mm for name in widths},
        "top_infill_extrusion_width": f"{machine.nozzle_mm:g}",
        "support_material_extrusion_width": f"{machine.nozzle_mm * 0.9:.3g}",
        "start_gcode": _escape(machine.start_gcode),
        "end_gcode": _escape(machine.end_gcode),
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
    # A hundredth around the bed: a model drawn as large as the bed is a bit larger in the 32-bit floats of its file.
    w, d = f"{machine.width_mm + 0.01:g}", f"{machine.depth_mm + 0.01:g}"
    # Empty, because they run programs or carry data that no printer needs; `never` are commands off our list.
    silent = ["post_process", "gcode_substitutions", "thumbnails", "notes", "printer_notes", "printer_model"]
    never = ["color_change_gcode", "pause_print_gcode", "template_custom_gcode", "colorprint_heights"]
    return {
        **dict.fromkeys([*silent, *never], ""),
        "filament_notes": '""',
        "bed_shape": f"-0.01x-0.01,{w}x-0.01,{w}x{d},-0.01x{d}",
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


_LONGEST_BYTES = 256 * 1024
_LINE = re.compile(r"([a-z0-9_]{1,80})\s*=\s?(.*)")
_NAMES_A_PROGRAM = re.compile(r"post_process|script|exec|command|plugin|substitution")
_VALUES: list[tuple[str, re.Pattern[str], str]] = [
    ("printer_technology", re.compile("FFF"), N_("only filament printers (FFF) are supported")),
    ("gcode_flavor", re.compile("marlin2?|reprap|reprapfirmware"), N_("only Marlin G-code is supported")),
    ("nozzle_diameter", re.compile(r"\d*\.?\d+"), N_("only printers with one nozzle are supported")),
    ("layer_height", re.compile(r"0?\.\d+|1"), N_("a layer is between 0 and 1 mm")),
    ("filament_diameter", re.compile(r"1\.75|2\.85|3"), N_("filament is 1.75 or 2.85 mm")),
    ("max_print_height", re.compile(r"\d{1,4}(\.\d*)?"), N_("this is not a height")),
    ("bed_shape", re.compile(r"(-?[\d.]+x-?[\d.]+,?){3,200}"), N_("this is not the outline of a bed")),
]


def check_profile(text: str) -> None:
    """Raises the named error of the first fault of a configuration that staff exported.

    Settings that our PrusaSlicer does not know are ignored (see `render_profile`), unless they could run a program.
    """
    if len(text.encode()) > _LONGEST_BYTES:
        raise ConfigurationTooLong(limit_kb=_LONGEST_BYTES // 1024)
    settings = _parse(text)
    if not {"layer_height", "nozzle_diameter", "bed_shape"} <= settings.keys():
        raise NotASlicerConfiguration
    for key, value in settings.items():
        if value.strip('" ') and _NAMES_A_PROGRAM.search(key):
            raise ConfigurationKeyRefused(key=key, why=N_("it would run a program or rewrite the G-code"))
        if key.endswith("_gcode") and MACHINE_KEY.fullmatch(key):
            _check_snippet(key, value)
    for key, form, why in _VALUES:
        if key in settings and not form.fullmatch(settings[key].strip()):
            raise ConfigurationKeyRefused(key=key, why=why)


def _parse(text: str) -> Settings:
    settings: Settings = {}
    for raw in text.splitlines():
        line = raw.strip("\ufeff \t")
        if not line or line.startswith(("#", ";")):
            continue
        if line.startswith("["):
            raise ConfigurationBundle
        match = _LINE.fullmatch(line)
        if match is None or "\0" in line:
            raise NotASlicerConfiguration
        settings[match[1]] = match[2].strip()
    return settings


def _check_snippet(key: str, value: str) -> None:
    for number, line in enumerate(_strip_placeholders(value).split("\n"), 1):
        try:
            # The temperatures of the machine itself are checked in the sliced file; these bound any printer.
            check_line(line.strip(), nozzle_max_c=350, bed_max_c=150)
        except GcodeUnsafe as error:
            raise ConfigurationGcodeRefused(key=key, line=number, why=error.params["why"]) from error


def _strip_placeholders(value: str) -> str:
    """The lines of a script, with 0 where PrusaSlicer will put a value, and without its conditions."""
    # In this order: the quoting of a list of scripts, the escapes, the placeholders, then {if a}x{else}y{endif} within
    # a line (x stands for both), and at last conditions over several lines, of which all branches are read.
    text = re.sub(r'(?<!\\)";"', r"\\n", re.sub(r'^"|"$', "", value))
    text = text.replace("\\n", "\n").replace('\\"', '"').replace("\\\\", "\\")
    text = re.sub(r"\{(?!\s*(?:if|elsif|else|endif)\b)[^{}]*\}|\[[^\[\]\n]*\]", "0", text)
    text = re.sub(r"\{\s*if\b[^{}]*\}([^{}\n]*)\{\s*else\s*\}[^{}\n]*\{\s*endif\s*\}", r"\1", text)
    return re.sub(r"\{[^{}]*\}", "\n", text)


def _escape(script: str) -> str:
    return script.replace("\\", "\\\\").replace("\n", "\\n")
