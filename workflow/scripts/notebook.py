import os
from pathlib import Path

from coverslip.job import job
from coverslip.notebook import execute

page = Path(snakemake.output.page)


def near(path):
    """The path as seen from the folder of the notebook, where it runs."""
    return os.path.relpath(path, page.parent)


with job(snakemake):
    execute(
        template=Path(snakemake.input.notebook),
        parameters={
            "study": snakemake.wildcards.study,
            "title": snakemake.params.title,
            "question": snakemake.params.question,
            "protocol": snakemake.params.protocol,
            "metrics": near(snakemake.input.metrics),
            "pictures": near(snakemake.input.table),
            "histories": [near(path) for path in snakemake.input.histories],
            "split": near(snakemake.input.split),
            "check": near(snakemake.input.check),
            "figures": near(Path(snakemake.input.figures[0]).parent),
        },
        notebook=Path(snakemake.output.notebook),
        page=page,
    )
