"""Worker processes: how they start, what they hear, and when they end."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from builder.workers import pool, processes
from builder.workers.options import BuildOptions
from tests.workers.test_kills import living, wait_for_workers

ROOT = Path(__file__).parents[2]
TWO_CORES = """
import sys
from builder.cli import main
from builder.workers import pool
if __name__ == "__main__":
    pool.usable_cores = lambda: 2
    raise SystemExit(main("build"))
"""


@pytest.fixture
def build_command(tmp_path):
    """Return the start of a build by two worker processes, however many cores there are."""
    program = tmp_path / "program" / "program.py"
    program.parent.mkdir()
    program.write_text(TWO_CORES)
    return [sys.executable, program, *shlex.split("--count 400 --shard-size 20 --workers 2")]


def hang(task):
    """Do nothing, for ever."""
    time.sleep(10**6)


def test_workers_that_do_nothing_are_ended(monkeypatch):
    """Without any result for the limit, workers are ended, wherever they are: even at the start."""
    monkeypatch.setattr(pool, "usable_cores", lambda: 2)
    results = pool.map_unordered(hang, [1, 2, 3], BuildOptions(workers=2), timeout=0.1)
    with pytest.raises(pool.WorkerError, match="no worker finished a shard for 0 s"):
        list(results)


def test_time_is_watched_time(monkeypatch):
    """Between two looks passes a second at most, however long the process was suspended."""
    clock = [50.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    watched, seen = processes.WatchedTime(), []
    for clock[0] in (50.5, 51.0, 9000.0, 9000.5):
        seen.append(watched.look())
    assert seen == [0.5, 1.0, 2.0, 2.5]


FORKED = """
import os, sys
from builder import Recipe, build
from builder.workers import pool

def run(name):
    return build(Recipe(), 40, f"{sys.argv[1]}/{name}", shard_size=10, workers=2)

if __name__ == "__main__":
    pool.usable_cores = lambda: 2
    digests = {run("parent").manifest.content_digest}
    child = os.fork()
    if child == 0:
        run("child")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    digests.add(run("child").manifest.content_digest)
    digests.add(run("parent again").manifest.content_digest)
    print(len(digests))
"""


def test_a_forked_process_has_workers_of_its_own(tmp_path):
    """A build in a child after one in its parent uses no worker of the parent, and ends."""
    program = tmp_path / "program.py"
    program.write_text(FORKED)
    call = [sys.executable, "-W", "ignore", program, tmp_path]
    done = subprocess.run(call, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert (done.stdout, done.returncode) == ("1\n", 0), done.stderr


def test_workers_import_nothing_from_the_current_folder(build_command, tmp_path):
    """A user's files with names of modules of Python are not loaded by workers."""
    for name in ("signal", "random", "tempfile", "select"):
        (tmp_path / f"{name}.py").write_text("raise SystemError('the file of the user')\n")
    call = [*build_command, "--out", "set", "--quiet"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        call, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    if sys.version_info >= (3, 11):
        assert (done.returncode, done.stderr) == (0, "")
    else:
        assert (done.returncode, done.stderr.count("\n")) == (2, 1)
        assert ".py: has the name of a module of Python" in done.stderr


@pytest.mark.parametrize("times", [1, 3])
def test_an_interrupt_while_workers_start_is_one_line(build_command, tmp_path, times):
    """Ctrl-C reaches all processes of a terminal. Only the builder speaks, once, and all end."""
    said = tmp_path / "said"
    call = [*build_command, "--out", tmp_path / "set"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with said.open("w") as stderr:
        build = subprocess.Popen(call, env=environment, stderr=stderr, start_new_session=True)
    while len(living(build.pid)) < 4:  # the builder, two trackers of resources, a worker
        assert build.poll() is None
    for _ in range(times):
        if living(build.pid):
            os.killpg(build.pid, signal.SIGINT)
    assert build.wait(60) == 130
    wait_for_workers(build.pid)
    text = said.read_text()
    assert "Traceback" not in text
    assert text.count("stopped; what is finished is kept") == 1


def test_a_worker_never_hears_an_interrupt(monkeypatch):
    """SIGINT is blocked in workers from their first instruction on."""
    monkeypatch.setattr(pool, "usable_cores", lambda: 2)
    masks = list(pool.map_unordered(blocked_signals, [1, 2], BuildOptions(workers=2)))
    assert all(signal.SIGINT in mask for mask in masks)
    assert signal.SIGINT not in blocked_signals(0)


def blocked_signals(task):
    """Return the signals that are blocked in this process."""
    return signal.pthread_sigmask(signal.SIG_BLOCK, [])


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="needs shared memory as files")
def test_the_next_build_frees_the_shared_memory_of_a_killed_one(build_command, tmp_path):
    """After SIGKILL to all its processes, nothing can clean up but the next build there."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    call = [*build_command, "--out", tmp_path / "set", "--quiet"]
    build = subprocess.Popen(call, env=environment, start_new_session=True)
    while not list((tmp_path / "set").glob(".tmp-*/heartbeats/*")):
        assert build.poll() is None
    os.killpg(build.pid, signal.SIGKILL)
    build.wait()

    def left():
        return [path.name for path in Path("/dev/shm").iterdir() if str(build.pid) in path.name]

    assert left()
    subprocess.run(call, env=environment, check=True)
    assert left() == []
