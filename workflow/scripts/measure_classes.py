import os
from datetime import UTC, datetime
from pathlib import Path

from coverslip.config.sections import Measure
from coverslip.measure import classes, classes_page
from coverslip.measure.input_folder import left_out_lines
from coverslip.models.model import load
from coverslip.runtime import device
from coverslip.runtime.run_record import COMMAND
from coverslip.runtime.run_script import LOG, run_script

with run_script(snakemake):
    given, folder = snakemake.params, Path(snakemake.params.folder["path"])
    for line in left_out_lines(given.left_out):
        LOG.warning(line)
    LOG.debug(device.prepare(threads=snakemake.threads).line("float32"))
    model = load(Path(given.model))
    names = [str(name) for name in model.info["classes"]]
    planes = classes.classify_folder(
        folder, Path(given.folder["notes"]), model, Measure(**given.settings)
    )
    table, sheets = Path(snakemake.output.table), Path(snakemake.output.sheets)
    shown = classes.write_classes(planes, names, table, sheets)
    classes_page.build(
        table=table,
        shown=shown,
        facts={
            "name": snakemake.wildcards.name,
            "folder": given.folder["path"],
            "model": given.model,
            "left_out": given.left_out,
            "run": {
                "ended": datetime.now(UTC).isoformat(),
                "command": os.environ.get(COMMAND),
            },
        },
        model=model.info,
        output=Path(snakemake.output.page),
    )
