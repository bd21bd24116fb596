"""The house holds its own rules: what is made has a caller, one name means one thing, nothing grows too large.

Read from the source by `bench/figures.py`. What may be unused for now stands in `tests/unused.toml` with its reason,
and which test races each verb in `tests/races.toml`.
"""

import ast
import re
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import pytest

import api.domain
from api.domain.core.base import Base
from bench.figures import (
    Source,
    count_comments,
    double_names,
    function_lengths,
    list_dead_verbs,
    list_participles,
    read_sources,
)
from tests.verbs import Writers, list_races

ROOT = Path(__file__).resolve().parents[1]
MOST_LINES, MOST_LINES_A_FUNCTION = 400, 40


@pytest.fixture(scope="module")
def sources() -> list[Source]:
    return read_sources()


@pytest.fixture(scope="module")
def product(sources: list[Source]) -> list[Source]:
    return [source for source in sources if source.is_product]


@pytest.fixture(scope="module")
def exceptions() -> dict[str, dict[str, str]]:
    return tomllib.loads((ROOT / "tests" / "unused.toml").read_text(encoding="utf-8"))


def test_every_verb_of_the_domain_has_a_caller(sources: list[Source], exceptions: dict[str, dict[str, str]]) -> None:
    """Or a line that says who will call it; a line whose verb is called, or gone, must go."""
    assert sorted(list_dead_verbs(sources)) == sorted(f"api.domain.{verb}" for verb in exceptions["verbs"])


def test_a_verb_that_only_tests_call_is_found() -> None:
    made_up = [
        Source("api/domain/places/made_up.py", "def used() -> None: ...\ndef unused() -> None: ...\n"),
        Source("api/domain/places/__init__.py", "from api.domain.places.made_up import unused as unused\n"),
        Source("web/made_up.py", "from api.domain.places.made_up import used\nused()\n"),
        Source("tests/test_made_up.py", "from api.domain.places import unused\nunused()\n"),
    ]
    assert list_dead_verbs(made_up) == ["api.domain.places.made_up.unused"]


def every_column() -> set[str]:
    """`table.column`, without keys that the database counts, and those that a relationship reads and writes."""
    for module in walk_packages(api.domain.__path__, "api.domain."):
        import_module(module.name)
    related = {
        column
        for mapper in Base.registry.mappers
        for relation in mapper.relationships
        for pair in relation.local_remote_pairs or ()
        for column in pair
    }
    return {
        f"{table.name}.{column.name}"
        for table in Base.metadata.tables.values()
        for column in table.columns
        if column.identity is None and column not in related
    }


def names_written(source: Source) -> set[str]:
    """Names that are given a value: keywords of calls, attributes that are set, keys of dicts."""
    written: set[str] = set()
    for node in ast.walk(source.tree):
        if isinstance(node, ast.keyword) and node.arg:
            written.add(node.arg)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            written.add(node.attr)
        elif isinstance(node, ast.Dict):
            written |= {key.value for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str)}
            written |= {key.attr for key in node.keys if isinstance(key, ast.Attribute)}
    return written | words_of_sql(source)


def names_read(source: Source) -> set[str]:
    read = {node.attr for node in ast.walk(source.tree) if isinstance(node, ast.Attribute)}
    return read | words_of_sql(source)


def words_of_sql(source: Source) -> set[str]:
    texts = (n.value for n in ast.walk(source.tree) if isinstance(n, ast.Constant) and isinstance(n.value, str))
    return {word for text in texts if "SELECT" in text or "INSERT" in text for word in re.findall(r"[a-z_]+", text)}


def unused_columns(product: list[Source], templates: str) -> list[str]:
    """Columns that no code writes, or none reads, by name alone: two columns of one name hide each other."""
    written = set().union(*map(names_written, product))
    read = set().union(*map(names_read, product)) | set(re.findall(r"[a-z_]+", templates))
    return sorted(column for column in every_column() if column.partition(".")[2] not in written & read)


def test_every_column_is_written_and_read(product: list[Source], exceptions: dict[str, dict[str, str]]) -> None:
    templates = "\n".join(path.read_text() for path in (ROOT / "web" / "templates").rglob("*.html"))
    assert unused_columns(product, templates) == sorted(exceptions["columns"])


def test_a_column_that_nobody_reads_is_found(product: list[Source]) -> None:
    """The negative control: without the files that read it, `bookings.checked_out_at` has no reader."""
    others = [source for source in product if "checked_out_at" not in source.text]
    assert "bookings.checked_out_at" in unused_columns(others, "")


