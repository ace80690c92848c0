"""From a stored image to what a network sees; the same code serves training and prediction.

`image` works on one image alone (channels, brightness, polarity, CLAHE), `resize_image` and
`resize_mask` bring it to another size, `fit` takes numbers from the training patches, and `batch`
turns uint8 patches into the float32 input of a network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image

from coverslip.config.sections import Preprocessing
from coverslip.errors import CoverslipError
from coverslip.imaging.clahe import Equalizer
from coverslip.imaging.rows import Mapped, Rows, Whole, histogram, parts, percentile, spans

PERCENTILES = (1.0, 99.8)

NOISE_STRIP = 64
"""Rows whose noise is estimated together, so that an image read row by row gives the same."""

NOISE_FACTORS = (1, 2, 4)
"""Noise is looked for in the image and in its means over squares of so many pixels."""

NOISE_RANGE = 25.0
"""Least range of percentile stretching in standard deviations of the noise. White noise has 5.2;
of the 664 images of the 2018 Data Science Bowl the least had 30."""

COUNTS_RANGE = 8.0
"""Least range of percentile stretching in counts of the detector."""

SECOND_DIFFERENCE = np.outer([1, -2, 1], [1, -2, 1]).astype(np.float32)
"""Of white noise of standard deviation 1 it makes noise of standard deviation 6."""

NORMAL_DEVIATION = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""

CLAHE_TILES = (8, 8)

CV2_CHANNELS = 4
"""Channels that OpenCV averages over areas at once."""

IMAGENET_MEAN, IMAGENET_DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of the channels of ImageNet on the scale 0..1, as torchvision has them."""

FIT_PATCHES = 256
"""Patches looked at together by `fit` when it is given one array."""


def channels(p: Preprocessing) -> int:
    """Return the number of channels of the network's input: 1 or 3."""
    return 3 if p.channels == "rgb" else 1


SQUARE_ROOT = np.rint(np.sqrt(255.0 * np.arange(256))).astype(np.uint8)
"""0..255 to 0..255; the square root makes the variance of shot noise alike (Anscombe 1948)."""


def to_input(image: np.ndarray, p: Preprocessing) -> np.ndarray:
    """Bring an image to 8 bits and to the channels of the network; its size stays.

    In this order: channels, brightness, polarity, transform, CLAHE. Alpha is dropped. Grey is the
    luma of ITU-R BT.601 (0.299 R + 0.587 G + 0.114 B), taken at full bit depth; `max_contrast` is
    one of the channels; a grey image becomes RGB by repetition.

    Args:
        image: HxW or HxWxC, C = 1 (grey), 2 (grey, alpha), 3 (RGB) or 4 (RGBA); uint8, uint16 or
            bool.
        p: the preprocessing section.

    Returns:
        uint8 HxWxC, C = 1 or 3, 0..255.

    Raises:
        CoverslipError: another dtype or shape.
    """
    image = check_image(image)
    return ImagePreprocessor(Whole(image), p).apply(image)


class ImagePreprocessor:
    """`to_input` window by window, with numbers (percentiles, polarity, CLAHE) of the whole image.

    Args:
        source: uint8 or uint16, HxWxC, see `to_input`.
        p: the preprocessing section.

    Raises:
        CoverslipError: another dtype or shape.
    """

    def __init__(self, source: Rows, p: Preprocessing) -> None:
        self.p = p
        self._limits: StretchLimits | None = None
        self._inverted = False
        self._equalizer: Equalizer | None = None
        if p.channels == "max_contrast" or p.normalization == "percentile":
            self._limits = self._stretch_limits(source)
        if p.invert_bright_background:
            self._inverted = has_bright_background(self._stage(source, self._bright))
        if p.clahe_clip is not None:
            mapped = self._stage(source, self._pixels)
            self._equalizer = Equalizer(mapped, p.clahe_clip, CLAHE_TILES)

    def apply(self, pixels: np.ndarray, row: int = 0, column: int = 0) -> np.ndarray:
        """Return a window as `to_input` does, uint8 HxWxC.

        Args:
            pixels: of the source.
            row, column: of the window's first pixel.
        """
        found = self._pixels(pixels)
        return self._equalizer.apply(found, row, column) if self._equalizer else found

    def rows(self, source: Rows) -> Rows:
        """Return the whole image as `to_input` does, to be read by rows."""
        return Mapped(source, self.apply, channels(self.p), np.dtype(np.uint8))

    def _stage(self, source: Rows, function: Callable[[np.ndarray], np.ndarray]) -> Rows:
        def of_rows(pixels: np.ndarray, _: int) -> np.ndarray:
            return function(pixels)

        return Mapped(source, of_rows, channels(self.p), np.dtype(np.uint8))

    def _raw(self, pixels: np.ndarray) -> np.ndarray:
        return convert_channels(check_image(pixels), self.p.channels)

    def _bright(self, pixels: np.ndarray) -> np.ndarray:
        raw = self._raw(pixels)
        return (
            to_uint8(raw) if self._limits is None else convert_to_8_bits(raw, self._limits, self.p)
        )

    def _pixels(self, pixels: np.ndarray) -> np.ndarray:
        found = self._bright(pixels)
        if self._inverted:
            found = 255 - found
        if self.p.transform == "sqrt":
            found = SQUARE_ROOT[found]
        return np.ascontiguousarray(found)

    def _stretch_limits(self, source: Rows) -> StretchLimits:
        counts: Any = 0
        for part in parts(source):
            raw = self._raw(part)
            counts = counts + np.stack([histogram(raw[..., c]) for c in range(raw.shape[2])])
        low, high = (
            np.asarray([percentile(one, share) for one in counts]) for share in PERCENTILES
        )
        height = source.shape[0]
        strips = (
            source.rows(start, min(start + NOISE_STRIP, height)) for start in noise_strips(height)
        )
        return stretch_limits(low, high, [noise(self._raw(strip)) for strip in strips])


