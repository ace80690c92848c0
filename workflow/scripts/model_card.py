from pathlib import Path

from coverslip.job import job
from coverslip.models import model_card

with job(snakemake):
    model_card.write(
        info=Path(snakemake.input.info),
        metrics=Path(snakemake.input.metrics),
        split=Path(snakemake.input.split),
        dataset=snakemake.params.dataset,
        study=snakemake.params.study,
        output=Path(snakemake.output[0]),
    )
