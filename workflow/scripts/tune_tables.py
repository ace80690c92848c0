from pathlib import Path

from coverslip.runtime.run_script import run_script
from coverslip.training.halving import write_tables

with run_script(snakemake):
    files = iter(snakemake.input.trials)
    folds, slots = snakemake.params.folds, snakemake.params.slots
    write_tables(
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
