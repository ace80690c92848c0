"""Ingest: from an archive of images and masks to the dataset contract.

Images are decoded and their masks merged in worker processes that open the archive themselves;
this process only writes. Results are written in the order of the ids, and no more than a few wait
at any time: the bytes written do not depend on the number of processes, nor the memory on that of
images.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import multiprocessing
import signal
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from coverslip.config.sections import Dataset
from coverslip.data import decode, label_files
from coverslip.data.archive import Archive, open_archive
from coverslip.data.formats import Sample, read_samples
from coverslip.data.image_store import ImageStoreWriter
from coverslip.data.readers.scenes import TRANSPARENT
from coverslip.data.tables import write_manifest
from coverslip.errors import CoverslipError
from coverslip.files import atomic_write, read_sha256, report_disk_full
from coverslip.imaging import labels

LOG = logging.getLogger("coverslip")

FORMAT = 1
"""Version of the dataset contract; to be raised when its files change their meaning."""

WAITING = 2
"""Images that are under way at any time, for each process."""


class Reading(NamedTuple):
    """Settings of a dataset on the pixels of its files."""

    threshold: int
    """Mask values above it are foreground."""
    channel: int | str | None = None
    z: int | str = "all"
    """See `coverslip.data.readers.read_planes`."""


class IngestedImage(NamedTuple):
    """An image that is ready to be written."""

    image: np.ndarray
    label: np.ndarray | None
    row: dict[str, object]
    contents: dict[str, str]
    kind: str
    note: str
    """What was left out of the image or assumed about it."""


def ingest(
    source: Path, dataset: Dataset, images: Path, manifest: Path, summary: Path, processes: int
) -> None:
    """Bring a raw archive or folder into the dataset contract.

    Args:
        source: a zip archive or a folder.
        dataset: its section of the config.
        images: the store to write (HDF5).
        manifest: the manifest to write (csv), see `coverslip.data.tables`.
        summary: facts of the whole dataset (JSON): layout, digest of the archive and of the files
            read, numbers of images and objects, and `n_objects_by`: how many images have objects
            that are masks, labels or connected components. Title, licence and citation are not
            among them, since they are no parameters: a changed word reads no archive again. Report
            and crate take them from the config. Images of a layout without masks have no label
            map in the store.
        processes: number of worker processes; with 1 all is done in this one. The files do not
            depend on it.

    Raises:
        CoverslipError: bad input, named with its file, or no space left. All three files appear, or
            none.
    """
    source, images = Path(source), Path(images)
    with report_disk_full(images) as progress, contextlib.ExitStack() as stack:
        summary_part = stack.enter_context(atomic_write(summary))
        manifest_part = stack.enter_context(atomic_write(manifest))
        store = stack.enter_context(ImageStoreWriter(images))
        archive = stack.enter_context(open_archive(source, images.parent, dataset.source.limits))
        digest = None if archive.is_folder else check_digest(source, read_sha256(source), dataset)
        found = read_samples(dataset.format, archive, dataset)
        contents = dict(archive.digests)
        groups = {record.id: record.group or "" for record in found}
        LOG.debug("%s: %d images", source, len(found))
        rows = []
        totals: Counter[str] = Counter()
        notes: Counter[str] = Counter()
        reading = Reading(dataset.mask_threshold, dataset.channel, dataset.z)
        for image in process_samples(archive, found, reading, processes):
            row = {**image.row, "group": groups[str(image.row["id"])]}
            store.image(str(row["id"]), image.image)
            if image.label is not None:
                store.label(str(row["id"]), image.label)
            rows.append(row)
            contents.update(image.contents)
            totals.update({image.kind: 1, "transparent": int(TRANSPARENT in image.note)})
            # What is in brackets differs from image to image.
            notes.update(note.split(" (")[0] for note in image.note.split("; ") if note)
            progress.note(len(rows) / len(found), store.size())
        inventory = inventory_digest(contents)
        digest = digest or check_digest(source, inventory, dataset)
        table = pd.DataFrame(rows)
        write_manifest(table, manifest_part)
        facts = describe_dataset(dataset, table, totals)
        facts["source"] = {
            "name": source.resolve().name,
            "kind": "folder" if archive.is_folder else "zip",
            "sha256": digest,
            "contents_sha256": inventory,
        }
        text = json.dumps(facts, indent=1, ensure_ascii=False)
        summary_part.write_text(text + "\n", encoding="utf-8")
    for note, count in notes.items():
        LOG.warning("%s: %d images: %s", source, count, note)


def describe_dataset(
    dataset: Dataset, table: pd.DataFrame, totals: Counter[str]
) -> dict[str, object]:
    """Facts of a dataset for `dataset.json`, but for its source."""
    return {
        "format": FORMAT,
        "dataset_format": dataset.format,
        "mask_threshold": dataset.mask_threshold,
        "images": len(table),
        "n_objects": int(table["n_objects"].sum()),
        "n_objects_by": {kind: totals[kind] for kind in ("mask", "label", "component")},
        "overlap_pixels": int(table["overlap_pixels"].sum()),
        "empty_masks": int(table["empty_masks"].sum()),
        "transparency_dropped": totals["transparent"],
    }


def check_digest(source: Path, digest: str, dataset: Dataset) -> str:
    """Return a digest that is the one of the config, or that none is asked for.

    Raises:
        CoverslipError: another digest.
    """
    expected = dataset.source.sha256
    if expected not in (None, digest):
        raise CoverslipError(
            f"{source}: its SHA-256 is {digest}, but the config says {expected}: "
            "get the archive again, or fix `source.sha256`"
        )
    return digest


def inventory_digest(contents: dict[str, str]) -> str:
    """SHA-256 over the names and the SHA-256 of all members read, in the order of the names.

    It is the same for a folder and for a zip archive of what is in it.
    """
    lines = "".join(f"{digest}  {member}\n" for member, digest in sorted(contents.items()))
    return hashlib.sha256(lines.encode("utf-8", "surrogateescape")).hexdigest()


def process_samples(
    archive: Archive, found: list[Sample], reading: Reading, processes: int
) -> Iterator[IngestedImage]:
    """Yield the images of all records in their order, worked out by some processes."""
    processes = min(processes, len(found))
    if processes <= 1:
        for record in found:
            yield work(archive, record, reading)
        return
    # Fork where there is one: other methods import the main script again, which would run it again.
    methods = multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("fork" if "fork" in methods else None)
    pool = ProcessPoolExecutor(processes, context, initializer=start, initargs=(archive, reading))
    try:
        with pool:
            try:
                yield from map_in_order(pool, found, WAITING * processes)
            finally:
                pool.shutdown(wait=True, cancel_futures=True)
    except BrokenProcessPool as error:
        raise CoverslipError(
            f"{archive.path}: a worker process was killed, most likely for want of memory: "
            "give the job more memory or fewer threads"
        ) from error


def map_in_order(
    pool: ProcessPoolExecutor, found: Iterable[Sample], waiting: int
) -> Iterator[IngestedImage]:
    """Yield results in the order of the records, with at most `waiting` under way."""
    queue: deque[Future[IngestedImage]] = deque()
    for record in found:
        queue.append(pool.submit(work_here, record))
        if len(queue) >= waiting:
            yield queue.popleft().result()
    while queue:
        yield queue.popleft().result()


WORKER: dict[str, Any] = {}
"""What a worker process keeps between images."""


def start(archive: Archive, reading: Reading) -> None:
    """Begin a worker process with files of its own: a shared one would share its position."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the job
    WORKER.update(archive=archive.reopen(), reading=reading)


