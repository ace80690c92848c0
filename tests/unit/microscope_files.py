"""Small files of each kind that is read, written on the spot: pixels, metadata and how to choose.

Kinds that no package writes (LIF, OIF, LSM, STK, SCN, QPTIFF) are built here from their
specification; CZI comes from Zeiss's own library, see `data/samples/README.md`.
"""

import io
import shutil
import struct
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import tifffile
import zarr
from PIL import Image

RNG = np.random.default_rng(1)
GREY = RNG.integers(0, 256, (20, 30), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (20, 30), dtype=np.uint16)
RGB = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)
RGB16 = RNG.integers(0, 65536, (20, 30, 3), dtype=np.uint16)
STACK = RNG.integers(0, 65536, (2, 3, 2, 20, 30), dtype=np.uint16)
"""Times, depths, channels, height, width."""


@dataclass
class Expected:
    """What is read from a file with `channel` and `z`."""

    pixels: np.ndarray
    """Of the first plane, HxW or HxWx3."""
    planes: int = 1
    pixel_um: tuple | None = None
    channels: tuple = ()
    tolerance: int = 0
    options: dict = field(default_factory=dict)
    note: str = ""


COLORS = ("red", "green", "blue")


def bitmap(path, array, kind, **options):
    Image.fromarray(array).save(path, kind, **options)


def png(path, array):
    import imagecodecs

    path.write_bytes(imagecodecs.png_encode(array))


def compressed(compression, array=GREY, **options):
    kind = "rgb" if array.ndim == 3 else "minisblack"

    def write(path):
        tifffile.imwrite(path, array, photometric=kind, compression=compression, **options)

    return write


def written(array, **options):
    return lambda path: tifffile.imwrite(path, array, **options)


def palette(path):
    Image.fromarray(GREY % 3).convert("P").save(path, "TIFF")
    image = Image.fromarray(GREY % 3)
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 9])
    image.save(path, "TIFF")


PALETTE_COLORS = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 9]], np.uint8)[GREY % 3]


def cmyk(path):
    four = np.dstack([255 - RGB, np.zeros_like(GREY)])
    tifffile.imwrite(path, four, photometric="separated")


def ycbcr(path):
    Image.fromarray(np.full((20, 30, 3), (200, 100, 50), np.uint8)).convert("YCbCr").save(path)


def pyramid(path):
    with tifffile.TiffWriter(path, bigtiff=True, ome=True) as file:
        options = {"photometric": "rgb", "tile": (16, 16), "compression": "zlib"}
        facts = {"axes": "YXS", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25}
        file.write(RGB, subifds=1, metadata=facts, **options)
        file.write(RGB[::2, ::2], subfiletype=1, **options)


def imagej(path):
    facts = {"axes": "TZCYX", "unit": "um", "finterval": 60.0, "Labels": ["DAPI", "GFP"] * 6}
    tifffile.imwrite(path, STACK, imagej=True, metadata=facts, resolution=(4, 2))


def ome(path):
    facts = {"axes": "TZCYX", "PhysicalSizeX": 250, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.5}
    facts["Channel"] = {"Name": ["DAPI", "GFP"], "EmissionWavelength": [461, 509]}
    tifffile.imwrite(path, STACK, ome=True, metadata=facts)


def lsm(path):
    """Carl Zeiss LSM: planes and thumbnails in turn, channels as planes of a page."""
    facts = np.zeros(1, np.dtype(tifffile.TIFF.CZ_LSMINFO))
    facts["MagicNumber"], facts["StructureSize"] = 67127628, facts.dtype.itemsize
    for name, value in (("X", 30), ("Y", 20), ("Z", 1), ("Channels", 3), ("Time", 2)):
        facts[f"Dimension{name}"] = value
    facts["VoxelSizeX"], facts["VoxelSizeY"], facts["ScanType"] = 0.25e-6, 0.5e-6, 3
    with tifffile.TiffWriter(path, byteorder="<") as file:
        for t in range(2):
            extra = [(34412, 1, facts.nbytes, facts.tobytes(), True)] if t == 0 else []
            options = {"photometric": "minisblack", "metadata": None}
            file.write(STACK[t, :, 0], planarconfig="separate", extratags=extra, **options)
            file.write(STACK[t, 0, 0, ::2, ::2], subfiletype=1, **options)


