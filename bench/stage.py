"""A small installation for one bench or drill: PostgreSQL, real OctoPrints, workers, and jobs to print."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from printers.lab import Lab, OctoPrintServer

if TYPE_CHECKING:
    from api.adapters.postgres import EmbeddedPostgres

WORKER = [sys.executable, "-m", "web.command", "tasks", "--queue"]


def now() -> datetime:
    return datetime.now(UTC)


class Stage:
    """An installation that runs; `servers[i]` is the OctoPrint of `printer_ids[i]`."""

    def __init__(self, folder: Path, servers: list[OctoPrintServer]) -> None:
        self.folder, self.servers = folder, servers
        self.printer_ids: list[int] = []
        self.site_id = self.owner_id = self.staff_id = self.model_id = 0
        self._workers: list[subprocess.Popen[bytes]] = []

    def seed(self) -> None:
        """One site without hours, its printers clear and loaded, and a model that is never sliced."""
        from api.db import transaction
        from api.domain.people.accounts import find_user
        from api.domain.places.sites import get_site_by_slug, set_hours
        from api.domain.printing.library import add_model
        from web.demo import seed
        from web.demo.printers import DemoServer

        with transaction() as session:
            demo = [DemoServer(f"P{n}", server.url, server.key) for n, server in enumerate(self.servers)]
            seeded = seed(session, servers=demo, data_dir=self.folder, now=now())
            self.printer_ids = [printer["id"] for printer in seeded["printers"]]
            site = get_site_by_slug(session, "atelier")
            # Without hours a site is always open, so that a bench at night prints as well.
            set_hours(session, site=site, rows=[])
            owner, staff = find_user(session, email="alice@example.org"), find_user(session, email="bob@example.org")
            assert owner and staff
            self.site_id, self.owner_id, self.staff_id = site.id, owner.id, staff.id
            model = add_model(
                session,
                owner=owner,
                name="bench.stl",
                now=now(),
                sha256="0" * 64,
                stl_key="none",
                bytes=684,
                triangles=12,
                size_x_mm=20,
                size_y_mm=20,
                size_z_mm=20,
                volume_mm3=8000,
                area_mm2=2400,
                shells=1,
                closed=True,
                measures={},
            )
            self.model_id = model.id

    def hand_in(self, gcode: bytes, *, seconds: int, at_once: bool = True) -> tuple[int, int]:
        """A submitted job whose slice is this G-code; (job id, slice id). With `at_once` it is queued already."""
        from api.db import transaction
        from api.domain.people.accounts import get_user
        from api.domain.places.sites import get_site
        from api.domain.pricing.materials import get_material
        from api.domain.printing.jobs import JobRequest, create_job, submit
        from api.domain.printing.library import Model

        with transaction() as session:
            owner = get_user(session, self.owner_id)
            model = session.get_one(Model, self.model_id)
            scale = Decimal("1") + Decimal(next(_scales)) / 10_000  # each job has a slice of its own
            request = JobRequest(model, get_site(session, self.site_id), get_material(session, "PLA"), scale=scale)
            job = create_job(session, owner=owner, request=request, now=now())
            submit(session, job=job, actor=owner, now=now())
            # The step that would slice it is taken back: the slicer is not what is measured here.
            session.info.pop("steps", None)
            job_id, slice_id = job.id, job.slices[0].slice_id
        key = self.store(gcode)
        if at_once:
            self.make_ready(slice_id, key, gcode, seconds=seconds)
        return job_id, slice_id

    def store(self, gcode: bytes) -> str:
        from api.adapters import files

        key = files.new_key("gcode", "gcode")
        files.put(key, gcode)
        return key

    def make_ready(self, slice_id: int, key: str, gcode: bytes, *, seconds: int) -> float:
        """Do what the slicing step does when the slicer is done; returns when its last commit began, in seconds since
        the epoch: before that, no worker can see the job in the queue."""
        from sqlalchemy import select

        from api.db import transaction
        from api.domain.printing.jobs import JobSlice, settle_job
        from api.domain.printing.slices import Slice, mark_ready

        with transaction() as session:
            mark_ready(
                session,
                slice_=session.get_one(Slice, slice_id),
                seconds=seconds,
                grams=Decimal(1),
                gcode_key=key,
                size=len(gcode),
                sha1=hashlib.sha1(gcode, usedforsecurity=False).hexdigest(),
                now=now(),
            )
        with transaction() as session:
            for job_id in session.scalars(select(JobSlice.job_id).where(JobSlice.slice_id == slice_id)):
                settle_job(session, job_id=job_id, now=now())
            return time.time()

    def start_worker(self, *argv: str) -> subprocess.Popen[bytes]:
        """A dispatch worker, or another command; ended with the stage."""
        command = [*WORKER, "dispatch", "--concurrency", "6"] if not argv else list(argv)
        log = (self.folder / "worker.log").open("ab")
        worker = subprocess.Popen(command, stdout=log, stderr=log, process_group=0)
        self._workers.append(worker)
        return worker

    def end_workers(self) -> None:
        for worker in self._workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGKILL)
            worker.wait()
        self._workers.clear()


_scales = iter(range(1, 1_000_000))


@contextmanager
def open_stage(printers: int, **settings: str) -> Iterator[Stage]:
    """Start and seed everything; end and remove it afterwards. `settings` are ETABLI_* values."""
    from api.adapters.postgres import EmbeddedPostgres

    folder = Path(tempfile.mkdtemp(prefix="etabli-bench-"))
    # Started as root, PostgreSQL runs under an account of its own, which must be able to pass this folder.
    folder.chmod(0o755)
    postgres = EmbeddedPostgres(folder / "postgres")
    lab = Lab(folder / "lab", printers, pace="fast")
    stage = Stage(folder, lab.servers)
    try:
        os.environ.update(
            ETABLI_DATABASE_URL=postgres.start(),
            ETABLI_DATA_DIR=str(folder),
            **{f"ETABLI_{name.upper()}": value for name, value in settings.items()},
        )
        _migrate(postgres)
        lab.start()
        stage.seed()
        yield stage
    except BaseException:
        if (log := folder / "worker.log").exists():
            sys.stderr.write(log.read_text(errors="replace")[-6000:])
        raise
    finally:
        stage.end_workers()
        lab.stop()
        _dispose()
        postgres.stop()
        shutil.rmtree(folder, ignore_errors=True)


def _migrate(postgres: EmbeddedPostgres) -> None:
    from api.adapters.postgres_access import PROGRAM
    from web.installation import grant_rows, migrate

    migrate(postgres.owner_url())
    grant_rows(postgres.owner_url(), role=PROGRAM)


def _dispose() -> None:
    from api import db
    from api.adapters import files, seal
    from api.settings import settings

    # The next stage of this process has settings, a database and files of its own.
    db.engine().dispose()
    for cached in (db.sessions, db.engine, settings, files._store, seal._fernet):
        cached.cache_clear()


def print_gcode(*, size: int = 0, dwell_s: float = 1.0) -> bytes:
    """Real G-code that the Virtual Printer prints in about `dwell_s` seconds, padded with moves to `size` bytes."""
    head = b"G28\nG90\nM82\n" + b"G4 P100\n" * max(1, round(dwell_s * 10))
    move = b"G1 X10.000 Y10.000 E0.00100 F6000\n"
    moves = move * max(0, (size - len(head)) // len(move))
    return head + moves + b"; " + os.urandom(8).hex().encode() + b"\n"
