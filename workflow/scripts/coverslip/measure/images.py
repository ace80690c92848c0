"""Measuring own images, one shard of a folder at a time, each file once.

What was found in a file is kept in an entry of its own under `results/state/measure`, whose name is
a digest of all that it depends on: the file's content, the model, the settings, the code and the
packages. So only new and changed files are computed, whichever shard they fall into, and a run that
was killed goes on where it was. The folder of entries may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from coverslip.config.sections import Measure
from coverslip.data import folder_inventory
from coverslip.files import atomic_write, read_sha256
from coverslip.imaging.field_of_view import field_of_view, fill_outside_fov
from coverslip.imaging.rows import Rows, Unfit
from coverslip.measure.blocks import add_large
from coverslip.measure.image_result import ImageResult
from coverslip.measure.input_folder import (
    ELSEWHERE,
    list_images,
    model_files,
    own_results,
    shard_of,
)
from coverslip.measure.planes import Plane
from coverslip.measure.readers import read_planes
from coverslip.measure.regionprops import OBJECTS
from coverslip.measure.tables import OBJECT_COLUMNS, SHARD_COLUMNS, link_file
from coverslip.models.model import NETWORKS, Model, load
from coverslip.runtime import device
from coverslip.runtime.run_record import versions


class Outputs(NamedTuple):
    """What is written for a shard."""

    images: Path
    """Table, one row a plane: `SHARD_COLUMNS`."""
    objects: Path
    """Table, one row an object: `OBJECT_COLUMNS`."""
    labels: Path
    """Folder of label maps, `<image>.label.tif`."""
    overlays: Path
    """Folder of overlays, `<image>.overlay.png`."""


def measure(
    folder: Path,
    notes: Path,
    shard: int,
    shards: int,
    model: Path,
    settings: Measure,
    code: str,
    state: Path,
    outputs: Outputs,
    threads: int,
    report: Callable[[str], None] = print,
) -> int:
    """Measure the images of one shard; return how many files had to be computed.

    Files that cannot be read have a row with the reason in the column `error`.

    Args:
        folder: the images, at any depth; other files are left aside.
        notes: the inventory of the folder, see `inventory.contents`.
        shard: number of the shard, from 0; an image's name tells its shard.
        shards: number of shards.
        model: the model folder.
        settings: the section `measure` of the config.
        code: digest of the code.
        state: folder of the entries.
        outputs: what is written.
        threads: CPU threads.
        report: is given a line for the log now and then.

    Raises:
        CoverslipError: the folder or the model cannot be read.
    """
    found = list_images(folder_inventory.contents(folder, notes, skip=own_results(folder)) or {})
    names = [name for name in found if shard_of(name, shards) == shard]
    network = load(model)
    facts = [model_digest(model), _facts(settings), code, versions()]
    keys = {name: entry_key(found[name], facts) for name in names}
    missing: dict[str, str] = {}
    for name, key in keys.items():
        if not (entry_path(state, key) / "record.json").is_file():
            missing.setdefault(key, name)
    report(f"shard {shard}: {len(names)} files, {len(missing)} of them to be computed")
    if missing:
        if network.info["kind"] in NETWORKS:
            found_device = device.prepare(threads=threads)
            network.policy = found_device.dtype_policy if settings.fast else None
            report(found_device.line(network.policy or "float32"))
        todo = [
            (folder / name, ImageResult(entry_path(state, key))) for key, name in missing.items()
        ]
        counted = itertools.count(1)

        def done(entry: ImageResult) -> None:
            entry.close()
            if (count := next(counted)) % 100 == 0:
                report(f"shard {shard}: {count} of {len(missing)} files computed")

        _compute(network, todo, settings, done)
    _assemble({name: entry_path(state, key) for name, key in keys.items()}, outputs)
    return len(missing)


def model_digest(folder: Path) -> str:
    """SHA-256 of the weights and `model.json` of a model folder, and of its members."""
    total = hashlib.sha256()
    for path in model_files(folder):
        total.update(f"{Path(path).name}\t{read_sha256(path)}\n".encode())
    return total.hexdigest()


def _facts(settings: Measure) -> dict[str, Any]:
    return settings.model_dump(mode="json", exclude=set(ELSEWHERE))


def entry_key(content: str, facts: list) -> str:
    """Name of an entry: a digest of the file's content and of all else that it depends on."""
    return hashlib.sha256(json.dumps([content, facts], sort_keys=True).encode()).hexdigest()


def entry_path(state: Path, key: str) -> Path:
    """Folder of an entry; a folder of folders, since there may be many."""
    return state / key[:2] / key[:40]


def _compute(
    network: Model,
    todo: list[tuple[Path, ImageResult]],
    settings: Measure,
    done: Callable[[ImageResult], None],
) -> None:
    """Predict and measure the files; hand over each entry as soon as all its planes are in it."""
    waiting: deque[tuple[ImageResult, Plane, np.ndarray, np.ndarray]] = deque()
    unfinished: list[ImageResult] = []

    def settle() -> None:
        for entry in [each for each in unfinished if each.finished]:
            unfinished.remove(entry)
            done(entry)

    def images() -> Iterator[np.ndarray]:
        for path, entry in todo:
            unfinished.append(entry)
            for plane in read_planes(path, settings.channel, settings.largest_whole):
                if plane.rows is not None:
                    _large(entry, plane, plane.rows, network, settings)
                elif plane.image is None:
                    entry.refuse(plane)
                else:
                    entry.expected += 1
                    field = field_of_view(plane.image, settings.padding)
                    waiting.append((entry, plane, plane.image, field))
                    yield fill_outside_fov(plane.image, field)
            entry.whole = True
            settle()

    for answer in network.predict(images(), "native", settings.overlap, settings.flips):
        entry, plane, image, field = waiting.popleft()
        mask, label = network.mask(answer) > 0, network.objects(answer)
        entry.add(plane, image, field, mask, label, settings)
        settle()


def _large(
    entry: ImageResult, plane: Plane, source: Rows, network: Model, settings: Measure
) -> None:
    """Measure a large plane at once, between the batches of small ones."""
    try:
        add_large(entry, plane, network, source, settings)
    except Unfit as error:  # its rows were read on the way, so damage shows late
        entry.refuse(replace(plane, rows=None, error=str(error)))


def _assemble(entries: Mapping[str, Path], outputs: Outputs) -> None:
    """Write the tables of a shard, and link its label maps and overlays."""
    rows: list[dict[str, Any]] = []
    for folder in (outputs.labels, outputs.overlays):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    with atomic_write(outputs.objects) as part:
        pd.DataFrame(columns=OBJECT_COLUMNS).to_csv(part, index=False)
        for name, entry in entries.items():
            record = json.loads((entry / "record.json").read_text(encoding="utf-8"))
            rows += [{"image": name, **row} for row in record["planes"]]
            objects = pd.read_csv(entry / "objects.csv", dtype={"page": "int64", **OBJECTS})
            objects.insert(0, "image", name)
            objects[OBJECT_COLUMNS].to_csv(part, index=False, header=False, mode="a")
            for file in sorted(entry.iterdir()):
                if file.name.endswith(".tif"):
                    link_file(file, outputs.labels / f"{name}.{file.name}")
                elif file.name.endswith(".png"):
                    link_file(file, outputs.overlays / f"{name}.{file.name}")
    with atomic_write(outputs.images) as part:
        pd.DataFrame(rows, columns=SHARD_COLUMNS).to_csv(part, index=False)
