"""Patches a second while training: `python benchmarks/training.py STUDY`.

Printed as a part of `docs/results.md` (`make results APPEND=FILE`).

STUDY is the folder of a finished study with a network (`results/studies/nuclei-random`): its
patches, split and sections are taken. An epoch of `--patches` patches of fold 0 (512), without
validation, is timed in four ways, each in a process of its own, alternately, `--repeats` times,
after a first epoch that compiles:

- coverslip: patches from the memory-mapped file, augmented, deterministic, in the numbers that the
  device is best at;
- the same without augmentation;
- the same with Keras' own batch normalization (`coverslip.training.batchnorm`);
- keras: `Model.fit` from float32 arrays in memory, as a notebook does, with the same network, loss
  and batch size: nothing to read, to scale or to augment, float32, not deterministic.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow/scripts"))

from results_page import table

from coverslip.runtime import device as devices
from coverslip.runtime.run_record import processor

HEAD = """## Pace of training

Written by `benchmarks/training.py`: the network of `{study}` learns from {patches} patches in four
ways, {repeats} times each, in turn ({machine}). `keras` is `Model.fit` from float32 arrays in
memory, in float32, not deterministic, with nothing to read, to scale or to augment.
"""
PLAIN = "coverslip, batch normalization by Keras"
WAYS = ("coverslip", "coverslip, no augmentation", PLAIN, "keras")


def one(way: str, study: Path, count: int) -> None:
    """Print seconds of the second epoch of a way."""
    device = devices.prepare(deterministic=way != "keras")
    import keras

    from coverslip.config.sections import Augmentation, Network, Preprocessing, Training
    from coverslip.models import networks
    from coverslip.training import batchnorm, dataset, losses, trainer

    info = json.loads((study / "fold0_seed1/model/model.json").read_text(encoding="utf-8"))
    learned = Training(**info["training"])
    sections = dataset.TrainingConfig(
        Preprocessing(**info["preprocessing"]), Network(**info["network"]), learned, info["seed"]
    )
    folders = sorted(path for path in (study / "patches").iterdir() if path.is_dir())
    found = dataset.load_training_data(folders, study / "split.csv", 0, sections, device, print)
    changes = (
        learned.augmentation
        if way in ("coverslip", PLAIN)
        else Augmentation(flip=False, rot90=False, gamma=(1.0, 1.0))
    )
    batches = found.batches["train"].shuffled(sections.seed, 0, changes, count)
    policy = "float32" if way == "keras" else device.dtype_policy
    with trainer.dtype_policy(policy):
        model = networks.build(found.sections.network, found.shape)
        if way not in ("keras", PLAIN) and device.fused_normalization:
            model = batchnorm.fuse_batchnorm(model)
        model.compile(
            optimizer=keras.optimizers.Adam(learned.learning_rate),
            loss=losses.make(learned, found.sections.network.head, None),
            weighted_metrics=losses.metrics(found.sections.network.head),
            jit_compile="auto" if way == "keras" else device.jit_compile,
        )
        if way == "keras":
            pairs = [batches[i] for i in range(len(batches))]
            images, targets = (np.concatenate(part) for part in zip(*pairs, strict=True))
            given = {"x": images, "y": targets, "batch_size": learned.batch_size}
        else:
            given = {"x": batches, "shuffle": False}
        model.fit(**given, verbose=0)
        started = time.perf_counter()
        model.fit(**given, verbose=0)
    print(json.dumps(time.perf_counter() - started))


def main() -> None:
    """Time all ways and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("--patches", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        return one(options.way, options.study, options.patches)
    seconds: dict[str, list[float]] = {way: [] for way in WAYS}
    command = [
        sys.executable,
        str(Path(__file__).resolve()),
        str(options.study.resolve()),
        "--patches",
        str(options.patches),
    ]
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(options.repeats):
            for way in WAYS:
                done = subprocess.run(
                    [*command, "--way", way], check=True, stdout=subprocess.PIPE, cwd=folder
                )
                seconds[way].append(float(done.stdout.split()[-1]))
    pace = {way: options.patches / statistics.median(taken) for way, taken in seconds.items()}
    lines = [[way, f"{value:.1f}", f"{value / pace['keras']:.2f}"] for way, value in pace.items()]
    told = vars(options) | {"study": options.study.resolve().name, "machine": processor()}
    print(HEAD.format(**told))
    print(table(["Way", "Patches a second (median)", "Times that of keras"], lines))
    return None


if __name__ == "__main__":
    main()
