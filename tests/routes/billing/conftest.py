"""Programs that call over a real socket."""

from tests.routes.sales.conftest import anonymous, app, calls

__all__ = ["anonymous", "app", "calls"]
