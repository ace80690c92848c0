from pathlib import Path

from coverslip.config.sections import bare_dataset
from coverslip.data.ingest import ingest
from coverslip.pipeline import folder_inventory
from coverslip.runtime.run_script import run_script

with run_script(snakemake, reuse=True) as facts:
    params = snakemake.params
    folder = params.folder
    if "reused" not in facts:
        ingest(
            source=Path(folder["path"] if folder else snakemake.input.archive),
            dataset=bare_dataset(
                snakemake.wildcards.dataset, params.dataset, **params.not_compared
            ),
            images=Path(snakemake.output.images),
            manifest=Path(snakemake.output.manifest),
            summary=Path(snakemake.output.summary),
            processes=snakemake.threads,
        )
        if folder:
            folder_inventory.check_unchanged(folder)
