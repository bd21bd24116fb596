"""Settings that must not be started with, and secrets that must not be empty."""

from pathlib import Path
from typing import Any

import pytest

from api.routes.billing.payments import find_gateway
from api.settings import SecretLost, Settings, settings
from web.command.doctor import _unsafe_defaults


@pytest.mark.parametrize(
    ("values", "needs"),
    [
        ({"stripe_key": "sk_live"}, "ETABLI_STRIPE_WEBHOOK_SECRET"),
        ({"stripe_key": "sk_live", "stripe_webhook_secret": " "}, "ETABLI_STRIPE_WEBHOOK_SECRET"),
        (
            {"flow_url": "https://flow.example", "flow_client_id": "x"},
            "ETABLI_FLOW_TOKEN_URL, ETABLI_FLOW_CLIENT_SECRET",
        ),
        ({"smtp_url": "smtp://user:secret@mail.example"}, "unencrypted"),
        ({"smtp_url": "mail.example:25"}, "smtps://"),
        ({"printer_networks": ["192.168.1.300/24"]}, "ETABLI_PRINTER_NETWORKS"),
    ],
)
def test_what_is_half_set_or_would_tell_a_password_is_a_fault(values: dict[str, Any], needs: str) -> None:
    [fault] = Settings(**values).faults()
    assert needs in fault


def test_the_defaults_and_whole_pairs_have_no_fault() -> None:
    assert Settings().faults() == []
    assert Settings(stripe_key="sk_live", stripe_webhook_secret="whsec").faults() == []
    assert Settings(smtp_url="smtp://user:secret@127.0.0.1:25", printer_networks=["192.168.1.0/24"]).faults() == []


def test_without_its_secret_stripe_is_not_offered(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ETABLI_STRIPE_KEY", "sk_live")
    settings.cache_clear()
    assert find_gateway.__wrapped__() is None
    monkeypatch.setenv("ETABLI_STRIPE_WEBHOOK_SECRET", "whsec")
    settings.cache_clear()
    assert find_gateway.__wrapped__().name == "stripe"


def test_a_secret_that_was_emptied_is_not_a_secret(data_dir: Path) -> None:
    """Else the codes of all doors, and the seal of the printers' keys, would be made with an empty key."""
    first = settings().secret("doors")
    assert settings().secret("doors") == first
    (data_dir / "secrets" / "doors").write_text("")
    with pytest.raises(SecretLost, match="doors is empty"):
        settings().secret("doors")


@pytest.mark.parametrize(
    ("values", "secure"),
    [
        ({"base_url": "https://atelier.example"}, True),
        ({"base_url": "https://atelier.example", "secure_cookies": False}, False),
        ({"base_url": "http://127.0.0.1:8000"}, False),
        ({}, False),
    ],
)
def test_behind_tls_cookies_are_secure_by_themselves(values: dict[str, Any], secure: bool) -> None:
    assert Settings(**values).secure_cookies is secure


def test_doctor_names_the_defaults_that_are_not_for_others(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = " ".join(_unsafe_defaults())
    for name in ("BASE_URL", "SMTP_URL", "PRINTER_NETWORKS"):
        assert f"ETABLI_{name}" in texts
    for name, value in {
        "BASE_URL": "https://a.example",
        "SMTP_URL": "smtps://a.example",
        "PRINTER_NETWORKS": '["10.0.0.0/8"]',
    }.items():
        monkeypatch.setenv(f"ETABLI_{name}", value)
    settings.cache_clear()
    assert "ETABLI_" not in " ".join(_unsafe_defaults())
