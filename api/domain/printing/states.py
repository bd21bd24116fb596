"""What a printer does: as its server says it, and as people see it. Values only: the pure plan imports them too."""

from __future__ import annotations

from enum import StrEnum


class Machine(StrEnum):
    """What the printer itself says that it is doing."""

    IDLE = "idle"  # connected, nothing running
    STARTING = "starting"
    PRINTING = "printing"
    PAUSING = "pausing"
    PAUSED = "paused"
    RESUMING = "resuming"
    CANCELLING = "cancelling"
    FINISHING = "finishing"
    CONNECTING = "connecting"
    OFFLINE = "offline"  # the server answers, its printer does not
    ERROR = "error"  # firmware error, thermal runaway, ...: a person must look


# States in which a file is being printed or about to be, or just about to end.
ACTIVE = frozenset(
    {
        Machine.STARTING,
        Machine.PRINTING,
        Machine.PAUSING,
        Machine.PAUSED,
        Machine.RESUMING,
        Machine.CANCELLING,
        Machine.FINISHING,
    }
)


class FaultCode(StrEnum):
    """Why nothing may start on a printer before a named person has said that it is mended."""

    EMERGENCY_STOP = "emergency_stop"  # somebody sent M112
    FIRMWARE = "firmware"  # its firmware stopped it: thermal runaway, a heater, a broken link inside
    FILES_CHANGED = "files_changed"  # its server stores other files than it is sent
    CONNECTION_LOST = "connection_lost"  # in the middle of a print: nobody knows what its heaters do


class PrinterState(StrEnum):
    """What people see of a printer; `printers.state_of` computes it, it is not stored."""

    READY = "ready"
    BUSY = "busy"
    PAUSED = "paused"  # our print; somebody, or the printer itself, must let it go on
    NEEDS_CLEARING = "needs_clearing"
    OFFLINE = "offline"
    IN_USE_BY_HAND = "in_use_by_hand"
    NEEDS_ATTENTION = "needs_attention"
    MAINTENANCE = "maintenance"
