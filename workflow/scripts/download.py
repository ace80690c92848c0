from pathlib import Path

from coverslip.config.sections import Source
from coverslip.data import download
from coverslip.runtime.run_script import run_script

with run_script(snakemake):
    download.download(
        Source(**snakemake.params.source, **snakemake.params.not_compared),
        Path(snakemake.output[0]),
    )
