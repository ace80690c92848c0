"""Archives and images made to do harm: refused by name, and nothing is written outside."""

import bz2
import io
import struct
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
import tifffile
from archives import Run, dsb2018_files, pack, packed, png

from coverslip.config.sections import Dataset, Limits, Source
from coverslip.data import decode
from coverslip.data.archive import open_archive
from coverslip.data.ingest import ingest
from coverslip.errors import CoverslipError

ZEROS = bytes(200_000_000)


@pytest.fixture(scope="module")
def bomb(tmp_path_factory):
    """A zip of 200 kB that unpacks to 200 MB."""
    return pack(tmp_path_factory.mktemp("bomb") / "bomb.zip", {"a/images/a.png": ZEROS})


def refused(message, path, limits=None, scratch=None):
    with pytest.raises(CoverslipError, match=message) as error:
        open_archive(path, scratch, limits)
    told = str(error.value)
    assert path.name in told and "\n" not in told and told.isprintable()


def patched(path, old, new, start=0):
    """Overwrite the first bytes `old` after `start`; their number stays."""
    data = path.read_bytes()
    assert len(old) == len(new)
    place = data.index(old, start)
    path.write_bytes(data[:place] + new + data[place + len(new) :])
    return path


def understated(path, size, stated):
    """State another unpacked size of the only member, in its own header and in the directory."""
    for offset, mark in ((22, b"PK\x03\x04"), (24, b"PK\x01\x02")):
        data = bytearray(path.read_bytes())
        place = data.index(mark) + offset
        assert struct.unpack_from("<L", data, place)[0] == size
        struct.pack_into("<L", data, place, stated)
        path.write_bytes(data)
    return path


def test_a_bomb_by_its_ratio(bomb):
    refused(r"unpack to 200000000, more than `limits\.ratio: 100`", bomb)
    with open_archive(bomb, limits=Limits(ratio=2000)) as archive:
        assert archive.members() == ["a/images/a.png"]


def test_a_bomb_by_its_size(bomb):
    refused(r"unpacks to 0\.2 GB, more than `limits\.unpacked_gb", bomb, Limits(unpacked_gb=0.1))


def test_a_bomb_of_one_file_among_others(bomb):
    with (
        open_archive(bomb, limits=Limits(ratio=2000, file_mb=50)) as archive,
        pytest.raises(
            CoverslipError, match=r"a\.png: a file of 200\.0 MB, more than `limits\.file"
        ),
    ):
        archive.read("a/images/a.png")


def test_a_large_file_in_a_folder(tmp_path):
    with open(tmp_path / "a.png", "wb") as file:
        file.truncate(10**12)  # sparse: it takes no space
    with (
        open_archive(tmp_path) as archive,
        pytest.raises(CoverslipError, match=r"a\.png: a file of 1000000\.0 MB"),
    ):
        archive.read("a.png")


def test_a_nested_bomb(tmp_path, bomb):
    outer = pack(tmp_path / "outer.zip", {"in/bomb.zip": bomb.read_bytes()})
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with (
        open_archive(outer, scratch) as archive,
        pytest.raises(CoverslipError, match=r"outer\.zip/in/bomb\.zip: .*limits\.ratio"),
    ):
        archive.expand("in/bomb.zip")
    assert list(scratch.iterdir()) == []


def test_nested_archives_count_together(tmp_path):
    inner = packed({"a.png": bytes(600_000)})
    outer = pack(tmp_path / "outer.zip", {"1.zip": inner, "2.zip": inner})
    with open_archive(outer, tmp_path, Limits(unpacked_gb=0.001)) as archive:
        archive.expand("1.zip")
        with pytest.raises(CoverslipError, match=r"2\.zip: unpacks to 0\.0 GB"):
            archive.expand("2.zip")


def test_only_one_level_is_opened(tmp_path):
    inmost = packed({"x/images/x.png": b"x"})
    data = {"2.zip": packed({"1.zip": inmost})}
    run = Run(tmp_path)
    run.refused(data, "no images found")


def test_a_bomb_is_not_unpacked_beyond_its_stated_size(tmp_path, bomb):
    path = tmp_path / "liar.zip"
    path.write_bytes(bomb.read_bytes())
    understated(path, len(ZEROS), 1000)
    with open_archive(path) as archive:
        tracemalloc.start()
        with pytest.raises(CoverslipError, match=r"liar\.zip: a/images/a\.png: damaged"):
            archive.read("a/images/a.png")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 10_000_000


def test_a_file_shorter_than_stated(tmp_path):
    path = understated(pack(tmp_path / "short.zip", {"a.png": b"abc" * 10}), 30, 5000)
    with open_archive(path) as archive, pytest.raises(CoverslipError, match=r"a\.png: damaged"):
        archive.read("a.png")


def test_members_that_share_their_bytes(tmp_path):
    """Many names for one place in the file, so that the sizes of packed members add up."""
    path = tmp_path / "shared.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.png", bytes(10_000_000))
        first = archive.infolist()[0]
        for number in range(1, 100):
            info = zipfile.ZipInfo(f"{number}.png")
            for name in ("compress_type", "CRC", "compress_size", "file_size", "header_offset"):
                setattr(info, name, getattr(first, name))
            archive.filelist.append(info)
            archive.NameToInfo[info.filename] = info
    assert path.stat().st_size < 20_000
    refused("unpack to 1000000000, more than", path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_unusual_compression(tmp_path, method):
    path = pack(tmp_path / "odd.zip", {"a.png": bytes(1000)}, method)
    refused(rf"a\.png: is compressed by method {method}", path)
    assert len(bz2.compress(bytes(10_000_000))) < 100, "the reason why it is refused"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("a\nb.png", "control characters"),
        ("a/\x1b[2J.png", "control characters"),
        ("a\x85.png", "control characters"),
        ("\u2028.png", "control characters"),
        ("./.", "no name"),
        ("//host/share/a.png", "absolute name"),
        ("\\\\host\\a.png", "absolute name"),
        ("c:a.png", "absolute name"),
        ("..", "leaves the archive"),
        ("a/..\\..\\b.png", "leaves the archive"),
    ],
)
def test_odd_names(tmp_path, name, message):
    refused(message, pack(tmp_path / "odd.zip", {name: b"", "good.png": b""}))


