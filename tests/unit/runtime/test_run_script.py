"""What every script does around its call."""

import errno
import json
import os
import time
from pathlib import Path

import pytest

from coverslip.errors import CoverslipError
from coverslip.runtime.run_record import identity
from coverslip.runtime.run_script import LOG, TERMINATED, run_script


@pytest.fixture
def snakemake(snakemake_object):
    return snakemake_object


def test_a_users_mistake_is_one_line_and_exit_status_1(snakemake, capsys):
    with pytest.raises(SystemExit) as caught, run_script(snakemake):
        raise CoverslipError("a.zip: is cut short; copy it again")
    assert caught.value.code == 1
    assert capsys.readouterr().err == "coverslip: a.zip: is cut short; copy it again\n"
    assert "Traceback" in Path(snakemake.log[0]).read_text()


def test_a_job_with_another_coverslip_than_its_rules_fails(snakemake, capsys, monkeypatch):
    monkeypatch.setenv("COVERSLIP_WORKFLOW", "/elsewhere/workflow")
    with pytest.raises(SystemExit), run_script(snakemake):
        pytest.fail("the body of the script must not run")
    assert "hides that of the workflow /elsewhere/workflow" in capsys.readouterr().err


def test_a_package_of_an_extra_that_is_missing_names_the_extra(snakemake, capsys):
    with pytest.raises(SystemExit), run_script(snakemake):
        raise ModuleNotFoundError("No module named 'keras'", name="keras")
    assert capsys.readouterr().err == (
        "coverslip: this needs the package keras: pip install 'coverslip[train]'\n"
    )
    with pytest.raises(SystemExit), run_script(snakemake):
        raise ModuleNotFoundError("No module named 'x'", name="x")
    assert "please report it" in capsys.readouterr().err


def test_a_name_with_line_breaks_stays_in_its_line(snakemake, capsys):
    with pytest.raises(SystemExit), run_script(snakemake):
        raise CoverslipError("a.csv: id 'x\n\x1b[2J' stands twice")
    assert capsys.readouterr().err == "coverslip: a.csv: id 'x [2J' stands twice\n"


def test_a_full_disk_names_the_file_and_the_mend(snakemake, capsys):
    with pytest.raises(SystemExit), run_script(snakemake):
        raise OSError(errno.ENOSPC, "No space left on device", "results/x.h5")
    told = capsys.readouterr().err
    assert "results/x.h5" in told and "free some space" in told and "Traceback" not in told


def test_scripts_of_one_process_have_logs_of_their_own(snakemake, tmp_path, capsys):
    first = Path(snakemake.log[0])
    with run_script(snakemake):
        Path(snakemake.output[0]).write_text("made")
    snakemake.log[0] = str(tmp_path / "logs/second.log")
    with pytest.raises(SystemExit), run_script(snakemake):
        raise OSError(errno.ENOSPC, "No space left on device")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"coverslip: {Path.cwd()}: No space left")
    assert first.read_text() == "" and "No space" in (tmp_path / "logs/second.log").read_text()


@pytest.mark.parametrize("error", [ZeroDivisionError("x\n\ny"), KeyError(), MemoryError()])
def test_a_defect_is_one_line_and_its_traceback_is_in_the_log(snakemake, capsys, error):
    with pytest.raises(SystemExit) as caught, run_script(snakemake):
        raise error
    (line,) = capsys.readouterr().err.splitlines()
    assert caught.value.code == 1 and line.startswith("coverslip: ")
    if not isinstance(error, MemoryError):
        assert snakemake.log[0] in line and f"{type(error).__name__}" in line
        assert f"{Path(__file__).name}, line " in line
    assert "Traceback (most recent call last)" in Path(snakemake.log[0]).read_text()


@pytest.mark.parametrize("declared", [True, False])
def test_the_record_tells_how_a_job_ended(snakemake, tmp_path, declared):
    record, failed = tmp_path / "output.run.json", tmp_path / "logs/x.run.json"
    if declared:
        snakemake.output.append(str(record))
        snakemake.output.named["record"] = str(record)
    with pytest.raises(SystemExit), run_script(snakemake):
        raise CoverslipError("no")
    assert not record.exists(), "half an output would be taken for whole"
    assert json.loads(failed.read_text())["failed"] == "no"
    with run_script(snakemake) as facts:
        Path(snakemake.output[0]).write_text("made")
        facts["device"] = "CPU"
    written = json.loads(record.read_text())
    assert written["device"] == "CPU" and written["rule"] == "train" and written["code"] == "abc"
    assert written["peak_memory_mb"] > 1 and written["packages"]["numpy"]
    assert list(written["outputs"]) == [snakemake.output[0]] and "failed" not in written
    assert not failed.exists(), "it did not fail in the end"


def test_a_job_whose_input_changed_meanwhile_fails(snakemake, capsys):
    with pytest.raises(SystemExit), run_script(snakemake):
        Path(snakemake.output[0]).write_text("made")
        Path(snakemake.input[0]).write_text("replaced")
    assert "input.txt: changed while the job read it" in capsys.readouterr().err


