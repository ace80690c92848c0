"""Label images of other tools: masks of Cellpose, ImageJ, QuPath, COCO, NumPy, and any image.

All are read to a label image, int32 HxW, in which 0 is background and each object has a number.
No file can run code: pickles in `.npy` are read by an unpickler that knows arrays and nothing else.
"""

from __future__ import annotations

import io
import json
import pickle
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from coverslip.data import decode, polygons
from coverslip.data.image_suffixes import SUFFIXES, ZARR
from coverslip.data.readers.planes import failed
from coverslip.data.readers.zarr import read_labels
from coverslip.errors import CoverslipError
from coverslip.imaging import labels
from coverslip.imaging.labels import LabelImage

OTHERS = (".npy", ".zip", ".roi", ".geojson", ".json")
"""Endings of label files that are no images."""

LABEL_SUFFIXES = (*SUFFIXES, *OTHERS)

ENDINGS = re.compile(r"([_-](cp_masks|masks?|labels?|seg|rois?)|[.](labels?|rois?))$", re.I)
"""What tools append to the name of an image, without the suffix of the file."""

MOST_OBJECTS = 5_000_000

MOST_UNPACKED = 1_000_000_000
"""Most objects of a file, and most bytes of a zip of ROIs."""


def candidate_stems(name: str) -> list[str]:
    """Return the names that the image of a label file can have, the likeliest first.

    Args:
        name: of the label file, without folders.

    Examples:
        >>> candidate_stems("a_cp_masks.png")
        ['a_cp_masks', 'a']
        >>> candidate_stems("a.png.label.tif")
        ['a.png.label', 'a.png', 'a']
    """
    path = PurePosixPath(name)
    found = [path.stem]
    if path.suffix.lower() in (".tif", ".tiff", ZARR) and path.stem.lower().endswith(".ome"):
        found.append(path.stem[:-4])
    for stem in list(found):
        bare = ENDINGS.sub("", stem)
        if bare and bare != stem:
            found.append(bare)
    for stem in list(found):
        if stem.lower().endswith(SUFFIXES):
            found.append(PurePosixPath(stem).stem)
    return list(dict.fromkeys(found))


def has_label_name(name: str) -> bool:
    """Return whether a file is a label file by its name alone, as `a_mask.png` or `a.geojson`."""
    path = PurePosixPath(name)
    return path.suffix.lower() in OTHERS or ENDINGS.search(path.stem) is not None


def read_label_file(path: Path, shape: tuple[int, int], threshold: int = 0) -> LabelImage:
    """Read a label file, or a folder of Zarr.

    Args:
        path: the file or folder.
        shape: height and width of its image.
        threshold: see `coverslip.imaging.labels.from_image`; for images only.

    Raises:
        CoverslipError: damaged, of another size than the image, or not a label image.

    Examples:
        >>> read_label_file(Path("a_seg.npy"), (512, 512)).label  # doctest: +SKIP
    """
    if path.is_dir():
        label = _check_readable(lambda: read_labels(path), str(path))
        return _renumber(label, shape, str(path))
    return read_label_bytes(path.read_bytes(), str(path), shape, threshold)


def read_label_bytes(
    data: bytes,
    name: str,
    shape: tuple[int, int],
    threshold: int = 0,
    pixels: int = decode.PIXELS,
) -> LabelImage:
    """Read a label file in memory; its name decides how.

    Args:
        data: its bytes.
        name: its name, also in messages.
        shape, threshold: see `read_label_file`.
        pixels: the most pixels.

    Raises:
        CoverslipError: damaged, of another size than the image, or not a label image.
    """
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in OTHERS:
        values = decode.mask(data, name, pixels)
        check_shape(values, shape, name)
        return labels.from_image(values, threshold, name, decode.is_lossy(data))
    if suffix == ".npy":
        return _renumber(_check_readable(lambda: read_npy(data, pixels), name), shape, name)
    even_odd = suffix != ".json"
    if suffix in (".zip", ".roi"):
        objects = _check_readable(lambda: list(read_rois(data)), name)
    elif suffix == ".geojson":
        objects = _check_readable(lambda: list(read_geojson(_json(data))), name)
    else:
        found = _check_readable(lambda: _json(data), name)
        if not isinstance(found, dict) or "annotations" not in found:
            even_odd = True
            objects = _check_readable(lambda: list(read_geojson(found)), name)
        else:
            return CocoFile(found, name).read(candidate_stems(PurePosixPath(name).name), shape)
    return polygons.label_map(objects, shape, even_odd)