def stk(path):
    """MetaMorph: all planes of a stack behind one page."""
    planes = STACK[0, :, 0]
    data = planes.astype("<u2").tobytes()
    count = 13
    start = 8 + 2 + 12 * count + 4
    unit = b"um\0"
    blobs = {
        33628: struct.pack("<6I", 4, 0, 5, 0, 6, 0),
        33629: b"".join(struct.pack("<6I", 1, 1, 0, 0, 0, 0) for _ in planes),
        33630: b"".join(struct.pack("<2I", 461, 1) for _ in planes),
    }
    places, at = {}, start
    for tag, blob in blobs.items():
        places[tag], at = at, at + len(blob)
    fractions, at = at, at + 16
    units, at = at, at + 4 + len(unit)
    blobs[33628] = struct.pack("<6I", 4, fractions, 5, fractions + 8, 6, units)
    values = {
        256: 30,
        257: 20,
        258: 16,
        259: 1,
        262: 1,
        273: at,
        277: 1,
        278: 20,
        279: 1200,
        284: 1,
    }
    entries = {tag: (4, 1, value) for tag, value in values.items()}
    entries |= {33628: (4, 3, places[33628]), 33629: (5, 3, places[33629])}
    entries[33630] = (5, 3, places[33630])
    file = b"II*\0" + struct.pack("<IH", 8, count)
    file += b"".join(struct.pack("<HHII", tag, *entries[tag]) for tag in sorted(entries)) + bytes(4)
    file += b"".join(blobs.values()) + struct.pack("<4I", 1, 4, 1, 2)
    path.write_bytes(file + struct.pack("<I", len(unit)) + unit + data)


def svs(path):
    """Aperio: the slide as a pyramid of tiles, a thumbnail, and a photograph of the label."""
    text = "Aperio Image Library v12\r\n30x20 [0,0 30x20] |AppMag = 20|MPP = 0.4990"
    with tifffile.TiffWriter(path) as file:
        options = {"photometric": "rgb", "metadata": None}
        file.write(RGB, tile=(16, 16), description=text, **options)
        file.write(RGB[::4, ::4], **options)
        file.write(RGB[::2, ::2], tile=(16, 16), **options)
        file.write(RGB[:10, :10], subfiletype=1, **options)


def ndpi(path):
    """Hamamatsu: TIFF with offsets of 64 bits; the slide, and a photograph of all of it."""
    file = b"II*\0" + struct.pack("<Q", 12)
    pages = [(RGB, 20.0, 20000), (np.ascontiguousarray(RGB[:5, :29]), -1.0, 100)]
    for number, (image, lens, resolution) in enumerate(pages):
        height, width, _ = image.shape
        count = 16
        end = len(file) + 2 + 12 * count + 8 + 4 * count
        data = end + 40
        tags = {256: width, 257: height, 259: 1, 262: 2, 273: data, 277: 3, 278: height}
        entries = {tag: (4, 1, struct.pack("<I", value)) for tag, value in tags.items()}
        entries[279] = (4, 1, struct.pack("<I", image.nbytes))
        entries[284] = (4, 1, struct.pack("<I", 1))
        entries[258] = (3, 3, struct.pack("<I", end))
        entries[271] = (2, 10, struct.pack("<I", end + 8))
        entries[282] = entries[283] = (5, 1, struct.pack("<I", end + 24))
        entries[296] = (4, 1, struct.pack("<I", 3))
        entries[65420] = (4, 1, struct.pack("<I", 1))
        entries[65421] = (11, 1, struct.pack("<f", lens))
        assert len(entries) == count
        following = 0 if number else data + image.nbytes
        file += struct.pack("<H", count)
        file += b"".join(
            struct.pack("<HHI", t, *entries[t][:2]) + entries[t][2] for t in sorted(entries)
        )
        file += struct.pack("<Q", following) + bytes(4 * count)
        file += struct.pack("<4H", 8, 8, 8, 0) + b"Hamamatsu\0".ljust(16, b"\0")
        file += struct.pack("<2I", resolution, 1).ljust(16, b"\0") + image.tobytes()
    path.write_bytes(file)


