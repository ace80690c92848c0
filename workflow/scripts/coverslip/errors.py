"""The one exception that users are meant to read, and its words in one line."""

import re

ADDRESS = re.compile(r"\s*<[^<>]* object at 0x[0-9a-fA-F]+>")
"""How Python shows an object without a name."""


class CoverslipError(Exception):
    """Bad input or bad circumstances: one line that says what, where and the fix.

    A job that raises it ends with exit status 1 and prints only the message; the traceback goes
    to the job's log. Every other exception is a defect of coverslip and is shown whole. Control
    characters of names and values, which could change the terminal, become spaces.
    """

    def __init__(self, message: str) -> None:
        super().__init__("".join(c if c.isprintable() or c == "\n" else " " for c in message))


def one_line(error: object) -> str:
    """Text of an error, or of anything, in one line, without control characters and addresses.

    An error without text is called by its type.
    """
    text = "".join(c if c.isprintable() else " " for c in ADDRESS.sub("", str(error)))
    return " ".join(text.split()) or (type(error).__name__ if isinstance(error, Exception) else "")
