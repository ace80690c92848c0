from pathlib import Path

from coverslip.job import job
from coverslip.search.tables import collect

with job(snakemake):
    files = iter(snakemake.input.trials)
    folds, slots = snakemake.params.folds, snakemake.params.slots
    collect(
        folders={
            fold: [[Path(next(files)).parent for _ in range(count)] for count in slots]
            for fold in range(folds)
        },
        search=snakemake.params.search,
        epochs=snakemake.params.epochs,
        table=Path(snakemake.output.trials),
        curves=Path(snakemake.output.curves),
        summary=Path(snakemake.output.summary),
    )
