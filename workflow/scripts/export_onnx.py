from pathlib import Path

from coverslip import device
from coverslip.job import job

with job(snakemake):
    device.prepare(threads=snakemake.threads)
    from coverslip import export

    export.onnx(Path(snakemake.input.model).parent, Path(snakemake.output[0]))
