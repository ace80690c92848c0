from pathlib import Path

from coverslip.config import bare_dataset
from coverslip.ingest import ingest
from coverslip.job import job

with job(snakemake):
    folder = snakemake.params.folder
    ingest(
        source=Path(folder["path"] if folder else snakemake.input.archive),
        dataset=bare_dataset(snakemake.wildcards.dataset, snakemake.params.dataset),
        pictures=Path(snakemake.output.pictures),
        manifest=Path(snakemake.output.manifest),
        summary=Path(snakemake.output.summary),
        processes=snakemake.threads,
    )
