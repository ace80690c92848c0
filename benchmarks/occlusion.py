"""Seconds of occlusion maps, ours against Captum's: `python benchmarks/occlusion.py [SIDE]`.

A ResNet18 with the same random weights in keras and in torch explains one image of SIDE x SIDE
pixels (100 by default) with the two windows of study 3 (10x10 by 5, 20x20 by 10). Captum runs once
with its default of one window a call, and once with 64 windows a call, as ours does. Each runs
three times in turn; the fastest round counts. All maps must agree to 1e-5 of the largest value, or
the benchmark fails. Needs tests/requirements-reference.txt.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))
sys.path.insert(0, str(ROOT / "tests"))

from coverslip.config.sections import Network
from coverslip.explain.occlusion import occlusion
from coverslip.models import networks
from coverslip.runtime import device

device.prepare()

import captum.attr
import torch
import torch_models

ROUNDS = 3
BATCH = 64
CLASS = 1


def main(side: int) -> None:
    """Print one line a window: seconds of each side and their ratios."""
    torch.manual_seed(0)
    reference = torch_models.lively(torch, torch_models.resnet18(torch))
    section = Network(architecture="resnet18", num_classes=4, weights="imagenet")
    model = networks.build(section, (side, side, 3))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.npz"
        np.savez(path, **{name: t.numpy() for name, t in reference.state_dict().items()})
        networks.load_pretrained(model, section, path)
    image = np.random.default_rng(1).normal(size=(side, side, 3)).astype(np.float32)
    tensor = torch.tensor(image.transpose(2, 0, 1)[None])

    def score(images: np.ndarray) -> np.ndarray:
        return np.asarray(model(images, training=False))

    for window, stride in ((10, 5), (20, 10)):

        def ours(window: int = window, stride: int = stride) -> np.ndarray:
            sides, steps = (window, window), (stride, stride)
            return occlusion(score, image, CLASS, sides, steps, batch=BATCH)

        def theirs(batch: int, window: int = window, stride: int = stride) -> np.ndarray:
            with torch.no_grad():
                found = captum.attr.Occlusion(reference).attribute(
                    tensor,
                    sliding_window_shapes=(3, window, window),
                    strides=(3, stride, stride),
                    target=CLASS,
                    perturbations_per_eval=batch,
                )
            return found[0, 0].numpy()

        sides = {"coverslip": ours, "1": lambda f=theirs: f(1), "64": lambda f=theirs: f(BATCH)}
        seconds = dict.fromkeys(sides, np.inf)
        maps = {}
        for _ in range(ROUNDS):
            for name, run in sides.items():
                start = time.perf_counter()
                maps[name] = run()
                seconds[name] = min(seconds[name], time.perf_counter() - start)
        away = max(np.abs(maps["coverslip"] - maps[name]).max() for name in ("1", "64"))
        if away > 1e-5 * max(1.0, np.abs(maps["coverslip"]).max()):
            sys.exit(f"window {window}: the maps differ by {away}")
        print(
            f"window {window}, stride {stride}: coverslip {seconds['coverslip']:.2f} s; captum, "
            f"one window a call: {seconds['1']:.2f} s ({seconds['1'] / seconds['coverslip']:.1f} "
            f"times), {BATCH} a call: {seconds['64']:.2f} s "
            f"({seconds['64'] / seconds['coverslip']:.1f} times); they differ by {away:.0e}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