def test_an_input_from_the_future_is_dated_now(snakemake, capsys):
    later = time.time() + 86400
    os.utime(snakemake.input[0], (later, later))
    with run_script(snakemake):
        assert Path(snakemake.input[0]).stat().st_mtime <= time.time()
        Path(snakemake.output[0]).write_text("made")
    assert "input.txt: was dated 86" in capsys.readouterr().err


def test_an_input_from_the_future_that_is_not_ours_is_told(snakemake, capsys, monkeypatch):
    later = time.time() + 86400
    os.utime(snakemake.input[0], (later, later))

    def refuse(path):
        raise PermissionError(errno.EPERM, "Operation not permitted", str(path))

    monkeypatch.setattr(os, "utime", refuse)
    with pytest.raises(SystemExit), run_script(snakemake):
        pytest.fail("nothing is computed in vain")
    assert "in the future" in capsys.readouterr().err


def test_results_are_reused_from_the_shared_cache(snakemake, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SNAKEMAKE_OUTPUT_CACHE", str(tmp_path / "shared"))
    record = tmp_path / "output.run.json"
    output = Path(snakemake.output[0])
    with run_script(snakemake, reuse=True) as facts:
        assert "reused" not in facts
        output.write_text("made")
        facts["training"] = {"epochs": 3}
    first = json.loads(record.read_text())
    output.unlink()
    with run_script(snakemake, reuse=True) as facts:
        assert "reused" in facts and output.read_text() == "made"
    again = json.loads(record.read_text())
    assert again.pop("reused")["entry"] and again == first, "the record tells of the real work"
    assert "taken from the shared cache" in capsys.readouterr().err
    with run_script(snakemake) as facts:
        assert facts == {}


def test_a_failed_job_is_not_kept_in_the_shared_cache(snakemake, tmp_path, monkeypatch):
    monkeypatch.setenv("SNAKEMAKE_OUTPUT_CACHE", str(tmp_path / "shared"))
    with pytest.raises(SystemExit), run_script(snakemake, reuse=True):
        Path(snakemake.output[0]).write_text("made")
        Path(snakemake.input[0]).write_text("replaced")
    assert not (tmp_path / "shared").exists()


def test_a_log_that_cannot_be_written_is_one_line(snakemake, tmp_path, capsys):
    (tmp_path / "logs").write_text("in the way")
    with pytest.raises(SystemExit), run_script(snakemake):
        pass
    assert "logs" in capsys.readouterr().err


def test_identity_depends_on_params_and_input_contents(snakemake, tmp_path):
    first = identity(snakemake)
    snakemake.params.named["code"] = "abd"
    second = identity(snakemake)
    (tmp_path / "input.txt").write_text("2")
    assert len({first, second, identity(snakemake)}) == 3


def test_how_a_job_goes_about_it_is_no_part_of_what_it_made(snakemake, tmp_path):
    first = identity(snakemake)
    snakemake.params.named["not_compared"] = {"retries": 7}
    assert identity(snakemake) == first
    with run_script(snakemake):
        Path(snakemake.output[0]).write_text("made")
    assert json.loads((tmp_path / "output.run.json").read_text())["params"] == {"code": "abc"}


def test_an_end_that_was_asked_for_is_no_fault(snakemake):
    with pytest.raises(SystemExit) as caught, run_script(snakemake):
        LOG.info("terminated after epoch 3: run again to go on from there")
        raise SystemExit(TERMINATED)
    assert caught.value.code == 143
    text = Path(snakemake.log[0]).read_text()
    assert text == "terminated after epoch 3: run again to go on from there\n"
    with pytest.raises(SystemExit), run_script(snakemake):
        raise SystemExit("something else")
    assert "Traceback" in Path(snakemake.log[0]).read_text()


def test_ctrl_c_is_no_fault(snakemake, tmp_path, capsys):
    record = tmp_path / "logs/x.run.json"
    with pytest.raises(SystemExit) as caught, run_script(snakemake):
        raise KeyboardInterrupt
    assert caught.value.code == 130
    assert capsys.readouterr().err == "", "Snakemake says it for all jobs"
    assert Path(snakemake.log[0]).read_text() == "interrupted: run again to go on\n"
    assert json.loads(record.read_text())["failed"] == "KeyboardInterrupt"


def test_a_job_that_begins_after_ctrl_c_ends_at_once(snakemake, tmp_path, monkeypatch):
    monkeypatch.setenv("COVERSLIP_INTERRUPTED", str(tmp_path))
    with pytest.raises(SystemExit) as caught, run_script(snakemake):
        pytest.fail("computes")
    assert caught.value.code == 130


def test_the_record_tells_what_was_warned_of(snakemake, tmp_path):
    record = tmp_path / "run.json"
    snakemake.output.append(str(record))
    snakemake.output.named["record"] = str(record)
    Path(snakemake.output[0]).write_text("made")
    with run_script(snakemake):
        LOG.info("fine")
        LOG.warning("memory ran out with %d tiles at once: goes on with 4", 8)
    told = json.loads(record.read_text())
    assert told["warnings"] == ["memory ran out with 8 tiles at once: goes on with 4"]
    with run_script(snakemake):
        LOG.info("fine")
    assert "warnings" not in json.loads(record.read_text())
