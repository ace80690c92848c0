"""Inputs and parameters of the rules, for a completed config.

A rule takes them as functions of its wildcards: `input: targets.predictions`. Methods whose name
starts with `of_` return such a function. Nothing here reads data: at parse time the workflow only
looks whether files exist and whether a folder of images changed (`folder_inventory`).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, reduce
from operator import getitem
from pathlib import Path
from typing import Any

from coverslip import files
from coverslip.config import search_space, validate
from coverslip.config.tasks import head_of
from coverslip.errors import CoverslipError
from coverslip.pipeline import figures, folder_inventory, paths, tools
from coverslip.pipeline.folder_inventory import input_contents
from coverslip.pipeline.missing_data import missing_data, missing_labels
from coverslip.pipeline.paths import expand
from coverslip.pipeline.published_weights import file_name
from coverslip.runtime import code_fingerprint, run_record

Wildcards = Any
"""Wildcards of a job, as attributes; `wildcards.items()` has all of them."""

Section = dict[str, Any]

SCRIPTS = files.WORKFLOW / "scripts"

PAGE_TEMPLATES = ("report/page.css", "report/page.js")

MEASURE_TEMPLATES = ("report/measure.html.j2", *PAGE_TEMPLATES)

CLASSES_TEMPLATES = ("report/classes.html.j2", *PAGE_TEMPLATES)

REFEREE_TEMPLATES = ("report/referee.html.j2", *PAGE_TEMPLATES)

REPORT_TEMPLATES = (
    "report/page.html.j2",
    *PAGE_TEMPLATES,
    "report/notebook.rst",
    *(f"report/{name}.rst" for name in figures.ALL),
)
"""Files in the folder `workflow` that the report is made from."""

TOOL_TEMPLATES: dict[str, tuple[str, ...]] = {
    "command": (),
    "train": ("scripts/tools/train_stardist.py", "scripts/tools/adapter.py"),
    **{n: (f"scripts/tools/run_{n}.py", "scripts/tools/adapter.py") for n in tools.TOOLS},
}
"""Programs that apply tools, and the one that trains StarDist: part of the code of their rules."""

GROUP_KEYS = ("group_by", "group_pattern", "near_duplicate_distance")
"""Keys of a dataset that its images do not depend on, but its groups."""

NO_METADATA = (
    "results/ is here without .snakemake/metadata, so results cannot be checked against the config "
    "and the code: copy .snakemake along with results/, or compute all again with --forceall"
)

NO_RIVALS = (
    "referee: no two studies that run find objects in the images of one dataset: add a study with "
    "another model"
)

SEVERAL_RUNS = (
    "ensemble: no study that runs has several trainings of a network: give one several `seeds` or "
    "`split.folds`"
)


def code(script: str, *roots: str, templates: Iterable[str] = ()) -> str:
    """Return the fingerprint of the code that a script reaches: it makes code an input.

    Args:
        script: file name in `workflow/scripts`.
        roots: modules of the package that it loads by name.
        templates: files in `workflow` that it reads.
    """
    return code_fingerprint.cached_fingerprint(
        run_record.CODE,
        SCRIPTS / script,
        [f"coverslip.{root}" for root in roots],
        [files.WORKFLOW / file for file in templates],
    )


def scale_with_attempt(amount: int) -> Callable[[Wildcards, int], int]:
    """Return a resource function: this amount, and as much again at each further attempt."""

    def of_attempt(wildcards: Wildcards, attempt: int) -> int:
        return amount * attempt

    return of_attempt


def not_compared(value: Callable[[Wildcards], Any]) -> Callable[[Wildcards, Any], Any]:
    """Return a params function whose value Snakemake neither records nor compares.

    It does so with each parameter that is derived from outputs. For values that change no result.
    """

    def of_job(wildcards: Wildcards, output: Any) -> Any:
        return value(wildcards)

    return of_job


def wildcard_regex(names: Iterable[str]) -> str:
    """Return a regular expression of these names; of no name where there are none."""
    return "|".join(names) or "(?!)"


def omit_keys(section: Mapping[str, Any], *keys: str) -> Section:
    """Return a section of the config without the keys that do not change a rule's result."""
    return {key: value for key, value in section.items() if key not in keys}


def config_files(workflow: Any) -> list[Path]:
    """Return the files that the config was read from, the one that counts last."""
    given = list(workflow.overwrite_configfiles)
    return [file for file in workflow.configfiles if file not in given] + given


def run_command(workflow: Any) -> str:
    """Return the command that makes the report again."""
    given = [str(file) for file in workflow.overwrite_configfiles]
    return " ".join(["snakemake --cores all", *(["--configfile", *given] if given else [])])


def tool_model_file(section: Mapping[str, Any]) -> str | list[str]:
    """Return the file or folder of the model of a tool; none that the tool knows by name.

    Args:
        section: `kind: tool`, without training.
    """
    name = tools.model_name(section)
    if name and Path(name).exists():
        return str(Path(name).absolute())  # no rule makes it
    file = tools.file_name(section["tool"], name)
    return paths.TOOL_WEIGHTS.format(file=file) if file else []


