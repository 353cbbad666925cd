"""Each call on a file of a build fails in turn: the disk, its space, open files, a signal."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
COMPILER = shutil.which("cc")


@pytest.mark.untraced
@pytest.mark.skipif(
    COMPILER is None or sys.platform != "linux", reason="needs a C compiler, and Linux"
)
@pytest.mark.parametrize(
    ("first", "step", "state"),
    [
        (3, 60, "warm"),
        pytest.param(0, 1, "warm", marks=pytest.mark.slow),
        pytest.param(0, 4, "cold", marks=pytest.mark.slow),
    ],
)
def test_no_call_that_fails_does_harm(tmp_path, first, step, state):
    """Whichever call on a file of output, cache or temporary folder fails, with whichever error.

    No build ends with exit code 0 and without its data, no dataset is wrong, no traceback is
    shown, and the next run gives the same bytes as one without an error.
    """
    library, temporary = tmp_path / "failing_calls.so", tmp_path / "temporary"
    temporary.mkdir()
    source = HERE / "failing_calls.c"
    subprocess.run([COMPILER, "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    done = subprocess.run(
        [sys.executable, HERE / "failing_calls.py", tmp_path, str(first), str(step), state],
        env=os.environ
        | {
            "LD_PRELOAD": str(library),
            "TMPDIR": str(temporary),
            "PYTHONPATH": str(HERE.parents[1]),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    *wrong, last = done.stdout.splitlines() or [done.stderr]
    assert wrong == []
    assert json.loads(last)["trials"] > 50
