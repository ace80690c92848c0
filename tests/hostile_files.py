"""Hostile and damaged images, made on the spot, all small."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
import zlib
from pathlib import Path

import cv2
import numpy as np
import tifffile
import zarr

IMAGE = (np.arange(600) % 251).astype(np.uint8).reshape(20, 30)
STACK = np.stack([IMAGE, IMAGE, IMAGE])

NAMES = (
    'z 5" dish, well "B2".png',
    "line\nbreak.png",
    "carriage\rreturn.png",
    "tab\tand \x1b[31mescape\x1b[0m.png",
    "'; rm -rf ~; '.png",
    "$(touch PWNED) `touch PWNED`.png",
    "=HYPERLINK(1).png",
    "{braces} %s %(x)s.png",
    "<img src=x onerror=alert(1)>.png",
    "-rf.png",
    "--help.png",
    "a|b\\c.png",
    "\u202egnp.exe.png",
    "NFC \u00e9.png",
    "NFD e\u0301.png",
    "日本語 🔬.png",
    "x" * 251 + ".png",
    b"not UTF-8 \xff.png",
    "same.png",
    "same.tif",
    "Same.PNG",
)
"""Names that a shell, a table, a page, a template or a file system may take for something else."""


def tiff(path: Path, width: int, height: int, **more: int) -> Path:
    """Write a TIFF of one page that states this size and holds four bytes; `_<tag>` sets a tag."""
    tags = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: height, 279: 4}
    tags |= {int(key[1:]): value for key, value in more.items()}
    entries = b"".join(struct.pack("<HHII", *(tag, 4, 1, tags[tag])) for tag in sorted(tags))
    head = b"II*\0" + struct.pack("<I", 12) + b"\x78\x9c\x03\x00"
    path.write_bytes(head + struct.pack("<H", len(tags)) + entries + bytes(4))
    return path


def ome_zarr(path: Path, shape: tuple[int, ...], chunks: tuple[int, ...], **more: object) -> Path:
    """Write an OME-Zarr of no data; `version`, `scale` (t, y, x) and `node` are those it states."""
    group = zarr.open_group(path, mode="w", zarr_format=more.pop("version", 2))
    group.create_array("0", shape=shape, chunks=chunks, dtype="uint8")
    scale = more.pop("scale", [1.0, 1.0, 1.0])
    axes = [
        {"name": name, "type": "time" if name == "t" else "space", "unit": unit}
        for name, unit in (("t", "second"), ("y", "micrometer"), ("x", "micrometer"))
    ]
    transform = [{"type": "scale", "scale": scale}]
    data = [{"path": more.pop("node", "0"), "coordinateTransformations": transform}]
    group.attrs["multiscales"] = [{"axes": axes, "datasets": data, "version": "0.4"}]
    return path


def png(width: int, height: int, data: bytes) -> bytes:
    """Return a PNG of 8 bits a pixel that states a size, with these (compressed) data."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def bomb(folder: Path) -> None:
    """Write images that are far larger than their files, or state to be."""
    tiff(folder / "million.tif", 1_000_000, 1_000_000)
    tiff(folder / "million-deflate.tif", 1_000_000, 1_000_000, _259=8)
    tiff(folder / "tile.tif", 65_536, 65_536, _259=8, _322=65_536, _323=65_536, _324=8, _325=4)
    tiff(folder / "wide.tif", 2**31 - 1, 1)
    rows = zlib.compress(bytes(40_001 * 40_000), 1)
    (folder / "bomb.png").write_bytes(png(40_000, 40_000, rows))
    (folder / "huge.png").write_bytes(png(2**31 - 1, 2**31 - 1, zlib.compress(b"")))
    (folder / "empty-size.png").write_bytes(png(0, 0, zlib.compress(b"")))
    ome_zarr(folder / "planes.zarr", (10**7, 20, 30), (1, 20, 30))
    zarr.create_array(folder / "size.zarr", shape=(10**6, 10**6), chunks=(100, 100), dtype="uint8")
    for name, of, words in (
        ("ome.ome.tif", "ome", ('SizeT="3"', 'SizeT="1000000000000"')),
        ("entities.ome.tif", "ome", ("<OME ", '<!DOCTYPE a [<!ENTITY a "aaaa">]><OME ')),
        ("imagej.tif", "imagej", ("frames=3", "frames=1000000000")),
    ):
        tifffile.imwrite(folder / name, STACK, metadata={"axes": "TYX"}, **{of: True})
        text = tifffile.tiffcomment(folder / name).replace(*words)
        tifffile.tiffcomment(folder / name, text.replace("images=3", "images=1000000000").encode())


