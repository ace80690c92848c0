from pathlib import Path

from pydantic import TypeAdapter

from coverslip.config.sections import OtherModel
from coverslip.evaluation.import_labels import import_labels
from coverslip.pipeline.folder_inventory import check_unchanged
from coverslip.runtime.run_record import identity
from coverslip.runtime.run_script import run_script

with run_script(snakemake) as facts:
    section, folder = dict(snakemake.params.model), snakemake.params.folder
    min_area_px = section.pop("min_area_px", 0)
    path = folder["path"] if folder else None
    model = TypeAdapter(OtherModel).validate_python(
        section | ({"path": path} if section["kind"] == "labels" else {})
    )
    facts["device"] = {"name": "CPU"}
    facts["labels"] = import_labels(
        model,
        folder=Path(path) if path else None,
        images=Path(snakemake.input.images),
        manifest=Path(snakemake.input.manifest),
        split=Path(snakemake.input.split),
        fold=int(snakemake.wildcards.fold),
        min_area_px=min_area_px,
        predictions=Path(snakemake.output.predictions),
        info=Path(snakemake.output.info),
        facts={
            "study": snakemake.wildcards.study,
            "licence": snakemake.params.licence,
            "code": snakemake.params.code,
            "identity": identity(snakemake),
        },
    )
    if folder and "inventory" in folder:
        check_unchanged(folder)
