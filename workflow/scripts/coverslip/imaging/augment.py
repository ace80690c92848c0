"""Random changes of training patches: same kind of image, same cells, another look.

Each function takes and gives uint8 images; the label map follows every change of geometry by
nearest neighbour and no change of brightness.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from coverslip.config.sections import Augmentation


def augment(
    image: np.ndarray, target: np.ndarray, a: Augmentation, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Change a patch at random.

    `image` uint8 (height, width, channels), `target` uint8 or uint16 (height, width); gives the
    same shapes and dtypes, as new contiguous arrays.
    """
    if a.empty and rng.random() < a.empty:
        return empty(image.shape, rng), np.zeros_like(target)
    image, target = _orient(image, target, a, rng)
    if a.rotation or a.shift or a.shear or tuple(a.zoom) != (1.0, 1.0):
        image, target = affine(image, target, random_affine(target.shape, a, rng))
    if tuple(a.scale) != (1.0, 1.0):
        image, target = zoom(image, target, _log_uniform(a.scale, rng), rng.random(2))
    if tuple(a.contrast) != (1.0, 1.0):
        image = contrast(image, _log_uniform(a.contrast, rng))
    if tuple(a.gamma) != (1.0, 1.0):
        image = gamma(image, _log_uniform(a.gamma, rng))
    if a.illumination:
        image = illumination(image, rng.uniform(0.0, a.illumination), rng.uniform(0, 2 * np.pi))
    if a.blur:
        image = blur(image, rng.uniform(0.0, a.blur))
    if a.noise:
        image = noise(image, rng.uniform(0.0, a.noise), rng)
    if a.jpeg < 100:
        image = jpeg(image, int(rng.integers(a.jpeg, 101)))
    if a.invert and rng.random() < a.invert:
        image = 255 - image
    return np.ascontiguousarray(image), np.ascontiguousarray(target)


