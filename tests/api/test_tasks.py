"""Background steps: they exist if and only if their transaction commits, once each, and survive their worker."""

import ast
import asyncio
import inspect
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api import tasks, worker
from api.adapters import mail
from api.db import conninfo, transaction
from api.domain.core.changes import enqueue
from api.domain.core.errors import NotFound
from api.domain.messages.notifications import Mail
from api.domain.places.sites import Site
from api.domain.printing.printers import enqueue_reconcile
from api.settings import settings
from api.steps import DISPATCH, MAIL, SLICE, STEPS, Step
from tests.world import NOW, make_printer, make_site, make_user

ROOT = Path(__file__).resolve().parents[2]


def steps(status: str = "todo") -> list[str]:
    """The steps that wait, as `name:queueing lock`."""
    with transaction() as session:
        query = f"SELECT task_name, queueing_lock FROM procrastinate_jobs WHERE status = '{status}' ORDER BY id"
        return [f"{name}:{lock}" for name, lock in session.connection().exec_driver_sql(query)]


def test_a_step_comes_with_the_commit(installation: Path) -> None:
    with transaction() as session:
        enqueue_reconcile(session, 7)
        assert session.info["steps"]
    assert steps() == ["reconcile:printer:7"]


def test_a_step_goes_with_the_rollback(installation: Path) -> None:
    def fail() -> None:
        with transaction() as session:
            enqueue_reconcile(session, 7)
            raise NotFound()

    with pytest.raises(NotFound):
        fail()
    assert steps() == []


def test_many_pokes_are_one_step_also_over_transactions(installation: Path) -> None:
    for _ in range(2):
        with transaction() as session:
            enqueue_reconcile(session, 7)
            enqueue_reconcile(session, 7)
            enqueue_reconcile(session, 8)
    assert steps() == ["reconcile:printer:7", "reconcile:printer:8"]


def test_a_poke_while_its_step_runs_is_one_more_step_that_waits_for_it(installation: Path) -> None:
    with transaction() as session:
        enqueue_reconcile(session, 7)
    with transaction() as session:
        session.connection().exec_driver_sql("UPDATE procrastinate_jobs SET status = 'doing'")
    with transaction() as session:
        enqueue_reconcile(session, 7)
    assert (steps("doing"), steps()) == (["reconcile:printer:7"], ["reconcile:printer:7"])


@pytest.mark.parametrize("twin", [True, False])
@pytest.mark.parametrize("ends", ["DELETE FROM procrastinate_jobs", "UPDATE procrastinate_jobs SET status = 'failed'"])
def test_a_step_that_ends_wakes_the_workers_if_its_twin_waits(installation: Path, ends: str, twin: bool) -> None:
    """The engine tells only of steps that are inserted: a twin would wait for the next poll."""
    with transaction() as session:
        enqueue_reconcile(session, 7)
    with transaction() as session:
        session.connection().exec_driver_sql("UPDATE procrastinate_jobs SET status = 'doing'")
        if twin:
            enqueue_reconcile(session, 7)
    with psycopg.connect(conninfo(), autocommit=True) as ear:
        ear.execute('LISTEN "procrastinate_queue_v1#dispatch"')
        with transaction() as session:
            session.connection().exec_driver_sql(f"{ends} WHERE status = 'doing'")
        assert len(list(ear.notifies(timeout=5 if twin else 0.1, stop_after=1))) == twin


def test_a_twin_does_not_undo_what_was_asked_beside_it(installation: Path) -> None:
    with transaction() as session:
        enqueue_reconcile(session, 7)
    with transaction() as session:
        enqueue_reconcile(session, 7)
        make_site(session, slug="kept")
        enqueue_reconcile(session, 8)
    assert "reconcile:printer:8" in steps()


def test_steps_of_a_savepoint_wait_for_the_whole(installation: Path) -> None:
    with transaction() as session:
        with session.begin_nested():
            enqueue_reconcile(session, 7)
        assert session.info["steps"]
    assert steps() == ["reconcile:printer:7"]


