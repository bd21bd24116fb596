"""The port's contract, held by the simulator and by a real OctoPrint."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

from printers.lab import OctoPrintServer
from printers.octoprint import OctoPrint
from printers.port import PrinterPort
from printers.simulator import SimulatedOctoPrint
from tests.octoprints import wait_until
from tests.printers.contract import PortContract


@dataclass
class SimulatedRig:
    port: PrinterPort
    folder: Path
    simulated: SimulatedOctoPrint

    def let_finish(self) -> None:
        self.simulated.printer.tick(3600)

    def switch_off(self) -> None:
        self.simulated.printer.disconnect()

    def switch_on(self) -> None:
        self.simulated.printer.connect()

    def describe(self, *, form: str, origin: str, width: float, depth: float, height: float, nozzle: float) -> None:
        profile = self.simulated.printer.profile
        profile["volume"] = {"formFactor": form, "origin": origin, "width": width, "depth": depth, "height": height}
        profile["extruder"]["nozzleDiameter"] = nozzle

    def break_down(self) -> None:
        self.simulated.printer.break_down()

    def cancel_at_printer(self) -> None:
        self.simulated.printer.cancel_at_printer()

    def print_by_hand(self) -> None:
        self.simulated.printer.print_by_hand()


@dataclass
class RealRig:
    port: PrinterPort
    folder: Path
    server: OctoPrintServer

    def let_finish(self) -> None:
        wait_until(lambda: self.server.state() == "Operational")

    def switch_off(self) -> None:
        self.server.admin("POST", "/api/connection", {"command": "disconnect"})
        wait_until(lambda: self.server.state() == "Offline")

    def switch_on(self) -> None:
        self.server.connect_printer()

    def describe(self, *, form: str, origin: str, width: float, depth: float, height: float, nozzle: float) -> None:
        volume = {"formFactor": form, "origin": origin, "width": width, "depth": depth, "height": height}
        profile = {"volume": volume, "extruder": {"nozzleDiameter": nozzle}}
        self.server.admin("PATCH", "/api/printerprofiles/_default", {"profile": profile})

    def break_down(self) -> None:
        self.server.command("!!DEBUG:trigger_fatal_error_marlin")

    def cancel_at_printer(self) -> None:
        self.server.command("!!DEBUG:action_custom cancel")

    def print_by_hand(self) -> None:
        files = {"file": ("by-hand.gcode", b"G4 P100\n" * 600)}
        headers = {"X-Api-Key": self.server.admin_key}
        requests.post(
            f"{self.server.url}/api/files/local", files=files, data={"print": "true"}, headers=headers, timeout=5
        )


class TestSimulated(PortContract):
    @pytest.fixture
    def rig(self, tmp_path: Path) -> Iterator[SimulatedRig]:
        with SimulatedOctoPrint() as simulated:
            port = OctoPrint(simulated.url, simulated.key)
            yield SimulatedRig(port, tmp_path, simulated)
            port.close()


@pytest.mark.real
class TestRealOctoPrint(PortContract):
    @pytest.fixture
    def rig(self, tmp_path: Path, octoprint: OctoPrintServer) -> Iterator[RealRig]:
        port = OctoPrint(octoprint.url, octoprint.key)
        rig = RealRig(port, tmp_path, octoprint)
        rig.describe(form="rectangular", origin="lowerleft", width=200, depth=200, height=200, nozzle=0.4)
        yield rig
        port.close()
