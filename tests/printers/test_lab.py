"""The lab: servers that keep their data, die with their parent, and say why when they do not start."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from printers import lab
from printers.lab import Lab, LabFailed, OctoPrintServer, job_log, octoprint_executable, prints_done, prints_started
from tests.octoprints import wait_until


def test_an_octoprint_that_is_not_there_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETABLI_OCTOPRINT", "/nowhere/octoprint")
    with pytest.raises(LabFailed, match="/nowhere/octoprint"):
        octoprint_executable()


def test_keys_and_port_outlive_the_object(tmp_path: Path) -> None:
    first = OctoPrintServer(tmp_path)
    again = OctoPrintServer(tmp_path)
    assert (again.key, again.admin_key, again.port) == (first.key, first.admin_key, first.port)
    assert first.key != first.admin_key
    assert (tmp_path / "lab.json").stat().st_mode & 0o077 == 0


def test_a_port_that_is_taken_meanwhile_is_replaced_unless_it_was_asked_for(tmp_path: Path) -> None:
    first = OctoPrintServer(tmp_path)
    with socket.create_server(("127.0.0.1", first.port)):
        assert OctoPrintServer(tmp_path).port != first.port
    assert OctoPrintServer(tmp_path, 5999).port == 5999


def test_the_log_is_read_over_its_roll_overs_oldest_first(tmp_path: Path) -> None:
    server = OctoPrintServer(tmp_path)
    server.log_path.parent.mkdir()
    line = "2026-01-01 00:00:00,000 - job - INFO - Print job {} - origin: local, path: {}, owner: d"
    for name, verb, path in (
        ("octoprint.log", "done", "etabli/b c.gcode"),
        ("octoprint.log.2026-01-01", "started", "etabli/b c.gcode"),
        ("octoprint.log.2025-12-31", "started", "etabli/a.gcode"),
    ):
        (server.log_path.parent / name).write_text(f"noise\n{line.format(verb, path)}, user: d\n")
    assert prints_started(server) == ["etabli/a.gcode", "etabli/b c.gcode"]
    assert prints_done(server) == ["etabli/b c.gcode"]
    assert [verb for verb, _ in job_log(server)] == ["started", "started", "done"]


def test_a_server_that_dies_at_once_tells_the_end_of_its_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "octoprint"
    fake.write_text("#!/bin/sh\necho no module named flask\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("ETABLI_OCTOPRINT", str(fake))
    server = OctoPrintServer(tmp_path / "base")
    server.start()
    with pytest.raises(LabFailed, match="no module named flask"):
        server.wait_ready(5)
    server.stop()


def test_a_server_that_never_answers_is_given_up_and_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "octoprint"
    fake.write_text("#!/bin/sh\ntrap '' TERM\necho started\nwhile :; do sleep 0.1; done\n")
    fake.chmod(0o755)
    monkeypatch.setenv("ETABLI_OCTOPRINT", str(fake))
    server = OctoPrintServer(tmp_path / "base")
    server.stop()
    server.kill()
    server.start()
    wait_until((tmp_path / "base" / "out.log").read_text)
    with pytest.raises(LabFailed, match="not ready"):
        server.wait_ready(0.1)
    server.stop(timeout=0.2)
    assert not server.running
    assert server.pid is None


@pytest.mark.real
def test_a_normal_user_does_not_claim_to_know_what_root_does(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    server = OctoPrintServer(tmp_path)
    monkeypatch.setattr(server, "_spawn", commands.append)
    server.start()
    assert "--iknowwhatimdoing" not in commands[0]


@pytest.mark.real
def test_a_lab_starts_its_servers_together_and_keeps_their_users(tmp_path: Path) -> None:
    with Lab(tmp_path, 1) as made:
        server = made.servers[0]
        assert server.admin("GET", "/api/currentuser").json()["name"] == "admin"
        users = (tmp_path / "printer-1" / "users.yaml").read_text()
        pid = server.pid
        server.start()
        assert server.pid == pid
    assert not server.running
    assert "dispatcher" in users


@pytest.mark.real
def test_a_server_dies_with_its_parent(tmp_path: Path) -> None:
    script = (
        "import sys, json, time; from pathlib import Path; from printers.lab import OctoPrintServer;"
        f"s = OctoPrintServer(Path({str(tmp_path)!r})); s.start(); print(s.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert psutil.pid_exists(child)
    parent.kill()
    parent.communicate()
    wait_until(lambda: not psutil.pid_exists(child) or psutil.Process(child).status() == psutil.STATUS_ZOMBIE)


def test_the_configuration_is_quoted_and_a_demo_prints_slower(tmp_path: Path) -> None:
    server = OctoPrintServer(tmp_path, pace="demo")
    server._write_config()
    written = json.loads((tmp_path / "config.yaml").read_text())
    assert written["scripts"]["gcode"]["afterPrinterConnected"] == "M220 S100"
    assert lab._config("fast")["scripts"]["gcode"]["afterPrinterConnected"] == "M220 S100000"
    assert '"apikey": "' in (tmp_path / "users.yaml").read_text()
