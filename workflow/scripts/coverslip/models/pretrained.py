"""Pretrained weights of networks: where they are published, and how they are fetched.

A file that was put at its place by hand is used as it is. Only rules of the workflow call this; the
file is checked when it is loaded into a network (`networks.load_pretrained`).
"""

from __future__ import annotations

import logging
from pathlib import Path

from coverslip.errors import CoverslipError
from coverslip.files import atomic_write

LOG = logging.getLogger("coverslip")

FILES = {
    "mobilenetv2_unet_imagenet.h5": "https://storage.googleapis.com/tensorflow/keras-applications/"
    "mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5",
    "efficientnet_lite0_unet_imagenet.safetensors": "https://huggingface.co/timm/"
    "tf_efficientnet_lite0.in1k/resolve/main/model.safetensors",
    "resnet18_imagenet.safetensors": "https://huggingface.co/timm/resnet18.tv_in1k/resolve/main/"
    "model.safetensors",
}
"""Names of the files in `resources/weights`, and their addresses: MobileNetV2 without its top layer
as `keras.applications` publishes it, EfficientNet-Lite0 of its authors, and torchvision's ResNet18
(IMAGENET1K_V1)."""

ENDINGS = {Path(name).stem: Path(name).suffix for name in FILES}

SECONDS = 60
"""A server that says nothing for so long is given up."""


def file_name(architecture: str, weights: str) -> str:
    """Name of the file with the weights that a network starts from."""
    stem = f"{architecture}_{weights}"
    return stem + ENDINGS.get(stem, ".h5")


def download(output: Path) -> None:
    """Download a file of pretrained weights; which one is told by its name.

    Raises:
        CoverslipError: no such file is known, or it cannot be had.
    """
    import requests

    output = Path(output)
    address = FILES.get(output.name)
    if address is None:
        raise CoverslipError(
            f"{output}: no address of such weights is known: put the file there by hand, or set "
            "network.weights to none"
        )
    LOG.info("%s: downloading from %s", output, address)
    try:
        with (
            atomic_write(output) as part,
            requests.get(address, stream=True, timeout=SECONDS) as answer,
        ):
            answer.raise_for_status()
            with part.open("wb") as file:
                for piece in answer.iter_content(1 << 20):
                    file.write(piece)
    except requests.RequestException as error:
        raise CoverslipError(
            f"{output}: cannot be downloaded ({type(error).__name__}): download {address} in a "
            "browser and put it there, or set network.weights to none"
        ) from error
