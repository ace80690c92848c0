"""The one exception that users are meant to read."""


class CoverslipError(Exception):
    """Bad input or bad circumstances: one line that says what, where and the mend.

    A job that raises it ends with exit status 1 and prints only the message; the traceback goes
    to the job's log. Every other exception is a defect of coverslip and is shown whole.
    """
