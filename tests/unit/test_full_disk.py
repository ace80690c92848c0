import errno

import pytest
import small_disk

from coverslip.errors import CoverslipError
from coverslip.files import report_disk_full


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
    ],
)
def test_full_disk_is_told(tmp_path, error):
    output = tmp_path / "out.h5"
    with (
        pytest.raises(CoverslipError, match=r"out\.h5: no space left .*about 4\.0 MB are needed"),
        report_disk_full(output) as progress,
    ):
        progress.note(0.25, 1_000_000)
        raise error


def test_other_errors_pass(tmp_path):
    with pytest.raises(PermissionError), report_disk_full(tmp_path / "out.h5"):
        raise PermissionError(errno.EACCES, "Permission denied")


JOB = """
import types
from coverslip.files import write_json
from coverslip.runtime.run_script import LOG, run_script

class Named(list):
    def __init__(self, *values, **names):
        super().__init__(values)
        self.names = names
    def items(self):
        return self.names.items()
    def get(self, key, default=None):
        return self.names.get(key, default)

job = types.SimpleNamespace(
    rule="x", threads=1, wildcards=Named(), params=Named(), input=Named(),
    output=Named("out/table.json"), log=Named("logs/x.log", "out/run.json", record="out/run.json"),
)
Path("logs").mkdir()
with small_disk.space_left(int(sys.argv[1])), run_script(job):
    for number in range(2000):
        LOG.info("line %d of the log", number)
    write_json(Path("out/table.json"), list(range(int(sys.argv[2]))))
"""


@pytest.mark.reliability(
    "D8",
    "the disk has no space for the log of a job, or for log, results and record",
    "log lines are on the terminal; a job that cannot write its results ends with one line",
)
@pytest.mark.parametrize(("space", "numbers"), [(0, 10), (8192, 50_000)])
def test_a_job_on_a_full_disk(tmp_path, space, numbers):
    done = small_disk.run_code(JOB, tmp_path / "disk", str(space), str(numbers))
    *log, last = done.stderr.splitlines()
    assert log == [f"line {number} of the log" for number in range(2000)]
    assert done.returncode == 1
    assert last.startswith("coverslip: out/") and ("free some space" in last or "ulimit" in last)
