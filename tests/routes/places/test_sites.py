"""Sites and materials as JSON, for everybody."""

from tests.world import World
from tests.world.programs import Face


def test_the_places_and_materials_are_open_to_all(face: Face, world: World) -> None:
    site = next(s for s in face.get("/api/v1/sites").json() if s["id"] == world.site.id)
    assert (site["name"], site["open_now"], len(site["hours"])) == ("L'Atelier", True, 7)
    assert face.get(f"/api/v1/sites/{world.site.id}").json() == site
    assert face.get("/api/v1/sites/0").status_code == 404
    pla = next(m for m in face.get("/api/v1/materials").json() if m["code"] == "PLA")
    assert [colour["code"] for colour in pla["colours"]] == ["white", "black"]
