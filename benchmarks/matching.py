"""Seconds to score label maps, ours against StarDist's: `python benchmarks/matching.py STORE [N]`.

STORE is a store of images with label maps, as `results/datasets/dsb2018/images.h5` of the 2018
Data Science Bowl. Of its images every Nth is taken (8 by default, sorted by id: 83 of DSB 2018's
664), with two predictions each: the connected regions of the true foreground, and the true objects
moved by two pixels. Both sides score them at the ten thresholds 0.50 to 0.95, alternately, five
times; the fastest round counts. StarDist's compiled code is compiled before. Both must agree on all
true positives, or the benchmark fails.

In an environment of its own (Python 3.11 on Linux):

    python3 -m venv /tmp/stardist
    /tmp/stardist/bin/pip install --no-deps --require-hashes -r benchmarks/requirements-stardist.txt
    /tmp/stardist/bin/python benchmarks/matching.py results/datasets/dsb2018/images.h5
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from scipy import ndimage

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

from stardist.matching import matching

from coverslip.data.image_store import ImageStore
from coverslip.metrics.matching import PERCENT, match

THRESHOLDS = tuple(percent / 100 for percent in PERCENT)
ROUNDS = 5

Pairs = list[tuple[np.ndarray, np.ndarray]]
Score = Callable[[np.ndarray, np.ndarray], list[int]]


def ours(truth: np.ndarray, prediction: np.ndarray) -> list[int]:
    """True positives at the ten thresholds, by coverslip."""
    return match(truth, prediction).tp.tolist()


def theirs(truth: np.ndarray, prediction: np.ndarray) -> list[int]:
    """True positives at the ten thresholds, by StarDist."""
    return [int(each.tp) for each in matching(truth, prediction, thresh=THRESHOLDS)]


def predictions(label: np.ndarray) -> dict[str, np.ndarray]:
    """Two predictions of a label map."""
    moved = np.zeros_like(label)
    moved[2:, 2:] = label[:-2, :-2]
    return {"regions": ndimage.label(label > 0)[0], "moved": moved}


def seconds(score: Score, pairs: Pairs) -> tuple[float, list[list[int]]]:
    """Seconds to score all pairs, and their true positives."""
    start = time.perf_counter()
    found = [score(*pair) for pair in pairs]
    return time.perf_counter() - start, found


def main(store: Path, every: int) -> None:
    """Print one line a kind of prediction: seconds of both sides, and their ratio."""
    cases: dict[str, Pairs] = {}
    with ImageStore(store) as opened:
        for id in opened.ids()[::every]:
            label = opened.label(id)
            for name, prediction in predictions(label).items():
                cases.setdefault(name, []).append((label, prediction))
    for name, pairs in cases.items():
        theirs(*pairs[0])
        rounds = [[seconds(score, pairs) for score in (ours, theirs)] for _ in range(ROUNDS)]
        if any(found != rounds[0][0][1] for sides in rounds for _, found in sides):
            sys.exit(f"{name}: the two sides differ")
        fast, slow = (min(sides[at][0] for sides in rounds) for at in (0, 1))
        objects = sum(len(np.unique(truth)) - 1 for truth, _ in pairs)
        print(
            f"{name}: {len(pairs)} images, {objects} nuclei: coverslip {fast:.3f} s, "
            f"stardist {slow:.3f} s: {slow / fast:.1f} times as long"
        )


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__.splitlines()[0])
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 8)
