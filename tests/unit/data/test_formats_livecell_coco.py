"""COCO json files with polygons: read as a stream, checked, matched to images by name."""

import json
import logging
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from archives import pack, packed
from fuzzing import EDITS, FUZZ, VALUES, answers, damaged
from hypothesis import example, given
from hypothesis import strategies as st

from coverslip.config.sections import Dataset, Source
from coverslip.data.archive import open_archive
from coverslip.data.formats import read_samples
from coverslip.data.formats.livecell_coco import read_polygons
from coverslip.data.image_store import ImageStore
from coverslip.data.ingest import ingest
from coverslip.errors import CoverslipError

LAYOUT = "livecell_coco"
FIRST, SECOND = "A172_Phase_C7_1_00d00h00m_1.tif", "BV2_Phase_B4_2_01d08h00m_4.tif"
BOX = [1, 1, 4, 1, 4, 3, 1, 3]


def coco(*names, annotations=(), start=1, **more):
    """A COCO document of images of 6 x 8 pixels."""
    images = [
        {"id": start + n, "file_name": name, "width": 8, "height": 6}
        for n, name in enumerate(names)
    ]
    return {"info": {}, "images": images, "annotations": list(annotations)} | more


def outline(image, *parts, id=5, **more):
    return {"id": id, "image_id": image, "segmentation": list(parts or [BOX]), **more}


def tif(shape=(6, 8)):
    return cv2.imencode(".tif", np.full(shape, 128, np.uint8))[1].tobytes()


def files(document, *names, json_name="livecell_coco_test.json"):
    text = document if isinstance(document, bytes) else json.dumps(document).encode()
    return {json_name: text} | {f"images/x/{name}": tif() for name in names}


def dataset(**options):
    return Dataset(title="t", source=Source(kind="path"), format=LAYOUT, **options)


def listed(folder, members, **options):
    path = folder / "archive.zip"
    path.write_bytes(packed(members))
    with open_archive(path, folder) as archive:
        return [
            (r.id, r.image, r.label, r.draw((6, 8)).label)
            for r in read_samples(LAYOUT, archive, dataset(**options))
        ]


def test_images_with_their_polygons(tmp_path):
    annotations = [
        outline(2),
        outline(1, BOX, [5, 3, 8, 3, 8, 6, 5, 6]),
        outline(2, [0, 3, 8, 3, 8, 6]),
    ]
    found = listed(tmp_path, files(coco(FIRST, SECOND, annotations=annotations), FIRST, SECOND))
    assert [entry[:3] for entry in found] == [
        (FIRST[:-4], f"images/x/{FIRST}", "A172"),
        (SECOND[:-4], f"images/x/{SECOND}", "BV2"),
    ]
    expected = np.zeros((6, 8), int)
    expected[1:3, 1:4] = expected[3:, 5:] = 1
    np.testing.assert_array_equal(found[0][3], expected)
    assert found[1][3].max() == 2


def test_annotations_may_be_an_object_and_images_empty(tmp_path):
    document = coco(FIRST, SECOND) | {"annotations": {"17": outline(1), "a.b": outline(1, id="x")}}
    found = listed(tmp_path, files(document, FIRST, SECOND))
    assert found[0][3].any() and not found[1][3].any()
    found = listed(tmp_path, files({"annotations": []} | coco("plain.png"), "plain.png"))
    assert found[0][0] == "plain" and found[0][2] is None


def test_several_files_whose_numbers_are_the_same(tmp_path):
    members = files(coco(FIRST, annotations=[outline(1)]), FIRST, SECOND)
    members |= {"deep/livecell_coco_val.json": json.dumps(coco(SECOND)).encode()}
    members |= {"a172_train.json": b"another kind", "annotations/0_train2percent.json": b""}
    found = listed(tmp_path, members)
    assert [bool(entry[3].any()) for entry in found] == [True, False]
    members["other.json"] = members.pop("livecell_coco_test.json")
    assert [entry[0] for entry in listed(tmp_path, members)] == [SECOND[:-4]]
    assert [entry[0] for entry in listed(tmp_path, members, annotations="o*.json")] == [FIRST[:-4]]


