from pathlib import Path

from coverslip.config.sections import Measure
from coverslip.measure.tool_images import export_planes
from coverslip.runtime.run_script import LOG, run_script

with run_script(snakemake):
    count = export_planes(
        folder=Path(snakemake.params.folder["path"]),
        notes=Path(snakemake.params.folder["notes"]),
        shard=int(snakemake.wildcards.shard),
        shards=snakemake.params.folder["shards"],
        settings=Measure(**snakemake.params.settings),
        output=Path(snakemake.output[0]) / "images",
    )
    LOG.info("%d images for the tool", count)
