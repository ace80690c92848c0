"""Snakemake that asks SLURM for its jobs twice a second; the jobs run Snakemake itself.

The plugin asks first after 5 seconds or more and then ever more rarely, which is right for jobs of
hours and would make a test of many short jobs wait most of its time.
"""

import asyncio
import sys

from snakemake.cli import main
from snakemake_interface_executor_plugins.executors.remote import RemoteExecutor


async def sleep(self: RemoteExecutor) -> None:
    """Stand in for `RemoteExecutor.sleep`."""
    await asyncio.sleep(0.5)


RemoteExecutor.sleep = sleep
main(sys.argv[1:])
