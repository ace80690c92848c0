"""A file system that is really full: a tmpfs of some megabytes, in a mount namespace of its own.

Root may mount one, and other users may in a user namespace of their own where the system allows
that. Where neither is allowed, a limit on the size of a file (`ulimit -f`) stands in for the full
disk: writing fails in the kernel as well, with "File too large".
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

INSIDE = "COVERSLIP_TEST_SMALL_DISK"
"""Environment variable with the folder of the small disk, in processes that have one."""

PAGE = os.sysconf("SC_PAGE_SIZE")

HERE = Path(__file__).parent


@cache
def prefix() -> tuple[str, ...]:
    """Return the words before a command that give it mounts of its own; empty if none do."""
    for options in (("--mount",), ("--user", "--map-root-user", "--mount")):
        command = ("unshare", *options, "--")
        probe = [*command, "mount", "-t", "tmpfs", "-o", "size=1m", "none", "/mnt"]
        try:
            if subprocess.run(probe, capture_output=True).returncode == 0:
                return command
        except OSError:
            break  # there is no such command
    return ()


def run(
    words: Sequence[str], folder: Path, megabytes: int, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run a command that has a small disk at a folder; options are those of `subprocess.run`."""
    environment = os.environ | {INSIDE: str(folder)}
    if prefix():
        script = 'mount -t tmpfs -o "size=$1m" none "$2" && shift 2 && exec "$@"'
        words = [*prefix(), "sh", "-c", script, "sh", str(megabytes), str(folder), *words]
    return subprocess.run(words, text=True, env=environment, **options)


@contextmanager
def space_left(size: int) -> Iterator[None]:
    """Leave so many bytes on the small disk of this process, and the rest of a page.

    Without a small disk, files may have so many bytes each; call it in a child then, since the
    limit is for good.
    """
    folder = os.environ[INSIDE]
    if not os.path.ismount(folder):
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
        yield
        return
    filler = os.path.join(folder, ".filler")
    found = os.statvfs(folder)
    with open(filler, "wb") as file:
        blocks = found.f_bavail * found.f_frsize // PAGE - -(-size // PAGE)
        if blocks > 0:
            os.posix_fallocate(file.fileno(), 0, blocks * PAGE)
    try:
        yield
    finally:
        os.unlink(filler)


def run_code(code: str, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python code in a small disk of 64 MB at a folder; it finds `small_disk` and `Path`."""
    folder.mkdir(exist_ok=True)
    file = folder.with_name(f"{folder.name}.py")
    file.write_text(
        "import os, sys\nfrom pathlib import Path\n"
        f"sys.path[:0] = [{str(HERE)!r}, {str(HERE.parent / 'workflow/scripts')!r}]\n"
        "import small_disk\n"
        f"os.chdir(os.environ[small_disk.INSIDE])\n{code}"
    )
    return run([sys.executable, str(file), *arguments], folder, 64, capture_output=True)
