"""Archives of images: a zip file, a folder, or zip files inside either.

Members are named by their path with `/`, sorted; a member of a nested zip file carries that file's
name as a folder (`stage1_train.zip/a/images/a.png`). Members are read in place; a nested zip file
is unpacked next to the output for as long as it is read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import stat
import struct
import tempfile
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO

from coverslip.config.sections import Limits
from coverslip.errors import CoverslipError, one_line

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


def safe_name(name: str, where: Path) -> str:
    """Return a member's name in normal form, `a/b/c`.

    Raises:
        CoverslipError: the name is absolute, leaves the archive (`..`), is none, or holds control
            characters or bytes that are no text.
    """
    check_name(name, where)
    parts = name.replace("\\", "/").split("/")
    if parts[0] == "" or re.match("[A-Za-z]:", parts[0]):
        raise CoverslipError(
            f"{where}: absolute name of a member: {name!r}: pack it again with relative names"
        )
    if ".." in parts:
        raise CoverslipError(
            f"{where}: a member's name leaves the archive: {name!r}: "
            "do not trust this archive; get it from its source again"
        )
    normal = "/".join(part for part in parts if part not in ("", "."))
    if not normal:
        raise CoverslipError(f"{where}: a member has no name: {name!r}: pack it again")
    return normal


def check_name(name: str, where: Path) -> None:
    """Raise a CoverslipError where a name has control characters, line breaks or undecoded bytes.

    Such names break tables and terminals. Finder's own `Icon` with a carriage return is let pass.
    """
    letters = name.removesuffix(ICON)
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in letters):
        raise CoverslipError(
            f"{where}: a name with control characters or not in UTF-8: {name!a}: rename it"
        )


def hidden(name: str) -> bool:
    """Return whether a member belongs to a file manager or starts with a dot, at any level."""
    return any(part.startswith(".") or part in IGNORED for part in name.split("/"))


def open_zip(path: Path, shown: Path) -> zipfile.ZipFile:
    """Open a zip file; `shown` is its name in messages.

    Raises:
        CoverslipError: truncated, or not a zip file.
    """
    try:
        return zipfile.ZipFile(path)
    except (*DAMAGED, OSError) as error:
        # A damaged archive may lead to a place before its start, which is an OSError of no file.
        if isinstance(error, OSError) and error.filename is not None:
            raise
        with open(path, "rb") as file:
            start = file.read(len(ZIP_START))
        if start == ZIP_START:
            raise CoverslipError(
                f"{shown}: truncated or damaged zip archive ({one_line(error)}): "
                "download or copy it again"
            ) from error
        raise CoverslipError(
            f"{shown}: not a zip archive: give a zip file or a folder of images"
        ) from error


def zip_members(archive: zipfile.ZipFile, where: Path) -> dict[str, str]:
    """Map the normal name of each file in a zip archive to its name inside, checking all names.

    Raises:
        CoverslipError: a name is unsafe or occurs twice; a member is a link, is encrypted, or is
            compressed in an unusual way.
    """
    found: dict[str, str] = {}
    for info in archive.infolist():
        name = safe_name(info.filename, where)
        if info.is_dir():
            continue
        if stat.S_ISLNK(info.external_attr >> 16):
            raise CoverslipError(
                f"{where}: {info.filename}: is a link: pack the archive again with the file itself"
            )
        if name in found:
            raise CoverslipError(
                f"{where}: {name}: occurs twice in the archive: pack it again with each file once"
            )
        if info.flag_bits & 1:
            raise CoverslipError(
                f"{where}: {name}: is encrypted: pack the archive again without a password"
            )
        if info.compress_type not in METHODS:
            raise CoverslipError(
                f"{where}: {name}: is compressed by method {info.compress_type}: "
                "pack the archive again with the usual one (deflate)"
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


# --- Archives of images: a zip file, a folder, or zip files inside either


def folder_members(folder: Path) -> dict[str, str]:
    """Map the name of each file below a folder to itself.

    Raises:
        CoverslipError: a link leads nowhere or to a folder (which could lead round in circles).
    """
    found = {}
    for root, folders, files in os.walk(folder, onerror=_raise):
        folders.sort()
        for name in sorted(folders):
            if os.path.islink(os.path.join(root, name)):
                raise CoverslipError(
                    f"{os.path.join(root, name)}: is a link to a folder: "
                    "put the folder itself there"
                )
        for name in files:
            path = Path(root, name)
            member = path.relative_to(folder).as_posix()
            if hidden(member):
                continue
            check_name(member, folder)
            if not path.is_file():
                raise CoverslipError(
                    f"{path}: is no readable file (a broken link?): replace or remove it"
                )
            found[member] = member
    return found


def _raise(error: OSError) -> None:
    raise CoverslipError(
        f"{error.filename}: cannot be listed ({error.strerror}): make the folder readable"
    ) from error


class Archive:
    """A zip archive or a folder; a context manager. Made by `open_archive`.

    It can be sent to another process, which then opens the files itself.
    """

    def __init__(self, path: Path, scratch: Path | None, limits: Limits) -> None:
        self.path = path
        self.limits = limits
        self.digests: dict[str, str] = {}  # SHA-256 of members that a layout read by `stream`
        self._unpacked = 0
        self.is_folder = path.is_dir()
        self._scratch = scratch
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._zips: dict[Path, zipfile.ZipFile] = {}
        # Of each member: the zip archive it is in (none: a plain file) and its name therein.
        self._found: dict[str, tuple[Path | None, str]] = {}
        if self.is_folder:
            self._add("", None, folder_members(path))
        else:
            self._add_zip("", path, path)

    def __enter__(self) -> Archive:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_zips": {}, "_temporary": None}

    def reopen(self) -> Archive:
        """Return the same archive with files of its own; what is unpacked stays this one's."""
        other = Archive.__new__(Archive)
        other.__dict__.update(self.__getstate__())
        return other

    def close(self) -> None:
        """Close all files and remove what was unpacked."""
        for opened in self._zips.values():
            opened.close()
        self._zips.clear()
        if self._temporary is not None:
            self._temporary.cleanup()
            self._temporary = None

    def members(self) -> list[str]:
        """Return the names of all files, sorted."""
        return sorted(self._found)

    def read(self, member: str) -> bytes:
        """Return the bytes of a member.

        Raises:
            CoverslipError: the member is damaged, cannot be read, or is too large.
        """
        with self.stream(member) as (file, size):
            self._refuse_large(member, size)
            # With the size: without it all is unpacked first and cut to its size afterwards.
            data = file.read(size)
            if len(data) != size:
                raise EOFError(f"{len(data)} bytes of {size}")
        return data

    @contextlib.contextmanager
    def stream(self, member: str) -> Iterator[tuple[IO[bytes], int]]:
        """Open a member to be read piece by piece; give it and its size in bytes.

        Raises:
            CoverslipError: the member is damaged or cannot be read.
        """
        holder, inside = self._found[member]
        try:
            if holder is None:
                with open(self.path / inside, "rb") as file:
                    yield file, os.fstat(file.fileno()).st_size
            else:
                info = self._zip(holder).getinfo(inside)
                with self._zip(holder).open(info) as file:
                    yield file, info.file_size
        except DAMAGED as error:
            raise self._damaged(member, error) from error
        except OSError as error:
            raise CoverslipError(
                f"{self.path}: {member}: cannot be read ({error.strerror or error}): "
                "make it readable or replace it"
            ) from error

    def expand(self, member: str) -> None:
        """Replace a nested zip file by its members.

        It is unpacked next to the output first, where it stays until the archive is closed.

        Raises:
            CoverslipError: as for an archive itself.
            OSError: no space left to unpack it.
        """
        holder, inside = self._found[member]
        shown = self.path / member
        path = shown if holder is None else self._unpack(holder, inside, member)
        del self._found[member]
        self._add_zip(f"{member}/", path, shown)

    def scratch(self) -> Path:
        """Return a folder for what belongs to this archive; it is removed with it."""
        if self._temporary is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="unpacked-", dir=self._scratch)
        return Path(self._temporary.name)

    def _unpack(self, holder: Path, inside: str, member: str) -> Path:
        """Unpack a nested zip file; return where."""
        path = self.scratch() / f"{len(os.listdir(self.scratch()))}.zip"
        if self._zip(holder).getinfo(inside).file_size > shutil.disk_usage(path.parent).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        try:
            with self._zip(holder).open(inside) as source, open(path, "wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
        except DAMAGED as error:
            raise self._damaged(member, error) from error
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            # The archive names a place before its start.
            raise self._damaged(member, error) from error
        return path

    def _refuse_large(self, member: str, size: int) -> None:
        if size > self.limits.file_mb * 1e6:
            raise CoverslipError(
                f"{self.path}: {member}: a file of {size / 1e6:.1f} MB, more than "
                f"`limits.file_mb: {self.limits.file_mb:g}` of its source: "
                "remove it, or raise the limit"
            )

    def _damaged(self, member: str, error: Exception) -> CoverslipError:
        return CoverslipError(
            f"{self.path}: {member}: damaged in the archive ({one_line(error)}): "
            "download or copy it again"
        )

    def _add(self, prefix: str, holder: Path | None, names: dict[str, str]) -> None:
        self._found.update({prefix + name: (holder, inside) for name, inside in names.items()})

    def _add_zip(self, prefix: str, path: Path, shown: Path) -> None:
        opened = self._zip(path, shown)
        names = zip_members(opened, shown)
        size = path.stat().st_size
        self._unpacked += unpacked_size(opened, size, self._unpacked, shown, self.limits)
        self._add(prefix, path, names)

    def _zip(self, path: Path, shown: Path | None = None) -> zipfile.ZipFile:
        if path not in self._zips:
            self._zips[path] = open_zip(path, shown or path)
        return self._zips[path]


def open_archive(path: Path, scratch: Path | None = None, limits: Limits | None = None) -> Archive:
    """Open a zip archive or a folder of images.

    Args:
        path: the zip file or the folder.
        scratch: folder for nested zip files that have to be unpacked; none: the system's.
        limits: what it may hold; none: the defaults of the config.

    Raises:
        CoverslipError: missing, truncated, not a zip archive, too large, or with an unsafe member.
    """
    path = Path(path)
    if not path.exists():
        raise CoverslipError(
            f"{path}: no such archive or folder: put it there or fix `source.path` in the config"
        )
    try:
        return Archive(path, scratch, limits or Limits())
    except PermissionError as error:
        raise CoverslipError(f"{path}: may not be read: make it readable") from error


def nested_zips(archive: Archive) -> Iterator[str]:
    """Yield the members that are zip files."""
    return (member for member in archive.members() if member.lower().endswith(".zip"))
