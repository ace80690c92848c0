"""The command `coverslip`: it builds a Snakemake command, prints it and runs it.

It has no logic of its own: what `coverslip run` does, `snakemake` in a clone does as well. What
follows `--` is passed on to Snakemake. Without anything for Snakemake, a folder is measured by the
scripts of the rules in this process, which takes less than half of the time. Files are written into
the working directory, or the folder given with `-o`, and never into the installation.
"""

from __future__ import annotations

import argparse
import difflib
import math
import os
import re
import shlex
import shutil
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NoReturn

import yaml

from coverslip import __version__
from coverslip.errors import CoverslipError, one_line, os_error_line
from coverslip.files import WORKFLOW

CONFIG = "coverslip.yaml"
"""File that `init` writes and `run` reads if no other is named."""

DEMO = "coverslip-demo"
"""Folder of the demo if no other is named."""

EPILOG = """\
what follows -- is passed on to Snakemake:
  coverslip run my.yaml -- --executor slurm --jobs 20
"""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line, with the nearest word where a word is unknown."""

    def error(self, message: str) -> NoReturn:
        """Print the error with a hint; exit with status 2."""
        known = options(self)
        if match := re.match(
            r"argument \S+: invalid choice: '(.*?)' \(choose from (.*)\)", message
        ):
            known = re.findall(r"[\w-]+", match[2])
            message = f"unknown command '{match[1]}'"
            hint = nearest(match[1], known) or f"one of: {', '.join(known)}"
        elif match := re.match(r"unrecognized arguments: (\S+)", message):
            message = f"unknown argument '{match[1]}'"
            hint = nearest(match[1], known) or "options of Snakemake follow after `--`"
        elif match := re.match(r"argument (\S+?): (.*)", message):
            message = f"{match[1].split('/')[-1]}: {match[2]}"
            hint = f"`{self.prog} --help` explains the arguments"
        else:
            hint = f"`{self.prog} --help` explains the arguments"
        self.exit(2, f"{self.prog}: {message}; {hint}\n")


def options(of: argparse.ArgumentParser) -> list[str]:
    """Return the options of a parser and of its verbs."""
    found: list[str] = []
    for action in of._actions:
        found += action.option_strings
        if isinstance(action, argparse._SubParsersAction):
            found += [option for verb in action.choices.values() for option in options(verb)]
    return found


def nearest(word: str, known: Sequence[str]) -> str | None:
    """Return the question whether a similar word was meant, if there is one."""
    found = difflib.get_close_matches(word, known, n=1)
    return f"did you mean `{found[0]}`?" if found else None


def core_count(text: str) -> str:
    """Return a number of cores as Snakemake takes it: `all` or at least 1."""
    if text != "all" and not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is neither `all` nor a number from 1 on")
    return text


def channel_choice(text: str) -> int | str:
    """Return the index, the wavelength in nm or the name of a channel."""
    if not text.strip() or text.startswith("-"):
        raise argparse.ArgumentTypeError(f"{text!r} is no channel, as 0, DAPI or 405 are")
    return int(text) if text.isdecimal() else text


def depth_choice(text: str) -> int | str:
    """Return which depths of a z-stack are measured."""
    if text in ("all", "max", "focus"):
        return text
    if not text.isdecimal() or text == "0":
        raise argparse.ArgumentTypeError(f"{text!r} is not all, max, focus or a number from 1 on")
    return int(text)


def micrometres(text: str) -> float:
    """Return a pixel size in micrometres, above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no size in micrometres, as 0.65 is")
    return value


