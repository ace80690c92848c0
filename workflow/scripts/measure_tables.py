from pathlib import Path

from coverslip.measure import tables
from coverslip.measure.tables import link_all, write_parquet
from coverslip.reporting.figures import measured_images as plot
from coverslip.runtime.run_script import run_script

with run_script(snakemake):
    time = snakemake.params.time
    shards = [Path(path) for path in snakemake.input.images]
    table = tables.image_table(shards, time["time_pattern"], time["time_unit"])
    tables.write_images(table, Path(snakemake.output.images))
    objects = Path(snakemake.output.objects)
    tables.merge_objects([Path(path) for path in snakemake.input.objects], objects)
    if parquet := snakemake.output.get("parquet"):
        write_parquet(objects, Path(parquet))
    plot.draw(table, Path(snakemake.output.plot))
    for kind in ("labels", "overlays", "exports"):
        link_all(map(Path, snakemake.input.get(kind)), Path(snakemake.output.get(kind)))
