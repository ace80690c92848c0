from pathlib import Path

from coverslip.config.sections import Evaluation, Preprocessing
from coverslip.reporting import figures
from coverslip.runtime.run_script import run_script
from coverslip.training.halving import training_sections

with run_script(snakemake):
    sections = training_sections(dict(snakemake.params.items()), snakemake.input.best)
    maps, tables = snakemake.input.attribution, snakemake.input.search
    inputs = figures.load(
        study=snakemake.wildcards.study,
        title=snakemake.params.title,
        reproduction=snakemake.params.reproduction,
        metrics=Path(snakemake.input.metrics),
        table=Path(snakemake.input.table),
        images=Path(snakemake.input.images),
        predictions=[Path(path) for path in snakemake.input.predictions],
        models=[Path(path).parent for path in snakemake.input.infos],
        preprocessing=Preprocessing(**sections["preprocessing"]),
        evaluation=Evaluation(**snakemake.params.evaluation),
        attribution=Path(maps[0]).parent if maps else None,
        search=Path(tables[0]).parent if tables else None,
    )
    figures.draw(snakemake.params.figure, inputs, Path(snakemake.output[0]))
