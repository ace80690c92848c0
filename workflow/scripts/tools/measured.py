"""Run a program and write what it took: `python measured.py FACTS COMMAND...`.

FACTS gets `returncode`, `seconds`, `cpu_seconds` and `peak_memory_mb` (10^6 bytes, the largest
resident memory of the program or of one that it started) as JSON. It is a process of its own
because Linux counts the memory of the process that starts a program as the program's, and this
one is small.
"""

import json
import os
import subprocess
import sys
import time


def main() -> None:
    """Run the command, write the file."""
    started = time.perf_counter()
    try:
        process = subprocess.Popen(sys.argv[2:])
    except OSError as error:
        sys.exit(f"{sys.argv[2]}: cannot be started ({error.strerror})")
    _, status, used = os.wait4(process.pid, 0)
    unit = 1 if sys.platform == "darwin" else 1024
    facts = {
        "returncode": os.waitstatus_to_exitcode(status),
        "seconds": round(time.perf_counter() - started, 2),
        "cpu_seconds": round(used.ru_utime + used.ru_stime, 2),
        "peak_memory_mb": round(used.ru_maxrss * unit / 1e6),
    }
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump(facts, file)


if __name__ == "__main__":
    main()
