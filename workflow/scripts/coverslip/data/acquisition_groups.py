"""Modality of an image and acquisition groups of a dataset.

Many archives do not record plates, slides or days. Images of one acquisition nevertheless give
themselves away, and a split that tears them apart measures memory. The groups here are found in
three steps, each documented at its function:

1. fields: connected components of duplicates and abutting tiles (`coverslip.data.duplicates`);
2. cells: fields of one modality (`classify`) and one image size;
3. clusters: within a cell, fields with like fingerprints (`fingerprint`, `cluster`).

Calibration: 2018 Data Science Bowl, stage 1 training set. Tiles of one field are certainly one
acquisition, so properties were chosen whose variance is between fields rather than within (fraction
between fields among 256x256 fluorescence images: background level 0.97, noise of the background
0.90, coarse texture 0.89, fine texture 0.76, contrast 0.63; background colour of histology above
0.99), and each is measured in units near its deviation within fields. There the 664 images give
24 groups of 1 to 90 images.

Limits: two plates taken with the same settings become one group, which costs images but leaks
nothing; a plate whose images vary much is torn, which may leak. On 96 synthetic images of
12 plates there are 8 clusters, and 7 images are not in the cluster of most of their plate. Where
the truth is known (file names, a table), `group_by: filename` is better.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage

from coverslip.data import duplicates

DARK = 85.0
"""A median brightness (of 0..255) below it is a dark background."""

COLOURED = 8.0
"""A mean difference between the largest and the smallest channel (of 0..255) above it is colour."""

FINGERPRINT = {
    "background": 0.2,
    "background_a": 1.5,
    "background_b": 1.5,
    "contrast": 0.5,
    "noise": 0.2,
    "fine": 0.2,
    "coarse": 0.15,
}
"""Properties of the fingerprint with their units; see `fingerprint`."""

SETTINGS = ("background", "background_a", "background_b")
"""Properties that hardly depend on how many nuclei there are."""

LIKE = 3.0
"""Largest mean distance of fingerprints within a cluster, in the units of `FINGERPRINT`."""

SMALL = 5
"""Clusters of fewer images (hardly more than one field of four tiles) join a larger one that was
taken with like settings."""

SETTINGS_LIKE = 2.0
"""Largest distance of settings for that."""

MOST_FIELDS = 2000
"""More fields than this in a cell are summed up before they are clustered."""


@dataclass(frozen=True)
class ImageFeatures:
    """What grouping knows of an image; `fingerprint` is in the units of `FINGERPRINT`."""

    height: int
    width: int
    modality: str
    fingerprint: np.ndarray
    hash: np.uint64
    thumbnail: np.ndarray
    borders: dict[str, np.ndarray]


def full_scale(dtype: str, largest: int) -> int:
    """The brightest value of a camera: 255 for uint8; for more bits the smallest 2^n - 1 (n from 8)
    that is not below the largest value of all images of that type."""
    if dtype == "uint8":
        return 255
    return 2 ** max(8, int(largest).bit_length()) - 1


def brightness(image: np.ndarray, scale: int) -> np.ndarray:
    """Grey image, float32 HxW, 0..255, of HxWxC: luminance of RGB(A), else mean of channels."""
    colour = image.astype(np.float32) * (255.0 / scale)
    if colour.shape[2] >= 3:
        return cv2.cvtColor(np.ascontiguousarray(colour[..., :3]), cv2.COLOR_RGB2GRAY)
    return colour.mean(axis=2)


def colour_lab(image: np.ndarray, scale: int) -> np.ndarray | None:
    """Return the CIELAB image float32 HxWx3 of an RGB(A) image, or None if it is grey."""
    if image.shape[2] < 3:
        return None
    rgb = image[..., :3].astype(np.float32) / scale
    # Averages first: the noise of three channels is no colour.
    small = cv2.resize(rgb, (duplicates.THUMBNAIL,) * 2, interpolation=cv2.INTER_AREA)
    if 255 * np.ptp(small, axis=2).mean() <= COLOURED:
        return None
    return cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2LAB)


def classify(grey: np.ndarray, coloured: bool) -> str:
    """Modality by brightness and colour.

    - `fluorescence`: dark background (median below `DARK`), whatever the colour;
    - `histology`: bright and coloured, such as H&E or other stains;
    - `brightfield`: bright and grey, other transmitted light (phase contrast) included.

    Args:
        grey: HxW float32, 0..255. coloured: whether the image has colour.
    """
    if np.median(grey) < DARK:
        return "fluorescence"
    return "histology" if coloured else "brightfield"


def fingerprint(grey: np.ndarray, lab: np.ndarray | None, bright: bool) -> np.ndarray:
    """Return how an image was taken, float64 of len(`FINGERPRINT`), in its units.

    - background: log2 of the 5th percentile (bright background: 95th), of 0..255;
    - background_a, background_b: median a* and b* of the quarter of pixels nearest the background;
    - contrast: log2 of the 99th (bright: 1st) percentile's difference from the background;
    - noise: log2 of the deviation of fine detail (below a Gaussian of 1 pixel) in the background;
    - fine: log2 of the ratio of fine to middle detail (Gaussians of 1 and 4 pixels);
    - coarse: log2 of the ratio of middle to coarse detail (4 and 16 pixels): the size of nuclei.
    """
    background = np.percentile(grey, 95 if bright else 5)
    extreme = np.percentile(grey, 1 if bright else 99)
    empty = grey >= np.percentile(grey, 75) if bright else grey <= np.percentile(grey, 25)
    soft, smooth, wide = (cv2.GaussianBlur(grey, (0, 0), sigma) for sigma in (1, 4, 16))
    detail = grey - soft
    fine, middle, coarse = (part.std() for part in (detail, soft - smooth, smooth - wide))
    tint = (0.0, 0.0) if lab is None else np.median(lab[empty][:, 1:], axis=0)
    values = {
        "background": np.log2(1 + background),
        "background_a": tint[0],
        "background_b": tint[1],
        "contrast": np.log2(1 + abs(extreme - background)),
        "noise": np.log2(0.1 + np.sqrt(np.mean(detail[empty] ** 2))),
        "fine": np.log2((fine + 0.3) / (middle + 0.3)),
        "coarse": np.log2((middle + 0.3) / (coarse + 0.3)),
    }
    return np.array([values[name] / unit for name, unit in FINGERPRINT.items()], np.float64)


def image_features(image: np.ndarray, scale: int) -> ImageFeatures:
    """Return the features of an image HxWxC that grouping needs.

    Args:
        image: uint8 or uint16. scale: brightest value, from `full_scale`.
    """
    grey = brightness(image, scale)
    lab = colour_lab(image, scale)
    modality = classify(grey, lab is not None)
    small = duplicates.thumbnail(duplicates.inside_padding(grey))
    return ImageFeatures(
        height=grey.shape[0],
        width=grey.shape[1],
        modality=modality,
        fingerprint=fingerprint(grey, lab, bright=modality != "fluorescence"),
        hash=duplicates.perceptual_hash(small),
        thumbnail=small.astype(np.float16),
        borders=duplicates.borders(grey),
    )


def find_pairs(
    images: Sequence[ImageFeatures], digests: Sequence[str], distance: int
) -> list[duplicates.Pair]:
    """Return all pairs of duplicates and abutting tiles, sorted; of each the strongest kind.

    Args:
        images, digests: traits and SHA-256 of the pixels, in the same order.
        distance: largest difference of the hashes of near duplicates, in bits.
    """
    found = {(pair.a, pair.b): pair for pair in duplicates.exact_pairs(digests)}
    sizes: dict[tuple[int, int], list[int]] = {}
    for position, image in enumerate(images):
        sizes.setdefault((image.height, image.width), []).append(position)
    for positions in sizes.values():
        members = [images[position] for position in positions]
        pairs = duplicates.near_pairs(
            np.array([member.hash for member in members], np.uint64),
            np.array([member.thumbnail for member in members], np.float32),
            distance,
        )
        for pair in pairs + duplicates.abutting_pairs([member.borders for member in members]):
            a, b = positions[pair.a], positions[pair.b]
            if digests[a] != digests[b]:
                found.setdefault((a, b), duplicates.Pair(a, b, pair.kind, pair.distance))
    return [found[key] for key in sorted(found)]


def merge(names: Sequence[str], pairs: Sequence[duplicates.Pair]) -> list[str]:
    """Given groups, united where a pair joins them, under the first of their names (sorted)."""
    known = sorted(set(names))
    position = {name: number for number, name in enumerate(known)}
    links = [
        duplicates.Pair(position[names[pair.a]], position[names[pair.b]], pair.kind, 0)
        for pair in pairs
    ]
    united = duplicates.components(len(known), links)
    first: dict[int, str] = {}
    for name, number in zip(known, united, strict=True):
        first.setdefault(int(number), name)
    return [first[int(united[position[name]])] for name in names]


def acquisition_groups(
    images: Sequence[ImageFeatures], pairs: Sequence[duplicates.Pair]
) -> list[str]:
    """Return the name of the acquisition group of each image, such as `fluorescence-256x256-01`.

    Fields (images joined by pairs) are never cut. Each field has the most frequent modality and
    the mean fingerprint of its images; fields of one modality and size are clustered.
    """
    field = duplicates.components(len(images), pairs)
    members: dict[int, list[int]] = {}
    for position, number in enumerate(field):
        members.setdefault(int(number), []).append(position)
    cells: dict[str, list[int]] = {}
    for number, positions in members.items():
        modality = Counter(sorted(images[p].modality for p in positions)).most_common(1)[0][0]
        first = images[positions[0]]
        cells.setdefault(f"{modality}-{first.height}x{first.width}", []).append(number)
    names = [""] * len(images)
    for cell, numbers in sorted(cells.items()):
        prints = [
            np.mean([images[p].fingerprint for p in members[number]], axis=0) for number in numbers
        ]
        clusters = cluster(np.array(prints), np.array([len(members[n]) for n in numbers]))
        for number, name in zip(numbers, clusters, strict=True):
            for position in members[number]:
                names[position] = f"{cell}-{name + 1:02d}"
    return names


def cluster(prints: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Cluster the fingerprints of the fields of one cell.

    Agglomerative clustering with average linkage, cut at a mean distance of `LIKE`. Then clusters
    of fewer than `SMALL` images join the nearest larger one by `SETTINGS` if that is within
    `SETTINGS_LIKE`: an image with hardly a nucleus has no texture to be recognised by. More than
    `MOST_FIELDS` fields are first summed up by BIRCH (Zhang, Ramakrishnan and Livny, 1996).

    Args:
        prints: N x len(`FINGERPRINT`). weights: N, images of each field.

    Returns:
        N int64, clusters counted from 0 in the order of their first fields.
    """
    centres, owner = _summarise(prints)
    if len(centres) == 1:
        return np.zeros(len(prints), np.int64)
    labels = fcluster(linkage(centres, "average"), LIKE, "distance")[owner]
    labels = _absorb(prints, weights, labels)
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def _summarise(prints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most `MOST_FIELDS` centres and, for each fingerprint, the number of its centre."""
    radius = 0.25
    centres, owner = prints, np.arange(len(prints))
    while len(centres) > MOST_FIELDS:
        from sklearn.cluster import Birch  # half a second, and only large datasets need it

        birch = Birch(threshold=radius, n_clusters=None).fit(prints)
        centres, owner = birch.subcluster_centers_, birch.labels_
        radius *= 1.5
    return centres, owner


def _absorb(prints: np.ndarray, weights: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Labels after small clusters joined larger ones of like settings."""
    columns = [list(FINGERPRINT).index(name) for name in SETTINGS]
    known = np.unique(labels)
    rows = [labels == label for label in known]
    sizes = np.array([weights[row].sum() for row in rows])
    settings = np.array(
        [np.average(prints[row][:, columns], axis=0, weights=weights[row]) for row in rows]
    )
    order = np.lexsort((np.arange(len(known)), -sizes))
    target = np.arange(len(known))
    for rank, number in enumerate(order):
        if rank == 0 or sizes[number] >= SMALL:
            continue
        larger = order[:rank]
        away = np.linalg.norm(settings[larger] - settings[number], axis=1)
        if away.min() <= SETTINGS_LIKE:
            target[number] = target[larger[away.argmin()]]
    return known[target][np.searchsorted(known, labels)]
