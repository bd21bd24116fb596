"""Names in addresses: small letters, digits and hyphens."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from itertools import count

# The columns hold at least 80 characters: there is room for the number.
MOST_LETTERS = 60


def free_slug(name: str, *, default: str, is_taken: Callable[[str], bool]) -> str:
    """The name without accents and signs, numbered from 2 on while it is taken; `default` when nothing is left of it.

    Two at once may get the same: callers hold `lock_name` from before the question to the commit.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    stem = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:MOST_LETTERS] or default
    candidates = (stem if n == 1 else f"{stem}-{n}" for n in count(1))
    return next(slug for slug in candidates if not is_taken(slug))
