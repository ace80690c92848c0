"""Configs that ask for nonsense: one line with file, line, key and fix, before any job."""

import json
import math
import os
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from property_settings import FEW

from coverslip.config import search_space, validate
from coverslip.config.sections import Config, Limits
from coverslip.config.validate import place_of, read_key_lines
from coverslip.errors import CoverslipError

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = ROOT / "workflow/schemas/config.schema.json"
MINE = """\
datasets:
  mine: {title: Mine, format: dsb2018, source: {kind: path, path: mine.zip}}
studies:
  one:
    title: One
    dataset: mine
"""


def errors_of(text: str, folder: Path) -> list[str]:
    """Return the mistakes in a config file, one a line."""
    file = folder / "my.yaml"
    file.write_text(text, encoding="utf-8")
    before = Path.cwd()
    os.chdir(folder)
    try:
        validate.resolve(yaml.load(text, yaml.FullLoader), SCHEMA, [file])
    except CoverslipError as error:
        return [line.strip() for line in str(error).splitlines()[1:]]
    finally:
        os.chdir(before)
    return []


@pytest.mark.reliability(
    "D11 a",
    "`.nan` or `.inf` where a number is expected, limits of an archive included",
    "one line with file, line, key and fix",
)
@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf", "1.0e+400"])
@pytest.mark.parametrize(
    "key",
    [
        "split: {test: VALUE}",
        "training: {learning_rate: VALUE}",
        "training: {augmentation: {scale: [1.0, VALUE]}}",
        "evaluation: {overlap: VALUE}",
        "reported_results: [{metric: iou, subset: test, value: VALUE}]",
        "kmeans: {scales: [VALUE]}",
        "search: {space: {training.learning_rate: {low: 1.0e-3, high: VALUE}}}",
        "search: {space: {training.learning_rate: {choices: [VALUE, 1]}}, n_trials: 2}",
    ],
)
def test_numbers_are_finite(tmp_path, key, value):
    (line, *_) = errors_of(f"{MINE}    {key.replace('VALUE', value)}\n", tmp_path)
    assert re.match(r"my\.yaml, line [47]: studies\.one\.", line) and "finite number" in line


def test_limits_are_finite(tmp_path):
    text = MINE.replace("mine.zip", "mine.zip, limits: {ratio: .nan, unpacked_gb: .inf}")
    assert [line.split(": ")[1] for line in errors_of(text, tmp_path)] == [
        "datasets.mine.source.limits.ratio",
        "datasets.mine.source.limits.unpacked_gb",
    ]
    with pytest.raises(ValueError, match="finite"):
        Limits(ratio=math.nan)


@pytest.mark.reliability(
    "D11 b",
    "numbers of the wrong type or range: `folds: 2.0`, `seeds: [-1]`",
    "one line with file, line, key and fix",
)
@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("split: {folds: 2.0}", "2.0 is not of type 'integer' (write 2)"),
        ("split: {folds: true}", "True is not of type 'integer'"),
        ("seeds: [1.0]", "studies.one.seeds.0: 1.0 is not of type 'integer' (write 1)"),
        ("seeds: [-1]", "-1 is less than the minimum of 0"),
        ("seeds: [4294967296]", "4294967296 is greater than the maximum of 4294967295"),
        ("split: {seed: 4294967296}", "greater than the maximum"),
        ("network: {stem_stride: 2.0}", "write 2"),
        ("preprocessing: {resize: [1000000000, 64]}", "greater than the maximum of 16384"),
        ("question: 2024-01-01", "2024-01-01 is not of type 'string' (YAML reads it as a date"),
        ("source: yes", "YAML reads it as true or false: write it in quotes"),
    ],
)
def test_numbers_have_their_types_and_ranges(tmp_path, key, words):
    (line,) = errors_of(f"{MINE}    {key}\n", tmp_path)
    assert line.startswith("my.yaml, line 7: studies.one.") and words in line


@pytest.mark.reliability(
    "D11 c",
    "names that YAML reads as numbers, dates or `true`: `studies: {2024: ...}`",
    "one line with file, line, key and fix",
)
@pytest.mark.parametrize("name", ["2024", "1.5", "yes", "2024-01-01", "null", "~"])
def test_names_are_text(tmp_path, name):
    (line,) = errors_of(MINE.replace("  one:", f"  {name}:"), tmp_path)
    assert line.startswith("my.yaml, line ") and "write it in quotes" in line
    assert errors_of(MINE.replace("  one:", f"  '{name}':"), tmp_path) in (
        [],
        [f"my.yaml, line 4: studies.{name}: {NAMES}"],
    )
    (line,) = errors_of(f"{MINE}run: [{name}]\n".replace("[~]", "[null]"), tmp_path)
    assert line.startswith("my.yaml, line 7: run.0: ") and "is not of type 'string'" in line


