"""K-means on distinct colours or all pixels: `python benchmarks/kmeans.py [IMAGE] [REPEATS]`.

Both start from the same centres and give the same partition, which is checked. The image is
brought to 2048x1536 by mirroring; without one, two that come with scikit-image are taken: a cell in
grey and a stained tissue in colour. Times are the best of the repeats.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from skimage import data
from sklearn.cluster import KMeans

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow/scripts"))

from coverslip.models.kmeans import distinct, partition

SIZE = (1536, 2048)
CLUSTERS = 3


def whole(image: np.ndarray) -> np.ndarray:
    """An image of `SIZE`: uint8 HxWxC, mirrored as often as need be."""
    image = image[: SIZE[0], : SIZE[1]]
    missing = [(0, wanted - have) for wanted, have in zip(SIZE, image.shape[:2], strict=True)]
    image = np.pad(image, [*missing, *[(0, 0)] * (image.ndim - 2)], "symmetric")
    return np.ascontiguousarray(image.reshape(*SIZE, -1)[:, :, :3])


def on_all_pixels(image: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """The published way: normalise, flatten, K-means, relabel by brightness, reshape."""
    pixels = image.reshape(-1, image.shape[2]) / 255
    found = KMeans(len(starts), init=starts / 255, n_init=1).fit(pixels)
    order = np.argsort(found.cluster_centers_.mean(axis=1))
    return np.argsort(order)[found.labels_].reshape(image.shape[:2])


def best(call: Callable[[], np.ndarray], repeats: int) -> tuple[float, np.ndarray]:
    """Least seconds of a call, and what it gave."""
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        answer = call()
        seconds.append(time.perf_counter() - begin)
    return min(seconds), answer


def compare(name: str, image: np.ndarray, repeats: int) -> None:
    """Print one line: distinct colours, seconds of both ways, their ratio."""
    colours = distinct(image).colours
    # Evenly spaced colours by brightness, so that a run is like any other.
    order = np.argsort(colours.mean(axis=1), kind="stable")
    places = np.linspace(0, len(order) - 1, 2 * CLUSTERS + 1).astype(int)[1::2]
    starts = colours[order[places]].astype(float)
    fast, found = best(lambda: partition(image, CLUSTERS, 0, starts).labels, 3 * repeats)
    slow, expected = best(lambda: on_all_pixels(image, starts), repeats)
    same = (found == expected).mean()
    print(
        f"{name}, {image.shape[1]}x{image.shape[0]}, {len(colours)} distinct colours: all pixels "
        f"{slow:.3f} s, distinct colours {fast:.3f} s: {slow / fast:.0f} times as fast; "
        f"{same:.4%} of the labels are equal"
    )
    if same < 1:
        raise SystemExit("the partitions differ")


def main(image: str | None, repeats: int) -> None:
    """Compare on one image in grey and in colour, or on those of scikit-image."""
    if image is None:
        grey, colour = data.cell(), data.immunohistochemistry()
    else:
        colour = cv2.imread(image, cv2.IMREAD_COLOR)
        if colour is None:
            raise SystemExit(f"{image}: not an image")
        colour = colour[:, :, ::-1]
        grey = cv2.cvtColor(np.ascontiguousarray(colour), cv2.COLOR_RGB2GRAY)
    compare("grey", whole(grey), repeats)
    compare("colour", whole(colour), repeats)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    count = int(arguments.pop()) if arguments and arguments[-1].isdigit() else 3
    main(arguments[0] if arguments else None, count)
