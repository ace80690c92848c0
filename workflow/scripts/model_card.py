from pathlib import Path

from coverslip.reporting import model_card
from coverslip.runtime.run_script import run_script

with run_script(snakemake):
    model_card.write(
        info=Path(snakemake.input.info),
        metrics=Path(snakemake.input.metrics),
        split=Path(snakemake.input.split),
        dataset=snakemake.params.dataset,
        study=snakemake.params.study,
        output=Path(snakemake.output[0]),
    )
