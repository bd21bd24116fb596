"""Looks at a printer that somebody wants to add: is it an OctoPrint, does the key work, which rights has it?

It changes nothing there, except that it may request a key.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta

from api.adapters.seal import seal
from api.db import transaction
from api.domain.core.errors import DomainError
from api.domain.printing import probes
from api.domain.printing.printers import get_printer, list_printers
from api.domain.printing.probes import ANSWER_WITHIN, Probe, ProbeStatus
from api.settings import settings
from printers import appkeys
from printers.address import check_printer_url, server_of
from printers.fleet import unseal_key
from printers.octoprint import OctoPrint
from printers.port import PrinterError

# OctoPrint drops a request that is not polled every five seconds; the worker looks for due steps once a second.
POLL_AFTER = timedelta(seconds=3)


def probe_printer(probe_id: int) -> None:
    """One step of one probe; safe to run twice."""
    with transaction() as session:
        probe = session.get(Probe, probe_id)
        if probe is None or probe.status not in (ProbeStatus.ASKED, ProbeStatus.WAITING):
            return
        url, token, sealed = probe.url, probe.token, probe.sealed_key
        # Read before the network is spoken to: no transaction stays open meanwhile.
        too_late = datetime.now(UTC) - probe.created_at > ANSWER_WITHIN
    try:
        check_printer_url(url, allow=settings().printer_networks or None)
        if sealed:
            _probe_with_key(probe_id, url, unseal_key(url, sealed))
        elif not token:
            _ask_for_key(probe_id, url)
        elif too_late:
            _fail(probe_id, code="nobody_agreed")
        else:
            _poll(probe_id, url, token)
    except PrinterError as error:
        _fail(probe_id, code=error.reason)
    except DomainError as error:
        _fail(probe_id, code=error.code(), params={name: str(value) for name, value in error.params.items()})


def _probe_with_key(probe_id: int, url: str, key: str) -> None:
    port = OctoPrint(url, key, installation=settings().installation)
    try:
        answer = port.probe()
    finally:
        port.close()
    server = server_of(url, allow=settings().printer_networks or None)
    note_servers()
    with transaction() as session:
        probes.record_answer(
            session,
            probe=session.get_one(Probe, probe_id),
            sealed_key=seal(key, about=url),
            server=server,
            version=answer.version,
            user=answer.user,
            missing=list(answer.missing_rights),
            dangerous=list(answer.dangerous_rights),
            machine=answer.machine.as_json() if answer.machine else None,
        )


def note_servers() -> None:
    """Of printers that were added before servers were noted, so that a new one can be compared with them."""
    with transaction() as session:
        urls = {printer.id: printer.url for printer in list_printers(session) if not printer.server}
    for printer_id, url in urls.items():
        # One whose name leads nowhere now cannot be compared.
        with suppress(DomainError):
            server = server_of(url, allow=settings().printer_networks or None)
            with transaction() as session:
                get_printer(session, printer_id).server = server


def _ask_for_key(probe_id: int, url: str) -> None:
    token = appkeys.request_key(url, app="Établi")
    with transaction() as session:
        probe = session.get_one(Probe, probe_id)
        probes.wait_for_person(session, probe=probe, token=token)
        probes.retry_probe(session, probe=probe)


def _poll(probe_id: int, url: str, token: str) -> None:
    answer = appkeys.poll_key(url, token)
    if answer.state == "granted":
        _probe_with_key(probe_id, url, answer.key)
    elif answer.state == "refused":
        _fail(probe_id, code="key_refused")
    else:
        # A later step asks again: to sleep here would keep a thread from other printers.
        with transaction() as session:
            probes.retry_probe(session, probe=session.get_one(Probe, probe_id), at=datetime.now(UTC) + POLL_AFTER)


def _fail(probe_id: int, **answer: object) -> None:
    with transaction() as session:
        probes.record_failure(session, probe=session.get_one(Probe, probe_id), **answer)
