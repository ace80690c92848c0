import sys
from pathlib import Path

from coverslip.models.tool import apply_tool
from coverslip.runtime.run_script import LOG, run_script

with run_script(snakemake):
    model = snakemake.input.get("model")
    facts = apply_tool(
        snakemake.params.section,
        images=Path(snakemake.input.images) / "images",
        labels=Path(snakemake.output[0]),
        model=Path(model) if model else None,
        python=snakemake.params.not_compared["python"] or sys.executable,
        threads=snakemake.threads,
        log=Path(snakemake.log.tool),
        licence=snakemake.params.licence,
    )
    LOG.info("%d images, %.1f s, %d MB", facts["images"], facts["seconds"], facts["peak_memory_mb"])
