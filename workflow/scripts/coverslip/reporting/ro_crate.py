"""A whole run as an RO-Crate: `ro-crate-metadata.json` in the folder of results.

It follows the Process Run Crate profile 0.5 (https://w3id.org/ro/wfrun/process/0.5) of RO-Crate 1.1
(Soiland-Reyes et al., Data Science 5, 2022): one action for each job, from its record (`run.json`),
with its inputs, outputs, parameters and software; the data with their licences and citations from
the config. Only metadata are written: the folder of results becomes the crate as it
is. Run as `python -m coverslip.reporting.ro_crate --help`.
"""

from __future__ import annotations

import argparse
import json
import mimetypes
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import yaml
from rocrate.model import ContextEntity, File
from rocrate.rocrate import ROCrate
from snakemake.utils import update_config

from coverslip import __version__, files
from coverslip.config import validate
from coverslip.errors import CoverslipError
from coverslip.files import WORKFLOW, write_json

PROFILE = "https://w3id.org/ro/wfrun/process/0.5"

METADATA = "ro-crate-metadata.json"

# RO-Crate 1.1 has no term for a digest; this is that of Workflow Run RO-Crate.
TERMS = {"sha256": "https://w3id.org/ro/terms/workflow-run#sha256"}

FORMATS = {".h5": "application/x-hdf5", ".keras": "application/zip", ".npy": "application/x-npy"}

FORMATS |= {".ipynb": "application/x-ipynb+json"}

SCHEMA = WORKFLOW / "schemas" / "config.schema.json"

Entity: TypeAlias = ContextEntity | File


def write(config: Mapping[str, Any], names: Sequence[str], results: Path) -> Path:
    """Write the metadata of the run of some studies into their folder of results.

    Args:
        config: the config with all defaults (`coverslip.config.validate.resolve`).
        names: of the studies.
        results: folder of results.

    Returns:
        The file that was written. It has the same bytes each time.

    Raises:
        CoverslipError: there is no record, or a result is not what its record says.
    """
    datasets = sorted({config["studies"][name]["dataset"] for name in names})
    found = list(records(results, names, datasets))
    if not found:
        raise CoverslipError(f"{results}: holds no records (run.json) of these studies: run first")
    crate = _Crate(results, config, names, datasets, max(r["ended"] for r in found))
    for record in found:
        crate.add_action(record)
    output = results / METADATA
    write_json(output, crate.crate.metadata.generate())
    return output


def records(results: Path, names: Sequence[str], datasets: Sequence[str]) -> Iterator[dict]:
    """Records of jobs of these studies and datasets that ended well, in the order of their end."""
    found = []
    for path in sorted(results.rglob("*run.json")):
        text = path.read_text(encoding="utf-8")
        record: dict[str, Any] = json.loads(text) if text else {"failed": "killed"}
        of = record.get("wildcards", {})
        known = of.get("study", names[0]) in names and of.get("dataset", datasets[0]) in datasets
        if not record.get("failed") and known and "name" not in of:
            found.append((record["ended"], path.as_posix(), record))
    return (record for _, _, record in sorted(found, key=lambda each: each[:2]))


