from pathlib import Path

from coverslip.configuration.config import Evaluation, Preprocessing
from coverslip.job import job
from coverslip.search.chosen import chosen
from coverslip.tasks import stage

with job(snakemake):
    sections = chosen(dict(snakemake.params.items()), snakemake.input.best)
    stage(snakemake.params.task, "evaluate")(
        predictions=[Path(path) for path in snakemake.input.predictions],
        models=[Path(path).parent for path in snakemake.input.infos],
        pictures=Path(snakemake.input.pictures),
        groups=Path(snakemake.input.groups),
        split=Path(snakemake.input.split),
        preprocessing=Preprocessing(**sections["preprocessing"]),
        evaluation=Evaluation(**snakemake.params.evaluation),
        study=snakemake.wildcards.study,
        protocol=snakemake.params.protocol,
        output=Path(snakemake.output.metrics),
        table=Path(snakemake.output.table),
        **snakemake.params.names,
    )
