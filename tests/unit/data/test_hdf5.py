import h5py
import numpy as np
import pytest
import small_disk

from coverslip.data.hdf5 import CHUNK_BYTES, chunk_shape, write_array, write_hdf5

FILL = """
import numpy as np
from coverslip.data.hdf5 import write_array, write_hdf5

def fill(path):
    rng = np.random.default_rng(1)
    with write_hdf5(Path(path)) as file:
        file.attrs["classes"] = "x"
        for number in range(40):
            write_array(file, f"image/{number}", rng.integers(0, 65535, (70, 50), dtype=np.uint16))

fill("whole.h5")
whole = Path("whole.h5").read_bytes()
for missing in map(int, sys.argv[1:]):
    try:
        with small_disk.space_left(len(whole) - missing):
            fill("a.h5")
    except OSError as error:
        print(error.errno, error.filename, sorted(os.listdir()))
    else:
        print("written", Path("a.h5").read_bytes() == whole)
"""


@pytest.mark.reliability(
    "D8",
    "the disk is full while HDF5 files are written (images, predictions, attribution maps)",
    "the file does not appear, HDF5 does not crash the process, the error names the file",
)
def test_full_disk(tmp_path):
    done = small_disk.run_code(FILL, tmp_path / "disk", "5000", "20000", "100000", "250000", "0")
    assert done.stderr == "" and done.returncode == 0
    *failed, whole = done.stdout.splitlines()
    code = 28 if small_disk.prefix() else 27
    assert failed == [f"{code} a.h5 ['whole.h5']"] * 4 and whole == "written True"


def test_nothing_remains_of_a_broken_write(tmp_path):
    with pytest.raises(RuntimeError), write_hdf5(tmp_path / "s.h5") as file:
        write_array(file, "a", np.zeros((3, 3), np.uint8))
        raise RuntimeError
    assert not list(tmp_path.iterdir())


def test_large_images_are_cut_into_chunks(tmp_path):
    assert chunk_shape((3, 4, 1), 1) == (3, 4, 1)
    rows, width, channels = chunk_shape((5000, 4000, 3), 2)
    assert (width, channels) == (4000, 3)
    assert 0.9 * CHUNK_BYTES < rows * width * channels * 2 <= CHUNK_BYTES
    assert chunk_shape((2, 10**7), 4) == (1, 10**7)
    with write_hdf5(tmp_path / "s.h5") as file:
        write_array(file, "a", np.zeros((3, 3), np.uint8))
    with h5py.File(tmp_path / "s.h5") as file:
        # Not "lzf": equal images would not always give equal bytes.
        assert file["a"].compression == "gzip"
