"""Write the CZI samples of the tests by Zeiss's own library: `python write_czi.py FOLDER`.

Needs `pip install pylibCZIrw` (LGPL; not needed to run the tests).
"""

import sys

import numpy as np
from pylibCZIrw import czi

FOLDER = sys.argv[1]


def plane(c, z, s, height=20, width=30):
    y, x = np.mgrid[:height, :width]
    return (y * 7 + x * 3 + c * 1000 + z * 100 + s * 5000).astype(np.uint16)


how = "zstd1:ExplicitLevel=3"
with czi.create_czi(f"{FOLDER}/stack.czi", exist_ok=True, compression_options=how) as file:
    for s in range(2):
        for z in range(2):
            for c in range(2):
                place = {"C": c, "Z": z, "T": 0}
                file.write(plane(c, z, s)[..., None], plane=place, scene=s, location=(s * 500, 0))
    scale = {"scale_x": 0.25e-6, "scale_y": 0.5e-6, "scale_z": 1e-6}
    file.write_metadata(document_name="stack", channel_names={0: "DAPI", 1: "GFP"}, **scale)

full = np.stack([plane(0, 0, 0, 40, 50) // k % 256 for k in (1, 2, 3)], -1).astype(np.uint8)
with czi.create_czi(f"{FOLDER}/mosaic.czi", exist_ok=True, compression_options="zstd0:") as file:
    for top in (0, 20):
        for left in (0, 25):
            tile = np.ascontiguousarray(full[top : top + 20, left : left + 25, ::-1])
            file.write(tile, plane={"C": 0}, location=(left + 100, top + 70))
    file.write_metadata(document_name="mosaic", scale_x=1e-6, scale_y=1e-6)
