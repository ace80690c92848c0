"""Synthetic fluorescence images of nuclei with ground truth.

The images imitate wide-field fluorescence microscopy of stained nuclei. Images come in plates,
the acquisition groups: all images of a plate share the illumination field, the camera (gain,
offset, noise), the focus and the distribution of nuclear sizes, and plates differ in all of these,
so that a split by plate asks for more than a split by image.

An image is, in this order (compare Lehmussola et al., "Computational framework for simulating
fluorescence microscope images with cell populations", IEEE Trans. Med. Imaging 26, 2007):

1. nuclei: ellipses with a smoothly perturbed outline, in clusters whose members touch, each with
   its own brightness, a dome-shaped profile, chromatin texture and dark nucleoli;
2. what is not a nucleus: cytoplasmic haze around nuclei, nuclei far out of focus, bright debris;
3. optics: a Gaussian point spread function and an uneven illumination field;
4. camera: photon (Poisson) noise, Gaussian read noise, offset, 8 bits.

The truth is each nucleus' outline before the optics. Contrast, noise, density and the share of
nuclei that touch span what the fluorescence images of the 2018 Data Science Bowl have.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from coverslip.files import atomic_write

IMAGES_PER_PLATE = 4

SMALLEST_AREA = 24

GAPS = 0.7
"""Share of nuclei with a pixel of cytoplasm to each neighbour; the others touch or overlap."""

OUT_OF_FOCUS = 1.5
"""Blurred nuclei in 256 x 256 pixels, on average; debris of a plate is counted likewise."""


@dataclass(frozen=True)
class Plate:
    """What all images of a plate have in common; lengths in pixels, light in photons."""

    radius: float
    spread: float
    elongation: float
    density: float
    clustering: float
    photons: float
    contrast: float
    background: float
    haze: float
    debris: float
    blur: float
    texture: float
    read_noise: float
    offset: float
    gain: float
    light: np.ndarray


def illumination(size: int, rng: np.random.Generator) -> np.ndarray:
    """Return an uneven light field, float32 size x size, largest value 1, smallest 0.2 or more.

    A Gaussian fall-off around an off-centre axis times a linear gradient.
    """
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / max(size - 1, 1) - 0.5
    angle = rng.uniform(0, 2 * np.pi)
    distance = rng.uniform(0.1, 0.4)
    width = rng.uniform(0.65, 1.1)
    away = (x - distance * np.cos(angle)) ** 2 + (y - distance * np.sin(angle)) ** 2
    turn = rng.uniform(0, 2 * np.pi)
    slope = rng.uniform(0.0, 0.3)
    light = np.exp(-away / (2 * width**2)) * (1 + slope * (x * np.cos(turn) + y * np.sin(turn)))
    light = light / light.max()
    return np.maximum(light, 0.2).astype(np.float32)


def draw_plate(size: int, rng: np.random.Generator) -> Plate:
    """Draw the properties of one plate."""
    photons = float(np.exp(rng.uniform(np.log(500), np.log(4000))))
    background = float(np.exp(rng.uniform(np.log(0.03), np.log(0.3))))
    brightest = photons * rng.uniform(1.7, 2.6) * (1 + background)
    return Plate(
        radius=float(np.exp(rng.uniform(np.log(6.5), np.log(17.0)))),
        spread=rng.uniform(0.1, 0.25),
        elongation=rng.uniform(1.15, 1.7),
        density=float(np.exp(rng.uniform(np.log(0.06), np.log(0.28)))),
        clustering=rng.uniform(0.0, 0.3),
        photons=photons,
        contrast=rng.uniform(0.12, 0.4),
        background=background,
        haze=rng.uniform(0.03, 0.12),
        debris=rng.uniform(0.5, 3.0),
        blur=rng.uniform(0.7, 1.5),
        texture=rng.uniform(0.06, 0.25),
        read_noise=rng.uniform(2.0, 8.0),
        offset=rng.uniform(1.0, 8.0),
        gain=235.0 / brightest,
        light=illumination(size, rng),
    )


def smooth_noise(shape: tuple[int, int], sigma: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian random field, float32, mean 0, standard deviation 1, correlated over `sigma`."""
    noise: np.ndarray = rng.standard_normal(shape, dtype=np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return (noise - noise.mean()) / (noise.std() + 1e-6)


def outline(
    shape: tuple[int, int],
    centre: tuple[float, float],
    radius: float,
    elongation: float,
    rng: np.random.Generator,
    turn: float | None = None,
) -> tuple[slice, slice, np.ndarray]:
    """One nucleus: the window (rows, columns) that holds it and, for each of its pixels, the
    distance from the centre in units of the outline's own radius (float32; inside below 1).

    `turn` is the angle of its long axis to the rows in radians; None: any.
    """
    reach = int(np.ceil(radius * np.sqrt(elongation) * 1.35)) + 1
    cy, cx = centre
    rows = slice(max(0, int(cy) - reach), min(shape[0], int(cy) + reach + 1))
    columns = slice(max(0, int(cx) - reach), min(shape[1], int(cx) + reach + 1))
    y, x = np.mgrid[rows, columns].astype(np.float32)
    turn = rng.uniform(0, np.pi) if turn is None else turn
    along = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)
    across = (y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)
    along, across = along / np.sqrt(elongation), across * np.sqrt(elongation)
    angle = np.arctan2(across, along)
    edge = np.full_like(angle, radius)
    for order in (2, 3, 4, 5):
        wave = rng.normal(0, 0.12 / order)
        edge += radius * wave * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
    return rows, columns, (np.hypot(along, across) / edge).astype(np.float32)