def test_a_class_name_means_one_thing(product: list[Source]) -> None:
    assert double_names(product) == {}


def test_no_value_is_called_by_a_participle(product: list[Source]) -> None:
    assert list_participles(product) == []


def test_a_participle_is_found() -> None:
    made_up = Source("web/made_up.py", "def show(asked: int) -> None:\n    found = asked\n")
    assert list_participles([made_up]) == ["web/made_up.py:1 asked", "web/made_up.py:2 found"]


def test_nothing_grows_too_large(sources: list[Source], product: list[Source]) -> None:
    assert [source.path for source in sources if source.lines > MOST_LINES] == []
    assert [place for lines, place in function_lengths(product) if lines > MOST_LINES_A_FUNCTION] == []


def test_the_domain_imports_at_the_top_only(product: list[Source]) -> None:
    """An import inside a function hides a circle from the contracts of import-linter."""
    hidden = [
        f"{source.path}:{inner.lineno}"
        for source in product
        if source.path.startswith("api/domain/")
        for function in ast.walk(source.tree)
        if isinstance(function, ast.FunctionDef)
        for inner in ast.walk(function)
        if isinstance(inner, ast.Import | ast.ImportFrom)
    ]
    assert hidden == []


def test_comments_say_why_often_enough(product: list[Source]) -> None:
    per_hundred = 100 * sum(map(count_comments, product)) / sum(source.lines for source in product)
    assert 3 <= per_hundred <= 5


def test_the_drawing_of_the_house_is_up_to_date() -> None:
    subprocess.run([sys.executable, "docs/draw_architecture.py", "--check"], cwd=ROOT, check=True)


@pytest.fixture(scope="module")
def writers(sources: list[Source]) -> Writers:
    return Writers(sources)


@pytest.fixture(scope="module")
def races() -> dict[str, dict[str, Any]]:
    return tomllib.loads((ROOT / "tests" / "races.toml").read_text(encoding="utf-8"))


def test_every_verb_that_writes_has_a_race_or_a_reason(writers: Writers, races: dict[str, dict[str, Any]]) -> None:
    """A verb without a line is missing here; a line whose verb is gone, or stands twice, must go."""
    free = [verb for verbs in races["none"].values() for verb in verbs]
    assert sorted([*races["raced"], *free]) == writers.list_verbs()


def test_every_race_that_is_named_is_one_of_its_verb(
    sources: list[Source], writers: Writers, races: dict[str, dict[str, Any]]
) -> None:
    """It exists, works on real connections, and its file calls the verb, itself or by another one."""
    files = {source.path: (list_races(source), writers.list_reached(source)) for source in sources}
    for verb, name in races["raced"].items():
        path, _, test = name.partition("::")
        tests, reached = files[path]
        assert test in tests, f"{name} does not exist, or works in one transaction"
        assert verb in reached, f"{path} does not call {verb}"


def test_a_verb_that_nobody_raced_is_found() -> None:
    made_up = [
        Source(
            "api/domain/places/made_up.py",
            "def rename(session, site):\n    _write(site)\n"
            "def _write(site):\n    site.name = 'x'\n"
            "def look(session): ...\n"
            "SQL = text('DELETE FROM sites')\n"
            "def wipe(session):\n    session.execute(SQL)\n",
        ),
        Source(
            "api/domain/places/above.py",
            "from api.domain.places.made_up import look, rename\n"
            "def rename_all(session): rename(session, look(session))\n",
        ),
        Source(
            "web/made_up.py",
            "from api.domain.places.above import rename_all\nfrom api.domain.places.made_up import wipe\n"
            "rename_all(1)\nwipe(1)\n",
        ),
        Source(
            "tests/test_made_up.py",
            "from api.domain.places.above import rename_all\n"
            "def world(connect): ...\n"
            "def test_race(world): rename_all(1)\n"
            "def test_alone(session): rename_all(1)\n",
        ),
    ]
    writers = Writers(made_up)
    assert writers.list_verbs() == ["places.above.rename_all", "places.made_up.rename", "places.made_up.wipe"]
    assert list_races(made_up[-1]) == {"test_race"}
    assert writers.list_reached(made_up[-1]) >= {"places.above.rename_all", "places.made_up.rename"}
    assert "places.made_up.wipe" not in writers.list_reached(made_up[-1])
