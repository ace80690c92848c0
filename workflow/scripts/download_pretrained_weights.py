from pathlib import Path

from coverslip.models import pretrained
from coverslip.runtime.run_script import run_script

with run_script(snakemake):
    pretrained.download(Path(snakemake.output[0]))