NAMES = "a name has only letters, digits, `_` and `-`, at most 100"


@pytest.mark.reliability(
    "D11 d", "a study, a section or any other key twice", "one line with both lines of the file"
)
def test_no_key_is_there_twice(tmp_path):
    text = MINE + "  two: &two {title: Two, dataset: mine}\n  three: {<<: *two, title: Three}\n"
    assert errors_of(text, tmp_path) == []
    for more, line, words in (
        ("  one: {title: Again, dataset: mine}\n", 7, "studies.one: is also in line 4"),
        ("    title: Again\n", 7, "studies.one.title: is also in line 5"),
        ("studies: {}\n", 7, "studies: is also in line 3"),
        ("    reported_results:\n    - {metric: a, metric: b}\n", 8, "results.0.metric: is also"),
    ):
        (told,) = errors_of(MINE + more, tmp_path)
        assert told.startswith(f"my.yaml, line {line}: ") and words in told


def test_the_last_of_several_files_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a.yaml").write_text(MINE)
    Path("b.json").write_text('{\n\t"studies": {\n\t\t"one": {"title": 1}}}')
    lines = read_key_lines([Path("a.yaml"), Path("b.json")])
    assert place_of("studies.one.title", lines) == "b.json, line 3"
    assert place_of("studies.one.dataset", lines) == "a.yaml, line 6"
    assert place_of("studies.one.seeds.0", lines) == "b.json, line 3"
    assert place_of("oops", lines) == ""


@pytest.mark.reliability(
    "D11 e",
    "absurd counts: `folds: 1000000`, `shards: 1000000000`, a search in a range without enough "
    "values, or up to infinity",
    "one line with file, line, key and fix",
)
@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("split: {folds: 1000000}", "greater than the maximum"),
        ("evaluation: {shards: 1000000000}", "greater than the maximum"),
        ("preprocessing: {shards: 1000000000}", "greater than the maximum"),
        (f"seeds: {list(range(2000))}", "is too long"),
        (f"{{split: {{folds: 1000}}, seeds: {list(range(500))}}}", "jobs, more than 100,000"),
        (
            "search: {space: {training.learning_rate: {low: 1.0, high: 1.001}}}",
            "only 2 different trials",
        ),
        ("search: {space: {network.filters: {low: 1, high: 10000000000000000}}}", "up to 1e+15"),
    ],
)
def test_counts_are_possible(tmp_path, key, words):
    text = f"{MINE}    {key.strip('{}') if key.startswith('{') else key}\n"
    if key.startswith("{"):
        text = f"{MINE}    split: {{folds: 1000}}\n    seeds: {list(range(500))}\n"
    (line,) = errors_of(text, tmp_path)
    assert line.startswith("my.yaml, line ") and words in line


def test_a_narrow_range_is_drawn_from_to_its_end():
    space = {"training.learning_rate": {"low": 1.0, "high": 1.005, "log": False, "choices": None}}
    trials = search_space.sample({"n_trials": 6, "space": space, "seed": 1})
    assert sorted(trial["training.learning_rate"] for trial in trials) == [
        1.0,
        1.001,
        1.002,
        1.003,
        1.004,
        1.005,
    ]


@pytest.mark.reliability(
    "D11 f", "a name of 300 letters, or with `/`", "one line with file, line, key and fix"
)
@pytest.mark.parametrize("name", ["a" * 300, "a" * 101, "a/b", "-a", "a b", "..", "é"])
def test_names_fit_file_names(tmp_path, name):
    lines = errors_of(MINE.replace("  one:", f"  {name}:"), tmp_path)
    assert lines == [f"my.yaml, line 4: studies.{name}: {NAMES}"]


