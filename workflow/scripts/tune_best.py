from pathlib import Path

from coverslip.runtime.run_script import run_script
from coverslip.training.halving import write_best

with run_script(snakemake):
    write_best(Path(snakemake.input.ranking), Path(snakemake.output[0]))
