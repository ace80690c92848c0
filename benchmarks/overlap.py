"""Groups of patches with a common area: `python benchmarks/overlap.py FOLDER [SAMPLE]`.

FOLDER holds images at any depth, as the `data` of study 3. Printed are the groups, the share of
test images that have a relative in training under a random 80:20 split (mean of ten), and the
seconds for 1/4, 1/2 and all of the images. Of SAMPLE images (300 by default, some
of the same groups, so that there is something to find) all pairs are compared at all offsets; where
that finds other groups the benchmark fails.
"""

import sys
import time
from collections import Counter
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "workflow" / "scripts"))

from coverslip.data import overlap
from coverslip.data.duplicates import Pair, components

PROBES = (0.5, 0.25, 0.75)


def groups(images: list[np.ndarray]) -> tuple[np.ndarray, float]:
    """Group of each image, and seconds."""
    start = time.perf_counter()
    sizes = np.array([image.shape[:2] for image in images])
    pairs = overlap.links(images.__getitem__, sizes)
    return components(len(images), pairs), time.perf_counter() - start


def brute(images: list[np.ndarray], smallest: int) -> np.ndarray:
    """Group of each image (all of one size), by all pairs at all offsets."""
    height, width = images[0].shape[:2]
    rows, columns = np.mgrid[smallest - height : height - smallest + 1,
                             smallest - width : width - smallest + 1].reshape(2, -1)  # fmt: skip
    probes = []
    for share in PROBES:
        y = (np.maximum(rows, 0) + share * (height - np.abs(rows)) - 0.5).astype(int)
        x = (np.maximum(columns, 0) + share * (width - np.abs(columns)) - 0.5).astype(int)
        probes.append((y * width + x, (y - rows) * width + x - columns))
    scale = np.array([1, 256, 65536])[: images[0].shape[2]]
    flat = [(image.astype(np.int64) @ scale).ravel() for image in images]
    found = []
    for a, b in combinations(range(len(images)), 2):
        at = np.arange(len(rows))
        for first, second in probes:
            at = at[flat[a][first[at]] == flat[b][second[at]]]
        for place in at:
            offset = (int(rows[place]), int(columns[place]))
            if overlap.common_area(images[a], images[b], offset):
                found.append(Pair(a, b, "overlap", 0.0))
                break
    return components(len(images), found)


def leaking(group: np.ndarray) -> float:
    """Share of test images with a relative in training, mean of ten random 80:20 splits."""
    shares = []
    for seed in range(10):
        test = np.random.default_rng(seed).random(len(group)) < 0.2
        shares.append(np.isin(group[test], group[~test]).mean())
    return float(np.mean(shares))


def main(folder: Path, count: int) -> None:
    """Print the groups, what leaks, seconds, and whether brute force agrees."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".png", ".tif"))
    images = [cv2.imread(str(path), cv2.IMREAD_COLOR) for path in paths]
    for part in (4, 2):
        _, seconds = groups(images[::part])
        print(f"{len(images[::part])} images: {seconds:.1f} s")
    group, seconds = groups(images)
    print(f"{len(images)} images: {seconds:.1f} s")
    sizes = Counter(Counter(group.tolist()).values())
    alone = sizes[1]
    print(f"groups: {sum(sizes.values())}, of which {alone} of a single image")
    print(f"sizes (images: groups): {dict(sorted(sizes.items()))}")
    print(f"images that share area with another: {1 - alone / len(images):.3f}")
    print(f"test images with a relative in training, random 80:20: {leaking(group):.3f}")
    folders = np.array([str(path.parent) for path in paths])
    for name in sorted(set(folders)):
        inside, others = group[folders == name], group[folders != name]
        print(f"{name}: in a group with another folder: {np.isin(inside, others).mean():.3f}")
    sample = [images[at] for at in drawn(group, count)]
    found, seconds = groups(sample)
    start = time.perf_counter()
    reach = overlap.reach(np.array([image.shape[:2] for image in sample]))
    expected = brute(sample, reach)
    agreed = len(set(zip(expected.tolist(), found.tolist(), strict=True))) == expected.max() + 1
    print(
        f"sample of {len(sample)}: {found.max() + 1} groups, {seconds:.2f} s; brute force (common "
        f"areas of {reach} pixels and more) {expected.max() + 1} in "
        f"{time.perf_counter() - start:.1f} s: {'none missed' if agreed else 'MISSED SOME'}"
    )
    if not agreed:
        sys.exit(1)


def drawn(group: np.ndarray, count: int) -> np.ndarray:
    """Positions of a sample: up to four images of each of some groups drawn at random."""
    rng = np.random.default_rng(0)
    chosen: list[int] = []
    for number in rng.permutation(group.max() + 1):
        chosen += np.flatnonzero(group == number)[:4].tolist()
        if len(chosen) >= count:
            break
    return np.array(chosen)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 300)