def work_here(record: Sample) -> IngestedImage:
    """`work` in a worker process."""
    return work(WORKER["archive"], record, WORKER["reading"])


def work(archive: Archive, record: Sample, reading: Reading) -> IngestedImage:
    """Decode an image and merge its masks, if it has any.

    Raises:
        CoverslipError: a member cannot be decoded, or a mask has another size than its image.
    """
    contents: dict[str, str] = {}
    threshold = reading.threshold

    def read(member: str) -> bytes:
        data = archive.read(member)
        contents[member] = hashlib.sha256(data).hexdigest()
        return data

    def named(member: str) -> str:
        return f"{archive.path}: {member}"

    pixels = round(archive.limits.megapixels * 1e6)
    image, note = decode.image(read(record.image), named(record.image), pixels, *reading[1:])
    shape = (image.shape[0], image.shape[1])

    def mask(member: str) -> np.ndarray:
        values = decode.mask(read(member), named(member), pixels)
        label_files.check_shape(values, shape, named(member))
        return values > threshold

    if record.draw is not None:
        merged = record.draw(image.shape[:2])
    elif record.whole:
        member = record.masks[0]
        merged = label_files.read_label_bytes(read(member), named(member), shape, threshold, pixels)
    else:
        merged = labels.from_masks(map(mask, record.masks), shape)
    label, kind = None, "none"
    if record.masks or record.draw is not None:
        # The smallest type that holds the labels: less to send; the store keeps int32.
        label, kind = merged.label.astype(np.min_scalar_type(merged.objects)), merged.kind
    row = {
        "id": record.id,
        "class": record.label or "",
        "height": image.shape[0],
        "width": image.shape[1],
        "channels": image.shape[2],
        "dtype": image.dtype.name,
        "sha256": pixel_digest(image),
        "member": record.image,
        "n_objects": merged.objects,
        "foreground": float((merged.label > 0).mean()),
        "overlap_pixels": merged.overlap_pixels,
        "empty_masks": merged.empty_masks,
    }
    return IngestedImage(image, label, row, contents, kind, note)


def pixel_digest(image: np.ndarray) -> str:
    """SHA-256 of type, shape and pixels (little-endian, rows first) of an image."""
    total = hashlib.sha256(f"{image.dtype.name} {image.shape}".encode())
    total.update(np.ascontiguousarray(image, image.dtype.newbyteorder("<")).data)
    return total.hexdigest()
