"""Inputs and parameters of the rules that measure a folder of images.

They are here and not in `coverslip.pipeline` because they look into a model folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from coverslip.errors import CoverslipError
from coverslip.measure import input_folder
from coverslip.pipeline import folder_inventory, paths
from coverslip.pipeline.targets import (
    CLASSES_TEMPLATES,
    MEASURE_TEMPLATES,
    TOOL_TEMPLATES,
    Targets,
    Wildcards,
    code,
    omit_keys,
)
from coverslip.pipeline.tools import UNKNOWN

TABLES, FOLDERS = ("images", "objects"), ("labels", "overlays", "exports")
"""Results of a shard, and of all of them: `<table>.csv`, and folders."""

NO_IMAGES = (
    "images: name the folder to measure, as in `snakemake --cores all measure "
    "--config images=FOLDER model=MODEL_FOLDER`"
)

NO_MODEL = "no model comes with this installation, which has no folder `resources`: name a `model`"


class MeasureTargets:
    """What the rules of `measure` ask for.

    Args:
        targets: of the same config.

    Raises:
        CoverslipError: there is a folder to measure but without images, or a model is none.
    """

    def __init__(self, targets: Targets):
        self.config, self.kmeans = targets.config, targets.kmeans
        self.dry_run, self.studies = targets.dry_run, targets.studies
        of_study = input_folder.names_a_study(self.config, "images")
        self.notices: list[str] = []
        """Lines on what this run does not do."""
        if of_study and self.config["model"] is None and input_folder.shipped_model() is None:
            self.notices.append(f"left out: test images of {self.config['images']}: {NO_MODEL}")
            self.config, of_study = {**self.config, "images": None}, False
        self.test_images: str | None = self.config["images"] if of_study else None
        """Study whose test images are measured; none for a folder."""
        if self.test_images is not None:
            folder = paths.TEST_IMAGES.format(study=self.test_images)
            self.config = {**self.config, "images": folder}
        self.settings: dict[str, Any] = self.config["measure"]
        self.tool = None if self.config["images"] is None else input_folder.tool_of(self.config)
        """Section of the tool that finds the objects; none for a model."""
        self.folder_contents = cache(self.folder_contents)  # type: ignore[method-assign]
        self.shard_digests = cache(self.shard_digests)  # type: ignore[method-assign]
        if self.config["images"] is not None:
            if self.test_images is None:
                input_folder.check(self.config["images"])
            self.model_inputs()
            self.classifier_inputs()
            if self.config["classifier"] is not None and input_folder.classifies(self.config):
                raise CoverslipError("classifier: `model` has to find objects, not classes")

    def page(self, wildcards: Wildcards = None) -> str:
        """Return the page that the target `measure` makes."""
        if self.config["images"] is None:
            raise CoverslipError(NO_IMAGES)
        classes = input_folder.classifies(self.config)
        page = paths.CLASSES_PAGE if classes else paths.MEASURED_PAGE
        return page.format(name=input_folder.name_of(self.config))

    def pages_of_run(self, wildcards: Wildcards = None) -> list[str]:
        """Return the page that the target `all` makes: none without a folder, or its study."""
        left_out = self.test_images is not None and self.test_images not in self.studies
        return [] if self.config["images"] is None or left_out else [self.page()]

    def page_of_test_images(self, wildcards: Wildcards = None) -> list[str]:
        """Return the page that the report links to: that of the test images of a study."""
        return [] if self.test_images is None else self.pages_of_run()

    def image_inputs(self, wildcards: Wildcards = None) -> list[str]:
        """Return the folder of images where the workflow makes it: that of test images."""
        return [] if self.test_images is None else [self.config["images"]]

    def model_inputs(self, wildcards: Wildcards = None) -> list[str]:
        """Return weights and `model.json` of the model, and of its members.

        Of a tool the label images of the shard, or of all shards.
        """
        if self.tool is not None and wildcards is not None:
            names = dict(wildcards.items())
            shards = [names["shard"]] if "shard" in names else range(self.settings["shards"])
            return paths.expand(paths.MEASURED_TOOL, name=[wildcards.name], shard=shards)
        return input_folder.model_inputs(self.config, self.kmeans)

    def classifier_inputs(self, wildcards: Wildcards = None) -> list[str]:
        """Return the files of the model that classifies objects, if there is one."""
        if self.config["classifier"] is None:
            return []
        return input_folder.model_inputs(self.config, self.kmeans, "classifier")

    def classifier(self, wildcards: Wildcards) -> str | None:
        """Return the folder of the model that classifies objects; none without one."""
        if self.config["classifier"] is None:
            return None
        return str(input_folder.model_of(self.config, "classifier"))

    def gpus(self, wildcards: Wildcards) -> int:
        """Return the number of GPUs that the model takes: only Keras uses one."""
        files = self.model_inputs()
        keras = [file for file in files if file.endswith(".keras")]
        by_onnx = all(file.removesuffix(".keras") + ".onnx" in files for file in keras)
        return int(bool(keras) and (self.settings["mixed_precision"] or not by_onnx))

    def model(self, wildcards: Wildcards) -> str:
        """Return the path of the model folder, or of the label images of a tool."""
        if self.tool is not None:
            labels = self.model_inputs(wildcards)
            return labels[0] if "shard" in dict(wildcards.items()) else str(Path(labels[0]).parent)
        return str(input_folder.model_of(self.config))

    def model_card(self, wildcards: Wildcards) -> str | None:
        """Return the text of the model card, which the page quotes; none without one."""
        if self.tool is not None:
            return None
        card = Path(self.model(wildcards)) / "README.md"
        return card.read_text(encoding="utf-8", errors="replace") if card.is_file() else None

    def tool_model(self, wildcards: Wildcards) -> str | list[str]:
        """Return the file or folder of the model of a tool; none where it knows it by name."""
        return input_folder.tool_folder(self.config)

    def tool_section(self, wildcards: Wildcards) -> dict[str, Any] | None:
        """Return what of the tool changes its label images."""
        kept = ("tool", "model", "command", "train", "options")
        return None if self.tool is None else {key: self.tool[key] for key in kept}

    def tool_python(self) -> str | None:
        """Return the Python interpreter that has the tool, if the config names one."""
        return None if self.tool is None else self.config["tool_python"].get(self.tool["tool"])

    def tool_programs(self) -> tuple[str, ...]:
        """Return the programs that apply the tool, below `workflow`."""
        return () if self.tool is None else TOOL_TEMPLATES[self.tool["tool"]]

    def tool_licence(self, wildcards: Wildcards) -> str:
        """Return the licence of the data that a tool was trained on here."""
        if not input_folder.names_a_study(self.config):
            return UNKNOWN
        study = self.config["studies"][self.config["model"]]
        return str(self.config["datasets"][study["dataset"]]["licence"])

    def images(self, wildcards: Wildcards) -> str:
        """Return the path of the folder of images."""
        return input_folder.plain(self.config["images"])

    def notes(self, name: str) -> Path:
        """Return the path of what is remembered of the folder of images."""
        return Path(f"{paths.NOTES}/inventory-measure-{name}.json")

    def folder_contents(self, name: str) -> Mapping[str, str] | None:
        """Return the digests of the files in the folder of images, which is listed once a run.

        None of images that the workflow makes, which are an input as all that it makes.
        """
        if self.test_images is not None:
            return None
        skip = input_folder.own_results(self.config["images"])
        notes = self.notes(name)
        return folder_inventory.contents(self.config["images"], notes, not self.dry_run, skip)

    def shard_digests(self, name: str) -> list[str]:
        """Return the digests of the images of all shards."""
        return input_folder.digests(self.folder_contents(name), self.settings["shards"])

    def shard_folder(self, wildcards: Wildcards) -> dict[str, Any]:
        """Return the folder of images with a digest of those of one shard."""
        return {
            "path": self.images(wildcards),
            "notes": str(self.notes(wildcards.name)),
            "shards": self.settings["shards"],
            "inventory": self.shard_digests(wildcards.name)[int(wildcards.shard)],
        }

    def whole_folder(self, wildcards: Wildcards) -> dict[str, Any]:
        """Return the folder of images with a digest of all of them."""
        inventory = input_folder.digests(self.folder_contents(wildcards.name), 1)
        notes = str(self.notes(wildcards.name))
        return {"path": self.images(wildcards), "notes": notes, "inventory": inventory}

    def left_out(self, wildcards: Wildcards) -> dict[str, Any]:
        """Return which files of the folder are no images."""
        return input_folder.left_out(self.folder_contents(wildcards.name) or {})

    def made_directly(self, wildcards: Wildcards) -> list[str]:
        """Return what is newer than results that were made without Snakemake, if there are any."""
        mark = paths.MEASURED_DIRECTLY.format(name=wildcards.name)
        return [mark] if Path(mark).exists() else []

    def results(self, place: str, directory: Callable[[str], Any] = str) -> dict[str, Any]:
        """Return tables and folders at a place; `directory` marks the folders for Snakemake."""
        tables = {name: f"{place}/{name}.csv" for name in TABLES}
        return tables | {name: directory(f"{place}/{name}") for name in FOLDERS}

    def merged_results(self, directory: Callable[[str], Any] = str) -> dict[str, Any]:
        """Return what is made of the results of all shards."""
        found = self.results(paths.MEASURED, directory)
        if "parquet" in self.settings["export"]:
            found["parquet"] = f"{paths.MEASURED}/objects.parquet"
        return found | {"plot": f"{paths.MEASURED}/confluency.svg"}

    def shard_results(self) -> dict[str, Callable[[Wildcards], list[str]]]:
        """Return input functions: the results of all shards."""
        places = self.results(paths.MEASURED_SHARD)
        shards = range(self.settings["shards"])

        def of_all(path: str) -> Callable[[Wildcards], list[str]]:
            return lambda wildcards: paths.expand(path, name=[wildcards.name], shard=shards)

        return {name: of_all(path) for name, path in places.items()}

    def page_inputs(self) -> dict[str, str]:
        """Return the results that the page shows."""
        names = (*TABLES, "overlays", "plot")
        return {name: path for name, path in self.merged_results().items() if name in names}

    def class_results(self, directory: Callable[[str], Any] = str) -> dict[str, Any]:
        """Return what a model of classes makes of a folder."""
        table, sheets = f"{paths.MEASURED}/predicted_classes.csv", f"{paths.MEASURED}/classes"
        return {"table": table, "sheets": directory(sheets), "page": paths.CLASSES_PAGE}

    def image_params(self) -> dict[str, Any]:
        """Return the parameters of the rule `measure_images`."""
        return {
            "folder": self.shard_folder,
            "model": self.model,
            "classifier": self.classifier,
            "settings": self.image_settings(),
            "code": code("measure_images.py"),
        }

    def table_params(self) -> dict[str, Any]:
        """Return the parameters of the rule `measure_tables`."""
        time = {key: self.settings[key] for key in ("time_pattern", "time_unit")}
        return {"time": time, "code": code("measure_tables.py")}

    def page_params(self) -> dict[str, Any]:
        """Return the parameters of the rule `measure_page`."""
        return {
            "folder": self.images,
            **self._shown(),
            "settings": self.settings,
            "code": code("measure_page.py", templates=MEASURE_TEMPLATES),
        }

    def class_params(self) -> dict[str, Any]:
        """Return the parameters of the rule `measure_classes`."""
        return {
            "folder": self.whole_folder,
            **self._shown(),
            "settings": self.image_settings(),
            "code": code("measure_classes.py", templates=CLASSES_TEMPLATES),
        }

    def _shown(self) -> dict[str, Any]:
        return {"left_out": self.left_out, "model": self.model, "card": self.model_card}

    def image_settings(self) -> dict[str, Any]:
        """Return the settings that change what is found in an image."""
        return omit_keys(self.settings, *input_folder.ELSEWHERE)
