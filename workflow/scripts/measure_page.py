from pathlib import Path

from coverslip.measure.input_folder import left_out_lines
from coverslip.measure.page import build
from coverslip.measure.tool_images import load_model
from coverslip.runtime.run_script import LOG, run_script

with run_script(snakemake):
    for line in left_out_lines(snakemake.params.left_out):
        LOG.warning(line)
    build(
        images=Path(snakemake.input.images),
        overlays=Path(snakemake.input.overlays),
        plot=Path(snakemake.input.plot),
        facts={
            "name": snakemake.wildcards.name,
            "folder": snakemake.params.folder,
            "left_out": snakemake.params.left_out,
            "model": snakemake.params.model,
            "settings": snakemake.params.settings,
        },
        model=load_model(Path(snakemake.params.model)).info,
        output=Path(snakemake.output[0]),
    )
