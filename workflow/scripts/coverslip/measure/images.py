"""Measuring own images, one shard of a folder at a time, each file once.

What was found in a file is kept in an entry of its own under `results/state/measure`, whose name is
a digest of all that it depends on: the file's content, the model, the settings, the code and the
packages. So only new and changed files are computed, whichever shard they fall into, and a run that
was killed goes on where it was. The folder of entries may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import pandas as pd

from coverslip.config.sections import Measure
from coverslip.data.image_suffixes import ZARR
from coverslip.data.readers.planes import Plane, failed
from coverslip.data.readers.raster import Unread
from coverslip.errors import CoverslipError
from coverslip.files import atomic_write, read_sha256
from coverslip.imaging.rows import Whole
from coverslip.measure.image_result import ImageResult
from coverslip.measure.input_folder import (
    ELSEWHERE,
    beside,
    list_images,
    model_files,
    own_results,
    parts,
    printable_name,
    shard_of,
)
from coverslip.measure.planes import measured_planes
from coverslip.measure.regionprops import load_cp_measure
from coverslip.measure.tables import SHARD_COLUMNS, join_objects, link_file
from coverslip.measure.tool_images import LabelImages, labels_digest, load_model
from coverslip.models.kmeans import choose_clusters
from coverslip.models.model import WHOLE, Model, load, needs_keras
from coverslip.pipeline import folder_inventory
from coverslip.runtime import device
from coverslip.runtime.oom import OutOfMemory
from coverslip.runtime.run_record import versions

PACKAGES = (
    *("numpy", "scipy", "scikit-image", "opencv-python-headless", "pillow", "tifffile"),
    *("imagecodecs", "zarr", "numcodecs", "keras", "tensorflow", "tensorflow-cpu", "onnxruntime"),
    *("roifile", "cp-measure"),
)
"""Packages whose versions change what is read or measured."""

WORKERS = 4
"""Files that are measured at once at most: each takes memory."""

TOGETHER = 2**22
"""Planes of more pixels are measured one at a time."""


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
    exports: Path
    """Folder of objects for other programs, `<image>.roi.zip` and `<image>.geojson`."""


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
    classifier: Path | None = None,
) -> int:
    """Measure the images of one shard; return how many files had to be computed.

    Files that cannot be read have a row with the reason in the column `error`.

    Args:
        folder: the images, at any depth; other files are left aside.
        notes: the inventory of the folder, see `inventory.contents`.
        shard: number of the shard, from 0; an image's name selects its shard.
        shards: number of shards.
        model: the model folder.
        settings: the section `measure` of the config.
        code: digest of the code.
        state: folder of the entries.
        outputs: what is written.
        threads: CPU threads.
        report: is given a line for the log now and then.
        classifier: folder of a model of classes, for the objects.

    Raises:
        CoverslipError: the folder or the model cannot be read.
    """
    known = folder_inventory.entries(folder, notes, skip=own_results(folder)) or {}
    found = list_images({name: entry[-1] for name, entry in known.items()})
    names = [name for name in found if shard_of(name, shards) == shard]
    if settings.features == "all":
        load_cp_measure()  # without it the job ends, and not each image
    facts = [
        model_digest(model),
        settings.model_dump(mode="json", exclude=set(ELSEWHERE)),
        code,
        versions(PACKAGES),
    ]
    if classifier is not None:
        facts.append(model_digest(classifier))
    keys = {name: entry_key(found[name], facts) for name in names}
    missing: dict[str, str] = {}
    for name, key in keys.items():
        if not (entry_path(state, key) / "record.json").is_file():
            missing.setdefault(key, name)
    report(f"shard {shard}: {len(names)} files, {len(missing)} of them to be computed")
    if missing:
        workers = max(1, min(threads, len(missing), WORKERS))
        network = load_model(model, threads=max(1, threads // workers))
        of_objects = None if classifier is None else load(classifier, threads=network.threads)
        if settings.mixed_precision or any(map(needs_keras, filter(None, (network, of_objects)))):
            found_device = device.prepare(threads=threads)
            network.policy = found_device.dtype_policy if settings.mixed_precision else None
            report(found_device.line(network.policy or "float32"))
            workers = 1
        choose_clusters(network, settings.clusters, settings.foreground_clusters)
        network.predictor()  # a model that cannot predict ends the job, an image does not
        files = parts(known)
        todo = []
        for key, name in missing.items():
            zarr = name.lower().endswith(ZARR)
            entry = ImageResult(entry_path(state, key), of_objects, zarr)
            todo.append(File(folder, name, files[name], entry))
        changed = []
        alone = Lock()
        with ThreadPoolExecutor(workers) as pool:
            done = pool.map(lambda file: _measure_file(network, file, settings, alone), todo)
            for count, file in enumerate(done, start=1):
                if not file.kept:
                    changed.append(file.name)
                if count % 100 == 0:
                    report(f"shard {shard}: {count} of {len(missing)} files computed")
        if changed:
            more = f" (and {len(changed) - 1} more)" if len(changed) > 1 else ""
            raise CoverslipError(
                f"{folder / changed[0]}{more}: changed, or could not be read, while it was "
                "measured: run again; all others are kept"
            )
    _assemble({name: entry_path(state, key) for name, key in keys.items()}, outputs)
    for file in todo if missing else ():
        if not file.entry.lasting:  # it may go better with more memory
            shutil.rmtree(file.entry.path)
    return len(missing)


@dataclass
class File:
    """An image to be measured.

    Attributes:
        folder: where it is, by its `name` from there.
        known: state of its file, or of all its files, when its digest was taken.
        entry: where the results go.
        kept: whether the results were kept, since the file did not change meanwhile.
    """

    folder: Path
    name: str
    known: Mapping[str, folder_inventory.Known]
    entry: ImageResult
    kept: bool = False

    def planes(self, settings: Measure) -> Iterator[Plane]:
        """Read it plane by plane; what is no readable file is not opened."""
        reasons = [found[-1] for found in self.known.values()]
        reason = next((r for r in reasons if r.startswith(folder_inventory.UNREADABLE)), None)
        if reason is not None:
            yield Plane(
                1, error=f"cannot be read ({reason.removeprefix(folder_inventory.UNREADABLE)})"
            )
        elif folder_inventory.NO_FILE in reasons:
            yield Plane(1, error="holds what is no regular file (a pipe, a device, a link)")
        else:
            yield from measured_planes(self.folder / self.name, settings)


def model_digest(folder: Path) -> str:
    """SHA-256 of the weights and `model.json` of a model folder, and of its members; or of the
    label images of a tool."""
    if not (folder / "model.json").is_file():
        return labels_digest(folder)
    total = hashlib.sha256()
    for path in model_files(folder):
        total.update(f"{Path(path).name}\t{read_sha256(path)}\n".encode())
    return total.hexdigest()


def entry_key(content: str, facts: list) -> str:
    """Name of an entry: a digest of the file's content and of all else that it depends on."""
    return hashlib.sha256(json.dumps([content, facts], sort_keys=True).encode()).hexdigest()


