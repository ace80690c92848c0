"""From a stored image to the input of a network."""

import zipfile

import cv2
import numpy as np
import pytest

from coverslip.config.sections import Preprocessing
from coverslip.errors import CoverslipError
from coverslip.imaging.rows import Whole
from coverslip.models import preprocessing

RNG = np.random.default_rng(5)
GREY = Preprocessing(channels="grey", normalization="dtype_range")
RGB = Preprocessing(channels="rgb", normalization="dtype_range")


def noise(*shape, dtype=np.uint8):
    return RNG.integers(0, np.iinfo(dtype).max, shape, dtype=dtype, endpoint=True)


def test_uint8_stays_as_it_is():
    image = noise(7, 9, 3)
    assert np.array_equal(preprocessing.to_input(image, RGB), image)


@pytest.mark.parametrize("shape", [(7, 9), (7, 9, 1), (7, 9, 2), (7, 9, 3), (7, 9, 4)])
@pytest.mark.parametrize("p", [GREY, RGB])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_stored_images_become_8_bits_of_the_wanted_channels(shape, p, dtype):
    result = preprocessing.to_input(noise(*shape, dtype=dtype), p)
    assert result.dtype == np.uint8
    assert result.shape == (7, 9, preprocessing.channels(p))


def test_grey_is_luma_and_rgb_of_grey_is_repetition():
    image = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    assert preprocessing.to_input(image, GREY)[0, :, 0].tolist() == [76, 150, 29]
    repeated = preprocessing.to_input(image[..., :1], RGB)
    assert (repeated == image[..., :1]).all()


def test_alpha_is_dropped():
    image = noise(5, 6, 4)
    assert np.array_equal(preprocessing.to_input(image, RGB), image[..., :3])


def test_16_bits_are_divided_by_257_and_rounded():
    image = np.array([[0, 128, 129, 257, 65535 - 129, 65535 - 128, 65535]], np.uint16)
    assert preprocessing.to_input(image, GREY)[0, :, 0].tolist() == [0, 0, 1, 1, 254, 255, 255]


def test_bool_is_black_and_white():
    assert preprocessing.to_input(np.array([[True, False]]), GREY)[0, :, 0].tolist() == [255, 0]


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.float32), np.zeros((4, 4), np.int32)])
def test_a_type_without_a_known_range_is_named(image):
    with pytest.raises(CoverslipError, match=str(image.dtype)):
        preprocessing.to_input(image, GREY)


@pytest.mark.parametrize("shape", [(4,), (4, 4, 5), (2, 4, 4, 3), (0, 4)])
def test_a_shape_that_is_no_image_is_named(shape):
    with pytest.raises(CoverslipError, match="shape"):
        preprocessing.to_input(np.zeros(shape, np.uint8), GREY)


PERCENTILE = Preprocessing(channels="grey", normalization="percentile")
TINTED = Preprocessing(channels="max_contrast", normalization="percentile")


def test_percentiles_use_the_full_bit_depth():
    ramp = np.arange(1001, dtype=np.uint16)[np.newaxis] + np.uint16(40)
    result = preprocessing.to_input(ramp, PERCENTILE)[..., 0]
    assert result[0, 10] == 0 and result[0, 998] == 255
    assert result[0, 504] == pytest.approx(255 * (504 - 10) / (998 - 10), abs=0.5)
    assert len(np.unique(result)) == 256


def test_all_channels_have_one_scale():
    ramp = np.arange(1001, dtype=np.uint16)[np.newaxis, :, np.newaxis] + np.uint16(40)
    image = np.concatenate([ramp, 3 * ramp, 50 * ramp], axis=2)
    result = preprocessing.to_input(
        image, Preprocessing(channels="rgb", normalization="percentile")
    )
    assert result[..., 2].max() == 255
    assert result[..., 1].max() <= 16 and result[..., 0].max() <= 6


EMPTY = {
    "16 bits": RNG.normal(200, 10, (512, 512)),
    "dark current": RNG.normal(1000, 3, (200, 90)),
    "photons": RNG.poisson(20, (512, 512)),
    "few photons": RNG.poisson(2, (256, 256)),
    "smooth": cv2.GaussianBlur(RNG.normal(0, 100, (512, 512)), (0, 0), 1) + 500,
}


