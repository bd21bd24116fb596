"""Live pages: what a transaction tells reaches the browsers that asked for it, and only when it commits."""

import asyncio
import threading
from collections.abc import Iterator

import httpx
import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from api import deps, outbox
from api.domain.core.changes import publish
from tests.serving import served
from web.app import make_app
from web.live import (
    EVERYTHING,
    MOST_STREAMS,
    STRANGERS_STREAMS,
    STREAMS_EACH,
    Listener,
    Live,
    Stream,
    TooManyStreams,
    spread_s,
    subjects_of,
)

STRANGER = Listener(False, "192.0.2.1")


@pytest.mark.parametrize(
    ("payload", "subjects"),
    [('{"job": 5, "printer": 1}', ["job:5", "printer:1"]), ("[]", []), ("no json", []), ("{}", [])],
)
def test_a_notice_names_its_subjects(payload: str, subjects: list[str]) -> None:
    assert subjects_of(payload) == subjects


def test_a_browser_hears_only_what_it_asked_for() -> None:
    stream = Stream(frozenset({"job:5"}), STRANGER)
    for subject in ("job:6", "job:5", EVERYTHING):
        stream.push(subject)
    assert [stream.queue.get_nowait() for _ in range(stream.queue.qsize())] == ["job:5", EVERYTHING]


def test_a_slow_browser_loses_words_and_not_the_server() -> None:
    stream = Stream(frozenset({"job:5"}), STRANGER)
    for _ in range(1000):
        stream.push("job:5")
    assert stream.queue.qsize() == 100


def test_the_listener_ends_with_the_last_browser() -> None:
    live = Live(lambda: "host=/nowhere")

    async def come_and_go() -> None:
        events = live.events(frozenset(), STRANGER)
        await anext(events)
        assert live.listener is not None
        await events.aclose()  # type: ignore[attr-defined]  # an async generator

    asyncio.run(come_and_go())
    assert (live.streams, live.listener) == (set(), None)


def streams_of(*listeners: Listener) -> Live:
    live = Live(lambda: "host=/nowhere")
    live.streams = {Stream(frozenset(), listener) for listener in listeners}
    return live


def test_strangers_cannot_take_the_streams_of_members() -> None:
    live = streams_of(*(Listener(False, f"192.0.2.{number}") for number in range(STRANGERS_STREAMS)))
    with pytest.raises(TooManyStreams):
        live.require_room(STRANGER)
    live.require_room(Listener(True, "1"))


@pytest.mark.parametrize("listener", [STRANGER, Listener(True, "1")])
def test_one_network_or_person_has_a_part_only(listener: Listener) -> None:
    live = streams_of(*[listener] * STREAMS_EACH)
    with pytest.raises(TooManyStreams):
        live.require_room(listener)
    live.require_room(Listener(listener.is_known, "another"))


def test_all_streams_together_have_an_end() -> None:
    live = streams_of(*(Listener(True, str(number)) for number in range(MOST_STREAMS)))
    with pytest.raises(TooManyStreams):
        live.require_room(Listener(True, "another"))


@pytest.fixture
def url(committed: Engine) -> Iterator[str]:
    outbox.attach()
    app = make_app()
    app.state.live = Live(lambda: committed.url.set(drivername="postgresql").render_as_string(hide_password=False))

    def session() -> Iterator[Session]:
        with Session(committed) as made, made.begin():
            yield made

    app.dependency_overrides[deps.session] = session
    with served(app) as address:
        yield address


def say(committed: Engine, *, commit: bool, **about: int) -> None:
    with Session(committed) as session:
        publish(session, **about)
        if commit:
            session.commit()


def test_a_commit_wakes_the_page_and_a_rollback_does_not(url: str, committed: Engine) -> None:
    with httpx.stream("GET", f"{url}/live?about=printer:1", timeout=20, trust_env=False) as answer:
        lines = answer.iter_lines()
        assert answer.headers["content-type"].startswith("text/event-stream")
        first = next(line for line in lines if line.startswith("data:"))
        assert first.strip() == "data:"  # it has just begun to listen: fetch everything once
        say(committed, commit=False, printer=1)
        say(committed, commit=True, printer=2)
        threading.Thread(target=say, args=(committed,), kwargs={"commit": True, "printer": 1}).start()
        assert next(line for line in lines if line.startswith("data:")) == "data: printer:1"


@pytest.mark.parametrize("about", ["user:1", "job:x", "printer:1;DROP", "*"])
def test_an_unknown_subject_is_404(url: str, about: str) -> None:
    assert httpx.get(f"{url}/live", params={"about": about}, trust_env=False).status_code == 404


def test_a_job_is_told_to_nobody_without_a_login(url: str) -> None:
    assert httpx.get(f"{url}/live?about=job:1", trust_env=False).status_code == 303


def test_a_page_with_more_parts_than_a_stream_tells_of_is_refused_not_told_half(url: str) -> None:
    about = ",".join(f"printer:{number}" for number in range(1, 102))
    assert httpx.get(f"{url}/live?about={about}", headers={"accept": "application/json"}).status_code == 429


def test_browsers_come_back_one_after_the_other_when_the_database_does() -> None:
    waits = [spread_s(400) for _ in range(400)]
    assert max(waits) <= 10
    assert all(sum(second <= wait < second + 1 for wait in waits) < 80 for second in range(10))
    assert spread_s(1) < 0.1
