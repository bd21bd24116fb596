"""Reports of a seller's sales as files: for the staff of its places only."""

import pytest

from api.settings import settings
from tests.world.billing import Shop
from tests.world.programs import Programs


def test_staff_download_both_forms(program: Programs, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings(), "flow_platform", "0042")
    url, period = f"/sellers/{shop.seller.id}/e-reporting", {"start": "2026-11-01", "end": "2026-12-01"}
    bob = program(shop.world.bob)

    assert bob("GET", f"{url}.csv", params=period).text.startswith("\ufeffDate;Catégorie")
    assert b"<TransactionsReport>" in bob("GET", f"{url}.xml", params=period).content
    monkeypatch.setattr(settings(), "flow_platform", "")
    assert bob("GET", f"{url}.xml", params=period).json()["code"] == "platform-unnamed"
    assert program(shop.world.alice)("GET", f"{url}.csv", params=period).status_code == 404
