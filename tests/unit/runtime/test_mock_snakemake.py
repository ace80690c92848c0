"""A script runs by hand with what its job got from Snakemake."""

import runpy
from pathlib import Path

from coverslip.runtime.mock_snakemake import mock_snakemake
from coverslip.runtime.run_script import run_script

SCRIPT = """
from pathlib import Path
s = snakemake
text = [s.rule, s.wildcards.study, s.params.code, s.params.not_compared["retries"], s.threads]
text += [Path(s.input.one).read_text(), [Path(p).read_text() for p in s.input.many], len(s.input)]
text += [s.input.get("best", []), dict(s.params.items())["code"], s.resources.get("gpu", 0)]
Path(s.output.table).write_text(repr(text))
"""


def test_a_script_runs_by_hand(snakemake_object, tmp_path):
    one, many = str(tmp_path / "input.txt"), str(tmp_path / "many.txt")
    Path(many).write_text("2")
    snakemake_object.input[:] = [one, many]
    snakemake_object.input.named = {"one": one, "many": [many]}
    snakemake_object.output.named = {"table": snakemake_object.output[0]}
    snakemake_object.params.named["not_compared"] = {"retries": 3}
    with run_script(snakemake_object):
        Path(snakemake_object.output[0]).write_text("made")
    (tmp_path / "script.py").write_text(SCRIPT)
    again = mock_snakemake(tmp_path / "output.run.json")
    runpy.run_path(str(tmp_path / "script.py"), {"snakemake": again})
    expected = ["train", "s", "abc", 3, 2, "1", ["2"], 2, [], "abc", 0]
    assert Path(snakemake_object.output[0]).read_text() == repr(expected)
