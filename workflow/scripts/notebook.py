import os
from pathlib import Path

from coverslip.reporting.notebook import NOTEBOOKS, execute
from coverslip.runtime.run_script import run_script

page = Path(snakemake.output.page)


def near(path):
    """The path as seen from the folder of the notebook, where it runs."""
    return os.path.relpath(path, page.parent)


with run_script(snakemake):
    execute(
        template=NOTEBOOKS / snakemake.params.template,
        parameters={
            "study": snakemake.wildcards.study,
            **snakemake.params.words,
            "metrics_path": near(snakemake.input.metrics),
            "table_path": near(snakemake.input.table),
            "history_paths": [near(path) for path in snakemake.input.histories],
            "split_path": near(snakemake.input.split),
            "check_path": near(snakemake.input.check),
            "figure_paths": [near(path) for path in snakemake.input.figures],
        },
        notebook=Path(snakemake.output.notebook),
        page=page,
    )
