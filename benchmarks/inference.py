"""Start-up and speed of the runtimes for inference: `python benchmarks/inference.py`.

Prints a Markdown table. Each candidate runs in a process of its own: it loads the network of a
model folder (`--model`, by default the nucleus model that comes with coverslip) and predicts a
simulated image of nuclei, cut into tiles side by side. Columns: seconds from the start of the
process to the first answer on one small tile; seconds per megapixel on tiles of each size, the
median of `--repeats`; peak resident memory; and the largest difference of a probability from
Keras in float32. `openvino` and `tensorflow-cpu` are needed only here.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow/scripts"))

import numpy as np

SIDE = 1024
"""Side of the image in pixels."""
TILES = (160, 256, 512, 1024)
CANDIDATES = ("tensorflow", "onnxruntime", "openvino float32", "openvino bfloat16")

Predict = Callable[[np.ndarray], np.ndarray]


def tensorflow(folder: Path, threads: int) -> Predict:
    """Keras with TensorFlow and oneDNN, as `coverslip.models.model` runs it."""
    from coverslip.models import model
    from coverslip.runtime import device

    device.prepare(threads=threads)
    return model.load(folder, runtime="keras").predictor()


def onnxruntime(folder: Path, threads: int) -> Predict:
    """ONNX Runtime, as `coverslip.models.onnx_network` runs it."""
    from coverslip.models.folder import read_info
    from coverslip.models.onnx_network import OnnxNetwork

    return OnnxNetwork(folder / "model.onnx", read_info(folder), threads).predict


def openvino(folder: Path, threads: int, precision: str) -> Predict:
    """OpenVINO, with computation in float32 or bfloat16."""
    import openvino as ov

    hints = {
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bfloat16": "bf16"}[precision],
        "INFERENCE_NUM_THREADS": threads,
        "PERFORMANCE_HINT": "LATENCY",
    }
    network = ov.Core().compile_model(str(folder / "model.onnx"), "CPU", hints)
    return lambda tiles: network(tiles.astype(np.float32))[0]


def image() -> np.ndarray:
    """A simulated field of nuclei, uint8 `SIDE` x `SIDE` x 1."""
    from coverslip.data.simulate import nuclei

    rng = np.random.default_rng(1)
    return nuclei.draw_image(SIDE, nuclei.draw_plate(SIDE, rng), rng)[0].reshape(SIDE, SIDE, 1)


def measure(name: str, folder: Path, threads: int, repeats: int, started: float, out: Path) -> None:
    """Measure one candidate, and write its numbers and its answers."""
    runtime, _, precision = name.partition(" ")
    if runtime == "tensorflow":
        predict = tensorflow(folder, threads)
    elif runtime == "onnxruntime":
        predict = onnxruntime(folder, threads)
    else:
        predict = openvino(folder, threads, precision)
    predict(np.zeros((1, 160, 160, 1), np.uint8))
    facts = {"start": time.time() - started}
    pixels = image()
    for side in TILES:
        count = SIDE // side
        tiles = [
            pixels[None, y * side : (y + 1) * side, x * side : (x + 1) * side]
            for y in range(count)
            for x in range(count)
        ]
        answers = [np.array(predict(tile)) for tile in tiles]
        seconds = []
        for _ in range(repeats):
            begin = time.perf_counter()
            for tile in tiles:
                predict(tile)
            seconds.append(time.perf_counter() - begin)
        megapixels = (count * side) ** 2 / 1e6
        facts[str(side)] = statistics.median(seconds) / megapixels
        np.save(out / f"{name}-{side}.npy", np.concatenate(answers).astype(np.float32))
    facts["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # kilobytes on Linux
    (out / f"{name}.json").write_text(json.dumps(facts))


def main(given: argparse.Namespace) -> None:
    """Run the candidates one after the other, and print the table."""
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary)
        for name in given.candidates:
            command = [sys.executable, __file__, "--model", str(given.model)]
            command += ["--threads", str(given.threads), "--repeats", str(given.repeats)]
            subprocess.run(
                [*command, "--one", name, "--out", temporary, "--started", str(time.time())],
                check=True,
                env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"},
            )
        first = given.candidates[0]
        sizes = " | ".join(f"s/MP, tiles {side}" for side in TILES)
        print(f"| runtime | start, s | {sizes} | memory, GB | difference from {first} |")
        print("| --- | " + " | ".join(["---:"] * (len(TILES) + 3)) + " |")
        for name in given.candidates:
            facts = json.loads((out / f"{name}.json").read_text())
            apart = max(
                float(
                    np.abs(
                        np.load(out / f"{name}-{s}.npy") - np.load(out / f"{first}-{s}.npy")
                    ).max()
                )
                for s in TILES
            )
            speeds = " | ".join(f"{facts[str(side)]:.2f}" for side in TILES)
            memory = f"{facts['memory']:.2f} | {apart:.1e}"
            print(f"| {name} | {facts['start']:.1f} | {speeds} | {memory} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    default = Path(__file__).resolve().parents[1] / "resources/models/nuclei-1"
    parser.add_argument("--model", type=Path, default=default)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--candidates", nargs="+", choices=CANDIDATES, default=list(CANDIDATES))
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--started", type=float, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        measure(
            options.one, options.model, options.threads, options.repeats,
            options.started, options.out,
        )  # fmt: skip
    else:
        main(options)