def entry_path(state: Path, key: str) -> Path:
    """Folder of an entry; a folder of folders, since there may be many."""
    return state / key[:2] / key[:40]


def _measure_file(network: Model, file: File, settings: Measure, alone: Lock) -> File:
    """Measure a file and keep the results, or leave nothing of them on an error or a change.

    The lock `alone` is held while a large plane is measured, so that one at a time is in memory.
    """
    try:
        _measure_planes(network, file, settings, alone)
        file.kept = not (
            file.entry.lost or folder_inventory.changed(file.folder, file.name, file.known)
        )
        if file.kept:
            file.entry.close()
        else:
            file.entry.clear()
    except BaseException:
        file.entry.clear()
        raise
    return file


def _measure_planes(network: Model, file: File, settings: Measure, alone: Lock) -> None:
    """Measure all planes of a file; some may have an error. A full disk ends the job."""
    for plane in file.planes(settings):
        source = plane.rows if plane.image is None else Whole(plane.image)
        if source is None:
            file.entry.refuse(plane)
            continue
        pixels = source.shape[0] * source.shape[1]
        try:
            with alone if pixels > TOGETHER else nullcontext():
                model = network
                if isinstance(network, LabelImages):
                    model = network.of_plane(file.name, plane.page)
                file.entry.add(plane, source, model, settings)
        except OSError:
            raise
        except Exception as error:  # libraries raise almost anything on odd images
            if isinstance(error, OutOfMemory) and network.info["kind"] not in WHOLE:
                raise  # a single tile is too much, for any image
            why = failed(error, plane.page, plane.plane, "measured")
            if isinstance(error, Unread):  # rows are read on the way, so damage shows late
                why = replace(error.plane, page=plane.page, plane=plane.plane)
            file.entry.refuse(why)


def _assemble(entries: Mapping[str, Path], outputs: Outputs) -> None:
    """Write the tables of a shard, and link its label images, overlays and exports."""
    rows: list[dict[str, Any]] = []
    _, _, labels, overlays, exports = outputs
    folders = {".tif": labels, ".zarr": labels, ".png": overlays, ".jpg": overlays}
    folders |= {".zip": exports, "geojson": exports}
    for folder in (labels, overlays, exports):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    tables = {}
    for name, entry in entries.items():
        record = json.loads((entry / "record.json").read_text(encoding="utf-8"))
        name = printable_name(name)
        rows += [{"image": name, **row} for row in record["planes"]]
        tables[name] = entry / "objects.csv"
        for file in sorted(path for path in entry.rglob("*") if path.is_file()):
            first, *inside = file.relative_to(entry).parts
            for ending, folder in folders.items():
                if first.endswith(ending):
                    link_file(file, folder.joinpath(beside(name, first), *inside))
    join_objects(tables, outputs.objects)
    with atomic_write(outputs.images) as part:
        pd.DataFrame(rows, columns=SHARD_COLUMNS).to_csv(part, index=False)
