"""Which looks at a printer are a fault: the texts that OctoPrint and firmwares really give."""

import pytest

from api.domain.printing.states import FaultCode, Machine
from printers.faults import find_fault
from printers.port import Observation

F = FaultCode

TEXTS: list[tuple[str, FaultCode | None, FaultCode | None]] = [
    # (text, while idle, while printing)
    ("Closing serial port due to emergency stop M112.", F.EMERGENCY_STOP, F.EMERGENCY_STOP),
    ("Thermal Runaway, system stopped! Heater_ID: bed. Printer halted. kill() called!", F.FIRMWARE, F.FIRMWARE),
    ("Heating failed, system stopped! Heater_ID: 0", F.FIRMWARE, F.FIRMWARE),
    ("MAXTEMP triggered, system stopped!", F.FIRMWARE, F.FIRMWARE),
    ("Heater timeout, check the serial number of the thermistor", F.FIRMWARE, F.FIRMWARE),
    ("fatal:Heater/sensor error - Printer stopped and heaters disabled. Fix error and restart", F.FIRMWARE, F.FIRMWARE),
    ("Lost communication with MCU 'mcu'", F.FIRMWARE, F.FIRMWARE),
    ("Something that nobody has ever read", F.FIRMWARE, F.FIRMWARE),
    ("", F.FIRMWARE, F.FIRMWARE),
    ("Connection error, see Terminal tab: SerialTimeoutException: Write timeout", None, F.CONNECTION_LOST),
    ("SerialException: 'device reports readiness to read but returned no data'", None, F.CONNECTION_LOST),
    ("Too many consecutive timeouts, printer still connected and alive?", None, F.CONNECTION_LOST),
    ("No more candidates to test, and no working port/baudrate combination detected.", None, F.CONNECTION_LOST),
]


@pytest.mark.parametrize(("text", "idle", "printing"), TEXTS)
def test_an_error_state_is_a_fault_by_its_text_and_by_what_went_on(
    text: str, idle: FaultCode | None, printing: FaultCode | None
) -> None:
    look = Observation(Machine.ERROR, error=text)
    assert (find_fault(look, was_printing=False), find_fault(look, was_printing=True)) == (idle, printing)


@pytest.mark.parametrize("machine", sorted(set(Machine) - {Machine.ERROR}))
def test_no_other_state_is_a_fault(machine: Machine) -> None:
    assert find_fault(Observation(machine, error="Thermal Runaway"), was_printing=True) is None
