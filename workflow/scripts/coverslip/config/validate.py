"""A config is validated, completed and cross-checked at parse time.

Needs only Snakemake's own dependencies, so that a bare clone parses, lints and dry-runs. The
schema is generated from `coverslip.config.sections` by `coverslip.config.document`.
"""

from __future__ import annotations

import datetime
import difflib
import json
import os
import re
import stat
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from coverslip.config import old_format, tasks
from coverslip.config import search_space as spaces
from coverslip.errors import CoverslipError, one_line, os_error_line

WORDS = {
    "dataset": ("title", "licence", "citation", "class_names", "pixel_size_um"),
    "study": (
        "title",
        "question",
        "source",
        "known_issues",
        "reported_results",
        "compare_with",
        "tensorboard",
    ),
}
"""Keys that are only shown: they never cause work beyond the report."""

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")

MAX_VALUES = 100_000
"""Most values of a config, with those of each alias."""

LONGEST = 400
"""Characters of a message on a mistake."""

MAX_JOBS = 100_000
"""Jobs of one study; with more of them Snakemake needs minutes to start."""


def _is_integer(checker: Any, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(checker: Any, value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and abs(value) <= sys.float_info.max  # neither NaN nor infinite


# JSON Schema takes 2.0 for an integer, and NaN and infinity for numbers within any bounds.
Validator = jsonschema.validators.extend(
    jsonschema.Draft202012Validator,
    type_checker=jsonschema.Draft202012Validator.TYPE_CHECKER.redefine_many(
        {"integer": _is_integer, "number": _is_number}
    ),
)


def resolve(
    config: Mapping[str, Any], schema_file: Path, config_files: Iterable[Path] = ()
) -> dict[str, Any]:
    """Return the config with every default filled in and every key in the schema's order.

    Args:
        config: the config as read.
        schema_file: JSON schema of a config.
        config_files: files that the config was read from, the last one counts.

    Raises:
        CoverslipError: one line for each mistake: file and line, the key's path, what is wrong
            with it and the nearest known name.
    """
    lines = read_key_lines(config_files)
    schema = json.loads(Path(schema_file).read_text(encoding="utf-8"))
    resolved, mistakes = _resolve(config, schema)
    if not mistakes:
        # A trial of a search is a config of its own.
        mistakes = list(
            search_errors(resolved, lambda trial: _resolve(trial, schema)[1], closest_name)
        )
    if mistakes:
        text = "\n".join(f"  {_add_place(_line(mistake), lines)}" for mistake in mistakes)
        raise CoverslipError(f"the config is not valid:\n{text}")
    return resolved


def _line(mistake: str) -> str:
    """A mistake in one line; of a long value its beginning and its end."""
    line = one_line(mistake)
    return line if len(line) <= LONGEST else f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"


def _add_place(mistake: str, lines: dict[str, str]) -> str:
    place = place_of(mistake.partition(": ")[0], lines)
    return f"{place}: {mistake}" if place else mistake


def _resolve(
    config: Mapping[str, Any], schema: Mapping[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """Return the config with every default (empty if it violates the schema), and the mistakes."""
    if mistakes := list(_odd_names(config, done=set())):
        return {}, mistakes
    if _count_values(config) > MAX_VALUES:
        too_many = f"the config: has more than {MAX_VALUES:,} values: shorten its lists and aliases"
        return {}, [too_many]
    if mistakes := list(old_format.renamed_keys(config)):
        return {}, mistakes
    errors = sorted(
        Validator(schema).iter_errors(config), key=lambda error: [str(p) for p in error.path]
    )
    if mistakes := [line for error in errors for line in _explain(error, schema)]:
        return {}, mistakes
    resolved = _complete(tasks.add_implied(config), schema, schema)
    untrained = [
        line
        for name, study in resolved["studies"].items()
        if study["model"] is not None
        for line in tasks.check_model(f"studies.{name}", study, _defaults(study, schema))
    ]
    return resolved, untrained or list(_cross_check(resolved))


def _defaults(study: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return a study of the same task and model in which all else is the default."""
    same = {key: study[key] for key in ("title", "dataset", "task", "model")}
    return _complete(tasks.add_implied_to_study(same), schema["$defs"]["Study"], schema)


def chosen_studies(config: Mapping[str, Any]) -> list[str]:
    """Return the names of the studies to run, in the order of the config."""
    return config["run"] if config["run"] is not None else list(config["studies"])


def archive_names(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the name of the archive of each dataset that comes from Kaggle.

    It is that of the first dataset in the config with the same archive, so that none is kept twice.
    """
    first: dict[tuple[str | None, ...], str] = {}
    names = {}
    for name, dataset in config["datasets"].items():
        source = dataset["source"]
        if source["kind"] == "kaggle":
            archive = tuple(source[key] for key in ("competition", "dataset", "file"))
            names[name] = first.setdefault(archive, name)
    return names


def closest_name(name: str, known: Iterable[str]) -> str:
    """Return a hint at the nearest valid name: `; did you mean x?` or a list of all names."""
    known = sorted(str(k) for k in known)
    close = difflib.get_close_matches(str(name), known, n=1)
    if close:
        return f"; did you mean `{close[0]}`?"
    return f"; known: {', '.join(known)}" if known else ""


def _count_values(config: Any) -> int:
    """Return the number of values, of which aliases are written once and count each time; counting
    ends when there are too many."""
    count, left = 0, [config]
    while left and count <= MAX_VALUES:
        node = left.pop()
        count += 1
        if isinstance(node, Mapping | list):
            left += node.values() if isinstance(node, Mapping) else node
    return count


def _odd_names(
    node: Any, where: str = "", around: tuple[int, ...] = (), *, done: set[int]
) -> Iterable[str]:
    """Mistakes in keys that YAML does not read as text, and aliases in themselves, at any depth."""
    if id(node) in done:
        return
    if id(node) in around and isinstance(node, list | Mapping):
        yield f"{where.removesuffix('.')}: is an alias (`*`) of what is around it: write it out"
        return
    around = (*around, id(node))
    for number, item in enumerate(node) if isinstance(node, list) else ():
        yield from _odd_names(item, f"{where}{number}.", around, done=done)
    for key, value in node.items() if isinstance(node, Mapping) else ():
        if not isinstance(key, str):
            yield f"{where}{key}: YAML reads this name as {_kind(key)}: write it in quotes: '{key}'"
        yield from _odd_names(value, f"{where}{key}.", around, done=done)
    if isinstance(node, list | Mapping):
        done.add(id(node))


def _kind(value: Any) -> str:
    """Name of what YAML reads a word as that is no text."""
    kinds = {bool: "true or false", int: "a number", float: "a number", type(None): "nothing"}
    if isinstance(value, datetime.date):
        return "a date"
    return kinds.get(type(value), type(value).__name__)


def _follow(node: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" in node:
        return schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
    return node


def _section_of_kind(
    node: Mapping[str, Any], kind: Any, schema: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Return the section of this `kind`, of several that a key may have; else the node itself."""
    mapping = node.get("discriminator", {}).get("mapping", {})
    return _follow({"$ref": mapping[kind]}, schema) if kind in mapping else node


def _complete(value: Any, node: Mapping[str, Any], schema: Mapping[str, Any]) -> Any:
    node = _follow(node, schema)
    if isinstance(value, Mapping) and "anyOf" in node:
        # A section that may be left out.
        sections = (
            _section_of_kind(_follow(part, schema), value.get("kind"), schema)
            for part in node["anyOf"]
        )
        node = next((part for part in sections if "properties" in part), node)
    if isinstance(value, Mapping) and "properties" in node:
        return {
            key: _complete(value.get(key, child.get("default")), child, schema)
            for key, child in node["properties"].items()
        }
    if isinstance(value, Mapping) and isinstance(node.get("additionalProperties"), Mapping):
        child = node["additionalProperties"]
        return {key: _complete(item, child, schema) for key, item in value.items()}
    if isinstance(value, list) and "items" in node:
        return [_complete(item, node["items"], schema) for item in value]
    return value


def _explain(error: jsonschema.ValidationError, schema: Mapping[str, Any]) -> list[str]:
    where = ".".join(str(part) for part in error.absolute_path) or "the config"
    if error.validator == "additionalProperties":
        known = error.schema.get("properties", {})
        unknown = [key for key in error.instance if key not in known]
        prefix = "" if where == "the config" else f"{where}."
        return [f"{prefix}{key}: unknown key{closest_name(key, known)}" for key in unknown]
    if error.validator == "enum":
        hint = closest_name(error.instance, error.schema["enum"])
        return [f"{where}: {error.instance!r} is not known{hint}"]
    if error.validator == "required":
        missing = [key for key in error.validator_value if key not in error.instance]
        return [f"{where}: the key `{key}` is missing" for key in missing]
    if error.validator == "anyOf":
        parts = [e for e in error.context if e.validator_value != "null"]
        lines = [line for part in parts for line in _explain(part, schema)]
        return lines[-1:] if all(part.validator == "type" for part in parts) else lines
    if error.validator == "oneOf":
        return _explain_kind(error, where, schema)
    if error.validator != "type":
        return [f"{where}: {error.message}"]
    value, wanted = error.instance, error.validator_value
    hint = _text_hint(value, wanted) if isinstance(value, str) else _type_hint(value, wanted)
    shown = value if isinstance(value, datetime.date) else repr(value)
    return [f"{where}: {shown} is not of type {wanted!r}{hint}"]


def _explain_kind(
    error: jsonschema.ValidationError, where: str, schema: Mapping[str, Any]
) -> list[str]:
    """Explain a section of several kinds by the mistakes of the kind that it names."""
    kinds = error.schema["discriminator"]["mapping"]
    section = error.instance
    if not isinstance(section, Mapping):
        return [f"{where}: {section!r} is not a section"]
    if "kind" not in section:
        return [f"{where}: the key `kind` is missing: {', '.join(kinds)}"]
    if section["kind"] not in kinds:
        hint = closest_name(section["kind"], kinds)
        return [f"{where}.kind: {section['kind']!r} is not known{hint}"]
    branch = [part["$ref"] for part in error.schema["oneOf"]].index(kinds[section["kind"]])
    parts = [part for part in error.context if part.schema_path[0] == branch]
    return [line for part in parts for line in _explain(part, schema)]


def _type_hint(value: Any, wanted: str) -> str:
    """How to write a value that is no text so that it has the type that is wanted."""
    if wanted == "string" and isinstance(value, datetime.date | bool | int | float):
        return f" (YAML reads it as {_kind(value)}: write it in quotes: '{value}')"
    if isinstance(value, int | float) and not _is_number(None, value):
        return "" if isinstance(value, bool) else " (write a finite number)"
    if isinstance(value, float) and wanted == "integer" and value.is_integer():
        return f" (write {int(value)})"
    return ""


def _text_hint(text: str, wanted: str) -> str:
    if wanted == "array":
        return f" (write a list: [{text}]; on the command line: '[{text}]')"
    if re.fullmatch(r"true|false|[+-]?\d+(\.\d*)?", text, flags=re.IGNORECASE):
        return (
            f" (here {text} is text: write it without quotes; what is inside a value of --config "
            "is always text to Snakemake: write it into a file, given by --configfile)"
        )
    if re.fullmatch(r"[+-]?\d+e[+-]?\d+", text, flags=re.IGNORECASE):
        mantissa, exponent = re.split("e", text, flags=re.IGNORECASE)
        return f" (YAML reads {text} as text: write {mantissa}.0e{exponent})"
    return " (a number is wanted)" if wanted == "integer" else ""


def _cross_check(config: Mapping[str, Any]) -> Iterable[str]:
    """Check what a schema cannot express: references, and keys that depend on each other."""
    datasets, studies = config["datasets"], config["studies"]
    if config["images"] is None:
        for key in ("datasets", "studies"):
            if not config[key]:
                yield f"the config: the key `{key}` is missing"
    for kind, names in (("datasets", datasets), ("studies", studies)):
        for name in names:
            if not NAME.fullmatch(name):
                yield f"{kind}.{name}: a name has only letters, digits, `_` and `-`, at most 100"
    for name, count in Counter(config["run"] or []).items():
        if name not in studies:
            yield f"run: no study is called `{name}`{closest_name(name, studies)}"
        if count > 1:
            yield f"run: `{name}` is listed {count} times: list it once"
    for key in ("images", "model", "classifier"):
        yield from _check_path(key, config[key])
    yield from _check_time_pattern(config["measure"]["time_pattern"])
    for name, dataset in datasets.items():
        yield from _check_dataset(f"datasets.{name}", dataset)
    for name, study in studies.items():
        yield from _check_study(f"studies.{name}", study, datasets, studies)


def _check_path(where: str, path: str | None) -> Iterable[str]:
    """Mistakes in a path: it may be missing, and is otherwise a file or a folder."""
    if path is None:
        return
    if not path.isprintable():
        yield f"{where}: a path has no control characters"
        return
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        yield f"{where}: {os_error_line(error)}"
        return
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        yield f"{where}: {path} is a device or a pipe: name a file or a folder"


def _count_jobs(study: Mapping[str, Any]) -> int:
    """Jobs of a study, but for a few."""
    trainings = study["split"]["folds"] * len(study["seeds"])
    trials = study["search"]["n_trials"] if study["search"] else 0
    return (
        study["preprocessing"]["shards"]
        + trainings * (3 + study["evaluation"]["shards"])
        + 2 * trials * study["split"]["folds"]
    )


def _check_time_pattern(pattern: str) -> Iterable[str]:
    try:
        names = re.compile(pattern).groupindex
    except re.error as error:
        yield f"measure.time_pattern: not a regular expression ({error})"
        return
    if not {"time", "days", "hours", "minutes", "seconds"} & set(names):
        yield "measure.time_pattern: has no named group for a time, as in (?P<time>[0-9]+)"


def _check_dataset(where: str, dataset: Mapping[str, Any]) -> Iterable[str]:
    source = dataset["source"]
    if source["kind"] == "path" and not source["path"]:
        yield f"{where}.source.path: name an archive or a folder"
    yield from _check_path(f"{where}.source.path", source["path"])
    names_of_classes = Counter(dataset["class_names"].values())
    for name, count in names_of_classes.items():
        if count > 1:
            yield f"{where}.class_names: {count} classes are called `{name}`: name each differently"
    if source["kind"] == "kaggle" and bool(source["competition"]) == bool(source["dataset"]):
        yield f"{where}.source: name either a `competition` or a `dataset`"
    yield from tasks.check_groups(where, dataset)
    pattern = dataset["group_pattern"]
    if (dataset["group_by"] == "filename") != (pattern is not None):
        yield f"{where}.group_pattern: goes with `group_by: filename`, and only with it"
    if pattern is not None:
        try:
            names = re.compile(pattern).groupindex
        except re.error as error:
            yield f"{where}.group_pattern: not a regular expression ({error})"
        else:
            if "group" not in names:
                yield f"{where}.group_pattern: has no named group, as in (?P<group>...)"


def _check_study(
    where: str, study: Mapping[str, Any], datasets: Mapping[str, Any], studies: Mapping[str, Any]
) -> Iterable[str]:
    if study["dataset"] not in datasets:
        yield (
            f"{where}.dataset: no dataset is called `{study['dataset']}`"
            f"{closest_name(study['dataset'], datasets)}"
        )
    else:
        yield from tasks.check_licences(where, study, datasets[study["dataset"]])
    if study["compare_with"] is not None and study["compare_with"] not in studies:
        yield (
            f"{where}.compare_with: no study is called `{study['compare_with']}`"
            f"{closest_name(study['compare_with'], studies)}"
        )
    if studies.get(study["compare_with"]) is study:
        yield f"{where}.compare_with: is this study itself: name another, or remove the key"
    if (count := _count_jobs(study)) > MAX_JOBS:
        yield (
            f"{where}: split.folds, seeds, shards and search.n_trials together are {count:,} jobs, "
            f"more than {MAX_JOBS:,}: lower one of them"
        )
    yield from _check_path(f"{where}.split.file", study["split"]["file"])
    if len(set(study["seeds"])) != len(study["seeds"]):
        yield f"{where}.seeds: a seed is listed twice"
    preprocessing, network, split = study["preprocessing"], study["network"], study["split"]
    if study["kmeans"] is not None and preprocessing["resize"] is not None:
        yield f"{where}.kmeans: it needs native size, without preprocessing.resize"
    if study["reproduces"] is None:
        if preprocessing["mask_resize"] in ("bilinear-ceil", "bicubic-nonzero"):
            yield f"{where}.preprocessing.mask_resize: needs `reproduces`, a reproduction"
        if preprocessing["fit_scaling_on"] != "training":
            yield f"{where}.preprocessing.fit_scaling_on: needs `reproduces`, a reproduction"
        if split["validation"] == 0:
            yield f"{where}.split.validation: 0 needs `reproduces`, a reproduction"
        if split["unit"] == "patch":
            yield f"{where}.split.unit: `patch` needs `reproduces`, a reproduction"
        if study["training"]["overwrite_masks"]:
            yield f"{where}.training.overwrite_masks: needs `reproduces`, a reproduction"
        if study["evaluation"]["blank_test_labels"]:
            yield f"{where}.evaluation.blank_test_labels: needs `reproduces`, a reproduction"
    if split["method"] == "file" and not split["file"]:
        yield f"{where}.split.file: name the table with the columns id, fold, subset"
    yield from tasks.check_split(where, split)
    yield from tasks.check_split_of_patches(where, study)
    yield from tasks.check(where, study, datasets.get(study["dataset"]))
    yield from tasks.check_preprocessing(where, study)
    yield from tasks.check_scales(where, study)
    yield from tasks.check_ensemble(where, study)
    yield from tasks.check_training(f"{where}.training", study["training"])
    if study["evaluation"]["resolution"] == "network" and preprocessing["resize"] is None:
        yield f"{where}.evaluation.resolution: `network` needs `preprocessing.resize`"
    if network["architecture"] == "mobilenetv2_unet" and preprocessing["channels"] != "rgb":
        yield f"{where}.preprocessing.channels: `mobilenetv2_unet` needs `rgb`"
    scaling = preprocessing["input_scaling"]
    if network["architecture"] == "efficientnet_lite0_unet" and scaling != "unit":
        yield f"{where}.preprocessing.input_scaling: `efficientnet_lite0_unet` needs `unit`"
    if network["freeze_encoder"] and network["weights"] == "none":
        yield f"{where}.network.freeze_encoder: random features would stay random; needs weights"
    side = min(preprocessing["resize"] or [preprocessing["patch"]])
    if network["head"] == "instance" and preprocessing["resize"] is not None:
        yield f"{where}.network.head: `instance` needs native size, without preprocessing.resize"
    halvings = network["depth"] + (network["stem_stride"] == 2)
    steps = dict.fromkeys(tasks.ENCODERS, 5)
    steps |= {"unet": halvings, "unet_confluency": 4, "cnn": network["depth"]}
    factor = 2 ** steps.get(network["architecture"], 0)
    for size in preprocessing["resize"] or [preprocessing["patch"]]:
        if size % factor:
            yield (
                f"{where}.preprocessing: a size of {size} pixels is not a multiple of {factor}, "
                f"which {network['architecture']} needs"
            )
    if side < factor:
        yield f"{where}.preprocessing: {side} pixels are too few for {network['architecture']}"


# --- Mistakes in the search of a study, at parse time (see `settings`)

OF_LOSS = ("training.loss", "training.dice", "training.class_weights")
"""Keys by which a loss gets another meaning."""

Validate = Callable[[Mapping[str, Any]], Iterable[str]]

Hint = Callable[[str, Iterable[str]], str]


def search_errors(config: Mapping[str, Any], validate: Validate, nearest: Hint) -> Iterable[str]:
    """Mistakes in all searches; each trial has to be a valid study.

    Args:
        config: a config with all defaults and without other mistakes.
        validate: gives the mistakes of a config.
        nearest: gives a hint at the nearest of known names.
    """
    for name, study in config["studies"].items():
        if study["search"] is None:
            continue
        where = f"studies.{name}.search"
        found = [*_check(where, study), *_check_space(f"{where}.space", study, nearest)]
        yield from found or _check_trials(where, name, config, validate)


def _check(where: str, study: Mapping[str, Any]) -> Iterable[str]:
    search, epochs = study["search"], study["training"]["epochs"]
    if study["kmeans"] is not None:
        yield f"{where}: K-means has no epochs; it tries `kmeans.clusters` itself"
    if search["max_epochs"] < search["min_epochs"]:
        yield f"{where}.max_epochs: is below min_epochs ({search['min_epochs']})"
    if search["max_epochs"] > epochs:
        yield f"{where}.max_epochs: is above training.epochs ({epochs}); trials are parts of that"
    if search["metric"] == "iou" and study["task"] == "classification":
        yield f"{where}.metric: classes of images have no IoU; known: accuracy, loss"
    for key in OF_LOSS:
        if search["metric"] == "loss" and key in search["space"]:
            yield f"{where}.metric: losses with another `{key}` cannot be compared; name another"
    if spaces.varies_patches(search["space"]) and study["split"]["folds"] > 1:
        yield (
            f"{where}.space: folds would get patches of their own; with split.folds only "
            f"{' and '.join(spaces.OF_TRAINING)} of the preprocessing can be searched"
        )


def _check_space(where: str, study: Mapping[str, Any], nearest: Hint) -> Iterable[str]:
    known = spaces.searchable_keys(study)
    for key, values in study["search"]["space"].items():
        if key in spaces.FIXED:
            yield f"{where}.{key}: cannot be searched: {spaces.FIXED[key]}"
        elif key not in known:
            yield f"{where}.{key}: no such key can be searched{nearest(key, known)}"
        for other in study["search"]["space"]:
            if other.startswith(f"{key}."):
                yield f"{where}.{other}: is part of `{key}`, which is searched as a whole"
        yield from _check_values(f"{where}.{key}", values)


def _check_values(where: str, values: Mapping[str, Any]) -> Iterable[str]:
    low, high, choices = values["low"], values["high"], values["choices"]
    if (choices is None) == (low is None and high is None) or (low is None) != (high is None):
        yield f"{where}: needs either `low` and `high`, or `choices`"
        return
    if choices is not None:
        if values["log"]:
            yield f"{where}.log: goes with `low` and `high`"
    elif low > high:
        yield f"{where}: low ({low}) is above high ({high})"
    elif max(abs(low), abs(high)) > spaces.LARGEST:
        yield f"{where}: values are searched up to {spaces.LARGEST:.0e}, of either sign"
    elif values["log"] and low <= 0:
        yield f"{where}.low: a logarithmic scale has no {low}"


def _check_trials(
    where: str, name: str, config: Mapping[str, Any], validate: Validate
) -> Iterable[str]:
    study = config["studies"][name]
    try:
        trials = spaces.sample(study["search"])
    except ImportError as error:
        yield f"{where}: trials are drawn where Snakemake starts: install numpy ({error})"
        return
    except CoverslipError as error:
        yield f"{where}.n_trials: {error}"
        return
    for number, values in enumerate(trials):
        alone = {**spaces.place_values(study, values), "search": None, "compare_with": None}
        found = list(validate({**config, "run": None, "studies": {name: alone}}))
        if found:
            trial = ", ".join(f"{key}: {value}" for key, value in values.items())
            yield from (f"{line} (trial {number} of the search, {trial})" for line in found)
            return


# --- Lines of config files: where each key is written, and which key is written twice

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

MAX_DEPTH = 100
"""Most levels of a config: libyaml composes without a limit, until the process crashes."""


def read_key_lines(paths: Iterable[Path]) -> dict[str, str]:
    """Return `file, line n` of each key by its path in the config, as in `studies.mine.seeds`.

    Args:
        paths: YAML or JSON files; a key counts where the last of them has it.

    Raises:
        CoverslipError: a file has a key twice, of which YAML would drop the first; or it is no
            file of text.
    """
    lines: dict[str, str] = {}
    twice: list[str] = []
    for path in paths:
        shown = os.path.relpath(path)
        try:
            # Tabs may indent JSON, and never YAML.
            text = Path(path).read_text(encoding="utf-8").expandtabs()
            if _depth(text) > MAX_DEPTH:
                raise CoverslipError(
                    f"{shown}: more than {MAX_DEPTH} levels: no config has as many"
                )
            root = yaml.compose(text, LOADER)
            yaml.load(text, LOADER)  # raises an error where a tag or a key is no data
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise CoverslipError(f"{shown}: not YAML ({error})") from error
        own: dict[str, str] = {}
        for key, line in _keys(root, (), set()):
            if key in own:
                twice.append(
                    f"{shown}, line {line}: {key}: is also in line {own[key]}, which YAML would "
                    "ignore: remove or rename one of them"
                )
            own.setdefault(key, str(line))
        lines |= {key: f"{shown}, line {line}" for key, line in own.items()}
    if twice:
        raise CoverslipError("the config has keys twice:\n" + "\n".join(f"  {m}" for m in twice))
    return lines


def _depth(text: str) -> int:
    """Return the levels of a YAML text, up to those that are too many to compose it."""
    depth = deepest = 0
    for event in yaml.parse(text, LOADER):
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        deepest = max(deepest, depth)
        if deepest > MAX_DEPTH:
            break
    return deepest


def place_of(key: str, lines: dict[str, str]) -> str:
    """Return where a key, or else the section around it, is written; empty where no file has it."""
    while key and key not in lines:
        key = key.rpartition(".")[0]
    return lines.get(key, "")


def _keys(
    node: yaml.Node | None, parents: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[str, int]]:
    """Yield the path of each key below a node, and its line from 1; aliases are followed once."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for number, item in enumerate(node.value):
            yield from _keys(item, (*parents, str(number)), seen)
    elif isinstance(node, yaml.MappingNode):
        names = set()
        for key, value in node.value:
            path = (*parents, str(key.value))
            if key.tag != "tag:yaml.org,2002:merge":
                yield ".".join(path), key.start_mark.line + 1
            if path not in names:  # of a key that is there twice, one message is enough
                yield from _keys(value, path, seen)
            names.add(path)
