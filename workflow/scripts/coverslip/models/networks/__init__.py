"""Networks: one module an architecture, loaded by name, each with `build(network, shape)`.

All give float32 logits under every dtype policy and are made of keras layers only (a saved model
loads without coverslip). Those for segmentation give (N, height, width, outputs) and are fully
convolutional; those for classes give (N, outputs).
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from coverslip.errors import CoverslipError

if TYPE_CHECKING:
    import keras

    from coverslip.config.sections import Network

Shape = tuple[int | None, int | None, int]


def build(network: Network, shape: Shape) -> keras.Model:
    """Build the network for images of `shape` (height, width, channels; None: any size).

    Its weights are random. Raises CoverslipError for a size that it cannot halve often enough.
    """
    module = import_module(f"coverslip.models.networks.{network.architecture}")
    divisor = module.size_divisor(network)
    for side in shape[:2]:
        if side is not None and side % divisor:
            raise CoverslipError(
                f"network {network.architecture} cannot take images of {shape[0]}x{shape[1]} "
                f"pixels: set preprocessing.patch or resize to multiples of {divisor}"
            )
    return module.build(network, shape)


def fixed_size(architecture: str, shape: Shape, smallest: int) -> Shape:
    """Return the shape, for networks whose weights are bound to the size of the image.

    Raises CoverslipError if the size is open, or below `smallest`, which poolings leave nothing of.
    """
    if any(side is None or side < smallest for side in shape[:2]):
        raise CoverslipError(
            f"network {architecture} needs images of one size, at least {smallest}x{smallest} "
            "pixels: set preprocessing.resize"
        )
    return shape


def load_pretrained(model: keras.Model, network: Network, path: Path | None) -> None:
    """Load the pretrained weights that `network.weights` names from a local file.

    Raises CoverslipError if the file is missing or does not fit.
    """
    module = import_module(f"coverslip.models.networks.{network.architecture}")
    if not hasattr(module, "load_pretrained"):
        raise CoverslipError(
            f"network {network.architecture} has no pretrained weights: set network.weights to none"
        )
    if path is None or not Path(path).is_file():
        raise CoverslipError(
            f"network.weights is {network.weights}, but there is no file {path}: download it to "
            "there, or set network.weights to none"
        )
    try:
        module.load_pretrained(model, Path(path))
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise CoverslipError(
            f"the weights in {path} do not fit {network.architecture} ({reason}): remove the file "
            "and download it again, and use preprocessing.channels: rgb"
        ) from error
