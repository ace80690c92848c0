from dataclasses import asdict
from pathlib import Path

from coverslip.configuration.config_attribution import Attribution
from coverslip.job import LOG, job
from coverslip.learning import device

with job(snakemake) as facts:
    found = device.prepare(threads=snakemake.threads)
    facts["device"] = asdict(found)
    LOG.info(found.line())
    from coverslip.explanation.class_attribution import attribute

    attribute(
        model=Path(snakemake.input.info).parent,
        predictions=[Path(path) for path in snakemake.input.predictions],
        pictures=Path(snakemake.input.pictures),
        groups=Path(snakemake.input.groups),
        split=Path(snakemake.input.split),
        fold=snakemake.params.fold,
        section=Attribution(**snakemake.params.attribution),
        resamples=snakemake.params.bootstrap,
        maps=Path(snakemake.output.maps),
        scores=Path(snakemake.output.scores),
    )
