from pathlib import Path

from coverslip.job import job
from coverslip.learning import device

with job(snakemake):
    device.prepare(threads=snakemake.threads)
    from coverslip.models import export

    export.onnx(Path(snakemake.input.model).parent, Path(snakemake.output[0]))
