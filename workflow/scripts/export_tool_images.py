from pathlib import Path

from coverslip.data.image_folder import write_image_folder
from coverslip.data.tables import select_images
from coverslip.runtime.run_script import LOG, run_script

with run_script(snakemake):
    output = Path(snakemake.output[0])
    store, split = Path(snakemake.input.images), Path(snakemake.input.split)
    for subset, folder in snakemake.params.subsets.items():
        table = select_images(split, int(snakemake.wildcards.fold), [subset])
        images = output / folder
        if snakemake.params.labels:
            count = write_image_folder(store, table.index, images / "images", images / "labels")
        else:
            ids = table.index[int(snakemake.wildcards.shard) :: snakemake.params.shards]
            # Not the folder itself, where Snakemake puts a file of its own.
            count = write_image_folder(store, ids, images / "images")
        LOG.info("%s: %d images", images, count)