def check_shape(label: np.ndarray, shape: tuple[int, int], name: str) -> None:
    """Raise a CoverslipError where a label image has another size than its image."""
    if label.shape != tuple(shape):
        raise CoverslipError(
            f"{name}: mask of {'x'.join(map(str, label.shape))} pixels, but its image has "
            f"{shape[0]}x{shape[1]}: give both the same height and width"
        )


def _renumber(label: np.ndarray, shape: tuple[int, int], name: str) -> LabelImage:
    values = decode.whole_numbers(label[:, :, np.newaxis], name)
    check_shape(values, shape, name)
    if values.min(initial=0) < 0:
        raise CoverslipError(f"{name}: mask with negative values: save it with values from 0 up")
    if label.dtype.kind == "b":
        return labels.from_image(values, 0, name)
    numbered, count = labels.renumber(values)
    return LabelImage(numbered, count, 0, 0, "label")


def _check_readable(read: Callable[[], Any], name: str) -> Any:
    """What a reader gives, or one line why it gives nothing."""
    try:
        return read()
    except Exception as error:  # damaged files make the libraries raise almost anything
        raise CoverslipError(
            f"{name}: {failed(error, 1).error.removeprefix(f'{name}: ')}"
        ) from error


def _mask(parts: list[polygons.Polygon], shape: tuple[int, int]) -> np.ndarray:
    window, part = polygons.mask_of(parts, shape)
    mask = np.zeros(shape, bool)
    mask[window] = part
    return mask


# --- NumPy and Cellpose


class _Dtype:
    """Type of an array in a pickle: a number, a text or objects."""

    def __init__(self, text: str, *_: Any) -> None:
        if not re.fullmatch(r"[biufcSU]\d+|O8?|V8", str(text)):
            raise pickle.UnpicklingError(f"holds an array of the type {str(text)[:40]!r}")
        self.text = str(text)
        self.order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1] if state[1] in ("<", ">", "|") else "="


class _Array:
    """An array in a pickle; `value` is the array, or a list of objects."""

    value: Any = None

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, columns, data = state
        if dtype.text.startswith("O"):
            self.value = list(data)
        elif dtype.text[0] in "biuf":
            kind = np.dtype(dtype.text).newbyteorder(dtype.order)
            array = np.frombuffer(data, kind)
            self.value = array.reshape(tuple(shape), order="F" if columns else "C")


class ArraysOnly(pickle.Unpickler):
    """Unpickler of arrays, numbers, texts, lists and dicts.

    A file cannot name any function of Python or NumPy: what it calls builds the two classes above.
    """

    def find_class(self, module: str, name: str) -> Any:
        """Return what replaces a name in a pickle; raise UnpicklingError for unknown ones."""
        known: dict[str, Any] = {}
        if module == "numpy":
            known = {"ndarray": _Array, "dtype": _Dtype}
        if re.fullmatch(r"numpy\.(_core|core)\.multiarray", module):
            known = {"_reconstruct": _Array, "scalar": _Array}
        if module == "_codecs":
            known = {"encode": _encode}
        if name not in known:
            raise pickle.UnpicklingError(f"holds {module}.{name}, which is not an array")
        return known[name]


