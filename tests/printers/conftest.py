"""Fixtures of the printers' tests: real OctoPrint servers, and the simulated one."""

from tests.octoprints import octoprint, octoprint_pool

__all__ = ["octoprint", "octoprint_pool"]
