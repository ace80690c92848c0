from pathlib import Path

from coverslip.config.sections import Evaluation, Preprocessing
from coverslip.evaluation.evaluate import evaluate
from coverslip.evaluation.per_image import CLASSES, MASKS, EvaluationInputs
from coverslip.runtime.run_script import run_script
from coverslip.training.halving import training_sections

with run_script(snakemake):
    sections = training_sections(snakemake.params.sections, snakemake.input.best)
    evaluate(
        CLASSES if snakemake.params.task == "classification" else MASKS,
        EvaluationInputs(
            predictions=[Path(path) for path in snakemake.input.predictions],
            models=[Path(path).parent for path in snakemake.input.infos],
            images=Path(snakemake.input.images),
            groups=Path(snakemake.input.groups),
            split=Path(snakemake.input.split),
            preprocessing=Preprocessing(**sections["preprocessing"]),
            evaluation=Evaluation(**snakemake.params.sections["evaluation"]),
            **snakemake.params.names,
        ),
        study=snakemake.wildcards.study,
        reproduction=snakemake.params.reproduction,
        output=Path(snakemake.output.metrics),
        table=Path(snakemake.output.table),
    )
