from pathlib import Path

from coverslip.config.sections import Evaluation, Preprocessing
from coverslip.reporting import figures
from coverslip.runtime.run_script import run_script
from coverslip.training.halving import training_sections


def folder(paths):
    return Path(paths[0]).parent if paths else None


with run_script(snakemake):
    files, given = snakemake.input, dict(snakemake.params.sections)
    given |= training_sections(given, files.get("best", []))
    classes = {"preprocessing": Preprocessing, "evaluation": Evaluation}
    inputs = figures.load(
        study=snakemake.wildcards.study,
        title=snakemake.params.title,
        reproduction=snakemake.params.reproduction,
        metrics=files.get("metrics"),
        table=files.get("table"),
        images=files.get("images"),
        predictions=files.get("predictions", []),
        models=[Path(path).parent for path in files.get("models", [])],
        histories=files.get("histories", []),
        attribution=folder(files.get("attribution")),
        search=folder(files.get("search")),
        pixel_size_um=snakemake.params.pixel_size_um,
        **{name: classes[name](**section) for name, section in given.items()},
    )
    figures.draw(snakemake.params.figure, inputs, Path(snakemake.output[0]))
