"""Synthetic patches of nuclei in H&E-stained slides, four classes, in a layout with a csv.

Whole slides are drawn first, each with its own stain, and patches are cut around nuclei, so that
neighbouring patches have an area in common and share what they show: a random split leaks, and the
groups by common area (`coverslip.data.overlap`) are about the slides.

A slide is, in this order:

1. regions of four tissues, each with its kind of nuclei: `0` rows of oval nuclei, `1` large and
   irregular ones with coarse chromatin, `2` thin spindles along pink fibres, `3` small, dark, round
   ones;
2. stain: optical densities of haematoxylin (nuclei) and eosin (the rest), each with its colour, add
   up (Ruifrok and Johnston, "Quantification of histochemical staining by color deconvolution",
   Anal. Quant. Cytol. Histol. 23, 2001); their strength and tint are the slide's own;
3. focus and noise, 8 bits.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from coverslip.data.simulate.nuclei import outline, png, smooth_noise, store
from coverslip.files import atomic_write

PATCHES_PER_SLIDE = 24

SIDE = 4
"""Height and width of a slide, in patches."""

REGIONS = 9

FIRST_TEST = 10001
"""Number of the first patch without label."""

UNLABELLED = 6
"""One patch in so many has no label."""

HAEMATOXYLIN = np.array([0.65, 0.70, 0.29], np.float32)

EOSIN = np.array([0.07, 0.99, 0.11], np.float32)


@dataclass(frozen=True)
class Kind:
    """How the nuclei of a class look; lengths in pixels, densities in optical units."""

    share: float
    """Share of the patches."""
    radius: float
    spread: float
    elongation: float
    distance: float
    """Between neighbours, in radii."""
    dark: float
    chromatin: float
    ground: float
    """Eosin around the nuclei."""
    fibres: float


KINDS = {
    "0": Kind(0.15, 5.0, 0.08, 1.6, 2.6, 0.65, 0.15, 0.35, 0.0),
    "1": Kind(0.40, 7.0, 0.22, 1.3, 2.3, 0.60, 0.45, 0.30, 0.0),
    "2": Kind(0.15, 4.0, 0.15, 4.5, 4.5, 0.85, 0.15, 0.55, 0.35),
    "3": Kind(0.30, 3.4, 0.10, 1.1, 2.4, 1.25, 0.20, 0.15, 0.0),
}
"""The four classes by label."""


@dataclass(frozen=True)
class Slide:
    """A drawn slide."""

    image: np.ndarray
    """uint8 HxWx3, RGB."""
    centres: np.ndarray
    """(N, 2) row and column of each nucleus that a whole patch can be cut around."""
    labels: np.ndarray
    """(N,) label of each."""


def draw_regions(side: int, rng: np.random.Generator) -> np.ndarray:
    """Return the tissue number of each pixel, int side x side: cells around random points."""
    points = rng.uniform(0, side, (REGIONS, 2))
    kinds = np.concatenate([rng.permutation(len(KINDS)) for _ in range(REGIONS // len(KINDS) + 1)])
    y, x = np.mgrid[0:side, 0:side]
    wobble = [12 * smooth_noise((side, side), side / 20, rng) for _ in range(2)]
    away = [np.hypot(y + wobble[0] - p[0], x + wobble[1] - p[1]) for p in points]
    return kinds[np.argmin(away, axis=0)]


def draw_nuclei(
    regions: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, list[tuple[float, float, int]]]:
    """Haematoxylin (float32 HxW) and the nuclei: row, column and number of the kind of each."""
    side = len(regions)
    density = np.zeros((side, side), np.float32)
    textures = [smooth_noise((side, side), sigma, rng) for sigma in (0.9, 1.6)]
    taken = np.zeros((side, side), bool)
    kinds = list(KINDS.values())
    placed: list[tuple[float, float, int]] = []
    for _ in range(side * side // 12):
        y, x = rng.uniform(0, side, 2)
        number = int(regions[int(y), int(x)])
        kind = kinds[number]
        reach = int(kind.radius * kind.distance / 2)
        around = np.s_[
            max(0, int(y) - reach) : int(y) + reach, max(0, int(x) - reach) : int(x) + reach
        ]
        if taken[around].any():
            continue
        radius = kind.radius * float(np.exp(rng.normal(0, kind.spread)))
        elongation = 1 + (kind.elongation - 1) * rng.uniform(0.8, 1.2)
        rows, columns, away = outline((side, side), (y, x), radius, elongation, rng)
        inside = away < 1
        rim = 1 + 0.35 * np.clip(away - 0.75, 0, None) * 4
        coarse = textures[1 if kind.chromatin > 0.3 else 0][rows, columns]
        dark = kind.dark * rng.uniform(0.85, 1.15) * rim * (1 + kind.chromatin * coarse)
        density[rows, columns][inside] = np.clip(dark, 0.15, 2.2)[inside]
        taken[rows, columns] |= inside
        placed.append((float(y), float(x), number))
    return density, placed


def draw_eosin(regions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Eosin of the tissues, float32 HxW: an even ground, in muscle with fibres."""
    side = len(regions)
    cloud = smooth_noise((side, side), 6, rng)
    noise = rng.standard_normal((side, side), dtype=np.float32)
    fibres = cv2.GaussianBlur(noise, (0, 0), sigmaX=9, sigmaY=0.8, borderType=cv2.BORDER_REFLECT)
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), float(rng.uniform(0, 180)), 1.5)
    fibres = cv2.warpAffine(fibres, turn, (side, side), borderMode=cv2.BORDER_REFLECT)
    fibres = fibres / (fibres.std() + 1e-6)
    ground = np.array([kind.ground for kind in KINDS.values()], np.float32)[regions]
    strength = np.array([kind.fibres for kind in KINDS.values()], np.float32)[regions]
    return np.clip(ground * (1 + 0.2 * cloud) + 0.5 * strength * fibres, 0, 2)


