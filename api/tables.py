"""All tables of the product in one place: each noun of the domain declares its own beside its verbs."""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from pkgutil import walk_packages

from sqlalchemy import MetaData

import api.domain
from api.domain.core.base import Base


@lru_cache
def load_tables() -> MetaData:
    """Import every module of the domain.

    A table refers to another by its name. In a process that has imported only what it calls, SQLAlchemy does not find
    the other and fails at the first INSERT; in a test, where everything is loaded, the same code works.
    """
    for module in walk_packages(api.domain.__path__, "api.domain."):
        import_module(module.name)
    return Base.metadata
