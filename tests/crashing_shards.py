"""Shards that kill their workers: a module of its own, which workers of a cluster import."""

from __future__ import annotations

import os
import signal

from builder.workers import shard

NUMBER = 2


def kills_once(task):
    """Make a shard; the first process that is to make one of them is killed in the middle."""
    marker = task.folder.path.with_name("killed-once")
    if task.number == NUMBER and not marker.exists():
        marker.touch()
        return kills(task)
    return shard.build_shard(task)


def kills(task):
    """Make a shard, but be killed in the middle of one of them."""
    if task.number == NUMBER:
        shard.Statistics = Deadly
    return shard.build_shard(task)


class Deadly(shard.Statistics):
    """Statistics at which the process is killed."""

    @classmethod
    def of(cls, batch):
        """End as a process does that uses too much memory."""
        os.kill(os.getpid(), signal.SIGKILL)
