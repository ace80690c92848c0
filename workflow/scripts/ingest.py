from pathlib import Path

from coverslip.configuration.config import bare_dataset
from coverslip.data import inventory
from coverslip.data.ingest import ingest
from coverslip.job import job

with job(snakemake, reuse=True) as facts:
    name = snakemake.wildcards.dataset
    # Limits are no parameter: what passes them is the same whatever they are.
    source = snakemake.config["datasets"][name]["source"]
    folder = snakemake.params.folder
    if "reused" not in facts:
        ingest(
            source=Path(folder["path"] if folder else snakemake.input.archive),
            dataset=bare_dataset(name, snakemake.params.dataset, source["limits"]),
            pictures=Path(snakemake.output.pictures),
            manifest=Path(snakemake.output.manifest),
            summary=Path(snakemake.output.summary),
            processes=snakemake.threads,
        )
        if folder:
            inventory.refuse_changed(folder)
