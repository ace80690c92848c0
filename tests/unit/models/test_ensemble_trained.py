"""An ensemble of what training writes."""

import numpy as np
from mask_training import train

from coverslip.config.sections import Augmentation, Network, Training
from coverslip.models import ensemble, model

NETWORK = Network(filters=2, depth=1, head="instance", stem_stride=1, normalization="group")
SHORT = Training(
    epochs=1,
    batch_size=4,
    loss="crossentropy",
    schedule="constant",
    augmentation=Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0)),
)


def two_seeds(study, folder, network):
    """Train with two seeds; give the model folders of both, and that of their ensemble."""
    members = [folder / f"fold0_seed{seed}" for seed in (1, 2)]
    for seed, member in enumerate(members, start=1):
        train(study, member, seed=seed, network=network, training=SHORT)
    folders = [member / "model" for member in members]
    ensemble.write(folders, folder / "ensemble" / "model", {"study": "s"})
    return folders, folder / "ensemble" / "model"


def test_two_seeds_of_a_training(mask_study, tmp_path):
    folders, whole = two_seeds(mask_study, tmp_path, NETWORK)
    together = model.load(whole)
    assert [each["seed"] for each in together.info["members"]] == [1, 2]
    assert {each["fold"] for each in together.info["members"]} == {0}
    assert together.info["licence"] == "CC0" and together.info["task"] == "segmentation"
    image = np.random.default_rng(0).integers(0, 255, (40, 30), np.uint8)
    (answer,) = together.predict([image], tta=True)
    single = [next(model.load(folder).predict([image], tta=True)) for folder in folders]
    np.testing.assert_allclose(answer, np.mean(single, axis=0), atol=1e-6)
    assert together.objects(answer).shape == together.mask(answer).shape == image.shape


def test_members_are_fast_where_the_ensemble_is(mask_study, tmp_path):
    network = Network(filters=2, depth=1, normalization="batch", head="instance", stem_stride=1)
    folders, whole = two_seeds(mask_study, tmp_path, network)
    image = np.random.default_rng(0).integers(0, 255, (90, 140), np.uint8)
    answers = []
    for folder in (*folders, whole):
        plain, quick = model.load(folder), model.load(folder, "mixed_bfloat16")
        (expected,), (found,) = plain.predict([image]), quick.predict([image])
        assert found.dtype == np.float32 and found.shape == expected.shape
        assert 0 < np.abs(found - expected).max() < 0.1
        answers.append(found)
    np.testing.assert_allclose(answers[2], np.mean(answers[:2], axis=0), atol=1e-6)
