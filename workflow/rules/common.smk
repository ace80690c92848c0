# The completed config, and the objects that rules take their inputs and parameters from.

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from coverslip.config import old_format, validate
from coverslip.errors import CoverslipError, os_error_line
from coverslip.measure.targets import MeasureTargets
from coverslip.pipeline import figures, paths, published_weights, tools
from coverslip.pipeline.targets import (
    REFEREE_TEMPLATES,
    REPORT_TEMPLATES,
    TOOL_TEMPLATES,
    Targets,
    code,
    config_files,
    not_compared,
    run_command,
    scale_with_attempt,
    wildcard_regex,
)
from coverslip.runtime import lock, run_record, terminal

logger.addFilter(terminal.shorten)
if workflow.is_main_process:
    lock.remove_leftover()
    terminal.stop_in_one_line(logger)
    terminal.shorten_steps(workflow, logger)
shell.prefix(terminal.IGNORE)

try:
    old_format.check_results(Path("results"))
    schema = WORKFLOW / "schemas/config.schema.json"
    # Jobs need not check the files again.
    checked = config_files(workflow) if workflow.is_main_process else []
    config.update(validate.resolve(config, schema, checked))
    targets = Targets(config, workflow.output_settings.dryrun)
    measured = MeasureTargets(targets)
except CoverslipError as error:
    raise WorkflowError(str(error))
except OSError as error:
    raise WorkflowError(os_error_line(error))

if workflow.is_main_process and (measured.config["images"] is None or measured.test_images):
    for line in [*targets.notices(), *measured.notices]:
        logger.warning(f"coverslip: {line}")

# Environments of the jobs: most, those that train or run networks, those that make pages.
CORE_ENV = "../envs/core.yaml"
REPORT_ENV = "../envs/report.yaml"
TRAIN_ENV = f"../envs/train-{config['tensorflow']}.yaml"
TOOL_ENVS = {tool: f"../envs/tools/{tool}.yaml" for tool in tools.TOOLS} | {"command": CORE_ENV}
TOOL_ENV = TOOL_ENVS[measured.tool["tool"] if measured.tool else "command"]
# Jobs know by it the command that they were started by; the first one, before any job was.
os.environ.setdefault(run_record.COMMAND, run_record.command_text(["snakemake", *sys.argv[1:]]))
pages = {"report": paths.REPORT} | ({"page": measured.page()} if measured.config["images"] else {})
made = terminal.Results(pages, paths.METRICS_TABLE)


wildcard_constraints:
    study="[A-Za-z0-9][A-Za-z0-9_-]*",
    dataset="[A-Za-z0-9][A-Za-z0-9_-]*",
    name=r"\w[\w-]*",
    fold=r"\d+",
    seed=r"\d+",
    shard=r"\d+",
    rung=r"\d+",
    slot=r"\d+",
    together=r"ensemble|fold\d+_ensemble",
