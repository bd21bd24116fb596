"""Which fault a look at a printer shows. Pure."""

from __future__ import annotations

import re

from api.domain.printing.states import FaultCode, Machine
from printers.port import Observation

# OctoPrint's own words when the line to the printer breaks. A printer that is switched off in the evening shows them
# too, so they are a fault only while something prints.
_CONNECTION = re.compile(r"\b(serial\w*|timeouts?|port|ports|baudrate)\b", re.IGNORECASE)
# Whatever else a message says: these are the firmware's.
_HEAT = re.compile(r"thermal|heat|temp", re.IGNORECASE)
_EMERGENCY = re.compile(r"\bM112\b|emergency", re.IGNORECASE)


def find_fault(observation: Observation, *, was_printing: bool) -> FaultCode | None:
    """The fault behind an error state; `was_printing`: at the last look before it."""
    if observation.machine is not Machine.ERROR:
        return None
    text = observation.error
    # Closing the connection is OctoPrint's answer to M112, so its text speaks of the serial port, too.
    if _EMERGENCY.search(text):
        return FaultCode.EMERGENCY_STOP
    if _CONNECTION.search(text) and not _HEAT.search(text):
        return FaultCode.CONNECTION_LOST if was_printing else None
    # What we cannot read counts as the worst that it may be.
    return FaultCode.FIRMWARE
