from pathlib import Path

from coverslip.job import job
from coverslip.models.ensemble import write

with job(snakemake):
    write(
        members=[Path(path).parent for path in snakemake.input.infos],
        folder=Path(snakemake.output[0]).parent,
        facts={"study": snakemake.wildcards.study, "code": snakemake.params.code},
    )
