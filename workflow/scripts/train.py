from dataclasses import asdict
from pathlib import Path

from coverslip.configuration.config import Network, Preprocessing
from coverslip.configuration.config_training import Training
from coverslip.job import LOG, identity, job
from coverslip.learning import device, tensorboard
from coverslip.search.chosen import chosen, patch_folders, weights_file

output = Path(snakemake.output.model).parent
with job(snakemake, reuse=True) as facts:
    if "reused" not in facts:
        found = device.prepare(threads=snakemake.threads)
        facts["device"] = asdict(found)
        LOG.info(found.line(found.dtype_policy))
        from coverslip.learning.training import train

        key = identity(snakemake)
        sections = chosen(dict(snakemake.params.items()), snakemake.input.best)
        facts["training"] = train(
            patches=patch_folders(snakemake.input.patches, sections["preprocessing"]),
            split=Path(snakemake.input.split),
            fold=int(snakemake.wildcards.fold),
            seed=int(snakemake.wildcards.seed),
            preprocessing=Preprocessing(**sections["preprocessing"]),
            network=Network(**sections["network"]),
            training=Training(**sections["training"]),
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
            weights_file=weights_file(snakemake.input.weights, sections["network"]),
            goal=snakemake.params.goal,
            report=LOG.info,
            watch=tensorboard.writer(snakemake.params.handling["tensorboard"]),
        )
