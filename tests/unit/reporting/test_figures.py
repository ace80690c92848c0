import re
from dataclasses import replace

import numpy as np
import pytest
import study_files
from matplotlib.colors import to_rgb
from PIL import Image
from study_files import inputs_of

from coverslip.data.image_store import ImageStore
from coverslip.errors import CoverslipError
from coverslip.imaging import intensity
from coverslip.reporting import figures
from coverslip.reporting.figures import contours, examples, style
from coverslip.reporting.figures.style import shorten, thousands

VECTOR = ("learning_curves", "metrics", "classification_report", "confusion", "network")
INSTANCES = ("average_precision", "objects", "contours")


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    folder = tmp_path_factory.mktemp("usual")
    return inputs_of(study_files.make(folder), folder)


@pytest.fixture(scope="module")
def extreme(tmp_path_factory):
    """One epoch, one group, few images of differing sizes, folds and seeds, a long title."""
    folder = tmp_path_factory.mktemp("extreme")
    files = study_files.make(
        folder,
        images=3,
        folds=3,
        seeds=(1, 2),
        groups=1,
        epochs=1,
        shapes=((20, 90), (64, 24)),
        instances=True,
    )
    return inputs_of(files, folder, r"A very long title $x^$ \frac{1$" * 7, True)


@pytest.fixture(scope="module")
def told_apart(tmp_path_factory):
    folder = tmp_path_factory.mktemp("told_apart")
    return inputs_of(study_files.make(folder, instances=True), folder)


def test_outlines_are_coloured_by_what_they_match():
    truth, found = np.zeros((2, 20, 40), np.int32)
    truth[4:14, 4:14], truth[4:14, 24:34] = 1, 2
    found[4:14, 4:14], found[16:20, 0:6] = 7, 9
    drawn = contours.outlined(
        np.zeros((20, 40), np.uint8), truth, found, contours.match(truth, found)
    )
    colours = [np.rint(255 * np.array(to_rgb(c))).tolist() for c in contours.COLOURS.values()]
    at = [drawn[4, 8].tolist(), drawn[16, 2].tolist(), drawn[4, 30].tolist()]
    assert at == colours and not drawn[8, 8].any() and not drawn[8, 30].any()


@pytest.mark.parametrize("name", ["average_precision", "objects"])
def test_figures_of_objects_are_the_same_each_time(told_apart, tmp_path, name):
    path = tmp_path / f"{name}.svg"
    figures.draw(name, told_apart, path)
    first = path.read_bytes()
    figures.draw(name, told_apart, path)
    assert path.read_bytes() == first and len(first) < 300_000


def test_sizes_are_in_micrometres_where_pixels_are_known(told_apart, tmp_path):
    for inputs, unit in ((told_apart, "px"), (replace(told_apart, pixel_size_um=0.5), "µm")):
        figures.draw("objects", inputs, tmp_path / "objects.svg")
        assert f"({unit})" in (tmp_path / "objects.svg").read_text(encoding="utf-8")


def test_a_scale_bar_is_as_long_as_it_says(told_apart):
    axes = style.new(2, 2).subplots()
    style.scale_bar(axes, 256, told_apart)
    assert not axes.patches and not axes.texts
    style.scale_bar(axes, 256, replace(told_apart, pixel_size_um=0.65))
    (bar,), (text,) = axes.patches, axes.texts
    length = float(text.get_text().removesuffix(" µm"))
    assert bar.get_width() * 256 * 0.65 == pytest.approx(length)


@pytest.mark.parametrize("name", ["contours", "examples"])
def test_images_of_known_pixel_size_have_scale_bars(told_apart, tmp_path, monkeypatch, name):
    widths = set()
    monkeypatch.setattr(f"{figures.__name__}.{name}.scale_bar", lambda *a: widths.add(a[1]))
    figures.draw(name, told_apart, tmp_path / f"{name}.png")
    with ImageStore(told_apart.images) as store:
        assert widths and widths <= {store.image(id).shape[1] for id in told_apart.table["id"]}


