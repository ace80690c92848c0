"""Segment a folder of images with Cellpose 4; command line in `adapter.py`.

Pachitariu, Rariden, Stringer, Cellpose-SAM, bioRxiv 2025. Models: the names of Cellpose
(`cpsam_v2`, `cpsam`) or a file of weights. Options: those of `CellposeModel.eval` (`diameter`,
`flow_threshold`, `cellprob_threshold`, `min_size`, ...). Cellpose normalises images itself.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from adapter import Loaded, check_options, main, three_channels, torch_device


def load(model: str, options: dict[str, Any]) -> Loaded:
    """Return a Cellpose model of a file of weights, or a published one by its name."""
    from cellpose.models import MODEL_NAMES, CellposeModel

    options = check_options(options, "channel_axis", "z_axis", "do_3D")
    # Cellpose itself takes its default model for a name that it does not know.
    if model not in MODEL_NAMES and not Path(model).is_file():
        sys.exit(f"{model}: no such file, and no model of Cellpose: {', '.join(MODEL_NAMES)}")
    device = torch_device()
    network = CellposeModel(gpu=device != "cpu", pretrained_model=model)

    def predict(image: Any) -> Any:
        masks, *_ = network.eval(three_channels(image), channel_axis=-1, **options)
        return masks

    return Loaded(predict, device)


if __name__ == "__main__":
    main("cellpose", ("cellpose", "torch", "segment_anything"), "cpsam_v2", load)
