"""Builds whose calls on files fail, each in a fork of one process that has imported everything.

    LD_PRELOAD=failing_calls.so python failing_calls.py FOLDER FIRST STEP warm|cold

It prints a line of JSON for each trial with what went wrong, and one with the number of trials.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import io
import json
import os
import shutil
import signal
import sys
import warnings
from functools import partial
from itertools import product
from pathlib import Path

from builder import open_dataset, verify
from builder.cli import main
from builder.common.cache import cache_folder

CODES = [errno.EIO, errno.ENOSPC, errno.EMFILE, errno.EINTR, 0]
"""The errors; 0 is no error, but a read or write that falls short."""

FORMS = ["--format hdf5", "--format png", "--compression gzip --masks"]
library = ctypes.CDLL(None)


def call(out, form):
    """Build a dataset in this process; return exit code and what was said."""
    said = io.StringIO()
    options = f"--count 12 --shard-size 6 --workers 1 --quiet {form}".split()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            code = main("build", [*options, "--out", str(out)])
        except SystemExit as ended:
            code = ended.code
    return code, said.getvalue()


def in_fork(function):
    """Return what a function returns, called in a child process."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # a build that hangs ends, and is reported
        try:
            result = function()
        except BaseException as error:
            result = ["raised", repr(error)]
        with contextlib.suppress(OSError):
            os.write(writer, json.dumps(result).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as file:
        text = file.read()
    os.waitpid(child, 0)
    return json.loads(text) if text else ["died", ""]


def hashes(out):
    """Return the sha256 of each file of a dataset but the log and the lock."""
    return {
        str(path.relative_to(out)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file() and path.name not in ("build.log", ".lock")
    }


def failing(out, form, at, code, for_ever, folders):  # as a fork takes them
    """Build with a call that fails; return exit code, what was said, and the calls counted."""
    library.fail_from(ctypes.c_long(at), code, for_ever, folders)
    result = call(out, form)
    seen = library.calls_seen()
    library.fail_from(ctypes.c_long(-1), 0, 0, b"")
    return [*result, seen]


def judge(out, form, expected, result):
    """Return what is wrong after a build with a call that failed, or None."""
    code, said, *_ = result
    errors = [line for line in said.splitlines() if line.startswith("build.py: ")]  # no warnings
    if code not in (0, 1) or "Traceback" in said or len(errors) != code:
        return f"code {code}: {said[-300:]}"
    if code == 0 and (not (out / "manifest.json").exists() or hashes(out) != expected):
        return "exit code 0 and another dataset, or none"
    if (out / "manifest.json").exists() and not (
        len(open_dataset(out)) == 12 and verify(out).whole
    ):
        return "a dataset that is not whole"
    code, said = in_fork(lambda: call(out, form))
    if code != 0 or hashes(out) != expected:
        return f"the next run ends with {code}: {said[-300:]}"
    return None


def run(folder, first, step, warm):
    """Try each call `first`, `first + step`, ... with each error, once and from there on."""
    trials = 0
    for form in FORMS:
        whole, out = folder / "whole", folder / "set"
        # warm builds have the glyphs and kernels of this process, cold ones load them
        call(whole, form) if warm else in_fork(partial(call, whole, form))
        expected = hashes(whole)
        shutil.rmtree(whole)
        folders = f"{out}:{cache_folder()}:{os.environ['TMPDIR']}".encode()
        count = in_fork(partial(failing, out, form, 10**9, errno.EIO, 0, folders))[2]
        for at, code, for_ever in product(range(first, count, step), CODES, (0, 1)):
            if code == errno.EINTR and for_ever:
                continue  # Python calls again for ever, as it should
            shutil.rmtree(out, ignore_errors=True)
            call_failing = partial(failing, out, form, at, code, for_ever, folders)
            result = in_fork(call_failing)
            trials += 1
            if wrong := judge(out, form, expected, result):
                name = errno.errorcode.get(code, "short")
                say([form, at, count, name, for_ever, wrong])
        shutil.rmtree(out, ignore_errors=True)
    say({"trials": trials})


def say(value):
    """Print a value as a line of JSON."""
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # forks of a process with threads
    run(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "warm")
