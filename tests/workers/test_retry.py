"""Workers that die, raise or hang: shards are attempted again, and the right shard is blamed."""

from __future__ import annotations

import json
import os
import platform
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from builder import Recipe, build, open_dataset
from builder.common.errors import BuildError
from builder.storage.output_folder import HEARTBEATS, OutputFolder
from builder.workers import progress, retry, shard

ROOT = Path(__file__).parents[2]
COUNT, SIZE = 600, 100

PROGRAM = """
import json, os, signal, sys, threading
from pathlib import Path
from typing import ClassVar
from builder import Recipe, build
from builder.workers import pool, progress, retry, shard
from builder.common.errors import BuildError
from luck import fail

folder, faults, times = Path(sys.argv[1]), json.loads(sys.argv[3]), int(sys.argv[4])

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def hang():
    threading.Event().wait()

class Faulty(shard.Statistics):
    fault: ClassVar = None
    @classmethod
    def of(cls, batch):
        if cls.fault:
            {"die": die, "raise": fail, "hang": hang}[cls.fault]()
        return super().of(batch)

def faulty(task):
    # the first tries of some shards end in the middle of their work
    tried = folder.with_name(f"tried-{task.number}")
    before = len(tried.read_text()) if tried.exists() else 0
    tried.write_text("x" * (before + 1))
    Faulty.fault = faults.get(str(task.number)) if before < times else None
    shard.Statistics = Faulty
    return shard.build_shard(task)

if __name__ == "__main__":
    retry.build_shard = faulty
    pool.usable_cores = lambda: 2
    progress.HANG_FACTOR = 1
    recipe = Recipe.from_json(json.loads(sys.argv[2]))
    # on a busy machine, workers that do not hang may rest for some seconds
    limit = 8 if "hang" in faults.values() else 60
    try:
        done = build(recipe, 600, folder, shard_size=100, workers=2, hang_limit=limit)
        print(done.manifest.content_digest)
    except BuildError as error:
        print("failed:", error)
"""


LUCK = """
def fail():
    raise RuntimeError("no luck")
"""
"""A module of its own: cloudpickle 3.1.3 names no file for functions of a script."""


def build_with_faults(recipe, folder, faults, times):
    """Build 6 shards by 2 workers; some fail `times` times. Returns the output and the log."""
    program = folder.with_name("program.py")
    program.write_text(PROGRAM)
    folder.with_name("luck.py").write_text(LUCK)
    done = subprocess.run(
        [
            sys.executable,
            program,
            folder,
            json.dumps(recipe.to_json()),
            json.dumps(faults),
            str(times),
        ],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        timeout=120,
    )
    return done.stdout.strip(), (folder / "build.log").read_text()


def count_attempts(folder):
    """Return the number of attempts at each shard."""
    return {int(path.name[6:]): len(path.read_text()) for path in folder.parent.glob("tried-*")}


@pytest.fixture(scope="module")
def digest(recipe, tmp_path_factory):
    """Return the content digest of a build without faults."""
    out = tmp_path_factory.mktemp("whole") / "set"
    return build(recipe, COUNT, out, shard_size=SIZE, workers=1).manifest.content_digest


@pytest.mark.parametrize(
    ("faults", "times", "message"),
    [
        ({"1": "die", "4": "raise"}, 2, r"a worker process died \(SIGKILL\(-9\)\)"),
        ({"1": "hang"}, 1, "it made no progress for 8 s"),
    ],
    ids=["die and raise", "hang"],
)
def test_a_build_survives_its_workers(recipe, digest, tmp_path, faults, times, message):
    """Shards that fail once or twice are attempted again until the dataset is complete."""
    out = tmp_path / "set"
    output, log = build_with_faults(recipe, out, faults, times)
    assert output == digest
    assert re.search(rf"shard-000001 failed \({times} of 3\): {message}", log)
    assert {n: count_attempts(out)[int(n)] for n in faults} == dict.fromkeys(faults, times + 1)
    assert not list(out.glob(".tmp*"))


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("die", r"a worker process died \(SIGKILL\(-9\)\)"),
        ("raise", r"RuntimeError: no luck \(in luck.py, line 3\)"),
    ],
)
def test_a_shard_that_always_fails_is_named_and_all_others_are_kept(
    recipe, digest, tmp_path, fault, reason
):
    """After three attempts, the error has the name and reason of that shard alone."""
    out = tmp_path / "set"
    output, _ = build_with_faults(recipe, out, {"3": fault}, 99)
    assert re.match(f"failed: given up after 3 attempts: shard-000003: {reason}; all other", output)
    assert count_attempts(out)[3] == 3
    records = {path.stem for path in out.glob("shard-*.json")}
    assert records == {f"shard-00000{n}" for n in (0, 1, 2, 4, 5)}
    assert not list(out.glob(".tmp*"))
    assert not (out / "manifest.json").exists()
    again = build(recipe, COUNT, out, shard_size=SIZE, workers=1)
    assert (again.made, again.manifest.content_digest) == (SIZE, digest)


