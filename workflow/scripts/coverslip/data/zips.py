"""Zip files of unknown origin: opened with care, whole or where they lie stored in another one.

Names are brought into a normal form and checked; links, encrypted members, unusual compression and
bombs are refused by name. Hidden files and those of file managers are left out.
"""

from __future__ import annotations

import io
import re
import stat
import struct
import unicodedata
import zipfile
import zlib
from pathlib import Path
from typing import IO, NamedTuple

from coverslip.configuration.config import Limits
from coverslip.errors import CoverslipError

ICON = "Icon\r"
IGNORED = frozenset({"__MACOSX", "Thumbs.db", "desktop.ini", ICON})
ZIP_START = b"PK\x03\x04"
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Those that can be unpacked piece by piece; bzip2 and LZMA would unpack a bomb in one go."""
SMALL = 100_000_000
"""Bytes: an archive that unpacks to no more is no bomb, whatever its ratio."""
DAMAGED = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    ValueError,
    struct.error,
)
"""What reading a damaged zip archive raises."""


class Place(NamedTuple):
    """Where a zip archive lies: a file, or some bytes of one."""

    path: Path
    start: int = 0
    size: int | None = None
    """Bytes; none: to the end of the file."""

    def length(self) -> int:
        """Size of the archive in bytes."""
        return self.path.stat().st_size if self.size is None else self.size

    def open(self) -> IO[bytes]:
        """Open it as a file that starts where it starts and ends where it ends."""
        if self.size is None:
            return open(self.path, "rb")
        return io.BufferedReader(Window(self.path, self.start, self.size))


class Window(io.RawIOBase):
    """Some bytes of a file as a file of their own, to read.

    Args:
        path: of the file.
        start: first byte.
        size: number of bytes; there are fewer where the file ends before.
    """

    def __init__(self, path: Path, start: int, size: int) -> None:
        self._file = io.FileIO(path)
        self._start = start
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place; as in a file, it may lie beyond the end but not before the start."""
        at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if at < 0:
            raise ValueError(f"negative position {at}")
        self._at = at
        return at

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Read up to as many bytes as there is room for."""
        wanted = min(len(buffer), max(0, self._size - self._at))
        self._file.seek(self._start + self._at)
        data = self._file.read(wanted)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()


def safe_name(name: str, where: Path) -> str:
    """Return a member's name in normal form, `a/b/c`.

    Raises:
        CoverslipError: the name is absolute, leaves the archive (`..`), is none, or holds control
            characters or bytes that are no text.
    """
    refuse_odd(name, where)
    parts = name.replace("\\", "/").split("/")
    if parts[0] == "" or re.match("[A-Za-z]:", parts[0]):
        raise CoverslipError(
            f"{where}: absolute name of a member: {name!r}: pack it anew with relative names"
        )
    if ".." in parts:
        raise CoverslipError(
            f"{where}: a member's name leaves the archive: {name!r}: "
            "do not trust this archive; get it from its source again"
        )
    normal = "/".join(part for part in parts if part not in ("", "."))
    if not normal:
        raise CoverslipError(f"{where}: a member has no name: {name!r}: pack it anew")
    return normal


def refuse_odd(name: str, where: Path) -> None:
    """Raise a CoverslipError where a name has control characters, line breaks or undecoded bytes.

    Such names break tables and terminals. Finder's own `Icon` with a carriage return is let pass.
    """
    letters = name.removesuffix(ICON)
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in letters):
        raise CoverslipError(
            f"{where}: a name with control characters or not in UTF-8: {name!a}: rename it"
        )


def hidden(name: str) -> bool:
    """Whether a member belongs to a file manager or starts with a dot, at any level."""
    return any(part.startswith(".") or part in IGNORED for part in name.split("/"))


class Zip(zipfile.ZipFile):
    """A zip archive that closes its file with itself."""

    file: IO[bytes] | None = None

    def __init__(self, place: Place) -> None:
        self.file = place.open()
        try:
            super().__init__(self.file)
        except BaseException:
            self.file.close()
            raise

    def close(self) -> None:
        """Close archive and file."""
        super().close()
        if self.file is not None:
            self.file.close()


def open_zip(place: Place, shown: Path) -> zipfile.ZipFile:
    """Open a zip file; `shown` is its name in messages.

    Raises:
        CoverslipError: truncated, or not a zip file.
    """
    try:
        return Zip(place)
    except (*DAMAGED, OSError) as error:
        # A damaged archive may lead to a place before its start, which is an OSError of no file.
        if isinstance(error, OSError) and error.filename is not None:
            raise
        with place.open() as file:
            start = file.read(len(ZIP_START))
        if start == ZIP_START:
            raise CoverslipError(
                f"{shown}: truncated or damaged zip archive ({error}): download or copy it again"
            ) from error
        raise CoverslipError(
            f"{shown}: not a zip archive: give a zip file or a folder of pictures"
        ) from error


def stored(archive: zipfile.ZipFile, inside: str, place: Place) -> Place | None:
    """Where a member lies in its archive's file, byte by byte; none where it is compressed.

    Args:
        archive: the archive that holds it.
        inside: its name therein.
        place: of the archive.

    Raises:
        one of `DAMAGED`, or OSError: the archive is damaged.
    """
    info = archive.getinfo(inside)
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        return None
    archive.open(info).close()  # compares the member's own header with the directory
    with place.open() as file:
        file.seek(info.header_offset)
        name, extra = struct.unpack("<26x2H", file.read(30))
    start = place.start + info.header_offset + 30 + name + extra
    return Place(place.path, start, info.file_size)


def zip_members(archive: zipfile.ZipFile, where: Path) -> dict[str, str]:
    """Map the normal name of each file in a zip archive to its name inside, checking all names.

    Raises:
        CoverslipError: a name is unsafe or stands twice; a member is a link, is encrypted, or is
            compressed in an unusual way.
    """
    found: dict[str, str] = {}
    for info in archive.infolist():
        name = safe_name(info.filename, where)
        if info.is_dir():
            continue
        if stat.S_ISLNK(info.external_attr >> 16):
            raise CoverslipError(
                f"{where}: {info.filename}: is a link: pack the archive anew with the file itself"
            )
        if name in found:
            raise CoverslipError(
                f"{where}: {name}: stands twice in the archive: pack it anew with each file once"
            )
        if info.flag_bits & 1:
            raise CoverslipError(
                f"{where}: {name}: is encrypted: pack the archive anew without a password"
            )
        if info.compress_type not in METHODS:
            raise CoverslipError(
                f"{where}: {name}: is compressed by method {info.compress_type}: "
                "pack the archive anew with the usual one (deflate)"
            )
        found[name] = info.filename
    return {name: inside for name, inside in found.items() if not hidden(name)}


def unpacked_size(
    archive: zipfile.ZipFile, packed: int, before: int, where: Path, limits: Limits
) -> int:
    """Bytes of all members of a zip archive, checked against the limits.

    A member is never read beyond the size that the archive states, so stated sizes can be believed.

    Args:
        archive: the zip archive.
        packed: its own size in bytes.
        before: bytes of the members of other archives that count together with it.
        where: its name in messages.
        limits: what it may hold.

    Raises:
        CoverslipError: too much, in total or by its ratio: a zip bomb.
    """
    total = sum(info.file_size for info in archive.infolist())
    if before + total > limits.unpacked_gb * 1e9:
        raise CoverslipError(
            f"{where}: unpacks to {(before + total) / 1e9:.1f} GB, more than `limits.unpacked_gb: "
            f"{limits.unpacked_gb:g}` of its source: a zip bomb? raise the limit if it is yours"
        )
    if total > SMALL and total > limits.ratio * packed:
        raise CoverslipError(
            f"{where}: {packed} bytes unpack to {total}, more than `limits.ratio: "
            f"{limits.ratio:g}` of its source allows: a zip bomb? raise the limit if it is yours"
        )
    return total
