"""Which files of a folder are images, and which belong to one."""

import microscope_files

from coverslip.measure.input_folder import image_of, left_out, left_out_lines, list_images, parts
from coverslip.pipeline import folder_inventory


def test_a_file_of_olympus_and_its_folder_are_one_image(tmp_path):
    folder, notes = tmp_path / "in", tmp_path / "notes.json"
    (folder / "sub").mkdir(parents=True)
    microscope_files.write("OIF:.oif", folder / "sub")
    (folder / "b.png").write_bytes(b"x")
    before = folder_inventory.entries(folder, notes)
    images = list_images({name: entry[-1] for name, entry in before.items()})
    assert list(images) == ["b.png", "sub/a.oif"]
    known = parts(before)["sub/a.oif"]
    assert len(known) == 7 and not folder_inventory.changed(folder, "sub/a.oif", known)
    companion = folder / "sub/a.oif.files/s_C001Z001.tif"
    companion.write_bytes(companion.read_bytes() + b"more")
    assert folder_inventory.changed(folder, "sub/a.oif", known)
    after = {name: entry[-1] for name, entry in folder_inventory.entries(folder, notes).items()}
    assert list_images(after)["sub/a.oif"] != images["sub/a.oif"]
    assert list_images(after)["b.png"] == images["b.png"]


def test_endings_that_are_read_and_others():
    for name in ("a.CZI", "x/b.lif", "c.svs", "d.webp", "e.ome.tif"):
        assert image_of(name) == name
    assert image_of("p.zarr/A/1/0/0/0") == "p.zarr" and image_of("a.vsi") is None
    (line,) = left_out_lines(left_out({"a.vsi": "1", "b.mrxs": "2", "c.txt": "3"}))
    assert "1 .mrxs, 1 .vsi: convert them to OME-TIFF" in line and ".txt" not in line
