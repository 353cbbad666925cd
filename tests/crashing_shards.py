"""Tasks that kill their workers, in a module that workers of a cluster can import."""

from __future__ import annotations

import os
import signal

from builder.verification import shard_check
from builder.workers import shard

NUMBER = 2


def kill_worker_once(task):
    """Build a shard, but kill the first process that builds shard `NUMBER`."""
    marker = task.folder.path.with_name("killed-once")
    if task.number == NUMBER and not marker.exists():
        marker.touch()
        return kill_worker(task)
    return shard.build_shard(task)


def kill_worker(task):
    """Build a shard, but kill every process that builds shard `NUMBER`."""
    if task.number == NUMBER:
        shard.Statistics = Deadly
    return shard.build_shard(task)


def scheduler_file(folder):
    """Return the file in a folder, beside that of the dataset, with the scheduler's process."""
    return folder / "scheduler"


def kill_scheduler(task):
    """Build a shard, but kill the scheduler before shard `NUMBER`, which comes after others."""
    if task.number == NUMBER:
        os.kill(int(scheduler_file(task.folder.path.parent).read_text()), signal.SIGKILL)
    return shard.build_shard(task)


class Deadly(shard.Statistics):
    """Statistics at which the process is killed."""

    @classmethod
    def of(cls, batch):
        """End as a process does that uses too much memory."""
        os.kill(os.getpid(), signal.SIGKILL)


def kill_checker(task):
    """Check a shard, but kill every process that checks shard 1, as a parser in C can."""
    if task.entry.shard.number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return shard_check.check_shard(task)
