"""Preprocessing of an image that is read row by row: the same pixels as `preprocess.image`.

What depends on the whole image is taken from it whole, one pass over its rows each: histograms
give the percentiles, the polarity and the tables of CLAHE exactly.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from coverslip.config.sections import Preprocessing
from coverslip.imaging.clahe import Equalized
from coverslip.imaging.rows import Rows, histogram, parts, percentile
from coverslip.models import preprocessing


def prepared(source: Rows, p: Preprocessing) -> Rows:
    """The image as a network sees it, uint8 HxWxC; see `preprocess.image`.

    Args:
        source: uint8 or uint16, HxWxC.
        p: the preprocessing section.

    Raises:
        CoverslipError: another dtype or shape.
    """
    image: Rows = Prepared(source, p)
    if p.clahe_clip is None:
        return image
    return Equalized(image, p.clahe_clip, preprocessing.CLAHE_TILES)


class Prepared:
    """`Rows` of all steps that look at one pixel at a time: channels, brightness, polarity."""

    dtype = np.dtype(np.uint8)

    def __init__(self, source: Rows, p: Preprocessing) -> None:
        self.source = source
        self.p = p
        self.shape = (*source.shape[:2], preprocessing.channels(p))
        self._limits: preprocessing.StretchLimits | None = None
        self._inverted = False
        if p.channels == "max_contrast" or p.normalization == "percentile":
            self._limits = self._stretch_limits()
        if p.invert_bright_background:
            self._inverted = self._has_bright_background()

    def rows(self, start: int, stop: int) -> np.ndarray:
        """See `Rows`."""
        return self._pixels(self.source.rows(start, stop))

    def _pixels(self, raw: np.ndarray) -> np.ndarray:
        pixels = self._bright(raw)
        if self._inverted:
            pixels = 255 - pixels
        if self.p.transform == "sqrt":
            pixels = preprocessing.SQUARE_ROOT[pixels]
        return np.ascontiguousarray(pixels)

    def _raw(self, raw: np.ndarray) -> np.ndarray:
        return preprocessing.convert_channels(preprocessing.check_image(raw), self.p.channels)

    def _bright(self, raw: np.ndarray) -> np.ndarray:
        pixels = self._raw(raw)
        if self._limits is not None:
            return preprocessing.limited(pixels, self._limits, self.p)
        return preprocessing.to_uint8(pixels)

    def _stretch_limits(self) -> preprocessing.StretchLimits:
        counts: Any = 0
        for part in parts(self.source):
            pixels = self._raw(part)
            channels = range(pixels.shape[2])
            counts = counts + np.stack([histogram(pixels[..., c]) for c in channels])
        low, high = (
            np.asarray([percentile(one, share) for one in counts])
            for share in preprocessing.PERCENTILES
        )
        height = self.shape[0]
        strips = (
            self.source.rows(start, min(start + preprocessing.NOISE_STRIP, height))
            for start in preprocessing.noise_strips(height)
        )
        noise = [preprocessing.noise(self._raw(strip)) for strip in strips]
        return preprocessing.stretch_limits(low, high, noise)

    def _has_bright_background(self) -> bool:
        """As `preprocess.has_bright_background`."""
        counts, rim = np.zeros(256, np.int64), np.zeros(256, np.int64)
        for part in parts(self.source):
            luma = preprocessing.convert_channels(self._bright(part), "grey")
            counts += histogram(luma)
            rim += histogram(luma[:, 0]) + histogram(luma[:, -1])
        for row in (0, self.shape[0] - 1):
            pixels = self._bright(self.source.rows(row, row + 1))
            rim += histogram(preprocessing.convert_channels(pixels, "grey"))
        low, high = (percentile(counts, share) for share in preprocessing.PERCENTILES)
        return percentile(rim, 50) > (low + high) / 2
