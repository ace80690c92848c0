import errno
import pickle
import shutil
import stat
import zipfile
from types import SimpleNamespace

import pytest
from archives import pack, packed

from coverslip.config.sections import Limits
from coverslip.data.archive import open_archive
from coverslip.errors import CoverslipError

FILES = {"b/2.png": b"two", "a/1.png": b"one", "./c.txt": b"three"}
JUNK = {"__MACOSX/a/._1.png": b"x", "a/.DS_Store": b"x", "a/Thumbs.db": b"x"}


def test_zip_and_folder_are_alike(tmp_path):
    for name, data in (FILES | JUNK).items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    pack(tmp_path / "a.zip", FILES | JUNK)
    for source in ("folder", "a.zip"):
        with open_archive(tmp_path / source) as archive:
            assert archive.is_folder == (source == "folder")
            assert archive.members() == ["a/1.png", "b/2.png", "c.txt"]
            assert [archive.read(member) for member in archive.members()] == [
                b"one",
                b"two",
                b"three",
            ]


def test_a_nested_zip_is_unpacked_and_removed(tmp_path):
    inner = packed({"x/1.png": b"one"})
    source = pack(tmp_path / "outer.zip", {"in/inner.zip": inner, "labels.csv": b"a,b"})
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with open_archive(source, scratch) as archive:
        archive.expand("in/inner.zip")
        assert archive.members() == ["in/inner.zip/x/1.png", "labels.csv"]
        assert archive.read("in/inner.zip/x/1.png") == b"one"
        assert list(scratch.iterdir())
    assert not list(scratch.iterdir())


def test_what_is_unpacked_is_removed_with_the_archive(tmp_path):
    inner = {"in/1.zip": packed(FILES), "in/2.zip": packed({"x.png": b"two" * 1000}), "l.csv": b"a"}
    source = pack(tmp_path / "outer.zip", inner, zipfile.ZIP_STORED)
    # As in an archive that starts with a program that unpacks it.
    source.write_bytes(b"#!/bin/sh\n" + source.read_bytes())
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with open_archive(source, scratch) as archive:
        archive.expand("in/1.zip")
        archive.expand("in/2.zip")
        assert archive.members() == [
            *(f"in/1.zip/{name}" for name in ("a/1.png", "b/2.png", "c.txt")),
            "in/2.zip/x.png",
            "l.csv",
        ]
        other = pickle.loads(pickle.dumps(archive))
        for opened in (archive, archive.reopen(), other):
            assert opened.read("in/1.zip/b/2.png") == b"two"
            assert opened.read("in/2.zip/x.png") == b"two" * 1000
            assert opened.read("l.csv") == b"a"
        archive.close()
        other.close()
    assert list(scratch.iterdir()) == []


@pytest.mark.parametrize("whole", [True, False])
def test_a_stored_nested_zip_that_is_damaged(tmp_path, whole):
    data = packed({"1.png": bytes(range(256)) * 4})
    damaged = data[:-30] if whole else data[:60] + b"xxxx" + data[64:]
    source = pack(tmp_path / "outer.zip", {"in.zip": damaged}, zipfile.ZIP_STORED)
    message = r"outer\.zip/in\.zip: truncated" if whole else r"outer\.zip: in\.zip/1\.png: damaged"
    with open_archive(source) as archive, pytest.raises(CoverslipError, match=message):
        archive.expand("in.zip")
        archive.read("in.zip/1.png")


@pytest.mark.reliability(
    "D30",
    "a nested zip file that states more bytes than there are",
    "one line that names it and the error, also an error without words",
)
def test_a_stored_nested_zip_that_states_more_than_there_is(tmp_path):
    source = pack(tmp_path / "outer.zip", {"in.zip": packed(FILES)}, zipfile.ZIP_STORED)
    data = bytearray(source.read_bytes())
    place = data.rindex(b"PK\x01\x02") + 20
    data[place : place + 8] = (10**9).to_bytes(4, "little") * 2
    source.write_bytes(data)
    limits = Limits(ratio=10**9)
    with (
        open_archive(source, limits=limits) as archive,
        pytest.raises(CoverslipError, match=r"outer\.zip: in\.zip: damaged .* \(EOFError\)"),
    ):
        archive.expand("in.zip")


