"""The one exception that users are meant to read, errors as one line, and names in a message."""

import errno
import os
import re
from collections.abc import Iterable, Sequence

FIXES = {
    errno.ENOSPC: "; free some space, then run again: finished work is kept",
    errno.EDQUOT: "; the disk quota is used up: free some space, then run again",
    errno.EACCES: "; give yourself permission to it, then run again",
    errno.EFBIG: "; files may not be that large here (`ulimit -f`)",
    errno.EROFS: "; the disk is read-only: choose another folder with --directory",
}
"""What helps after an error of the operating system, by its number."""

FULL = (errno.ENOSPC, errno.EDQUOT)
"""Errors of a disk, of which Python often does not name the file."""

LONGEST = 200
"""Characters of a path in a message."""

NAMED = 3
"""So many of several names are in a message."""

ADDRESS = re.compile(r"\s*<[^<>]* object at 0x[0-9a-fA-F]+>")
"""How Python shows an object without a name."""


class CoverslipError(Exception):
    """Bad input or bad circumstances: one line that says what, where and the fix.

    A job that raises it ends with exit status 1 and prints only the message; the traceback goes
    to the job's log. Every other exception is a defect of coverslip; its line asks for a report.
    Control characters of names and values, which could change the terminal, become spaces.
    """

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() or c == "\n" else " " for c in message))


def one_line(error: object) -> str:
    """Text of an error, or of anything, in one line, without control characters and addresses.

    An error without text is called by its type.
    """
    text = "".join(c if c.isprintable() else " " for c in ADDRESS.sub("", str(error)))
    return " ".join(text.split()) or (type(error).__name__ if isinstance(error, Exception) else "")


def os_error_line(error: OSError) -> str:
    """Text of an error of the operating system in one line: the file, what is wrong, the fix.

    Examples:
        >>> os_error_line(OSError(errno.EDQUOT, "Disk quota exceeded", "a.csv"))
        'a.csv: Disk quota exceeded; the disk quota is used up: free some space, then run again'
    """
    name = one_line(os.fsdecode(error.filename)) if error.filename else ""
    if not name and error.errno in FULL:
        name = os.getcwd()
    where = f"{name if len(name) < LONGEST else name[:LONGEST] + '...'}: " if name else ""
    return f"{where}{error.strerror or one_line(error)}{FIXES.get(error.errno or 0, '')}"


def first_names(names: Iterable[object]) -> str:
    """Return the first names and how many more there are.

    Examples:
        >>> first_names(["a", "b", "c", "d", "e"])
        'a, b, c and 2 more'
    """
    texts = [str(name) for name in names]
    more = len(texts) - NAMED
    return ", ".join(texts[:NAMED]) + (f" and {more} more" if more > 0 else "")


def join_names(names: Sequence[str]) -> str:
    """Return all names of a list in words.

    Examples:
        >>> join_names(["a"]), join_names(["a", "b", "c"])
        ('a', 'a, b and c')
    """
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
