"""What the machinery of the pages is tried with: the fixtures of the pages, and a real browser."""

from tests.world.browsers import alice, anonymous, app, bob, charlie, log_in
from tests.world.chromium import chromium, house

__all__ = ["alice", "anonymous", "app", "bob", "charlie", "chromium", "house", "log_in"]