def test_a_name_that_is_no_utf8(tmp_path):
    path = patched(pack(tmp_path / "odd.zip", {"é.png": b""}), b"\xc3\xa9", b"\xff\xfe")
    patched(path, b"\xc3\xa9", b"\xff\xfe")
    refused("truncated or damaged", path)


def test_names_of_old_dos_are_read_alike_each_time(tmp_path):
    path = pack(tmp_path / "dos.zip", {"xx/images/1.png": b"1", "日本/images/1.png": b"2"})
    for _ in range(2):
        patched(path, b"xx/", b"\x81\x82/")
    for _ in range(2):
        with open_archive(path) as archive:
            assert archive.members() == ["üé/images/1.png", "日本/images/1.png"]
            assert archive.read("üé/images/1.png") == b"1"


def test_a_folder_with_a_name_that_is_no_text(tmp_path):
    with open(bytes(tmp_path) + b"/a\xff.png", "wb"):
        pass
    with pytest.raises(CoverslipError, match=r"not in UTF-8: 'a\\udcff\.png'"):
        open_archive(tmp_path)


def test_what_finder_leaves_is_let_pass(tmp_path):
    with open_archive(pack(tmp_path / "mac.zip", {"a/Icon\r": b"", "a/1.png": b""})) as archive:
        assert archive.members() == ["a/1.png"]


def test_ingest_of_hostile_archives_writes_nothing(tmp_path, bomb):
    run = Run(tmp_path / "work")
    run.folder.mkdir()
    for name in ("../evil/images/x.png", "/evil/images/x.png", "evil\n/images/x.png"):
        run.refused(dsb2018_files() | {name: png(np.zeros((4, 4), np.uint8))}, "evil")
    run.refused(bomb, r"limits\.ratio")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["work"]
    assert sorted(path.name for path in run.folder.iterdir()) == ["archive.zip", "out"]


def test_limits_of_the_config_reach_the_images(tmp_path):
    run = Run(tmp_path)
    source = Source(kind="path", limits=Limits(megapixels=0.0001))
    dataset = Dataset(title="T", format="dsb2018", source=source)
    with pytest.raises(CoverslipError, match=r"a\.png: an image of 12x10 pixels, more than"):
        ingest(run.pack(dsb2018_files()), dataset, *run.files, 1)
    assert run.left() == []


def chunk(kind, data):
    return struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data))


def bare_png(width, height, bits=8):
    """A PNG whose header states a size, and that holds a few bytes."""
    header = struct.pack(">LLBBBBB", width, height, bits, 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def bare_bmp(width, height):
    header = struct.pack("<LllHHLLllLL", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<LHHL", 54 + 100, 0, 0, 54) + header + bytes(100)


def bare_tiff(width, height, description=None, compression=1):
    """A TIFF of 8x8 pixels whose page states another size, or whose description does."""
    data = io.BytesIO()
    options = {"description": description, "metadata": None} if description else {"metadata": None}
    tifffile.imwrite(data, np.zeros((8, 8), np.uint8), compression=None, **options)
    raw = bytearray(data.getvalue())
    with tifffile.TiffFile(io.BytesIO(raw)) as file:
        tags = file.pages[0].tags
        changed = {"ImageWidth": width, "ImageLength": height, "Compression": compression}
        for name, value in changed.items():
            kind = "<L" if tags[name].dtype == 4 else "<H"
            struct.pack_into(kind, raw, tags[name].valueoffset, value)
    return bytes(raw)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (bare_png(2**31 - 1, 2**31 - 1), "pixels, more than 200 million"),
        (bare_png(30_000, 30_000, 1), "pixels, more than 200 million"),
        (bare_png(0, 10), "cannot be decoded"),
        (bare_png(1000, 1000), "cannot be decoded"),
        (bare_bmp(2**31 - 1, 2**31 - 1), "pixels, more than 200 million"),
        (bare_bmp(2**16, -(2**16)), "pixels, more than 200 million"),
        (bare_bmp(-5, 5), "pixels, more than 200 million"),
        (bare_tiff(60_000, 60_000), "pixels, more than 200 million"),
        (bare_tiff(60_000, 60_000, compression=5), "pixels, more than 200 million"),
        (bare_tiff(8, 8, '{"shape": [100000, 100000]}'), "."),
        (bare_tiff(8, 8, "ImageJ=1.11a\nimages=1000000000\nslices=1000000000\n"), "."),
    ],
)
def test_absurd_headers(data, message):
    tracemalloc.start()
    try:
        for read in (decode.image, decode.mask):
            try:
                read(data, "x.png")
            except CoverslipError as error:
                assert str(error).startswith("x.png: ") and "\n" not in str(error)
                pytest.raises(CoverslipError, read, data, "x.png").match(message)
            else:
                assert message == ".", "this one is only harmless"
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()


def test_a_larger_limit_lets_a_large_image_pass():
    data = png(np.zeros((40, 50), np.uint8))
    assert decode.image(data, "x", 2000)[0].shape == (40, 50, 1)
    with pytest.raises(CoverslipError, match="an image of 40x50 pixels, more than 0.001999"):
        decode.image(data, "x", 1999)
