import pandas as pd
import pytest
from archives import row

from coverslip.data import tables
from coverslip.errors import CoverslipError


def test_round_trip(tmp_path):
    path = tmp_path / "manifest.csv"
    tables.write_manifest(pd.DataFrame([row("NA", group="1e5"), row("007", height=512)]), path)
    table = tables.read_manifest(path)
    assert list(table.index) == ["007", "NA"]
    assert [table.index.name, *table.columns] == tables.COLUMNS
    assert table.loc["NA", "group"] == "1e5"
    assert table.loc["007", "class"] == ""
    assert table.loc["007", "height"] == 512
    assert table.loc["007", "foreground"] == 0.1 + 0.2
    again = tmp_path / "again.csv"
    tables.write_manifest(table, again)
    assert again.read_bytes() == path.read_bytes()


def test_write_refuses_other_columns_and_an_id_that_stands_twice(tmp_path):
    path = tmp_path / "manifest.csv"
    with pytest.raises(ValueError, match="colour"):
        tables.write_manifest(pd.DataFrame([row("a", colour="red")]), path)
    with pytest.raises(ValueError, match="id twice: a"):
        tables.write_manifest(pd.DataFrame([row("a"), row("a")]), path)
    assert not path.exists()


def test_read_names_what_is_wrong(tmp_path):
    path = tmp_path / "manifest.csv"
    with pytest.raises(CoverslipError, match="manifest.csv"):
        tables.read_manifest(path)
    pd.DataFrame([row("a")]).drop(columns="sha256").to_csv(path, index=False)
    with pytest.raises(CoverslipError, match="sha256 is missing"):
        tables.read_manifest(path)
    pd.DataFrame([row("a"), row("a")]).to_csv(path, index=False)
    with pytest.raises(CoverslipError, match="id a occurs twice"):
        tables.read_manifest(path)
