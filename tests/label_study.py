"""Studies of label images on synthetic nuclei: those of another program, and baselines."""

import numpy as np
import tifffile
from scipy import ndimage

from coverslip.data.image_store import ImageStore


def config() -> dict:
    """The configuration; nothing is shared between its sections."""
    models = {
        "eroded": {"kind": "labels", "path": "eroded"},
        "watershed": {"kind": "baseline", "method": "otsu_watershed"},
    }
    return {
        "datasets": {
            "nuclei": {
                "title": "Nuclei",
                "source": {"kind": "synthetic", "images": 12, "size": 64},
                "format": "dsb2018",
            }
        },
        "studies": {
            name: {
                "title": name,
                "dataset": "nuclei",
                "split": {"method": "random", "test": 0.5},
                "model": model,
            }
            for name, model in models.items()
        },
    }


def write_eroded(where) -> None:
    """Write the annotations of the ingested images, eroded by a pixel, and without odd numbers."""
    (where / "eroded").mkdir(exist_ok=True)
    with ImageStore(where / "results/datasets/nuclei/images.h5") as store:
        for id in store.ids():
            label = store.label(id)
            eroded = np.where(ndimage.grey_erosion(label, 3) == label, label, 0)
            kept = np.where(eroded % 2 == 0, eroded, 0)
            tifffile.imwrite(where / f"eroded/{id}_mask.tif", kept.astype(np.uint16))