def place(
    size: int, plate: Plate, placed: list[tuple[float, float, float]], rng: np.random.Generator
) -> tuple[float, float, float]:
    """Return centre (y, x) and radius of the next nucleus: next to an earlier one, or anywhere."""
    radius = plate.radius * float(np.exp(rng.normal(0, plate.spread)))
    if placed and rng.random() < plate.clustering:
        y, x, other = placed[rng.integers(len(placed))]
        angle = rng.uniform(0, 2 * np.pi)
        distance = (radius + other) * rng.uniform(0.95, 1.25)
        return y + distance * np.sin(angle), x + distance * np.cos(angle), radius
    y, x = rng.uniform(-0.5 * radius, size + 0.5 * radius, 2)
    return y, x, radius


def draw_nuclei(size: int, plate: Plate, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Label map (int32 size x size, 0 background) and light of the nuclei (float32, about 0..2).

    Nuclei never overlap in the truth: a later one is cut where it meets an earlier one and left out
    where it would lose more than an eighth.
    """
    label = np.zeros((size, size), np.int32)
    light = np.zeros((size, size), np.float32)
    chromatin = smooth_noise((size, size), 1.6, rng)
    placed: list[tuple[float, float, float]] = []
    goal = rng.uniform(0.55, 1.3) * plate.density * size * size
    for _ in range(40 + size * size // 60):
        if np.count_nonzero(label) >= goal:
            break
        y, x, radius = place(size, plate, placed, rng)
        if not (-radius < y < size + radius and -radius < x < size + radius):
            continue
        elongation = 1 + (plate.elongation - 1) * rng.uniform(0.3, 1.7)
        rows, columns, away = outline((size, size), (y, x), radius, elongation, rng)
        inside = away < 1
        others: np.ndarray = (label[rows, columns] > 0).astype(np.uint8)
        if rng.random() < GAPS:
            others = cv2.dilate(others, np.ones((3, 3), np.uint8))
        free = inside & (others == 0)
        area = np.count_nonzero(free)
        if area < SMALLEST_AREA or area < 0.88 * np.count_nonzero(inside):
            continue
        label[rows, columns][free] = len(placed) + 1
        placed.append((y, x, radius))
        brightness = float(np.clip(np.exp(rng.normal(-0.1, plate.contrast)), 0.3, 2.4))
        profile = (0.55 + 0.45 * np.sqrt(np.clip(1 - away**2, 0, 1))) * brightness
        profile *= np.clip(1 + plate.texture * chromatin[rows, columns], 0.3, 1.8)
        for _ in range(rng.integers(0, 4)):
            ny, nx = rng.uniform(-0.5, 0.5, 2) * radius + (y, x)
            gy, gx = np.mgrid[rows, columns].astype(np.float32)
            spot = ((gy - ny) ** 2 + (gx - nx) ** 2) / (2 * (0.16 * radius) ** 2)
            profile *= 1 - rng.uniform(0.25, 0.55) * np.exp(-spot)
        light[rows, columns][free] = profile[free]
    return label, light


def unwanted(size: int, plate: Plate, light: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Light that is no nucleus in focus, float32: cytoplasm, haze, blurred nuclei, debris."""
    wide = cv2.GaussianBlur(light, (0, 0), plate.radius * 0.9, borderType=cv2.BORDER_REFLECT)
    fog = smooth_noise((size, size), size / 6, rng)
    other = wide * plate.haze * 1.6 + plate.background * np.clip(1 + 0.3 * fog, 0.3, 2)
    area = (size / 256) ** 2
    for _ in range(rng.poisson(OUT_OF_FOCUS * area)):
        far: np.ndarray = np.zeros((size, size), np.float32)
        y, x = rng.uniform(0, size, 2)
        cv2.circle(far, (int(x), int(y)), int(plate.radius * rng.uniform(0.9, 1.5)), 1.0, -1)
        far = cv2.GaussianBlur(far, (0, 0), plate.radius * rng.uniform(0.55, 0.9))
        other += far * rng.uniform(0.2, 0.6)
    for _ in range(rng.poisson(plate.debris * area)):
        y, x = rng.integers(0, size, 2)
        speck = np.zeros((size, size), np.float32)
        axes = tuple(int(v) for v in rng.integers(1, 3, 2))
        cv2.ellipse(speck, (int(x), int(y)), axes, rng.uniform(0, 180), 0, 360, 1.0, -1)
        other += speck * rng.uniform(0.5, 2.2)
    return other


def draw_image(size: int, plate: Plate, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One image of a plate: image uint8 size x size and its label map int32 size x size."""
    label, light = draw_nuclei(size, plate, rng)
    scene = light + unwanted(size, plate, light, rng)
    scene = cv2.GaussianBlur(scene, (0, 0), plate.blur, borderType=cv2.BORDER_REFLECT)
    photons = rng.poisson(scene * plate.light * plate.photons).astype(np.float32)
    read = rng.normal(0, plate.read_noise, photons.shape).astype(np.float32)
    grey = (photons + read) * plate.gain + plate.offset
    return np.clip(np.rint(grey), 0, 255).astype(np.uint8), label


def png(image: np.ndarray) -> bytes:
    """Return a uint8 image as the bytes of a PNG."""
    return cv2.imencode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 6])[1].tobytes()


def store(archive: zipfile.ZipFile, member: str, content: bytes) -> None:
    """Add a member with a fixed time stamp; PNG is compressed already."""
    info = zipfile.ZipInfo(member, date_time=(1980, 1, 1, 0, 0, 0))
    info.external_attr = 0o644 << 16
    archive.writestr(info, content, compress_type=zipfile.ZIP_STORED)


def nuclei(output: Path, images: int, size: int, seed: int) -> None:
    """Write a zip of synthetic images in the layout of the 2018 Data Science Bowl.

    Members are `<id>/images/<id>.png` (uint8, grey, size x size) and `<id>/masks/<k>.png` (0 or
    255, one a nucleus); an id is `plate<PP>_<NNN>`. There are about four images a plate and at
    least four plates. The same arguments give the same bytes, and an image depends only on the
    seed, its plate, its number and the size.

    Parameters: `output`, the zip; `images`, their number; `size`, height and width in pixels;
    `seed`, of the generator.
    """
    plates = min(images, max(4, images // IMAGES_PER_PLATE))
    with atomic_write(output) as part, zipfile.ZipFile(part, "w") as archive:
        for number in range(plates):
            plate = draw_plate(size, np.random.default_rng([seed, number]))
            count = (number + 1) * images // plates - number * images // plates
            for index in range(count):
                name = f"plate{number + 1:02d}_{index + 1:03d}"
                rng = np.random.default_rng([seed, number, index])
                image, label = draw_image(size, plate, rng)
                store(archive, f"{name}/images/{name}.png", png(image))
                for nucleus in range(1, label.max() + 1):
                    mask = np.where(label == nucleus, 255, 0).astype(np.uint8)
                    store(archive, f"{name}/masks/{nucleus:03d}.png", png(mask))
