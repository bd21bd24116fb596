"""Looks at a printer that somebody wants to add: is it an OctoPrint, does the key work, what may it do.

Refuses to change anything on it, but for asking it for a key.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

from api.adapters.seal import seal
from api.db import transaction
from api.domain.core.errors import DomainError
from api.domain.printing import probes
from api.domain.printing.probes import ANSWER_WITHIN, Probe, ProbeStatus
from api.settings import settings
from printers import appkeys
from printers.address import check_printer_url
from printers.fleet import unseal_key
from printers.octoprint import OctoPrint
from printers.port import PrinterError

# OctoPrint drops a request for a key that is polled more slowly, and refuses more than a few in a minute.
POLL_S = 4.0


def probe_printer(probe_id: int) -> None:
    """One step for one wish; safe to run twice."""
    with transaction() as session:
        probe = session.get(Probe, probe_id)
        if probe is None or probe.status not in (ProbeStatus.ASKED, ProbeStatus.WAITING):
            return
        url, token, sealed = probe.url, probe.token, probe.sealed_key
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
        seen = port.probe()
    finally:
        port.close()
    with transaction() as session:
        probes.record_answer(
            session,
            probe=session.get_one(Probe, probe_id),
            sealed_key=seal(key, about=url),
            version=seen.version,
            user=seen.user,
            missing=list(seen.missing_rights),
            dangerous=list(seen.dangerous_rights),
        )


def _ask_for_key(probe_id: int, url: str) -> None:
    token = appkeys.request_key(url, app="Établi")
    with transaction() as session:
        probe = session.get_one(Probe, probe_id)
        probes.wait_for_person(session, probe=probe, token=token)
        probes.retry_probe(session, probe=probe)


def _poll(probe_id: int, url: str, token: str) -> None:
    decision = appkeys.poll_key(url, token)
    if decision.state == "granted":
        _probe_with_key(probe_id, url, decision.key)
    elif decision.state == "refused":
        _fail(probe_id, code="key_refused")
    else:
        time.sleep(POLL_S)  # the rhythm that OctoPrint asks for; the next step polls again
        with transaction() as session:
            probes.retry_probe(session, probe=session.get_one(Probe, probe_id))


def _fail(probe_id: int, **answer: object) -> None:
    with transaction() as session:
        probes.record_failure(session, probe=session.get_one(Probe, probe_id), **answer)
