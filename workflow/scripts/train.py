from dataclasses import asdict
from pathlib import Path

from coverslip.configuration.config import Network, Preprocessing, Training
from coverslip.job import LOG, identity, job
from coverslip.learning import device

output = Path(snakemake.output.model).parent
with job(snakemake, reuse=True) as facts:
    if "reused" not in facts:
        found = device.prepare(threads=snakemake.threads)
        facts["device"] = asdict(found)
        from coverslip.learning.training import train

        key = identity(snakemake)
        facts["training"] = train(
            patches=sorted({Path(p).parent for p in snakemake.input.patches}),
            split=Path(snakemake.input.split),
            fold=int(snakemake.wildcards.fold),
            seed=int(snakemake.wildcards.seed),
            preprocessing=Preprocessing(**snakemake.params.preprocessing),
            network=Network(**snakemake.params.network),
            training=Training(**snakemake.params.training),
            output=output,
            state=Path("results/state") / key[:16],
            facts={
                "study": snakemake.wildcards.study,
                "licence": snakemake.params.licence,
                "code": snakemake.params.code,
                "identity": key,
            },
            identity=key,
            device=found,
            weights_file=Path(snakemake.input.weights) if snakemake.input.weights else None,
            tune_threshold=snakemake.params.protocol != "as-published",
            report=LOG.info,
        )