@pytest.mark.parametrize("name", VECTOR)
def test_vector_figures_are_small_and_the_same_each_time(usual, tmp_path, name):
    path = tmp_path / "figures" / f"{name}.svg"
    figures.draw(name, usual, path)
    first = path.read_bytes()
    assert first.lstrip().startswith(b"<?xml") and len(first) < 300_000
    assert not re.search(rb"<dc:date>|/tmp|/home", first)
    figures.draw(name, usual, path)
    assert path.read_bytes() == first
    assert [each.name for each in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("name", (*VECTOR, *INSTANCES, "examples"))
def test_extreme_studies_are_drawn(extreme, tmp_path, name):
    path = tmp_path / f"{name}.png"
    figures.draw(name, extreme, path)
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    # Nothing is cut off: the margin of every figure is white.
    edges = (pixels[:2], pixels[-2:], pixels[:, :2], pixels[:, -2:])
    assert all((edge > 245).all() for edge in edges)
    red = (abs(pixels - (0xB0, 0, 0x20)) < 24).all(axis=2)
    assert red.sum() > 100  # the warning


def test_panels_stay_below_their_size(usual, tmp_path):
    figures.draw("examples", usual, tmp_path / "examples.png")
    assert 5_000 < (tmp_path / "examples.png").stat().st_size < 300_000


def test_few_colours_keep_white_white_and_greys_grey():
    rng = np.random.default_rng(3)
    pixels = np.full((200, 300, 3), 255, np.uint8)
    pixels[20:120, 10:150] = rng.integers(0, 256, (100, 140, 1))
    pixels[20:120, 160:290] = np.clip(rng.normal((200, 90, 40), 25, (100, 130, 3)), 0, 255)
    drawn = style._indexed(pixels)
    assert drawn.mode == "P" and drawn.size == (300, 200)
    found = np.asarray(drawn.convert("RGB")).astype(int)
    error = abs(found - pixels)
    assert not error[pixels.min(axis=2) == 255].any()
    greys = found[20:120, 10:150]
    assert (greys.max(axis=2) - greys.min(axis=2)).max() <= 4 and error[:, :150].mean() < 2
    assert error[20:120, 160:290].mean() < 10


@pytest.mark.parametrize(
    ("bytes_by_dpi", "tried", "kept"),
    [
        ({140: 250_000}, [140], 140),
        ({140: 300_000, 120: 240_000}, [140, 120], 120),
        # 560 kB need half the pixels at the least: 120 is left out.
        ({140: 560_000, 85: 290_000, 70: 200_000}, [140, 85, 70], 70),
        ({140: 9_000_000, 55: 3_000_000}, [140, 55], 55),
    ],
)
def test_a_png_has_the_highest_resolution_that_fits(monkeypatch, bytes_by_dpi, tried, kept):
    asked = []

    def drawn(figure, dpi):
        asked.append(dpi)
        return b"." * bytes_by_dpi[dpi]

    monkeypatch.setattr(style, "_png", drawn)
    assert len(style._small_png(style.new(1, 1))) == bytes_by_dpi[kept]
    assert asked == tried


def test_errors_are_coloured_by_kind():
    image = np.full((1, 4), 100, np.uint8)
    truth = np.array([[True, False, True, False]])
    mask = np.array([[True, True, False, False]])
    found, wrong, missed, rest = examples.coloured_errors(image, truth, mask)[0].tolist()
    assert rest == [100, 100, 100]
    assert found[2] > found[0]  # sky blue
    assert wrong[0] > wrong[1] > wrong[2]  # vermillion
    assert min(missed[:2]) > missed[2] + 100  # yellow


def test_display_is_stretched_and_flat_images_stay_dark():
    image = np.arange(10_000, dtype=np.uint16).reshape(100, 100, 1)
    shown = intensity.stretch(image)
    assert (shown.min(), shown.max(), shown.shape) == (0, 255, (100, 100))
    assert intensity.stretch(np.full((4, 4, 3), 77, np.uint8)).max() == 0


def test_unknown_figure_is_refused(usual, tmp_path):
    with pytest.raises(CoverslipError, match="no figure 'pie'"):
        figures.draw("pie", usual, tmp_path / "pie.svg")
    with pytest.raises(ValueError, match="svg or png"):
        figures.draw("confusion", usual, tmp_path / "confusion.pdf")


def test_unreadable_metrics_are_named(usual, tmp_path):
    (tmp_path / "metrics.json").write_text("{")
    with pytest.raises(CoverslipError, match=r"metrics\.json"):
        figures.load(
            "study",
            "",
            False,
            tmp_path / "metrics.json",
            tmp_path / "images.csv",
            usual.images,
        )


def test_words():
    assert shorten("0123456789abcdef", 10) == "012345…def"
    assert shorten("short", 10) == "short"
    assert thousands(1234567) == "1\u2009234\u2009567"
    assert thousands(123456789) == "123.5 M"


def test_a_dollar_is_text(usual, tmp_path):
    title = r"a$b$c $x^$ a$\frac{1$"
    figures.draw("learning_curves", replace(usual, title=title), tmp_path / "learning_curves.svg")
    assert title in (tmp_path / "learning_curves.svg").read_text()


def test_an_image_is_shown_once():
    chosen = {"best": ["a", "b"], "median": ["c"], "worst": ["c"], "random": ["a", "d"]}
    assert examples.without_repeats(chosen) == {
        "best": ["a", "b"],
        "median": ["c"],
        "random": ["d"],
    }


def test_one_epoch_is_no_curve(usual, tmp_path):
    one = {run: history.head(1) for run, history in usual.histories.items()}
    figures.draw("learning_curves", replace(usual, histories=one), tmp_path / "learning_curves.svg")
    text = (tmp_path / "learning_curves.svg").read_text()
    assert "there is no curve" in text and "Validation loss" in text
    assert "Loss (lower is better)" not in text


def test_few_groups_have_no_interval_in_figures(usual, tmp_path):
    assert usual.record("iou", "test")["groups"] < 5
    for name in ("metrics", "classification_report"):
        figures.draw(name, usual, tmp_path / f"{name}.svg")
        assert " to 0." not in (tmp_path / f"{name}.svg").read_text()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("metrics", {"Left", "Right"}),
        ("average_precision", {"Left", "Right"}),
        ("objects", {"Left", "Right"}),
        ("learning_curves", set()),
        ("contours", set()),
        ("examples", set()),
    ],
)
def test_captions_say_left_and_right_as_drawn(told_apart, check_left_and_right, name, said):
    assert check_left_and_right(name, told_apart) == said
