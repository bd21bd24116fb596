"""How many of a thousand tries at one slot win? One, and as a control: how many without the database's constraint."""

from __future__ import annotations

from typing import Any

from sqlalchemy import create_engine, text

from api.adapters.postgres import EmbeddedPostgres
from bench.booking.clients import Answer, Client, run_crowd
from bench.booking.world import DAY, HOUR, NOW, create_migrated, seed, serving

# The pause stands for the time that an application needs between its look and its write.
LOOK_THEN_WRITE = """
ALTER TABLE holds DROP CONSTRAINT ex_holds_overlap;
CREATE FUNCTION look_then_write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM holds h WHERE h.resource_id = NEW.resource_id AND h.during && NEW.during
             AND h.released_at IS NULL) THEN RETURN NULL; END IF;
  PERFORM pg_sleep(0.01);
  RETURN NEW;
END $$;
CREATE TRIGGER look_then_write BEFORE INSERT ON holds FOR EACH ROW EXECUTE FUNCTION look_then_write();
"""


def try_one_slot(client: Client, n: int, parameters: Any) -> list[Answer]:
    resource_id, start = parameters
    tries = [client.book(resource_id, start, start + HOUR) for _ in range(20)]
    return [(status, seconds) for status, _, seconds in tries]


def race(port: int, ids: list[int], tokens: list[str]) -> dict[str, Any]:
    """1000 tries at one slot by 50 clients."""
    answers, seconds = run_crowd(try_one_slot, port, tokens[:50], parameters=(ids[0], NOW + 30 * DAY))
    statuses = [status for status, _ in answers]
    return {
        "winners": statuses.count(201),
        "conflicts": statuses.count(409),
        "errors_5xx": sum(status >= 500 for status in statuses),
        "seconds": round(seconds, 2),
    }


def count_control_winners(server: EmbeddedPostgres) -> int:
    """The same race where the constraint is replaced by looking before writing, as most booking tools do."""
    url = create_migrated(server, "control")
    ids, tokens = seed(url, resources=1, people=50)
    with create_engine(url).begin() as connection:
        connection.execute(text(LOOK_THEN_WRITE))
    with serving(url) as port:
        return int(race(port, ids, tokens)["winners"])
