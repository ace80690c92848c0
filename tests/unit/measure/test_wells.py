"""Wells in names of images, and the table of a plate."""

import pandas as pd
import pytest

from coverslip.measure.wells import find_well, plate_table


@pytest.mark.parametrize(
    ("name", "well"),
    [
        ("plate1_A01_f1.png", "A01"),
        ("20200101-plate_B12_s3_w1.TIF", "B12"),
        ("H7.tif", "H07"),
        ("A1f2.tif", "A01"),
        ("r01c01f02p01-ch1sk1fk1fl1.tiff", "A01"),
        ("sub/r16c24.tif", "P24"),
        ("C03/D04_t2.tif", "D04"),
        ("A172_Phase_C7_1_01d04h30m_2.tif", "C07"),
        ("A172.tif", ""),
        ("T0007.tif", ""),
        ("DAPI_3.png", ""),
        ("A25.png", ""),
        ("A00.png", ""),
        ("r17c01.tif", ""),
        ("a01.png", ""),
    ],
)
def test_wells_are_found_in_names(name, well):
    assert find_well(name) == well


def test_a_plate_has_the_means_of_its_wells():
    table = pd.DataFrame(
        {"well": ["B02", "B02", "D04", "", "D05"], "n_objects": [4, 8, 2, 99, None]}
    )
    plate = plate_table(table, "n_objects")
    assert plate["columns"] == [2, 3, 4] and [row["name"] for row in plate["rows"]] == [
        "B",
        "C",
        "D",
    ]
    assert plate["rows"][0]["cells"][0] == {"value": 6.0, "images": 2, "level": 1.0}
    assert plate["rows"][2]["cells"][2] == {"value": 2.0, "images": 1, "level": 0.0}
    assert plate["rows"][1]["cells"][1]["value"] is None
    assert plate_table(table.head(2), "n_objects") is None
