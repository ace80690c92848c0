"""Memory and speed of `measure` on one large image: `python benchmarks/large.py [--side 20000]`.

Writes an image of side x side pixels, or of `--height` x side (uint8, tiled and compressed TIFF,
drawn by windows), and measures it as the workflow does, each way in a process of its own: K-means
on raw colours, K-means on texture, and a small network with instance segmentation by a watershed.
`--model FOLDER` takes a trained model instead, `--kind zarr` an OME-Zarr. Prints peak resident
memory and megapixels a second. The folder `--keep` keeps images and results. A height of 5,200 took
the network as much memory as one of 20,000 (1.86 and 1.84 GB; 2 cores, no GPU).
"""

import argparse
import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import tifffile
import zarr

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow/scripts"))

from coverslip.config.sections import KMeans, Measure, Preprocessing
from coverslip.data.simulate import brightfield, nuclei
from coverslip.imaging.rows import Whole
from coverslip.imaging.texture import names
from coverslip.measure.images import Outputs, measure
from coverslip.models import heads, model
from coverslip.models.kmeans import TextureFeatures
from coverslip.runtime import device

FIELD = 1024
"""Side of the field that is drawn; the image repeats it, mirrored, with noise of its own."""
TILE = 512
LIMIT_GB = 2.0
WAYS = ("raw_color", "texture", "network")


def field(bright: bool) -> tuple[np.ndarray, np.ndarray]:
    """A synthetic image, uint8 `FIELD` x `FIELD`, and what its cells cover."""
    rng = np.random.default_rng(1)
    if bright:
        dish = brightfield.draw_dish(FIELD, rng)
        return brightfield.draw_image(FIELD, dish, 0.4, rng)
    image, label = nuclei.draw_image(FIELD, nuclei.draw_plate(FIELD, rng), rng)
    return image, label > 0


def tiles(image: np.ndarray, height: int, side: int) -> Iterator[np.ndarray]:
    """Tiles of the large image, from left to right and from the top on."""
    whole = np.block([[image, image[:, ::-1]], [image[::-1], image[::-1, ::-1]]])
    rng = np.random.default_rng(2)
    for y in range(0, height, TILE):
        for x in range(0, side, TILE):
            top, left = y % len(whole), x % len(whole)
            tile = whole[top : top + TILE, left : left + TILE].astype(np.int16)
            tile += rng.integers(-1, 2, tile.shape, dtype=np.int16)
            yield np.clip(tile, 1, 255).astype(np.uint8)


