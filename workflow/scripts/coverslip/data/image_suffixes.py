"""Which files are images, by the endings of their names; needs only the standard library."""

BITMAPS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")

TIFFS = (".tif", ".tiff", ".lsm", ".stk", ".svs", ".ndpi", ".scn", ".qptiff")

VENDORS = (".czi", ".lif", ".nd2", ".oib", ".oif", ".oir")
"""Formats of microscopes; reading them needs the extra `formats`."""

SUFFIXES = (*BITMAPS, *TIFFS, *VENDORS)
"""Endings of the names of files that are read, in small letters."""

ZARR = ".zarr"
"""Ending of the name of a folder that is one image."""

COMPANIONS = ".oif.files"
"""Ending of the name of a folder that belongs to the file `*.oif` next to it."""

_MICROSCOPES = (".vsi", ".ets", ".mrxs", ".ims", ".zvi", ".dv", ".r3d", ".sld", ".lof", ".xlef")

_OTHERS = (".bif", ".mvd2", ".flex", ".c01", ".dib", ".dcm", ".jp2", ".j2k", ".jxl", ".heic")

TO_CONVERT = frozenset((*_MICROSCOPES, *_OTHERS))
"""Endings of images that are not read."""

HOW_TO_CONVERT = (
    "convert them to OME-TIFF or OME-Zarr with Bio-Formats (`bfconvert IN OUT.ome.tiff`, "
    "`bioformats2raw IN OUT.zarr`), Fiji or QuPath"
)
