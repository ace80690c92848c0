"""Synthetic phase-contrast images of nine cell lines, in the layout of LIVECell.

The lines differ in what cells look like: size, shape, grain, halo, and how they are arranged. The
wells of each line differ in light, contrast, focus and density, as wells do, so that brightness
alone is a weak feature and a split by well is harder than a split by image.

An image is, in this order:

1. cells: ellipses with a perturbed outline, alone or in colonies, some with long processes;
2. phase contrast: a cell is darker than the medium and has a bright halo, here the difference of
   two Gaussian blurs of the cells' phase (compare Yin, Kanade and Chen, "Understanding the phase
   contrast optics to restore artifact-free microscopy images for segmentation", Med. Image Anal.
   16, 2012), plus the grain of what is inside;
3. light that is uneven over the well, focus, camera noise, 8 bits.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import tifffile

from coverslip.data.simulate.nuclei import outline, smooth_noise, store
from coverslip.files import atomic_write

IMAGES_PER_WELL = 4

WELLS = 4
"""Smallest number of wells of a line that has as many images."""

TRAIN = "images/livecell_train_val_images"

TEST = "images/livecell_test_images"


@dataclass(frozen=True)
class Line:
    """How the cells of a line look; lengths in pixels, light in shares of the medium's."""

    radius: float
    elongation: float
    phase: float
    """How dark a cell is."""
    halo: float
    """How bright its halo is."""
    grain: float
    """Strength of the texture inside."""
    fineness: float
    """Its correlation length."""
    density: float
    """Share of the image that is covered."""
    clustering: float
    """Probability that a cell touches another one."""
    processes: int = 0
    """Thin processes a cell."""


LINES = {
    "colony": Line(5.0, 1.2, 0.16, 0.5, 0.05, 1.5, 0.35, 0.9),
    "flat": Line(11.0, 1.5, 0.06, 0.25, 0.05, 2.5, 0.40, 0.2),
    "giant": Line(15.0, 1.3, 0.12, 0.4, 0.13, 2.0, 0.40, 0.1),
    "granular": Line(8.0, 1.3, 0.10, 0.4, 0.30, 0.9, 0.30, 0.2),
    "mosaic": Line(8.0, 1.2, 0.08, 0.9, 0.06, 1.5, 0.75, 0.8),
    "neurite": Line(5.0, 1.5, 0.18, 0.8, 0.06, 1.2, 0.15, 0.3, processes=3),
    "round": Line(6.5, 1.0, 0.14, 1.6, 0.04, 1.5, 0.22, 0.1),
    "spindle": Line(6.5, 5.0, 0.14, 0.7, 0.06, 1.5, 0.30, 0.3),
    "tiny": Line(2.8, 1.1, 0.18, 1.0, 0.04, 1.0, 0.18, 0.0),
}
"""The nine lines by name."""


@dataclass(frozen=True)
class Well:
    """What all images of a well have in common."""

    level: float
    """Grey value of the medium."""
    contrast: float
    crowding: float
    blur: float
    noise: float
    light: np.ndarray