def random_affine(shape: tuple[int, ...], a: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Draw an affine map as Keras' ImageDataGenerator does.

    Rotation, shift, shear and zoom in this order, about the centre of the patch.

    Returns:
        float64 3x3, from (row, column, 1) of the changed patch to that of the given one.
    """
    angle, shear = np.deg2rad(rng.uniform(-1, 1, 2) * (a.rotation, a.shear))
    down, right = rng.uniform(-a.shift, a.shift, 2) * shape[:2]
    rows, columns = rng.uniform(*a.zoom, 2)
    cos, sin = np.cos(angle), np.sin(angle)
    rotation = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1.0]])
    shifts = np.array([[1, 0, down], [0, 1, right], [0, 0, 1.0]])
    slant = np.array([[1, -np.sin(shear), 0], [0, np.cos(shear), 0], [0, 0, 1.0]])
    zooms = np.diag([rows, columns, 1.0])
    centre = np.eye(3)
    centre[:2, 2] = (np.array(shape[:2]) - 1) / 2
    return centre @ rotation @ shifts @ slant @ zooms @ np.linalg.inv(centre)


def affine(
    image: np.ndarray, target: np.ndarray, matrix: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Sample a patch at the places that an affine map (`random_affine`) gives.

    Bilinear for the image, nearest neighbour for the mask; outside, the nearest pixel is repeated.
    """
    height, width = target.shape
    by_columns = matrix[[1, 0]][:, [1, 0, 2]]  # OpenCV takes columns first

    def warp(array: np.ndarray, interpolation: int) -> np.ndarray:
        return cv2.warpAffine(
            array,
            by_columns,
            (width, height),
            flags=interpolation | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REPLICATE,
        )

    warped = warp(np.ascontiguousarray(image), cv2.INTER_LINEAR).reshape(image.shape)
    return warped, warp(np.ascontiguousarray(target), cv2.INTER_NEAREST)


def zoom(
    image: np.ndarray, target: np.ndarray, factor: float, place: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Magnify by `factor` about the point that `place` (two numbers in 0..1) picks.

    Magnified patches show a part of the patch: the top left one at place (0, 0), the bottom right
    one at (1, 1). Reduced ones are filled up with their mirror image. Bilinear for the image,
    nearest neighbour for the mask.
    """
    height, width = target.shape
    step = 1.0 / factor
    down = (height - 1) * (1.0 - step) * place[0]
    right = (width - 1) * (1.0 - step) * place[1]
    matrix = np.array([[step, 0.0, right], [0.0, step, down]])

    def warp(array: np.ndarray, interpolation: int) -> np.ndarray:
        return cv2.warpAffine(
            array,
            matrix,
            (width, height),
            flags=interpolation | cv2.WARP_INVERSE_MAP,
            borderMode=cv2.BORDER_REFLECT_101,
        )

    warped = warp(np.ascontiguousarray(image), cv2.INTER_LINEAR).reshape(image.shape)
    return warped, warp(np.ascontiguousarray(target), cv2.INTER_NEAREST)


def contrast(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply the distance of brightness from the patch's mean, channel by channel; clipped."""
    mean = image.mean(axis=(0, 1))
    return np.clip(np.rint(mean + factor * (image - mean)), 0, 255).astype(np.uint8)


def gamma(image: np.ndarray, exponent: float) -> np.ndarray:
    """Raise brightness, taken as 0..1, to a power."""
    table = np.rint(255.0 * (np.arange(256) / 255.0) ** exponent).astype(np.uint8)
    return table[image]


def illumination(image: np.ndarray, loss: float, direction: float) -> np.ndarray:
    """Dim the patch linearly towards one side, by the fraction `loss` at its corner.

    Args:
        image: uint8 HxWxC.
        loss: 0..1.
        direction: angle of the dark side in radians.
    """
    y, x = (np.linspace(-0.5, 0.5, n, dtype=np.float32) for n in image.shape[:2])
    slope = np.sin(direction) * y[:, None] + np.cos(direction) * x
    light = 1 - loss * (slope - slope.min()) / (np.ptp(slope) or 1)
    return np.rint(image * light[..., None]).astype(np.uint8)


def blur(image: np.ndarray, deviation: float) -> np.ndarray:
    """Blur by a Gaussian of a standard deviation in pixels; below 0.3 nothing changes."""
    if deviation < 0.3:
        return image
    image = np.ascontiguousarray(image)
    return cv2.GaussianBlur(image, (0, 0), deviation).reshape(image.shape)


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """Compress as JPEG and decompress; `quality` is 1..100."""
    grey = image.shape[2] == 1
    _, code = cv2.imencode(
        ".jpg", image if grey else image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    found = np.asarray(cv2.imdecode(code, cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR_RGB))
    return found.reshape(image.shape)


def empty(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return an empty field: Gaussian noise of any level, strength and smoothness, uint8 HxWxC.

    Level and strength are such as percentile stretching leaves, and stronger ones: smooth noise,
    which looks like an image, is stretched more.
    """
    smoothness = rng.uniform(0.0, 10.0) * (rng.random() < 0.85)
    field: np.ndarray = rng.standard_normal(shape[:2], dtype=np.float32)
    if smoothness >= 0.3:
        field = cv2.GaussianBlur(field, (0, 0), smoothness)
    field *= rng.uniform(0.0, 50.0) / max(float(field.std()), 1e-6)
    field += rng.uniform(0.0, 160.0)
    field = np.clip(np.rint(field), 0, 255).astype(np.uint8)
    return np.repeat(field[..., None], shape[2], axis=2)


def noise(image: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """Add Gaussian noise of a standard deviation on the scale 0..1, alike in all channels.

    Alike in all channels, so that a grey image kept as RGB stays grey.
    """
    change = rng.standard_normal(image.shape[:2], dtype=np.float32)[..., None] * (255.0 * deviation)
    return np.clip(np.rint(image + change), 0, 255).astype(np.uint8)


def _orient(
    image: np.ndarray, target: np.ndarray, a: Augmentation, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    if a.flip:
        for axis in (0, 1):
            if rng.random() < 0.5:
                image, target = np.flip(image, axis), np.flip(target, axis)
    if a.rot90:
        # A patch that is not square keeps its shape by half turns only.
        square = target.shape[0] == target.shape[1]
        turns = int(rng.integers(4)) if square else 2 * int(rng.integers(2))
        image, target = np.rot90(image, turns), np.rot90(target, turns)
    return image, target


def _log_uniform(bounds: tuple[float, float], rng: np.random.Generator) -> float:
    low, high = np.log(bounds)
    return float(np.exp(rng.uniform(low, high)))
