"""Puts the workflow into the package: `coverslip/_workflow` is a tree like that of the repository.

All else about the package is in pyproject.toml.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent


class BuildWithWorkflow(build_py):
    """Copies the Snakefile and what it needs, but for the package, which is beside it."""

    def run(self):
        super().run()
        if self.editable_mode:
            return  # the package finds the workflow of the clone
        home = Path(self.build_lib) / "coverslip/_workflow"
        shutil.rmtree(home, ignore_errors=True)
        unwanted = shutil.ignore_patterns("coverslip", "*.egg-info", "__pycache__", ".*")
        shutil.copytree(ROOT / "workflow", home / "workflow", ignore=unwanted)
        (home / "config").mkdir()
        shutil.copy(ROOT / "config/config.yaml", home / "config")
        shutil.copytree(ROOT / "resources/models", home / "resources/models")


setup(cmdclass={"build_py": BuildWithWorkflow})