def check_image(image: np.ndarray) -> np.ndarray:
    """Return HxWxC of uint8 or uint16 without alpha, or raise what is wrong."""
    if image.ndim == 2:
        image = image[:, :, np.newaxis]
    if image.ndim != 3 or image.shape[2] not in (1, 2, 3, 4) or 0 in image.shape:
        raise CoverslipError(
            f"an image of shape {image.shape} is neither grey nor RGB: "
            "store it as HxW, HxWx3 or HxWx4"
        )
    if image.dtype == np.bool_:
        image = image.astype(np.uint8) * np.uint8(255)
    if image.dtype not in (np.uint8, np.uint16):
        raise CoverslipError(
            f"an image of type {image.dtype} has no known range: store it as uint8 or uint16"
        )
    return image[:, :, : {1: 1, 2: 1, 3: 3, 4: 3}[image.shape[2]]]


def convert_channels(image: np.ndarray, wanted: str) -> np.ndarray:
    """Return HxWxC with one or three channels; for `max_contrast` as many as there are."""
    if wanted == "rgb":
        return image if image.shape[2] == 3 else np.repeat(image, 3, axis=2)
    if wanted == "max_contrast" or image.shape[2] == 1:
        return image
    return cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)[:, :, np.newaxis]


def to_uint8(image: np.ndarray) -> np.ndarray:
    """The range of the data type becomes 0..255: 16 bits are divided by 257 and rounded."""
    if image.dtype == np.uint8:
        return image
    return ((image.astype(np.uint32) + 128) // 257).astype(np.uint8)


@dataclass(frozen=True)
class StretchLimits:
    """What brightness becomes 0 and 255, and which channel has the largest range."""

    channel: int
    all_channels: tuple[float, float]
    """One pair for all channels."""
    one_channel: tuple[float, float]
    """For the channel with the largest range alone."""


def stretch_limits(
    low: np.ndarray, high: np.ndarray, strips: Sequence[np.ndarray]
) -> StretchLimits:
    """Choose the limits of a stretch: from percentiles, with a floor under their range.

    All channels have one scale, so that an empty channel of a tinted image stays empty. The
    range is at least `NOISE_RANGE` standard deviations of the noise in the channel of most
    contrast, so that an empty field stays nearly flat, and at least `COUNTS_RANGE`.

    Args:
        low: 1st percentile of each channel.
        high: 99.8th percentile of each channel.
        strips: what `noise` returned for each of the `noise_strips`.
    """
    channel = int(np.argmax(high - low))
    floor = max(COUNTS_RANGE, NOISE_RANGE * float(np.median(strips, axis=0)[channel]))

    def limits(bottom: float, top: float) -> tuple[float, float]:
        # An empty field becomes dark, as the background of fluorescence.
        return bottom, max(top, bottom + floor)

    return StretchLimits(
        channel,
        limits(float(low.min()), float(high.max())),
        limits(float(low[channel]), float(high[channel])),
    )


def noise_strips(height: int) -> range:
    """First rows of the strips whose noise is estimated; rows that fill none are left out."""
    return range(0, max(1, height - NOISE_STRIP + 1), NOISE_STRIP)


def noise(strip: np.ndarray) -> np.ndarray:
    """Estimate the standard deviation of the noise of each channel.

    From the median of the absolute second difference along both axes, which is blind to smooth
    structure (Immerkaer, Computer Vision and Image Understanding 64, 1996; the median in place of
    the mean ignores edges). Noise that an optic, a camera or a compression made smooth shows in
    means over squares of pixels; the largest of the estimates counts.

    Args:
        strip: uint8 or uint16 HxWxC.
    """
    found = np.zeros(strip.shape[2])
    for factor in NOISE_FACTORS:
        height, width = (n // factor * factor for n in strip.shape[:2])
        if min(height, width) < 4 * factor:
            break
        for channel in range(strip.shape[2]):
            pixels: np.ndarray = strip[:height, :width, channel].astype(np.float32)
            if factor > 1:
                pixels = cv2.resize(
                    pixels, (width // factor, height // factor), interpolation=cv2.INTER_AREA
                )
            second = cv2.filter2D(pixels, -1, SECOND_DIFFERENCE)[1:-1, 1:-1]
            deviation = float(np.median(np.abs(second))) * NORMAL_DEVIATION / 6
            found[channel] = max(found[channel], deviation)
    return found


def convert_to_8_bits(image: np.ndarray, limits: StretchLimits, p: Preprocessing) -> np.ndarray:
    """Bring an image, or rows of it, to the channels and the 8 bits that `p` asks for."""
    low, high = limits.all_channels
    if p.channels == "max_contrast":
        image = image[:, :, limits.channel : limits.channel + 1]
        low, high = limits.one_channel
    if p.normalization != "percentile":
        return to_uint8(image)
    stretched = (image.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low))
    return np.clip(np.rint(stretched), 0, 255).astype(np.uint8)


def has_bright_background(source: Rows) -> bool:
    """Return whether the background of an image is brighter than its objects.

    The rule: background is what the rim of an image mostly shows, so its brightness is the median
    of the luma on the outermost pixels; it is bright if that is above the middle between the 1st
    and the 99.8th percentile of the whole luma. Fluorescence has a dark background; bright field
    and H&E a bright one. A flat image counts as dark. Of the 664 images of the 2018 Data
    Science Bowl it was right in all; the median of all pixels, which fails where objects cover more
    than half of an image, in 662.

    Args:
        source: rows of a uint8 image HxWxC, C = 1 or 3.
    """
    counts, rim = np.zeros(256, np.int64), np.zeros(256, np.int64)
    for start, stop in spans(source.shape):
        luma = convert_channels(source.rows(start, stop), "grey")
        counts += histogram(luma)
        rim += histogram(luma[:, 0]) + histogram(luma[:, -1])
        for row in (0, source.shape[0] - 1):
            rim += histogram(luma[row - start]) if start <= row < stop else 0
    low, high = (percentile(counts, share) for share in PERCENTILES)
    return percentile(rim, 50) > (low + high) / 2


def resize_image(image: np.ndarray, size: tuple[int, int], method: str = "area") -> np.ndarray:
    """Resize an image.

    `area`: area average along an axis that shrinks, linear interpolation along one that grows.
    `bilinear`: as `cv2.resize` does by default, without antialiasing. `bicubic`: as
    `PIL.Image.resize` does by default, with antialiasing.

    Args:
        image: HxWxC; uint8 or float32 with any number of channels for `area`, else uint8 with one
            or three.
        size: height and width in pixels.
        method: one of the three names.

    Returns:
        The same dtype, size[0] x size[1] x C.
    """
    height, width = size
    if method == "bilinear":
        resized = cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR)
        return resized.reshape(height, width, image.shape[2])
    if method == "bicubic":
        whole = Image.fromarray(image if image.shape[2] == 3 else image[:, :, 0])
        resized = np.array(whole.resize((width, height), Image.Resampling.BICUBIC))
        return resized.reshape(height, width, image.shape[2])
    smaller = (min(height, image.shape[0]), min(width, image.shape[1]))
    for step, interpolation in ((smaller, cv2.INTER_AREA), (size, cv2.INTER_LINEAR)):
        if image.shape[:2] != tuple(step):
            resized = np.empty((*step, image.shape[2]), image.dtype)
            for first in range(0, image.shape[2], CV2_CHANNELS):
                some = np.s_[:, :, first : first + CV2_CHANNELS]
                part = cv2.resize(image[some], (step[1], step[0]), interpolation=interpolation)
                resized[some] = part.reshape(resized[some].shape)  # cv2 drops a single channel
            image = resized
    return image


def resize_mask(mask: np.ndarray, size: tuple[int, int], method: str) -> np.ndarray:
    """Resize a mask; the result is a mask again.

    `area`: foreground where it covers more than half of the new pixel; where it covers just half
    (common at a factor of two) the nearest pixel decides. Were such a tie always foreground,
    nuclei would grow by about 4 % in area, and shrink by as much were it never. `nearest`: the
    pixel nearest to the centre of the new one. `bilinear-ceil`: bilinear interpolation of 0 and 255
    without smoothing, where it is 1 or more; `bicubic-nonzero`: Pillow's bicubic interpolation of
    0 and 255, where it is 1 or more. Both grow objects (nuclei at 128x128 by 10 and by 31 % in
    area) and exist only to repeat published studies that did it.

    Args:
        mask: HxW, above 0 is foreground.
        size: height and width in pixels.
        method: one of the four names.

    Returns:
        uint8 size[0] x size[1], 0 or 1.
    """
    shape = (size[1], size[0])
    mask = (mask > 0).astype(np.uint8)
    nearest = cv2.resize(mask, shape, interpolation=cv2.INTER_NEAREST_EXACT)
    if method == "nearest":
        return nearest
    if method == "area":
        share = cv2.resize(mask.astype(np.float32), shape, interpolation=cv2.INTER_AREA)
        tie = np.abs(share - 0.5) < 1e-4
        return np.where(tie, nearest, share > 0.5).astype(np.uint8)
    if method in ("bilinear-ceil", "bicubic-nonzero"):
        resized = resize_image(255 * mask[:, :, np.newaxis], size, method.split("-")[0])
        return (resized[:, :, 0] > 0).astype(np.uint8)
    raise ValueError(f"unknown way to resize a mask: {method}")


def fit(images: np.ndarray | Iterable[np.ndarray], p: Preprocessing) -> dict:
    """Take from the training patches what `batch` needs.

    Exact and in bounded memory: histograms of the 256 values are added up, and the mean and
    standard deviation come from these integers in float64, whatever the order of the patches.

    Args:
        images: uint8 NxHxWxC, also memory-mapped, or an iterable of such arrays. Only patches
            of training images may be in it.
        p: the preprocessing section.

    Returns:
        Numbers for JSON: empty but for `zscore`, which has the lists `mean` and
        `standard_deviation`, one value a channel on the scale 0..255.

    Raises:
        CoverslipError: there are no patches.
    """
    if p.input_scaling != "zscore":
        return {}
    counts = np.zeros((channels(p), 256), np.int64)
    for block in _blocks(images):
        for channel in range(channels(p)):
            values = np.ascontiguousarray(block[..., channel]).ravel()
            counts[channel] += np.bincount(values, minlength=256)
    pixels = int(counts[0].sum())
    if pixels == 0:
        raise CoverslipError("there are no training patches to fit the preprocessing on")
    values = np.arange(256, dtype=np.float64)
    mean = counts @ values / pixels
    variance = (counts * (values - mean[:, np.newaxis]) ** 2).sum(axis=1) / pixels
    return {"mean": mean.tolist(), "standard_deviation": np.sqrt(variance).tolist()}


def _blocks(images: np.ndarray | Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    if isinstance(images, np.ndarray):
        for start in range(0, len(images), FIT_PATCHES):
            yield images[start : start + FIT_PATCHES]
    else:
        yield from images


def batch(images: np.ndarray, p: Preprocessing, fitted: dict) -> np.ndarray:
    """Scale uint8 patches to the float32 input of the network.

    Args:
        images: uint8 NxHxWxC, 0..255.
        p: the preprocessing section.
        fitted: what `fit` returned.

    Returns:
        float32 NxHxWxC: 0..255 for `none`, 0..1 for `unit`, zero mean and unit standard
        deviation over the training patches for `zscore` (a channel that never varied is 0);
        for `column_l2` each column of pixels has norm 1 (a black one stays 0).
    """
    scaled = images.astype(np.float32)
    if p.input_scaling == "unit":
        scaled /= np.float32(255)
    elif p.input_scaling == "zscore":
        deviation = np.asarray(fitted["standard_deviation"], np.float32)
        scaled -= np.asarray(fitted["mean"], np.float32)
        scaled /= np.where(deviation > 0, deviation, np.float32(1))
    elif p.input_scaling == "imagenet":
        scaled /= np.float32(255)
        scaled -= np.asarray(IMAGENET_MEAN, np.float32)
        scaled /= np.asarray(IMAGENET_DEVIATION, np.float32)
    elif p.input_scaling == "column_l2":
        norm = np.linalg.norm(scaled, axis=1, keepdims=True)
        scaled /= np.where(norm > 0, norm, np.float32(1))
    return scaled
