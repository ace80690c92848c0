from pathlib import Path

from coverslip.models.ensemble import write
from coverslip.runtime.run_script import run_script

with run_script(snakemake):
    write(
        members=[Path(path).parent for path in snakemake.input.infos],
        folder=Path(snakemake.output[0]).parent,
        facts={"study": snakemake.wildcards.study, "code": snakemake.params.code},
    )
