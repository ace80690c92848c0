"""The digest follows what a script reaches, and nothing else."""

import json
import textwrap

import pytest

from coverslip.runtime import code_fingerprint


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package `pack` with two modules and a script; returns (write, digest)."""
    folder = tmp_path / "pack"
    folder.mkdir()
    monkeypatch.setattr(code_fingerprint, "PACKAGE", folder)
    monkeypatch.setattr(code_fingerprint, "NAME", "pack")
    monkeypatch.setattr(code_fingerprint, "IGNORED_MODULES", {"pack.silent"})
    code_fingerprint.clear_caches()

    def write(name: str, text: str) -> None:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(textwrap.dedent(text))

    def value(*roots: str) -> str:
        code_fingerprint.clear_caches()
        return code_fingerprint.fingerprint(tmp_path / "pack/script.py", roots)

    write("__init__.py", '"""The package."""')
    write("silent.py", "def log():\n    return 1\n")
    write("script.py", SCRIPT)
    write("a.py", A)
    write("b.py", B)
    write("kinds/__init__.py", "")
    write("kinds/one.py", "def build():\n    return 1\n")
    return write, value


SCRIPT = "from pack import a\nfrom pack.silent import log\nlog()\na.used(1)\n"
A = '''
"""A module."""
from pack.b import helper
import json

LIMIT = 3

def used(x):
    """Doc."""
    # a comment
    return helper(x) + LIMIT

def unused(x):
    return x
'''
B = """
def helper(x):
    return inner(x)

def inner(x):
    return 2 * x

def stranger():
    return 0
