"""Synthetic patches of nuclei in H&E-stained slides, four classes, in a layout with a csv.

Whole slides are drawn first, each with its own stain, and patches are cut around nuclei, so that
neighbouring patches have an area in common and share what they show: a random split leaks, and the
groups by common area (`coverslip.data.overlap`) are about the slides.

A slide is, in this order:

1. regions of four tissues, each with its kind of nuclei: `0` oval nuclei with a dark rim in pink
   cytoplasm, `1` large and irregular ones with coarse chromatin in purple cytoplasm, `2` thin
   spindles along pink fibres with white clefts, `3` small, dark, round ones with little around;
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
from scipy.stats import norm

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

HAEMATOXYLIN = np.array([0.56, 0.75, 0.24], np.float32)

EOSIN = np.array([0.12, 0.85, 0.42], np.float32)
"""Optical densities in red, green and blue, as in sections of the colon: darkest nuclei are violet,
muscle is salmon pink."""


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
    """Contrast of the chromatin."""
    rim: float
    """How much darker the edge of a nucleus is than its middle."""
    eosin: float
    basophilia: float
    """Eosin and haematoxylin around the nuclei."""
    fibres: float
    gaps: float
    """Fraction of the tissue that is empty glass."""


KINDS = {
    "0": Kind(0.15, 5.2, 0.10, 1.6, 2.3, 0.85, 0.30, 0.9, 0.42, 0.22, 0.0, 0.12),
    "1": Kind(0.40, 6.6, 0.25, 1.4, 2.0, 1.05, 0.50, 0.4, 0.30, 0.38, 0.0, 0.06),
    "2": Kind(0.15, 4.0, 0.15, 4.5, 4.2, 1.05, 0.25, 0.1, 0.50, 0.05, 0.30, 0.12),
    "3": Kind(0.30, 3.7, 0.12, 1.1, 2.3, 1.75, 0.25, 0.1, 0.22, 0.15, 0.0, 0.70),
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
    regions: np.ndarray, angle: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, list[tuple[float, float, int]]]:
    """Draw haematoxylin of the nuclei, what their cells cover, and where they are.

    Args:
        regions: tissue of each pixel, int HxW.
        angle: of the fibres to the rows in degrees, counter-clockwise; nuclei lie along them.
        rng: the generator.

    Returns:
        Optical density (float32 HxW), nucleus with a thin cytoplasm (float32 HxW, 0 to 1), and
        row, column and number of the kind of each nucleus.
    """
    side = len(regions)
    density = np.zeros((side, side), np.float32)
    cells = np.zeros((side, side), np.float32)
    granules = [smooth_noise((side, side), sigma, rng) for sigma in (0.7, 1.2)]
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
        elongation = 1 + (kind.elongation - 1) * rng.uniform(0.7, 1.3)
        turn = rng.normal(-np.radians(angle), 0.15) if kind.fibres else None
        rows, columns, away = outline((side, side), (y, x), radius, elongation, rng, turn)
        inside = np.clip((1 - away) * radius + 0.5, 0, 1)
        rim = 1 + kind.rim * (np.clip(away, 0, 1) ** 4 - 0.3)
        coarse = granules[1 if kind.chromatin > 0.4 else 0][rows, columns]
        dark = kind.dark * rng.uniform(0.75, 1.25) * rim * (1 + kind.chromatin * coarse)
        stain = inside * np.clip(dark, 0.2, 2.4)
        density[rows, columns] = np.maximum(density[rows, columns], stain)
        cell = np.clip((1.35 - away) * radius / 1.5, 0, 1)
        cells[rows, columns] = np.maximum(cells[rows, columns], cell)
        taken[rows, columns] |= away < 1
        placed.append((float(y), float(x), number))
    return density, cells, placed


def draw_ground(
    regions: np.ndarray, cells: np.ndarray, angle: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw eosin and haematoxylin around the nuclei, float32 HxW: grainy, with fibres and gaps."""
    side = len(regions)
    kinds = list(KINDS.values())

    def of_kind(name: str) -> np.ndarray:
        values: np.ndarray = np.array([getattr(kind, name) for kind in kinds], np.float32)[regions]
        return cv2.GaussianBlur(values, (0, 0), 1.0)

    noise = rng.standard_normal((side, side), dtype=np.float32)
    fibres = cv2.GaussianBlur(noise, (0, 0), sigmaX=14, sigmaY=0.9, borderType=cv2.BORDER_REFLECT)
    turn = cv2.getRotationMatrix2D((side / 2, side / 2), angle, 1.5)
    fibres = cv2.warpAffine(fibres, turn, (side, side), borderMode=cv2.BORDER_REFLECT)
    fibres = fibres / (fibres.std() + 1e-6)
    fine, coarse = (smooth_noise((side, side), sigma, rng) for sigma in (0.8, 2.2))
    grain = 1 + 0.16 * (fine + coarse)
    holes = np.where(of_kind("fibres") > 0.15, -fibres, smooth_noise((side, side), 4.0, rng))
    holes = cv2.GaussianBlur(holes.astype(np.float32), (0, 0), 0.6)
    edge = np.array([norm.isf(kind.gaps) for kind in kinds], np.float32)[regions]
    glass = np.clip((holes - edge) * 4, 0, 1) * (1 - cells)
    eosin = of_kind("eosin") * grain + 0.5 * of_kind("fibres") * fibres
    purple = of_kind("basophilia") * grain
    return tuple(np.clip(stain, 0, 2) * (1 - 0.95 * glass) for stain in (eosin, purple))


def draw_slide(size: int, rng: np.random.Generator) -> Slide:
    """Draw a slide of `SIDE` patches of `size` pixels in height and width."""
    side = SIDE * size
    regions = draw_regions(side, rng)
    angle = float(rng.uniform(0, 180))
    nuclei, cells, placed = draw_nuclei(regions, angle, rng)
    eosin, purple = draw_ground(regions, cells, angle, rng)
    covered = np.clip(nuclei, 0, 1)
    nuclei = nuclei + purple * (1 - covered)
    eosin = eosin * (1 - 0.5 * covered)
    blue = (HAEMATOXYLIN + rng.normal(0, 0.02, 3)) * rng.uniform(0.8, 1.2)
    pink = (EOSIN + rng.normal(0, 0.02, 3)) * rng.uniform(0.7, 1.2)
    absorbed: np.ndarray = nuclei[..., None] * blue + eosin[..., None] * pink
    absorbed = cv2.GaussianBlur(absorbed.astype(np.float32), (0, 0), rng.uniform(0.4, 0.7))
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
