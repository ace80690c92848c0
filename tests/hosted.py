"""A git host on this disk: `https://github.com/lab/coverslip` is a repository of the tests."""

import os
import shutil
import subprocess
from pathlib import Path

from running import ROOT, copy_project

TAG = "v0.0.1"

GITHUB = f'github("lab/coverslip", path="workflow/Snakefile", tag="{TAG}")'

SNAKEFILE = f"""\
configfile: "config/config.yaml"


module coverslip:
    snakefile:
        {GITHUB}
    config:
        config


use rule * from coverslip
"""
"""What `snakedeploy deploy-workflow` writes, but for its comments."""


def host(where: Path) -> dict[str, str]:
    """Make the repository with its tag; return the environment variables that lead git to it."""
    repository = where / "hosts/lab/coverslip"
    repository.mkdir(parents=True)
    copy_project(repository)
    large = shutil.ignore_patterns("model.keras", "model.onnx")
    models = "resources/models"
    shutil.copytree(ROOT / models, repository / models, ignore=large, dirs_exist_ok=True)
    author = {f"GIT_{who}_{what}": "lab" for who in ("AUTHOR", "COMMITTER") for what in NAMES}
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "-qm", "all"], ["tag", TAG]):
        subprocess.run(["git", *command], cwd=repository, check=True, env=os.environ | author)
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{where}/hosts/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
        "REPOSITORY": str(repository),
        # Where Snakemake keeps clones and files of git hosts.
        "XDG_CACHE_HOME": str(where / "cache"),
    }


NAMES = ("NAME", "EMAIL")
