"""Time and size of an installation: `python benchmarks/install.py [EXTRA ...]`.

For the base and then for each extra (`train`, `formats`, ...; several with commas), pip installs
this clone into a new environment, without its cache of wheels. A table in Markdown lists the
seconds, which include the download, the number of packages, and the size on disk.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def disk_bytes(folder: Path) -> int:
    """Return what the files of a folder occupy on disk, in bytes."""
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*"))


def install(extras: str) -> tuple[float, int, int]:
    """Install into a new environment; return seconds, number of packages and bytes on disk."""
    with tempfile.TemporaryDirectory() as folder:
        environment, source = Path(folder, "env"), Path(folder, "coverslip")
        # A copy: a build leaves files in its source.
        ignore = shutil.ignore_patterns(".*", "results", "build", "*.egg-info", "raw", "weights")
        shutil.copytree(ROOT, source, ignore=ignore)
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        python = environment / "bin/python"
        pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-cache-dir"]
        before = disk_bytes(environment)
        start = time.perf_counter()
        what = f"{source}[{extras}]" if extras else str(source)
        subprocess.run([*pip, "install", "--quiet", what], check=True)
        seconds = time.perf_counter() - start
        listed = subprocess.run([*pip, "list", "--format=freeze"], check=True, capture_output=True)
        packages = len(listed.stdout.splitlines()) - 2  # pip and setuptools
        subprocess.run([environment / "bin/coverslip", "doctor"], check=True, capture_output=True)
        return seconds, packages, disk_bytes(environment) - before


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("extras", nargs="*", help="as in `train kaggle,slurm`")
    version = ".".join(map(str, sys.version_info[:3]))
    print(f"| `pip install`, Python {version} | seconds | packages | MB on disk |")
    print("| --- | ---: | ---: | ---: |")
    for extras in ["", *parser.parse_args().extras]:
        seconds, packages, size = install(extras)
        name = f"coverslip[{extras}]" if extras else "coverslip"
        print(f"| `{name}` | {seconds:.0f} | {packages} | {size / 1e6:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
