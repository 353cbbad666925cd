"""Heartbeats of workers, and the progress bar."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from contextlib import suppress

import pytest
import tqdm

from builder import build
from builder.storage.claim import claim
from builder.storage.output_folder import HEARTBEATS, OutputFolder
from builder.storage.statistics import Statistics
from builder.workers import pool, progress, shard


@pytest.fixture
def at_once(monkeypatch):
    """Send a heartbeat after every block."""
    monkeypatch.setattr(progress, "INTERVAL", 0)  # no waiting for the clock


@pytest.fixture
def folder(tmp_path):
    """Return a folder that is held for a build."""
    with claim(tmp_path) as claimed:
        yield claimed


def test_heartbeats_have_samples_process_and_host(folder, at_once):
    """A shard has a heartbeat from its start until it ends, with or without an error."""
    names = ["shard-000003", "shard-000004", "shard-000005"]
    here = (os.getpid(), platform.node())
    other = progress.send_heartbeats(folder, "shard-000004")
    with progress.send_heartbeats(folder, "shard-000003") as send:
        assert progress.read_heartbeats(folder, names) == {
            "shard-000003": progress.Heartbeat(0, *here)
        }
        send(5)
        with suppress(ZeroDivisionError), other as send_other:
            send_other(10)
            send_other(30)
            assert progress.read_heartbeats(folder, names) == {
                "shard-000003": progress.Heartbeat(5, *here),
                "shard-000004": progress.Heartbeat(30, *here),
            }
            assert list(progress.read_heartbeats(folder, ["shard-000003"])) == ["shard-000003"]
            raise ZeroDivisionError
        assert progress.shards_in_progress(folder) == {"shard-000003"}
    assert progress.shards_in_progress(folder) == set()


def test_heartbeats_are_an_interval_apart(folder, monkeypatch):
    """The clock decides when a heartbeat is written, however often a worker calls."""
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    heard = []
    with progress.send_heartbeats(folder, "shard-000000") as send:
        for step in range(1, 11):
            clock[0] = 100 + step * 0.2
            send(step)
            heard.append(progress.read_heartbeats(folder, ["shard-000000"])["shard-000000"].samples)
    assert heard == [0, 0, 3, 3, 3, 6, 6, 6, 9, 9]


def test_errors_of_heartbeats_stop_no_shard(folder, at_once):
    """A missing folder and a half-written file raise nothing."""
    gone = OutputFolder(folder.path / "gone", folder.staging)
    with progress.send_heartbeats(gone, "shard-000000") as send:
        send(5)
    assert progress.shards_in_progress(gone) == set()
    folder.write_staged(f"{HEARTBEATS}/shard-000001", "")
    assert progress.read_heartbeats(folder, ["shard-000001"]) == {}
    assert progress.shards_in_progress(folder) == {"shard-000001"}
    progress.remove_heartbeats(folder, ["shard-000001", "shard-000002"])
    assert progress.shards_in_progress(folder) == set()


def test_a_build_sends_a_heartbeat_for_each_block(recipe, tmp_path, monkeypatch, at_once):
    """A shard of 40 in blocks of 10 sends four heartbeats; no file of them is left."""
    heard = []

    class Listening(Statistics):
        @classmethod
        def of(cls, batch):
            (staging,) = (tmp_path / "set").glob(".tmp-*")
            folder = OutputFolder(tmp_path / "set", staging.name)
            heartbeats = progress.read_heartbeats(folder, ["shard-000000", "shard-000001"])
            heard.extend((name[-1], each.samples) for name, each in heartbeats.items())
            return super().of(batch)

    monkeypatch.setattr(shard, "Statistics", Listening)
    build(recipe, 80, tmp_path / "set", shard_size=40, block_size=10, workers=1)
    assert heard == [(shard, done) for shard in "01" for done in (0, 10, 20, 30)]
    assert not list((tmp_path / "set").glob(".tmp*"))


def test_the_bar_moves_within_shards_and_never_back(monkeypatch):
    """The bar shows finished shards and samples in progress, and ends at the number built."""
    shown = []

    class Bar(tqdm.tqdm):
        def update(self, n=1):
            shown.append(self.n + n)
            return super().update(n)

    monkeypatch.setattr(tqdm, "tqdm", Bar)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with pool.ProgressBar(200, 50, show=True) as bar:
        for samples in (10, 40, 25, 60):
            bar.show(samples)
        bar.add(100)
        bar.show(20)
        bar.show(900)
    assert shown == [60, 90, 90, 110, 170, 200, 200]


def test_without_a_terminal_progress_is_a_line_now_and_then(monkeypatch, caplog, capsys):
    """A log gets one line in half a minute, and no bar."""
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    caplog.set_level("INFO", "builder")
    with pool.ProgressBar(2000, 500, show=True) as bar:
        for second in range(100):
            clock[0] = 1000.0 + second
            bar.show(10 * second)
    with pool.ProgressBar(200, 50, show=False) as bar:
        clock[0] = 3000.0
        bar.show(10)
    lines = [record.getMessage() for record in caplog.records]
    assert lines == [f"{500 + n} of 2000 images, 10 images/s" for n in (300, 600, 900)]
    assert capsys.readouterr().err == ""


WORKER = """
import json, os, sys
from pathlib import Path
from builder import Recipe
from builder.workers import pool
from builder.storage.config import DatasetConfig, StorageOptions
from builder.storage.claim import claim
from builder.workers.options import BuildOptions
from builder.workers.shard import ShardTask, build_shard

def build_and_inspect(task):
    build_shard(task)
    import pyarrow
    unused = "cv2 pandas tqdm torch builder.cli builder.workers.pipeline".split()
    return [[name for name in unused if name in sys.modules], pyarrow.cpu_count(), os.getpid()]

plan = DatasetConfig.of(Recipe(), StorageOptions(shard_size=20), 40)
pool.usable_cores = lambda: 2
with claim(Path(sys.argv[1])) as folder:
    tasks = [ShardTask(folder, plan, number, 20) for number in range(2)]
    results = pool.map_unordered(build_and_inspect, tasks, BuildOptions())
    print(json.dumps([os.getpid(), *results]))
"""


def test_a_worker_loads_only_what_it_uses_and_takes_one_core(tmp_path):
    """A worker loads no OpenCV and no module of the parent, and libraries have one thread."""
    done = subprocess.run(
        [sys.executable, "-c", WORKER, str(tmp_path)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    parent, *workers = json.loads(done.stdout)
    for loaded, threads, process in workers:
        assert process != parent
        assert threads == 1
        assert loaded == []
