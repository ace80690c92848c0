"""Segment a folder of images with InstanSeg; command line in `adapter.py`.

Goldsborough et al., arXiv 2408.15954 and bioRxiv 2024.09.04.611150. Models: the names of InstanSeg,
or a folder or zip with `instanseg.pt`. Options: those of `InstanSeg.eval_small_image` and
`eval_medium_image` (`pixel_size` in micrometres, without which images are taken as they are;
`target`: `nuclei` or `cells`; `tile_size`; `batch_size`, ...).
"""

from __future__ import annotations

from typing import Any

from adapter import Loaded, check_options, main, one_channel, three_channels, torch_device, unpacked

SMALL = 1024 * 1024
"""Images of more pixels are predicted in tiles."""

OF_TILES = ("tile_size", "batch_size")


def load(model: str, options: dict[str, Any]) -> Loaded:
    """Return an InstanSeg model of a folder or a zip, or a published one by its name."""
    check_options(options, "return_image_tensor", "normalise")
    with unpacked(model, "instanseg.pt") as folder:
        import numpy as np
        import torch
        from instanseg import InstanSeg

        given: Any = model
        if folder is not None:
            given = torch.jit.load(str(next(folder.rglob("instanseg.pt"))), map_location="cpu")
    device = torch_device()
    network = InstanSeg(given, device=device, verbosity=0)
    options = {"target": "nuclei", "pixel_size": None, **options}
    small = {key: value for key, value in options.items() if key not in OF_TILES}

    form = one_channel if input_channels(network.instanseg) == 1 else three_channels

    def predict(image: Any) -> Any:
        pixels = np.moveaxis(np.atleast_3d(form(image)), -1, 0)
        if pixels[0].size <= SMALL:
            labels = network.eval_small_image(pixels, return_image_tensor=False, **small)
        else:
            labels = network.eval_medium_image(pixels, return_image_tensor=False, **options)
        # (1, outputs, H, W): the first output is that of the target, nuclei where there are both.
        return labels.cpu().numpy()[0, 0].astype(np.int64)

    return Loaded(predict, device)


def input_channels(network: Any) -> int:
    """Return the number of channels that the first convolution of a model takes."""
    first = next(weights for weights in network.parameters() if weights.ndim == 4)
    return int(first.shape[1])


if __name__ == "__main__":
    main("instanseg", ("instanseg-torch", "torch"), "fluorescence_nuclei_and_cells", load)
