"""Real OctoPrint servers with their Virtual Printer, for the demo, the tests, the drill and the benches.

Not for production: the printers are simulated, and each server listens on 127.0.0.1 only.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import secrets
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

import requests
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher

from printers.octoprint.reading import NEEDED_RIGHTS

Pace = Literal["fast", "demo"]

# Bundled plugins that a lab does not need; each costs start-up time, or calls home.
_DISABLED = [
    *("achievements", "announcements", "backup", "classicwebcam", "corewizard", "customcontrolmanager"),
    *("discovery", "errortracking", "eventmanager", "file_check", "firmware_check", "gcodeviewer"),
    *("health_check", "logging", "pi_support", "pluginmanager", "softwareupdate", "tracking", "uploadmanager"),
]

# Feed rate in percent, sent as M220 when the printer connects. The Virtual Printer already moves ten times as fast
# as asked (a 20 mm cube of 19 minutes takes 83 s, 30 of them heating); at 100 000 % a move costs only its line.
_FEED_PERCENT = {"fast": 100_000, "demo": 100}

# At an ambient above every nozzle's target no heat-up is waited for.
_AMBIENT_C = {"fast": 300.0, "demo": 21.3}

_JOB_LINE = re.compile(
    r"Print job (started|done|cancelled|failed|paused|resumed) - origin: local, path: (.+?), owner: "
)


class LabFailed(Exception):
    """A lab server did not start; the message carries the end of its log."""


def octoprint_executable() -> Path:
    """`ETABLI_OCTOPRINT`, else `.venv-octoprint/bin/octoprint` beside the repository's root."""
    setting = os.environ.get("ETABLI_OCTOPRINT")
    path = Path(setting) if setting else Path(__file__).resolve().parents[1] / ".venv-octoprint" / "bin" / "octoprint"
    if not path.is_file():
        raise LabFailed(f"OctoPrint is not installed at {path}; set ETABLI_OCTOPRINT to its executable")
    return path


