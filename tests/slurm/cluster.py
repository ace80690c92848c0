"""A real SLURM cluster of one node with a pretend GPU, on loopback, for tests.

munged, slurmctld and one slurmd run in the foreground as children of the test, with a key, sockets,
ports and folders of their own, as whoever runs the test: root is not needed, and nothing is written
outside the folder. The kernel ends them if the test itself is killed (`setpriv --pdeathsig`).
"""

from __future__ import annotations

import getpass
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from running import clean_environment

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel")
PROGRAMS += ("sinfo", "setpriv")
SBIN = ("/usr/local/sbin", "/usr/sbin", "/sbin")
NODE, GPUS = "ci1", 1
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"}
WAIT = 60.0
"""Seconds within which the cluster has to stand, on a busy machine."""

SLURM_CONF = """
ClusterName=coverslip
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld_port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.sock
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
MpiDefault=none
SwitchType=switch/none
TaskPlugin=task/none
ProctrackType=proctrack/pgid
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
EnforcePartLimits=ALL
ReturnToService=2
MessageTimeout=60
SlurmdTimeout=600
MinJobAge=3600
GresTypes=gpu
NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={slurmd_port} CPUs=32 \
RealMemory=64000 Gres=gpu:{gpus} State=UNKNOWN
PartitionName=all Nodes={node} Default=YES MaxTime=1440 State=UP
"""


class Job(NamedTuple):
    """A job as the controller tells it."""

    id: int
    rule: str
    state: str
    memory_mb: int
    cpus: int
    minutes: int
    gpus: str
    """What the job asked for: `gres:gpu:1` stands for `--gpus=1`."""


def missing() -> str | None:
    """Why no cluster can be started here, or None."""
    lacking = [name for name in PROGRAMS if not find(name)]
    if not lacking:
        return None
    told = ", ".join(lacking)
    return f"no SLURM to test with, {told} missing: apt install slurm-wlm slurm-client munge"


def find(program: str) -> str | None:
    """Path of a program; daemons lie where only root looks."""
    return shutil.which(program, path=os.pathsep.join([os.environ.get("PATH", ""), *SBIN]))


