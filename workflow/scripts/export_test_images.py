from pathlib import Path

from coverslip.data.image_folder import write_image_folder
from coverslip.data.tables import select_images
from coverslip.runtime.run_script import LOG, run_script

with run_script(snakemake):
    test = select_images(Path(snakemake.input.split), 0, ["test"])
    output = Path(snakemake.output[0])
    count = write_image_folder(
        store=Path(snakemake.input.images),
        ids=test.index,
        images=output,
        pixel_size_um=snakemake.params.pixel_size_um,
    )
    LOG.info("%s: %d images", output, count)
