"""A workshop for tests of reconcile: one site, one simulated OctoPrint, jobs of alice, and a clock that tests move."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.adapters import files
from api.db import transaction
from api.domain.people import roles
from api.domain.people.accounts import User
from api.domain.people.roles import Level
from api.domain.places.sites import Site
from api.domain.places.timeline import Hold
from api.domain.printing import faults, jobs, runs, slices
from api.domain.printing.jobs import Job, JobStatus
from api.domain.printing.printers import Printer
from api.domain.printing.runs import Charge, Run, RunCommand, RunStatus
from printers import reconcile as acting
from printers.octoprint import HttpLimits, OctoPrint
from printers.port import PrinterPort
from printers.simulator import SimulatedOctoPrint
from tests.world import NOW, make_job, make_kind, make_material, make_printer, make_site, make_tariff, make_user

GCODE = b"G28\nG1 X10 Y10\n" * 50
#: A member waits for a slow server; a test does not.
IMPATIENT = HttpLimits(connect_s=1.0, read_s=0.4, body_s=2.0, upload_s=0.6)


class Clock:
    """Stands still but for a quarter second a look, so that a grace passes within a few looks."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=250)
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Killed(BaseException):
    """The worker dies here: no handler of ours may see it as an error to answer."""


@dataclass
class Mortal:
    """The printer's client of a worker that dies before or after the `fatal` call (0-based) that changes anything."""

    inner: PrinterPort
    fatal: int
    after: bool
    calls: list[str] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:  # Any: stands for every verb of the port
        verb = getattr(self.inner, name)

        def call(*args: Any) -> Any:
            self.calls.append(name)
            dying = len(self.calls) - 1 == self.fatal
            if dying and not self.after:
                self.die()
            answer = verb(*args)
            if dying:
                self.die()
            return answer

        return call

    def die(self) -> None:
        raise Killed()