@pytest.mark.reliability(
    "D11 g",
    "an archive, split or folder that is a device or a pipe",
    "one line with file, line, key and fix",
)
def test_paths_are_files_or_folders(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for text, key in (
        (MINE.replace("mine.zip", "/dev/zero"), "datasets.mine.source.path"),
        (MINE.replace("mine.zip", "pipe"), "datasets.mine.source.path"),
        (f"{MINE}    split: {{method: file, file: pipe}}\n", "studies.one.split.file"),
        (f"{MINE}images: /dev/zero\n", "images"),
        (f"{MINE}model: pipe\n", "model"),
    ):
        (line,) = errors_of(text, tmp_path)
        assert re.fullmatch(rf"my\.yaml, line \d: {key}: \S+ is a device or a pipe: .*", line)
    (line,) = errors_of(f"{MINE}images: {'a' * 5000}\n", tmp_path)
    assert "images: aaa" in line and "File name too long" in line and len(line) < 400
    (line,) = errors_of(MINE.replace("mine.zip", '"a\\0b"'), tmp_path)
    assert line.endswith("a path has no control characters")


@pytest.mark.reliability(
    "D11 h",
    "`compare_with` the study itself, two classes of one name, a study twice in `run`",
    "one line with file, line, key and fix",
)
def test_names_refer_to_one_other_thing(tmp_path):
    for text, words in (
        (f"{MINE}    compare_with: one\n", "studies.one.compare_with: is this study itself"),
        (f"{MINE}run: [one, one]\n", "run: `one` is listed 2 times"),
        (MINE.replace("Mine,", "Mine, class_names: {a: X, b: X},"), "2 classes are called `X`"),
    ):
        (line,) = errors_of(text, tmp_path)
        assert line.startswith("my.yaml, line ") and words in line


@pytest.mark.reliability(
    "D11 e",
    "aliases of aliases: ten lines that stand for 10^9 values; in `coverslip run` also a list "
    "100,000 levels deep, which Snakemake itself meets with a traceback",
    "one line that names the file or the fix",
)
def test_a_config_is_no_larger_than_it_may_be(tmp_path):
    lines = [f"{name}: &{name} [{', '.join([before] * 10)}]" for before, name in NESTED]
    text = MINE + "\n".join(lines) + "\n"
    (line,) = errors_of(text, tmp_path)
    assert "the config: has more than 100,000 values" in line
    (tmp_path / "deep.yaml").write_text("a: " + "[" * 100_000)
    with pytest.raises(CoverslipError, match=r"deep\.yaml: more than 100 levels"):
        read_key_lines([tmp_path / "deep.yaml"])


@pytest.mark.reliability(
    "D11",
    "YAML that would run code, or keys that are lists",
    "not run; one line that names the file",
)
@pytest.mark.parametrize("text", ["a: !!python/object/apply:os.system [x]\n", "? [a, b]\n: c\n"])
def test_yaml_is_data(tmp_path, text):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(CoverslipError, match=r"a\.yaml: not YAML"):
        read_key_lines([tmp_path / "a.yaml"])


NESTED = [("x", "a"), *((f"*{name}", chr(ord(name) + 1)) for name in "abcdefgh")]


def test_a_long_value_is_shortened_in_its_message(tmp_path):
    (line,) = errors_of(f"{MINE}    seeds: {'x' * 5000}\n", tmp_path)
    assert line.startswith("my.yaml, line 7: studies.one.seeds: 'xxx") and len(line) < 500


def test_an_alias_within_itself(tmp_path):
    text = MINE.replace("    title: One\n", "    title: One\n    network: &a {unet: *a}\n")
    (line,) = errors_of(text, tmp_path)
    assert "studies.one.network.unet: is an alias" in line


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.dates()
    | st.sampled_from([10**400, -(10**400), 2**63, "", "\0", "/dev/zero", "a" * 300]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.integers() | st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)


def _places(node, path=()):
    for key, value in node.items() if isinstance(node, dict) else ():
        yield (*path, key)
        yield from _places(value, (*path, key))


SEARCH = "    search: {n_trials: 2, space: {training.learning_rate: {choices: [1, 2]}}}\n"
WHOLE = validate.resolve(yaml.safe_load(f"{MINE}{SEARCH}run: [one]\n"), SCHEMA)


@pytest.mark.reliability(
    "D11",
    "any value in any key of a config (property test)",
    "a config of finite numbers, or lines that name keys",
)
@FEW
@given(st.sampled_from(sorted(_places(WHOLE))), VALUES)
def test_any_value_in_any_place(path, value):
    config = json.loads(json.dumps(WHOLE))
    node = config
    for part in path[:-1]:
        node = node[part]
    node[path[-1]] = value
    try:
        resolved = validate.resolve(config, SCHEMA)
    except CoverslipError as error:
        first, *lines = str(error).splitlines()
        assert first == "the config is not valid:" and lines
        assert all(line.isprintable() and line.startswith("  ") for line in lines)
    else:
        Config(**resolved)
        json.dumps(resolved, allow_nan=False)
