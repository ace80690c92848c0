"""Segment a folder of images with Segment Anything for Microscopy; command line in `adapter.py`.

Archit et al., Nature Methods 2025. Models: the names of micro_sam (`vit_b_lm`, `vit_l_lm`, ...), or
a file of weights, with the option `model_type` (`vit_b`). Options: `model_type`,
`segmentation_mode` (`ais`, `apg`, `amg`), `tile_shape` and `halo`, and those of the function
`generate` of the segmenter.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from adapter import Loaded, check_options, main, three_channels, torch_device


def load(model: str, options: dict[str, Any]) -> Loaded:
    """Return a model of a file of weights, or a published one by its name."""
    from micro_sam.automatic_segmentation import (
        automatic_instance_segmentation,
        get_predictor_and_segmenter,
    )

    options = dict(check_options(options, "ndim", "verbose", "output_path"))
    path = Path(model)
    kind = options.pop("model_type", "vit_b" if path.is_file() else model)
    tiles = {key: tuple(options.pop(key)) for key in ("tile_shape", "halo") if key in options}
    device = torch_device()
    predictor, segmenter = get_predictor_and_segmenter(
        kind,
        checkpoint=str(path) if path.is_file() else None,
        device=device,
        segmentation_mode=options.pop("segmentation_mode", None),
        is_tiled=bool(tiles),
    )

    def predict(image: Any) -> Any:
        return automatic_instance_segmentation(
            predictor, segmenter, three_channels(image), ndim=2, verbose=False, **tiles, **options
        )

    return Loaded(predict, device)


if __name__ == "__main__":
    main("micro_sam", ("micro-sam", "torch", "torch-em", "segment-anything"), "vit_b_lm", load)
