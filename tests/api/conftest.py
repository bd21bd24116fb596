"""What the machinery of the API is tried with: the fixtures of its routes."""

from tests.world.programs import app, face, program

__all__ = ["app", "face", "program"]
