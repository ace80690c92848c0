"""Synthetic bright-field images of adherent cells with ground truth, for measuring confluency.

The images imitate unstained cells on the bottom of a dish in transmitted light. Cells hardly
differ from the ground in brightness, but they are rough where it is smooth, and edged by a halo.
Images come in dishes, the acquisition groups: all images of a dish share the light field, the
exposure, the focus, and the size, shape and contrast of the cells; dishes differ in all of these.
The confluency of the images is spread evenly from nearly empty to nearly full.

An image is, in this order:

1. cells: spread, elongated shapes with a perturbed outline, side by side and over one another, with
   granular cytoplasm, a smoother and darker nucleus, a dark rim, and a bright halo around them;
2. what is no cell: debris, and a ground that is nearly even;
3. optics: a Gaussian point spread function and an uneven light field (vignetting and tilt);
4. camera: photon (Poisson) noise, 8 bits.

The truth is the union of the outlines of the cells before the optics.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from coverslip.data.simulate.nuclei import outline, png, smooth_noise, store
from coverslip.files import atomic_write

IMAGES_PER_DISH = 2

CONFLUENCY = (0.03, 0.95)
"""Smallest and largest share of an image that is aimed at."""

MOST_CELLS = 3000

DARKEST = 0.4
"""Least light in a corner, as a share of the brightest."""


@dataclass(frozen=True)
class Dish:
    """What all images of a dish have in common; lengths in pixels, contrasts as shares of 1."""

    radius: float
    elongation: float
    clustering: float
    grain: float
    contrast: float
    halo: float
    debris: float
    blur: float
    photons: float
    level: float
    light: np.ndarray


def light_field(size: int, rng: np.random.Generator) -> np.ndarray:
    """Return an uneven light, float32 size x size, largest value 1, smallest `DARKEST` or more."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / max(size - 1, 1) * 2 - 1
    middle = rng.uniform(-0.4, 0.4, 2)
    fall = rng.uniform(0.15, 0.35)
    angle, tilt = rng.uniform(0, 2 * np.pi), rng.uniform(0.05, 0.25)
    light = -fall * ((y - middle[0]) ** 2 + (x - middle[1]) ** 2) / 2
    light += tilt * (y * np.sin(angle) + x * np.cos(angle))
    light = np.exp(light - light.max())
    return np.maximum(light, DARKEST).astype(np.float32)


def draw_dish(size: int, rng: np.random.Generator) -> Dish:
    """Draw the properties of one dish."""
    return Dish(
        radius=rng.uniform(13, 22),
        elongation=rng.uniform(1.4, 3.5),
        clustering=rng.uniform(0.2, 0.7),
        grain=rng.uniform(1.1, 1.8),
        contrast=rng.uniform(0.05, 0.11),
        halo=rng.uniform(0.08, 0.2),
        debris=rng.uniform(0, 6),
        blur=rng.uniform(0.6, 1.0),
        photons=float(np.exp(rng.uniform(np.log(2500), np.log(8000)))),
        level=rng.uniform(150, 200),
        light=light_field(size, rng),
    )


def draw_cells(
    size: int, dish: Dish, goal: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Cells until they cover a share of the image.

    Args:
        size: height and width in pixels.
        dish: what they look like.
        goal: share to cover, 0..1.
        rng: generator.

    Returns:
        What the cells cover, bool, and what they let through, float32 around 1; size x size.
    """
    covered = np.zeros((size, size), bool)
    scene = np.ones((size, size), np.float32)
    granules = smooth_noise((size, size), dish.grain, rng)
    placed: list[np.ndarray] = []
    for _ in range(MOST_CELLS):
        if covered.mean() >= goal:
            break
        radius = dish.radius * float(np.exp(rng.normal(0, 0.2)))
        centre = _place(size, radius, dish, placed, rng)
        rows, columns, away = outline((size, size), tuple(centre), radius, dish.elongation, rng)
        inside = away < 1
        if not inside.any():
            continue
        placed.append(centre)
        covered[rows, columns] |= inside
        nucleus = np.exp(-((away / 0.35) ** 4))
        body = 1 + dish.contrast * granules[rows, columns] * (1 - 0.6 * nucleus) - 0.03 * nucleus
        rim = dish.halo * np.exp(-(((away - 0.96) / 0.05) ** 2))
        around = dish.halo * np.exp(-(((away - 1.08) / 0.07) ** 2))
        there = scene[rows, columns]
        there[inside] = (body - rim)[inside]
        there[~inside] += 0.5 * around[~inside] * ~covered[rows, columns][~inside]
    return covered, scene


def _place(
    size: int, radius: float, dish: Dish, placed: list[np.ndarray], rng: np.random.Generator
) -> np.ndarray:
    """Return the centre (y, x) of the next cell: next to an earlier one, or anywhere."""
    if placed and rng.random() < dish.clustering:
        angle = rng.uniform(0, 2 * np.pi)
        step = 1.5 * radius * np.array([np.sin(angle), np.cos(angle)])
        return np.clip(placed[rng.integers(len(placed))] + step, 0, size)
    return rng.uniform(-0.3 * radius, size + 0.3 * radius, 2)


def draw_debris(scene: np.ndarray, dish: Dish, rng: np.random.Generator) -> None:
    """Put small dark and bright specks, which are no cells, into a scene."""
    for _ in range(rng.poisson(dish.debris)):
        y, x = rng.integers(0, scene.shape[0], 2)
        speck = np.zeros_like(scene)
        cv2.circle(speck, (int(x), int(y)), int(rng.integers(1, 3)), 1.0, -1)
        scene += speck * np.float32(rng.choice([-0.3, 0.2]))


def draw_image(
    size: int, dish: Dish, goal: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """One image of a dish: image uint8 and what the cells cover, bool; size x size.

    Args:
        size: height and width in pixels.
        dish: what it looks like.
        goal: share that cells cover, about.
        rng: generator.
    """
    covered, scene = draw_cells(size, dish, goal, rng)
    draw_debris(scene, dish, rng)
    scene += 0.006 * smooth_noise(scene.shape, size / 10, rng)
    scene = cv2.GaussianBlur(scene, (0, 0), dish.blur, borderType=cv2.BORDER_REFLECT)
    light = np.clip(scene, 0.2, None) * dish.light
    grey = rng.poisson(light * dish.photons) * (dish.level / dish.photons)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8), covered


def brightfield(output: Path, images: int, size: int, seed: int) -> None:
    """Write a zip of synthetic images in the layout `paired`.

    Members are `inputs/<id>.png` (uint8, grey, size x size) and `masks/<id>.png` (0 or 255); an id
    is `dish<DD>_<NNN>`. There are about two images a dish and at least four dishes. The same
    arguments give the same bytes.

    Parameters: `output`, the zip; `images`, their number; `size`, height and width in pixels;
    `seed`, of the generator.
    """
    dishes = min(images, max(4, images // IMAGES_PER_DISH))
    low, high = CONFLUENCY
    with atomic_write(output) as part, zipfile.ZipFile(part, "w") as archive:
        for number in range(dishes):
            dish = draw_dish(size, np.random.default_rng([seed, number]))
            count = (number + 1) * images // dishes - number * images // dishes
            for index in range(count):
                name = f"dish{number + 1:02d}_{index + 1:03d}"
                rng = np.random.default_rng([seed, number, index])
                # Evenly spread over the dish, so that few images have all bands.
                goal = low + (high - low) * (index + rng.random()) / count
                image, covered = draw_image(size, dish, goal, rng)
                store(archive, f"inputs/{name}.png", png(image))
                store(archive, f"masks/{name}.png", png(covered.astype(np.uint8) * 255))