def draw_slide(size: int, rng: np.random.Generator) -> Slide:
    """Draw a slide of `SIDE` patches of `size` pixels in height and width."""
    side = SIDE * size
    regions = draw_regions(side, rng)
    nuclei, placed = draw_nuclei(regions, rng)
    eosin = draw_eosin(regions, rng) * np.where(nuclei > 0, 0.4, 1.0)
    blue = (HAEMATOXYLIN + rng.normal(0, 0.05, 3)) * rng.uniform(0.75, 1.3)
    pink = (EOSIN + rng.normal(0, 0.05, 3)) * rng.uniform(0.6, 1.2)
    absorbed: np.ndarray = nuclei[..., None] * blue + eosin[..., None] * pink
    absorbed = cv2.GaussianBlur(absorbed.astype(np.float32), (0, 0), rng.uniform(0.5, 0.9))
    light = rng.uniform(228, 250) * np.exp(-np.clip(absorbed, 0, None))
    light += rng.normal(0, 2.5, light.shape)
    image = np.clip(np.rint(light), 0, 255).astype(np.uint8)
    half = size // 2
    inner = [c for c in placed if all(half <= v < side - half for v in c[:2])]
    centres = np.array([c[:2] for c in inner]).reshape(-1, 2).astype(int)
    return Slide(image, centres, np.array([list(KINDS)[c[2]] for c in inner], object))


def cut(slide: Slide, count: int, size: int, rng: np.random.Generator) -> list[tuple[str, bytes]]:
    """Cut patches around nuclei: labels and PNG bytes.

    Nuclei are drawn by the shares of the kinds, as long as there are enough of a kind.
    """
    share = {label: kind.share for label, kind in KINDS.items()}
    there = {label: int((slide.labels == label).sum()) for label in KINDS}
    weight = np.array([share[label] / there[label] for label in slide.labels])
    count = min(count, len(weight))
    chosen = np.sort(rng.choice(len(weight), count, replace=False, p=weight / weight.sum()))
    found = []
    for number in chosen:
        y, x = slide.centres[number] - size // 2
        patch = slide.image[y : y + size, x : x + size]
        found.append((slide.labels[number], png(np.ascontiguousarray(patch[..., ::-1]))))
    return found


def histology_patches(output: Path, images: int, size: int, seed: int) -> None:
    """Write a zip of synthetic patches with a csv of labels.

    Members are `train/<n>.png` (uint8, RGB, size x size), in the order of their labels as in study
    3, `train.csv` (Filename,Label), `test/<n>.png` without labels, and `example.csv` in the form of
    predictions of these. There are about 24 patches a slide and at least four slides; one patch
    in six has no label. The same arguments give the same bytes.

    Args:
        output: the zip.
        images: number of patches, those without label included.
        size: height and width of a patch in pixels.
        seed: of the generator.
    """
    slides = max(4, images // PATCHES_PER_SLIDE)
    patches: list[tuple[str, bytes]] = []
    for number in range(slides):
        rng = np.random.default_rng([seed, number])
        slide = draw_slide(size, rng)
        count = (number + 1) * images // slides - number * images // slides
        patches += cut(slide, count, size, rng)
    test = patches[UNLABELLED - 1 :: UNLABELLED]
    train = [patch for at, patch in enumerate(patches) if at % UNLABELLED != UNLABELLED - 1]
    train.sort(key=lambda patch: patch[0])
    names = {"train": range(1, len(train) + 1), "test": range(FIRST_TEST, FIRST_TEST + len(test))}
    with atomic_write(output) as part, zipfile.ZipFile(part, "w") as archive:
        for folder, members in (("train", train), ("test", test)):
            for number, (_, content) in zip(names[folder], members, strict=True):
                store(archive, f"{folder}/{number}.png", content)
        labels = [f"{n}.png,{label}" for n, (label, _) in zip(names["train"], train, strict=True)]
        store(archive, "train.csv", lines(labels))
        store(archive, "example.csv", lines(f"{number}.png,0" for number in names["test"]))


def lines(rows) -> bytes:
    """Return a csv with the columns Filename and Label."""
    return "\n".join(["Filename,Label", *rows, ""]).encode()
