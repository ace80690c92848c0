"""Fingerprint of the code that a job reaches, so that code is an input of every rule.

Snakemake sees the text of a script but not the modules that it imports. This module follows the
names that a script uses through the package at the level of top-level definitions (functions,
classes, constants) and hashes the syntax trees of those that it reaches. What changes no result
does not count: comments, docstrings, formatting, type annotations, log messages
(`LOG.info(...)`, `report(...)`) and the words of raised errors, with what is called only to make
these words. An edited definition changes the fingerprint of just those rules that reach it.

The values of the config are parameters of each rule, so that in `VALUE_MODULES` the fields of
classes do not count; their methods and all functions do. `IGNORED_MODULES` do not count at all:
they write logs, records and error lines.

Limits: a module that is loaded by name at run time has to be given as a root (see
`pipeline.targets`); a definition that is reached only through `getattr` with a computed name is
missed. Needs only the standard library.
"""

import ast
import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

from coverslip.files import write_json

PACKAGE = Path(__file__).resolve().parents[1]

NAME = PACKAGE.name

IGNORED_MODULES = {f"{NAME}.{module}" for module in ("errors", "runtime.run_script")}
VALUE_MODULES = {f"{NAME}.config.sections"}

KNOWN = "known.json"

Key = tuple[str, str]


class Unit:
    """One module: its top-level definitions, imports, and statements that run on import."""

    def __init__(self, name: str, path: Path):
        self.name = name
        tree = ast.parse(_read(path), filename=str(path))
        tree = _Normalized(fields=name not in VALUE_MODULES).visit(tree)
        self.definitions: dict[str, list[ast.stmt]] = {}
        self.imports: dict[str, tuple[str, str | None]] = {}
        self.effects: list[ast.stmt] = []
        for node in tree.body:
            names = list(_bound(node))
            if isinstance(node, ast.Import | ast.ImportFrom):
                self.imports.update(_imports(node))
            elif names:
                for bound in names:
                    self.definitions.setdefault(bound, []).append(node)
            else:
                self.imports.update(_nested_imports(_walked(node)[0]))
                self.effects.append(node)


def fingerprint(script: Path, roots: Iterable[str] = (), files: Iterable[Path] = ()) -> str:
    """SHA-256 (first 16 hex digits) of what a script and further root modules reach.

    `roots` are dotted names of modules of this package that the script loads by name; `files` are
    templates and notebooks that it reads, which count by their contents.
    """
    return summary(parts(script, roots, files))


def parts(script: Path, roots: Iterable[str] = (), files: Iterable[Path] = ()) -> dict[str, str]:
    """Return the parts of a digest: the text of each definition by `module:name` and each file."""
    found = {f"{module}:{name}": text for (module, name), text in reached(script, roots).items()}
    return found | {Path(file).name: _contents(file) for file in files}


def summary(found: Mapping[str, str]) -> str:
    """SHA-256 (first 16 hex digits) of parts."""
    lines = sorted(f"{name}:{text}" for name, text in found.items())
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def cached_fingerprint(
    folder: Path, script: Path, roots: Iterable[str] = (), files: Iterable[Path] = ()
) -> str:
    """Return the digest; `<digest>.json` in the folder has the digest of each of its parts.

    So a job can report later which definition changed. `known.json` there has the digests of
    the current code, by the contents of all its files, so that the next start of Snakemake does
    not follow them again. A folder that cannot be written to is no obstacle.
    """
    files = [Path(file) for file in files]
    asked = [_contents(script), sorted(roots), [[file.name, _contents(file)] for file in files]]
    key = hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16]
    known = _known(folder)
    if key not in known:
        found = parts(script, roots, files)
        known[key] = summary(found)
        short = {name: _short(text) for name, text in found.items()}
        with contextlib.suppress(OSError):
            write_json(folder / f"{known[key]}.json", short)
            write_json(folder / KNOWN, {"package": _package(), "digests": known})
    return known[key]


def current_digests(names: Iterable[str], script: Path | None) -> dict[str, str | None]:
    """Return the digests of recorded parts as the code is now; None where a part is gone.

    Args:
        names: keys of `<digest>.json`; imports are left out, since whoever uses them counts.
        script: the script of the job; without it its parts are left out, too.
    """
    digests: dict[str, str | None] = {}
    for name in names:
        module, colon, definition = name.partition(":")
        own = module == "__script__"
        if not colon:
            file = next(PACKAGE.parents[1].rglob(name), None)
            digests[name] = _short(_contents(file)) if file else None
        elif not definition.startswith("import ") and not (own and script is None):
            unit = _unit(module, script) if own and script else _module(module)
            there = unit is not None and (not definition or definition in unit.definitions)
            digests[name] = _short(_definition(unit, definition).text) if there else None
    return digests


