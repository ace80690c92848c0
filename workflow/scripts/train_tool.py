import sys
from dataclasses import asdict
from pathlib import Path

from coverslip.models.tool import train_tool
from coverslip.runtime.run_script import run_script

with run_script(snakemake) as facts:
    output = Path(snakemake.output[0])
    took = train_tool(
        snakemake.params.training,
        images=Path(snakemake.input[0]),
        output=output,
        state=Path("results/state/tools") / "_".join(output.parts[-3:-1]),
        seed=int(snakemake.wildcards.seed),
        python=snakemake.params.not_compared["python"] or sys.executable,
        threads=snakemake.threads,
        log=Path(snakemake.log.tool),
    )
    facts["process"] = asdict(took)
