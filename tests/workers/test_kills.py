"""Builds that are killed again and again give the same files in the end."""

from __future__ import annotations

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

from tests.workers.files import hash_files

BUILD = Path(__file__).parents[2] / "scripts" / "build.py"
FORMS = {"hdf5": "--format hdf5", "gzip": "--compression gzip --masks", "png": "--format png"}
OPTIONS = "--count 2400 --shard-size 100 --seed 4 --workers 2 --quiet"


def start_build(out, form):
    """Start a build as a process group of its own."""
    call = [sys.executable, BUILD, *shlex.split(OPTIONS), *FORMS[form].split(), "--out", out]
    return subprocess.Popen(call, start_new_session=True, stdout=subprocess.DEVNULL)


@pytest.mark.parametrize(
    ("form", "kills"),
    [("hdf5", 2), ("png", 2)] + [pytest.param(form, 30, marks=pytest.mark.slow) for form in FORMS],
)
def test_a_build_killed_at_random_moments_can_be_resumed(tmp_path, form, kills):
    """After SIGKILL to the process group, the same call gives equal files and leaves no others."""
    began = time.monotonic()
    assert start_build(tmp_path / "whole", form).wait(120) == 0
    whole_run = time.monotonic() - began
    rng = np.random.default_rng(kills)
    out, killed = tmp_path / "set", 0
    while killed < kills:
        build = start_build(out, form)
        with suppress(subprocess.TimeoutExpired):
            # most of the time is the start; finished shards are not built again
            build.wait(whole_run * rng.uniform(0.2, 0.9))
        if build.poll() is None:
            os.killpg(build.pid, signal.SIGKILL)
            build.wait()
        elif (out / "manifest.json").exists():  # it was faster: begin with less than all
            for record in sorted(out.glob("shard-*.json"))[:: rng.integers(1, 4)]:
                record.unlink()
        killed += 1
    assert start_build(out, form).wait(120) == 0
    assert hash_files(out) == hash_files(tmp_path / "whole")
    assert not list(out.glob(".tmp*"))
