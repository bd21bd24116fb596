"""Which functions of the domain write rows, and which tests race them: read from the source, through all they call."""

from __future__ import annotations

import ast
import re

from bench.figures import References, Source, Verb

DOMAIN = "api.domain."
# Calls of a session that write, and statements that do.
SESSION_WRITES = frozenset({"add", "add_all", "delete", "merge"})
STATEMENTS = frozenset({"insert", "update", "delete"})
# Fixtures whose transactions are real: the fixture `session` is rolled back, and nobody else sees what it wrote.
CONNECTIONS = frozenset({"connect", "committed", "installation", "workshop"})


class Writers:
    """The functions of the domain, what each calls, and which of them write."""

    def __init__(self, sources: list[Source]) -> None:
        self._sources = sources
        self._references = References(sources)
        domain = [source for source in sources if source.module.startswith(DOMAIN)]
        parts = {verb: part for source in domain for verb, part in _functions(source).items()}
        self._calls = {verb: self._references.list_used([part]) & parts.keys() for verb, part in parts.items()}
        statements = {source.module: _statements(source) for source in domain}
        self._writing = self._close({verb for verb, part in parts.items() if _writes(part, statements[verb[0]])})

    def list_verbs(self) -> list[str]:
        """`places.sites.set_hours`, ..: public ones that write, themselves or by what they call, and have callers."""
        used = {
            verb
            for source in self._sources
            for verb in self._references.list_used([source])
            if verb[0] != source.module
        }
        public = {verb for verb in self._writing & used if not verb[1].startswith("_")}
        return sorted(".".join(verb).removeprefix(DOMAIN) for verb in public)

    def list_reached(self, source: Source) -> set[str]:
        """What this file calls of the domain, itself or by what it calls."""
        reached = self._references.list_used([source]) & self._calls.keys()
        while more := {callee for verb in reached for callee in self._calls[verb]} - reached:
            reached |= more
        return {".".join(verb).removeprefix(DOMAIN) for verb in reached}

    def _close(self, writing: set[Verb]) -> set[Verb]:
        """With all that call them."""
        while more := {verb for verb, callees in self._calls.items() if verb not in writing and callees & writing}:
            writing |= more
        return writing


def _functions(source: Source) -> dict[Verb, Source]:
    """Each function of a module, as a source of its own in that module."""
    parts: dict[Verb, Source] = {}
    for node in source.tree.body:
        if isinstance(node, ast.FunctionDef):
            part = Source(source.path, "")
            part.tree = ast.Module(body=[node], type_ignores=[])
            parts[source.module, node.name] = part
    return parts


def _statements(source: Source) -> set[str]:
    """Names of the module that stand for a statement in SQL that writes, or are made of one."""
    names: set[str] = set()
    for node in source.tree.body:
        if isinstance(node, ast.Assign) and _is_statement(node.value, names):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return names


def _is_statement(value: ast.expr, names: set[str]) -> bool:
    return any(
        (isinstance(each, ast.Constant) and re.search(r"INSERT INTO|UPDATE \w+ SET|DELETE FROM", str(each.value)))
        or (isinstance(each, ast.Name) and each.id in names)
        for each in ast.walk(value)
    )


def _writes(part: Source, statements: set[str]) -> bool:
    return any(_is_write(node, statements) for node in ast.walk(part.tree))


def _is_write(node: ast.AST, statements: set[str]) -> bool:
    if isinstance(node, ast.Call):
        call = node.func
        if isinstance(call, ast.Name):
            return call.id in STATEMENTS or call.id == "setattr"
        of_session = isinstance(call, ast.Attribute) and isinstance(call.value, ast.Name) and call.value.id == "session"
        return of_session and isinstance(call, ast.Attribute) and call.attr in SESSION_WRITES
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        return not (isinstance(node.value, ast.Name) and node.value.id == "self")
    return isinstance(node, ast.Name) and node.id in statements


def list_races(source: Source) -> set[str]:
    """The tests of a file that work on connections of their own, by its fixtures too."""
    functions = {node.name: node for node in source.tree.body if isinstance(node, ast.FunctionDef)}
    fixtures = {name: {each.arg for each in node.args.args} for name, node in functions.items()}
    racing = {name for name, arguments in fixtures.items() if arguments & CONNECTIONS}
    while more := {name for name, arguments in fixtures.items() if name not in racing and arguments & racing}:
        racing |= more
    return {name for name in racing if name.startswith("test_")}
