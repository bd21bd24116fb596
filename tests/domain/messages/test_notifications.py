"""Letters: one per thing and kind, in the reader's language, and tried again while there is hope."""

from datetime import timedelta
from string import Formatter

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from api.domain.core.paging import PageWindow
from api.domain.messages import notifications
from api.domain.messages.notifications import (
    LETTERS,
    Letter,
    Mail,
    enqueue_unsent,
    list_mails,
    notify_job,
    write_letter,
)
from api.domain.people.accounts import Locale, User
from api.domain.printing import jobs
from tests.world import HOUR, NOW, make_job, make_model, make_site, make_sliced, make_user, make_world


def write_printed(session: Session, user: User, about: str = "job:1") -> None:
    write_letter(session, user=user, kind="job_printed", about=about, now=NOW, model="hook.stl", copies=2, collect="")


def asked(session: Session) -> list[str]:
    return [once for step, once, _ in session.info.get("steps", []) if step == "send_mail"]


@pytest.mark.parametrize(("locale", "greeting"), [(Locale.FR, "Bonjour Dana"), (Locale.EN, "Hello Dana")])
def test_a_letter_speaks_its_readers_language(session: Session, locale: Locale, greeting: str) -> None:
    write_printed(session, make_user(session, locale=locale))
    letter = session.scalars(select(Mail)).one()
    assert letter.body.startswith(greeting)
    assert "hook.stl" in letter.subject


def test_a_step_that_runs_twice_writes_once(session: Session) -> None:
    user = make_user(session)
    for about in ("job:1", "job:1", "job:2"):
        write_printed(session, user, about)
    ids = session.scalars(select(Mail.id).order_by(Mail.id)).all()
    assert asked(session) == [f"mail:{mail_id}" for mail_id in ids]
    assert len(ids) == 2


def facts_of(letter: Letter) -> set[str | None]:
    return {name for _, name, _, _ in Formatter().parse(letter.subject + letter.body)} - {None}


def test_every_letter_is_written_in_every_language_with_the_same_facts() -> None:
    for letters in LETTERS.values():
        assert set(letters) == set(Locale)
        assert facts_of(letters[Locale.FR]) == facts_of(letters[Locale.EN])


@pytest.mark.parametrize("verb", ["printed", "rejected", "on_hold"])
def test_the_owner_hears_what_became_of_the_job_and_where(session: Session, verb: str) -> None:
    world = make_world(session)
    job = make_job(session, world.site, world.alice, model=make_model(session, world.alice, "hook {x}.stl"))
    for _ in range(2):
        notify_job(session, job_id=job.id, verb=verb, since="2026-11-23T12:00:00+00:00", now=NOW)
    (letter,) = list_mails(session, site_ids=[world.site.id])
    assert (letter.user_id, letter.kind, letter.about) == (
        world.alice.id,
        f"job_{verb}",
        f"job:{job.id}:2026-11-23T12:00:00+00:00",
    )
    assert "hook {x}.stl" in letter.subject
    assert "L'Atelier" in letter.body


def test_a_job_that_is_put_on_hold_a_second_time_is_told_a_second_time(session: Session) -> None:
    world = make_world(session)
    job = make_sliced(session, world.site, world.alice)
    for hour in (1, 2):
        jobs.put_on_hold(session, job=job, actor=world.bob, text="Wait", now=NOW + hour * HOUR)
        jobs.resume(session, job=job, actor=world.bob, now=NOW + hour * HOUR)
    for step, _, arguments in session.info["steps"]:
        if step == "notify_job":
            notify_job(session, **arguments, now=NOW)
    assert [letter.kind for letter in list_mails(session, site_ids=[world.site.id])] == ["job_on_hold"] * 2


def test_a_long_name_is_cut_in_the_subject(session: Session) -> None:
    write_letter(
        session,
        user=make_user(session),
        kind="job_printed",
        about="job:1",
        now=NOW,
        model="x" * 200,
        copies=1,
        collect="",
    )
    assert len(session.scalars(select(Mail.subject)).one()) == 200


def test_staff_read_the_letters_of_their_sites_newest_first(session: Session) -> None:
    here, there, user = make_site(session), make_site(session), make_user(session)
    for place, about in [(here, "job:1"), (here, "job:2"), (there, "job:3"), (None, "job:4")]:
        write_letter(
            session, user=user, kind="job_printed", about=about, now=NOW, site=place, model="m", copies=1, collect=""
        )
    assert [letter.about for letter in list_mails(session, site_ids=[here.id])] == ["job:2", "job:1"]
    assert [letter.about for letter in list_mails(session, site_ids=[here.id], window=PageWindow(1))] == ["job:2"]


def failed(session: Session, about: str, **facts: object) -> Mail:
    write_printed(session, make_user(session), about)
    letter = session.scalars(select(Mail).where(Mail.about == about)).one()
    for column, value in {"trouble": "Connection refused", **facts}.items():
        setattr(letter, column, value)
    session.flush()
    session.info.pop("steps", None)
    return letter


def test_a_letter_that_failed_is_tried_again(session: Session) -> None:
    letter = failed(session, "job:1")
    enqueue_unsent(session, now=NOW + timedelta(minutes=1))
    assert asked(session) == [f"mail:{letter.id}"]


@pytest.mark.parametrize(
    "facts", [{"sent_at": NOW, "trouble": ""}, {"trouble": ""}, {"created_at": NOW - timedelta(days=1)}]
)
def test_a_letter_sent_or_kept_or_hopeless_is_not_tried_again(session: Session, facts: dict[str, object]) -> None:
    failed(session, "job:1", **facts)
    enqueue_unsent(session, now=NOW)
    assert asked(session) == []


def test_only_a_few_are_tried_at_once(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifications, "RETRY_BATCH", 2)
    for number in range(3):
        failed(session, f"job:{number}")
    enqueue_unsent(session, now=NOW)
    assert len(asked(session)) == 2