def _encode(text: str, encoding: str = "latin1") -> bytes:
    """Bytes, as pickles of the protocol 2 store them."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"holds text in {encoding}")
    return text.encode("latin1")


def read_npy(data: bytes, pixels: int) -> np.ndarray:
    """Read a label image of NumPy, or the masks of a `_seg.npy` of Cellpose.

    Args:
        data: bytes of the file.
        pixels: the most pixels.

    Returns:
        HxW, of the type in the file.

    Raises:
        CoverslipError: not a plane, too large, or a pickle without masks.
    """
    file = io.BytesIO(data)
    version = np.lib.format.read_magic(file)
    read_header = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read_header(file)
    if dtype.hasobject:
        found = ArraysOnly(file).load()
        facts = found.value[0] if isinstance(found, _Array) and found.value else None
        masks = facts.get("masks") if isinstance(facts, dict) else None
        if not isinstance(masks, _Array) or not isinstance(masks.value, np.ndarray):
            raise CoverslipError("a pickle without `masks`: save the label image by `numpy.save`")
        array = masks.value
    else:
        if np.prod(shape, dtype=float) > pixels:
            raise CoverslipError(f"an array of {shape}, more than {pixels / 1e6:g} million values")
        file.seek(0)
        array = np.load(file, allow_pickle=False)
    array = array.reshape([n for n in array.shape if n > 1] if array.ndim > 2 else array.shape)
    if array.ndim != 2:
        raise CoverslipError(f"an array of shape {array.shape}: save one label image a file")
    return array


# --- ImageJ


def read_rois(data: bytes) -> Iterator[list[polygons.Polygon]]:
    """Yield the rings of each ROI of ImageJ, from a zip or a single one.

    Raises:
        CoverslipError: a ROI without area (a point, a line), or too many.
    """
    from roifile import ImagejRoi

    if not data.startswith(b"PK"):
        yield _rings(ImagejRoi.frombytes(data))
        return
    with zipfile.ZipFile(io.BytesIO(data)) as file:
        members = [each for each in file.infolist() if each.filename.lower().endswith(".roi")]
        if len(members) > MOST_OBJECTS or sum(m.file_size for m in members) > MOST_UNPACKED:
            raise CoverslipError("more ROIs than any image has: it is damaged")
        if not members:
            raise CoverslipError("a zip without ROIs (*.roi)")
        for member in members:
            yield _rings(ImagejRoi.frombytes(file.read(member)))


def _rings(roi: Any) -> list[polygons.Polygon]:
    rings = [np.asarray(ring, np.float32) for ring in roi.coordinates(multi=True)]
    if roi.roitype.name in ("POINT", "LINE", "POLYLINE", "FREELINE", "ANGLE", "NOROI"):
        rings = []
    rings = [ring for ring in rings if len(ring) > 2]
    if not rings:
        raise CoverslipError(f"the ROI `{roi.name}` ({roi.roitype.name}) has no area: delete it")
    return rings


# --- QuPath and COCO


def _json(data: bytes) -> Any:
    return json.loads(data.decode("utf-8-sig"))


def read_geojson(found: Any) -> Iterator[list[polygons.Polygon]]:
    """Yield the rings of each feature of GeoJSON (RFC 7946), as QuPath exports objects.

    Raises:
        CoverslipError: not GeoJSON, or a geometry without area.
    """
    features = found.get("features", [found]) if isinstance(found, Mapping) else found
    if not isinstance(features, list) or len(features) > MOST_OBJECTS:
        raise CoverslipError("is no GeoJSON with features")
    for feature in features:
        geometry = feature.get("geometry") if isinstance(feature, Mapping) else None
        if not isinstance(geometry, Mapping):
            raise CoverslipError("is no GeoJSON with features that have a geometry")
        parts = geometry.get("coordinates")
        if geometry.get("type") == "Polygon":
            parts = [parts]
        elif geometry.get("type") != "MultiPolygon":
            raise CoverslipError(f"a geometry `{geometry.get('type')}` has no area: delete it")
        yield [_ring(ring) for part in parts or [] for ring in part]


def _ring(values: Any) -> polygons.Polygon:
    ring = np.asarray(values, np.float64).reshape(-1, 2)
    if not (np.abs(ring) <= polygons.FARTHEST).all():  # nor is NaN
        raise CoverslipError("a corner is nowhere near the image")
    return ring.astype(np.float32)


class CocoFile:
    """Annotations in COCO, or predictions in its form with `images`, of one image or of many."""

    def __init__(self, found: Any, name: str) -> None:
        """Sort the annotations by image.

        Args:
            found: the JSON.
            name: name of the file, for messages.

        Raises:
            CoverslipError: not of this form.
        """
        self.name = name
        self.images: dict[str, Mapping[str, Any]] = {}
        """By `file_name`, or by the number where it has none."""
        self._objects: dict[Any, list[Mapping[str, Any]]] = {}
        _check_readable(lambda: self._sort(found), name)

    def _sort(self, found: Mapping[str, Any]) -> None:
        self.images = {str(each.get("file_name", each.get("id"))): each for each in found["images"]}
        if len(self.images) < len(found["images"]):
            raise CoverslipError("several images have one `file_name`: name each once")
        for each in found["annotations"]:
            self._objects.setdefault(each["image_id"], []).append(each)

    def read(self, stems: Sequence[str], shape: tuple[int, int]) -> LabelImage:
        """Return the label image of one of the images.

        Args:
            stems: names of the image without suffix, see `candidate_stems`; the only image of a
                file needs none of them.
            shape: its height and width.

        Raises:
            CoverslipError: no image of that name, or one of another size.
        """
        return _check_readable(lambda: self._read(stems, shape), self.name)

    def _read(self, stems: Sequence[str], shape: tuple[int, int]) -> LabelImage:
        images = list(self.images.values())
        if len(images) > 1:
            images = [v for k, v in self.images.items() if PurePosixPath(k).stem in stems]
        if len(images) != 1:
            raise CoverslipError(
                "knows several images, and not one by the name of this file: give one file an "
                "image, or use `format: livecell_coco`"
            )
        image = images[0]
        stated = (image.get("height", shape[0]), image.get("width", shape[1]))
        if tuple(stated) != tuple(shape):
            raise CoverslipError(
                f"annotations of {stated[0]}x{stated[1]} pixels, but the image has "
                f"{shape[0]}x{shape[1]}: give the image that was annotated"
            )
        masks: list[np.ndarray] = []
        objects: list[list[polygons.Polygon]] = []
        for each in self._objects.get(image.get("id"), []):
            outline = each.get("segmentation")
            if isinstance(outline, Mapping):
                masks.append(decode_run_lengths(outline["counts"], shape))
            else:
                objects.append([_ring(part) for part in outline or ()])
        if masks:
            drawn = (m for m in [*masks, *(_mask(each, shape) for each in objects)])
            return labels.from_masks(drawn, shape)
        return polygons.label_map(objects, shape, even_odd=False)


def read_coco_of_many(path: Path) -> CocoFile | None:
    """Read a COCO file of several images; None for any other file.

    Raises:
        CoverslipError: not readable as JSON.
    """
    if path.suffix.lower() != ".json" or not path.is_file():
        return None
    found = _check_readable(lambda: _json(path.read_bytes()), str(path))
    if not isinstance(found, dict) or "annotations" not in found:
        return None
    file = CocoFile(found, str(path))
    return file if len(file.images) > 1 else None


def decode_run_lengths(counts: str | Iterable[int], shape: tuple[int, int]) -> np.ndarray:
    """Return the mask of run lengths of COCO, down the columns, starting with background.

    Args:
        counts: numbers, or their compressed form (`rleFrString` of pycocotools).
        shape: height and width.

    Raises:
        CoverslipError: the lengths do not add up to the pixels of the image.
    """
    runs = _decode_counts(counts) if isinstance(counts, str) else [int(n) for n in counts]
    if min(runs, default=0) < 0 or sum(runs) != shape[0] * shape[1]:
        raise CoverslipError("run lengths do not add up to the pixels of the image")
    values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return np.ascontiguousarray(values.reshape(shape[1], shape[0]).T)


def _decode_counts(text: str) -> list[int]:
    """Numbers of 5 bits a letter, from the third on as differences to the last but one."""
    runs: list[int] = []
    at = 0
    while at < len(text):
        value, shift, more = 0, 0, True
        while more:
            code = ord(text[at]) - 48
            value |= (code & 31) << shift
            at, shift, more = at + 1, shift + 5, bool(code & 32)
        if code & 16:
            value |= -1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
    return runs
