"""Images per second of `measure` and of StarDist: `python benchmarks/measure.py [--images 100]`.

Both count and outline nuclei of the same images, each in a process of its own with the same number
of threads, from its start to the last file. coverslip writes tables, label images, overlays and
exports; StarDist only label images. Printed, as Markdown: wall and CPU seconds, images per second,
mean AP (IoU 0.50 to 0.95) of the label images, and how the time of coverslip divides (one thread,
CPU seconds).

The images are simulated, 1024 x 1024 pixels, or those of `--pairs FOLDER`: TIFF of one name in
`images` and, with the true objects, in `labels`. `--stardist PYTHON` is the Python of an
environment with `benchmarks/requirements-stardist.txt`; without it this one is used.
`--stardist-model FOLDER` is a trained StarDist. Without it, StarDist predicts by the network of
`2D_versatile_fluo` (U-Net of depth 3, 32 filters, 32 rays, grid 2 x 2) with random weights, and
its non-maximum suppression gets the probabilities and distances of the true objects, as of a
perfect network: its time does not depend on weights otherwise, and its AP says nothing.
"""

import argparse
import inspect
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow/scripts"))

import numpy as np

SIDE = 1024
STAGES = {
    "reading": [("coverslip.measure.images", "File.planes")],
    "preprocessing": [
        ("coverslip.models.preprocessing", "ImagePreprocessor.__init__"),
        ("coverslip.models.preprocessing", "ImagePreprocessor.apply"),
    ],
    "network": [("coverslip.models.onnx_network", "OnnxNetwork.predict")],
    "watershed": [("coverslip.models.model", "Model.objects_of_any_size")],
    "features": [("coverslip.measure.image_result", "measure_objects")],
    "quality": [("coverslip.measure.image_result", "measure_quality")],
    "overlays": [
        ("coverslip.measure.image_result", "plain_image"),
        ("coverslip.measure.image_result", "draw_objects"),
        ("coverslip.measure.image_result", "encoded"),
    ],
    "label images": [("coverslip.measure.image_result", "ImageResult.write_label")],
    "exports": [
        ("coverslip.measure.image_result", "label_rois"),
        ("coverslip.measure.image_result", "label_features"),
    ],
    "tables and other files": [("coverslip.measure.image_result", "ImageResult.close")],
}
"""Functions of each stage."""


def write_images(folder: Path, count: int) -> None:
    """Write simulated images and their true label images."""
    import tifffile

    from coverslip.data.simulate import nuclei

    for name in ("images", "labels"):
        (folder / name).mkdir()
    for number in range(count):
        rng = np.random.default_rng(number)
        image, label = nuclei.draw_image(SIDE, nuclei.draw_plate(SIDE, rng), rng)
        tifffile.imwrite(folder / f"images/{number:03}.tif", np.squeeze(image))
        tifffile.imwrite(folder / f"labels/{number:03}.tif", label.astype(np.uint16))


def timed(seconds: Counter, stage: str, function: Callable) -> Callable:
    """Wrap a function so that its CPU seconds are counted."""

    def wrapper(*arguments: Any, **named: Any) -> Any:
        begin = time.process_time()
        found = function(*arguments, **named)
        if inspect.isgenerator(found):
            found = iter(list(found))
        seconds[stage] += time.process_time() - begin
        return found

    return wrapper


def coverslip(folder: Path, out: Path, threads: int, divide: bool) -> dict[str, float]:
    """Measure the images in this process; return the seconds of each stage."""
    import importlib

    from coverslip.config.sections import Measure
    from coverslip.measure.images import Outputs, measure
    from coverslip.models.folder import find_model

    seconds: Counter = Counter()
    if divide:
        seconds["start (imports)"] = time.process_time()
        for stage, functions in STAGES.items():
            for module, name in functions:
                *owner, last = name.split(".")
                place = importlib.import_module(module)
                place = getattr(place, owner[0]) if owner else place
                setattr(place, last, timed(seconds, stage, getattr(place, last)))
    names = ("images.csv", "objects.csv", "labels", "overlays", "exports")
    begin = time.process_time()
    measure(
        folder=folder / "images",
        notes=out / "notes.json",
        shard=0,
        shards=1,
        model=find_model("nuclei", out),
        settings=Measure(),
        code="benchmark",
        state=out / "state",
        outputs=Outputs(*(out / name for name in names)),
        threads=threads,
        report=lambda line: None,
    )
    inside = sum(seconds[stage] for stage in STAGES)
    seconds["everything else"] = time.process_time() - begin - inside
    return dict(seconds)