def scn(path):
    """Leica SCN: XML that names the page of each channel and resolution."""
    dimensions = "".join(
        f'<dimension sizeX="{30 >> r}" sizeY="{20 >> r}" r="{r}" c="{c}" ifd="{2 * r + c}"/>'
        for r in range(2)
        for c in range(2)
    )
    text = (
        '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01">'
        '<collection name="slide" sizeX="7500" sizeY="10000"><image name="image_1">'
        f'<pixels sizeX="30" sizeY="20">{dimensions}</pixels>'
        '<view sizeX="7500" sizeY="10000" offsetX="0" offsetY="0"/></image></collection></scn>'
    )
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        options = {"photometric": "minisblack", "tile": (16, 16), "metadata": None}
        for r in range(2):
            for c in range(2):
                image = STACK[0, 0, c, :: r + 1, :: r + 1]
                file.write(image, description=text if r == c == 0 else None, **options)


def qptiff(path):
    """PerkinElmer QPTIFF: a page a channel, whose XML names it."""
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        for c, name in enumerate(("DAPI", "Opal 520")):
            kind = "PerkinElmer-QPI-ImageDescription"
            text = f"<{kind}><Name>{name}</Name></{kind}>"
            options = {
                "tile": (16, 16),
                "resolution": (20000, 20000),
                "software": "PerkinElmer-QPI",
            }
            options |= {"resolutionunit": "CENTIMETER", "photometric": "minisblack"}
            file.write(STACK[0, 0, c], description=text, metadata=None, **options)


def ome_zarr(path, image=STACK, axes="tzcyx", version="0.4", channels=("DAPI", "GFP")):
    group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    group.create_array("0", data=image, chunks=(*[1] * (image.ndim - 2), 16, 16))
    group.create_array("1", data=image[..., ::2, ::2])
    units = {"y": "micrometer", "x": "nanometer", "t": "minute"}
    named = [{"name": axis, "unit": units.get(axis)} for axis in axes]
    steps = [{"y": 0.5, "x": 250.0}.get(axis, 1.0) for axis in axes]
    levels = [
        {"path": level, "coordinateTransformations": [{"type": "scale", "scale": steps}]}
        for level in ("0", "1")
    ]
    facts = {"multiscales": [{"version": version, "axes": named, "datasets": levels}]}
    facts["omero"] = {"channels": [{"label": name} for name in channels]}
    group.attrs.update(facts if version == "0.4" else {"ome": facts})
    labels = group.create_group("labels/cells")
    labels.create_array("0", data=np.zeros((20, 30), np.int32))


def plate(path):
    """Two wells with two fields each (OME-NGFF, "Plate metadata")."""
    group = zarr.open_group(path, mode="w", zarr_format=2)
    wells = [{"path": "A/1"}, {"path": "B/3"}]
    group.attrs["plate"] = {"version": "0.4", "wells": wells}
    for well in wells:
        fields = {"version": "0.4", "images": [{"path": "0"}, {"path": "1"}]}
        group.create_group(well["path"]).attrs["well"] = fields
        for number in range(2):
            ome_zarr(path / well["path"] / str(number), STACK[0, 0], "cyx")


