from pathlib import Path

from coverslip.config.sections import Evaluation, Preprocessing
from coverslip.evaluation.tasks import stage
from coverslip.runtime.run_script import run_script
from coverslip.training.trial_sections import training_sections

with run_script(snakemake):
    sections = training_sections(dict(snakemake.params.items()), snakemake.input.best)
    stage(snakemake.params.task, "evaluate")(
        predictions=[Path(path) for path in snakemake.input.predictions],
        models=[Path(path).parent for path in snakemake.input.infos],
        images=Path(snakemake.input.images),
        groups=Path(snakemake.input.groups),
        split=Path(snakemake.input.split),
        preprocessing=Preprocessing(**sections["preprocessing"]),
        evaluation=Evaluation(**snakemake.params.evaluation),
        study=snakemake.wildcards.study,
        reproduction=snakemake.params.reproduction,
        output=Path(snakemake.output.metrics),
        table=Path(snakemake.output.table),
        **snakemake.params.names,
    )