class Targets:
    """What the rules ask for: one method for each input or parameter.

    Args:
        config: with all defaults, see `validate.resolve`.
        dry_run: folders of images that were never read are not read now.
    """

    def __init__(self, config: Mapping[str, Any], dry_run: bool = False):
        self.config = config
        self.dry_run = dry_run
        sections = config["studies"]
        self.archives = validate.archive_names(config)
        """Names of the archives of Kaggle by dataset; datasets of one archive share it."""
        missing = {n: self.missing_data(n) for n in config["datasets"]}
        chosen = validate.chosen_studies(config)
        reasons = {
            name: missing[sections[name]["dataset"]] or missing_labels(sections[name]["model"])
            for name in chosen
        }
        self.left_out = {name: reason for name, reason in reasons.items() if reason}
        """What is missing, by the study that cannot run without it."""
        self.studies = [name for name in chosen if name not in self.left_out]
        self.datasets = sorted({sections[name]["dataset"] for name in self.studies})
        self.kmeans = sorted(n for n, s in sections.items() if s["kmeans"] is not None)
        self.untrained = sorted(n for n, s in sections.items() if s["model"] is not None)
        """Studies whose label images come from elsewhere, or from a baseline."""
        self.networks = sorted(set(sections) - set(self.kmeans) - set(self.untrained))
        self.classifications = sorted(
            name for name, study in sections.items() if study["task"] == "classification"
        )
        self.searched = sorted(n for n, s in sections.items() if s["search"] is not None)
        self.trials = cache(self.trials)  # type: ignore[method-assign]
        self.trial_sections = cache(self.trial_sections)  # type: ignore[method-assign]

    def notices(self) -> list[str]:
        """Return lines on what this run does not do: studies that are left out, and checks."""
        lines = [f"left out: {name}: {reason}" for name, reason in self.left_out.items()]
        made = any(Path(paths.METRICS.format(study=name)).exists() for name in self.studies)
        if made and not Path(".snakemake/metadata").is_dir():
            lines.append(NO_METADATA)
        return lines

    # --- any study

    def study(self, wildcards: Wildcards) -> Section:
        """Return the section of the job's study."""
        return self.config["studies"][wildcards.study]

    def study_config(self, *keys: str) -> Callable[[Wildcards], Any]:
        """Return a params function: what the study's section has under a key, and keys of that."""
        return lambda wildcards: reduce(getitem, keys, self.study(wildcards))

    def dataset_path(self, path: str) -> Callable[[Wildcards], str]:
        """Return an input function: a file of the study's dataset."""
        return lambda wildcards: path.format(dataset=self.study(wildcards)["dataset"])

    def run_paths(self, *patterns: str) -> Callable[[Wildcards], list[str]]:
        """Return an input function: these files of every training of the study."""
        return lambda wildcards: self.run_files([wildcards.study], *patterns)

    def first_run_path(self, path: str) -> Callable[[Wildcards], str]:
        """Return an input function: a file of the first fold with the first seed."""
        return lambda wildcards: path.format(
            study=wildcards.study, fold=0, seed=self.study(wildcards)["seeds"][0]
        )

    def runs(self, study: str) -> dict[str, Iterable[object]]:
        """Return the wildcards of a study's trainings: one for each fold and seed."""
        section = self.config["studies"][study]
        folds = range(section["split"]["folds"])
        return {"study": [study], "fold": folds, "seed": section["seeds"]}

    def histories(self, wildcards: Wildcards) -> list[str]:
        """Return the history of every training of the study; none where nothing is trained."""
        trained = wildcards.study not in self.untrained
        return self.run_files([wildcards.study], paths.HISTORY) if trained else []

    def run_files(self, studies: Iterable[str], *patterns: str) -> list[str]:
        """Return these files of every training of some studies."""
        return [
            path
            for study in studies
            for pattern in patterns
            for path in expand(pattern, **self.runs(study))
        ]

    def task(self, wildcards: Wildcards) -> str:
        """Return the task of a study."""
        return self.study(wildcards)["task"]

    def is_reproduction(self, wildcards: Wildcards) -> bool:
        """Return whether a study repeats a published protocol, whose name changes nothing."""
        return self.study(wildcards)["reproduces"] is not None

    # --- data

    def source(self, dataset: str) -> Section:
        """Return the source of a dataset."""
        return self.config["datasets"][dataset]["source"]

    def archive(self, wildcards: Wildcards) -> str | list[str]:
        """Return the raw archive of a dataset; none for a folder, which has an inventory instead.

        Where nobody has put it there yet, the job `require_manual_download` fails with the fix.
        """
        source = self.source(wildcards.dataset)
        if source["kind"] == "synthetic":
            return paths.SIMULATED.format(dataset=wildcards.dataset)
        if source["kind"] == "kaggle":
            return paths.RAW.format(archive=self.archives[wildcards.dataset])
        if self.missing_data(wildcards.dataset):
            return paths.MISSING.format(dataset=wildcards.dataset)
        return [] if Path(source["path"]).is_dir() else source["path"]

    def missing_data(self, dataset: str) -> str | None:
        """Return what of a dataset is missing and how to get it; none where nothing is."""
        return missing_data(dataset, self.source(dataset), self.archives.get(dataset))

    def folder(self, wildcards: Wildcards) -> Section | None:
        """Return path and inventory of a dataset that is a folder of images."""
        source = self.source(wildcards.dataset)
        if source["kind"] != "path" or not Path(source["path"]).is_dir():
            return None
        notes = Path(f"{paths.NOTES}/inventory-{wildcards.dataset}.json")
        digest = folder_inventory.digest(source["path"], notes, not self.dry_run)
        return {"path": source["path"], "notes": str(notes), "inventory": digest}

    def archive_contents(self, wildcards: Wildcards) -> Any:
        """Return a parameter that changes with the contents of the archive."""
        archive = self.archive(wildcards)
        record = Path(f"{paths.DATASET}/run.json".format(dataset=wildcards.dataset))
        return input_contents([archive] if isinstance(archive, str) else [], record, "contents")

    def split_contents(self, wildcards: Wildcards) -> Any:
        """Return a parameter that changes with the contents of the table of a split."""
        file = self.split_file(wildcards)
        record = Path(paths.SPLIT.format(study=wildcards.study)).with_suffix(".run.json")
        return input_contents([file] if isinstance(file, str) else [], record, "contents")

    def weights_contents(self, wildcards: Wildcards) -> Any:
        """Return a parameter that changes with the contents of pretrained weights."""
        record = Path(paths.TRAINING_RECORD.format(**dict(wildcards.items())))
        return input_contents(self.pretrained_weights(wildcards), record, "contents")

    def ingest_section(self, wildcards: Wildcards) -> Section:
        """Return what of a dataset's section changes its images."""
        dataset = self.config["datasets"][wildcards.dataset]
        section = omit_keys(dataset, *validate.WORDS["dataset"], "source", *GROUP_KEYS)
        return section | {"sha256": dataset["source"]["sha256"]}

    def group_section(self, wildcards: Wildcards) -> Section:
        """Return what of a dataset's section changes its groups."""
        dataset = self.config["datasets"][wildcards.dataset]
        return {key: dataset[key] for key in ("format", "mask_threshold", *GROUP_KEYS)}

    def simulation(self, wildcards: Wildcards) -> Section:
        """Return what of a synthetic source changes its images."""
        return omit_keys(self.source(wildcards.dataset), "limits", "retries")

    def kaggle_source(self, wildcards: Wildcards) -> Section:
        """Return what of a source names an archive of Kaggle."""
        source = self.source(wildcards.archive)
        return {key: source[key] for key in ("kind", "competition", "dataset", "file")}

    def download_checks(self, wildcards: Wildcards) -> Section:
        """Return how often a download is tried, and the digest that it must have."""
        source = self.source(wildcards.archive)
        return {key: source[key] for key in ("retries", "sha256")}

    def limits(self, wildcards: Wildcards) -> Section:
        """Return what an archive may contain at most."""
        return {"limits": self.source(wildcards.dataset)["limits"]}

    def simulator_code(self, wildcards: Wildcards) -> str:
        """Return the code of synthetic images, with the dataset's simulator."""
        simulator = self.source(wildcards.dataset)["simulator"]
        return code("simulate.py", f"data.simulate.{simulator}")

    def format_code(self, wildcards: Wildcards) -> str:
        """Return the code of ingest, with the dataset's format."""
        format_name = self.config["datasets"][wildcards.dataset]["format"]
        return code("ingest.py", f"data.formats.{format_name}")

    def split_file(self, wildcards: Wildcards) -> str | list[str]:
        """Return the table of a split that comes from a file."""
        return self.study(wildcards)["split"]["file"] or []

    def split_patch(self, wildcards: Wildcards) -> int | None:
        """Return the side of the patches that a split draws; none where it draws images."""
        study = self.study(wildcards)
        return study["preprocessing"]["patch"] if study["split"]["unit"] == "patch" else None

    # --- patches and pretrained weights, of a study or of the trials of its search

    def trials(self, study: str) -> list[Section]:
        """Return the values of all trials of a study by their keys, in the order of the draw."""
        return search_space.sample(self.config["studies"][study]["search"])

    def trial_sections(self, study: str) -> list[Section]:
        """Return the sections of a study as each trial has them; without a search its own."""
        own = self.config["studies"][study]
        if study not in self.searched:
            return [own]
        return [search_space.place_values(own, values) for values in self.trials(study)]

    def varies_patches(self, study: str) -> bool:
        """Return whether trials of a study differ in their patches."""
        search = self.config["studies"][study]["search"]
        return search is not None and search_space.varies_patches(search["space"])

    def patches_for(self, study: str, sections: Iterable[Section]) -> list[str]:
        """Return the patch files that trainings need, in a folder for each variant of them."""
        variants = {search_space.variant_name(each["preprocessing"]) for each in sections}
        varies = self.varies_patches(study)
        return [
            f"{folder}/{file}"
            for variant in (sorted(variants) if varies else [""])
            for folder in expand(
                paths.VARIANT_PATCHES if varies else paths.PATCHES,
                study=[study],
                variant=[variant],
                shard=self.shards(study, "preprocessing"),
            )
            for file in ("images.npy", "labels.npy", "index.csv")
        ]

    def weights_for(self, sections: Iterable[Section]) -> list[str]:
        """Return the files of pretrained weights that networks start from."""
        starts = [(each["network"], each["preprocessing"]["resize"]) for each in sections]
        names = {
            file_name(network["architecture"], network["weights"], resize)
            for network, resize in starts
            if network["weights"] != "none"
        }
        return [paths.PRETRAINED.format(file=name) for name in sorted(names)]

    def shards(self, study: str, section: str) -> range:
        """Return the numbers of the shards of a study's patches or predictions."""
        return range(self.config["studies"][study][section]["shards"])

    def patches(self, wildcards: Wildcards) -> list[str]:
        """Return all patch files of a study."""
        return self.patches_for(wildcards.study, self.trial_sections(wildcards.study))

    def pretrained_weights(self, wildcards: Wildcards) -> list[str]:
        """Return the pretrained weights of a study's encoder, if it has any."""
        return self.weights_for(self.trial_sections(wildcards.study))

    def variant_section(self, wildcards: Wildcards) -> Section:
        """Return the section `preprocessing` of some trials, by the name of their patches."""
        for trial in self.trial_sections(wildcards.study):
            if search_space.variant_name(trial["preprocessing"]) == wildcards.variant:
                return trial["preprocessing"]
        raise CoverslipError(f"no trial of {wildcards.study} has the patches {wildcards.variant}")

    # --- training

    def network_modules(self, study: str) -> list[str]:
        """Return the modules of the architectures that a study may use, sorted."""
        names = {each["network"]["architecture"] for each in self.trial_sections(study)}
        return [f"models.networks.{name}" for name in sorted(names)]

    def network_code(self, wildcards: Wildcards) -> str:
        """Return the code of training, with the architectures that the study may use."""
        return code("train.py", *self.network_modules(wildcards.study))

    def training_sections(self, wildcards: Wildcards) -> Section:
        """Return the sections of a study that its training depends on."""
        study = self.study(wildcards)
        return {name: study[name] for name in search_space.SECTIONS}

    def threshold_goal(self, wildcards: Wildcards) -> str | None:
        """Return what the threshold is tuned for; a reproduction keeps its own threshold."""
        study = self.study(wildcards)
        if study["reproduces"] is not None:
            return None
        by_task = "confluency" if study["task"] == "confluency" else "iou"
        return study["training"]["threshold_metric"] or by_task

    def tensorboard(self, wildcards: Wildcards) -> Section:
        """Return where learning curves are also written for TensorBoard, if anywhere."""
        if not self.study(wildcards)["tensorboard"]:
            return {"tensorboard": None}
        name = "{study}_fold{fold}_seed{seed}".format(**dict(wildcards.items()))
        return {"tensorboard": f"results/logs/tensorboard/{name}"}

    def licence(self, wildcards: Wildcards) -> str:
        """Return the licence of the data, which a model carries along."""
        return self.config["datasets"][self.study(wildcards)["dataset"]]["licence"]

    # --- label images that are not predicted here

    def label_source(self, wildcards: Wildcards) -> str | list[str]:
        """Return the folders of label images of a study that rules make: those of a tool.

        A folder of the user is no input but a parameter, see `label_folder`.
        """
        model = self.study(wildcards)["model"]
        if model["kind"] != "tool":
            return []
        names = dict(wildcards.items())
        return [paths.TOOL_LABELS.format(**names, shard=n) for n in range(model["shards"])]

    def label_folder(self, wildcards: Wildcards) -> Section | None:
        """Return path and inventory of the user's folder of label images; none without one."""
        model = self.study(wildcards)["model"]
        if model["kind"] == "tool":
            return {"path": paths.TOOL.format(**dict(wildcards.items()))}
        if model["kind"] != "labels":
            return None
        notes = Path(f"{paths.NOTES}/inventory-labels-{wildcards.study}.json")
        digest = folder_inventory.digest(model["path"], notes, not self.dry_run)
        return {"path": model["path"], "notes": str(notes), "inventory": digest}

    def label_settings(self, wildcards: Wildcards) -> Section:
        """Return what of the section `model` changes label images; a path is in `label_folder`."""
        study = self.study(wildcards)
        area = {"min_area_px": study["evaluation"]["min_area_px"]}
        section = omit_keys(study["model"], "path")
        return section | (area if section["kind"] == "baseline" else {})

    # --- other people's tools

    def studies_of_tool(self, tool: str) -> list[str]:
        """Return the studies whose label images a tool makes."""
        sections = self.config["studies"]
        models = {name: sections[name]["model"] for name in self.untrained}
        return [n for n, m in models.items() if m["kind"] == "tool" and m["tool"] == tool]

    def tool_section(self, wildcards: Wildcards) -> Section:
        """Return what of a study's tool changes its label images."""
        section = self.study(wildcards)["model"]
        return omit_keys(section, "kind", "head", "mask_threshold", "shards")

    def tool_model(self, wildcards: Wildcards) -> str | list[str]:
        """Return the file or folder of the model of a tool; none that the tool knows by name."""
        section = self.study(wildcards)["model"]
        if section["train"] is not None:
            return paths.TOOL_MODEL.format(**dict(wildcards.items()))
        return tool_model_file(section)

    def tool_python(self, tool: str) -> str | None:
        """Return the Python interpreter that has a tool, if the config names one."""
        return self.config["tool_python"].get(tool)

    # --- search

    def search(self, wildcards: Wildcards) -> Section:
        """Return the section `search` of the job's study.

        Raises:
            CoverslipError: it has none.
        """
        if wildcards.study not in self.searched:
            raise CoverslipError(f"{wildcards.study}: has no section `search`")
        return self.study(wildcards)["search"]

    def trial_code(self, wildcards: Wildcards) -> str:
        """Return the code of trials, with the architectures that the study may use."""
        return code("tune_trial.py", *self.network_modules(wildcards.study))

    def rung(self, wildcards: Wildcards) -> int:
        """Return the number of a rung.

        Raises:
            CoverslipError: the study's search has fewer.
        """
        rung = int(wildcards.rung)
        if rung >= len(self.epochs_of_rungs(wildcards)):
            raise CoverslipError(f"the search of {wildcards.study} has no rung {rung}")
        return rung

    def epochs_of_rungs(self, wildcards: Wildcards) -> list[int]:
        """Return the epochs of each rung."""
        return search_space.rung_epochs(self.search(wildcards))

    def rung_sizes(self, wildcards: Wildcards) -> list[int]:
        """Return the number of trials of each rung."""
        return search_space.rung_sizes(self.search(wildcards))

    def rung_epochs(self, wildcards: Wildcards) -> int:
        """Return the epochs of the job's rung."""
        return self.epochs_of_rungs(wildcards)[self.rung(wildcards)]

    def rung_trials(self, wildcards: Wildcards) -> list[str]:
        """Return the files of all trials of a rung."""
        count = self.rung_sizes(wildcards)[self.rung(wildcards)]
        names = dict(wildcards.items())
        return [paths.TRIAL_RESULT.format(**names | {"slot": slot}) for slot in range(count)]

    def former_ranking(self, wildcards: Wildcards) -> str | list[str]:
        """Return the ranking that chose a rung's trials; on the first rung they are known."""
        rung = self.rung(wildcards)
        names = {**dict(wildcards.items()), "rung": rung - 1}
        return paths.RANKING.format(**names) if rung else []

    def last_ranking(self, wildcards: Wildcards) -> str:
        """Return the ranking of the last rung of a fold."""
        last = len(self.epochs_of_rungs(wildcards)) - 1
        return paths.RANKING.format(rung=last, **dict(wildcards.items()))

    def first_values(self, wildcards: Wildcards) -> Section | None:
        """Return the values of a trial on the first rung; later ones are in the ranking."""
        if self.rung(wildcards) > 0:
            return None
        return self.trials(wildcards.study)[int(wildcards.slot)]

    def trials_at(self, wildcards: Wildcards) -> list[Section]:
        """Return the sections of the trials that may be at a place of a rung."""
        every = self.trial_sections(wildcards.study)
        return [every[int(wildcards.slot)]] if self.rung(wildcards) == 0 else every

    def trial_patches(self, wildcards: Wildcards) -> list[str]:
        """Return the patch files that a trial may need."""
        return self.patches_for(wildcards.study, self.trials_at(wildcards))

    def trial_weights(self, wildcards: Wildcards) -> list[str]:
        """Return the pretrained weights that a trial may need."""
        return self.weights_for(self.trials_at(wildcards))

    def all_trials(self, wildcards: Wildcards) -> list[str]:
        """Return the files of all trials of all folds and rungs, in this order."""
        return [
            paths.TRIAL_RESULT.format(study=wildcards.study, fold=fold, rung=rung, slot=slot)
            for fold in range(self.study(wildcards)["split"]["folds"])
            for rung, count in enumerate(self.rung_sizes(wildcards))
            for slot in range(count)
        ]

    def best_values(self, wildcards: Wildcards) -> list[str]:
        """Return what the search chose for a fold; nothing for a study without a search."""
        found = wildcards.study in self.searched
        return [paths.BEST.format(study=wildcards.study, fold=wildcards.fold)] if found else []

    def best_preprocessing(self, wildcards: Wildcards) -> list[str]:
        """Return what the search chose, where only the preprocessing is needed of it."""
        varies = self.varies_patches(wildcards.study)
        return [paths.BEST.format(study=wildcards.study, fold=0)] if varies else []

    def search_tables(self, wildcards: Wildcards) -> list[str]:
        """Return the tables of the search of a study; none without a search."""
        if wildcards.study not in self.searched:
            return []
        tables = (paths.TRIALS, paths.TRIAL_CURVES, paths.SEARCH_SUMMARY)
        return [table.format(study=wildcards.study) for table in tables]

    # --- prediction and evaluation

    def weights(self, wildcards: Wildcards) -> str | list[str]:
        """Return the weights of a trained network; K-means has only its `model.json`."""
        if wildcards.study in self.kmeans:
            return []
        return paths.WEIGHTS.format(**dict(wildcards.items()))

    def gpus(self, wildcards: Wildcards) -> int:
        """Return the number of GPUs that predicting takes: K-means needs none."""
        return 0 if wildcards.study in self.kmeans else 1

    def prediction_section(self, wildcards: Wildcards) -> Section:
        """Return what of the section `evaluation` changes predictions."""
        section = self.study(wildcards)["evaluation"]
        return omit_keys(section, "min_area_px", "blank_test_labels", "ensemble")

    def scoring_section(self, wildcards: Wildcards) -> Section:
        """Return what of the section `evaluation` changes scores."""
        return omit_keys(self.study(wildcards)["evaluation"], "ensemble")

    def prediction_files(self, studies: Iterable[str]) -> list[str]:
        """Return all prediction files of every training of some studies."""
        return [
            path
            for study in studies
            for path in expand(
                paths.PREDICTIONS, **self.runs(study), shard=self.shards(study, "evaluation")
            )
        ]

    def predictions(self, wildcards: Wildcards) -> list[str]:
        """Return all prediction files of a study."""
        return self.prediction_files([wildcards.study])

    def first_predictions(self, wildcards: Wildcards) -> list[str]:
        """Return the prediction files of the first training of a study."""
        count = len(self.shards(wildcards.study, "evaluation"))
        return self.predictions(wildcards)[:count]

    def class_names(self, wildcards: Wildcards) -> Section:
        """Return the names of the classes of a study's dataset; a segmentation has none."""
        study = self.study(wildcards)
        if study["task"] != "classification":
            return {}
        return {"class_names": self.config["datasets"][study["dataset"]]["class_names"]}

    def label_columns(self, wildcards: Wildcards) -> Sequence[str]:
        """Return the columns of the table of predicted classes."""
        return self.config["datasets"][self.classification(wildcards)["dataset"]]["label_columns"]

    def scoring_sections(self, wildcards: Wildcards) -> Section:
        """Return the sections of a study that its scores depend on."""
        sections = {"preprocessing": self.study(wildcards)["preprocessing"]}
        return sections | {"evaluation": self.scoring_section(wildcards)}

    def classification(self, wildcards: Wildcards) -> Section:
        """Return the section of a study that classifies images.

        Raises:
            CoverslipError: it is another one.
        """
        if wildcards.study not in self.classifications:
            raise CoverslipError(f"{wildcards.study}: is no study with `task: classification`")
        return self.study(wildcards)

    def attribution_section(self, wildcards: Wildcards) -> Section:
        """Return the section `attribution` of a classification."""
        return self.classification(wildcards)["attribution"]

    def attribution(self, wildcards: Wildcards) -> list[str]:
        """Return the attribution maps of a classification and their scores."""
        folder = paths.ATTRIBUTION.format(study=wildcards.study)
        return [f"{folder}/{file}" for file in ("maps.h5", "scores.json")]

    # --- ensembles

    def members(self, study: str, together: str, path: str) -> list[str]:
        """Return a file of every training that an ensemble is made of.

        Args:
            study: its name.
            together: `ensemble` of all trainings, or `fold<f>_ensemble` of the seeds of a fold.
            path: the file.

        Raises:
            CoverslipError: the study has no networks.
        """
        if study not in self.networks:
            raise CoverslipError(f"{study}: has no networks to average")
        runs = self.runs(study)
        runs["fold"] = re.findall(r"\d+", together) or runs["fold"]
        return expand(path, **runs)

    def member_paths(self, path: str) -> Callable[[Wildcards], list[str]]:
        """Return an input function: this file of every member of an ensemble."""
        return lambda wildcards: self.members(wildcards.study, wildcards.together, path)

    def fold_member_paths(self, path: str) -> Callable[[Wildcards], list[str]]:
        """Return an input function: this file of every seed of a fold."""
        return lambda wildcards: self.members(wildcards.study, f"fold{wildcards.fold}", path)

    def ensemble_predictions(self, wildcards: Wildcards) -> list[str]:
        """Return all prediction files of a study's ensembles, one of each fold."""
        return expand(
            paths.FOLD_ENSEMBLE_PREDICTIONS,
            study=[wildcards.study],
            fold=range(self.study(wildcards)["split"]["folds"]),
            shard=self.shards(wildcards.study, "evaluation"),
        )

    def ensembles(self, wildcards: Wildcards) -> list[str]:
        """Return the ensembles of all studies that run and have several trainings of a network.

        Raises:
            CoverslipError: there are none.
        """
        several = [
            study for study in self.networks_of_run() if len(self.run_files([study], paths.RUN)) > 1
        ]
        if not several:
            raise CoverslipError(SEVERAL_RUNS)
        return expand(paths.ENSEMBLE_INFO, study=several, together=["ensemble"])

    # --- figures and pages

    def figure_inputs(self, name: str) -> Callable[[Wildcards], dict[str, str | list[str]]]:
        """Return an input function of the rule `plot_<name>`: what the figure reads."""
        sources: dict[str, tuple[str, Callable[[Wildcards], str | list[str]]]] = {
            "metrics": ("metrics", lambda wildcards: paths.METRICS.format(study=wildcards.study)),
            "table": ("table", lambda wildcards: paths.IMAGE_TABLE.format(study=wildcards.study)),
            "images": ("images", self.dataset_path(paths.STORE)),
            "predictions": ("predictions", self.predictions),
            "histories": ("histories", self.histories),
            "infos": ("models", self.run_paths(paths.MODEL_INFO)),
            "first_info": ("models", lambda w: [self.first_run_path(paths.MODEL_INFO)(w)]),
            "first_weights": ("models", lambda w: [self.first_run_path(paths.WEIGHTS)(w)]),
            "best": ("best", self.best_preprocessing),
            "attribution": ("attribution", self.attribution),
            "search": ("search", self.search_tables),
        }
        read = [sources[each] for each in figures.ALL[name].reads]
        return lambda wildcards: {key: function(wildcards) for key, function in read}

    def figure_sections(self, name: str) -> Callable[[Wildcards], Section]:
        """Return a params function: the sections of the study that a figure depends on."""
        whole: dict[str, Callable[[Wildcards], Section]] = {
            "preprocessing": self.study_config("preprocessing"),
            "evaluation": self.scoring_section,
        }
        keys = figures.ALL[name].sections
        return lambda wildcards: {key: whole[key](wildcards) for key in keys}

    def figure_pixel_size(self, name: str) -> Callable[[Wildcards], float | None]:
        """Return a params function: the pixel size in µm, of figures that read images."""
        reads = "images" in figures.ALL[name].reads
        return lambda wildcards: self.pixel_size(wildcards) if reads else None

    def pixel_size(self, wildcards: Wildcards) -> float | None:
        """Return the pixel size in µm of a study's images, if it is known."""
        size: float | None = self.config["datasets"][self.study(wildcards)["dataset"]][
            "pixel_size_um"
        ]
        return size

    def figure_files(self, studies: Iterable[str]) -> list[str]:
        """Return all figures of some studies."""
        return [
            f"{paths.FIGURES.format(study=study)}/{name}.{figure.extension}"
            for study in studies
            for name, figure in figures.figures_of(self.config["studies"][study]).items()
        ]

    def figures(self, wildcards: Wildcards) -> list[str]:
        """Return all figures of a study."""
        return self.figure_files([wildcards.study])

    def dataset_words(self, wildcards: Wildcards) -> Section:
        """Return what a model card reports of the dataset of a study."""
        dataset = self.config["datasets"][self.study(wildcards)["dataset"]]
        return {key: dataset[key] for key in ("title", "licence", "citation")}

    def study_words(self, wildcards: Wildcards) -> Section:
        """Return what a model card reports of a study."""
        keys = ("title", "question", "task", "reproduces", "known_issues")
        return {key: self.study(wildcards)[key] for key in keys}

    def notebook_words(self, wildcards: Wildcards) -> Section:
        """Return what a notebook reports of its study's section."""
        study = self.study(wildcards)
        training = {key: study["training"][key] for key in ("restore_best", "monitor")}
        words = {key: study[key] for key in ("title", "question")}
        return words | {"reproduction": self.is_reproduction(wildcards)} | training

    def notebook_template(self, wildcards: Wildcards) -> str:
        """Return the file name of the notebook that reports a study."""
        classes = self.task(wildcards) == "classification"
        return "classification.ipynb" if classes else "segmentation.ipynb"

    def notebook_code(self, wildcards: Wildcards) -> str:
        """Return the code of the notebook, with its template."""
        templates = [f"notebooks/{self.notebook_template(wildcards)}"]
        templates += ["report/notebook.html.j2", *PAGE_TEMPLATES]
        return code("notebook.py", "reporting.results", "reporting.tables", templates=templates)

    # --- all studies that run

    def report_inputs(self, wildcards: Wildcards) -> dict[str, list[str]]:
        """Return the inputs of the report by their names."""
        return {
            "cards": self.run_files(self.studies_to_train(), paths.MODEL_CARD),
            "metrics": expand(paths.METRICS, study=self.studies),
            "tables": expand(paths.IMAGE_TABLE, study=self.studies),
            "images": expand(paths.STORE, dataset=self.datasets),
            "predictions": self.prediction_files(self.studies),
            "notebooks": expand(paths.NOTEBOOK_PAGE, study=self.studies),
            "figures": self.figure_files(self.studies),
            "splits": expand(paths.SPLIT_SUMMARY, study=self.studies),
            "checks": expand(paths.CHECK_REPORT, dataset=self.datasets),
            "records": self.run_files(self.studies, paths.TRAINING_RECORD),
            "labels": self.predicted_classes(),
            "searches": expand(paths.SEARCH_SUMMARY, study=self.studies_to_search()),
            "ensembles": self.ensemble_scores(),
        }

    def compared(self) -> list[str]:
        """Return the studies that run and find objects, of datasets with two or more of them.

        Reproductions, whose protocols have known issues, are not compared.
        """
        sections = self.config["studies"]
        finding = [
            study
            for study in self.studies
            if head_of(sections[study]) == "instance" and sections[study]["reproduces"] is None
        ]
        counts = Counter(sections[study]["dataset"] for study in finding)
        return [study for study in finding if counts[sections[study]["dataset"]] > 1]

    def referee_link(self) -> str | None:
        """Return the page of compared tools as seen from the report; none where nothing is."""
        return Path(paths.REFEREE).name if self.compared() else None

    def referee_inputs(self, wildcards: Wildcards) -> dict[str, list[str]]:
        """Return the inputs of the comparison of tools by their names.

        Raises:
            CoverslipError: there is nothing to compare.
        """
        studies = self.compared()
        if not studies:
            raise CoverslipError(NO_RIVALS)
        datasets = sorted({self.config["studies"][study]["dataset"] for study in studies})
        return {
            "metrics": expand(paths.METRICS, study=studies),
            "tables": expand(paths.IMAGE_TABLE, study=studies),
            "predictions": self.prediction_files(studies),
            "infos": self.run_files(studies, paths.MODEL_INFO),
            "records": self.run_files(studies, paths.TRAINING_RECORD),
            "images": expand(paths.STORE, dataset=datasets),
            "manifests": expand(paths.MANIFEST, dataset=datasets),
        }

    def report_config(self) -> Section:
        """Return what of the config the report depends on."""
        return omit_keys(self.config, "images", "model", "classifier", "measure", "tensorflow")

    def result_files(self, wildcards: Wildcards) -> list[str]:
        """Return results of all datasets and studies that run, without what only steps read.

        Raises:
            CoverslipError: no study can run.
        """
        if not self.studies:
            reasons = sorted(set(filter(None, self.left_out.values())))
            raise CoverslipError("no study can run: " + "; ".join(reasons))
        return [
            paths.REPORT,
            paths.METRICS_TABLE,
            *([paths.REFEREE, paths.REFEREE_TABLE] if self.compared() else []),
            *expand(paths.CHECK_REPORT, dataset=self.datasets),
            *expand(paths.METRICS, study=self.studies),
            *expand(paths.IMAGE_TABLE, study=self.studies),
            *expand(paths.NOTEBOOK_PAGE, study=self.studies),
            *self.run_files(self.studies, paths.MODEL_INFO),
            *self.run_files(self.studies_to_train(), paths.MODEL_CARD),
            *self.run_files(self.networks_of_run(), paths.WEIGHTS),
            *self.figure_files(self.studies),
            *self.predicted_classes(),
            *expand(paths.TRIALS, study=self.studies_to_search()),
            *expand(paths.TRIAL_CURVES, study=self.studies_to_search()),
            *expand(paths.SEARCH_SUMMARY, study=self.studies_to_search()),
            *self.ensemble_scores(),
        ]

    def networks_of_run(self) -> list[str]:
        """Return the studies that run and train a network."""
        return [study for study in self.studies if study in self.networks]

    def studies_to_train(self) -> list[str]:
        """Return the studies that run and have a model which is trained here."""
        return [study for study in self.studies if study not in self.untrained]

    def studies_to_search(self) -> list[str]:
        """Return the studies that run and have a search."""
        return [study for study in self.studies if study in self.searched]

    def predicted_classes(self) -> list[str]:
        """Return the tables of predicted classes of all classifications that run."""
        chosen = [study for study in self.studies if study in self.classifications]
        return expand(paths.PREDICTED_CLASSES, study=chosen)

    def ensemble_scores(self) -> list[str]:
        """Return the scores of the ensembles that are asked for, of all studies that run."""
        sections = self.config["studies"]
        asked = [s for s in self.studies if sections[s]["evaluation"]["ensemble"]]
        return expand(paths.ENSEMBLE_SCORES, study=asked)

    def onnx_files(self, wildcards: Wildcards) -> list[str]:
        """Return the ONNX files of all trained networks of all studies that run."""
        return self.run_files(self.networks_of_run(), paths.ONNX)

    def bioimageio_files(self, wildcards: Wildcards) -> list[str]:
        """Return the BioImage.IO packages of all trained networks of all studies that run."""
        return self.run_files(self.networks_of_run(), paths.BIOIMAGEIO)
