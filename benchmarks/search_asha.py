"""Ray Tune's ASHA on the patches of `search.py`, which starts this file; no need to do it by hand.

It runs in an environment of its own (`requirements-ray.txt`). Each trial is trained by this
project's own training, epoch by epoch, from the same seed; what is compared is the search alone.
ASHA: Li et al., *A system for massively parallel hyperparameter tuning* (MLSys 2020).
"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "workflow" / "scripts"


def train(values: dict, task: dict) -> None:
    """A trial: report the score after each epoch until it is stopped."""
    sys.path.insert(0, task["package"])
    from ray import tune

    from coverslip.config.sections import Network, Preprocessing, Training
    from coverslip.runtime import device

    found = device.prepare(threads=1)
    import threading

    from coverslip.config.search_space import place_values as placed
    from coverslip.training.dataset import TrainingConfig as Sections
    from coverslip.training.dataset import load_training_data as gathered
    from coverslip.training.progress import best_epoch
    from coverslip.training.trainer import Diverged, dtype_policy
    from coverslip.training.trainer import Trainer as Loop

    study = placed(task["study"], values)
    sections = Sections(
        Preprocessing(**study["preprocessing"]),
        Network(**study["network"]),
        Training(**study["training"]),
        task["seed"],
    )
    patches = [Path(folder) for folder in task["patches"]]
    material = gathered(patches, Path(task["split"]), 0, sections, found, print)
    with dtype_policy(found.dtype_policy):
        state = Path(tune.get_context().get_trial_dir()) / "state"
        arguments = (material.sections, found, material.batches, state, "asha")
        loop = Loop(*arguments, threading.Event(), print)
        for epoch in range(1, task["max_epochs"] + 1):
            try:
                history, _ = loop.run(epoch)
            except Diverged:
                tune.report({"score": 0.0, "epoch": epoch})
                return
            row = history[best_epoch(history) - 1]
            tune.report({"score": row["validation_accuracy"], "epoch": epoch})


def main() -> None:
    """Search as the task says (a JSON file), and write what came of it (another)."""
    import ray
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler
    from ray.tune.search.basic_variant import BasicVariantGenerator

    task = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))

    class Budget(tune.Stopper):
        """Ends the search once all trials together have used up the epochs."""

        used = 0

        def __call__(self, trial_id: str, result: dict) -> bool:
            self.used += 1
            return self.used >= task["budget"]

        def stop_all(self) -> bool:
            return self.used >= task["budget"]

    space = {}
    for key, values in task["search"]["space"].items():
        if values["choices"] is not None:
            space[key] = tune.choice(values["choices"])
        else:
            space[key] = tune.loguniform(values["low"], values["high"])
    ray.init(
        num_cpus=task["jobs"],
        include_dashboard=False,
        configure_logging=False,
        log_to_driver=False,
    )
    tuner = tune.Tuner(
        tune.with_resources(tune.with_parameters(train, task=task), {"cpu": 1}),
        param_space=space,
        tune_config=tune.TuneConfig(
            metric="score",
            mode="max",
            num_samples=-1,
            search_alg=BasicVariantGenerator(
                random_state=task["seed"], max_concurrent=task["jobs"]
            ),
            scheduler=ASHAScheduler(
                time_attr="training_iteration",
                max_t=task["max_epochs"],
                grace_period=task["min_epochs"],
                reduction_factor=task["eta"],
            ),
        ),
        run_config=tune.RunConfig(
            storage_path=task["storage"],
            name="asha",
            stop=Budget(),
            failure_config=tune.FailureConfig(fail_fast=True),
            verbose=0,
        ),
    )
    results = tuner.fit()
    rows = [
        {
            "values": dict(sorted(result.config.items())),
            "epochs": result.metrics["training_iteration"],
            "score": result.metrics["score"],
        }
        for result in results
        if result.metrics and "score" in result.metrics
    ]
    rows.sort(key=lambda row: (-row["score"], json.dumps(row["values"])))
    Path(sys.argv[2]).write_text(json.dumps(rows, indent=1), encoding="utf-8")
    ray.shutdown()


if __name__ == "__main__":
    main()