def free_port() -> int:
    """A port that is free now. Another process may take it before it is used; the server then fails to start."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Without it, a port would count as taken for a minute after its server was killed.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class OctoPrintServer:
    """One OctoPrint with one Virtual Printer on its own base folder. Keys, files and history outlive a stop.

    `port` None takes the port of the last start if it is still free, else any free one.
    """

    def __init__(self, base: Path, port: int | None = None, *, pace: Pace = "fast") -> None:
        self.base = Path(base)
        self.pace: Pace = pace
        self._process: subprocess.Popen[bytes] | None = None
        identity = self._load_identity()
        self.key: str = identity["key"]
        self.admin_key: str = identity["admin_key"]
        self.admin_password: str = identity["admin_password"]
        saved = identity.get("port")
        self.port: int = port or (saved if saved and _is_free(saved) else free_port())
        self._save_identity({**identity, "port": self.port})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int | None:
        return self._process.pid if self.running and self._process else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def log_path(self) -> Path:
        """OctoPrint's own log. It is appended to over restarts, and rolled over at midnight only (six are kept)."""
        return self.base / "logs" / "octoprint.log"

    def start(self) -> None:
        """Start the process and return at once. It dies with this process, whatever ends it."""
        if self.running:
            return
        command = [str(octoprint_executable()), "serve"]
        if os.geteuid() == 0:
            command.append("--iknowwhatimdoing")
        command += ["-b", str(self.base), "--host", "127.0.0.1", "--port", str(self.port)]
        self._write_config()
        self._process = _SPAWNER.submit(self._spawn, command).result()

    def wait_ready(self, timeout: float = 60.0) -> None:
        """Wait until the Virtual Printer is connected. Raises LabFailed if the server dies or is too slow."""
        self._wait(lambda: self.state() == "Operational", timeout)

    def wait_for_http(self, timeout: float = 60.0) -> None:
        """Wait until the API answers, whatever its printer does. Raises LabFailed."""
        self._wait(lambda: self.state() != "", timeout)

    def _wait(self, condition: Callable[[], bool], timeout: float) -> None:
        deadline = time.monotonic() + timeout
        while not condition():
            if not self.running:
                raise LabFailed(f"OctoPrint at {self.url} ended while starting:\n{self._log_tail()}")
            if time.monotonic() > deadline:
                raise LabFailed(f"OctoPrint at {self.url} is not ready:\n{self._log_tail()}")
            time.sleep(0.05)

    def stop(self, timeout: float = 10.0) -> None:
        """End it by SIGTERM, and by SIGKILL if it has not ended in time."""
        if self._process is None:
            return
        self._signal(signal.SIGTERM)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """End it by SIGKILL, as a power cut would."""
        if self._process is not None:
            self._signal(signal.SIGKILL)
            self._process.wait()

    def freeze(self) -> None:
        """Suspend the process (SIGSTOP): sockets stay open and nothing answers, until `thaw`."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def command(self, gcode: str) -> None:
        """Send a line to the printer as its administrator; `!!DEBUG:...` makes the Virtual Printer misbehave."""
        self.admin("POST", "/api/printer/command", {"command": gcode})

    def connect_printer(self) -> None:
        """(Re)connect the Virtual Printer, which ends every simulated fault."""
        self.admin("POST", "/api/connection", {"command": "connect"})

    def state(self) -> str:
        """OctoPrint's own text, such as `Operational`; empty when the server does not answer."""
        with contextlib.suppress(requests.RequestException, ValueError):
            return str(self.admin("GET", "/api/job").json().get("state", ""))
        return ""

    def admin(self, method: str, path: str, body: dict[str, Any] | None = None) -> requests.Response:
        """A call with the administrator's key. Raises requests' own errors, also for 4xx and 5xx."""
        with requests.Session() as http:
            # A proxy of the environment could not reach 127.0.0.1.
            http.trust_env = False
            headers = {"X-Api-Key": self.admin_key}
            reply = http.request(method, self.url + path, json=body, headers=headers, timeout=(2, 20))
        reply.raise_for_status()
        return reply

    def _spawn(self, command: list[str]) -> subprocess.Popen[bytes]:
        environment = {"PATH": os.defpath, "HOME": str(self.base), "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1"}
        with (self.base / "out.log").open("ab") as out:
            return subprocess.Popen(  # noqa: S603  (our own command; no shell)
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=environment,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509  (only makes one system call)
            )

    def _signal(self, number: signal.Signals) -> None:
        if self.running and self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)

    def _log_tail(self) -> str:
        path = self.base / "out.log"
        return path.read_text(errors="replace")[-2000:] if path.exists() else ""

    def _load_identity(self) -> dict[str, Any]:
        path = self.base / "lab.json"
        if path.exists():
            loaded: dict[str, Any] = json.loads(path.read_text())
            return loaded
        return {name: secrets.token_hex(16) for name in ("key", "admin_key", "admin_password")}

    def _save_identity(self, identity: dict[str, Any]) -> None:
        self.base.mkdir(parents=True, exist_ok=True)
        path = self.base / "lab.json"
        # Created with its mode first: the keys must not be readable for an instant.
        path.touch(mode=0o600)
        path.write_text(json.dumps(identity))

    def _write_config(self) -> None:
        # JSON is YAML with quotes: an unquoted key of digits would be read as a number, and every call be a 500.
        (self.base / "config.yaml").write_text(json.dumps(_config(self.pace), indent=1))
        users = self.base / "users.yaml"
        if not users.exists():
            users.touch(mode=0o600)
            users.write_text(json.dumps(_users(self), indent=1))


class Lab:
    """Several servers below one folder: `printer-1`, `printer-2`, ... A context manager that starts and stops them."""

    def __init__(self, folder: Path, count: int = 2, *, pace: Pace = "fast", ports: list[int] | None = None) -> None:
        padded: list[int | None] = [*(ports or []), *([None] * count)][:count]
        self.servers = [
            OctoPrintServer(Path(folder) / f"printer-{n}", port, pace=pace) for n, port in enumerate(padded, start=1)
        ]

    def start(self, timeout: float = 60.0) -> None:
        """Start all at once; returns when each is ready."""
        for server in self.servers:
            server.start()
        for server in self.servers:
            server.wait_ready(timeout)

    def stop(self) -> None:
        with ThreadPoolExecutor(max_workers=max(1, len(self.servers))) as threads:
            list(threads.map(OctoPrintServer.stop, self.servers))

    def __enter__(self) -> Lab:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def prints_started(server: OctoPrintServer) -> list[str]:
    """Paths of the prints that started, in order and as often as they did, by OctoPrint's own log."""
    return [path for verb, path in job_log(server) if verb == "started"]


