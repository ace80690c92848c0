"""Models by name, folder or zip."""

import json
import zipfile

import pytest

from coverslip.errors import CoverslipError
from coverslip.models import folder as model_folder
from coverslip.models.folder import find_model, shipped_model, unpack_model

NETWORK, ENSEMBLE = json.dumps({"kind": "network"}), json.dumps({"kind": "ensemble"})


def zipped(path, **files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("__", "/"), text)
    return path


def test_a_name_without_number_is_the_newest():
    newest = shipped_model("nuclei")
    assert newest is not None and shipped_model(newest.name) == newest
    assert find_model("nuclei", newest) == newest
    for name in ("none", "../nuclei-1", "nuclei-", "*"):
        assert shipped_model(name) is None


def test_a_folder_or_a_zip(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.json").write_text(NETWORK)
    assert find_model(folder, tmp_path) == find_model(folder / "model.json", tmp_path) == folder
    for name, files in (
        ("flat", {"model.json": NETWORK, "model.onnx": "x"}),
        ("deep", {"a__model__model.json": NETWORK, "a__model__model.onnx": "x"}),
        ("both", {"a__model.json": NETWORK, "b__model.json": NETWORK, "e__model.json": ENSEMBLE}),
    ):
        archive = zipped(tmp_path / f"{name}.zip", **files)
        found = find_model(archive, tmp_path / "unpacked")
        assert (found / "model.json").read_text() == files[
            max(files, key=lambda k: "json" in k and "e__" in k)
        ]
        before = (found / "model.json").stat().st_mtime_ns
        assert unpack_model(archive, tmp_path / "unpacked") == found
        assert (found / "model.json").stat().st_mtime_ns == before, "unpacked once"


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"..__model.json": NETWORK}, "outside of the model"),
        ({"/etc__model.json": NETWORK}, "outside of the model"),
        ({"a__" * 7 + "model.json": NETWORK}, "outside of the model"),
        ({"readme.md": "x"}, "has no model.json"),
        ({"a__model.json": NETWORK, "b__model.json": NETWORK}, "has several models"),
    ],
)
def test_zips_that_are_no_model(tmp_path, files, message):
    archive = zipped(tmp_path / "a.zip", **files)
    with pytest.raises(CoverslipError, match=message):
        find_model(archive, tmp_path / "unpacked")
    assert not (tmp_path / "model.json").exists()


def test_damaged_and_huge_zips(tmp_path, monkeypatch):
    (tmp_path / "a.zip").write_bytes(b"text")
    with pytest.raises(CoverslipError, match="not a zip"):
        find_model(tmp_path / "a.zip", tmp_path / "unpacked")
    monkeypatch.setattr(model_folder, "UNPACKED_BYTES", 3)
    with pytest.raises(CoverslipError, match="GB unpacked"):
        find_model(zipped(tmp_path / "b.zip", **{"model.json": NETWORK}), tmp_path / "unpacked")
    with pytest.raises(CoverslipError, match="no such model"):
        find_model(tmp_path / "none", tmp_path)