def damage(folder: Path) -> None:
    """Write images that are cut off, empty, of another kind than they say, or no image at all."""
    whole = cv2.imencode(".png", IMAGE)[1].tobytes()
    (folder / "cut.png").write_bytes(whole[:-40])
    (folder / "short.png").write_bytes(png(30, 20, zlib.compress(bytes(31 * 3))))
    (folder / "empty.png").write_bytes(b"")
    (folder / "text.png").write_text("text")
    (folder / "magic.png").write_bytes(whole[:8])
    (folder / "jpeg.jpg").write_bytes(cv2.imencode(".jpg", IMAGE)[1].tobytes()[:200])
    (folder / "gif.png").write_bytes(b"GIF89a" + bytes(20))
    (folder / "svg.png").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    for name, options in (
        ("cut.tif", {}),
        ("cut-lzw.tif", {"compression": "lzw"}),
        ("cut-tiles.tif", {"tile": (16, 16), "compression": "zlib"}),
        ("cut-bigtiff.tif", {"bigtiff": True}),
    ):
        tifffile.imwrite(folder / name, STACK, photometric="minisblack", **options)
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) * 2 // 3])
    (folder / "loop.tif").write_bytes(
        b"II*\0" + struct.pack("<IH", 8, 0) + struct.pack("<I", 8)  # its next page is itself
    )
    tifffile.imwrite(folder / "zero.tif", np.zeros((0, 5), np.uint8))
    tifffile.imwrite(folder / "nan.tif", np.full((20, 30), np.nan, np.float32))
    tifffile.imwrite(folder / "inf.tif", np.where(IMAGE > 100, np.inf, 1).astype(np.float32))
    tifffile.imwrite(folder / "complex.tif", IMAGE.astype(np.complex64))
    tifffile.imwrite(folder / "five.tif", np.zeros((2, 3, 2, 20, 30), np.uint8), metadata=None)
    tifffile.imwrite(folder / "pixel.tif", np.ones((1, 1), np.uint8))
    tifffile.imwrite(folder / "line.tif", np.ones((1, 30_000), np.uint8))
    for name in ("a.czi", "a.nd2", "a.lif", "a.oif", "a.oib", "a.vsi", "a.svs", "a.ndpi", "a.mrxs"):
        (folder / name).write_bytes(b"not " + name.encode() * 10)
    with zipfile.ZipFile(folder / "zip.tif", "w") as archive:
        archive.writestr("a", b"b")


def hide(folder: Path) -> None:
    """Write what is no regular file, what leads elsewhere, and arrays that would run code."""
    os.mkfifo(folder / "pipe.png")
    (folder / "zero.png").symlink_to("/dev/zero")
    (folder / "dangling.png").symlink_to("nowhere.png")
    (folder / "self.png").symlink_to("self.png")
    (folder / "up").symlink_to("..")
    (folder / "folder.png").mkdir()
    (folder / "empty.zarr").mkdir()
    (folder / "deep.zarr").mkdir()
    (folder / "deep.zarr/zarr.json").write_text("[" * 100_000)
    ome_zarr(folder / "elsewhere.zarr", (1, 20, 30), (1, 20, 30), node="../../secret")
    ome_zarr(folder / "pickle.zarr", (1, 20, 30), (1, 20, 30))
    facts = json.loads((folder / "pickle.zarr/0/.zarray").read_text())
    facts |= {"dtype": "|O", "filters": [{"id": "vlen-utf8"}, {"id": "pickle"}]}
    (folder / "pickle.zarr/0/.zarray").write_text(json.dumps(facts))
    for name in (".hidden.png", "._mac.png", "Thumbs.db", ".DS_Store"):
        (folder / name).write_bytes(b"\0\5\26\7 resource fork")


def mislead(folder: Path) -> None:
    """Write images whose metadata state odd pixels, times and channels."""
    for number, size in enumerate(("nan", "inf", "4e-7", "1e-320", "1e300", "-1", "0", "x")):
        path = folder / f"size{number}.ome.tif"
        facts = {"axes": "YX", "PhysicalSizeX": 0.25, "PhysicalSizeY": 0.25}
        tifffile.imwrite(path, IMAGE, ome=True, metadata=facts)
        xml = tifffile.tiffcomment(path).replace('"0.25"', f'"{size}"')
        tifffile.tiffcomment(path, xml.encode())
    tifffile.imwrite(folder / "noxml.ome.tif", IMAGE, description="<OME", metadata=None)
    tifffile.imwrite(
        folder / "um.tif", IMAGE, imagej=True, resolution=(4e9, 4e9), metadata={"unit": "um"}
    )
    data = io.BytesIO()
    tifffile.imwrite(data, STACK, imagej=True, metadata={"axes": "TYX"})
    (folder / "time.tif").write_bytes(data.getvalue())
    text = tifffile.tiffcomment(folder / "time.tif") + "finterval=nan\n"
    tifffile.tiffcomment(folder / "time.tif", text)
    (folder / f"a_{'9' * 200}d00h00m.png").write_bytes(cv2.imencode(".png", IMAGE)[1].tobytes())


def odd_names(folder: Path) -> None:
    """Write good images with the names of `NAMES`."""
    data = {kind: cv2.imencode(kind, IMAGE)[1].tobytes() for kind in (".png", ".tif")}
    for name in map(os.fsencode, NAMES):
        (Path(os.fsdecode(os.path.join(os.fsencode(folder), name)))).write_bytes(
            data[".tif" if name.endswith(b".tif") else ".png"]
        )


def write_all(folder: Path) -> None:
    """Write all of them into folders of one folder."""
    for part in (bomb, damage, hide, mislead, odd_names):
        (folder / part.__name__).mkdir(parents=True)
        part(folder / part.__name__)
