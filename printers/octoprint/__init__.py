"""One OctoPrint behind the printer port: octorest for the calls that work, our own upload for what it breaks.

Of octorest 0.4 we use files, files_info, select, move, delete, pause, resume, cancel, job_info. Its `upload` silently
drops path and user data, its `new_folder` sends what OctoPrint does not read, its `start` prints whatever is selected.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from octorest import OctoRest
from requests_toolbelt import MultipartEncoder

from printers.octoprint.reading import (
    read_file,
    read_folder,
    read_free,
    read_machine_facts,
    read_observation,
    read_probe,
    read_stored_path,
)
from printers.octoprint.wire import GuardedSession, HttpLimits, translated
from printers.port import Observation, PrinterError, ProbeResult, StoredFile

__all__ = ["HttpLimits", "OctoPrint"]


class OctoPrint:
    """Implements PrinterPort. Making one does no I/O. Not safe for two threads: it holds one kept-alive connection.

    `installation` is stored beside each upload as a hint to a person who finds the file; it is never read back.
    """

    def __init__(self, url: str, key: str, *, installation: str = "", limits: HttpLimits | None = None) -> None:
        self._installation = installation
        try:
            self._http = GuardedSession(url, key, limits=limits)
            # With an `apikey`, octorest would call /api/version here; the key is in the session instead.
            self._rest = OctoRest(url=url, session=self._http)
        except (TypeError, ValueError) as error:
            raise PrinterError("This is not the address of a server", permanent=True) from error

    def probe(self) -> ProbeResult:
        with translated():
            try:
                version = self._get("/api/version")
            except PrinterError as error:
                raise self._explain(error) from error
            answer = read_probe(version, self._get("/api/currentuser"))
            # A key without the right to see them is told about its missing rights, not refused for this.
            with suppress(PrinterError):
                return replace(answer, machine=read_machine_facts(self._get("/api/printerprofiles")))
            return answer

    def observe(self) -> Observation:
        with translated():
            # GET /api/job is answered even when the printer is away; /api/printer would be a 409.
            return read_observation(self._call(self._rest.job_info))

    def find_file(self, path: str) -> StoredFile | None:
        with translated():
            try:
                return read_file(self._call(self._rest.files_info, "local", quote(path)))
            except PrinterError as error:
                if error.reason == "not_found":
                    return None
                if error.reason == "refused" and self._is_missing(path.rpartition("/")[0]):
                    return None
                raise

    def list_files(self, folder: str) -> list[StoredFile]:
        with translated():
            try:
                return read_folder(self._call(self._rest.files_info, "local", quote(folder)))
            except PrinterError as error:
                above = folder.rpartition("/")[0]
                if error.reason == "not_found" or (error.reason == "refused" and self._is_missing(above)):
                    return []
                raise

    def free_bytes(self) -> int | None:
        with translated():
            return read_free(self._call(self._rest.files, "local"))

    def upload(self, path: str, source: Path) -> None:
        folder, _, name = path.rpartition("/")
        with source.open("rb") as content, translated():
            fields: dict[str, Any] = {
                "path": folder,
                "noOverwrite": "true",
                "userdata": json.dumps({"etabli": self._installation}),
                "file": (name, content, "application/octet-stream"),
            }
            try:
                reply = self._post_form(fields, timeout_s=self._http.limits.upload_s)
            except PrinterError as error:
                raise _explain_conflict(self._explain(error)) from error
            stored = read_stored_path(reply.json())
        # OctoPrint cleans names. A file elsewhere than we think would never be found again.
        if stored != path:
            raise PrinterError("The file was stored under another name", permanent=True, reason="bad_answer")

    def select(self, path: str) -> None:
        with translated():
            self._call(self._rest.select, quote(f"local/{path}"))

    def start(self, path: str) -> None:
        with translated():
            # By path, not POST /api/job "start": that prints what a person may have selected since, under our name.
            self._call(self._rest.select, quote(f"local/{path}"), print=True)

    def pause(self) -> None:
        self._steer(self._rest.pause)

    def resume(self) -> None:
        self._steer(self._rest.resume)

    def cancel(self) -> None:
        self._steer(self._rest.cancel)

    def move(self, path: str, folder: str) -> None:
        """Raises `not_found` when it is neither here nor there, `busy` while it prints."""
        with translated():
            try:
                self._move(path, folder)
            except PrinterError as error:
                # An earlier move may have succeeded while its reply was lost.
                target = f"{folder}/{path.rpartition('/')[2]}"
                if error.reason != "not_found" or self.find_file(target) is None:
                    raise

    def delete(self, path: str) -> None:
        with translated():
            try:
                self._call(self._rest.delete, quote(f"local/{path}"))
            except PrinterError as error:
                if error.reason != "not_found":
                    raise

    def close(self) -> None:
        self._http.close()

    def _move(self, path: str, folder: str) -> None:
        """OctoPrint answers 415 when the target folder is missing, 500 when more are: they are then made, once."""
        try:
            self._call(self._rest.move, quote(f"local/{path}"), folder)
        except PrinterError as error:
            if error.reason != "refused":
                raise
            self._make_folder(folder)
            self._call(self._rest.move, quote(f"local/{path}"), folder)

    def _make_folder(self, folder: str) -> None:
        """With all folders above it. One that exists already (409) is fine."""
        above, _, name = folder.rpartition("/")
        if above:
            self._make_folder(above)
        try:
            self._post_form({"foldername": name, "path": above}, timeout_s=self._http.limits.read_s)
        except PrinterError as error:
            if error.reason != "busy":
                raise

    def _steer(self, verb: Any) -> None:
        """Pause, resume or cancel. A 409 means here that nothing is printing: it has just ended, so look again."""
        with translated():
            try:
                self._call(verb)
            except PrinterError as error:
                if error.reason != "busy":
                    raise
                raise PrinterError("Nothing is printing", reason="refused") from error

    def _call(self, verb: Any, *args: Any, **options: Any) -> Any:
        try:
            return verb(*args, **options)
        except PrinterError as error:
            raise self._explain(error) from error

    def _explain(self, error: PrinterError) -> PrinterError:
        """The same error, or `wrong_key` where that is the cause; this costs one more call."""
        # OctoPrint answers 403 to a wrong key and to a missing right alike, and 400 ("CSRF") to a POST with a wrong
        # key. Only /api/currentuser tells them apart.
        if error.reason != "no_right" and not (error.reason == "refused" and error.permanent):
            return error
        if self._is_nobody():
            return PrinterError("The key is nobody's", permanent=True, reason="wrong_key")
        return error

    def _is_nobody(self) -> bool:
        try:
            return self._get("/api/currentuser").get("name") is None
        except PrinterError as error:
            return error.reason == "no_right"

    def _is_missing(self, folder: str) -> bool:
        """Whether this folder does not exist."""
        # For anything in a folder that does not exist OctoPrint 1.11 answers 500, not 404, so a 500 asks about the
        # folder above.
        if not folder:
            return False
        try:
            self._call(self._rest.files_info, "local", quote(folder))
        except PrinterError as error:
            return error.reason == "not_found" or self._is_missing(folder.rpartition("/")[0])
        return False

    def _get(self, path: str) -> dict[str, Any]:
        answer = self._http.get(self._http.origin + path).json()
        return answer if isinstance(answer, dict) else {}

    def _post_form(self, fields: dict[str, Any], *, timeout_s: float) -> Any:
        """Streams: the encoder reads the file while it is sent."""
        body = MultipartEncoder(fields)
        return self._http.post(
            self._http.origin + "/api/files/local",
            data=body,
            headers={"Content-Type": body.content_type},
            timeout=(self._http.limits.connect_s, timeout_s),
        )


def _explain_conflict(error: PrinterError) -> PrinterError:
    """An upload selects nothing, so its 409 has one meaning: the path is taken (`noOverwrite`)."""
    if error.reason != "busy":
        return error
    return PrinterError("A file of this name is already there", permanent=True, reason="refused")
