"""The section of the configuration on measuring own pictures."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from coverslip.configuration.config_base import Section


class Measure(Section):
    """How own pictures are measured (target `measure`)."""

    name: str | None = Field(default=None, pattern="^[A-Za-z0-9][A-Za-z0-9_-]*$")
    """Name of the folder `results/measure/<name>`; none: that of the folder of pictures."""
    pixel_size_um: float | None = Field(default=None, gt=0)
    """Height and width of a pixel in micrometres; none: what each file says (OME, ImageJ, TIFF
    resolution), if anything. A value given here goes before that of the files."""
    channel: int | None = Field(default=None, ge=0)
    """Channel to measure, from 0, where a picture has several; none: grey and RGB pictures as they
    are, while others with several channels are listed as not measured."""
    padding: Literal["black", "none"] = "black"
    """`black`: black surroundings of the field of view do not count as area; `none`: all does."""
    minimum_area: int = Field(default=16, ge=0)
    """Objects of fewer pixels are not counted."""
    overlap: float = Field(default=0.25, ge=0, lt=1)
    """Share of a patch of the training that neighbouring tiles both cover."""
    flips: bool = False
    """Average the predictions over the eight flips and turns of a picture."""
    fast: bool = False
    """Predict in half precision where the device is fast at that, with normalizations folded into
    convolutions: nearly the same answers in half the time."""
    whole_megapixels: float = Field(default=17.0, gt=0)
    """Larger pictures, in million pixels, are read, predicted and written by some rows at a time,
    so that they fit in memory; 4096 x 4096 pixels are 16.8 million."""
    time_pattern: str = (
        r"(?P<days>\d+)d(?P<hours>\d+)h(?P<minutes>\d+)m"
        r"|(?:^|[_\- ])[tT](?P<time>\d+(?:\.\d+)?)(?![0-9A-Za-z])"
    )
    """Regular expression searched in a picture's name, with the named group `time` (a number) or
    any of `days`, `hours`, `minutes`, `seconds`. What is left of the name, or the group `series`,
    tells which pictures are of one place. Times in the files' metadata go before."""
    time_unit: str = "frame"
    """Unit of the group `time`."""
    shards: int = Field(default=1, ge=1)
    """Number of jobs that the pictures are cut into."""

    @property
    def largest_whole(self) -> int:
        """Pixels of the largest picture that is held in memory whole."""
        return int(self.whole_megapixels * 1e6)