"""


@pytest.mark.parametrize(
    ("module", "old", "new", "changes"),
    [
        ("a.py", "LIMIT = 3", "LIMIT = 4", True),
        ("a.py", "+ LIMIT", "- LIMIT", True),
        ("b.py", "2 * x", "3 * x", True),
        ("a.py", "# a comment", "# another comment", False),
        ("a.py", '"""Doc."""', '"""Another."""', False),
        ("a.py", "return helper(x) + LIMIT", "return (helper(x)\n            + LIMIT)", False),
        ("a.py", "    return x\n", "    return x + 1\n", False),
        ("b.py", "return 0", "return 1", False),
        ("a.py", "import json", "import json\nimport math", False),
        ("a.py", "LIMIT = 3", "LIMIT = 3\nprint(LIMIT)", True),
        ("a.py", "LIMIT = 3", "LIMIT: int = 3", False),
        ("a.py", "def used(x):", "def used(x: float) -> float:", False),
        ("a.py", "# a comment", 'LOG.info("%s", unused(x))', False),
        ("a.py", "# a comment", "report(unused(x))", False),
        ("a.py", "# a comment", "x.report(unused(x))", False),
        ("a.py", "# a comment", 'oom.LOG.info("%s", unused(x))', False),
        ("a.py", "# a comment", "x.other(unused(x))", True),
        ("script.py", "a.used(1)", "a.used(1)\nUNUSED = 2", False),
        ("script.py", "a.used(1)", "a.used(2)", True),
        ("a.py", "# a comment", 'warn("words")', True),
    ],
)
def test_edits_count_where_they_are_reached(package, module, old, new, changes):
    write, value = package
    before = value()
    text = {"a.py": A, "b.py": B, "script.py": SCRIPT}[module]
    assert old in text
    write(module, text.replace(old, new))
    assert (value() != before) is changes


def test_lazy_imports_and_bare_modules_are_followed(package):
    write, value = package
    write(
        "a.py",
        "def used(x):\n    from pack import b\n    return run(b)\ndef run(m):\n    return m\n",
    )
    before = value()
    write("b.py", B.replace("return 0", "return 1"))
    assert value() != before, "a module handed on whole counts whole"


def test_a_root_is_followed_and_must_exist(package):
    write, value = package
    before = value("pack.kinds.one")
    assert before != value()
    write("kinds/one.py", "def build():\n    return 2\n")
    assert value("pack.kinds.one") != before
    with pytest.raises(ValueError, match=r"pack\.kinds\.two"):
        value("pack.kinds.two")


def test_silent_modules_do_not_count(package):
    write, value = package
    before = value()
    write("silent.py", "def log():\n    return 2\n")
    assert value() == before


def test_renamed_import_of_another_library_counts(package):
    write, value = package
    write("a.py", "import json as lib\ndef used(x):\n    return lib.dumps(x)\n")
    before = value()
    write("a.py", "import pickle as lib\ndef used(x):\n    return lib.dumps(x)\n")
    assert value() != before


def test_a_name_imported_from_two_places_counts_twice(package, tmp_path):
    """One of them would be chosen by the order of a set, which changes between processes."""
    write, _ = package
    write(
        "a.py",
        "from json import dumps as lib\n"
        "def used(x):\n    return [part(x), lib]\n"
        "def part(x):\n    from pickle import dumps as lib\n    return lib(x)\n",
    )
    code_fingerprint.clear_caches()
    found = code_fingerprint.parts(tmp_path / "pack/script.py")
    assert {"pack.a:import json.dumps as lib", "pack.a:import pickle.dumps as lib"} <= set(found)


def test_import_cycles_end(package):
    write, value = package
    write("b.py", "from pack import a\ndef helper(x):\n    return a.used(x)\n")
    assert len(value()) == 16


def test_what_a_digest_stands_for_is_noted(package, tmp_path):
    write, value = package
    script, notes = tmp_path / "pack/script.py", tmp_path / "notes"
    assert code_fingerprint.cached_fingerprint(notes, script) == value()
    before = json.loads((notes / f"{value()}.json").read_text())
    assert {"pack.a:used", "pack.b:helper", "pack.b:inner"} <= set(before)
    assert "pack.b:stranger" not in before
    write("b.py", B.replace("2 * x", "3 * x"))
    code_fingerprint.clear_caches()
    after_value = code_fingerprint.cached_fingerprint(notes, script)
    after = json.loads((notes / f"{after_value}.json").read_text())
    assert {name for name in before if before[name] != after[name]} == {"pack.b:inner"}
    (tmp_path / "file").write_text("in the way")
    assert code_fingerprint.cached_fingerprint(tmp_path / "file", script) == value()


def test_digests_are_cached_until_code_changes(package, tmp_path, monkeypatch):
    write, value = package
    script, notes, template = tmp_path / "pack/script.py", tmp_path / "notes", tmp_path / "page.css"
    template.write_text("a {}")
    followed = []
    monkeypatch.setattr(
        code_fingerprint,
        "parts",
        lambda *a, of=code_fingerprint.parts: followed.append(a) or of(*a),
    )

    def asked(*roots, files=()):
        """The digest as a new start gives it, and whether the code was followed for it."""
        code_fingerprint.clear_caches()
        followed.clear()
        found = code_fingerprint.cached_fingerprint(notes, script, roots, files)
        return found, bool(followed)

    first, more = asked(), asked("pack.kinds.one", files=[template])
    assert first == (value(), True) and more[1]
    assert asked() == (first[0], False) and asked("pack.kinds.one", files=[template])[1] is False
    template.write_text("b {}")
    changed = asked("pack.kinds.one", files=[template])
    assert changed[1] and changed[0] != more[0]
    write("b.py", B.replace("return 0", "return 1"))  # reached by none of them
    assert asked() == (first[0], True)
    write("b.py", B.replace("2 * x", "3 * x"))
    edited = asked()
    assert edited == (value(), True) and edited[0] != first[0]
    script.write_text(script.read_text().replace("used(1)", "used(2)"))
    assert asked() == (value(), True)
    (notes / f"{value()}.json").unlink()
    assert asked() == (value(), True) and (notes / f"{value()}.json").is_file()
    for broken in ("{", "[]", '{"package": 1}', '{"package": "x", "digests": []}'):
        (notes / code_fingerprint.KNOWN).write_text(broken)
        assert asked() == (value(), True)


@pytest.mark.reliability(
    "D33",
    "words of an error or of a log message are changed",
    "nothing is made again",
)
def test_words_of_an_error_do_not_count_but_its_type_does(package):
    write, value = package
    body = "def used(x):\n    if x:\n        raise {}\n    return x\n"
    write("a.py", body.format('ValueError("one")'))
    before = value()
    write("a.py", body.format('ValueError(f"{x}: another") from None'))
    assert value() == before
    write("a.py", body.format('TypeError("one")'))
    assert value() != before


@pytest.mark.reliability(
    "D6",
    "code of a config section is changed",
    "what uses it is made again",
)
def test_fields_of_values_do_not_count_but_their_methods_do(package, monkeypatch):
    write, value = package
    monkeypatch.setattr(code_fingerprint, "VALUE_MODULES", {"pack.sections"})
    text = "class Network:\n    outputs: int = 1\n    def channels(self):\n        return {}\n"
    write("sections.py", text.format("4"))
    write("a.py", "from pack.sections import Network\ndef used(x):\n    return Network()\n")
    before = value()
    write("sections.py", text.format("4").replace("outputs: int = 1", "outputs: float = 2"))
    assert value() == before
    write("sections.py", text.format("5"))
    assert value() != before


def test_the_package_is_as_the_lists_say():
    """Modules that are left out exist, so that a rename cannot bring them back unseen."""
    for module in code_fingerprint.IGNORED_MODULES | code_fingerprint.VALUE_MODULES:
        path = code_fingerprint.PACKAGE.joinpath(*module.split(".")[1:]).with_suffix(".py")
        assert path.is_file(), module