def test_printers_have_a_queue_of_their_own(installation: Path) -> None:
    with transaction() as session:
        enqueue_reconcile(session, 7)
        enqueue(session, "slice", once="slice:1", slice_id=1)
        rows = "SELECT task_name, queue_name FROM procrastinate_jobs ORDER BY 1"
    with transaction() as session:
        found = [tuple(row) for row in session.connection().exec_driver_sql(rows)]
    assert found == [("reconcile", DISPATCH), ("slice", SLICE)]


def enqueued_steps() -> Iterator[tuple[str, set[str]]]:
    """Each step that the product enqueues anywhere, with the names of its arguments."""
    sources = [path.read_text() for folder in ("api", "printers", "web") for path in (ROOT / folder).rglob("*.py")]
    for node in (node for text in sources if "enqueue(" in text for node in ast.walk(ast.parse(text))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "enqueue":
            name = ast.literal_eval(node.args[1])
            yield name, {keyword.arg for keyword in node.keywords if keyword.arg} - {"once", "at"}


def test_every_step_that_is_enqueued_anywhere_is_in_the_table_and_the_other_way_round() -> None:
    assert {name for name, _ in enqueued_steps()} | {"tidy_printers"} == set(STEPS) <= set(tasks.make_app("").tasks)


@pytest.mark.parametrize(("name", "arguments"), [*enqueued_steps(), ("tidy_printers", {"timestamp"})])
def test_every_step_resolves_to_a_function_that_takes_what_is_enqueued(name: str, arguments: set[str]) -> None:
    parameters = inspect.signature(STEPS[name].load()).parameters
    by_worker = {"session", "now"} if STEPS[name].is_verb else set()
    optional = {each.name for each in parameters.values() if each.default is not each.empty}
    assert set(parameters) - optional <= arguments | by_worker <= set(parameters)


def test_the_worker_of_the_printers_loads_neither_weasyprint_nor_the_validators_nor_the_slicer() -> None:
    heavy = {"weasyprint", "pikepdf", "saxonche", "printers.slicer"}
    code = f"import sys; from api.worker import STEPS; STEPS['reconcile'].load(); print({heavy} & sys.modules.keys())"
    output = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert output.strip() == "set()"


def test_a_step_that_is_not_in_the_table_is_refused_at_the_commit(installation: Path) -> None:
    def misspell() -> None:
        with transaction() as session:
            enqueue(session, "recon_cile", printer_id=1)

    with pytest.raises(KeyError):
        misspell()


@pytest.mark.parametrize("name", sorted(name for name, step in STEPS.items() if step.is_verb))
def test_a_verb_gets_a_transaction_of_its_own(installation: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    def verb(session: Session, *, number: int, now: datetime) -> None:
        make_site(session, slug=f"site-{number}")

    monkeypatch.setattr(Step, "load", lambda step: verb)
    tasks.run_step(STEPS[name], number=5)
    with transaction() as session:
        assert session.scalars(select(Site.slug)).all() == ["site-5"]


def test_two_long_slices_hold_up_no_letter(installation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each queue has threads of its own: the letter ends while both slices stand still, and lets them go on."""
    letter_sent, slices = threading.Event(), []

    def load(step: Step) -> Callable[..., None]:
        def send(mail_id: int) -> None:
            letter_sent.set()

        def make_slice(slice_id: int) -> None:
            slices.append(letter_sent.wait(20))

        return send if step is STEPS["send_mail"] else make_slice

    monkeypatch.setattr(Step, "load", load)
    with transaction() as session:
        for number in (1, 2):
            enqueue(session, "slice", once=f"slice:{number}", slice_id=number)
        enqueue(session, "send_mail", once="mail:1", mail_id=1)

    async def scenario() -> None:
        app = tasks.make_app(conninfo())
        async with app.open_async():
            workers = [asyncio.create_task(worker._work(app, queue, 1)) for queue in (SLICE, MAIL)]
            async with asyncio.timeout(30):
                while len(slices) < 2:
                    await asyncio.sleep(0.02)
            for each in workers:
                each.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    asyncio.run(scenario())
    assert slices == [True, True]


def test_there_is_a_thread_for_each_step_that_may_run() -> None:
    """The pool of asyncio has six on two cores: eight printers would have waited for each other."""

    async def scenario() -> int:
        worker.use_threads({DISPATCH: 8})
        started, go_on = [], threading.Event()

        def step() -> None:
            started.append(1)
            go_on.wait(10)

        steps = [asyncio.create_task(asyncio.to_thread(step)) for _ in range(8)]
        async with asyncio.timeout(5):
            while len(started) < 8:
                await asyncio.sleep(0.01)
        go_on.set()
        await asyncio.gather(*steps)
        return len(started)

    assert asyncio.run(scenario()) == 8


# A whole worker.


@contextmanager
def worker_process(installation: Path, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker process of letters that beats fast."""
    environment = os.environ | {"ETABLI_HEARTBEAT_S": "0.2", "ETABLI_STALLED_AFTER_S": "0.8", **more}
    code = "from api.worker import run_worker; run_worker({'mail': 1})"
    with subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def test_the_step_of_a_worker_killed_in_its_middle_runs_again_in_another(installation: Path) -> None:
    """The step sends a letter to a server that takes the call and says nothing: the test sees who calls."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.settimeout(60)
        smtp = {"ETABLI_SMTP_URL": f"smtp://127.0.0.1:{silent.getsockname()[1]}"}
        _write_letter()
        with worker_process(installation, **smtp) as first:
            called, _ = silent.accept()
            first.kill()
            first.wait(10)
            called.close()
        with worker_process(installation, **smtp):
            again, _ = silent.accept()
            # Beside it, a duty of the minute may wait, or be done.
            letters = [[name for name in steps(each) if name.startswith("send_mail")] for each in ("doing", "todo")]
            again.close()
            assert [len(each) for each in letters] == [1, 0]


def test_a_stalled_step_whose_twin_waits_is_closed_and_frees_the_lock(installation: Path) -> None:
    """Else the dead one keeps the printer's lock for ever (trap 1 of the engine)."""
    printer_id = _dead_step_and_its_twin()
    assert (steps("doing"), steps("todo")) == ([f"reconcile:printer:{printer_id}"], [f"reconcile:printer:{printer_id}"])

    asyncio.run(_rescue_once())

    assert (steps("doing"), steps("todo")) == ([], [f"reconcile:printer:{printer_id}"])


def _dead_step_and_its_twin() -> int:
    with transaction() as session:
        printer_id = make_printer(session, make_site(session)).id
        session.info.clear()
        enqueue_reconcile(session, printer_id)
    with transaction() as session:
        session.connection().exec_driver_sql("UPDATE procrastinate_jobs SET status = 'doing', worker_id = NULL")
        enqueue_reconcile(session, printer_id)
    return printer_id


async def _rescue_once() -> None:
    app = tasks.make_app(conninfo())
    async with app.open_async():
        await tasks.rescue(app, DISPATCH)


def _write_letter() -> None:
    with transaction() as session:
        user = make_user(session)
        letter = Mail(user_id=user.id, kind="x", about="y", recipient=user.email, subject="s", body="b", created_at=NOW)
        session.add(letter)
        session.flush()
        enqueue(session, "send_mail", once=f"mail:{letter.id}", mail_id=letter.id)


def test_a_letter_that_could_not_be_sent_says_why(installation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write_letter()
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setattr(settings(), "smtp_url", f"smtp://127.0.0.1:{port}")
    with transaction() as session:
        letter_id = session.scalars(select(Mail.id)).one()
    mail.send_mail(letter_id)
    with transaction() as session:
        letter = session.get_one(Mail, letter_id)
        assert (letter.sent_at, "refused" in letter.trouble) == (None, True)