def prints_done(server: OctoPrintServer) -> list[str]:
    """Paths of the prints that ended well, in order."""
    return [path for verb, path in job_log(server) if verb == "done"]


def job_log(server: OctoPrintServer) -> Iterator[tuple[str, str]]:
    """(started | done | cancelled | failed | paused | resumed, path), over all restarts, oldest first."""
    for log in sorted(server.log_path.parent.glob("octoprint.log*"), key=_log_age):
        with log.open(errors="replace") as lines:
            for line in lines:
                if match := _JOB_LINE.search(line):
                    yield match[1], match[2]


def _log_age(path: Path) -> tuple[bool, str]:
    """Rolled-over logs carry their day as a suffix; the one without is the newest."""
    return path.name == "octoprint.log", path.name


def _config(pace: Pace) -> dict[str, Any]:
    return {
        "server": {
            "firstRun": False,  # else every call that changes something is a 403
            "ignoreIncompleteStartup": True,  # else a start after SIGKILL is in safe mode
            "secretKey": secrets.token_hex(16),
            "seenWizards": {"corewizard": 4, "backup": None, "tracking": None, "classicwebcam": 1},
            "onlineCheck": {"enabled": False},
            "pluginBlacklist": {"enabled": False},
            "pythonEolCheck": {"enabled": False},
        },
        "accessControl": {"autologinLocal": False},
        # Three requests for a key a minute are allowed otherwise: a fourth test within the minute would fail.
        "devel": {"cache": {"enabled": True, "preemptive": False}, "enableRateLimiter": False},
        "webcam": {"webcamEnabled": False, "timelapseEnabled": False},
        "gcodeAnalysis": {"runAt": "never"},  # an analysis is a process and a core for each upload
        "scripts": {"gcode": {"afterPrinterConnected": f"M220 S{_FEED_PERCENT[pace]}"}},
        "serial": _serial(),
        "plugins": {"_disabled": _DISABLED, "virtual_printer": _virtual_printer(pace)},
    }


def _serial() -> dict[str, Any]:
    # With OctoPrint's own timeouts a hung firmware is noticed after up to 150 s; with these, after 6 s (measured).
    return {
        "port": "VIRTUAL",
        "baudrate": 0,
        "autoconnect": True,
        "log": False,
        "disconnectOnErrors": True,
        "errorHandling": "disconnect",
        "timeout": {
            "connection": 2,
            "detectionFirst": 2,
            "detectionConsecutive": 1,
            "communication": 3,
            "communicationBusy": 2,
            "temperature": 1,
            "temperatureTargetSet": 1,
        },
        "maxCommunicationTimeouts": {"idle": 2, "printing": 3, "long": 3},
    }


def _virtual_printer(pace: Pace) -> dict[str, Any]:
    return {
        "_config_version": 1,
        "enabled": True,
        "simulated_errors": [],  # the default has four, at lines 100 to 115
        "resend_ratio": 0,
        "ambientTemperature": _AMBIENT_C[pace],
        "commandBuffer": 4,
    }


def _users(server: OctoPrintServer) -> dict[str, Any]:
    def user(key: str, password: str, *, groups: list[str], permissions: list[str]) -> dict[str, Any]:
        hashed = PasswordHash((Argon2Hasher(),)).hash(password)
        base = {"active": True, "apikey": key, "password": hashed, "roles": ["user"], "settings": {}}
        return {**base, "groups": groups, "permissions": permissions}

    return {
        "_version": 2,
        "dispatcher": user(server.key, secrets.token_hex(16), groups=[], permissions=list(NEEDED_RIGHTS)),
        "admin": user(server.admin_key, server.admin_password, groups=["admins", "users"], permissions=["ADMIN"]),
    }


# Linux ends a child with the *thread* that made it (PR_SET_PDEATHSIG): one thread, as old as the process, makes all.
_SPAWNER = ThreadPoolExecutor(max_workers=1, thread_name_prefix="lab-spawner")
_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
