"""Every background step: the name that `changes.enqueue` uses, the function behind it, the queue that it waits in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

DISPATCH, BACKGROUND = "dispatch", "background"


@dataclass(frozen=True, slots=True)
class Step:
    """`function` is "module:name"; a verb of the domain gets `session` and `now` beside the step's arguments."""

    function: str
    is_verb: bool = False
    queue: str = BACKGROUND

    def load(self) -> Callable[..., object]:
        # Only when a step first runs: the worker of the printers must not hold WeasyPrint, the validators and the
        # slicer in its memory, nor wait for them at its start.
        module, _, name = self.function.partition(":")
        function: Callable[..., object] = getattr(import_module(module), name)
        return function


STEPS = {
    # Dispatch has a queue, and so a process, of its own: no slicer can delay a printer.
    "reconcile": Step("printers.reconcile:reconcile", queue=DISPATCH),
    "slice": Step("printers.slicing:make_slice"),
    "settle_job": Step("api.domain.printing.jobs:settle_job", is_verb=True),
    "probe_printer": Step("printers.probing:probe_printer"),
    "tidy_printers": Step("printers.housekeeping:tidy_printers"),
    "render_invoice": Step("api.adapters.invoicing:render_invoice"),
    "bill_month": Step("api.adapters.invoicing:bill_month"),
    "send_invoice": Step("api.adapters.sending:send_invoice"),
    "poll_flow": Step("api.adapters.sending:poll_flow"),
    "purge_model": Step("api.adapters.purging:purge_model"),
    "send_mail": Step("api.adapters.mail:send_mail"),
    "notify_job": Step("api.domain.messages.notifications:notify_job", is_verb=True),
    "notify_quote": Step("api.domain.messages.notifications:notify_quote", is_verb=True),
    "notify_promise": Step("api.domain.messages.dunning:notify_promise", is_verb=True),
    "warn_overrun": Step("api.domain.messages.reminders:warn_overrun", is_verb=True),
}
