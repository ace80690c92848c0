"""coverslip: from microscopy images of cells to a report that a scientist can trust.

Importing the package imports nothing else, so that a job starts in well under a second.
"""

__version__ = "0.1.0"
