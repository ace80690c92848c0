from pathlib import Path

from coverslip.models.export_bioimageio import write_package
from coverslip.models.folder import read_info
from coverslip.runtime.run_script import run_script

with run_script(snakemake):
    write_package(
        network=Path(snakemake.input.network),
        info=read_info(Path(snakemake.input.info).parent),
        card=Path(snakemake.input.card).read_text(encoding="utf-8"),
        output=Path(snakemake.output[0]),
    )
