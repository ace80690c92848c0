from pathlib import Path

from coverslip.runtime import device
from coverslip.runtime.run_script import run_script

with run_script(snakemake):
    device.prepare(threads=snakemake.threads)
    from coverslip.models import export_onnx

    export_onnx.onnx(Path(snakemake.input.model).parent, Path(snakemake.output[0]))
