"""Model folders made to do harm: no code of theirs runs, and the message names the file."""

import ast
import io
import json
import pickle
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from property_settings import FEW, ODD, parts_of

from coverslip.config.sections import Preprocessing
from coverslip.errors import CoverslipError
from coverslip.models import model as models

IMAGE = np.zeros((16, 16, 3), np.uint8)
FACTS = {
    "classes": ["background", "foreground"],
    "preprocessing": {"patch": 16, "channels": "rgb"},
    "fitted": {},
    "threshold": 0.5,
}


class Writes:
    """Pickled, it writes a file where it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.write_text, (Path(self.path), "gone wrong")


@pytest.fixture
def folder(tmp_path):
    """A whole model folder."""
    inputs = keras.Input((None, None, 3))
    network = keras.Model(inputs, keras.layers.Conv2D(1, 1)(inputs))
    models.save(tmp_path / "model", network, FACTS)
    assert next(models.load(tmp_path / "model").predict([IMAGE])).shape == (16, 16, 1)
    return tmp_path / "model"


def refused(folder):
    before = sorted(folder.parent.rglob("*"))
    with pytest.raises(CoverslipError, match=r"model\.keras: cannot be loaded") as error:
        next(models.load(folder).predict([IMAGE]))
    assert "\n" not in str(error.value)
    assert sorted(folder.parent.rglob("*")) == before, "something was written"
    return str(error.value)


def rewritten(folder, change):
    """Change the network's description and leave its weights."""
    path = folder / "model.keras"
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    config = json.loads(files["config.json"])
    change(config)
    files["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


@pytest.mark.reliability(
    "D13",
    "a network with lambda layers",
    "not run; one line",
)
def test_a_lambda_layer(folder):
    inputs = keras.Input((None, None, 3))
    hidden = keras.layers.Lambda(lambda x: x * 2)(inputs)
    keras.Model(inputs, keras.layers.Conv2D(1, 1)(hidden)).save(folder / "model.keras")
    assert "lambda" in refused(folder).lower()


def test_a_lambda_layer_in_a_classification(tmp_path):
    inputs = keras.Input((16, 16, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(inputs)
    whole = keras.Model(inputs, keras.layers.Dense(2)(pooled))
    models.save(tmp_path / "model", whole, FACTS | {"head": "classification", "threshold": None})
    assert next(models.load(tmp_path / "model").predict([IMAGE])).shape == (2,)
    hidden = keras.layers.Lambda(lambda x: x * 2)(pooled)
    keras.Model(inputs, keras.layers.Dense(2)(hidden)).save(tmp_path / "model/model.keras")
    assert "lambda" in refused(tmp_path / "model").lower()


def test_nothing_in_the_package_unpickles():
    """K-means is numbers in `model.json`; networks are read in one place, with `safe_mode`."""
    scripts = Path(models.__file__).parents[2]
    calls = {}
    for path in sorted(scripts.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            named = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            named += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            parts = {name.split(".")[0] for name in named}
            # Files of PyTorch and Cellpose are pickles: read with a list of what may be in them.
            allowed = {"pickle"} if path.name in ("weight_files.py", "label_files.py") else set()
            # Programs that run other people's tools, each in an environment of its own.
            allowed |= {"torch"} if path.parent == scripts / "tools" else set()
            unsafe = {"pickle", "joblib", "dill", "shelve", "marshal", "torch"} - allowed
            assert not parts & unsafe, path
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                assert ast.unparse(node.func) not in ("pickle.load", "pickle.loads"), path
                options = {word.arg: ast.unparse(word.value) for word in node.keywords}
                assert options.get("allow_pickle", "False") == "False", path
                calls.setdefault(node.func.attr, []).append((path.name, options.get("safe_mode")))
    assert calls["load_model"] == [("model.py", "True")]
    assert not {"enable_unsafe_deserialization", "model_from_json"} & set(calls)


@pytest.mark.parametrize(
    ("module", "name"),
    [("os", "system"), ("builtins", "eval"), ("subprocess", "run"), ("pathlib", "Path")],
)
@pytest.mark.reliability(
    "D13",
    "a network with functions of other modules (`os.system`)",
    "not run; one line",
)
def test_a_function_of_another_module(folder, module, name):
    def change(config):
        layer = config["config"]["layers"][1]
        layer |= {"module": module, "class_name": name, "registered_name": name}

    rewritten(folder, change)
    refused(folder)


@pytest.mark.parametrize("module", ["os", "builtins"])
def test_a_function_as_activation(folder, module):
    name = {"os": "system", "builtins": "eval"}[module]

    def change(config):
        layer = config["config"]["layers"][1]["config"]
        layer["activation"] = {
            "module": module,
            "class_name": "function",
            "config": name,
            "registered_name": name,
        }

    rewritten(folder, change)
    refused(folder)


@pytest.mark.reliability(
    "D13",
    "a pickle in place of `model.keras`",
    "not run; one line",
)
def test_a_pickle_in_place_of_the_network(folder):
    made = folder.parent / "made"
    (folder / "model.keras").write_bytes(pickle.dumps(Writes(made)))
    refused(folder)
    assert not made.exists()


def test_a_pickle_in_place_of_the_weights(folder):
    made = folder.parent / "made"
    data = io.BytesIO()
    np.save(data, np.array([Writes(made)], dtype=object), allow_pickle=True)
    path = folder / "model.keras"
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json")
    for name in ("model.weights.npz", "model.weights.h5"):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", config)
            archive.writestr("metadata.json", "{}")
            archive.writestr(name, data.getvalue())
        refused(folder)
        assert not made.exists()


def test_an_old_file_in_place_of_the_network(folder):
    with h5py.File(folder / "model.keras", "w") as file:
        file.attrs["model_config"] = json.dumps({"class_name": "Lambda", "config": {}})
    refused(folder)


@pytest.mark.reliability(
    "D30",
    "a truncated `model.keras`",
    "one line that calls it damaged",
)
def test_a_truncated_network(folder):
    path = folder / "model.keras"
    path.write_bytes(path.read_bytes()[:-100])
    assert "truncated or damaged" in refused(folder)


def changed(folder, **changes):
    path = folder / "model.json"
    text = json.dumps(json.loads(path.read_text()) | changes)
    path.write_text(text)
    return path


INSTANCES = {"threshold": 0.5, "seed": 0.5, "min_area_px": 9}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"threshold": float("nan")}, "not JSON .NaN is no number"),
        ({"threshold": float("inf")}, "not JSON .Infinity is no number"),
        ({"licence": float("nan")}, "not JSON .NaN is no number"),
        ({"threshold": 2}, "`threshold`: .* less than or equal to 1"),
        ({"threshold": -1}, "`threshold`: .* greater than or equal to 0"),
        ({"threshold": "abc"}, "`threshold`: .* valid number"),
        ({"threshold": None}, "no `threshold`"),
        ({"threshold": [0.5]}, "`threshold`"),
        ({"head": "bogus"}, "`head`: Input should be 'semantic', 'instance' or 'classification'"),
        ({"head": None}, "`head`"),
        ({"head": "instance"}, "no `instances`"),
        ({"head": "instance", "instances": INSTANCES}, "not the 4 classes"),
        ({"instances": INSTANCES | {"seed": "x"}}, "`instances.seed`"),
        ({"instances": INSTANCES | {"min_area_px": -1}}, "`instances.min_area_px`"),
        ({"head": "classification", "threshold": None}, "not an output a class"),
        ({"temperature": 0}, "`temperature`"),
        ({"kind": "bogus"}, "unknown kind of model"),
        ({"kind": ["network"]}, "`kind`|unknown kind of model"),
        ({"num_classes": 0}, "`num_classes`"),
        ({"num_classes": 10**9}, "`num_classes`"),
        ({"classes": None}, "`classes`"),
        ({"fitted": None}, "`fitted`"),
        ({"fitted": {"mean": ["x"]}}, "`fitted.mean.0`"),
        ({"preprocessing": {"patch": 10**9}}, "`preprocessing.patch`: .* less than or equal to"),
        ({"preprocessing": {"resize": [0, 16]}}, "`preprocessing.resize.0`: .* greater than"),
        ({"preprocessing": {"input_scaling": "zscore"}}, "`fitted` is not of 3 channels"),
        ({"preprocessing": {"chanels": "grey"}}, "`preprocessing.chanels`"),
        ({"format": 2, "num_classes": {}}, "`num_classes`"),
        ({"patch": "x"}, "`patch`"),
        ({"patch": [16, 10**9]}, "`patch.1`"),
        ({"channels": 0}, "`channels`"),
    ],
)
@pytest.mark.reliability(
    "D9",
    "`model.json` with NaN, unknown heads or kinds, thresholds out of range, wrong types, "
    "absurd sizes",
    "one line that names file and fix",
)
def test_a_value_that_cannot_be_is_named_when_the_folder_is_read(folder, changes, words):
    path = changed(folder, **changes)
    with pytest.raises(CoverslipError, match=words) as error:
        models.load(folder)
    assert str(error.value).startswith(str(path)) and "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "[" * 100_000, "null", "1e999", '{"format": 1e999}', "\xff"])
@pytest.mark.reliability(
    "D13",
    "`model.json` that is no JSON, or no object",
    "one line that names file and fix",
)
def test_what_is_no_model_json(folder, text):
    (folder / "model.json").write_text(text, encoding="latin-1")
    with pytest.raises(CoverslipError, match="model.json: (not JSON|not written by coverslip)"):
        models.load(folder)


CLUSTERS = {"number": 3, "cells": [1]}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"clusters": CLUSTERS | {"cells": [99]}}, "cells are the clusters"),
        ({"clusters": CLUSTERS | {"cells": [300]}}, "cells are the clusters"),
        ({"clusters": CLUSTERS | {"cells": []}}, "cells are the clusters"),
        ({"clusters": CLUSTERS | {"cells": None}}, "cells are the clusters"),
        ({"clusters": CLUSTERS | {"number": 10**9}}, "1000000000 clusters"),
        ({"clusters": None}, "no valid clusters"),
        ({"kmeans": {"features": "bogus"}}, "no valid clusters"),
        ({"seed": "x"}, "no valid clusters"),
    ],
)
@pytest.mark.reliability(
    "D9",
    "K-means clusters that do not exist or are not numbers",
    "one line that names file and fix",
)
def test_clusters_that_cannot_be(tmp_path, changes, words):
    facts = FACTS | {
        "format": 2,
        "kind": "kmeans",
        "num_classes": 1,
        "seed": 1,
        "clusters": CLUSTERS,
    }
    facts["kmeans"] = {"features": "raw_color"}
    (tmp_path / "model.json").write_text(json.dumps(facts))
    models.load(tmp_path)
    changed(tmp_path, **changes)
    with pytest.raises(CoverslipError, match=words) as error:
        models.load(tmp_path)
    assert "\n" not in str(error.value)


