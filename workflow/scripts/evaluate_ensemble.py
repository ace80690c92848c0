from pathlib import Path

from coverslip.configuration.config import Evaluation, Preprocessing
from coverslip.job import job
from coverslip.search.chosen import chosen
from coverslip.tasks import stage

with job(snakemake):
    sections = chosen(dict(snakemake.params.items()), snakemake.input.best)
    stage(snakemake.params.task, "compare")(
        predictions=[Path(p) for p in [*snakemake.input.singles, *snakemake.input.ensembles]],
        models=[Path(path).parent for path in snakemake.input.infos],
        pictures=Path(snakemake.input.pictures),
        groups=Path(snakemake.input.groups),
        split=Path(snakemake.input.split),
        preprocessing=Preprocessing(**sections["preprocessing"]),
        evaluation=Evaluation(**snakemake.params.evaluation),
        study=snakemake.wildcards.study,
        output=Path(snakemake.output[0]),
        **snakemake.params.names,
    )
