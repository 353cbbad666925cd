"""Builds that are killed, again and again: what is whole at last is as if nothing had happened."""

from __future__ import annotations

import hashlib
import os
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

BUILD = Path(__file__).parents[2] / "scripts" / "build.py"
FORMS = {"hdf5": "--format hdf5", "gzip": "--compression gzip --masks", "png": "--format png"}
OPTIONS = "--count 2400 --shard-size 100 --seed 4 --workers 2 --quiet"


def started(out, form):
    """Start a build as a process group of its own."""
    call = [sys.executable, BUILD, *shlex.split(OPTIONS), *FORMS[form].split(), "--out", out]
    return subprocess.Popen(call, start_new_session=True, stdout=subprocess.DEVNULL)


def contents(folder):
    """Return the sha256 of every file of a folder, without what names times and processes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (".lock", "build.log")
    }


@pytest.mark.parametrize(
    ("form", "kills"),
    [("hdf5", 2), ("png", 2)] + [pytest.param(form, 30, marks=pytest.mark.slow) for form in FORMS],
)
def test_a_build_killed_at_random_moments_ends_as_if_it_were_not(tmp_path, form, kills):
    """SIGKILL to the whole process group, and the same call again: equal files, no leftovers."""
    began = time.monotonic()
    assert started(tmp_path / "whole", form).wait(120) == 0
    whole_run = time.monotonic() - began
    rng = np.random.default_rng(kills)
    out, killed = tmp_path / "set", 0
    while killed < kills:
        build = started(out, form)
        with suppress(subprocess.TimeoutExpired):
            # most of it is the start; what was made before is not made again
            build.wait(whole_run * rng.uniform(0.2, 0.9))
        if build.poll() is None:
            os.killpg(build.pid, signal.SIGKILL)
            build.wait()
        elif (out / "manifest.json").exists():  # it was faster: begin with less than all
            for record in sorted(out.glob("shard-*.json"))[:: rng.integers(1, 4)]:
                record.unlink()
        killed += 1
    assert started(out, form).wait(120) == 0
    assert contents(out) == contents(tmp_path / "whole")
    assert not list(out.glob(".tmp*"))