def test_images_without_annotations_are_left_out_and_counted(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "coverslip"):
        logging.getLogger("coverslip").propagate = True
        assert len(listed(tmp_path, files(coco(FIRST), FIRST, SECOND, "z.png"))) == 1
    assert "2 images without annotations are left out" in caplog.text


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"", "not JSON"),
        (b'{"images": ' + b"[" * 200_000, "nested more than 1000 levels"),
        (b'{"images": [' + b'{"a":' * 200_000, "nested more than 1000 levels"),
        (b'{"a": "' + b"]" * 9999 + b'", "images": [' + b'{"a":' * 2000, "nested more"),
        (b'{"images": [', "not JSON"),
        (b'{"images": [{"id": NaN}]}', "not JSON"),
        (b'{"images": ["\xff\xfe"]}', "not JSON|an image without"),
        ([], "knows no images"),
        ({"images": []}, "knows no images"),
        ({"images": [7]}, "an image without id"),
        ({"images": [{"id": 1, "file_name": FIRST, "height": 6}]}, "an image without id"),
        (coco(FIRST) | {"images": [coco(FIRST)["images"][0] | {"height": "6"}]}, "is no number"),
        (coco(FIRST) | {"images": [coco(FIRST)["images"][0] | {"id": True}]}, "is no number"),
        (coco(FIRST) | {"images": 2 * coco(FIRST)["images"]}, "two images have the id 1"),
        (coco("notes.txt"), "names no image"),
        (coco(FIRST, FIRST), "occurs twice in the annotations"),
        (coco("gone.tif"), r"no such image, .*gone\.tif in livecell_coco_test\.json"),
        (coco(FIRST, annotations=[7]), "an annotation without segmentation"),
        (coco(FIRST, annotations=[{"id": 5, "image_id": 1}]), "an annotation without segm"),
        (coco(FIRST, annotations=[outline(99)]), "of no image"),
        (coco(FIRST, annotations=[outline([1])]), "of no image"),
    ],
)
def test_what_is_wrong_is_named_with_its_file(tmp_path, document, message):
    with pytest.raises(CoverslipError, match=message) as error:
        listed(tmp_path, files(document, FIRST))
    assert "archive.zip: " in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("segmentation", "message"),
    [
        ({"counts": [1, 2], "size": [6, 8]}, r"run lengths \(RLE\).* layout `paired`"),
        ({"counts": "PPYo0", "size": [6, 8]}, "run lengths"),
        (None, "no list of polygons"),
        ([], "no list of polygons"),
        (BOX, "no list of polygons"),
        ([BOX, "1 2 3"], "no list of polygons"),
        ([BOX[:-1]], "three corners"),
        ([BOX[:4]], "three corners"),
        ([[]], "three corners"),
        ([[*BOX, "1", "2"]], "three corners"),
        ([[*BOX, None, 2]], "three corners"),
        ([[*BOX, True, 2]], "three corners"),
        ([[*BOX, float("nan"), 2]], "nowhere near"),
        ([[*BOX, float("inf"), 2]], "nowhere near"),
        ([[*BOX, 10**400, 2]], "nowhere near"),
        ([[*BOX, -1e9, 2]], "nowhere near"),
    ],
)
def test_segmentations_that_are_no_polygons(segmentation, message):
    with pytest.raises(CoverslipError, match=f"x.json: annotation 5: .*{message}"):
        read_polygons(segmentation, "x.json: annotation 5")


def test_missing_annotations_and_ambiguous_images(tmp_path):
    with pytest.raises(CoverslipError, match=r"no file is called `livecell_coco_\*\.json`"):
        listed(tmp_path, {f"images/{FIRST}": tif()})
    twice = files(coco(FIRST), FIRST) | {f"more/{FIRST}": tif()}
    with pytest.raises(CoverslipError, match=f"two images of one name: images/x/{FIRST}, more"):
        listed(tmp_path, twice)


def test_from_archive_to_store(tmp_path):
    """The same files by one and by two processes; another image changes the digest."""
    members = files(coco(FIRST, SECOND, annotations=[outline(1), outline(1)]), FIRST, SECOND)
    outputs = []
    for processes in (1, 2):
        source = pack(tmp_path / "x.zip", members)
        here = tmp_path / str(processes)
        here.mkdir()
        paths = [here / name for name in ("images.h5", "manifest.csv", "dataset.json")]
        section = dataset(group_by="metadata")
        ingest(source, section, *paths, processes)
        assert sorted(p.name for p in here.iterdir()) == sorted(p.name for p in paths)
        outputs.append([path.read_bytes() for path in paths])
    assert outputs[0] == outputs[1]
    table = pd.read_csv(paths[1], index_col="id", keep_default_na=False)
    assert table["group"].tolist() == ["A172_C7", "BV2_B4"]
    assert table["class"].tolist() == ["A172", "BV2"]
    assert table["n_objects"].tolist() == [1, 0] and table["overlap_pixels"].tolist() == [6, 0]
    with ImageStore(paths[0]) as store:
        assert store.label(FIRST[:-4]).sum() == 6
    facts = json.loads(paths[2].read_text())
    members["livecell_coco_test.json"] += b" "
    ingest(pack(tmp_path / "x.zip", members), section, *paths, 1)
    again = json.loads(paths[2].read_text())
    assert again["source"]["contents_sha256"] != facts["source"]["contents_sha256"]


