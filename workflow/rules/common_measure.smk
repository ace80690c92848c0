# Needs: the completed config. Makes: what the rules of `measure` call.

import atexit
from functools import cache

MEASURED = "results/measure/{name}"
MEASURE_SHARD = f"{MEASURED}/shards/{{shard}}"

if config["images"] is not None:
    try:
        input_folder.check(config["images"])
        input_folder.model_inputs(config, KMEANS)
        if config["classifier"] is not None:
            input_folder.model_inputs(config, KMEANS, "classifier")
            if input_folder.classifies(config):
                raise CoverslipError("classifier: `model` has to find objects, not classes")
    except CoverslipError as error:
        raise WorkflowError(str(error))


def page_of_images():
    """Path of the page of own images: of a model of classes it is another one."""
    page = "classes.html" if input_folder.classifies(config) else "measure.html"
    return f"results/measure/{input_folder.name_of(config)}/{page}"


# Pages to look at, and when each was modified before this run.
PAGES = {"report": Path("results/report.html")}
if config["images"] is not None:
    PAGES["page"] = Path(page_of_images())
BEFORE = {name: terminal.modified(path) for name, path in PAGES.items()}


def announce():
    """Print where the page is that this run made, as the last line."""
    for name, path in PAGES.items():
        if terminal.modified(path) != BEFORE[name]:
            line = f"\ncoverslip: the {name} lies at {path.resolve()} (open it in a browser)"
            # At the very end, after Snakemake's own last lines.
            atexit.register(print, line, file=sys.stderr)


def parquet_of_objects():
    """Output of the table of objects as Parquet, if it is asked for."""
    wanted = "parquet" in config["measure"]["export"]
    return {"parquet": f"{MEASURED}/objects.parquet"} if wanted else {}


def measured(wildcards):
    """The page that the target `measure` asks for."""
    if config["images"] is None:
        raise WorkflowError(
            "images: name the folder to measure, as in `snakemake --cores all measure "
            "--config images=FOLDER model=MODEL_FOLDER`"
        )
    return page_of_images()


def model_inputs(wildcards):
    """Weights and `model.json` of the model, and of its members."""
    return input_folder.model_inputs(config, KMEANS)


def classifier_inputs(wildcards):
    """Weights and `model.json` of the model that classifies objects, if there is one."""
    if config["classifier"] is None:
        return []
    return input_folder.model_inputs(config, KMEANS, "classifier")


def classifier_folder(wildcards):
    """Path of the folder of the model that classifies objects; none without one."""
    return config["classifier"] and str(input_folder.model_of(config, "classifier"))


def measuring_gpus(wildcards):
    """GPUs that the model takes: K-means, which has no weights, needs none."""
    return int(any(file.endswith(".keras") for file in model_inputs(wildcards)))


def model_folder(wildcards):
    """Path of the model folder."""
    return str(input_folder.model_of(config))


def image_folder(wildcards):
    """Path of the folder of images."""
    return input_folder.plain(config["images"])


def notes_of(wildcards):
    """Path of what is remembered of the folder of images."""
    return Path(f".snakemake/coverslip/inventory-measure-{wildcards.name}.json")


@cache
def folder_contents(notes):
    """Digests of the files in the folder of images, which is looked through once a run."""
    skip = input_folder.own_results(config["images"])
    return folder_inventory.contents(config["images"], notes, not workflow.dryrun, skip)


def model_card(wildcards):
    """Text of the model card, which the page quotes; none without one."""
    card = Path(model_folder(wildcards)) / "README.md"
    return card.read_text(encoding="utf-8", errors="replace") if card.is_file() else None


@cache
def shard_digests(notes):
    """Digests of the images of all shards."""
    return input_folder.digests(folder_contents(notes), config["measure"]["shards"])


def shard_folder(wildcards):
    """Folder of images with a digest of those of one shard."""
    notes = notes_of(wildcards)
    return {
        "path": image_folder(wildcards),
        "notes": str(notes),
        "shards": config["measure"]["shards"],
        "inventory": shard_digests(notes)[int(wildcards.shard)],
    }


def whole_folder(wildcards):
    """Folder of images with a digest of all of them."""
    notes = notes_of(wildcards)
    inventory = input_folder.digests(folder_contents(notes), 1)
    return {"path": image_folder(wildcards), "notes": str(notes), "inventory": inventory}


def left_out(wildcards):
    """What of the folder of images is none."""
    return input_folder.left_out(folder_contents(notes_of(wildcards)) or {})


def of_shards(path):
    """Input function: a file or folder of every shard."""
    return lambda wildcards: expand(
        f"{MEASURE_SHARD}/{path}", name=wildcards.name, shard=range(config["measure"]["shards"])
    )
