"""Fixtures of the pages: browsers of alice, bob and charlie, and one where nobody is logged in."""

from tests.world.browsers import alice, anonymous, app, bob, charlie, log_in, manager

__all__ = ["alice", "anonymous", "app", "bob", "charlie", "log_in", "manager"]
