"""The migrations: from nothing to the models, back, and again."""

from collections.abc import Iterator
from importlib import import_module, resources
from pathlib import Path
from pkgutil import walk_packages

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

import api.domain
from api.adapters.postgres import EmbeddedPostgres
from api.domain.billing import invoices, payments
from api.domain.billing.money_rights import MoneyRight
from api.domain.billing.payments import PaymentMeans
from api.domain.booking import bookings
from api.domain.core.base import Base
from api.domain.people import roles
from api.domain.people.roles import Level
from tests.world import HOUR, NOW, make_user, make_world
from tests.world.billing import START, TODAY, accept_all, add_seller, issue, make_room, make_shop, stay
from tests.world.sales import print_for

ROOT = Path(__file__).resolve().parents[2]
UNBILLED_ROWS = "SELECT booking_id, job_id, site_id, organisation_id, user_id, due_at FROM unbilled_items ORDER BY 1, 2"


@pytest.fixture
def empty(postgres: EmbeddedPostgres, worker_name: str) -> Iterator[Engine]:
    name = f"empty_{worker_name}"
    engine = create_engine(postgres.create_database(name))
    yield engine
    engine.dispose()
    postgres.drop_database(name)


def migrate(connection: Connection, revision: str) -> None:
    config = Config(ROOT / "alembic.ini")
    config.attributes["connection"] = connection
    down = revision == "base"
    (command.downgrade if down else command.upgrade)(config, revision)


def test_downgrade_leaves_nothing_and_upgrade_works_again(empty: Engine) -> None:
    left = text(
        "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relname !~ '^alembic_version'"
        " UNION SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace"
        " UNION SELECT typname FROM pg_type WHERE typnamespace = 'public'::regnamespace AND typname !~ 'alembic'"
    )
    with empty.begin() as connection:
        migrate(connection, "head")
        migrate(connection, "base")
        assert connection.execute(left).scalars().all() == []
        migrate(connection, "head")


def test_migrated_tables_are_those_of_the_models(engine: Engine) -> None:
    def ours(name: str | None, kind: str, parents: object) -> bool:
        return not (kind == "table" and (name or "").startswith("procrastinate_"))

    for module in walk_packages(api.domain.__path__, "api.domain."):
        import_module(module.name)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": ours})
        assert compare_metadata(context, Base.metadata) == []


def test_revisions_are_one_line_without_branches() -> None:
    assert len(ScriptDirectory.from_config(Config(ROOT / "alembic.ini")).get_heads()) == 1


def test_procrastinate_schema_is_that_of_the_installed_package() -> None:
    installed = (resources.files("procrastinate") / "sql" / "schema.sql").read_text()
    frozen = (ROOT / "api/migrations/sql/procrastinate_3_10.sql").read_text()

    assert frozen.split("\n", 1)[1] == installed


def test_what_may_not_be_changed_may_not_be_emptied_either(engine: Engine) -> None:
    """TRUNCATE does not meet the triggers of rows."""
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(
            "SELECT tgrelid::regclass::text, array_agg(tgname::text) FROM pg_trigger WHERE NOT tgisinternal GROUP BY 1"
        )
        triggers = {table: set(names) for table, names in rows}
    guarded = [table for table, names in triggers.items() if names & {"append_only", "guard_change"}]
    assert "changes" in guarded
    assert "invoices" in guarded
    for table in guarded:
        with engine.connect() as connection, pytest.raises(DBAPIError, match="append-only"):
            connection.exec_driver_sql(f"TRUNCATE {table} CASCADE")


@pytest.mark.parametrize(
    ("shape", "corner"),
    [
        ("-110x-110,110x-110,110x110,-110x110", (-110, -110)),
        ("3x3,228x3,228x228,3x228", (5.5, 5.5)),
        ("0x0,220x0,220x220,0x220", (0, 0)),
        ("0x0,180x0,180x180,0x180", (0, 0)),
        (None, (0, 0)),
    ],
)
def test_a_stored_configuration_tells_where_the_bed_of_its_kind_lies(
    empty: Engine, shape: str | None, corner: tuple[float, float]
) -> None:
    config = f"nozzle_diameter = 0.4\nbed_shape = {shape}\n" if shape else ""
    kind = text(
        "INSERT INTO printer_kinds (name, width_mm, depth_mm, height_mm, nozzle_mm, config_ini)"
        " VALUES ('Old', 220, 220, 250, 0.4, :config)"
    )
    with empty.begin() as connection:
        migrate(connection, "0087")
        connection.execute(kind, {"config": config})
        migrate(connection, "0088")
        found = connection.execute(text("SELECT bed_x_mm, bed_y_mm FROM printer_kinds")).one()
    assert tuple(found) == corner


def test_what_is_open_or_unbilled_is_found_for_the_rows_of_an_older_release(empty: Engine) -> None:
    """As the triggers keep it from then on."""
    tables = [text("SELECT * FROM open_invoices ORDER BY 1"), text(UNBILLED_ROWS)]
    with empty.begin() as connection, Session(connection, join_transaction_mode="create_savepoint") as session:
        migrate(connection, "head")
        shop = make_shop(session)
        bills = [issue(session, shop) for _ in range(3)]
        invoices.credit(session, invoice=bills[1], reason="x", judge=accept_all, now=NOW, today=TODAY)
        facts = {"means": PaymentMeans.CASH, "cents": 7, "received_on": TODAY, "key": "a", "now": NOW}
        payments.pay(session, invoice=bills[2], **facts)
        room = make_room(session, shop)
        early, late, ahead = (stay(session, shop, room=room, start=START + n * 24 * HOUR) for n in (0, 1, 9))
        bookings.cancel(session, booking=late, actor=shop.world.alice, now=late.start_at - HOUR)
        bookings.cancel(session, booking=ahead, actor=shop.world.alice, now=NOW)
        job = print_for(session, shop)
        ids = (early.id, None), (late.id, None), (None, job.id)
        opens = [bills[0].total_cents, bills[2].total_cents - 7]
        session.commit()
        kept = [connection.execute(table).all() for table in tables]
        config = Config(ROOT / "alembic.ini")
        config.attributes["connection"] = connection
        command.downgrade(config, "0096")
        migrate(connection, "head")
        filled = [connection.execute(table).all() for table in tables]

    assert filled == kept
    assert [row.open_cents for row in kept[0]] == opens
    assert [(row.booking_id, row.job_id) for row in kept[1]] == list(ids)


def test_managers_who_could_handle_the_money_keep_it(empty: Engine) -> None:
    with empty.begin() as connection, Session(connection, join_transaction_mode="create_savepoint") as session:
        migrate(connection, "head")
        # bob manages a place with a seller of its own, charlie one that sells through the network's.
        world, dan = make_world(session), make_user(session, "Dan")
        roles.grant(session, user=dan, site_id=world.site.id, level=Level.STAFF, now=NOW)
        network, own = add_seller(session).id, add_seller(session, site=world.site, prefix="X").id
        bob, charlie = world.bob.id, world.charlie.id
        session.commit()
        config = Config(ROOT / "alembic.ini")
        config.attributes["connection"] = connection
        command.downgrade(config, "0087")
        migrate(connection, "head")
        kept = {(each.seller_id, each.user_id) for each in session.scalars(select(MoneyRight))}

    assert kept == {(own, bob), (network, charlie)}
