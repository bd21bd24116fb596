"""Fixtures of the printers' tests: a workshop around the simulated OctoPrint."""

from tests.world.workshop import workshop

__all__ = ["workshop"]