def test_all_shards_that_fail_are_named(recipe, tmp_path, monkeypatch):
    """The error has the name and reason of each shard that is given up."""
    original = shard.build_shard

    def faulty(task):
        if task.number in (0, 2):
            raise ValueError(f"of {task.number}")
        return original(task)

    monkeypatch.setattr(retry, "build_shard", faulty)
    with pytest.raises(
        BuildError,
        match=r"shard-000000: ValueError: of 0 .*; shard-000002: ValueError: of 2 \(in ",
    ):
        build(recipe, 300, tmp_path / "set", shard_size=100, workers=1)
    assert (tmp_path / "set" / "shard-000001.json").exists()


def test_a_folder_that_vanishes_ends_the_build(recipe, tmp_path, monkeypatch):
    """The error is one line, no folder is left, and the next build succeeds."""
    out, original = tmp_path / "set", shard.build_shard

    def vanishing(task):
        if task.number == 1:
            shutil.rmtree(out)
        return original(task)

    with monkeypatch.context() as patched:
        patched.setattr(retry, "build_shard", vanishing)
        with pytest.raises(BuildError, match=r"set: was moved or removed while the dataset was"):
            build(recipe, 300, out, shard_size=100, workers=1)
    assert not out.exists()
    assert build(recipe, 300, out, shard_size=100, workers=1).made == 300


def make_monitor(tmp_path, monkeypatch, host, process, limit=10.0):
    """Return a monitor, its clock, the processes it kills, and a function that sends heartbeats."""
    clock, killed = [0.0], []
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(progress.os, "kill", lambda *call: killed.append(call))
    folder = OutputFolder(tmp_path, ".tmp-1")
    (tmp_path / ".tmp-1" / HEARTBEATS).mkdir(parents=True)

    def send(samples):
        folder.write_staged(f"{HEARTBEATS}/shard-000000", f"{samples} {process} {host}")

    return (
        progress.Monitor(folder, ["shard-000000"], limit, lambda _: None),
        clock,
        killed,
        send,
    )


def test_a_worker_without_progress_is_killed(tmp_path, monkeypatch):
    """Each change of the heartbeat restarts the time limit; the worker is killed once."""
    monitor, clock, killed, send = make_monitor(tmp_path, monkeypatch, platform.node(), 7)
    for second in range(60):
        clock[0] = second
        if second < 40 and second % 5 == 0:
            send(second)
        monitor.poll()
        assert killed == ([(7, signal.SIGKILL)] if second > 45 else []), second
    assert monitor.hangs == {"shard-000000": "it made no progress for 10 s"}


def test_slow_shards_have_more_time(tmp_path, monkeypatch):
    """The limit is 20 times the duration of the slowest shard, if that is more."""
    monitor, clock, killed, send = make_monitor(tmp_path, monkeypatch, platform.node(), 7)
    monitor.slowest = 3.0
    send(1)
    for second in range(65):
        clock[0] = second
        monitor.poll()
        assert bool(killed) == (second > 60)


def test_time_in_which_the_build_was_suspended_does_not_count(tmp_path, monkeypatch):
    """After Ctrl-Z or a night's sleep, workers have the rest of their limit."""
    monitor, clock, killed, send = make_monitor(tmp_path, monkeypatch, platform.node(), 7)
    send(1)
    for second in [0, 1, 2, 3, *range(5000, 5010)]:
        clock[0] = second
        monitor.poll()
        assert bool(killed) == (second > 5006)


@pytest.mark.parametrize(
    ("host", "process"),
    [("elsewhere", 7), (platform.node(), os.getpid())],
    ids=["of another machine", "this process"],
)
def test_only_other_processes_of_this_machine_are_killed(tmp_path, monkeypatch, host, process):
    """Neither this process nor one of another machine is killed; the hang is noted."""
    monitor, clock, killed, send = make_monitor(tmp_path, monkeypatch, host, process)
    send(1)
    for second in range(100):
        clock[0] = second
        monitor.poll()
    assert (killed, list(monitor.hangs)) == ([], ["shard-000000"])


ORPHANED = """
import json, os, sys, threading
from pathlib import Path
from builder import Recipe, build
from builder.workers import pool, retry

def stuck(task):
    with open(sys.argv[1], "w") as heard:
        heard.write(f"{os.getpid()}\\n")
    threading.Event().wait()

if __name__ == "__main__":
    retry.build_shard = stuck
    pool.usable_cores = lambda: 2
    build(Recipe(), 20, sys.argv[2], shard_size=10, workers=2)
"""


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs Linux's process handles")
def test_workers_of_a_killed_build_end(tmp_path):
    """Workers exit within seconds after their parent, and the next build succeeds."""
    program, pipe = tmp_path / "program.py", tmp_path / "pipe"
    program.write_text(ORPHANED)
    os.mkfifo(pipe)
    parent = subprocess.Popen([sys.executable, program, pipe, tmp_path / "set"], cwd=ROOT)
    workers: set[int] = set()
    while len(workers) < 2:
        workers |= {int(line) for line in pipe.read_text().split()}
    handles = [os.pidfd_open(worker) for worker in workers]
    assert select.select(handles, [], [], 0)[0] == []
    parent.kill()
    parent.wait()
    for handle in handles:
        assert select.select([handle], [], [], 30)[0] == [handle]
        os.close(handle)
    build(Recipe(), 20, tmp_path / "set", shard_size=10, workers=1)
    assert len(open_dataset(tmp_path / "set")) == 20
