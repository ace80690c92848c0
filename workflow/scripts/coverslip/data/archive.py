"""Archives of pictures: a zip file, a folder, or zip files inside either.

Members are named by their path with `/`, sorted; a member of a nested zip file carries that file's
name as a folder (`stage1_train.zip/a/images/a.png`). Members are read where they lie, also those of
a nested zip file that is stored as it is. Only one that was compressed once more is unpacked, under
a name of our own, as long as it is read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO

from coverslip.configuration.config import Limits
from coverslip.data.zips import (
    DAMAGED,
    Place,
    hidden,
    open_zip,
    refuse_odd,
    stored,
    unpacked_size,
    zip_members,
)
from coverslip.errors import CoverslipError


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
            refuse_odd(member, folder)
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
        self._zips: dict[Place, zipfile.ZipFile] = {}
        # Of each member: the zip archive it lies in (none: a plain file) and its name therein.
        self._found: dict[str, tuple[Place | None, str]] = {}
        if self.is_folder:
            self._add("", None, folder_members(path))
        else:
            self._add_zip("", Place(path), path)

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

    def reopened(self) -> Archive:
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

        It is read where it lies if it is stored as it is; otherwise it is unpacked beside the
        output first, where it stays until the archive is closed.

        Raises:
            CoverslipError: as for an archive itself.
            OSError: no space left to unpack it.
        """
        holder, inside = self._found[member]
        shown = self.path / member
        place = Place(shown) if holder is None else self._inner(holder, inside, member)
        del self._found[member]
        self._add_zip(f"{member}/", place, shown)

    def scratch(self) -> Path:
        """Return a folder for what belongs to this archive; it is removed with it."""
        if self._temporary is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="unpacked-", dir=self._scratch)
        return Path(self._temporary.name)

    def _inner(self, holder: Place, inside: str, member: str) -> Place:
        try:
            return stored(self._zip(holder), inside, holder) or self._unpacked_as(holder, inside)
        except DAMAGED as error:
            raise self._damaged(member, error) from error
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            # The archive names a place before its start.
            raise self._damaged(member, error) from error

    def _unpacked_as(self, holder: Place, inside: str) -> Place:
        path = self.scratch() / f"{len(os.listdir(self.scratch()))}.zip"
        if self._zip(holder).getinfo(inside).file_size > shutil.disk_usage(path.parent).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        with self._zip(holder).open(inside) as source, open(path, "wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
        return Place(path)

    def _refuse_large(self, member: str, size: int) -> None:
        if size > self.limits.file_mb * 1e6:
            raise CoverslipError(
                f"{self.path}: {member}: a file of {size / 1e6:.1f} MB, more than "
                f"`limits.file_mb: {self.limits.file_mb:g}` of its source: "
                "remove it, or raise the limit"
            )

    def _damaged(self, member: str, error: Exception) -> CoverslipError:
        return CoverslipError(
            f"{self.path}: {member}: damaged in the archive ({error}): download or copy it again"
        )

    def _add(self, prefix: str, holder: Place | None, names: dict[str, str]) -> None:
        self._found.update({prefix + name: (holder, inside) for name, inside in names.items()})

    def _add_zip(self, prefix: str, place: Place, shown: Path) -> None:
        opened = self._zip(place, shown)
        names = zip_members(opened, shown)
        total = unpacked_size(opened, place.length(), self._unpacked, shown, self.limits)
        self._unpacked += total
        self._add(prefix, place, names)

    def _zip(self, place: Place, shown: Path | None = None) -> zipfile.ZipFile:
        if place not in self._zips:
            self._zips[place] = open_zip(place, shown or place.path)
        return self._zips[place]


def open_archive(path: Path, scratch: Path | None = None, limits: Limits | None = None) -> Archive:
    """Open a zip archive or a folder of pictures.

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
            f"{path}: no such archive or folder: put it there or mend `source.path` in the config"
        )
    try:
        return Archive(path, scratch, limits or Limits())
    except PermissionError as error:
        raise CoverslipError(f"{path}: may not be read: make it readable") from error


def nested_zips(archive: Archive) -> Iterator[str]:
    """Yield the members that are zip files."""
    return (member for member in archive.members() if member.lower().endswith(".zip"))