def parser() -> Parser:
    """Return the parser of the command and its verbs."""
    top = Parser(
        prog="coverslip",
        description="From microscopy images of cells to trained models, measurements and a report.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"coverslip {__version__}")
    verbs = top.add_subparsers(dest="verb", metavar="COMMAND", title="commands")

    def verb(name: str, text: str, runs: bool) -> argparse.ArgumentParser:
        added = verbs.add_parser(
            name,
            help=text,
            description=text[0].upper() + text[1:] + ".",
            epilog=EPILOG if runs else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if runs:
            added.add_argument("-n", "--dry-run", action="store_true", help="only print the plan")
            added.add_argument(
                "-c", "--cores", default="all", type=core_count, metavar="N", help="CPU cores (all)"
            )
        return added

    demo = verb("demo", "run the demo on synthetic images (minutes)", runs=True)
    demo.add_argument("folder", nargs="?", type=Path, default=Path(DEMO), help=f"folder ({DEMO})")
    init = verb("init", "look at a folder of images and write a config for it", runs=False)
    init.add_argument("folder", type=Path, help="images with masks, in class folders, or alone")
    init.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path(CONFIG),
        metavar="FILE",
        help=f"config to write ({CONFIG})",
    )
    init.add_argument("--force", action="store_true", help="replace the file if it exists")
    run = verb("run", "check, split, train, test and report, as a config defines", runs=True)
    run.add_argument(
        "config", nargs="?", type=Path, default=Path(CONFIG), help=f"config file ({CONFIG})"
    )
    measure = verb("measure", "measure all images of a folder with a trained model", runs=True)
    measure.add_argument("images", type=Path, help="folder of images")
    measure.add_argument(
        "--model",
        type=Path,
        metavar="MODEL",
        help="folder `model` of a finished training, or a zip of it, or the name of a model that "
        "comes along, or another tool (stardist, cellpose, instanseg, micro_sam; stardist:MODEL); "
        "default: nuclei, for stained nuclei",
    )
    measure.add_argument(
        "--tool-python",
        type=Path,
        metavar="PYTHON",
        help="Python interpreter that has the other tool",
    )
    measure.add_argument(
        "--classifier",
        type=Path,
        metavar="FOLDER",
        help="folder `model` of a classification, for each object",
    )
    measure.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path(),
        metavar="FOLDER",
        help="where to put the folder `results` (here)",
    )
    measure.add_argument(
        "--channel",
        type=channel_choice,
        metavar="CHANNEL",
        help="channel to segment: index from 0, name, or wavelength in nm",
    )
    measure.add_argument(
        "--z",
        type=depth_choice,
        metavar="DEPTH",
        help="depths of a stack: all, max (projection), focus (sharpest), or a number from 1",
    )
    measure.add_argument(
        "--flatfield", action="store_true", help="divide out uneven light, fitted to each image"
    )
    measure.add_argument(
        "--pixel-size", type=micrometres, metavar="UM", help="micrometres per pixel"
    )
    measure.add_argument(
        "--clusters", type=int, metavar="N", help="number of clusters of the model `kmeans`"
    )
    measure.add_argument(
        "--foreground-clusters",
        type=int,
        nargs="+",
        metavar="CLUSTER",
        help="those that are foreground: from 0, the darkest, or from -1, the brightest",
    )
    explain = verb("explain", "print how a result was made, and what changed since", runs=False)
    explain.add_argument("file", type=Path, help="a file below results/")
    audit = verb("audit", "look for leakage in a split that another program made", runs=False)
    audit.add_argument("table", type=Path, help="csv with the columns file, subset and maybe group")
    audit.add_argument("-o", "--output", type=Path, metavar="FILE", help="also write it as JSON")
    verb("doctor", "print what is installed and what this machine has", runs=False)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    cut = words.index("--") if "--" in words else len(words)
    top = parser()
    given, unknown = top.parse_known_args(words[:cut] or ["--help"])
    if given.verb is None:
        top.error(f"unrecognized arguments: {' '.join(unknown)}" if unknown else "no command")
    if unknown:
        verbs = next(a for a in top._actions if isinstance(a, argparse._SubParsersAction))
        verbs.choices[given.verb].error(f"unrecognized arguments: {' '.join(unknown)}")
    more = words[cut + 1 :]
    try:
        if given.verb == "doctor":
            from coverslip import doctor

            return doctor.main()
        if given.verb == "explain":
            from coverslip.runtime import explain

            if not given.file.exists():
                raise CoverslipError(f"{given.file}: no such file; name one below results/")
            return explain.main([str(given.file)])
        if given.verb == "audit":
            return audit_split(given.table, given.output)
        if given.verb == "init":
            return init(given.folder, given.output, given.force)
        measures = given.verb == "measure"
        model = given.model if measures else None
        if given.verb == "run" and given.config.is_file() and only_measures(given.config):
            measures = True
            model = yaml.safe_load(given.config.read_text(encoding="utf-8")).get("model")
        directly = measures and not (more or given.dry_run or is_tool(model))
        if not directly and find_spec("snakemake") is None:
            extra = "workflow" if measures else "train"
            raise CoverslipError(f"this needs Snakemake: pip install 'coverslip[{extra}]'")
        arguments = snakemake_arguments(given)
        if directly:
            return measure_directly(Path(arguments[-1]), given, words)
        return run_snakemake(arguments, given, more)
    except CoverslipError as error:
        print(f"coverslip: {one_line(error)}", file=sys.stderr)
    except OSError as error:
        print(f"coverslip: {os_error_line(error)}", file=sys.stderr)
    return 1


