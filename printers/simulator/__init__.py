"""An OctoPrint over HTTP, in this process, whose prints advance only when a test says so.

The same adapter runs against it and against a real server (tests/printers/contract.py). It has no push socket.
"""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

from printers.octoprint.reading import NEEDED_RIGHTS
from printers.simulator.machine import Refusal, SimulatedFile, SimulatedPrinter

__all__ = ["Mode", "SimulatedFile", "SimulatedOctoPrint", "SimulatedPrinter"]


class Mode(StrEnum):
    NORMAL = "normal"
    OFFLINE = "offline"  # takes the connection and drops it; nothing is done
    SLOW = "slow"  # does it, and answers after `slow_s`
    REFUSES = "refuses"  # answers `refusal_status` to everything; nothing is done
    WRONG_KEY = "wrong_key"
    LOST_REPLY = "lost_reply"  # does it, and drops the connection
    UPLOAD_FAILS = "upload_fails"  # answers 500 to uploads; nothing is stored
    REWRITES = "rewrites"  # a plug-in adds a line to each upload
    DISK_FULL = "disk_full"  # an upload is cut in half, stays listed, and is answered 500


class SimulatedOctoPrint:
    """A server on a free port of 127.0.0.1 around one SimulatedPrinter (`.printer`). A context manager.

    `stop` refuses connections, and `start` comes back on the same port with the same files.
    """

    user = "dispatcher"
    version = "1.11.8"

    def __init__(self, *, key: str = "simulated-key", print_s: float = 60.0) -> None:
        self.key = key
        self.printer = SimulatedPrinter(print_s=print_s)
        self.rights: list[str] = list(NEEDED_RIGHTS)
        self.mode = Mode.NORMAL
        self.slow_s = 30.0
        self.refusal_status = 500
        self.requests: list[str] = []  # "GET /api/job", in order
        self.port = 0
        self._http: _Server | None = None
        self._released = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> SimulatedOctoPrint:
        self._released.clear()
        self._http = _Server(self, self.port)
        self.port = self._http.server_address[1]
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self) -> None:
        if self._http is not None:
            self._released.set()
            self._http.shutdown()
            self._http.drop_all()
            self._http.server_close()
            self._http = None

    @contextmanager
    def behaving(self, mode: Mode) -> Iterator[None]:
        """The mode within the block; those who wait for a slow answer get it at its end."""
        before, self.mode = self.mode, mode
        try:
            yield
        finally:
            self.mode = before
            self._released.set()
            self._released.clear()

    def __enter__(self) -> SimulatedOctoPrint:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def answer(self, method: str, path: str, key: str, body: bytes, kind: str) -> tuple[int, Any]:
        """(status, JSON) of one request. What a mode does to the connection itself happens in `_Handler`."""
        is_user = key == self.key and self.mode is not Mode.WRONG_KEY
        if self.mode is Mode.REFUSES:
            return self.refusal_status, {"error": "refused"}
        if path == "/api/currentuser":
            return 200, {
                "name": self.user if is_user else None,
                "permissions": self.rights if is_user else [],
                "groups": [],
            }
        # As OctoPrint: /api/currentuser answers anybody, and a wrong key is a 403 everywhere else.
        if not is_user:
            return 403, {"error": "You don't have the permission to access the requested resource."}
        try:
            with self.printer.lock:
                return self._route(method, path, body, kind)
        except Refusal as refusal:
            return refusal.status, {"error": str(refusal)}

    def wait_if_slow(self) -> None:
        if self.mode is Mode.SLOW:
            self._released.wait(self.slow_s)

    def _route(self, method: str, path: str, body: bytes, kind: str) -> tuple[int, Any]:
        if path.startswith("/api/files/local/"):
            return self._route_file(method, path.removeprefix("/api/files/local/"), body)
        match method, path:
            case "GET", "/api/version":
                return 200, {"api": "0.1", "server": self.version, "text": f"OctoPrint {self.version}"}
            case "GET", "/api/printerprofiles":
                return 200, {"profiles": {"_default": self.printer.profile}}
            case "GET", "/api/job":
                return 200, self.printer.job()
            case "GET", "/api/files/local":
                listed = [file.as_json(at) for at, file in self.printer.files.items()]
                return 200, {"files": listed, "free": self.printer.free_bytes}
            case "POST", "/api/files/local":
                return self._upload(body, kind)
            case "POST", "/api/job":
                command = json.loads(body)
                self.printer.steer(command["command"], command.get("action", ""))
                return 204, None
        raise Refusal(404, "The requested URL was not found on the server")

    def _route_file(self, method: str, file: str, body: bytes) -> tuple[int, Any]:
        match method:
            case "GET":
                return 200, self.printer.find(file)
            case "DELETE":
                self.printer.remove(file)
                return 204, None
        return self._command(file, json.loads(body))

    def _command(self, file: str, command: dict[str, Any]) -> tuple[int, Any]:
        if command["command"] == "move":
            self.printer.move(file, command["destination"].rstrip("/"))
            return 201, {"path": file, "origin": "local"}
        self.printer.select(file, start=bool(command.get("print")), user=self.user)
        return 204, None

    def _upload(self, body: bytes, kind: str) -> tuple[int, Any]:
        fields = _form(body, kind)
        folder = fields.get("path", b"").decode()
        if "foldername" in fields:
            self.printer.make_folder(f"{folder}/{fields['foldername'].decode()}".strip("/"))
            return 201, {"done": True}
        path = f"{folder}/{fields['filename'].decode()}".strip("/")
        content = fields["file"]
        if self.mode is Mode.DISK_FULL:
            self.printer.store(path, content[: len(content) // 2])
            raise Refusal(500, "[Errno 28] No space left on device")
        if self.mode is Mode.UPLOAD_FAILS:
            raise Refusal(500, "The server encountered an internal error")
        if self.mode is Mode.REWRITES:
            content += b"M117 next layer\n"
        self.printer.store(path, content, overwrite=fields.get("noOverwrite") != b"true")
        return 201, {"done": True, "files": {"local": {"path": path, "origin": "local"}}}


def _form(body: bytes, kind: str) -> dict[str, bytes]:
    """The fields of a multipart form; the file's name is under `filename`. Reads only what our own encoder writes."""
    boundary = b"--" + kind.partition("boundary=")[2].encode()
    fields: dict[str, bytes] = {}
    for part in body.split(boundary)[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        names = dict(re.findall(rb'; (name|filename)="([^"]*)"', head))
        fields[names[b"name"].decode()] = content.removesuffix(b"\r\n")
        if b"filename" in names:
            fields["filename"] = names[b"filename"]
    return fields


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, simulated: SimulatedOctoPrint, port: int) -> None:
        self.simulated = simulated
        self.connections: set[socket.socket] = set()
        super().__init__(("127.0.0.1", port), _Handler)

    def drop_all(self) -> None:
        # The handler threads would go on serving kept-alive connections after the server stopped.
        for connection in list(self.connections):
            _drop(connection)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.connections.add(self.connection)

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        super().finish()

    def do_GET(self) -> None:
        simulated = self.server.simulated
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        simulated.requests.append(f"{self.command} {path}")
        if simulated.mode is Mode.OFFLINE:
            self._vanish()
            return
        key, kind = self.headers.get("X-Api-Key", ""), self.headers.get("Content-Type", "")
        status, answer = simulated.answer(self.command, path, key, body, kind)
        simulated.wait_if_slow()
        if simulated.mode is Mode.LOST_REPLY:
            self._vanish()
            return
        self._reply(status, b"" if answer is None else json.dumps(answer).encode())

    do_POST = do_DELETE = do_GET  # noqa: N815  (http.server's names)

    def _reply(self, status: int, body: bytes) -> None:
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except OSError:
            self.close_connection = True  # the client did not wait

    def _vanish(self) -> None:
        self.close_connection = True
        _drop(self.connection)

    def log_message(self, *_: Any) -> None:
        """Tests read `requests` instead."""


def _drop(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