def test_a_nested_zip_is_not_unpacked_where_there_is_no_room(tmp_path, monkeypatch):
    source = pack(tmp_path / "outer.zip", {"in.zip": packed(FILES)})
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=100))
    with open_archive(source, tmp_path) as archive, pytest.raises(OSError, match="space") as error:
        archive.expand("in.zip")
    assert error.value.errno == errno.ENOSPC
    assert [path.name for path in tmp_path.iterdir()] == ["outer.zip"]


def test_nested_zip_in_a_folder(tmp_path):
    (tmp_path / "inner.zip").write_bytes(packed({"x.png": b"one"}))
    with open_archive(tmp_path) as archive:
        archive.expand("inner.zip")
        assert archive.read("inner.zip/x.png") == b"one"


def test_archive_travels_to_another_process(tmp_path):
    with open_archive(pack(tmp_path / "a.zip", FILES)) as archive:
        archive.read("c.txt")
        other = pickle.loads(pickle.dumps(archive))
        assert other.read("a/1.png") == b"one"
        assert archive.reopen().read("a/1.png") == b"one"


def test_missing(tmp_path):
    with pytest.raises(CoverslipError, match=r"no\.zip: no such archive"):
        open_archive(tmp_path / "no.zip")


def test_not_a_zip(tmp_path):
    path = tmp_path / "page.zip"
    path.write_bytes(b"<html>please log in</html>")
    with pytest.raises(CoverslipError, match=r"page\.zip: not a zip archive"):
        open_archive(path)
    path.write_bytes(b"")
    with pytest.raises(CoverslipError, match="not a zip archive"):
        open_archive(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.999])
def test_truncated(tmp_path, share):
    path = pack(tmp_path / "cut.zip", {"a.png": bytes(range(256)) * 100}, zipfile.ZIP_STORED)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(CoverslipError, match=r"cut\.zip: truncated or damaged .*download"):
        open_archive(path)


def test_damaged_member(tmp_path):
    path = pack(tmp_path / "bad.zip", {"a.png": b"0123456789" * 50}, zipfile.ZIP_STORED)
    path.write_bytes(path.read_bytes().replace(b"0123456789", b"0123x56789", 1))
    with (
        open_archive(path) as archive,
        pytest.raises(CoverslipError, match=r"bad\.zip: a\.png: damaged"),
    ):
        archive.read("a.png")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../out.png", "leaves the archive"),
        ("a/../../out.png", "leaves the archive"),
        ("a\\..\\out.png", "leaves the archive"),
        ("/etc/out.png", "absolute name"),
        ("C:\\out.png", "absolute name"),
    ],
)
def test_unsafe_names(tmp_path, name, message):
    path = pack(tmp_path / "evil.zip", {"good.png": b"", name: b""})
    with pytest.raises(CoverslipError, match=message) as error:
        open_archive(path)
    assert "evil.zip" in str(error.value)
    assert "out.png" in str(error.value)
    assert "\n" not in str(error.value)


def test_link_in_a_zip(tmp_path):
    path = tmp_path / "links.zip"
    info = zipfile.ZipInfo("a/link.png")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(info, "/etc/passwd")
    with pytest.raises(CoverslipError, match=r"a/link\.png: is a link"):
        open_archive(path)


def test_links_in_a_folder(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "real.png").write_bytes(b"real")
    (folder / "good.png").symlink_to(tmp_path / "real.png")
    with open_archive(folder) as archive:
        assert archive.read("good.png") == b"real"
    (folder / "round").symlink_to(folder)
    with pytest.raises(CoverslipError, match="round: is a link to a folder"):
        open_archive(folder)
    (folder / "round").unlink()
    (folder / "gone.png").symlink_to(tmp_path / "nowhere.png")
    with pytest.raises(CoverslipError, match=r"gone\.png: is no readable file"):
        open_archive(folder)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("second", ["a/1.png", "a//1.png", "./a/1.png", "a\\1.png"])
def test_duplicate_members(tmp_path, second):
    path = tmp_path / "twice.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/1.png", b"one")
        archive.writestr(second, b"two")
    with pytest.raises(CoverslipError, match=r"a/1\.png: occurs twice"):
        open_archive(path)


def test_encrypted_member(tmp_path):
    path = pack(tmp_path / "secret.zip", {"a.png": b"one"}, zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(bytes(data))
    with pytest.raises(CoverslipError, match=r"a\.png: is encrypted"):
        open_archive(path)