@dataclass
class Workshop:
    sim: SimulatedOctoPrint
    clock: Clock
    site_id: int = 0
    printer_id: int = 0
    alice_id: int = 0
    bob_id: int = 0
    gcode_key: str = ""
    clients: list[OctoPrint] = field(default_factory=list)

    def open(self, url: str, sealed_key: str) -> PrinterPort:
        client = OctoPrint(url, sealed_key, limits=IMPATIENT)
        self.clients.append(client)
        return client

    def reconcile(self, printer_id: int | None = None, **more: Any) -> None:
        acting.reconcile(printer_id or self.printer_id, **{"clock": self.clock, "opener": self.open, **more})

    def add_printer(self, sim: SimulatedOctoPrint) -> int:
        with transaction() as session:
            kind = session.get_one(Printer, self.printer_id).kind
            site = session.get_one(Site, self.site_id)
            return make_printer(session, site, kind=kind, url=sim.url, sealed_key=sim.key).id

    def queue(self, **facts: Any) -> int:
        """A queued job of alice, sliced to a small G-code."""
        with transaction() as session:
            alice = session.get_one(User, self.alice_id)
            job = make_job(session, session.get_one(Site, self.site_id), alice, **facts)
            jobs.submit(session, job=job, actor=alice, now=self.clock.now)
            for wanted in job.slices:
                self._slice(session, wanted.slice)
            jobs.settle_slices(session, job=job, now=self.clock.now)
            assert job.status == JobStatus.QUEUED
            return job.id

    def _slice(self, session: Session, found: slices.Slice) -> None:
        slices.mark_ready(
            session,
            slice_=found,
            seconds=1800,
            grams=Decimal(found.copies * 10),
            gcode_key=self.gcode_key,
            size=len(GCODE),
            sha1=hashlib.sha1(GCODE, usedforsecurity=False).hexdigest(),
            now=self.clock.now,
        )

    def printing(self, **facts: Any) -> int:
        """A job whose only plate prints now, recorded as such."""
        job_id = self.queue(**facts)
        self.reconcile()
        assert self.run(job_id).status == RunStatus.PRINTING
        return job_id

    def at(self, status: RunStatus) -> int:
        """A job whose run was left in this status by a worker that died."""
        job_id = self.queue()
        if status == RunStatus.CLAIMED:
            with transaction() as session:
                assert runs.claim_next(session, printer_id=self.printer_id, now=self.clock.now)
        elif status in (RunStatus.PRINTING, RunStatus.PAUSED):
            self.reconcile()
        else:
            self.die_at(1, after=False)  # the upload
        if status == RunStatus.SELECTED:
            self._die(lambda client: self._alive_until(client, job_id, status))
        elif status == RunStatus.STARTING:
            self._die(_DiesAtStart)
        elif status == RunStatus.PAUSED:
            self.sim.printer.steer("pause", "pause")
            self.reconcile()
        assert self.run(job_id).status == status
        return job_id

    def die_at(self, call: int, *, after: bool) -> bool:
        """Reconcile with a worker that dies around the n-th call of the printer; False when it lived."""
        client = Mortal(self.open(self.sim.url, self.sim.key), call, after)
        try:
            self.reconcile(opener=lambda *_: client)
        except Killed:
            return True
        return False

    def _die(self, wrap: Callable[[PrinterPort], object]) -> None:
        with pytest.raises(Killed):
            self.reconcile(opener=lambda url, key: wrap(self.open(url, key)))

    def _alive_until(self, client: PrinterPort, job_id: int, status: RunStatus) -> PrinterPort:
        if self.run(job_id).status == status:
            raise Killed()
        return client

    def job(self, job_id: int) -> Job:
        with transaction() as session:
            return session.get_one(Job, job_id)

    def runs(self, job_id: int) -> list[Run]:
        with transaction() as session:
            return runs.list_runs(session, job_id=job_id)

    def run(self, job_id: int) -> Run:
        """The latest attempt."""
        return self.runs(job_id)[-1]

    def printer(self) -> Printer:
        with transaction() as session:
            return session.get_one(Printer, self.printer_id)

    def hold_of(self, run: Run) -> Hold:
        with transaction() as session:
            return session.get_one(Hold, run.hold_id)

    def charges(self, job_id: int) -> list[Charge]:
        with transaction() as session:
            return list(session.scalars(select(Charge).where(Charge.job_id == job_id)))

    def command(self, job_id: int, wanted: RunCommand) -> None:
        with transaction() as session:
            run = runs.list_runs(session, job_id=job_id)[-1]
            runs.request_command(session, run=run, command=wanted, actor_id=self.alice_id, now=self.clock.now)

    def cancel(self, job_id: int) -> None:
        with transaction() as session:
            job, alice = session.get_one(Job, job_id), session.get_one(User, self.alice_id)
            runs.cancel_job(session, job=job, actor=alice, now=self.clock.now)

    def clear(self, printer_id: int | None = None) -> None:
        with transaction() as session:
            printer = session.get_one(Printer, printer_id or self.printer_id)
            bob = session.get_one(User, self.bob_id)
            runs.clear_plate(session, printer=printer, actor=bob, now=self.clock.now)

    def mend(self) -> None:
        with transaction() as session:
            printer, bob = session.get_one(Printer, self.printer_id), session.get_one(User, self.bob_id)
            faults.mend(session, printer=printer, actor=bob, now=self.clock.now)

    def resolve(self, run_id: UUID, *, printed: bool) -> None:
        with transaction() as session:
            run, bob = runs.get_run(session, run_id), session.get_one(User, self.bob_id)
            runs.resolve(session, run=run, printed=printed, resolution="Seen", actor=bob, now=self.clock.now)

    def steps(self) -> list[str]:
        """The background steps that wait, as `name:lock`."""
        with transaction() as session:
            rows = session.connection().exec_driver_sql("SELECT task_name, lock FROM procrastinate_jobs ORDER BY id")
            return [f"{name}:{lock}" for name, lock in rows]


class _DiesAtStart:
    """Dies before the start reaches the printer, when `starting` is committed already."""

    def __init__(self, inner: PrinterPort) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:  # Any: stands for every verb of the port
        if name == "start":
            raise Killed()
        return getattr(self._inner, name)


@pytest.fixture
def workshop(installation: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workshop]:
    monkeypatch.setattr(acting, "PEEK_S", 0.001)
    with SimulatedOctoPrint() as sim:
        made = Workshop(sim, Clock())
        made.gcode_key = files.new_key("gcode", "gcode")
        files.put(made.gcode_key, GCODE)
        with transaction() as session:
            site = make_site(session, stagger_s=0)
            alice, bob = make_user(session, "Alice"), make_user(session, "Bob")
            roles.grant(session, user=bob, site_id=site.id, level=Level.STAFF, now=NOW)
            make_tariff(session)
            make_material(session)
            printer = make_printer(session, site, kind=make_kind(session), url=sim.url, sealed_key=sim.key)
            made.site_id, made.printer_id, made.alice_id, made.bob_id = site.id, printer.id, alice.id, bob.id
        yield made
        for client in made.clients:
            client.close()
