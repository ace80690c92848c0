"""Snakemake, imported once and forked for each run: half of a dry run is its import.

Started by `running.snakemake`. Takes one request a line, as JSON (`arguments`, `cwd`,
`environment`; `stdout` and `stderr`: files), and answers with the exit status.
"""

import json
import os
import runpy
import sys
from typing import Any


def requested() -> dict[str, Any] | None:
    """In a child: what it is to run. In this process: nothing, when there are no more requests."""
    import snakemake.cli  # noqa: F401

    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            return json.loads(line)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(status, flush=True)
    return None


if __name__ == "__main__" and (request := requested()):
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["environment"])
    for number, path in enumerate((os.devnull, request["stdout"], request["stderr"])):
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC if number else os.O_RDONLY
        os.dup2(os.open(path, flags, 0o644), number)
    sys.path[0] = request["cwd"]
    sys.argv = ["snakemake", *request["arguments"]]
    runpy.run_module("snakemake", run_name="__main__", alter_sys=True)