PREPROCESSING = Preprocessing(channels="rgb", patch=16, normalization="percentile").model_dump()
WHOLE = {
    "kmeans": FACTS
    | {"format": 2, "kind": "kmeans", "num_classes": 1, "seed": 1, "clusters": CLUSTERS}
    | {"kmeans": {"features": "raw_color"}, "preprocessing": PREPROCESSING},
    "network": FACTS
    | {"format": 2, "kind": "network", "num_classes": 4, "head": "instance", "temperature": 1.0}
    | {"instances": INSTANCES, "preprocessing": PREPROCESSING},
}
PLACES = sorted(((kind, p) for kind in WHOLE for p in parts_of(WHOLE[kind])), key=str)


@pytest.mark.reliability(
    "D13",
    "any value in any place of `model.json` (property test)",
    "predictions, or one line that names the file",
)
@FEW
@given(st.sampled_from(PLACES), ODD)
def test_any_value_in_any_place_of_model_json(tmp_path_factory, place, value):
    kind, path = place
    info = json.loads(json.dumps(WHOLE[kind]))
    node = info
    for key in path[:-1]:
        node = node[key]
    node[path[-1]] = value
    folder = tmp_path_factory.mktemp("model")
    (folder / "model.json").write_text(json.dumps(info))
    try:
        loaded = models.load(folder)
        if kind == "kmeans":
            assert next(loaded.predict([IMAGE])).shape == (16, 16, 1)
    except CoverslipError as error:
        assert str(error).startswith(str(folder)) and str(error).isprintable()


