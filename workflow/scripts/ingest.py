from pathlib import Path

from coverslip.configuration.config import bare_dataset
from coverslip.data import inventory
from coverslip.data.ingest import ingest
from coverslip.job import job

with job(snakemake, reuse=True) as facts:
    params = snakemake.params
    folder = params.folder
    if "reused" not in facts:
        ingest(
            source=Path(folder["path"] if folder else snakemake.input.archive),
            dataset=bare_dataset(snakemake.wildcards.dataset, params.dataset, **params.handling),
            pictures=Path(snakemake.output.pictures),
            manifest=Path(snakemake.output.manifest),
            summary=Path(snakemake.output.summary),
            processes=snakemake.threads,
        )
        if folder:
            inventory.refuse_changed(folder)