def lif(path):
    """Leica LIF 2: XML, then a block of memory an image (Leica Image File Formats 3.2)."""
    planes = STACK[0]
    sizes = [(1, 30, 2, 7.25e-6), (2, 20, 60, 9.5e-6), (3, 3, 2400, 2e-6)]
    dimensions = "".join(
        f'<DimensionDescription DimID="{kind}" NumberOfElements="{count}" Origin="0" '
        f'Length="{length}" Unit="m" BytesInc="{step}" BitInc="0"/>'
        for kind, count, step, length in sizes
    )
    channels = "".join(
        f'<ChannelDescription DataType="0" ChannelTag="0" Resolution="16" Min="0" Max="65535" '
        f'NameOfMeasuredQuantity="" Unit="" LUTName="{name}" IsLUTInverted="0" '
        f'BytesInc="{1200 * index}" BitInc="0"><ChannelProperty><Key>DyeName</Key>'
        f"<Value>{dye}</Value></ChannelProperty></ChannelDescription>"
        for index, (name, dye) in enumerate((("Blue", "DAPI"), ("Green", "GFP")))
    )
    images = "".join(
        f'<Element Name="{name}"><Data><Image><ImageDescription><Channels>{channels}</Channels>'
        f"<Dimensions>{dimensions}</Dimensions></ImageDescription></Image></Data>"
        f'<Memory Size="{planes.nbytes}" MemoryBlockID="MemBlock_{name}"/></Element>'
        for name in ("1", "2")
    )
    xml = (
        '<LMSDataContainerHeader Version="2"><Element Name="a"><Memory Size="0" '
        f'MemoryBlockID="MemBlock_0"/><Children>{images}</Children></Element>'
        "</LMSDataContainerHeader>"
    ).encode("utf-16-le")
    file = struct.pack("<IIBI", 0x70, len(xml) + 5, 0x2A, len(xml) // 2) + xml
    for name, data in (("1", planes.tobytes()), ("2", planes[::-1].tobytes())):
        block = f"MemBlock_{name}".encode("utf-16-le")
        file += struct.pack(
            "<IIBQBI", 0x70, len(block) + 14, 0x2A, len(data), 0x2A, len(block) // 2
        )
        file += block + data
    path.write_bytes(file)


def oif(path):
    """Olympus OIF: settings as text, and a TIFF a plane in a folder."""
    text = (
        f'[ProfileSaveInfo]\r\nName="{path.name}"\r\nVersion="1.0"\r\n'
        '[Reference Image Parameter]\r\nHeightConvertValue=0.5\r\nHeightUnit="um"\r\n'
        'WidthConvertValue=0.25\r\nWidthUnit="um"\r\n'
        '[Channel 1 Parameters]\r\nDyeName="DAPI"\r\nEmissionWavelength=461\r\n'
        '[Channel 2 Parameters]\r\nDyeName="GFP"\r\nEmissionWavelength=509\r\n'
    )
    path.write_bytes(b"\xff\xfe" + text.encode("utf-16-le"))
    folder = Path(f"{path}.files")
    folder.mkdir()
    for c in range(2):
        for z in range(3):
            tifffile.imwrite(
                folder / f"s_C{c + 1:03}Z{z + 1:03}.tif", STACK[0, z, c], metadata=None
            )


def czi(name):
    return lambda path: shutil.copy(Path(__file__).parent / f"data/samples/{name}.czi", path)


def czi_plane(c, z, s, height=20, width=30):
    y, x = np.mgrid[:height, :width]
    return (y * 7 + x * 3 + c * 1000 + z * 100 + s * 5000).astype(np.uint16)


MOSAIC = np.stack([czi_plane(0, 0, 0, 40, 50) // k % 256 for k in (1, 2, 3)], -1).astype(np.uint8)

SIZE = (0.5, 0.25)
DYES = ("DAPI", "GFP")
GFP = {"channel": "GFP"}
MAX = {"channel": "GFP", "z": "max"}
SCALED = np.rint(np.clip((GREY / 7 - (GREY / 7).min()) / np.ptp(GREY / 7), 0, 1) * 65535)

KINDS = {
    # ending of the file: writer, what is read
    "PNG, 8 bits:.png": (lambda p: bitmap(p, GREY, "PNG"), Expected(GREY)),
    "PNG, 16 bits:.png": (lambda p: png(p, DEEP), Expected(DEEP)),
    "PNG, RGB:.png": (lambda p: bitmap(p, RGB, "PNG"), Expected(RGB, channels=COLORS)),
    "PNG, RGB, 16 bits:.png": (
        lambda p: png(p, RGB16),
        Expected(RGB16, channels=COLORS, note="three channels of 16 bits"),
    ),
    "JPEG:.jpg": (
        lambda p: bitmap(p, np.full((20, 30), 77, np.uint8), "JPEG"),
        Expected(np.full((20, 30), 77, np.uint8), tolerance=2),
    ),
    "BMP:.bmp": (lambda p: bitmap(p, RGB, "BMP"), Expected(RGB, channels=COLORS)),
    "GIF:.gif": (lambda p: bitmap(p, GREY, "GIF"), Expected(GREY)),
    "WebP:.webp": (
        lambda p: bitmap(p, RGB, "WEBP", lossless=True),
        Expected(RGB, channels=COLORS),
    ),
    "TIFF, LZW:.tif": (compressed("lzw"), Expected(GREY)),
    "TIFF, deflate:.tif": (compressed("zlib", DEEP, predictor=True), Expected(DEEP)),
    "TIFF, PackBits:.tif": (compressed("packbits"), Expected(GREY)),
    "TIFF, LZMA:.tif": (compressed("lzma"), Expected(GREY)),
    "TIFF, zstd:.tif": (compressed("zstd", DEEP), Expected(DEEP)),
    "TIFF, JPEG:.tif": (
        compressed("jpeg", np.full((20, 30, 3), 77, np.uint8)),
        Expected(np.full((20, 30, 3), 77, np.uint8), channels=COLORS, tolerance=2),
    ),
    "TIFF, JPEG 2000:.tif": (compressed("jpeg2000", DEEP), Expected(DEEP)),
    "TIFF, JPEG XL:.tif": (compressed("jpegxl"), Expected(GREY)),
    "TIFF, LERC:.tif": (compressed("lerc", DEEP), Expected(DEEP)),
    "TIFF, PNG:.tif": (compressed("png", DEEP), Expected(DEEP)),
    "TIFF, WebP:.tif": (
        compressed("webp", RGB, compressionargs={"level": 100, "lossless": True}),
        Expected(RGB, channels=COLORS),
    ),
    "TIFF, RGB, 16 bits:.tif": (
        written(RGB16, photometric="rgb"),
        Expected(RGB16, channels=COLORS, note="three channels of 16 bits"),
    ),
    "TIFF, planar:.tif": (
        written(np.moveaxis(RGB, -1, 0).copy(), photometric="rgb", planarconfig="separate"),
        Expected(RGB, channels=COLORS),
    ),
    "TIFF, tiled:.tif": (written(DEEP, tile=(16, 16), compression="lzw"), Expected(DEEP)),
    "TIFF, big-endian:.tif": (written(DEEP, byteorder=">"), Expected(DEEP)),
    "TIFF, palette:.tif": (palette, Expected(PALETTE_COLORS, channels=COLORS)),
    "TIFF, inverted:.tif": (written(255 - GREY, photometric="miniswhite"), Expected(GREY)),
    "TIFF, one bit:.tif": (
        lambda p: bitmap(p, GREY > 99, "TIFF"),
        Expected(np.where(GREY > 99, 255, 0).astype(np.uint8)),
    ),
    "TIFF, CMYK:.tif": (cmyk, Expected(RGB, channels=COLORS, tolerance=1)),
    "TIFF, YCbCr:.tif": (
        ycbcr,
        Expected(np.full((20, 30, 3), (200, 100, 50), np.uint8), channels=COLORS, tolerance=3),
    ),
    "TIFF, real numbers:.tif": (
        written((GREY / 7).astype(np.float64)),
        Expected(SCALED.astype(np.uint16), note="were scaled to 0 to 65535"),
    ),
    "TIFF, whole numbers of 32 bits:.tif": (written(DEEP.astype(np.uint32)), Expected(DEEP)),
    "TIFF, channels as samples:.tif": (
        written(
            np.moveaxis(STACK[0, 0], 0, -1).copy(), photometric="minisblack", planarconfig="contig"
        ),
        Expected(STACK[0, 0, 1], channels=("ch0", "ch1"), options={"channel": 1}),
    ),
    "BigTIFF:.tif": (written(DEEP, bigtiff=True), Expected(DEEP)),
    "TIFF, pyramid:.tif": (pyramid, Expected(RGB, 1, (0.25, 0.5), COLORS)),
    "TIFF, pages:.tif": (
        written(STACK[0, :, 0], photometric="minisblack", metadata=None),
        Expected(STACK[0, 0, 0], planes=3),
    ),
    "ImageJ hyperstack:.tif": (
        imagej,
        Expected(STACK[0, :, 1].max(axis=0), 2, SIZE, DYES, options=MAX),
    ),
    "OME-TIFF:.ome.tif": (
        ome,
        Expected(STACK[0, 1, 1], 2, SIZE, DYES, options={"channel": 510, "z": 2}),
    ),
    "LSM:.lsm": (
        lsm,
        Expected(STACK[0, 1, 0], 2, SIZE, ("ch0", "ch1", "ch2"), options={"channel": 1}),
    ),
    "STK:.stk": (stk, Expected(STACK[0, 0, 0], 3, SIZE, options={"channel": 461})),
    "SVS:.svs": (svs, Expected(RGB, 1, (0.499, 0.499), COLORS, note="label, macro")),
    "NDPI:.ndpi": (ndpi, Expected(RGB, 1, (0.5, 0.5), COLORS, note="label, macro")),
    "SCN:.scn": (scn, Expected(STACK[0, 0, 1], 1, SIZE, ("ch0", "ch1"), options={"channel": 1})),
    "QPTIFF:.qptiff": (
        qptiff,
        Expected(STACK[0, 0, 1], 1, (0.5, 0.5), ("DAPI", "Opal 520"), options={"channel": "opal"}),
    ),
    "OME-Zarr 0.4:.zarr": (ome_zarr, Expected(STACK[0, 0, 1], 6, SIZE, DYES, options=GFP)),
    "OME-Zarr 0.5:.zarr": (
        lambda p: ome_zarr(p, version="0.5"),
        Expected(STACK[0, :, 1].max(axis=0), 2, SIZE, DYES, options=MAX),
    ),
    "OME-Zarr, plate:.zarr": (plate, Expected(STACK[0, 0, 1], 4, SIZE, DYES, options=GFP)),
    "OME-Zarr, real numbers:.zarr": (
        lambda p: ome_zarr(p, GREY / 7, "yx", channels=()),
        Expected(SCALED.astype(np.uint16), 1, SIZE, note="were scaled"),
    ),
    "CZI:.czi": (
        czi("stack"),
        Expected(czi_plane(1, 1, 0), 2, SIZE, DYES, options={"channel": "GFP", "z": 2}),
    ),
    "CZI, mosaic:.czi": (czi("mosaic"), Expected(MOSAIC, 1, (1.0, 1.0), COLORS)),
    "LIF:.lif": (lif, Expected(STACK[0, 0, 1], 6, SIZE, DYES, options=GFP)),
    "OIF:.oif": (oif, Expected(STACK[0, :, 1].max(axis=0), 1, SIZE, DYES, options=MAX)),
}
"""Name and ending of each kind of file: how it is written, and what is read."""


def write(kind, folder):
    """Write a file of a kind; return its path and what is read from it."""
    name, ending = kind.rsplit(":", 1)
    path = folder / f"a{ending}"
    writer, expected = KINDS[kind]
    writer(path)
    return path, expected


def encoded(array, kind="PNG", **options):
    """Bytes of an image."""
    data = io.BytesIO()
    Image.fromarray(array).save(data, kind, **options)
    return data.getvalue()
