"""Licences and citations of the data stand wherever results are told."""

import made_up
import pytest
import yaml

from coverslip.reporting import report, results

LICENCE, CITATION = "CC0-1.0", "Nature Methods 16, 1247-1253 (2019)"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    config, figures = made_up.results(folder)
    return config, figures, folder


def told(text: str) -> str:
    return " ".join(text.split())


def test_the_report_tells_licence_and_citation_of_every_dataset(run, tmp_path):
    config, figures, folder = run
    used = {config["studies"][name]["dataset"] for name in made_up.TRUTH}
    studies = results.collect(config, list(made_up.TRUTH), figures, folder)
    report.build(studies, {"command": "snakemake"}, tmp_path / "report.html")
    page = told((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert used == {"dsb2018"}
    assert page.count(LICENCE) == 1 and page.count(CITATION) == 1, "once, whatever uses it"


def test_every_dataset_of_the_shipped_configs_says_both():
    """Also where nobody knows a licence: then that is said."""
    found = 0
    for file in sorted((made_up.ROOT / "config").glob("*.yaml")):
        config = yaml.safe_load(file.read_text(encoding="utf-8"))
        for name, dataset in config.get("datasets", {}).items():
            assert dataset["licence"], name
            told = dataset.get("citation") or dataset["licence"] == "not stated"
            assert told or dataset["source"]["kind"] == "synthetic", name
            found += 1
    assert found > 3
