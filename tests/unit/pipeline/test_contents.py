"""An input of other contents changes a parameter, whatever its date is."""

import json
import os

from coverslip.files import read_sha256
from coverslip.pipeline.contents import input_contents


def test_only_other_contents_change_the_parameter(tmp_path):
    file, record = tmp_path / "a.zip", tmp_path / "run.json"
    file.write_text("one")
    assert input_contents([str(file)], record, "contents") is None, "no results yet"
    first = {"archive": {str(file): read_sha256(file)}}
    record.write_text(json.dumps({"inputs": first, "params": {"contents": None}}))
    os.utime(file, (1, 1))
    assert input_contents([str(file)], record, "contents") is None
    file.write_text("two")
    os.utime(file, (1, 1))
    changed = input_contents([str(file)], record, "contents")
    assert changed == {str(file): read_sha256(file)}
    again = {"archive": changed}
    record.write_text(json.dumps({"inputs": again, "params": {"contents": changed}}))
    assert input_contents([str(file)], record, "contents") == changed, "nothing to do"
    file.unlink()
    assert input_contents([str(file)], record, "contents") == changed, "it is needed no more"
    record.write_text("{")
    assert input_contents([str(file)], record, "contents") is None