class _Crate:
    """A crate that grows by an action a job."""

    def __init__(
        self,
        results: Path,
        config: Mapping[str, Any],
        names: Sequence[str],
        datasets: Sequence[str],
        date: str,
    ):
        self.results = results
        self.crate = ROCrate(version="1.1")
        self.crate.metadata.extra_terms.update(TERMS)
        self._files: dict[str, Entity] = {}
        self.data = {name: self._data(name, config["datasets"][name]) for name in datasets}
        titles = [config["studies"][name]["title"] for name in names]
        licences = {d["title"]: d["licence"] for d in map(config["datasets"].get, datasets)}
        names = "; ".join(f"{title}: {licence}" for title, licence in licences.items())
        root = self.crate.root_dataset
        root["name"] = f"Results of coverslip: {'; '.join(titles)}"
        root["description"] = (
            "Data checks, splits, trained models, predictions, metrics and figures of the studies "
            f"{', '.join(names)}, made by the workflow coverslip {__version__}."
        )
        root["datePublished"] = date
        root["license"] = self._add("#licence", "CreativeWork", name=f"As the data: {names}")
        root["conformsTo"] = self._add(PROFILE, "CreativeWork", name="Process Run Crate")
        root["conformsTo"]["version"] = "0.5"
        root["mentions"] = []
        root["citation"] = _bare(list(self.data.values()))

    def add_action(self, record: Mapping[str, Any]) -> None:
        """Add a job: its inputs, parameters, outputs and software."""
        wildcards = record["wildcards"]
        name = " ".join([record["rule"], *(f"{k}={v}" for k, v in wildcards.items())])
        id = "#" + "-".join([record["rule"], *wildcards.values()])
        given = {key: value for key, value in record["params"].items() if key != "code"}
        parameters = self._add(
            f"{id}-parameters",
            "PropertyValue",
            name=f"parameters of {name}",
            value=json.dumps(given, sort_keys=True, ensure_ascii=False),
        )
        read = {path: d for group in record["inputs"].values() for path, d in group.items()}
        objects = [self._file(path, digest) for path, digest in read.items()]
        if record["rule"] in ("ingest", "simulate"):
            objects.append(self.data[wildcards["dataset"]])
        action = self._add(
            id,
            "CreateAction",
            name=name,
            startTime=record["started"],
            endTime=record["ended"],
            description=f"{record.get('command')}; {_where(record)}",
            instrument=self._software(record),
            object=[parameters, *objects],
            result=[self._file(path, digest) for path, digest in record["outputs"].items()],
        )
        self.crate.root_dataset.append_to("mentions", action)

    def _data(self, name: str, section: Mapping[str, Any]) -> Entity:
        source = section["source"]
        facts = {"name": section["title"], "identifier": name, "license": section["licence"]}
        if section["citation"]:
            facts["creditText"] = section["citation"]
        if source["kind"] == "kaggle":
            whole = source["competition"] or source["dataset"]
            kind = "competitions" if source["competition"] else "datasets"
            facts["url"] = f"https://www.kaggle.com/{kind}/{whole}"
        if source["sha256"]:
            facts["sha256"] = source["sha256"]
        return self._add(f"#data-{name}", "CreativeWork", **facts)

    def _software(self, record: Mapping[str, Any]) -> Entity:
        packages = {"python": record["python"], **record["packages"]}
        needed = [
            self._add(
                f"#{name}-{version}", "SoftwareApplication", name=name, softwareVersion=version
            )
            for name, version in packages.items()
        ]
        version = f"{__version__}, commit {record['git'] or 'unknown'}, code {record['code']}"
        return self._add(
            f"#coverslip-{record['rule']}-{record['code']}-{record['digests']['environment']}",
            "SoftwareApplication",
            name=f"coverslip, rule {record['rule']}",
            softwareVersion=version,
            softwareRequirements=needed,
        )

    def _file(self, path: str, digest: str) -> Entity:
        """A file by its path from where the workflow ran; others are only named."""
        if path not in self._files:
            inside = Path(path).parts[:1] == ("results",)
            file = self.results / Path(*Path(path).parts[1:])
            facts: dict[str, Any] = {"name": Path(path).name, "sha256": digest}
            if not inside:
                self._files[path] = self._add(f"#{path}", "CreativeWork", **facts)
            else:
                if not file.is_file():
                    raise CoverslipError(f"{file}: is in a record but missing: run again")
                if files.sha256(file) != digest:
                    raise CoverslipError(f"{file}: is not what its record says: make it again")
                facts["contentSize"] = str(file.stat().st_size)
                kind = FORMATS.get(file.suffix) or mimetypes.MimeTypes().guess_type(file.name)[0]
                facts |= {"encodingFormat": kind} if kind else {}
                where = file.relative_to(self.results).as_posix()
                added = self.crate.add_file(file, where, properties=facts)
                self._files[path] = added
        return self._files[path]

    def _add(self, id: str, kind: str, **properties: Any) -> Entity:
        known = self.crate.dereference(id)
        if known is not None:
            return known
        entity = ContextEntity(self.crate, id, properties={"@type": kind})
        self.crate.add(entity)
        for name, value in properties.items():
            entity[name] = _bare(value)
        return entity


def _bare(value: Any) -> Any:
    """A list of one as that one, as RO-Crate 1.1 recommends."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _where(record: Mapping[str, Any]) -> str:
    machine = record["machine"]
    device = (record.get("device") or {}).get("name")
    parts = [device, machine["processor"], f"{machine['cores']} cores", machine["system"]]
    return ", ".join(dict.fromkeys(str(part) for part in parts if part))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the crate of a run from its config and its folder of results."""
    parser = argparse.ArgumentParser(
        prog="python -m coverslip.reporting.ro_crate", description="Describe a run as an RO-Crate."
    )
    parser.add_argument("--configfile", type=Path, required=True, nargs="+")
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of the run")
    options = parser.parse_args(arguments)
    try:
        given: dict[str, Any] = {}
        for configfile in options.configfile:
            update_config(given, yaml.safe_load(configfile.read_text(encoding="utf-8")))
        config = validate.resolve(given, SCHEMA)
        print(write(config, validate.chosen_studies(config), options.results))
    except (CoverslipError, OSError) as error:
        sys.exit(f"coverslip: {error}")


if __name__ == "__main__":
    main()