def test_a_image_of_another_size_is_refused(tmp_path):
    members = files(coco(FIRST), FIRST) | {f"images/x/{FIRST}": tif((7, 8))}
    outputs = [tmp_path / name for name in ("p.h5", "m.csv", "d.json")]
    with pytest.raises(CoverslipError, match=f"{FIRST}: an image of 7x8 pixels, but its"):
        ingest(pack(tmp_path / "x.zip", members), dataset(), *outputs, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


READ = r"""
import re, resource, sys
from pathlib import Path
from coverslip.data.archive import open_archive
from coverslip.config.sections import Dataset, Source
from coverslip.data.formats import read_samples
folder = Path(sys.argv[1])
with open_archive(folder, folder.parent) as archive:
    dataset = Dataset(title="t", source=Source(kind="path"), format="livecell_coco")
    assert len(read_samples("livecell_coco", archive, dataset)) == 3
status = Path("/proc/self/status")  # the other way counts the parent's memory on Linux
if status.exists():
    print(re.search(r"VmHWM:\s+(\d+)", status.read_text())[1])
else:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def test_memory_does_not_grow_with_the_annotations(tmp_path):
    names = [f"{letter}.png" for letter in "abc"]
    corners = [float(n % 7) + 0.123456 for n in range(200)]
    peaks = []
    for count in (10, 8_000):
        folder = tmp_path / str(count)
        folder.mkdir()
        for name in names:
            (folder / name).write_bytes(b"")
        annotations = [outline(1 + n % 3, corners, id=n) for n in range(count)]
        path = folder / "livecell_coco_x.json"
        path.write_text(json.dumps(coco(*names, annotations=annotations)))
        where = str(Path(read_samples.__code__.co_filename).parents[3])
        done = subprocess.run(
            [sys.executable, "-c", READ, str(folder)],
            capture_output=True,
            text=True,
            env={"PYTHONPATH": where},
            check=True,
        )
        peaks.append(int(done.stdout))
    size = path.stat().st_size / 1024
    assert size > 14_000 and peaks[1] - peaks[0] < size / 2


NUMBERS = st.integers(-3, 12) | st.floats() | st.sampled_from([10**400, True, None, "1", [1]])
SEGMENTATIONS = st.lists(st.lists(NUMBERS, max_size=9), max_size=3) | VALUES
ANNOTATIONS = st.fixed_dictionaries(
    {},
    optional={"id": VALUES, "image_id": st.integers(0, 3) | VALUES, "segmentation": SEGMENTATIONS},
)
IMAGES = st.fixed_dictionaries(
    {},
    optional={
        "id": st.integers(0, 3) | VALUES,
        "file_name": st.sampled_from([FIRST, f"x/{SECOND}", "..", "a.png/"]) | VALUES,
        "height": st.just(6) | VALUES,
        "width": st.just(8) | VALUES,
    },
)
WHOLE = coco(FIRST, SECOND, annotations=[outline(1), outline(2, BOX, BOX)])


def answered(text):
    """What the layout makes of a json file: records, or one line that names the file."""
    with tempfile.TemporaryDirectory() as folder:
        found = answers(listed, Path(folder), files(text, FIRST, SECOND), named="archive.zip: ")
        for id, image, _, label in found or ():
            assert id and image.endswith(".tif") and label.shape == (6, 8) and label.max() < 9
        assert [path.name for path in Path(folder).iterdir()] == ["archive.zip"]
        return found


@FUZZ
@given(EDITS)
def test_damaged_annotations(edits):
    answered(damaged(json.dumps(WHOLE).encode(), edits))


@FUZZ
@given(
    st.lists(IMAGES | st.sampled_from(WHOLE["images"]) | VALUES, max_size=3) | VALUES,
    st.lists(ANNOTATIONS | st.sampled_from(WHOLE["annotations"]), max_size=4) | VALUES,
)
@example(WHOLE["images"], WHOLE["annotations"])
@example(WHOLE["images"], [outline(1, [1e999, 1, 2, 3, 4, 5])])
def test_annotations_of_any_values(images, annotations):
    document = {"images": images, "annotations": annotations}
    answered(json.dumps(document, skipkeys=True).encode())
    # What Python writes for such numbers is no JSON; they come as too large ones as well.
    text = json.dumps(document, skipkeys=True).replace("Infinity", "1e999").replace("NaN", "1e999")
    answered(text.encode())


@FUZZ
@given(st.binary(max_size=80) | VALUES.map(lambda value: json.dumps(value, skipkeys=True).encode()))
def test_annotations_that_are_none(data):
    answered(data)
