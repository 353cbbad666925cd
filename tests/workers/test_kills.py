"""Builds that are killed again and again, in every way, give the same files in the end."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from builder import verify
from tests.workers.files import hash_files

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/stat").exists(), reason="processes are listed in /proc"
)

BUILD = Path(__file__).parents[2] / "scripts" / "build.py"
COMMON = "--count 2400 --shard-size 100 --workers 2 --quiet"
SCENARIOS = {
    "hdf5": ["--seed 4"],
    "gzip": ["--seed 4 --compression gzip --masks"],
    "png": ["--seed 4 --format png"],
    "extension": ["--seed 4"],
    "parts": ["--seed 4 --part 1/2", "--seed 4 --part 2/2"],
    "another dataset": ["--seed 4", "--seed 5"],
}
"""Options of the builds. Those of parts run at the same time, other ones take the place of
those before them."""

SIGNALS = [signal.SIGKILL, signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGINT]
TARGETS = ["builder", "worker", "group"]

OUTLIVES = 2.0
"""Seconds for which workers may outlive their builder, on a machine that does nothing else."""


def start(out, options):
    """Start a build as a session of its own. What it says is added to a file beside the folder."""
    call = [sys.executable, BUILD, *shlex.split(f"{COMMON} {options}"), "--out", out]
    with out.with_suffix(".said").open("a") as said:
        return subprocess.Popen(
            call, start_new_session=True, stdout=subprocess.DEVNULL, stderr=said
        )


def living(session):
    """Return the processes of a session."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(int(stat.parent.name))
    return found


def wait_for_workers(session, limit=60.0):
    """Wait until no process of a session lives; return how long that took."""
    began = time.monotonic()
    while living(session):
        assert time.monotonic() < began + limit, "workers outlive their builder"
        time.sleep(0.01)
    return time.monotonic() - began


def finish(out, options):
    """Run the builds of a scenario to their end, and return the hashes of the files."""
    for each in options:
        assert start(out, each).wait(300) == 0
    if "--part" in options[0]:
        assert start(out, "--seed 4 --finalise").wait(300) == 0
    assert not list(out.glob(".tmp*"))
    return hash_files(out)


@pytest.mark.parametrize(
    ("scenario", "kills"),
    [("hdf5", 1), ("png", 1)]
    + [pytest.param(name, 60, marks=pytest.mark.slow) for name in SCENARIOS],
)
def test_builds_killed_in_any_way_can_be_resumed(tmp_path, scenario, kills):
    """Whatever signal reaches whichever process at whatever moment, no byte differs in the end.

    Workers end soon after their builder, and write nothing from then on.
    """
    options, rng = SCENARIOS[scenario], np.random.default_rng(kills)
    began = time.monotonic()
    expected = finish(tmp_path / "whole", options[-1:] if scenario != "parts" else options)
    whole_run = (time.monotonic() - began) / len(options)
    out, before = tmp_path / "set", tmp_path / "before"
    if scenario == "extension":
        assert start(before, "--seed 4 --count 850").wait(300) == 0
        shutil.copytree(before, out)
    outlived = []
    for _ in range(kills):
        builds = [start(out, each) for each in (options if scenario == "parts" else options[:1])]
        with suppress(subprocess.TimeoutExpired):
            builds[0].wait(whole_run * rng.uniform(0.05, 0.9))  # most of it is the start
        for build in builds:
            _send(build, rng)
            build.wait(60)
        if scenario == "another dataset":  # at once: workers of the first one may live still
            shutil.rmtree(out, ignore_errors=True)
            assert finish(out, options[1:]) == expected
        outlived += [wait_for_workers(build.pid) for build in builds]
        if scenario == "another dataset":
            assert hash_files(out) == expected
            shutil.rmtree(out)
        elif (out / "manifest.json").exists():  # it was faster: begin with less than all
            for record in sorted(out.glob("shard-*.json"))[:: rng.integers(1, 4)]:
                record.unlink()
    assert finish(out, options[-1:] if scenario != "parts" else options) == expected
    assert verify(out, "full").whole
    assert "Traceback" not in out.with_suffix(".said").read_text()
    assert kills < 10 or max(outlived) < OUTLIVES


def _send(build, rng):
    """Send a signal to the builder, its group, or one of its workers; then end the build."""
    number, target = rng.choice(SIGNALS), rng.choice(TARGETS)
    with suppress(ProcessLookupError):
        workers = [process for process in living(build.pid) if process != build.pid]
        if target == "worker" and workers:
            os.kill(rng.choice(workers), number)
            with suppress(subprocess.TimeoutExpired):
                build.wait(rng.uniform(0, 0.5))
        (os.killpg if target == "group" else os.kill)(build.pid, number)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP, signal.SIGQUIT])
@pytest.mark.parametrize("moment", ["a worker exists", "a shard is begun"])
def test_workers_that_start_end_with_their_builder(tmp_path, number, moment):
    """Whenever the builder dies, its workers do, also those that have run nothing yet."""
    out = tmp_path / "set"
    build = start(out, "--seed 4")
    while len(living(build.pid)) < 2 or (
        moment == "a shard is begun" and not list(out.glob(".tmp-*/heartbeats/*"))
    ):
        assert build.poll() is None
    build.send_signal(number)
    build.wait()
    wait_for_workers(build.pid)
