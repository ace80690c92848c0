"""The section of the configuration on maps of what speaks for a class."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from coverslip.configuration.config_base import Section


class OcclusionWindow(Section):
    """A window that hides a part of the picture."""

    window: int = Field(ge=1)
    """Height and width in pixels, at the size that the network works at."""
    stride: int = Field(ge=1)
    """Pixels between two places of the window."""

    @property
    def name(self) -> str:
        """Name of its maps."""
        return f"occlusion {self.window}/{self.stride}"


class Attribution(Section):
    """For `task: classification`: maps of what speaks for a class, on held-out pictures."""

    pictures: int = Field(default=2, ge=0)
    """Pictures a class that are explained, half of them mistakes where there are any; 0: none."""
    occlusion: list[OcclusionWindow] = [
        OcclusionWindow(window=10, stride=5),
        OcclusionWindow(window=20, stride=10),
    ]
    """Windows of the occlusion maps; each gives maps of its own."""
    baseline: Literal["zero", "mean"] = "zero"
    """What hides pixels. `zero`: 0 in the scale that the network takes; `mean`: the mean colour of
    the picture."""
    integrated_gradients: bool = True
    """Integrated gradients with SmoothGrad."""
    steps: int = Field(default=50, ge=1)
    """For integrated gradients: points between the baseline and the picture."""
    smooth_samples: int = Field(default=8, ge=0)
    """For integrated gradients: noisy copies of the picture; 0: no SmoothGrad."""
    smooth_deviation: float = Field(default=0.1, gt=0)
    """For SmoothGrad: standard deviation of the noise, as a share of the picture's range."""
    grad_cam: bool = True
    """Grad-CAM on the last features that still have places."""
    batch: int = Field(default=64, ge=1)
    """Pictures that are computed together."""
    seed: int = Field(default=1, ge=0)
    """Seed of the noise and of the random map that is the baseline."""
