"""Every setting of the installation, from `ETABLI_*` variables; nothing else reads the environment."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Each field is `ETABLI_<NAME>`; the defaults run a whole installation on one machine."""

    model_config = SettingsConfigDict(env_prefix="ETABLI_", extra="ignore")

    data_dir: Path = Field(default=Path("var"), description="Files, keys and the embedded database live here.")
    database_url: str = Field(default="", description="Empty: the embedded PostgreSQL under data_dir.")
    files_url: str = Field(default="", description="Empty: data_dir/files. Else s3://bucket/prefix and the like.")
    base_url: str = Field(default="", description="How browsers reach us, e.g. https://etabli.example.")
    host: str = "127.0.0.1"
    port: int = 8000
    web_processes: int = Field(
        default=1, ge=1, le=32, description="Processes that serve pages; `etabli up` takes 2 where there are 2 cores."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="The least that is logged. `debug` writes a line for each look at a printer."
    )
    demo: bool = False
    installation: str = Field(default="etabli", description="Name that the printers' servers see.")
    smtp_url: str = Field(default="", description="smtp://user:password@host:port. Empty: mail stays on /staff/mail.")
    mail_from: str = "etabli@localhost"
    upload_limit_mb: int = 100
    slice_wall_s: int = 600
    background_at_once: int = Field(
        default=2, ge=1, le=32, description="Background steps (slices, papers, mail, probes) that run at the same time."
    )
    printer_networks: list[str] = Field(default_factory=list, description="CIDRs where printers may be. Empty: any.")
    heartbeat_s: float = 2.0
    stalled_after_s: float = 6.0
    tick_s: float = 5.0
    stripe_key: str = Field(default="", description="Card payments by Stripe Checkout. Empty: none.")
    stripe_webhook_secret: str = ""
    flow_url: str = Field(default="", description="Flow Service (AFNOR XP Z12-013) of the platform. Empty: by hand.")
    flow_token_url: str = ""
    flow_client_id: str = ""
    flow_client_secret: str = ""
    flow_platform: str = Field(default="", description="Number of the platform (4 characters), named in e-reporting.")
    confidential_days: int = Field(default=30, description="Files of confidential models go so long after their use.")
    secure_cookies: bool = Field(default=False, description="Set when served over https only.")

    def secret(self, name: str) -> str:
        """A secret of this installation, created once, kept in a 0600 file."""
        # A file and not a row: a dump of the database must not contain it.
        folder = self.data_dir / "secrets"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / name
        if not path.exists():
            fd, draft = tempfile.mkstemp(dir=folder)
            with os.fdopen(fd, "w") as new:
                new.write(secrets.token_urlsafe(32))
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)  # atomic, and the first of several processes wins
            os.unlink(draft)
        return path.read_text().strip()


@lru_cache
def settings() -> Settings:
    """The settings of this process."""
    return Settings()
