"""Accounts on pages: sign up, log in and out, sessions and tokens; a guesser is slowed."""

import httpx
import pytest
from sqlalchemy.orm import Session

from api.domain.people import accounts
from api.domain.people.passwords import PasswordTooEasy, check_password
from tests.world import NOW, PASSWORD, World
from tests.world.browsers import Browser


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:x"])
def test_a_login_never_leads_to_another_host(alice: Browser, elsewhere: str) -> None:
    assert alice.get("/login", params={"next": elsewhere}).headers["location"] == "/"


def test_signing_up_logs_in(world: World, anonymous: httpx.Client) -> None:
    answer = anonymous.post("/signup", data={"name": "Dana", "email": "dana@example.org", "password": PASSWORD})
    assert answer.status_code == 303
    cookie = answer.headers["set-cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=lax", "Path=/"))
    assert "Dana" in anonymous.get("/me").text


def test_a_name_is_kept_without_control_characters(world: World, anonymous: httpx.Client, session: Session) -> None:
    form = {"name": "a\x01b\r\nc", "email": "dana@example.org", "password": PASSWORD}
    assert anonymous.post("/signup", data=form).status_code == 303
    user = accounts.find_user(session, email="dana@example.org")
    assert user is not None
    assert user.name == "ab c"


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("email", "dana", str(accounts.EmailWrong())),
        ("name", " ", str(accounts.NameMissing())),
        ("password", "short", "at least 10"),
    ],
)
def test_a_failed_form_keeps_what_was_typed_and_says_why_beside_it(
    world: World, anonymous: httpx.Client, field: str, value: str, said: str
) -> None:
    typed = {"name": "Dana & Co", "email": "dana@example.org", "password": PASSWORD, field: value}
    answer = anonymous.post("/signup", data=typed)
    assert answer.status_code == 422
    assert f'id="error-{field}"' in answer.text
    assert said in answer.text
    assert field == "name" or "Dana &amp; Co" in answer.text
    assert PASSWORD not in answer.text


def test_a_wrong_password_is_a_mistake_in_the_form(world: World, anonymous: httpx.Client) -> None:
    answer = anonymous.post("/login", data={"email": world.alice.email, "password": "x"})
    assert answer.status_code == 422
    assert "Wrong e-mail address or password" in answer.text


def test_a_guesser_is_slowed_and_other_accounts_are_not(
    world: World, anonymous: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []

    def refuse(_: accounts.Login, password: str) -> str:
        verified.append(password)
        raise accounts.LoginFailed()

    monkeypatch.setattr("web.pages.people.accounts.accounts.check_login", refuse)
    answers = [anonymous.post("/login", data={"email": "a@example.org", "password": "x"}) for _ in range(14)]
    assert len(verified) == 10
    assert [a.status_code for a in answers][-4:] == [429] * 4
    assert anonymous.post("/login", data={"email": "b@example.org", "password": "x"}).status_code == 422


def test_logging_out_ends_the_session_on_the_server(alice: Browser) -> None:
    assert alice.post("/logout").status_code == 303
    assert alice.get("/me").status_code == 303


def test_a_person_sees_and_ends_only_their_own_sessions(session: Session, alice: Browser, charlie: Browser) -> None:
    theirs = accounts.list_sessions(session, user=charlie.user)[0]
    assert alice.post(f"/me/sessions/{theirs.id}/end").status_code == 404
    assert charlie.post(f"/me/sessions/{theirs.id}/end").status_code == 303
    assert charlie.get("/me").status_code == 303


def test_a_new_token_is_shown_once_and_works_until_revoked(session: Session, alice: Browser) -> None:
    page = alice.post("/me/tokens", {"token_name": "slicer"}).text
    token = next(
        word for word in page.replace("<", " ").replace(">", " ").split() if word.startswith("etb_") and len(word) > 20
    )
    assert token not in alice.get("/me").text
    assert accounts.find_token_user(session, token=token, now=NOW) == alice.user
    alice.post(f"/me/tokens/{accounts.list_tokens(session, user=alice.user)[0].id}/revoke")
    assert accounts.find_token_user(session, token=token, now=NOW) is None


def test_a_token_makes_no_tokens_and_revokes_none(session: Session, alice: Browser) -> None:
    """A stolen token must not outlive its own end."""
    token = accounts.issue_token(session, user=alice.user, name="script", now=NOW)
    session.flush()
    (known,) = accounts.list_tokens(session, user=alice.user)
    for path in ("/me/tokens", f"/me/tokens/{known.id}/revoke"):
        answer = alice.client.post(path, data={"token_name": "child"}, headers={"authorization": f"Bearer {token}"})
        assert (answer.status_code, "etb_" in answer.text) == (403, False), path

    assert accounts.list_tokens(session, user=alice.user) == [known]


@pytest.mark.parametrize(
    ("password", "is_easy"),
    [
        ("qwertyuiop", True),
        ("password1234", True),
        ("0987654321", True),
        ("motdepasse1", True),
        ("Mot-de-passe 2026!", True),
        ("atelier2026", True),
        ("dana.k.1999", True),
        ("1234512345", False),
        ("correct horse 9", False),
        ("trois mots simples", False),
    ],
)
def test_what_everybody_tries_first_is_no_password(password: str, is_easy: bool) -> None:
    if not is_easy:
        check_password(password, about="dana.k@example.org")
        return
    with pytest.raises(PasswordTooEasy):
        check_password(password, about="dana.k@example.org")
