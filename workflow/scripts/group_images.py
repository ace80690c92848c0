from pathlib import Path

from coverslip.config.sections import bare_dataset
from coverslip.data.group_images import group_images
from coverslip.runtime.run_script import run_script

with run_script(snakemake):
    group_images(
        images=Path(snakemake.input.images),
        manifest=Path(snakemake.input.manifest),
        dataset=bare_dataset(snakemake.wildcards.dataset, snakemake.params.dataset),
        groups=Path(snakemake.output.groups),
        duplicates=Path(snakemake.output.duplicates),
    )