def write(path: Path, height: int, side: int, bright: bool) -> None:
    """Write the image, by tiles; as Zarr (OME-Zarr 0.5) where the name ends so."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".zarr":
        axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "yx"]
        scale = [{"type": "scale", "scale": [0.5, 0.5]}]
        level = {"path": "0", "coordinateTransformations": scale}
        facts = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": [level]}]}
        group = zarr.create_group(path, zarr_format=3, attributes={"ome": facts})
        array = group.create_array("0", shape=(height, side), dtype=np.uint8, chunks=(TILE, TILE))
        corners = ((y, x) for y in range(0, height, TILE) for x in range(0, side, TILE))
        for (y, x), tile in zip(corners, tiles(field(bright)[0], height, side), strict=True):
            array[y : y + TILE, x : x + TILE] = tile[: height - y, : side - x]
        return
    tifffile.imwrite(
        path,
        tiles(field(bright)[0], height, side),
        shape=(height, side),
        dtype=np.uint8,
        tile=(TILE, TILE),
        compression="zlib",
        photometric="minisblack",
    )


def kmeans(folder: Path, recipe: KMeans) -> None:
    """Write a model folder of K-means; the centres of `texture` are means of cells and ground."""
    info = {"format": model.FORMAT, "kind": "kmeans", "classes": ["background", "cell"]}
    info |= {"fitted": {}, "threshold": 0.5, "num_classes": 1, "seed": 1}
    info["preprocessing"] = Preprocessing(
        channels="grey", input_scaling="none", normalization="dtype_range"
    ).model_dump(mode="json")
    info["kmeans"] = recipe.model_dump(mode="json")
    info["clusters"] = {"number": 3, "cells": [0, 2]}
    if recipe.features == "texture":
        image, cells = field(bright=True)
        looks = TextureFeatures(Whole(image[:, :, np.newaxis]), recipe.scales)
        found = np.concatenate([looks.features(rows) for rows in looks.strips()])
        points = found.reshape(-1, len(names(recipe.scales))).astype(np.float64)
        mean, deviation = points.mean(axis=0), points.std(axis=0)
        scaled = (found - mean) / deviation
        centres = [scaled[~cells].mean(axis=0), scaled[cells].mean(axis=0)]
        info["clusters"] = {
            "number": 2,
            "cells": [1],
            "mean": mean.tolist(),
            "standard_deviation": deviation.tolist(),
            "centres": [centre.tolist() for centre in centres],
        }
    folder.mkdir(parents=True)
    (folder / "model.json").write_text(json.dumps(info))


def network(folder: Path) -> None:
    """Write a model folder of a network that smooths and takes bright for deep."""
    import keras

    image = keras.Input((None, None, 1))
    soft = keras.layers.Conv2D(1, 9, padding="same", use_bias=False)
    logits = keras.layers.Conv2D(4, 1)
    built = keras.Model(image, logits(soft(image)))
    offsets = np.arange(9) - 4
    gaussian = np.exp(-np.add.outer(offsets**2, offsets**2) / 8)
    soft.set_weights([(gaussian / gaussian.sum())[:, :, None, None]])
    logits.set_weights([np.array([[[[-40.0, 40.0, 0.0, 40.0]]]]), np.array([8, -8, -6, -12.0])])
    info = {"classes": ["background", "nucleus"], "fitted": {}, "threshold": 0.5}
    info |= {
        "head": heads.INSTANCES,
        "instances": {"threshold": 0.5, "seed": 0.5, "min_area_px": 20},
    }
    info["preprocessing"] = Preprocessing(
        channels="grey", patch=256, input_scaling="unit", normalization="dtype_range"
    )
    model.save(folder, built, info)


def run(name: str, folder: Path, size: tuple[int, int], given: Path | None, threads: int) -> None:
    """Measure the image one way, in a process of its own, and print a line."""
    where = folder / name
    used = given or where / "model"
    if given is None and name == "network":
        device.prepare(threads=threads)
        network(used)
    elif given is None:
        recipe = {"features": "raw_color", "clusters": [3]} if name == "raw_color" else {}
        kmeans(used, KMeans(**recipe))
    outputs = Outputs(
        *(where / part for part in ("images.csv", "objects.csv", "labels", "overlays", "exports"))
    )
    begin = time.perf_counter()
    measure(
        folder=folder / ("nuclei" if name == "network" else "cells"),
        notes=where / "notes.json",
        shard=0,
        shards=1,
        model=used,
        settings=Measure(),
        code="benchmark",
        state=where / "state",
        outputs=outputs,
        threads=threads,
        report=lambda line: None,
    )
    seconds = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # Linux reports kilobytes
    (row,) = pd.read_csv(outputs.images).to_dict("records")
    megapixels = size[0] * size[1] / 1e6
    verdict = "within" if peak < LIMIT_GB else "ABOVE"
    print(
        f"{name}: {size[0]}x{size[1]} pixels ({megapixels:.0f} million): peak {peak:.2f} GB of "
        f"resident memory ({verdict} {LIMIT_GB:g} GB), {seconds:.0f} s, "
        f"{megapixels / seconds:.2f} million pixels a second; {row['n_objects']} objects, "
        f"confluency {row['confluency_percent']} %",
        flush=True,
    )


def main(
    size: tuple[int, int],
    ways: list[str],
    given: Path | None,
    threads: int,
    folder: Path,
    kind: str = "tif",
) -> None:
    """Write the images that the ways need, and measure them."""
    context = multiprocessing.get_context("spawn")  # memory of one way is not that of another
    for bright in sorted({way != "network" for way in ways}):
        path = folder / ("cells" if bright else "nuclei") / f"large.{kind}"
        if not path.exists():
            write(path, *size, bright)
    failed = False
    for way in ways:
        process = context.Process(target=run, args=(way, folder, size, given, threads))
        process.start()
        process.join()
        failed |= process.exitcode != 0
    if failed:
        raise SystemExit("a measurement failed")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=20_000)
    parser.add_argument("--height", type=int, help="if it is not the side")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    parser.add_argument("--model", type=Path, help="a model folder, instead of the small network")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--kind", choices=("tif", "zarr"), default="tif", help="format of the image"
    )
    parser.add_argument("--keep", type=Path, help="folder that keeps images and results")
    given = parser.parse_args()
    chosen = ["network"] if given.model else given.ways
    with tempfile.TemporaryDirectory() as temporary:
        size = (given.height or given.side, given.side)
        main(size, chosen, given.model, given.threads, given.keep or Path(temporary), given.kind)
