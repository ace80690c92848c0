from pathlib import Path

from coverslip.job import job
from coverslip.measuring import measure_plot, measure_tables
from coverslip.measuring.measure_links import link_all
from coverslip.measuring.measure_parquet import write_parquet

with job(snakemake):
    time = snakemake.params.time
    shards = [Path(path) for path in snakemake.input.pictures]
    table = measure_tables.picture_table(shards, time["time_pattern"], time["time_unit"])
    measure_tables.write_pictures(table, Path(snakemake.output.pictures))
    objects = Path(snakemake.output.objects)
    measure_tables.merge_objects([Path(path) for path in snakemake.input.objects], objects)
    write_parquet(objects, Path(snakemake.output.parquet))
    measure_plot.draw(table, Path(snakemake.output.plot))
    for kind in ("labels", "overlays"):
        link_all(map(Path, snakemake.input.get(kind)), Path(snakemake.output.get(kind)))
