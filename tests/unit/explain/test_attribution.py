"""Attribution maps: on held-out images, and equal to those of Captum with the same weights."""

import json

import class_training
import h5py
import numpy as np
import pytest
import torch_models

from coverslip.config.sections import Attribution, Network
from coverslip.evaluation.per_image import class_rows
from coverslip.explain import attribution, gradients
from coverslip.explain.attribution import choose_examples
from coverslip.explain.occlusion import occlusion
from coverslip.models import networks

RNG = np.random.default_rng(0)

SECTION = Attribution(
    images=2, occlusion=[{"window": 6, "stride": 3}], steps=8, smooth_samples=2, batch=16
)
METHODS = ["occlusion 6/3", "integrated gradients", "grad-cam", "random"]


@pytest.fixture(scope="module")
def groups(class_study):
    """`groups.csv` of the study: the group is the image, the stratum its class."""
    lines = (class_study / "split.csv").read_text().splitlines()[1:]
    rows = [line.split(",") for line in lines]
    text = "\n".join(f"{id},g{int(id) % 7},brightfield,{label}" for id, _, label, *_ in rows)
    (class_study / "groups.csv").write_text(f"id,group,modality,stratum\n{text}\n")
    return class_study / "groups.csv"


@pytest.fixture(scope="module")
def explained(class_study, class_model, groups, tmp_path_factory):
    folder = tmp_path_factory.mktemp("explained")
    shard = class_training.predict_classes(class_study, class_model, folder / "0.h5", 0, 1)
    maps, scores = folder / "maps.h5", folder / "scores.json"
    arguments = [class_model, [shard], class_study / "images.h5", groups, class_study / "split.csv"]
    attribution.explain(*arguments, 0, SECTION, maps, scores)
    first = maps.read_bytes(), scores.read_bytes()
    attribution.explain(*arguments, 0, SECTION, maps, scores)
    assert (maps.read_bytes(), scores.read_bytes()) == first, "equal input gives equal bytes"
    return maps, json.loads(scores.read_text()), shard


def test_maps_of_each_method_and_image(explained):
    maps, scores, _ = explained
    assert scores["subset"] == "test"
    assert scores["methods"] == METHODS
    assert len(scores["images"]) == 6
    with h5py.File(maps) as file:
        assert json.loads(file.attrs["methods"]) == METHODS[:-1]
        for facts in scores["images"]:
            folder = file[facts["id"]]
            assert folder["image"].dtype == np.uint8
            assert folder.attrs["true"] == facts["true"]
            for method in METHODS[:-1]:
                map = folder[method.replace("/", " by ")][...]
                assert map.shape == (16, 16)
                assert np.isfinite(map).all()


def test_scores_have_a_random_map_to_compare_with(explained):
    _, scores, _ = explained
    assert [(s["name"], s["method"]) for s in scores["scores"]] == [
        (name, method) for name in ("deletion", "insertion") for method in METHODS
    ]
    for score in scores["scores"]:
        each = [facts[score["name"]][score["method"]] for facts in scores["images"]]
        assert score["value"] == pytest.approx(np.mean(each), abs=1e-6)
        assert score["ci_low"] <= score["value"] <= score["ci_high"] and score["groups"] == 6
        assert score["support"] == 6
        assert "Small is good" in score["definition"] or "Large is good" in score["definition"]


def test_examples_are_half_errors(class_study, groups, explained):
    _, _, shard = explained
    rows = class_rows(class_study / "split.csv", groups, class_training.SHAPES)
    subset, found = choose_examples(rows, [shard], Attribution(images=40))
    assert subset == "test"
    known = set(rows["id"][rows["subset"] == "test"])
    assert {example.id for example in found} <= known
    for true in range(3):
        of = [example for example in found if example.true == true]
        wrong = [example.predicted != true for example in of]
        assert wrong == sorted(wrong), "correct predictions first"
        assert sum(wrong) <= 20
    assert choose_examples(rows, [shard], Attribution(images=1))[1] != []
    without = rows.assign(subset=rows["subset"].replace("test", "train"))
    assert choose_examples(without, [shard], SECTION)[0] == "validation"


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
        gradient = gradients.input_gradient(model)
        found = gradients.integrated_gradients(gradient, image, self.CLASS, steps=10)
        expected = captum.IntegratedGradients(reference).attribute(
            tensor, target=self.CLASS, n_steps=10
        )
        expected = expected[0].detach().numpy().transpose(1, 2, 0)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * np.abs(expected).max())

    def test_grad_cam(self, both):
        model, image, _, captum, reference, tensor = both
        gradient = gradients.feature_gradient(model, attribution.last_spatial_layer(model))
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
