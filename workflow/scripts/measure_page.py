from pathlib import Path

from coverslip.measure.page import build
from coverslip.models.model import load
from coverslip.runtime.run_script import run_script

with run_script(snakemake):
    build(
        images=Path(snakemake.input.images),
        overlays=Path(snakemake.input.overlays),
        plot=Path(snakemake.input.plot),
        facts={
            "name": snakemake.wildcards.name,
            "folder": snakemake.params.folder,
            "model": snakemake.params.model,
            "settings": snakemake.params.settings,
        },
        model=load(Path(snakemake.params.model)).info,
        output=Path(snakemake.output[0]),
    )
