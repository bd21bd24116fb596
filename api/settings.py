"""Every setting of the installation, from `ETABLI_*` variables; nothing else reads the environment."""

from __future__ import annotations

import contextlib
import os
import secrets
import tempfile
from functools import lru_cache
from ipaddress import ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class SecretLost(Exception):
    """A secret of the installation was there and is gone; the text names its file."""


class Settings(BaseSettings):
    """Each field is `ETABLI_<NAME>`; the defaults run a whole installation on one machine."""

    model_config = SettingsConfigDict(env_prefix="ETABLI_", extra="ignore")

    data_dir: Path = Field(default=Path("var"), description="Files, keys and the embedded database live here.")
    database_url: str = Field(default="", description="Empty: the embedded PostgreSQL under data_dir.")
    database_owner_url: str = Field(
        default="", description="Who migrates and owns the tables of another server; empty: who database_url names."
    )
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
    smtp_url: str = Field(
        default="", description="smtps:// or smtp+starttls://user:password@host:port. Empty: mail stays on /staff/mail."
    )
    smtp_ca: Path | None = Field(default=None, description="Certificates to check the SMTP server by, if not public.")
    mail_from: str = "etabli@localhost"
    upload_limit_mb: int = 100
    files_limit_mb: int = Field(default=5000, description="What one person's models may take in all.")
    disk_floor_mb: int = Field(default=500, description="Below it no more uploads are taken: letters and prints go on.")
    slice_wall_s: int = 600
    dispatch_at_once: int = Field(default=8, ge=1, le=64, description="Printers that are spoken to at the same time.")
    slice_at_once: int = Field(default=1, ge=1, le=32, description="Slices at the same time; each takes a core.")
    mail_at_once: int = Field(default=1, ge=1, le=32, description="Letters at the same time.")
    papers_at_once: int = Field(default=1, ge=1, le=32, description="Invoices drawn or sent at the same time.")
    probe_at_once: int = Field(default=2, ge=1, le=32, description="Printers looked at before they are added.")
    printer_networks: list[str] = Field(default_factory=list, description="CIDRs where printers may be. Empty: any.")
    heartbeat_s: float = 2.0
    stalled_after_s: float = 6.0
    tick_s: float = 5.0
    stripe_key: str = Field(default="", description="Card payments by Stripe Checkout. Empty: none.")
    stripe_webhook_secret: str = Field(default="", description="Signing secret of the webhook: needed with the key.")
    flow_url: str = Field(default="", description="Flow Service (AFNOR XP Z12-013) of the platform. Empty: by hand.")
    flow_token_url: str = ""
    flow_client_id: str = ""
    flow_client_secret: str = ""
    flow_platform: str = Field(default="", description="Number of the platform (4 characters), named in e-reporting.")
    confidential_days: int = Field(default=30, description="Files of confidential models go so long after their use.")
    secure_cookies: bool = Field(default=False, description="Over https only. By itself where base_url is https.")

    @model_validator(mode="after")
    def _be_secure_behind_tls(self) -> Settings:
        # Else whoever sets up the proxy and forgets one line more hands out logins over plain http.
        if "secure_cookies" not in self.model_fields_set:
            self.secure_cookies = self.base_url.startswith("https://")
        return self

    def faults(self) -> list[str]:
        """What must not start so, one sentence each: half a pair of settings, or secrets sent for everybody to read."""
        faults = []
        # A message signed with an empty key is one that anybody can sign.
        if self.stripe_key and not self.stripe_webhook_secret.strip():
            faults.append("ETABLI_STRIPE_KEY needs ETABLI_STRIPE_WEBHOOK_SECRET: without it anybody could say “paid”.")
        mail = urlsplit(self.smtp_url)
        if self.smtp_url and mail.scheme not in ("smtp", "smtps", "smtp+starttls"):
            faults.append("ETABLI_SMTP_URL begins with smtps://, smtp+starttls:// or smtp://.")
        # To a server on this machine nobody listens on the way.
        if mail.scheme == "smtp" and mail.password and mail.hostname not in ("localhost", "127.0.0.1", "::1"):
            faults.append("ETABLI_SMTP_URL would send its password unencrypted: use smtps:// or smtp+starttls://.")
        partners = ("flow_token_url", "flow_client_id", "flow_client_secret")
        if self.flow_url and (missing := [f"ETABLI_{name.upper()}" for name in partners if not getattr(self, name)]):
            faults.append(f"ETABLI_FLOW_URL needs {', '.join(missing)}.")
        for network in self.printer_networks:
            try:
                ip_network(network)
            except ValueError:
                faults.append(f"ETABLI_PRINTER_NETWORKS: {network} is not a network such as 192.168.1.0/24.")
        return faults

    def at_once(self, queue: str) -> int:
        """Steps of this queue that run at the same time in one worker process."""
        return int(getattr(self, f"{queue}_at_once"))

    def secret(self, name: str) -> str:
        """A secret of this installation, created once, kept in a 0600 file. Raises SecretLost for an empty file."""
        # A file and not a row: a dump of the database must not contain it.
        folder = self.data_dir / "secrets"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / name
        if not path.exists():
            fd, draft = tempfile.mkstemp(dir=folder)
            with os.fdopen(fd, "w") as new:
                new.write(secrets.token_urlsafe(32))
                new.flush()
                os.fsync(new.fileno())  # else a power cut may leave the name with nothing behind it
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)  # atomic, and the first of several processes wins
            os.unlink(draft)
        value = path.read_text().strip()
        # An empty key would open doors and seals to everybody, and a new one would open none of the old.
        if not value:
            raise SecretLost(f"{path} is empty: restore it from a backup.")
        return value


@lru_cache
def settings() -> Settings:
    """The settings of this process."""
    return Settings()
