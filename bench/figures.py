"""Figures of the source itself, read with `ast`, `tokenize` and `git` alone: one JSON object on the last line.

`python -m bench.figures [--names]`; with `--names`, what is behind each figure is listed before it.
"""

from __future__ import annotations

import ast
import io
import json
import re
import statistics
import subprocess
import sys
import tokenize
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PRODUCT = ("api", "printers", "web")
# Past participles that tell nothing of what a value is.
PARTICIPLES = frozenset({"found", "asked", "made", "said", "wanted", "heard", "given", "known", "told"})


@dataclass
class Source:
    """One file of the project."""

    path: str
    text: str
    tree: ast.Module = field(init=False)

    def __post_init__(self) -> None:
        self.tree = ast.parse(self.text)

    @property
    def module(self) -> str:
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def is_product(self) -> bool:
        return self.path.startswith(tuple(f"{folder}/" for folder in PRODUCT))

    @property
    def lines(self) -> int:
        return self.text.count("\n")


def read_sources() -> list[Source]:
    """Every Python file that git tracks, without migrations: those are history."""
    listing = subprocess.run(["git", "ls-files", "*.py"], cwd=ROOT, capture_output=True, text=True, check=True)
    paths = [path for path in listing.stdout.split() if "/migrations/" not in path and (ROOT / path).exists()]
    return [Source(path, (ROOT / path).read_text(encoding="utf-8")) for path in paths]


def function_lengths(sources: list[Source]) -> list[tuple[int, str]]:
    """Lines of each function of the product, with its place."""
    return [
        ((node.end_lineno or node.lineno) - node.lineno + 1, f"{source.path}:{node.lineno} {node.name}")
        for source in sources
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def count_comments(source: Source) -> int:
    """Comments that speak: no shebang, no `#:` of a documentation tool, no bare order to a linter."""
    tokens = tokenize.generate_tokens(io.StringIO(source.text).readline)
    comments = (token.string for token in tokens if token.type == tokenize.COMMENT)
    silent = re.compile(r"#[!:]|# (noqa|type: ignore)[^#]*$")
    return sum(not silent.match(comment) for comment in comments)


def double_names(sources: list[Source]) -> dict[str, list[str]]:
    """Class names of the product that stand for two things."""
    places: defaultdict[str, list[str]] = defaultdict(list)
    for source in sources:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(f"{source.path}:{node.lineno}")
    return {name: where for name, where in sorted(places.items()) if len(where) > 1}


def list_participles(sources: list[Source]) -> list[str]:
    """Where a variable or a parameter of the product is called by a participle."""
    return [
        f"{source.path}:{node.lineno} {name}"
        for source in sources
        for node in ast.walk(source.tree)
        if (name := _bound_name(node)) in PARTICIPLES
    ]


def _bound_name(node: ast.AST) -> str:
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return node.id
    return node.arg if isinstance(node, ast.arg) else ""


Verb = tuple[str, str]


class References:
    """Which module-level names of the product are used, followed through imports and re-exports."""

    def __init__(self, sources: list[Source]) -> None:
        self._modules = {source.module: source for source in sources}
        self._imports = {source.module: dict(_imports(source)) for source in sources}

    def list_used(self, sources: list[Source]) -> set[Verb]:
        used: set[Verb] = set()
        for source in sources:
            used |= set(self._used_by(source))
        return used

    def _used_by(self, source: Source) -> Iterator[Verb]:
        imports = self._imports[source.module]
        for node in ast.walk(source.tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                yield self._origin(*imports.get(node.id, (source.module, node.id)))
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imports:
                yield self._origin(".".join(imports[node.value.id]), node.attr)
            elif (
                isinstance(node, ast.Constant)
                and isinstance(node.value, str)
                and re.fullmatch(r"[\w.]+:\w+", node.value)
            ):
                module, _, name = node.value.partition(":")  # as api/steps.py names what it loads later
                yield module, name
            elif isinstance(node, ast.Constant) and (by_name := re.fullmatch(r"([\w.]+):(\w+)", str(node.value))):
                yield self._origin(by_name[1], by_name[2])  # the table of steps loads its functions by name

    def _origin(self, module: str, name: str) -> Verb:
        """Where `name` is defined, for who imported it from `module`."""
        for _ in range(5):
            further = self._imports.get(module, {}).get(name)
            if further is None or ".".join(further) in self._modules:
                break
            module, name = further
        return module, name


def _imports(source: Source) -> Iterator[tuple[str, Verb]]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                yield alias.asname or alias.name, (node.module, alias.name)


def list_dead_verbs(sources: list[Source]) -> list[str]:
    """Public functions of the domain that the product itself never calls: only tests, or nobody."""
    product = [source for source in sources if source.is_product]
    used = References(sources).list_used(product)
    return [
        f"{source.module}.{node.name}"
        for source in product
        if source.module.startswith("api.domain.")
        for node in source.tree.body
        if isinstance(node, ast.FunctionDef)
        if not node.name.startswith("_") and (source.module, node.name) not in used
    ]


def main() -> None:
    sources = read_sources()
    product = [source for source in sources if source.is_product]
    tests = [source for source in sources if source.path.startswith("tests/")]
    lengths = sorted(function_lengths(product))
    lines = sum(source.lines for source in product)
    largest = max(sources, key=lambda source: source.lines)
    doubles, participles, dead = double_names(product), list_participles(product), list_dead_verbs(sources)
    if "--names" in sys.argv:
        folders: Counter[str] = Counter()
        for source in product:
            folders[str(Path(source.path).parent)] += count_comments(source)
        print(json.dumps({"largest": largest.path, "longest": lengths[-8:], "doubles": doubles}, indent=1))
        print(*participles, *dead, sep="\n")
    figures = {
        "function_median": statistics.median(length for length, _ in lengths),
        "function_p90": lengths[round(0.9 * (len(lengths) - 1))][0],
        "largest_file": largest.lines,
        "comments_per_100": round(100 * sum(map(count_comments, product)) / lines, 2),
        "test_source_ratio": round(sum(source.lines for source in tests) / lines, 2),
        "double_names": len(doubles),
        "participles": len(participles),
        "dead_verbs": len(dead),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
