import errno

import pytest

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
