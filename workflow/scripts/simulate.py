from pathlib import Path

from coverslip.config.sections import Source
from coverslip.data import simulate
from coverslip.runtime.run_script import run_script

with run_script(snakemake):
    source = Source(**snakemake.params.source)
    output = Path(snakemake.output[0])
    simulate.make(source.simulator, output, source.images, source.size, source.seed)
