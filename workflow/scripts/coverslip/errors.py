"""The one exception that users are meant to read, and its words in one line."""


class CoverslipError(Exception):
    """Bad input or bad circumstances: one line that says what, where and the fix.

    A job that raises it ends with exit status 1 and prints only the message; the traceback goes
    to the job's log. Every other exception is a defect of coverslip and is shown whole.
    """


def one_line(error: object) -> str:
    """Text of an error, or of anything, in one line and without control characters."""
    return " ".join("".join(c if c.isprintable() else " " for c in str(error)).split())
