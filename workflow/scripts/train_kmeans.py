from pathlib import Path

from coverslip.config.sections import KMeans, Preprocessing
from coverslip.runtime.run_record import identity
from coverslip.runtime.run_script import LOG, run_script
from coverslip.training.kmeans import train

with run_script(snakemake, reuse=True) as facts:
    if "reused" not in facts:
        facts["device"] = {"name": "CPU"}
        facts["training"] = train(
            images=Path(snakemake.input.images),
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