def audit_split(table: Path, output: Path | None) -> int:
    """Print what of a split is in two subsets; return 1 where anything is, else 0."""
    from coverslip.data import audit
    from coverslip.files import write_json

    report = audit.audit(table)
    print("\n".join(audit.lines(report)))
    if output is not None:
        write_json(output, report, indent=2, allow_nan=False)
    return int(audit.leaks(report))


def init(folder: Path, output: Path, force: bool) -> int:
    """Write a config for a folder; return the exit status."""
    from coverslip.starter_config import look_at, write_config

    if output.exists() and not force:
        raise CoverslipError(f"{output}: exists; `--force` replaces it, or `-o` names another file")
    found = look_at(folder)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(write_config(found), encoding="utf-8")
    print(f"{folder}: {found.summary}")
    print(f"{output}: written; read it, then: coverslip run {shlex.quote(str(output))}")
    return 0


def snakemake_arguments(given: argparse.Namespace) -> list[str]:
    """Return the target, config and folder of a run, as Snakemake takes them."""
    if given.verb == "demo":
        if given.folder.is_file():
            raise CoverslipError(f"{given.folder}: is a file; name a folder for the demo")
        config = given.folder / "config/config.yaml"
        if not config.exists():
            config.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(WORKFLOW.parent / "config/config.yaml", config)
        return ["--directory", str(given.folder), "--configfile", str(config.resolve())]
    if given.verb == "run":
        if given.config.is_dir():
            folder = shlex.quote(str(given.config))
            raise CoverslipError(
                f"{given.config}: is a folder; `coverslip init {folder}` writes a config for it"
            )
        if given.config.exists() and not given.config.is_file():
            raise CoverslipError(f"{given.config}: is a device or a pipe; name a file")
        if not given.config.is_file():
            configs = sorted(map(str, given.config.parent.glob("*.y*ml")))
            hint = nearest(str(given.config), configs) if given.config != Path(CONFIG) else None
            raise CoverslipError(
                f"{given.config}: no such file; {hint or '`coverslip init FOLDER` writes a config'}"
            )
        target = ["measure"] if only_measures(given.config) else []
        return [*target, "--configfile", str(given.config)]
    return measure_arguments(given)


