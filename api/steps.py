"""Every background step: the name that `changes.enqueue` uses, the function behind it, the queue that it waits in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

DISPATCH = "dispatch"
# Each has threads of its own: two long slices hold up no letter, and a mail server that is away no paper.
# What is quick and writes letters waits for no slice either, so it goes with the letters.
SLICE, MAIL, PAPERS, PROBE = "slice", "mail", "papers", "probe"
BACKGROUND = (SLICE, MAIL, PAPERS, PROBE)


@dataclass(frozen=True, slots=True)
class Step:
    """`function` is "module:name"; a verb of the domain gets `session` and `now` beside the step's arguments."""

    function: str
    queue: str
    is_verb: bool = False

    def load(self) -> Callable[..., object]:
        # Only when a step first runs: the worker of the printers must not hold WeasyPrint, the validators and the
        # slicer in its memory, nor wait for them at its start.
        module, _, name = self.function.partition(":")
        function: Callable[..., object] = getattr(import_module(module), name)
        return function


STEPS = {
    # Dispatch has a queue, and so a process, of its own: no slicer can delay a printer.
    "reconcile": Step("printers.reconcile:reconcile", DISPATCH),
    "slice": Step("printers.slicing:make_slice", SLICE),
    "try_configuration": Step("printers.trials:try_configuration", SLICE),
    "settle_job": Step("api.domain.printing.jobs:settle_job", MAIL, is_verb=True),
    "probe_printer": Step("printers.probing:probe_printer", PROBE),
    "tidy_printers": Step("printers.housekeeping:tidy_printers", PROBE),
    "render_invoice": Step("api.adapters.invoicing:render_invoice", PAPERS),
    "bill_month": Step("api.adapters.invoicing:bill_month", PAPERS),
    "send_invoice": Step("api.adapters.sending:send_invoice", PAPERS),
    "poll_flow": Step("api.adapters.sending:poll_flow", PAPERS),
    "purge_model": Step("api.adapters.purging:purge_model", PAPERS),
    "send_mail": Step("api.adapters.mail:send_mail", MAIL),
    "notify_job": Step("api.domain.messages.notifications:notify_job", MAIL, is_verb=True),
    "notify_quote": Step("api.domain.messages.notifications:notify_quote", MAIL, is_verb=True),
    "notify_promise": Step("api.domain.messages.dunning:notify_promise", MAIL, is_verb=True),
    "notify_repair": Step("api.domain.messages.reminders:notify_repair", MAIL, is_verb=True),
    "notify_money_request": Step("api.domain.messages.money_letters:notify_money_request", MAIL, is_verb=True),
    "notify_money_right": Step("api.domain.messages.money_letters:notify_money_right", MAIL, is_verb=True),
    "notify_seller_email": Step("api.domain.messages.money_letters:notify_seller_email", MAIL, is_verb=True),
    "warn_overrun": Step("api.domain.messages.reminders:warn_overrun", MAIL, is_verb=True),
}
