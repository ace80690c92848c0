from dataclasses import asdict
from pathlib import Path

from coverslip.config.sections import Attribution
from coverslip.runtime import device
from coverslip.runtime.run_script import LOG, run_script

with run_script(snakemake) as facts:
    found = device.prepare(snakemake.threads, gpus=snakemake.resources.get("gpu", 0))
    facts["device"] = asdict(found)
    LOG.debug(found.line())
    from coverslip.explain.attribution import explain

    explain(
        model=Path(snakemake.input.info).parent,
        predictions=[Path(path) for path in snakemake.input.predictions],
        images=Path(snakemake.input.images),
        groups=Path(snakemake.input.groups),
        split=Path(snakemake.input.split),
        fold=snakemake.params.fold,
        section=Attribution(**snakemake.params.attribution),
        maps=Path(snakemake.output.maps),
        scores=Path(snakemake.output.scores),
    )
