"""What the machinery of the API is tried with: the fixtures of its routes."""

from tests.routes.conftest import app, data_dir, face, program, world

__all__ = ["app", "data_dir", "face", "program", "world"]
