"""Seconds of a dry run, for one dataset of N images: `python benchmarks/dry_run.py [N]`.

The dataset is a folder of N image files of a few bytes (a dry run does not decode them), asked by
four studies with 16 shards each. The first run reads the folder's names only; the second is timed
after the folder's inventory was taken.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]


def main(images: int) -> None:
    """Print one line: images, jobs, seconds of two dry runs, peak memory."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for part in ("inputs", "masks"):
            (folder / "data" / part).mkdir(parents=True)
            for number in range(images):
                (folder / "data" / part / f"{number:06d}.png").write_bytes(b"%d" % number)
        study = {
            "title": "Study",
            "dataset": "own",
            "preprocessing": {"shards": 16},
            "evaluation": {"shards": 16},
        }
        source = {"kind": "path", "path": str(folder / "data")}
        config = {
            "datasets": {"own": {"title": "Own", "source": source, "format": "paired"}},
            "studies": {f"study{number}": study for number in range(4)},
        }
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        command = [sys.executable, "-m", "snakemake", "--cores", "2", "--dry-run", "--quiet"]
        command += ["--snakefile", str(ROOT / "workflow/Snakefile")]
        command += ["--workflow-profile", str(ROOT / "workflow/profiles/default")]
        command += ["--configfile", str(folder / "config.yaml"), "--directory", str(folder)]
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            seconds.append(time.perf_counter() - start)
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        told = ", ".join(f"{second:.1f} s" for second in seconds)
        print(f"{images} images and as many masks: {told}; peak memory {memory:.0f} MB")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100_000)
