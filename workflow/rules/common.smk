# The completed config, and the objects that rules take their inputs and parameters from.

import atexit
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from coverslip.config import old_format, validate
from coverslip.errors import CoverslipError
from coverslip.measure.targets import MeasureTargets
from coverslip.pipeline import figures, paths
from coverslip.pipeline.published_weights import FILES as PUBLISHED_WEIGHTS
from coverslip.pipeline.published_weights import facts as weights_facts
from coverslip.pipeline.targets import (
    CLASSES_TEMPLATES,
    MEASURE_TEMPLATES,
    REPORT_TEMPLATES,
    Targets,
    code,
    not_compared,
    scale_with_attempt,
    wildcard_regex,
)
from coverslip.runtime import lock, run_record, terminal

logger.addFilter(terminal.shorten)
if workflow.is_main_process:
    lock.remove_leftover()
    terminal.stop_in_one_line(logger)
shell.prefix(terminal.IGNORE)


def config_files():
    """Files that the config was read from, the one that counts last; jobs check them no more."""
    given = list(workflow.overwrite_configfiles)
    files = [file for file in workflow.configfiles if file not in given] + given
    return files if workflow.is_main_process else []


try:
    old_format.check_results(Path("results"))
    schema = WORKFLOW / "schemas/config.schema.json"
    config.update(validate.resolve(config, schema, config_files()))
    targets = Targets(config, workflow.dryrun)
    measured = MeasureTargets(targets)
except CoverslipError as error:
    raise WorkflowError(str(error))

if workflow.is_main_process and config["images"] is None:
    for line in targets.notices():
        logger.warning(f"coverslip: {line}")

# Environments of the jobs: most, those that train or run networks, those that make pages.
CORE_ENV = "../envs/core.yaml"
REPORT_ENV = "../envs/report.yaml"
TRAIN_ENV = f"../envs/train-{config['tensorflow']}.yaml"
# Jobs know by it the command that they were started by; the first one, before any job was.
os.environ.setdefault(run_record.COMMAND, run_record.shown_command(["snakemake", *sys.argv[1:]]))
# Pages to look at, and when each was modified before this run.
PAGES = {"report": paths.REPORT}
if config["images"] is not None:
    PAGES["page"] = measured.page()
BEFORE = {page: terminal.modified(Path(page)) for page in PAGES.values()}


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


def announce():
    """Print where the page is that this run made, as the last line."""
    for name, page in PAGES.items():
        if terminal.modified(Path(page)) != BEFORE[page]:
            line = f"\ncoverslip: the {name} lies at {Path(page).resolve()} (open it in a browser)"
            # At the very end, after Snakemake's own last lines.
            atexit.register(print, line, file=sys.stderr)


def command():
    """How to make this again."""
    own = [str(file) for file in workflow.overwrite_configfiles]
    return " ".join(["snakemake --cores all", *(["--configfile", *own] if own else [])])
