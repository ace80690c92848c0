from pathlib import Path

from coverslip.models.tool_weights import download
from coverslip.runtime.run_script import run_script

with run_script(snakemake):
    download(Path(snakemake.output[0]), **snakemake.params.published)
