from pathlib import Path

from coverslip.configuration.config import KMeans, Preprocessing
from coverslip.job import LOG, identity, job
from coverslip.models.kmeans_fit import train

with job(snakemake, reuse=True) as facts:
    if "reused" not in facts:
        facts["device"] = {"name": "CPU"}
        facts["training"] = train(
            pictures=Path(snakemake.input.pictures),
            split=Path(snakemake.input.split),
            fold=int(snakemake.wildcards.fold),
            seed=int(snakemake.wildcards.seed),
            preprocessing=Preprocessing(**snakemake.params.preprocessing),
            kmeans=KMeans(**snakemake.params.kmeans),
            output=Path(snakemake.output.info).parent,
            facts={
                "study": snakemake.wildcards.study,
                "licence": snakemake.params.licence,
                "code": snakemake.params.code,
                "identity": identity(snakemake),
            },
            report=LOG.info,
        )
