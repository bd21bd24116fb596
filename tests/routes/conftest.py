"""Fixtures of the JSON face: programs that hold the tokens of alice, bob and charlie."""

from tests.world.programs import alice, app, bob, charlie, face, program

__all__ = ["alice", "app", "bob", "charlie", "face", "program"]
