from dataclasses import asdict
from pathlib import Path

from coverslip.config.sections import Evaluation
from coverslip.evaluation.predictions import predict
from coverslip.runtime import device
from coverslip.runtime.run_script import LOG, run_script

with run_script(snakemake) as facts:
    evaluation = Evaluation(**snakemake.params.evaluation)
    policy = None
    if snakemake.input.weights:
        found = device.prepare(snakemake.threads, gpus=snakemake.resources.get("gpu", 0))
        facts["device"] = asdict(found)
        policy = found.dtype_policy if evaluation.mixed_precision else None
        LOG.debug(found.line(policy or "float32"))
    predict(
        model=Path(snakemake.input.info).parent,
        images=Path(snakemake.input.images),
        split=Path(snakemake.input.split),
        fold=int(snakemake.wildcards.fold),
        subsets=["validation", "test"],
        evaluation=evaluation,
        shard=int(snakemake.wildcards.shard),
        shards=evaluation.shards,
        output=Path(snakemake.output[0]),
        policy=policy,
    )