def conv(filters=1, channels=3, sides=(None, None), **more):
    inputs = keras.Input((*sides, channels))
    return keras.Model(inputs, keras.layers.Conv2D(filters, 1, **more)(inputs))


def two_inputs():
    first, second = keras.Input((None, None, 3)), keras.Input((None, None, 3))
    return keras.Model([first, second], keras.layers.Conv2D(1, 1)(first + second))


def dense():
    inputs = keras.Input((16, 16, 3))
    return keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(inputs)))


def sequential():
    return keras.Sequential([keras.Input((None, None, 3)), keras.layers.Conv2D(1, 1)])


def not_a_number():
    network = conv()
    network.set_weights([np.full((1, 1, 3, 1), np.nan, np.float32), np.zeros(1)])
    return network


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (lambda: conv(filters=2), "gives .16, 16, 2., and not .16, 16, 1."),
        (lambda: conv(channels=1), "takes"),
        (lambda: conv(sides=(32, 32)), "takes"),
        (lambda: conv(strides=2), "gives .8, 8, 1., and not"),
        (dense, "gives .1,., and not .16, 16, 1."),
        (two_inputs, "takes"),
        (sequential, "is a Sequential, and no functional network"),
        (not_a_number, "has weights that are no numbers"),
    ],
)
@pytest.mark.reliability(
    "D13",
    "a network with other inputs, outputs or sizes than `model.json`, or weights that are not"
    " finite",
    "one line that names file and fix",
)
def test_a_network_of_another_model_json(folder, network, words):
    network().save(folder / "model.keras")
    with pytest.raises(CoverslipError, match=rf"model\.keras: .*{words}") as error:
        next(models.load(folder).predict([IMAGE]))
    assert "\n" not in str(error.value)