STARDIST = """
import sys
from pathlib import Path
import numpy as np, tifffile, tensorflow as tf
from csbdeep.utils import normalize
from stardist.models import Config2D, StarDist2D
folder, out, threads, trained = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4:]
tf.config.threading.set_intra_op_parallelism_threads(threads)
tf.config.threading.set_inter_op_parallelism_threads(1)
if trained:
    home = Path(trained[0])
    model = StarDist2D(None, name=home.name, basedir=str(home.parent))
else:
    model = StarDist2D(Config2D(n_rays=32, grid=(2, 2)), name=None, basedir=None)
for path in sorted((folder / "images").iterdir()):
    image = tifffile.imread(path)
    if image.ndim == 2 and model.config.n_channel_in > 1:
        image = np.repeat(image[..., np.newaxis], model.config.n_channel_in, axis=2)
    image = normalize(image, 1, 99.8, axis=(0, 1))
    if trained:
        label, _ = model.predict_instances(image)
    else:
        model.predict(image)
        truth = np.load(folder / f"stardist/{path.stem}.npz")
        label, _ = model._instances_from_prediction(
            image.shape, truth["probability"], truth["distance"], prob_thresh=0.48, nms_thresh=0.3
        )
    tifffile.imwrite(out / path.name, label.astype(np.uint16), compression="zlib")
"""

PERFECT = """
import sys
from pathlib import Path
import numpy as np, tifffile
from stardist.geometry import star_dist
from stardist.utils import edt_prob
folder = Path(sys.argv[1])
(folder / "stardist").mkdir()
for path in sorted((folder / "labels").iterdir()):
    label = tifffile.imread(path)
    np.savez(
        folder / f"stardist/{path.stem}.npz",
        probability=edt_prob(label)[::2, ::2],
        distance=star_dist(label, 32, grid=(2, 2)),
    )
"""
"""What a perfect network of StarDist would predict."""


def run(command: list[str], threads: int) -> tuple[float, float]:
    """Run a process; return its wall and CPU seconds."""
    limits = {name: str(threads) for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    subprocess.run(command, check=True, env=os.environ | limits | {"TF_CPP_MIN_LOG_LEVEL": "3"})
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def mean_ap(truth: Path, labels: Path, ending: str) -> float:
    """Mean AP over all images and thresholds."""
    import tifffile

    from coverslip.metrics.matching import match

    return float(
        np.mean(
            [
                match(
                    tifffile.imread(path).astype(np.int32),
                    tifffile.imread(labels / f"{path.name}{ending}").astype(np.int32),
                ).accuracy.mean()
                for path in sorted(truth.iterdir())
            ]
        )
    )


def main(given: argparse.Namespace) -> None:
    """Run both, and print the tables."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if given.pairs is None:
            write_images(folder, given.images)
        else:
            for name in ("images", "labels"):
                (folder / name).symlink_to((given.pairs / name).resolve())
        truth, count = folder / "labels", len(list((folder / "images").iterdir()))
        threads = str(given.threads)
        own = [sys.executable, __file__, "--one", str(folder), "--threads"]
        trained = [] if given.stardist_model is None else [str(given.stardist_model.resolve())]
        if not trained:
            run([str(given.stardist), "-c", PERFECT, str(folder)], given.threads)
        rows = []
        for name, command, ending in (
            ("coverslip", [*own, threads, "--out", "OUT"], ".label.tif"),
            ("StarDist", [str(given.stardist), "-c", STARDIST, str(folder), "OUT", threads], ""),
        ):
            out = folder / name
            out.mkdir()
            words = [str(out) if word == "OUT" else word for word in command]
            words += trained if name == "StarDist" else []
            spent = run(words, given.threads)
            found = out / "labels" if name == "coverslip" else out
            rows.append((name, *spent, mean_ap(truth, found, ending)))
        print(f"{count} images, {threads} threads:\n")
        print("| | wall, s | CPU, s | images per second | mean AP |")
        print("| --- | ---: | ---: | ---: | ---: |")
        for name, wall, cpu, ap in rows:
            print(f"| {name} | {wall:.1f} | {cpu:.1f} | {count / wall:.2f} | {ap:.3f} |")
        divided = folder / "divided"
        divided.mkdir()
        run([*own, "1", "--divide", "--out", str(divided)], 1)
        seconds = json.loads((divided / "stages.json").read_text())
        print("\n| stage of coverslip | CPU, s | s per image |\n| --- | ---: | ---: |")
        for stage, value in seconds.items():
            print(f"| {stage} | {value:.1f} | {value / count:.3f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--stardist", type=Path, default=Path(sys.executable))
    parser.add_argument("--stardist-model", type=Path)
    parser.add_argument("--pairs", type=Path, help="folder of images and labels")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--divide", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        found = coverslip(options.one, options.out, options.threads, options.divide)
        (options.out / "stages.json").write_text(json.dumps(found))
    else:
        main(options)