def measure_arguments(given: argparse.Namespace) -> list[str]:
    """Return what measures a folder, and write its config next to the results."""
    from coverslip.measure.input_folder import name_of, shipped_model
    from coverslip.pipeline.tools import TOOLS

    if not given.images.is_dir():
        what = "is a file; name its folder" if given.images.exists() else "no such folder"
        raise CoverslipError(f"{given.images}: {what}")
    model = given.model or shipped_model()
    if model is not None and not model.exists():
        model = shipped_model(str(model)) or model
    zipped = model is not None and model.suffix.lower() == ".zip" and model.is_file()
    tool = is_tool(model)
    if model is None or not (tool or zipped or (model / "model.json").is_file()):
        wrong = "no model is named" if model is None else f"{model}: not a model folder"
        hint = nearest(str(model), ["nuclei", "confluency", "kmeans", *TOOLS]) or (
            "`--model` takes the folder `model` of a finished training, as in "
            "results/studies/STUDY/fold0_seed1/model"
        )
        raise CoverslipError(f"{wrong}; {hint}")
    named = str(model if tool else model.resolve())
    values: dict[str, Any] = {"images": str(given.images.resolve()), "model": named}
    if given.classifier is not None:
        values["classifier"] = str(given.classifier.resolve())
    if tool and given.tool_python is not None:
        values["tool_python"] = {str(model).partition(":")[0]: str(given.tool_python.absolute())}
    settings = {"channel": given.channel, "z": given.z, "pixel_size_um": given.pixel_size}
    settings |= {
        "flatfield": given.flatfield or None,
        "clusters": given.clusters,
        "foreground_clusters": given.foreground_clusters,
    }
    if settings := {key: value for key, value in settings.items() if value is not None}:
        values["measure"] = settings
    # A file, because Snakemake reads values of `--config` as text, or takes them apart.
    name = name_of({**values, "measure": {"name": None}, "studies": {}})
    config = given.output.resolve() / f"results/measure/{name}.yaml"
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(yaml.safe_dump(values, allow_unicode=True, sort_keys=False), "utf-8")
    return ["measure", "--directory", str(given.output), "--configfile", str(config)]


def is_tool(model: Path | str | None) -> bool:
    """Return whether a model is another tool, which has rules of its own."""
    from coverslip.measure.input_folder import tool_of

    return tool_of({"model": str(model or ""), "studies": {}}) is not None


def measure_directly(config: Path, given: argparse.Namespace, words: Sequence[str]) -> int:
    """Measure a folder in this process; return the exit status."""
    from coverslip.measure.direct import measure_folder
    from coverslip.runtime.run_record import command_text
    from coverslip.runtime.run_script import INTERRUPTED
    from coverslip.runtime.terminal import STOPPING

    command = command_text(["coverslip", *words])
    values = yaml.safe_load(config.read_text(encoding="utf-8"))
    if given.verb == "measure":
        given.output.mkdir(parents=True, exist_ok=True)
        os.chdir(given.output)
    cores = None if given.cores == "all" else int(given.cores)
    try:
        page = measure_folder(values, command, cores)
    except SystemExit as stopped:
        if stopped.code == INTERRUPTED:
            sys.stderr.write(STOPPING.decode())
        return int(stopped.code or 0)
    print(f"\npage     {page}", file=sys.stderr)
    return 0


def only_measures(config: Path) -> bool:
    """Whether a config names a folder to measure, and no study.

    Raises:
        CoverslipError: it is no YAML, or no map of keys.
    """
    from coverslip.config.validate import read_key_lines

    keys = {key for key in read_key_lines([config]) if "." not in key}
    if not keys:
        raise CoverslipError(f"{config}: is empty, or no map of keys; see `coverslip init`")
    return "images" in keys and "studies" not in keys


def run_snakemake(arguments: Sequence[str], given: argparse.Namespace, more: Sequence[str]) -> int:
    """Print the Snakemake command and become it; return its exit status where that fails."""
    command = ["--snakefile", str(WORKFLOW / "Snakefile"), "--cores", given.cores]
    command += ["--dry-run"] if given.dry_run else []
    if not any(word.startswith(("--quiet", "-q", "--verbose")) for word in more):
        command += ["--quiet", "rules", "host", "reason"]
    # A target has to stand in front: options with several values would take it for one of them.
    target = [arguments[0]] if arguments[0] == "measure" else []
    command = [*target, *command, *arguments[len(target) :], *more]
    print(shlex.join(["snakemake", *command]), file=sys.stderr, flush=True)
    # Jobs find the tools of this environment, whether or not it is activated.
    tools = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([tools, os.environ.get("PATH", "")])
    os.execv(sys.executable, [sys.executable, "-m", "snakemake", *command])


if __name__ == "__main__":
    sys.exit(main())
