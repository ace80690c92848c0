from pathlib import Path

from coverslip import device
from coverslip.config import Evaluation
from coverslip.job import job

with job(snakemake):
    device.prepare(threads=snakemake.threads)
    from coverslip.prediction import predict

    evaluation = Evaluation(**snakemake.params.evaluation)
    predict(
        model=Path(snakemake.input.model).parent,
        pictures=Path(snakemake.input.pictures),
        split=Path(snakemake.input.split),
        fold=int(snakemake.wildcards.fold),
        subsets=["validation", "test"],
        evaluation=evaluation,
        shard=int(snakemake.wildcards.shard),
        shards=evaluation.shards,
        output=Path(snakemake.output[0]),
    )
