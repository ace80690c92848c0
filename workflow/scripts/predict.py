from dataclasses import asdict
from pathlib import Path

from coverslip.configuration.config import Evaluation
from coverslip.job import LOG, job
from coverslip.learning import device
from coverslip.tasks import stage

with job(snakemake) as facts:
    evaluation = Evaluation(**snakemake.params.evaluation)
    policy = None
    if snakemake.input.weights:
        found = device.prepare(threads=snakemake.threads)
        facts["device"] = asdict(found)
        policy = found.dtype_policy if evaluation.fast else None
        LOG.info(found.line(policy or "float32"))
    stage(snakemake.params.task, "predict")(
        model=Path(snakemake.input.info).parent,
        pictures=Path(snakemake.input.pictures),
        split=Path(snakemake.input.split),
        fold=int(snakemake.wildcards.fold),
        subsets=["validation", "test"],
        evaluation=evaluation,
        shard=int(snakemake.wildcards.shard),
        shards=evaluation.shards,
        output=Path(snakemake.output[0]),
        policy=policy,
    )
