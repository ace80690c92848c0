import logging
from dataclasses import asdict
from pathlib import Path

from coverslip.config.sections import Network, Preprocessing, Training
from coverslip.runtime import device
from coverslip.runtime.run_record import identity
from coverslip.runtime.run_script import LOG, run_script
from coverslip.training import progress
from coverslip.training.halving import patch_folders, training_sections, weights_file

output = Path(snakemake.output.model).parent
with run_script(snakemake, reuse=True) as facts:
    if "reused" not in facts:
        sections = training_sections(snakemake.params.sections, snakemake.input.best)
        found = device.prepare(snakemake.threads, gpus=snakemake.resources.get("gpu", 0))
        found = found.adapt(sections["network"]["architecture"])
        facts["device"] = asdict(found)
        LOG.log(logging.INFO if found.gpu else logging.DEBUG, found.line(found.dtype_policy))
        from coverslip.training.patches import training_statistics
        from coverslip.training.trainer import train

        split, fold = Path(snakemake.input.split), int(snakemake.wildcards.fold)
        key = identity(snakemake)
        facts["training"] = train(
            patches=patch_folders(snakemake.input.patches, sections["preprocessing"]),
            split=split,
            fold=fold,
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
                "training_statistics": training_statistics(
                    Path(snakemake.input.images), split, fold
                ),
            },
            identity=key,
            device=found,
            weights_file=weights_file(
                snakemake.input.weights, sections["network"], sections["preprocessing"]
            ),
            goal=snakemake.params.goal,
            report=LOG.info,
            watch=progress.writer(snakemake.params.not_compared["tensorboard"]),
        )
