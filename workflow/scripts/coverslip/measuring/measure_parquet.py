"""The table of objects as Parquet, for programs that read millions of rows.

By DuckDB, which streams from file to file. (With pyarrow installed, pandas would keep all strings
of all steps in another form.)
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb

from coverslip.aside import aside
from coverslip.measuring.measure_tables import OBJECT_TYPES

KINDS = {"str": "VARCHAR", "int64": "BIGINT", "float64": "DOUBLE", "bool": "BOOLEAN"}


def write_parquet(objects: Path, output: Path) -> None:
    """Write a table of objects (`objects.csv`) as Parquet, compressed by zstd, in its order."""
    types = {name: KINDS[kind] for name, kind in OBJECT_TYPES.items()}
    settings: dict[str, Any] = {"threads": 1, "preserve_insertion_order": True}
    with aside(output) as part, duckdb.connect(config=settings) as database:
        table = database.read_csv(str(objects), header=True, dtype=types, na_values=[""])
        table.write_parquet(str(part), compression="zstd")
