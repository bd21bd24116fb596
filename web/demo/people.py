"""The people of the demo: how they log in, their roles, and their API tokens."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session

from api.domain.people.accounts import (
    add_organisation,
    find_token_user,
    find_user,
    issue_token,
    prepare_account,
    sign_up,
)
from api.domain.people.roles import Level, grant
from api.domain.places.sites import list_sites

PASSWORD = "atelier-demo-2026"  # noqa: S105  # printed at the start of the demo, on purpose
PEOPLE = {
    "member": ("alice@example.org", "Alice Membre"),
    "staff": ("bob@example.org", "Bob Équipe"),
    "buyer": ("camille@example.org", "Camille Acheteuse"),
}


def seed_people(session: Session, now: datetime) -> None:
    for role, (email, name) in PEOPLE.items():
        user = sign_up(session, account=prepare_account(email=email, name=name, password=PASSWORD), now=now)
        for site in list_sites(session):
            grant(session, user=user, site_id=site.id, level=Level.MEMBER, now=now)
            if role == "staff":
                grant(session, user=user, site_id=site.id, level=Level.MANAGER, now=now)
        if role == "buyer":
            organisation = add_organisation(
                session, name="Menuiserie du Gévaudan", slug="menuiserie", owner=user, now=now
            )
            organisation.siren, organisation.siret = "732829320", "73282932000074"
    session.flush()


def list_logins(session: Session, data_dir: Path, now: datetime) -> dict[str, dict[str, str]]:
    """Email, password and API token by role."""
    # The database keeps hashes of tokens only, so the tokens are kept in a file: they must stay valid over a restart.
    kept_file = data_dir / "secrets" / "demo-tokens.json"
    kept: dict[str, str] = json.loads(kept_file.read_text()) if kept_file.exists() else {}
    logins = {}
    for role, (email, _) in PEOPLE.items():
        user = find_user(session, email=email)
        assert user is not None  # noqa: S101  # seed_people made them
        token = kept.get(role, "")
        if not token or find_token_user(session, token=token, now=now) is None:
            token = kept[role] = issue_token(session, user=user, name="demo", now=now)
        logins[role] = {"email": email, "password": PASSWORD, "token": token}
    kept_file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept_file.touch(mode=0o600)  # Before the text is in it: others must never be able to read it.
    kept_file.write_text(json.dumps(kept))
    return logins
