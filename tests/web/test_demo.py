"""The demo: whatever is there after the first start is there, once and unchanged, after the next."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from api.adapters.seal import unseal
from api.domain.core.base import Base
from api.domain.people.accounts import User, find_token_user, find_user, list_tokens, revoke_token
from api.domain.pricing.materials import Material, Quality
from api.domain.printing.printers import get_printer
from printers.configuration import read_configuration
from printers.profile import MachineSpec, render_profile
from printers.slicing import material_spec
from web.demo import seed
from web.demo.printers import DemoServer
from web.starter_catalogue import default_tariff

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
SERVERS = [DemoServer(f"Imprimante {n}", f"http://127.0.0.1:{n}", f"key {n}") for n in (1, 2)]
#: A start may write down that it happened; all else is counted.
HISTORY = {"changes"}


def start(
    session: Session, data_dir: Path, servers: list[DemoServer] = SERVERS, *, now: datetime = NOW
) -> dict[str, Any]:
    told = seed(session, servers=servers, data_dir=data_dir, now=now)
    session.flush()
    return told


def rows(session: Session) -> dict[str, int]:
    tables = [table for table in Base.metadata.sorted_tables if table.name not in HISTORY]
    return {table.name: session.scalar(select(func.count()).select_from(table)) or 0 for table in tables}


def test_a_second_start_changes_no_row_and_tells_the_same(session: Session, data_dir: Path) -> None:
    first, before = start(session, data_dir), rows(session)
    assert start(session, data_dir, now=NOW + timedelta(hours=1)) == first
    assert rows(session) == before


def test_the_tokens_open_the_accounts_that_they_are_told_for(session: Session, data_dir: Path) -> None:
    for member in start(session, data_dir)["members"].values():
        user = find_token_user(session, token=member["token"], now=NOW)
        assert user is not None
        assert user.email == member["email"]


def test_a_revoked_token_is_replaced_and_the_others_are_kept(session: Session, data_dir: Path) -> None:
    before = start(session, data_dir)["members"]
    revoke(session, before["staff"]["email"])
    after = start(session, data_dir)["members"]
    assert {role for role in before if before[role]["token"] != after[role]["token"]} == {"staff"}


def revoke(session: Session, email: str) -> None:
    user = find_user(session, email=email)
    assert isinstance(user, User)
    for token in list_tokens(session, user=user):
        revoke_token(session, user=user, token_id=token.id, now=NOW)
    session.flush()


def test_the_kept_tokens_are_for_this_account_only(session: Session, data_dir: Path) -> None:
    members = start(session, data_dir)["members"]
    kept = data_dir / "secrets" / "demo-tokens.json"
    assert json.loads(kept.read_text()) == {role: member["token"] for role, member in members.items()}
    assert kept.stat().st_mode & 0o077 == 0


def test_printers_follow_their_servers_to_new_addresses(session: Session, data_dir: Path) -> None:
    before = start(session, data_dir)["printers"]
    moved = [replace(server, url=f"{server.url}99", key="new") for server in SERVERS]
    after = start(session, data_dir, moved)["printers"]
    assert [printer["id"] for printer in after] == [printer["id"] for printer in before]
    for told in after:
        printer = get_printer(session, told["id"])
        assert unseal(printer.sealed_key, about=printer.url) == told["octoprint_key"] == "new"
        assert printer.url == told["octoprint_url"]


def test_every_material_of_the_demo_has_a_price_and_can_be_sliced(session: Session, data_dir: Path) -> None:
    start(session, data_dir)
    materials = session.scalars(select(Material)).all()
    for material in materials:
        read_configuration(render_profile(MachineSpec(), material_spec(material), Quality.STANDARD))
    assert {material.code for material in materials} == set(default_tariff().per_gram)
