"""What the machinery of the pages is tried with: the fixtures of the pages."""

from tests.pages.conftest import alice, anonymous, app, bob, charlie, log_in, world

__all__ = ["alice", "anonymous", "app", "bob", "charlie", "log_in", "world"]