def draw_well(size: int, rng: np.random.Generator) -> Well:
    """Draw the properties of a well."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / max(size - 1, 1) - 0.5
    turn, slope = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.25)
    light = 1 + slope * (x * np.cos(turn) + y * np.sin(turn)) - rng.uniform(0, 0.3) * (x**2 + y**2)
    return Well(
        level=rng.uniform(105, 150),
        contrast=rng.uniform(0.75, 1.3),
        crowding=rng.uniform(0.65, 1.35),
        blur=rng.uniform(0.5, 1.0),
        noise=rng.uniform(1.5, 4.0),
        light=light.astype(np.float32),
    )


def draw_cells(size: int, line: Line, crowding: float, rng: np.random.Generator) -> np.ndarray:
    """Thickness of the cells, float32 size x size, 0 where there is none, about 1 in a cell."""
    scene = np.zeros((size, size), np.float32)
    placed: list[tuple[float, float]] = []
    goal = min(0.95, line.density * crowding) * size * size
    for _ in range(30 + int(8 * size * size / line.radius**2)):
        if np.count_nonzero(scene) >= goal:
            break
        radius = line.radius * float(np.exp(rng.normal(0, 0.15)))
        y, x = rng.uniform(-radius, size + radius, 2)
        if placed and rng.random() < line.clustering:
            near = placed[rng.integers(len(placed))]
            angle = rng.uniform(0, 2 * np.pi)
            y, x = near[0] + 1.9 * radius * np.sin(angle), near[1] + 1.9 * radius * np.cos(angle)
        if not (-radius < y < size + radius and -radius < x < size + radius):
            continue
        elongation = 1 + (line.elongation - 1) * rng.uniform(0.6, 1.4)
        rows, columns, away = outline((size, size), (y, x), radius, elongation, rng)
        free = (away < 1) & (scene[rows, columns] == 0)
        if np.count_nonzero(free) < 0.7 * np.count_nonzero(away < 1):
            continue
        scene[rows, columns][free] = (0.5 + 0.5 * np.sqrt(np.clip(1 - away**2, 0, 1)))[free]
        placed.append((y, x))
        draw_processes(scene, (y, x), radius, line.processes, rng)
    return scene


def draw_processes(
    scene: np.ndarray,
    centre: tuple[float, float],
    radius: float,
    count: int,
    rng: np.random.Generator,
) -> None:
    """Draw thin, slightly bent processes of a cell into the scene."""
    for _ in range(count):
        y, x = centre
        angle = rng.uniform(0, 2 * np.pi)
        for _ in range(6):
            angle += rng.normal(0, 0.3)
            step = radius * rng.uniform(0.6, 1.2)
            far = (y + step * np.sin(angle), x + step * np.cos(angle))
            ends = [tuple(int(round(v)) for v in point[::-1]) for point in ((y, x), far)]
            cv2.line(scene, ends[0], ends[1], 0.5, 1)
            y, x = far


def draw_image(size: int, line: Line, well: Well, rng: np.random.Generator) -> np.ndarray:
    """One image of a line in a well: uint8 size x size."""
    cells = draw_cells(size, line, well.crowding, rng)
    near = cv2.GaussianBlur(cells, (0, 0), 1.2, borderType=cv2.BORDER_REFLECT)
    far = cv2.GaussianBlur(cells, (0, 0), 3.5, borderType=cv2.BORDER_REFLECT)
    halo = np.clip(far - near, 0, None)
    grain = smooth_noise((size, size), line.fineness, rng) * np.minimum(cells, 1)
    phase = line.halo * halo - line.phase * near + line.grain * 0.5 * grain
    scene = 1 + well.contrast * cv2.GaussianBlur(phase, (0, 0), well.blur)
    grey = well.level * well.light * scene + rng.normal(0, well.noise, scene.shape)
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8)


def tif(image: np.ndarray) -> bytes:
    """Return a uint8 image as the bytes of a TIFF, without time stamp."""
    data = io.BytesIO()
    tifffile.imwrite(data, image, photometric="minisblack", metadata=None, software="")
    return data.getvalue()


def phase_contrast(output: Path, images: int, size: int, seed: int) -> None:
    """Write a zip of synthetic images in the layout of LIVECell.

    Members are `images/livecell_train_val_images/<line>/<line>_Phase_<well>_<...>.tif` (uint8,
    grey, size x size), and the last well of each line below `images/livecell_test_images`. Each
    line has about as many images, some four a well, in at least `WELLS` wells. The same arguments
    give the same bytes.

    Args:
        output: the zip.
        images: their number.
        size: height and width in pixels.
        seed: of the generator.
    """
    with atomic_write(output) as part, zipfile.ZipFile(part, "w") as archive:
        for number, (name, line) in enumerate(LINES.items()):
            count = (number + 1) * images // len(LINES) - number * images // len(LINES)
            wells = min(count, max(WELLS, count // IMAGES_PER_WELL))
            for place in range(wells):
                well = draw_well(size, np.random.default_rng([seed, number, place]))
                folder = f"{TEST if wells > 1 and place == wells - 1 else TRAIN}/{name}"
                inside = (place + 1) * count // wells - place * count // wells
                for index in range(inside):
                    rng = np.random.default_rng([seed, number, place, index])
                    time = f"{index // 6:02d}d{4 * (index % 6):02d}h00m"
                    file = f"{name}_Phase_{chr(65 + number)}{place + 1}_1_{time}_1.tif"
                    image = draw_image(size, line, well, rng)
                    store(archive, f"{folder}/{file}", tif(image))
