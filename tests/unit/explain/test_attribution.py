"""Maps of what speaks for a class: their definitions, and Captum on the same weights."""

import numpy as np
import pytest
import torch_models

from coverslip.config.sections import Attribution, Network
from coverslip.explain import attribution, faithfulness, gradients
from coverslip.explain.occlusion import occlusion, places
from coverslip.models import networks
from coverslip.runtime import device

device.prepare(threads=1)

import keras  # noqa: E402

# noqa: E402
# noqa: E402
# noqa: E402
# noqa: E402

RNG = np.random.default_rng(0)


def left_half(images):
    """Class 1 is how bright the left half is."""
    bright = images[:, :, : images.shape[2] // 2].mean(axis=(1, 2, 3))
    return np.stack([1 - bright, bright], axis=1)


def test_occlusion_by_hand():
    image = np.ones((8, 8, 1), np.float32)
    found = occlusion(left_half, image, 1, (4, 4), (4, 4))
    expected = np.zeros((8, 8))
    expected[:, :4] = 0.5
    np.testing.assert_allclose(found, expected)
    np.testing.assert_allclose(occlusion(left_half, image, 0, (4, 4), (4, 4)), -expected)
    half = occlusion(left_half, image, 1, (4, 4), (4, 4), baseline=0.5)
    np.testing.assert_allclose(half, expected / 2)
    assert not occlusion(left_half, image, 1, (4, 4), (4, 4), baseline=np.ones(1)).any()


@pytest.mark.parametrize("batch", [1, 7, 1000])
def test_occlusion_does_not_depend_on_the_batch(batch):
    image = RNG.random((13, 9, 3), dtype=np.float32)
    expected = occlusion(left_half, image, 1, (5, 4), (2, 3), batch=64)
    np.testing.assert_array_equal(
        occlusion(left_half, image, 1, (5, 4), (2, 3), batch=batch), expected
    )


def test_windows_reach_the_border_and_are_cut_there():
    rows = [place[0] for place in places((10, 4), (4, 4), (3, 3))]
    assert rows == [slice(0, 4), slice(3, 7), slice(6, 10)]
    rows = [place[0] for place in places((11, 4), (4, 4), (3, 3))]
    assert rows == [slice(0, 4), slice(3, 7), slice(6, 10), slice(9, 11)]
    assert places((3, 3), (9, 9), (2, 2)) == [(slice(0, 3), slice(0, 3))]
    with pytest.raises(ValueError, match="at least 1 pixel"):
        places((3, 3), (0, 1), (1, 1))


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(4)
    section = Network(architecture="cnn", filters=4, depth=1, num_classes=3, normalization="none")
    return networks.build(section, (16, 16, 1))


@pytest.fixture(scope="module")
def image():
    return RNG.normal(0, 1, (16, 16, 1)).astype(np.float32)


def test_gradient_is_the_slope(network, image):
    gradient = gradients.of_input(network)
    found = gradient(image[None], 2)[0]
    away = found / np.linalg.norm(found)
    step = 1e-3
    ends = network.predict_on_batch(np.stack([image + step * away, image - step * away]))[:, 2]
    assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(float((found * away).sum()), rel=0.05)


def test_integrated_gradients_are_complete(network, image):
    gradient = gradients.of_input(network)
    for baseline in (0.0, np.full((16, 16, 1), 0.5, np.float32)):
        found = gradients.integrated_gradients(gradient, image, 1, baseline, steps=200)
        blank = np.broadcast_to(np.float32(baseline), image.shape)
        scores = network.predict_on_batch(np.stack([image, blank]))[:, 1]
        assert found.sum() == pytest.approx(float(scores[0] - scores[1]), abs=5e-3)
    one = gradients.integrated_gradients(gradient, image, 1, batch=1)
    np.testing.assert_allclose(
        one, gradients.integrated_gradients(gradient, image, 1, batch=99), atol=1e-6
    )


def test_smoothgrad():
    seen = []

    def attribute(noisy):
        seen.append(noisy)
        return noisy[..., 0].astype(np.float64)

    image = np.linspace(0, 2, 4096, dtype=np.float32).reshape(64, 64, 1)
    assert gradients.smoothgrad(attribute, image, 0, 0.1, 1) is not None
    np.testing.assert_array_equal(seen[0], image)
    seen.clear()
    found = gradients.smoothgrad(attribute, image, 40, 0.1, 1)
    noise = np.stack(seen) - image
    assert noise.std() == pytest.approx(0.1, rel=0.02)
    np.testing.assert_allclose(found, np.mean(seen, axis=0)[..., 0], atol=1e-6)
    np.testing.assert_array_equal(found, gradients.smoothgrad(attribute, image, 40, 0.1, 1))
    assert (found != gradients.smoothgrad(attribute, image, 40, 0.1, 2)).any()
    squares = gradients.smoothgrad(attribute, image, 40, 0.1, 1, squared=True)
    noisy = np.stack(seen)[:40, ..., 0].astype(float)
    np.testing.assert_allclose(squares, (noisy**2).mean(axis=0), atol=1e-6)


def test_gradient_shap_of_a_linear_score_is_the_weighted_way_from_the_mean_baseline():
    weights = RNG.normal(size=(6, 5, 2))
    image = RNG.normal(size=(6, 5, 2)).astype(np.float32)

    def gradient(images, target):
        return np.broadcast_to((target + 1) * weights, images.shape)

    one = gradients.gradient_shap(gradient, image, 1, [0.5], 20, 0.0, 1, batch=7)
    np.testing.assert_allclose(one, 2 * weights * (image - 0.5), atol=1e-6)
    two = gradients.gradient_shap(gradient, image, 0, [0.0, image], 400, 1e-4, 1)
    share = np.median(two / (weights * image))
    assert share == pytest.approx(0.5, abs=0.1), "half of the baselines are the image itself"
    np.testing.assert_allclose(two, share * weights * image, atol=1e-3)


def test_gradient_shap_takes_gradients_between_baseline_and_image():
    image = np.full((1, 1, 1), 2.0, np.float32)
    seen = []

    def gradient(images, target):
        seen.append(images.ravel())
        return 2 * images  # of the square, whose integral is 4

    found = gradients.gradient_shap(gradient, image, 0, [0.0], 2000, 0.0, 3)
    assert found.item() == pytest.approx(4.0, rel=0.05)
    points = np.concatenate(seen)
    assert len(points) == 2000 and 0 <= points.min() < 0.1 and 1.9 < points.max() <= 2


def test_deletion_and_insertion_reward_the_right_map():
    image = np.full((8, 8, 1), 0.8, np.float32)
    image[:, :4] = 1.0
    right = np.zeros((8, 8))
    right[:, :4] = 1
    found = {
        name: faithfulness.curves(left_half, image, map, 1, steps=8)
        for name, map in (("right", right), ("wrong", -right))
    }
    np.testing.assert_allclose(found["right"].deletion, [1, 0.75, 0.5, 0.25, 0, 0, 0, 0, 0])
    np.testing.assert_allclose(found["wrong"].deletion, [1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0])
    assert found["right"].deletion_area == pytest.approx(2 / 8)
    assert found["wrong"].deletion_area == pytest.approx(6 / 8)
    assert found["right"].insertion[-1] == pytest.approx(1)
    assert found["right"].insertion[0] < 1
    assert found["right"].insertion_area > found["wrong"].insertion_area
    chance = faithfulness.random_map((8, 8), 1)
    areas = [
        faithfulness.curves(left_half, image, map, 1, steps=8).deletion_area
        for map in (right, chance, -right)
    ]
    assert areas == sorted(areas)


def test_explainer(network, image):
    section = Attribution(
        occlusion=[{"window": 4, "stride": 2}, {"window": 8, "stride": 8}], steps=8, batch=16
    )
    explainer = attribution.Explainer(network, 2.0, section)
    names = ["occlusion 4/2", "occlusion 8/8", "integrated gradients", "grad-cam"]
    assert explainer.names == names
    logits = network.predict_on_batch(image[None])[0]
    expected = np.exp(logits / 2) / np.exp(logits / 2).sum()
    np.testing.assert_allclose(explainer.score(image[None])[0], expected, rtol=1e-5)
    maps = explainer.maps(image, 1)
    assert {name: map.shape for name, map in maps.items()} == dict.fromkeys(names, (16, 16))
    assert all(np.isfinite(map).all() and map.any() for map in maps.values())
    again = explainer.maps(image, 1)
    assert all(np.array_equal(maps[name], again[name]) for name in names)
    scores = explainer.scores(image, 1, maps, seed=3)
    assert list(scores) == [*names, "random"]
    assert {len(curve.deletion) for curve in scores.values()} == {21}
    for curve in scores.values():
        assert curve.deletion[0] == pytest.approx(expected[1], rel=1e-5)
        assert curve.insertion[-1] == pytest.approx(expected[1], rel=1e-5)


def test_baselines(network):
    image = RNG.random((16, 16, 1), dtype=np.float32)
    zero = attribution.Explainer(network, 1.0, Attribution(occlusion=[], grad_cam=False))
    assert zero.baseline(image) == 0
    assert zero.names == ["integrated gradients"]
    section = Attribution(baseline="mean", integrated_gradients=False)
    mean = attribution.Explainer(network, 1.0, section)
    assert mean.baseline(image) == pytest.approx(image.mean())
    assert mean.names == ["occlusion 10/5", "occlusion 20/10", "grad-cam"]


class TestAsCaptum:
    """The same weights in torch and in keras give the same maps."""

    SIDE, CLASS = 65, 2

    @pytest.fixture(scope="class")
    def both(self, tmp_path_factory):
        torch = pytest.importorskip("torch")
        captum = pytest.importorskip("captum.attr")
        torch.manual_seed(3)
        reference = torch_models.lively(torch, torch_models.resnet18(torch))
        path = tmp_path_factory.mktemp("weights") / "weights.npz"
        np.savez(path, **{name: t.numpy() for name, t in reference.state_dict().items()})
        section = Network(architecture="resnet18", num_classes=4, weights="imagenet")
        model = networks.build(section, (self.SIDE, self.SIDE, 3))
        networks.load_pretrained(model, section, path)
        image = np.random.default_rng(1).normal(size=(self.SIDE, self.SIDE, 3)).astype(np.float32)
        tensor = torch.tensor(image.transpose(2, 0, 1)[None])
        return model, image, torch, captum, reference, tensor

    @pytest.mark.parametrize(("window", "stride"), [(20, 10), (16, 9)])
    def test_occlusion(self, both, window, stride):
        model, image, torch, captum, reference, tensor = both
        found = occlusion(
            model.predict_on_batch, image, self.CLASS, (window, window), (stride, stride), 0.25
        )
        with torch.no_grad():
            expected = captum.Occlusion(reference).attribute(
                tensor,
                sliding_window_shapes=(3, window, window),
                strides=(3, stride, stride),
                baselines=0.25,
                target=self.CLASS,
                perturbations_per_eval=16,
            )
        assert np.ptp(found) > 1e-2
        np.testing.assert_allclose(found, expected[0, 0].numpy(), rtol=0, atol=1e-5)

    def test_integrated_gradients(self, both):
        model, image, _, captum, reference, tensor = both
        gradient = gradients.of_input(model)
        found = gradients.integrated_gradients(gradient, image, self.CLASS, steps=10)
        expected = captum.IntegratedGradients(reference).attribute(
            tensor, target=self.CLASS, n_steps=10
        )
        expected = expected[0].detach().numpy().transpose(1, 2, 0)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())

    def test_grad_cam(self, both):
        model, image, _, captum, reference, tensor = both
        gradient = gradients.of_features(model, attribution.last_features(model))
        features, by_feature = gradient(image[None], self.CLASS)
        weights = by_feature[0].mean(axis=(0, 1))
        expected = captum.LayerGradCam(reference, reference.layer4).attribute(
            tensor, target=self.CLASS, relu_attributions=True
        )
        coarse = expected[0, 0].detach().numpy()
        np.testing.assert_allclose(np.maximum(features[0] @ weights, 0), coarse, atol=1e-4)
        found = gradients.grad_cam(gradient, image, self.CLASS)
        assert found.shape == (self.SIDE, self.SIDE)
        assert found.max() == pytest.approx(coarse.max(), rel=0.2)
