"""Reads a PrusaSlicer configuration that staff exported: what is none, or could do harm, is refused."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from api.domain.core.errors import N_, Invalid
from api.domain.printing.beds import Bed, ConfigurationFacts, MachineFacts, UnlistedLine, bed_of
from api.domain.printing.kinds import check_size
from printers.gcode import GcodeUnlisted, GcodeUnsafe, check_line
from printers.scripts import PLACEHOLDER, Margins, measure_margins, read_script

Settings = dict[str, str]

# What a configuration that staff exported may decide: the keys of PrusaSlicer's printer settings, and the diameter of
# the filament, which the machine's drive and hot end are made for.
MACHINE_KEY = re.compile(
    r"(?:start|end|layer|before_layer|between_objects|toolchange)_gcode|gcode_flavor|(?:de)?retract_\w+|wipe|machine_\w+"
    r"|use_(?:relative_e_distances|firmware_retraction|volumetric_e)|z_offset|remaining_times|silent_mode"
    r"|filament_diameter"
)


class NotASlicerConfiguration(Invalid):
    """This is not a configuration exported by PrusaSlicer: in PrusaSlicer, use File > Export > Export Config."""

    field = "file"


class ConfigurationBundle(Invalid):
    """This is a bundle of several configurations: export a single one with File > Export > Export Config."""

    field = "file"


class AnotherSlicersFile(Invalid):
    """This is a file of {slicer}, which only {slicer} can read: export the configuration from PrusaSlicer."""

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


class ConfigurationMovesTooFar(Invalid):
    """The start and end G-code move {over_mm} mm beside the bed; at most {most_mm} mm are possible."""

    field = "file"


_LONGEST_BYTES = 256 * 1024
_LINE = re.compile(r"([a-z0-9_]{1,80})\s*=\s?(.*)")
_NAMES_A_PROGRAM = re.compile(r"post_process|script|exec|command|plugin|substitution")
# Round outlines of vendors hold numbers such as 6.1e-15.
_COORDINATE = r"-?\d+\.?\d*(?:e-?\d{1,3})?"
# Brushes and parking places beside the bed are nearer than this.
_MOST_MARGIN_MM = 40
# Longer scripts, or more conditions, are no machine's, and reading them takes long.
_LONGEST_SCRIPT, _MOST_CONDITIONS = 20_000, 200
# What other slicers export; PrusaSlicer's own bundles also begin with a section.
_OTHERS = {
    "Cura": re.compile(r"\[general\]\s[^\[]*^definition\s*=", re.MULTILINE),
    "Simplify3D": re.compile(r"\s*(?:<\?xml[^>]*>\s*)?<profile\b"),
    "OrcaSlicer": re.compile(r'\s*\{.*"(?:from|inherits|printer_settings_id)"\s*:', re.DOTALL),
}
_VALUES: list[tuple[str, re.Pattern[str], str]] = [
    ("printer_technology", re.compile("FFF"), N_("only filament printers (FFF) are supported")),
    ("gcode_flavor", re.compile("marlin2?|reprap|reprapfirmware|repetier"), N_("only Marlin G-code is supported")),
    ("nozzle_diameter", re.compile(r"\d*\.?\d+"), N_("only printers with one nozzle are supported")),
    ("filament_diameter", re.compile(r"1\.75|2\.85|3"), N_("filament is 1.75 or 2.85 mm")),
    ("max_print_height", re.compile(r"\d{1,4}(\.\d*)?"), N_("this is not a height")),
    ("bed_shape", re.compile(rf"(?:{_COORDINATE}x{_COORDINATE},?){{3,200}}"), N_("this is not the outline of a bed")),
]


def read_configuration(text: str) -> ConfigurationFacts:
    """What a configuration that staff exported says. Raises the named error of its first fault.

    Settings that our PrusaSlicer does not know are ignored (see `render_profile`), unless they could run a program.
    """
    if len(text.encode()) > _LONGEST_BYTES:
        raise ConfigurationTooLong(limit_kb=_LONGEST_BYTES // 1024)
    for slicer, form in _OTHERS.items():
        if form.match(text):
            raise AnotherSlicersFile(slicer=slicer)
    settings = parse_settings(text)
    if not {"layer_height", "nozzle_diameter", "bed_shape", "max_print_height"} <= settings.keys():
        raise NotASlicerConfiguration
    _check_values(settings)
    machine = _read_machine(settings)
    scripts = [(key, value) for key, value in settings.items() if key.endswith("_gcode") and MACHINE_KEY.fullmatch(key)]
    unlisted = [line for key, value in scripts for line in _check_script(key, value)]
    over = max(read_margins(settings, machine.bed))
    if over > _MOST_MARGIN_MM:
        raise ConfigurationMovesTooFar(over_mm=f"{over:g}", most_mm=_MOST_MARGIN_MM)
    return ConfigurationFacts(machine, tuple(unlisted))


def _check_values(settings: Settings) -> None:
    for key, value in settings.items():
        if value.strip('" ') and _NAMES_A_PROGRAM.search(key):
            raise ConfigurationKeyRefused(key=key, why=N_("it would run a program or rewrite the G-code"))
    for key, pattern, why in _VALUES:
        if key in settings and not pattern.fullmatch(settings[key].strip()):
            raise ConfigurationKeyRefused(key=key, why=why)


def read_margins(settings: Settings, bed: Bed) -> Margins:
    """How far its scripts purge, wipe or park beside this bed, in mm: left, front, right, back."""
    return measure_margins((settings.get("start_gcode", ""), settings.get("end_gcode", "")), bed)


def _read_machine(settings: Settings) -> MachineFacts:
    corners = [corner.partition("x") for corner in settings["bed_shape"].strip(", ").split(",")]
    bed = bed_of([(float(x), float(y)) for x, _, y in corners])
    if bed is None:
        raise ConfigurationKeyRefused(key="bed_shape", why=N_("a bed is rectangular or round"))
    machine = MachineFacts(bed, float(settings["max_print_height"]), Decimal(settings["nozzle_diameter"]))
    check_size(machine, field="file")
    return machine


def parse_settings(text: str) -> Settings:
    """`key = value` lines; raises ConfigurationBundle, NotASlicerConfiguration."""
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


def _check_script(key: str, value: str) -> Iterator[UnlistedLine]:
    """The lines off our list that a person may take responsibility for; raises ConfigurationGcodeRefused at others."""
    if len(value) > _LONGEST_SCRIPT or value.count("{") > _MOST_CONDITIONS:
        raise ConfigurationKeyRefused(key=key, why=N_("the script is too long"))
    for line in read_script(value):
        if PLACEHOLDER.fullmatch(line.command):
            continue  # a script of its own, which is read in the sliced file
        try:
            # The temperatures of the machine itself are checked in the sliced file; these bound any printer.
            check_line(line.filled, nozzle_max_c=350, bed_max_c=150)
        except GcodeUnlisted:
            yield UnlistedLine(key, line.number, line.command)
        except GcodeUnsafe as error:
            raise ConfigurationGcodeRefused(key=key, line=line.number, why=error.params["why"]) from error