@pytest.mark.parametrize("name", EMPTY)
@pytest.mark.parametrize("p", [PERCENTILE, TINTED])
def test_noise_is_not_stretched(name, p):
    result = preprocessing.to_input(np.rint(EMPTY[name]).astype(np.uint16), p)
    # 49 and 255 where the noise is stretched to the whole range.
    assert result.std() < (24 if name == "smooth" else 16)
    assert np.percentile(result, 99.8) < (130 if name == "smooth" else 85)


def test_a_nucleus_in_noise_is_stretched():
    image = RNG.normal(200, 10, (256, 256))
    y, x = np.mgrid[:256, :256]
    nuclei = sum(np.hypot(y - cy, x - cx) < 10 for cy, cx in ((40, 60), (150, 90), (200, 220))) > 0
    image[nuclei] += 200
    result = preprocessing.to_input(np.rint(image).astype(np.uint16), PERCENTILE)[..., 0]
    assert np.median(result[nuclei]) - np.median(result[~nuclei]) > 180


def test_a_tinted_jpeg_gives_what_its_channel_gives():
    """The review's images of another laboratory: blue nuclei, and what JPEG leaves in red."""
    nuclei = blobs((12, 12, 12), (170, 170, 170))[..., 0]
    for tint in ((0.0, 0.0, 1.0), (0.05, 0.3, 1.0)):
        rgb = np.rint(nuclei[..., np.newaxis] * np.array(tint)).astype(np.uint8)
        _, code = cv2.imencode(".jpg", rgb[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
        image = cv2.imdecode(code, cv2.IMREAD_COLOR_RGB)
        result = preprocessing.to_input(image, TINTED)
        assert np.array_equal(result, preprocessing.to_input(image[..., 2], PERCENTILE))
        assert (
            np.abs(
                result[..., 0].astype(int) - preprocessing.to_input(nuclei, PERCENTILE)[..., 0]
            ).mean()
            < 16
        )
        red = preprocessing.to_input(
            image, Preprocessing(channels="rgb", normalization="percentile")
        )
        assert red[..., 0].max() < 60


def test_equal_channels_are_as_one():
    image = np.repeat(blobs((12, 12, 12), (170, 170, 170))[..., :1], 3, axis=2)
    grey = preprocessing.to_input(image, PERCENTILE)
    assert np.array_equal(preprocessing.to_input(image, TINTED), grey)
    rgb = preprocessing.to_input(image, Preprocessing(channels="rgb", normalization="percentile"))
    assert (rgb == grey).all()


def test_real_images_are_above_the_floor(real_data):
    """Every 16th image is stretched from percentile to percentile, as noise is not."""
    with zipfile.ZipFile(real_data / "dsb2018" / "stage1_train.zip") as archive:
        names = sorted(
            name for name in archive.namelist() if "/images/" in name and name[-1] == "g"
        )
        for name in names[::16]:
            grey = cv2.cvtColor(decoded(archive, name), cv2.COLOR_RGB2GRAY)
            low, high = np.percentile(grey, preprocessing.PERCENTILES)
            result = preprocessing.to_input(grey, PERCENTILE)[..., 0]
            assert (result[grey >= high] == 255).all() and (result[grey <= low] == 0).all(), name
    assert len(names) == 664


def test_percentile_does_not_blow_up_a_flat_image():
    p = Preprocessing(channels="grey", normalization="percentile")
    assert (preprocessing.to_input(np.full((8, 8), 700, np.uint16), p) == 0).all()


def blobs(background, objects):
    image = np.full((64, 64, 3), background, np.uint8)
    for x in (12, 32, 52):
        cv2.circle(image, (x, 30), 7, objects, -1)
    return np.clip(image + RNG.normal(0, 4, image.shape), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("background", "objects", "bright"),
    [
        ((10, 10, 10), (120, 120, 120), False),  # fluorescence
        ((90, 90, 90), (240, 240, 240), False),  # fluorescence over a haze
        ((210, 180, 220), (110, 70, 150), True),  # H&E
        ((130, 130, 130), (60, 60, 60), True),  # bright field, underexposed
    ],
)
def test_polarity(background, objects, bright):
    image = blobs(background, objects)
    assert preprocessing.has_bright_background(Whole(image)) is bright
    result = preprocessing.to_input(
        image,
        Preprocessing(invert_bright_background=True, channels="rgb", normalization="dtype_range"),
    )
    assert np.array_equal(result, 255 - image if bright else image)
    assert np.array_equal(preprocessing.to_input(image, RGB), image)


def test_a_flat_image_is_not_inverted():
    image = np.full((8, 8, 1), 250, np.uint8)
    p = Preprocessing(channels="grey", invert_bright_background=True, normalization="dtype_range")
    assert np.array_equal(preprocessing.to_input(image, p), image)


def decoded(archive, member):
    data = np.frombuffer(archive.read(member), np.uint8)
    return cv2.imdecode(data, cv2.IMREAD_COLOR_RGB)


def test_polarity_on_real_images(real_data):
    """Every 32nd image; of all 664 two are wrong, stained sections, one of them mostly nuclei."""
    wrong = []
    with zipfile.ZipFile(real_data / "dsb2018" / "stage1_train.zip") as archive:
        members: dict[str, dict[str, list[str]]] = {}
        for name in sorted(archive.namelist()):
            if name.endswith(".png"):
                *_, id, kind, _ = name.split("/")
                members.setdefault(id, {}).setdefault(kind, []).append(name)
        for id in sorted(members)[::32]:
            image = decoded(archive, members[id]["images"][0])
            mask = sum(decoded(archive, name)[..., 0] > 0 for name in members[id]["masks"]) > 0
            bright = image[mask].mean() < image[~mask].mean()
            if preprocessing.has_bright_background(Whole(image)) != bright:
                wrong.append(id)
    assert len(members) == 664
    assert wrong == []


@pytest.mark.parametrize("shape", [(64, 64, 3), (64, 64, 1), (3, 5, 1)])
def test_clahe_spreads_a_dull_image(shape):
    image = RNG.integers(100, 120, shape, dtype=np.uint8)
    p = Preprocessing(
        channels="rgb" if shape[2] == 3 else "grey", clahe_clip=3.0, normalization="dtype_range"
    )
    result = preprocessing.to_input(image, p)
    assert result.shape == shape and result.dtype == np.uint8
    assert result.std() > image.std()


def test_clahe_is_that_of_opencv_on_the_lightness():
    image = noise(64, 48, 3)
    lab = cv2.cvtColor(image, cv2.COLOR_RGB2LAB)
    expected = cv2.createCLAHE(3.0, (8, 8)).apply(lab[..., 0].copy())
    result = preprocessing.to_input(
        image, Preprocessing(clahe_clip=3.0, channels="rgb", normalization="dtype_range")
    )
    lightness = cv2.cvtColor(result, cv2.COLOR_RGB2LAB)[..., 0].astype(int)
    assert np.abs(lightness - expected).mean() < 8  # the way back to RGB clips a little
    assert np.corrcoef(lightness.ravel(), expected.ravel())[0, 1] > 0.97


@pytest.mark.parametrize("channels", [1, 3, 9])
@pytest.mark.parametrize("size", [(5, 7), (20, 24), (5, 24), (10, 12)])
def test_resized_images_keep_type_channels_and_mean(channels, size):
    image = cv2.GaussianBlur(RNG.random((10, 12, channels), np.float32), (0, 0), 1)
    image = image.reshape(10, 12, channels)
    result = preprocessing.resize_image(image, size)
    assert result.shape == (*size, channels) and result.dtype == np.float32
    assert result.mean() == pytest.approx(image.mean(), abs=0.02)


def test_shrinking_averages_areas():
    image = noise(8, 6, 3)
    expected = image.reshape(4, 2, 3, 2, 3).mean(axis=(1, 3))
    assert np.abs(preprocessing.resize_image(image, (4, 3)) - expected).max() <= 0.5


@pytest.mark.parametrize("method", ["area", "nearest", "bilinear-ceil"])
@pytest.mark.parametrize("size", [(32, 32), (40, 90), (64, 64), (128, 200)])
def test_masks_stay_masks(method, size):
    label = np.zeros((64, 64), np.int32)
    label[10:20, 30:44] = 77
    result = preprocessing.resize_mask(label, size, method)
    assert result.dtype == np.uint8 and result.shape == size
    assert set(np.unique(result)) == {0, 1}
    if method != "bilinear-ceil" or size == (64, 64):
        assert result.mean() == pytest.approx((label > 0).mean(), rel=0.12)


def discs():
    mask = np.zeros((512, 512), np.uint8)
    for y in range(20, 500, 24):
        for x in range(20, 500, 24):
            shift = RNG.integers(0, 16, 2).tolist()
            centre = (16 * x + shift[0], 16 * y + shift[1])
            cv2.circle(mask, centre, 16 * 7, 1, -1, shift=4)
    return mask


def test_how_masks_grow_at_half_size():
    mask = discs()
    grown = {
        method: preprocessing.resize_mask(mask, (256, 256), method).mean() / mask.mean() - 1
        for method in ("area", "nearest", "bilinear-ceil")
    }
    assert abs(grown["area"]) < 0.01
    assert abs(grown["nearest"]) < 0.01
    assert grown["bilinear-ceil"] > 0.1


def test_area_needs_more_than_half_a_pixel():
    mask = np.zeros((6, 6), np.uint8)
    mask[0, 0] = mask[2:4, 2:4] = 1  # a quarter of a new pixel, and a whole one
    assert np.array_equal(preprocessing.resize_mask(mask, (3, 3), "area"), np.diag([0, 1, 0]))
    expected = np.diag([1, 1, 0])
    assert np.array_equal(preprocessing.resize_mask(mask, (3, 3), "bilinear-ceil"), expected)


def test_fit_is_exact_and_the_same_in_blocks():
    p = Preprocessing(input_scaling="zscore", channels="rgb", normalization="dtype_range")
    images = noise(300, 8, 8, 3)
    fitted = preprocessing.fit(images, p)
    reference = images.astype(np.float64)
    assert fitted["mean"] == pytest.approx(reference.mean(axis=(0, 1, 2)), rel=1e-14)
    assert fitted["standard_deviation"] == pytest.approx(reference.std(axis=(0, 1, 2)), rel=1e-12)
    assert preprocessing.fit((images[i : i + 7] for i in range(0, 300, 7)), p) == fitted
    assert preprocessing.fit(images[::-1], p) == fitted


def test_standard_scaling_has_zero_mean_and_unit_deviation():
    p = Preprocessing(input_scaling="zscore", channels="rgb", normalization="dtype_range")
    images = noise(20, 8, 8, 3)
    images[..., 2] = 9
    scaled = preprocessing.batch(images, p, preprocessing.fit(images, p))
    assert scaled.dtype == np.float32
    assert scaled.mean(axis=(0, 1, 2)) == pytest.approx([0, 0, 0], abs=1e-5)
    assert scaled.std(axis=(0, 1, 2)) == pytest.approx([1, 1, 0], abs=1e-5)


@pytest.mark.parametrize(("scaling", "highest"), [("none", 255.0), ("unit", 1.0)])
def test_fixed_scalings(scaling, highest):
    p = Preprocessing(input_scaling=scaling, channels="rgb", normalization="dtype_range")
    images = np.array([0, 255], np.uint8).reshape(1, 2, 1, 1)
    assert preprocessing.fit(images, p) == {}
    scaled = preprocessing.batch(images, p, {})
    assert scaled.dtype == np.float32 and scaled.ravel().tolist() == [0.0, highest]


def test_nothing_to_fit_on_is_named():
    with pytest.raises(CoverslipError, match="no training patches"):
        preprocessing.fit(
            np.zeros((0, 8, 8, 3), np.uint8),
            Preprocessing(input_scaling="zscore", channels="rgb", normalization="dtype_range"),
        )


def test_the_square_root_lifts_dim_objects_after_polarity():
    image = np.full((8, 8), 250, np.uint8)
    image[2:4, 2:4] = 186  # a pale object on a bright background
    p = Preprocessing(
        channels="grey",
        invert_bright_background=True,
        transform="sqrt",
        normalization="dtype_range",
    )
    out = preprocessing.to_input(image, p)[..., 0]
    assert out[0, 0] == round(np.sqrt(255 * 5)) and out[2, 2] == round(np.sqrt(255 * 69))
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    lifted = preprocessing.to_input(
        ramp, Preprocessing(channels="grey", transform="sqrt", normalization="dtype_range")
    )
    assert (np.diff(lifted.ravel().astype(int)) >= 0).all() and lifted.max() == 255
