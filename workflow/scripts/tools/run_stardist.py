"""Segment a folder of images with StarDist; command line in `adapter.py`.

Schmidt et al., Cell detection with star-convex polygons, MICCAI 2018. Each channel is normalised
between its 1st and 99.8th percentile, as in the examples of StarDist. A model of one channel gets
the channel with the most contrast. Options: those of `StarDist2D.predict_instances`
(`prob_thresh`, `nms_thresh`, `n_tiles`, ...).
"""

from __future__ import annotations

import sys
from typing import Any

from adapter import Loaded, check_options, main, one_channel, three_channels, unpacked

TILE = 2048
"""Larger images are predicted in tiles of about this height and width."""


def load(model: str, options: dict[str, Any]) -> Loaded:
    """Return a StarDist model of a folder or a zip, or a pretrained one by its name."""
    options = check_options(options, "axes", "normalizer")
    with unpacked(model, "config.json") as folder:
        import numpy as np
        import tensorflow as tf
        from csbdeep.utils import normalize
        from stardist.models import StarDist2D

        if folder is not None:
            network = StarDist2D(None, name=folder.name, basedir=str(folder.parent))
        else:
            network = StarDist2D.from_pretrained(model)
            if network is None:
                sys.exit(f"{model}: not a model of StarDist: give a folder, or a name as above")
    channels = network.config.n_channel_in

    def predict(image: Any) -> Any:
        seen = one_channel(image) if channels == 1 else three_channels(image)
        x = normalize(seen.astype(np.float32), 1, 99.8, axis=(0, 1))
        tiles = tuple(-(-side // TILE) for side in x.shape[:2]) + (1,) * (x.ndim - 2)
        labels, _ = network.predict_instances(
            x, **{"n_tiles": tiles, "show_tile_progress": False, **options}
        )
        return labels

    gpus = tf.config.list_physical_devices("GPU")
    return Loaded(predict, "gpu" if gpus else "cpu")


if __name__ == "__main__":
    main(
        "stardist",
        ("stardist", "csbdeep", "keras", "tensorflow", "tensorflow-cpu"),
        "2D_versatile_fluo",
        load,
    )
