"""A real Chromium, and the served application with people who are logged in."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from api import deps
from api.adapters import files
from api.domain.people import accounts
from api.settings import settings
from tests.serving import served
from tests.world import NOW, World, make_world
from web.app import make_app
from web.live import Live
from web.render import STATIC

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")
ARGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip
WAIT_MS = 60_000


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    assert (STATIC / "dist" / "app.js").exists(), "run `npm ci && npm run build` first"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        browser.close()


@dataclass
class House:
    """The served application, its people, and a token for each."""

    url: str
    engine: Engine
    world: World
    tokens: dict[str, str]

    def open(self, chromium: Browser, who: str, *, width: int = 1280, scripts: bool = True, lang: str = "en") -> Page:
        context: BrowserContext = chromium.new_context(
            viewport={"width": width, "height": 844}, locale=lang, java_script_enabled=scripts
        )
        context.add_cookies([{"name": "session", "value": self.tokens[who], "url": self.url}])
        page = context.new_page()
        page.set_default_timeout(WAIT_MS)
        return page


@pytest.fixture
def house(committed: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    monkeypatch.setattr(settings(), "data_dir", tmp_path)
    files._store.cache_clear()
    with Session(committed, expire_on_commit=False) as session, session.begin():
        world = make_world(session)
        world.alice.locale = world.bob.locale = accounts.Locale.EN
        people = {"alice": world.alice, "bob": world.bob}
        tokens = {name: accounts.open_session(session, user=user, now=NOW) for name, user in people.items()}
    app = make_app()
    app.state.live = Live(lambda: committed.url.set(drivername="postgresql").render_as_string(hide_password=False))

    def own() -> Iterator[Session]:
        with Session(committed, expire_on_commit=False) as made, made.begin():
            yield made

    async def clock() -> datetime:
        return NOW

    app.dependency_overrides |= {deps.session: own, deps.clock: clock}
    with served(app) as url:
        yield House(url, committed, world, tokens)
