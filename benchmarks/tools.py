"""Apply a tool with random weights: `python benchmarks/tools.py TOOL PYTHON IMAGES OUT`.

Shows that the program of a tool (`workflow/scripts/tools`) works with the installed package, where
its published weights cannot be downloaded. TOOL is `cellpose`, `instanseg` or `micro_sam`, PYTHON
the interpreter that has it, IMAGES a folder of TIFF files. Label images of random weights mean
nothing; what counts is that each image has one of its size. `tool.json` is printed, with versions,
seconds and memory.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import tifffile

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "workflow/scripts"))

from coverslip.models.tool import FACTS, apply_tool

CELLPOSE = """
import sys
import torch
from cellpose.vit import CPSAM

torch.manual_seed(1)
torch.save(CPSAM().state_dict(), sys.argv[1])
"""

INSTANSEG = """
import sys
from pathlib import Path
import torch
from instanseg.utils.loss.instanseg_loss import InstanSeg as Loss
from instanseg.utils.loss.instanseg_loss import InstanSeg_Torchscript
from instanseg.utils.models.InstanSeg_UNet import InstanSeg_UNet

torch.manual_seed(1)
network = InstanSeg_UNet(in_channels=3, out_channels=[[2, 2, 1]], layers=[256, 128, 64, 32])
network = Loss(n_sigma=2, device="cpu").initialize_pixel_classifier(network)
whole = InstanSeg_Torchscript(network, pixel_size=0.5, n_sigma=2, backbone_dim_in=3)
folder = Path(sys.argv[1])
folder.mkdir()
torch.jit.save(torch.jit.script(whole), folder / "instanseg.pt")
"""

MICRO_SAM = """
import sys
import torch
from micro_sam.instance_segmentation import get_decoder
from segment_anything import sam_model_registry

torch.manual_seed(1)
sam = sam_model_registry["vit_b"]()
decoder = get_decoder(sam.image_encoder, None, "cpu")
state = {"model_state": sam.state_dict(), "decoder_state": decoder.state_dict()}
torch.save(state, sys.argv[1])
"""

PROGRAMS = {"cellpose": CELLPOSE, "instanseg": INSTANSEG, "micro_sam": MICRO_SAM}


def main() -> int:
    """Make the weights, apply the tool, check the label images."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tool", choices=PROGRAMS)
    parser.add_argument("python")
    for name in ("images", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--options", type=json.loads, default={})
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    weights = given.out / "weights"
    if not weights.exists():
        subprocess.run([given.python, "-c", PROGRAMS[given.tool], str(weights)], check=True)
    section = {"tool": given.tool, "model": str(weights), "command": None, "train": None}
    labels = given.out / "labels"
    apply_tool(
        {**section, "options": given.options},
        given.images,
        labels,
        weights,
        given.python,
        given.threads,
        given.out / "tool.log",
        "",
    )
    for path in sorted(given.images.glob("*.tif")):
        image, label = tifffile.imread(path), tifffile.imread(labels / path.name)
        assert label.shape == image.shape[:2], path
        print(f"{path.name}: {label.shape}, {label.dtype}, largest number {label.max()}")
    print((labels / FACTS).read_text(encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