class Cluster:
    """Context manager: the cluster stands inside, and nothing is left of it outside.

    Args:
        folder: an empty folder of a short path: sockets lie in it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.daemons: list[subprocess.Popen] = []
        self.seconds = 0.0
        """Seconds that it took to start."""

    def __enter__(self) -> Cluster:
        started = time.monotonic()
        try:
            self._configure()
            self._start("munged", "--foreground", "--force", *self._munge_files())
            self._until((self.folder / "munge.sock").exists, "munged")
            self._start("slurmctld", "-D", "-f", str(self.conf))
            self._start("slurmd", "-D", "-N", NODE, "-f", str(self.conf))
            self._until(self._idle, "slurmctld and slurmd")
        except BaseException:
            self.__exit__()
            raise
        self.seconds = time.monotonic() - started
        return self

    def __exit__(self, *_: object) -> None:
        if len(self.daemons) == 3 and all(daemon.poll() is None for daemon in self.daemons):
            subprocess.run([find("scancel"), "--user", getpass.getuser()], env=self.environment)
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline and self._unfinished():
                time.sleep(0.2)
        for daemon in reversed(self.daemons):
            daemon.terminate()
        for daemon in reversed(self.daemons):
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        for number in self._left():
            with suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables of a user of the cluster.

        The plugin's job step drops SLURM_CONF, so a wrapper of srun gives it back; on a real
        cluster the configuration lies where srun looks by itself.
        """
        path = os.pathsep.join([str(self.folder / "bin"), os.environ.get("PATH", ""), *SBIN])
        usual = clean_environment().items()
        kept = {name: value for name, value in usual if not name.startswith("SLURM")}
        return kept | {"SLURM_CONF": str(self.conf), "PATH": path}

    def ask(self, *command: str) -> str:
        """What a command of SLURM prints.

        Raises:
            subprocess.CalledProcessError: it failed.
        """
        program, *arguments = command
        return subprocess.run(
            [str(find(program)), *arguments],
            env=self.environment,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def jobs(self) -> list[Job]:
        """All jobs that the controller knows, ended ones too, in the order they came."""
        found = []
        for line in self.ask("scontrol", "show", "jobs", "--oneliner").splitlines():
            told = dict(re.findall(r"(?:^| )([A-Za-z/:]+)=(\S*)", line))
            if "JobId" in told:
                rule = re.match(r"rule_(.*?)(?:_wildcards_|$)", told["Comment"])
                days, hours, minutes = re.match(
                    r"(?:(\d+)-)?(\d+):(\d+):\d+", told["TimeLimit"]
                ).groups()
                found.append(
                    Job(
                        id=int(told["JobId"]),
                        rule=rule[1] if rule else told["Comment"],
                        state=told["JobState"],
                        memory_mb=_megabytes(told["MinMemoryNode"]),
                        cpus=int(told["CPUs/Task"]),
                        minutes=int(days or 0) * 1440 + int(hours) * 60 + int(minutes),
                        gpus=told.get("TresPerJob", ""),
                    )
                )
        return sorted(found)

    def told(self) -> str:
        """The ends of the daemons' logs, for the message of a failed test."""
        logs = sorted(self.folder.glob("*.log"))
        return "\n".join(f"{log.name}: {log.read_text(errors='replace')[-1500:]}" for log in logs)

    @property
    def conf(self) -> Path:
        """The configuration."""
        return self.folder / "slurm.conf"

    def _configure(self) -> None:
        for name in ("state", "spool", "bin"):
            (self.folder / name).mkdir()
        ctld_port, slurmd_port = _free_ports(2)
        self.conf.write_text(
            SLURM_CONF.format(
                host=socket.gethostname().split(".")[0],
                user=getpass.getuser(),
                folder=self.folder,
                ctld_port=ctld_port,
                slurmd_port=slurmd_port,
                node=NODE,
                gpus=GPUS,
            )
        )
        # A GPU is a character device; these are there on every machine.
        devices = ",".join(("/dev/null", "/dev/zero", "/dev/full")[:GPUS])
        (self.folder / "gres.conf").write_text(f"NodeName={NODE} Name=gpu File={devices}\n")
        # No limits by cgroups. The older name of that plugin touches none either; newer versions
        # know it as disabled.
        version = self.ask("slurmd", "-V").split()[-1]
        newer = tuple(map(int, version.split(".")[:2])) >= (23, 11)
        plugin = "disabled" if newer else "cgroup/v1"
        (self.folder / "cgroup.conf").write_text(f"CgroupPlugin={plugin}\n")
        key = self.folder / "munge.key"
        key.write_bytes(secrets.token_bytes(128))
        key.chmod(0o400)
        wrapper = self.folder / "bin" / "srun"
        wrapper.write_text(
            f'#!/bin/sh\nSLURM_CONF="{self.conf}"; export SLURM_CONF\nexec {find("srun")} "$@"\n'
        )
        wrapper.chmod(0o755)

    def _munge_files(self) -> list[str]:
        names = {"key": "key", "socket": "sock", "pid": "pid", "seed": "seed", "log": "log"}
        files = [f"--{what}-file={self.folder}/munge.{end}" for what, end in names.items()]
        return [option.replace("socket-file", "socket") for option in files]

    def _start(self, program: str, *arguments: str) -> None:
        with open(self.folder / f"{program}.out.log", "w") as log:
            command = [str(find("setpriv")), "--pdeathsig", "TERM", str(find(program))]
            self.daemons.append(
                subprocess.Popen(
                    [*command, *arguments],
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,  # an interrupt of the test must not end them first
                )
            )

    def _until(self, ready, what: str) -> None:
        deadline = time.monotonic() + WAIT
        while not ready():
            dead = [daemon.args[3] for daemon in self.daemons if daemon.poll() is not None]
            if dead or time.monotonic() > deadline:
                raise RuntimeError(f"{what} did not start ({dead} ended):\n{self.told()}")
            time.sleep(0.05)

    def _idle(self) -> bool:
        try:
            return self.ask("sinfo", "--noheader", "--format=%T").strip() == "idle"
        except subprocess.CalledProcessError:
            return False

    def _left(self) -> list[int]:
        """Steps of jobs that outlived their daemon: they hold its log, which lies in our folder."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                held = [os.readlink(file) for file in (process / "fd").iterdir()]
                if any(name.startswith(f"{self.folder}/") for name in held):
                    found.append(int(process.name))
        return [number for number in found if number != os.getpid()]

    def _unfinished(self) -> str:
        return self.ask("squeue", "--noheader", "--format=%i")


def _megabytes(text: str) -> int:
    number, unit = re.fullmatch(r"([\d.]+)([MGT]?)", text).groups()
    return round(float(number) * {"": 1, "M": 1, "G": 1024, "T": 1024**2}[unit])


def _free_ports(count: int) -> Sequence[int]:
    sockets = [socket.socket() for _ in range(count)]
    for bound in sockets:
        bound.bind(("127.0.0.1", 0))
    ports = [bound.getsockname()[1] for bound in sockets]
    for bound in sockets:
        bound.close()
    return ports