def _short(text: str) -> str:
    """SHA-256 (first 8 hex digits) of a part."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@cache
def _known(folder: Path) -> dict[str, str]:
    """Digests by what was asked, of the package as it is, whose notes are all there."""
    try:
        cached = json.loads((folder / KNOWN).read_text(encoding="utf-8"))
        known = cached["digests"].items() if cached["package"] == _package() else ()
        return {key: value for key, value in known if (folder / f"{value}.json").is_file()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}  # none yet, or not ours: they are found again


@cache
def _package() -> str:
    """SHA-256 of the contents of all files of the package."""
    files = sorted(PACKAGE.rglob("*.py"))
    digests = [[file.relative_to(PACKAGE).as_posix(), _contents(file)] for file in files]
    return hashlib.sha256(json.dumps(digests).encode()).hexdigest()


def reached(script: Path, roots: Iterable[str] = ()) -> dict[Key, str]:
    """Map (module, definition) to a text of the syntax tree of each definition reached."""
    found: dict[Key, str] = {}
    start = _unit("__script__", Path(script))
    queue: list[tuple[Unit, str]] = [(start, "")]
    for root in sorted(roots):
        unit = _module(root)
        if unit is None:
            raise ValueError(f"no module of {NAME} is called {root}")
        queue += [(unit, name) for name in _all(unit)]
    while queue:
        unit, name = queue.pop()
        if (unit.name, name) in found:
            continue
        definition = _definition(unit, name)
        found[unit.name, name] = definition.text
        found.update(definition.imports)
        queue += definition.uses
    return dict(sorted(found.items()))


def _contents(file: Path) -> str:
    return hashlib.sha256(_read(Path(file))).hexdigest()


@cache
def _read(file: Path) -> bytes:
    """Read once, so that what is followed is what is remembered, though it be edited meanwhile."""
    return file.read_bytes()


def _all(unit: Unit) -> list[str]:
    return ["", *unit.definitions]


class Definition(NamedTuple):
    """Return the content of one definition, cached because many scripts reach it."""

    text: str
    imports: dict[Key, str]
    uses: list[tuple[Unit, str]]


@cache
def _definition(unit: Unit, name: str) -> Definition:
    nodes = unit.effects if name == "" else unit.definitions[name]
    texts: list[str] = []
    imports: dict[Key, str] = {}
    uses = [(unit, "")] if name else []
    for node in nodes:
        inner, text = _walked(node)
        texts.append(text)
        uses.extend(_uses(unit, inner, imports))
    return Definition("\n".join(texts), imports, uses)


def _uses(unit: Unit, nodes: list[ast.AST], found: dict[Key, str]) -> Iterator[tuple[Unit, str]]:
    """Definitions that the nodes of a tree refer to, in its own module or through imports."""
    imports = unit.imports | _nested_imports(nodes)
    plain, dotted = _references(nodes)
    for name in plain | {head for head, _ in dotted}:
        if name in unit.definitions:
            yield unit, name
    for name in plain:
        if name in imports:
            module, member = imports[name]
            # A function may import a name that the module imports from elsewhere: both count.
            found[unit.name, f"import {module}.{member} as {name}"] = name
            yield from _target(module, member, None)
    for head, attribute in dotted:
        if head in imports:
            module, member = imports[head]
            found[unit.name, f"import {module}.{member} as {head}"] = head
            yield from _target(module, member, attribute)


def _target(module: str, member: str | None, attribute: str | None) -> Iterator[tuple[Unit, str]]:
    """Yield what `module.member` or `module.member.attribute` means within this package."""
    if member is not None and _module(f"{module}.{member}") is not None:
        module, member = f"{module}.{member}", None
    unit = _module(module)
    if unit is None:
        return
    name = member if member is not None else attribute
    if name is None or (name not in unit.definitions and name not in unit.imports):
        yield from ((unit, each) for each in _all(unit))
    elif name in unit.definitions:
        yield unit, name
        yield unit, ""
    else:
        yield from _target(*unit.imports[name], attribute)


def _references(nodes: list[ast.AST]) -> tuple[set[str], set[tuple[str, str]]]:
    """Return the names used bare, and (name, attribute) pairs of `name.attribute`."""
    dotted = [
        (n.value, n.attr)
        for n in nodes
        if isinstance(n, ast.Attribute) and isinstance(n.value, ast.Name)
    ]
    heads = {id(head) for head, _ in dotted}
    plain = {n.id for n in nodes if isinstance(n, ast.Name) and id(n) not in heads}
    return plain, {(head.id, name) for head, name in dotted}


def _bound(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        for target in targets:
            yield from (inner.id for inner in ast.walk(target) if isinstance(inner, ast.Name))


def _imports(node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, tuple[str, str | None]]]:
    for alias in node.names:
        if isinstance(node, ast.ImportFrom):
            yield alias.asname or alias.name, (node.module or "", alias.name)
        elif alias.asname:
            yield alias.asname, (alias.name, None)
        else:
            yield alias.name.split(".")[0], (alias.name, None)


def _nested_imports(nodes: Iterable[ast.AST]) -> dict[str, tuple[str, str | None]]:
    found: dict[str, tuple[str, str | None]] = {}
    for inner in nodes:
        if isinstance(inner, ast.Import | ast.ImportFrom):
            found.update(_imports(inner))
    return found


class _Normalized(ast.NodeTransformer):
    """Remove from a syntax tree what changes no result.

    Args:
        fields: whether annotated fields of classes count.
    """

    def __init__(self, fields: bool):
        self.fields = fields

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        """Drop docstrings, other bare strings and log messages."""
        value = node.value
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            return None
        return None if isinstance(value, ast.Call) and _logs(value.func) else node

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        """Keep the type of an error and drop its words."""
        error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        return ast.copy_location(ast.Raise(exc=error, cause=None), node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """Drop the annotation of a variable or field."""
        self.generic_visit(node)
        node.annotation = ast.Constant(None)
        if node.value is None:
            return node
        return ast.copy_location(ast.Assign(targets=[node.target], value=node.value), node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        """Drop the annotation of an argument."""
        node.annotation = None
        return node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        """Drop the annotation of the returned value; a body is never empty."""
        node.returns = None
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        """Drop the fields of a class of values."""
        if not self.fields:
            node.body = [child for child in node.body if not isinstance(child, ast.AnnAssign)]
        self.generic_visit(node)
        node.body = node.body or [ast.Pass()]
        return node


def _logs(function: ast.expr) -> bool:
    """Return whether a call writes a log message: `LOG.info`, `module.LOG.info`, `self.report`."""
    if isinstance(function, ast.Attribute) and _last(function.value) == "LOG":
        return True
    return _last(function) == "report"


def _last(node: ast.expr) -> str:
    """Return the last part of a dotted name; empty of what is none."""
    return getattr(node, "attr", getattr(node, "id", ""))


def _walked(node: ast.AST) -> tuple[list[ast.AST], str]:
    """Return all nodes of a syntax tree, as `ast.walk` does, and a text that identifies the tree.

    The text contains what `ast.dump` returns, minus what follows from it (whether a name is read or
    bound), and is had in one pass: Snakemake reads the code at every start, on a cluster in every
    job.
    """
    nodes, tokens = [node], []
    for each in nodes:
        tokens.append(each.__class__.__name__)
        for field in each._fields:
            if field in ("ctx", "kind", "type_comment"):
                continue
            value = getattr(each, field, None)
            if field == "type_params" and not value:
                continue  # Python 3.11 does not have them
            if isinstance(value, list):
                tokens.append(f"{len(value)}")
            for item in value if isinstance(value, list) else (value,):
                if isinstance(item, ast.AST):
                    nodes.append(item)
                    tokens.append("*")
                else:
                    tokens.append(repr(item))
    return nodes, " ".join(tokens)


@cache
def _module(dotted: str) -> Unit | None:
    parts = dotted.split(".")
    if parts[0] != NAME or dotted in IGNORED_MODULES:
        return None
    base = PACKAGE.joinpath(*parts[1:])
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return _unit(dotted, path)
    return None


@cache
def _unit(name: str, path: Path) -> Unit:
    return Unit(name, path)


def clear_caches() -> None:
    """Read all modules again, where files change while a process goes on."""
    for kept in (_read, _unit, _module, _definition, _known, _package):
        kept.cache_clear()
