"""Compiled functions: their cache sees every edit, and equal bits come out however they are run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from builder import Recipe, generate
from builder.kernels import moments
from tests import golden

ROOT = Path(__file__).parents[1]

DIGEST = """
from builder import Recipe, generate
from builder.digest import digest_of, written
recipe = Recipe(seed=1, length=2, width=80, augment="strong")
print(written(digest_of(generate(recipe, range({n})))))
"""


def digest_in_subprocess(samples, root=ROOT, **environment) -> str:
    """Return the digest of the first samples of a recipe, computed by a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", DIGEST.format(n=samples)],
        env={**os.environ, "PYTHONPATH": str(root), **environment},
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_equal_bits_without_compilation_and_for_a_generic_processor():
    """A few samples are the same with compilation off, and compiled for a plain x86-64 or ARM."""
    compiled = digest_in_subprocess(4)
    assert digest_in_subprocess(4, NUMBA_DISABLE_JIT="1", PYTHONWARNINGS="error") == compiled
    assert digest_in_subprocess(4, NUMBA_CPU_NAME="generic", NUMBA_CPU_FEATURES="") == compiled


def test_equal_bits_in_threads():
    """Samples made by four threads at once are those made by one."""
    recipe = Recipe(seed=1, length=5)
    alone = [generate(recipe, range(n, n + 100)).images for n in (0, 100, 200, 300)]
    together: dict[int, object] = {}

    def work(turn):
        for _ in range(5):
            together[turn] = generate(recipe, range(100 * turn, 100 * turn + 100)).images

    threads = [threading.Thread(target=work, args=(turn,)) for turn in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(together[turn], alone[turn]) for turn in range(4))


@pytest.mark.parametrize(
    ("line", "instead"),
    [
        ("lower = i32(c * 2048 + (d - c) * fu)", "lower = i32(c * 2048)"),
        ("next_u = math.floor(node_u * 65536.0 + 0.5)", "next_u = math.floor(node_u * 65535.0)"),
    ],
)
def test_an_edited_helper_is_compiled_anew(tmp_path, line, instead):
    """After an edit of a helper that keeps date and size of its file, callers give other bits."""
    shutil.copytree(ROOT / "builder", tmp_path / "builder")
    before = digest_in_subprocess(20, root=tmp_path)
    assert before == digest_in_subprocess(20)
    source = tmp_path / "builder" / "kernels" / "mesh.py"
    stat, text = source.stat(), source.read_text()
    assert line in text
    source.write_text(text.replace(line, instead.ljust(len(line))))
    os.utime(source, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    shutil.rmtree(tmp_path / "builder" / "kernels" / "__pycache__", ignore_errors=True)
    assert digest_in_subprocess(20, root=tmp_path) != before


def test_an_edit_in_another_file_is_compiled_anew(tmp_path):
    """The cache folder depends on every source of the kernels, not on the caller's alone."""
    shutil.copytree(ROOT / "builder", tmp_path / "builder")
    show = "from builder.kernels.compiled import compiled_folder as f; print(f().name)"

    def folder():
        return subprocess.run(
            [sys.executable, "-c", show], cwd=tmp_path, capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
        ).stdout  # fmt: skip

    before = folder()
    with (tmp_path / "builder" / "kernels" / "moments.py").open("a") as file:
        file.write("# edited\n")
    assert folder() != before


def test_no_writable_cache_folder_is_no_obstacle(tmp_path):
    """Where the cache folder cannot be made, a temporary one serves, with the same bits."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    made = digest_in_subprocess(20, DIGITSEQ_CACHE=str(blocked / "x"), TMPDIR=str(temporary))
    assert made == digest_in_subprocess(20)
    assert any(temporary.rglob("*.npy"))


def test_other_users_of_numba_keep_their_cache_folder():
    """Importing the kernels leaves numba's own setting as it was."""
    show = (
        "import numba; before = numba.config.CACHE_DIR; import builder.kernels.mesh; "
        "print(before == numba.config.CACHE_DIR)"
    )
    done = subprocess.run(
        [sys.executable, "-c", show], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "True"


@pytest.mark.parametrize("size", [0, 1, 1000, 16384, 16385, 100_000])
def test_moments_are_exact(size):
    """Sum and sum of squares are those of numpy in 64 bits, for all-white images too."""
    values = np.random.default_rng(0).integers(0, 256, size).astype(np.uint8)
    for tried in (values, np.full(size, 255, dtype=np.uint8)):
        wide = tried.astype(np.int64)
        assert moments.moments(tried) == (wide.sum(), (wide**2).sum())


def test_golden_script_writes_what_is_pinned():
    """The script that remakes the golden digests gives those that are there."""
    assert golden.digests() == json.loads(golden.FILE.read_text())
