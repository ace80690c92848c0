"""Archives and images that tests of the data make."""

import io
import zipfile

import cv2
import numpy as np
import pytest
from PIL import Image

from coverslip.config.sections import Dataset, Source
from coverslip.data import tables
from coverslip.data.archive import open_archive
from coverslip.data.formats import read_samples
from coverslip.data.ingest import ingest
from coverslip.errors import CoverslipError


def pack(path, files, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def packed(files):
    data = io.BytesIO()
    pack(data, files)
    return data.getvalue()


RNG = np.random.default_rng(1)


GREY = RNG.integers(0, 256, (12, 10), dtype=np.uint8)


RGBA = np.dstack([RNG.integers(0, 256, (12, 10, 3), dtype=np.uint8), np.full((12, 10), 255)])


DEEP = RNG.integers(0, 65536, (12, 10), dtype=np.uint16)


NONE = np.zeros((12, 10), np.uint8)


LEFT, RIGHT = NONE.copy(), NONE.copy()
LEFT[2:6, 1:4] = 255
RIGHT[2:6, 4:7] = 255


def png(array):
    data = io.BytesIO()
    Image.fromarray(array.astype(array.dtype if array.dtype == np.uint16 else np.uint8)).save(
        data, "PNG"
    )
    return data.getvalue()


def dsb2018_files():
    return {
        "p1_a/images/a.png": png(GREY),
        "p1_a/masks/1.png": png(LEFT),
        "p1_a/masks/2.png": png(RIGHT),
        "p1_b/images/b.png": png(RGBA),
        "p1_b/masks/1.png": png(LEFT),
        "p1_b/masks/2.png": png(NONE),
        "p2_c/images/c.png": png(DEEP),
        "p2_c/masks/1.png": png(NONE),
        "p2_d/images/d.png": png(np.dstack([GREY] * 3)),
        "p2_d/masks/1.png": png(LEFT),
        "p2_d/masks/2.png": png(np.maximum(LEFT, RIGHT)),
    }


class Run:
    """A dataset and where it goes."""

    def __init__(self, folder):
        self.folder = folder
        self.out = folder / "out"
        self.files = [self.out / name for name in ("images.h5", "manifest.csv", "dataset.json")]

    def __call__(self, source, processes=1, sha256=None, **options):
        options = {"format": "dsb2018", "title": "T", "licence": "CC0", "citation": "C"} | options
        dataset = Dataset(source=Source(kind="path", sha256=sha256), **options)
        ingest(source, dataset, *self.files, processes)
        return tables.read_manifest(self.files[1])

    def refused(self, files, message, **options):
        source = files if not isinstance(files, dict) else self.pack(files)
        with pytest.raises(CoverslipError, match=message) as error:
            self(source, **options)
        assert "\n" not in str(error.value)
        assert self.left() == []
        return str(error.value)

    def left(self):
        return sorted(path.name for path in self.out.iterdir()) if self.out.exists() else []

    def pack(self, files):
        return pack(self.folder / "archive.zip", files)


def listed(tmp_path, files, layout="dsb2018", **options):
    dataset = Dataset(title="t", source=Source(kind="path"), format=layout, **options)
    with open_archive(pack(tmp_path / "archive.zip", files)) as archive:
        return read_samples(layout, archive, dataset)


def under(prefix, files):
    return {f"{prefix}{name}": data for name, data in files.items()}


CSV = b"Filename,Label\n1.png,0\n2.png,1\n3.png,0\n"


LABELLED = {
    "train.csv": CSV,
    "example.csv": b"Filename,Label\n7.png,0\n",
    **{f"train/{n}.png": b"" for n in (1, 2, 3)},
    "test/7.png": b"",
}


TRAIN, TEST = "livecell_train_val_images", "livecell_test_images"


def cells(line, well, crop=1, time="01d08h00m"):
    return f"{line}_Phase_{well}_2_{time}_{crop}.tif"


def scene(seed: int, side: int = 160, channels: int = 3) -> np.ndarray:
    """An image like a slide: blobs, noise, and a blank part that all scenes have in common."""
    rng = np.random.default_rng(seed)
    image = rng.normal(150, 30, (side, side, channels)).astype(np.float32)
    image = cv2.GaussianBlur(image, (0, 0), 2).reshape(side, side, channels)
    image += rng.normal(0, 4, image.shape)
    image = np.clip(image, 0, 255).astype(np.uint8)
    image[:48] = 255
    return image


def cut(image: np.ndarray, row: int, column: int, side: int = 48) -> np.ndarray:
    return image[row : row + side, column : column + side].copy()


def row(id, **changes):
    texts = {name: "" for name, kind in tables.DTYPES.items() if kind is str}
    numbers = {name: 1 for name, kind in tables.DTYPES.items() if kind is not str}
    return texts | numbers | {"id": id, "foreground": 0.1 + 0.2, "dtype": "uint8"} | changes
