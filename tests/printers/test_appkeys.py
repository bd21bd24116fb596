"""The application-keys flow, against a real OctoPrint and against servers that only pretend."""

from __future__ import annotations

import pytest

from printers import appkeys
from printers.appkeys import KeyAnswer
from printers.lab import OctoPrintServer
from printers.octoprint import HttpLimits, OctoPrint
from printers.port import PrinterError
from tests.octoprints import decide
from tests.printers.strangers import Talk, saying, silent, stranger

QUICK = HttpLimits(connect_s=0.5, read_s=0.3)


@pytest.mark.real
def test_a_person_grants_a_key_that_works(octoprint: OctoPrintServer) -> None:
    token = appkeys.request_key(octoprint.url, app="Etabli", user="admin")
    assert appkeys.poll_key(octoprint.url, token) == KeyAnswer("pending")
    decide(octoprint, grant=True)
    decision = appkeys.poll_key(octoprint.url, token)
    assert decision.state == "granted"
    assert OctoPrint(octoprint.url, decision.key).probe().user == "admin"


@pytest.mark.real
def test_a_person_refuses(octoprint: OctoPrintServer) -> None:
    token = appkeys.request_key(octoprint.url, app="Etabli", user="admin")
    decide(octoprint, grant=False)
    assert appkeys.poll_key(octoprint.url, token) == KeyAnswer("refused")


@pytest.mark.real
def test_a_token_that_nobody_gave_is_refused(octoprint: OctoPrintServer) -> None:
    assert appkeys.poll_key(octoprint.url, "never-given-token") == KeyAnswer("refused")


@pytest.mark.parametrize("token", ["", "../../api/settings", "a b", "x" * 300])
def test_a_token_that_cannot_be_one_is_never_sent(token: str) -> None:
    assert appkeys.poll_key("http://127.0.0.1:1", token) == KeyAnswer("refused")


def test_a_silent_server_is_a_timeout_at_each_step() -> None:
    with stranger(silent) as url:
        for step in (
            lambda: appkeys.request_key(url, app="Etabli", limits=QUICK),
            lambda: appkeys.poll_key(url, "some-token", limits=QUICK),
        ):
            with pytest.raises(PrinterError) as late:
                step()
            assert late.value.reason == "timeout"


@pytest.mark.parametrize(
    "talk",
    [
        saying(b"{}", status="201 Created", headers="Location: http://x/request/a%20b\r\n"),
        saying(b"{}", status="201 Created"),
        saying(b"", status="200 OK"),
    ],
)
def test_an_answer_without_a_token_is_a_bad_answer(talk: Talk) -> None:
    with stranger(talk) as url, pytest.raises(PrinterError) as odd:
        appkeys.request_key(url, app="Etabli", limits=QUICK)
    assert odd.value.reason == "bad_answer"


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"api_key": 7}', b'{"api_key": "a\\r\\nb: c"}', b"<html>"])
def test_a_key_that_cannot_be_one_is_a_bad_answer(body: bytes) -> None:
    with stranger(saying(body)) as url, pytest.raises(PrinterError) as odd:
        appkeys.poll_key(url, "some-token", limits=QUICK)
    assert odd.value.reason == "bad_answer"
