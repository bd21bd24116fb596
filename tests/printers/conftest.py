"""Fixtures of the printers' tests: real OctoPrint servers, and a workshop around the simulated one."""

from tests.octoprints import octoprint, octoprint_pool
from tests.world.workshop import workshop

__all__ = ["octoprint", "octoprint_pool", "workshop"]
