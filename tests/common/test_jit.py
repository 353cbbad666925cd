"""Compiled functions: their cache sees every edit, and equal bits come out however they are run."""

from __future__ import annotations

import errno
import json
import os
import platform
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

from builder import Recipe, generate
from builder.common import cache, jit
from builder.common.errors import BuilderError
from builder.common.jit import SOURCES
from builder.storage import statistics
from tests import golden

ROOT = Path(__file__).parents[2]

DIGESTS = """
import json
from tests import golden
print(json.dumps(golden.digests({n})))
"""

WITHOUT_FEATURES = """
import os
import numpy as np
from numpy._core._multiarray_umath import __cpu_features__ as features
assert not any(features[name] for name in os.environ["NPY_DISABLE_CPU_FEATURES"].split())
print(np.exp(np.linspace(0.1, 80.0, 20_000, dtype={kind!r})).tobytes().hex())
"""


def in_subprocess(program, root=ROOT, python=sys.executable, **environment) -> str:
    """Return what a program prints in a fresh interpreter."""
    done = subprocess.run(
        [python, "-c", program],
        env={**os.environ, "PYTHONPATH": str(root), **environment},
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def digests_in_subprocess(samples=golden.SAMPLES, **more) -> dict[str, dict[str, str]]:
    """Return the digests of all golden recipes, computed by a fresh interpreter."""
    return json.loads(in_subprocess(DIGESTS.format(n=samples), **more))


PINNED = json.loads(golden.FILE.read_text())


def test_equal_bits_without_compilation():
    """Two samples of every golden recipe are the same with compilation off, without a warning."""
    interpreted = digests_in_subprocess(2, NUMBA_DISABLE_JIT="1", PYTHONWARNINGS="error")
    assert interpreted == golden.digests(2)


@pytest.mark.parametrize(
    ("processor", "features"),
    [
        ("generic", ""),
        *(
            [pytest.param(f"x86-64-v{n}", "", marks=pytest.mark.slow) for n in (2, 3)]
            if platform.machine() == "x86_64"
            else []
        ),
    ],
)
def test_equal_bits_on_other_processors(processor, features):
    """All golden digests hold when compiled for processors with vectors of other widths."""
    digests = digests_in_subprocess(NUMBA_CPU_NAME=processor, NUMBA_CPU_FEATURES=features)
    assert digests == PINNED


def test_equal_bits_without_numpys_processor_features():
    """All golden digests hold with numpy's dispatched features off, which change `numpy.exp`."""
    umath = np._core._multiarray_umath  # numpy tells its processor features nowhere else
    features = [name for name in umath.__cpu_dispatch__ if umath.__cpu_features__[name]]
    if not features:
        pytest.skip("numpy dispatches no feature that this processor has")
    off = {"NPY_DISABLE_CPU_FEATURES": " ".join(features)}
    controls = []
    for kind in ("f4", "f8"):
        values = np.exp(np.linspace(0.1, 80.0, 20_000, dtype=kind)).tobytes().hex()
        controls.append(in_subprocess(WITHOUT_FEATURES.format(kind=kind), **off) != values)
    assert any(controls), "the control did not change: were the features off?"
    assert digests_in_subprocess(**off) == PINNED


NEEDED = "import numpy, numba, pydantic, xxhash, platformdirs, joblib, h5py, pyarrow, cv2"


def other_pythons() -> list[str]:
    """Return the other interpreters, 3.10 to 3.14: those named, on the path, or beside this one.

    `OTHER_PYTHONS` names more, such as those of virtual environments, with `:` between.
    """
    paths = [path for path in os.environ.get("OTHER_PYTHONS", "").split(os.pathsep) if path]
    for minor in range(10, 15):
        if minor != sys.version_info[1]:
            name = f"python3.{minor}"
            beside = sorted(Path(sys.base_prefix).parent.glob(f"3.{minor}*/bin/{name}"))
            paths += [str(path) for path in beside] or filter(None, [shutil.which(name)])
    return paths


@pytest.mark.parametrize("python", other_pythons())
def test_equal_bits_under_other_pythons(python):
    """All golden digests hold under each other Python that has the dependencies."""
    if subprocess.run([python, "-c", NEEDED], capture_output=True, check=False).returncode:
        pytest.skip(f"{python} lacks the dependencies; tox -e py310,py312,... installs them")
    assert digests_in_subprocess(python=python) == PINNED


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


HELPERS = {
    "common": (
        "builder/common/rng_kernels.py",
        "x = u64((x ^ (x >> u64(30))) * u64(FIRST))",
        "x = u64((x ^ (x >> u64(29))) * u64(FIRST))",
        """
import numpy as np
from builder.generator.kernels import elastic
noise = np.zeros(512, np.int16)
elastic.draw_noise(np.uint64(7), noise)
print(noise.sum())
""",
    ),
    "augment": (
        "builder/augment/warp.py",
        "sine = sine * half",
        "sine = half * half",
        """
from builder.augment.warp import sine_cosine
print(sine_cosine(30.0))
""",
    ),
    "planner": (
        "builder/planner/layout.py",
        "inner = 0 < d < lengths[b]",
        "inner = 0 < d > lengths[b]",
        """
import numpy as np
from builder.planner import layout
gaps = np.zeros((1, 3), np.int64)
layout.map_to_gaps(np.zeros((1, 3), np.uint64), np.array([3]), 5, 9, gaps)
print(gaps)
""",
    ),
    "generator": (
        "builder/generator/kernels/elastic.py",
        "& u64(15)) * 2 - 15)",
        "& u64(15)) * 2 - 13)",
        """
import numpy as np
from builder.generator.kernels import elastic
noise = np.zeros(512, np.int16)
elastic.draw_noise(np.uint64(7), noise)
print(noise.sum())
""",
    ),
    "storage": (
        "builder/storage/statistics.py",
        "np.int32(0), np.int32(0)",
        "np.int32(1), np.int32(0)",
        """
import numpy as np
from builder.storage import statistics
print(statistics.moments(np.zeros(5, np.uint8)))
""",
    ),
}
"""By room: a file of compiled functions, a line of it, an edit of that, and a program that prints
what the function gives. The function of `common` is called by one of another room."""


@pytest.mark.parametrize("room", HELPERS)
def test_an_edited_helper_is_compiled_anew(tmp_path, room):
    """After an edit that keeps date and size of its file, a compiled function gives the new."""
    shutil.copytree(ROOT / "builder", tmp_path / "builder")
    name, line, edited, program = HELPERS[room]
    before = in_subprocess(program, root=tmp_path)
    source = tmp_path / name
    stat, text = source.stat(), source.read_text()
    assert line in text
    source.write_text(text.replace(line, edited))
    os.utime(source, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    shutil.rmtree(source.parent / "__pycache__", ignore_errors=True)
    assert in_subprocess(program, root=tmp_path) != before


def test_every_compiled_function_is_among_the_sources():
    """The cache is keyed by every file that holds a compiled function, and each room is edited."""
    package = ROOT / "builder"
    keyed = {path for pattern in SOURCES for path in package.glob(pattern)}
    compiled = {path for path in package.rglob("*.py") if "\n@jit\n" in path.read_text()}
    assert compiled <= keyed
    assert {path.relative_to(package).parts[0] for path in compiled} == set(HELPERS)


@jit.jit
def increment(value):
    return value + 1


def increment_twice(value):
    return increment(increment(value))


@pytest.fixture
def compile_twice(tmp_path, monkeypatch):
    """Return a function that compiles, or loads, a function of the test as a new process would."""
    monkeypatch.setenv("DIGITSEQ_CACHE", str(tmp_path / "cache"))
    caches = (cache.cache_folder, jit.compile_cache_folder)

    def compile_anew():
        for found in caches:
            found.cache_clear()
        increment.__dict__.pop("_compiled", None)
        return jit.jit(increment_twice)

    yield compile_anew
    monkeypatch.undo()
    for found in caches:
        found.cache_clear()


DAMAGES = {
    "emptied": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "zeroed": lambda data: bytes(len(data)),
    "one-bit": lambda data: data[:-100] + bytes([data[-100] ^ 1]) + data[-99:],
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("kind", ["nbi", "nbc"])
def test_damaged_compiled_code_is_made_again(tmp_path, caplog, compile_twice, damage, kind):
    """A damaged file is dropped, which the log says, and whole files are used."""
    assert compile_twice()(40) == 42
    files = sorted((tmp_path / "cache").rglob(f"*.{kind}"))
    assert len(files) == 2
    files[0].write_bytes(damage(files[0].read_bytes()))
    assert compile_twice()(40) == 42
    assert f"{jit.compile_cache_folder()}: 1 damaged files are dropped" in caplog.text
    caplog.clear()
    loaded = compile_twice()
    assert loaded(40) == 42
    assert sum(loaded._compiled.stats.cache_hits.values()) == 1
    assert not caplog.text


def test_a_full_disk_is_named_when_compiling(tmp_path, monkeypatch, compile_twice):
    """Where compiled code cannot be written, one line names the file and what to do."""

    def fail(path, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(jit, "publish_bytes", fail)
    with pytest.raises(BuilderError, match=r"increment.*: cannot be written \(No space left") as e:
        compile_twice()(40)
    assert str(tmp_path) in str(e.value)


def test_no_writable_cache_folder_is_no_obstacle(tmp_path):
    """Where the cache folder cannot be made, a temporary one serves, with the same bits."""
    blocked = tmp_path / "file"
    blocked.write_text("")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    digests = digests_in_subprocess(
        2, DIGITSEQ_CACHE=str(blocked / "x"), TMPDIR=str(temporary), NUMBA_DISABLE_JIT="1"
    )
    assert digests == golden.digests(2)
    assert any(temporary.rglob("*.npy"))


def test_other_users_of_numba_keep_their_cache_folder():
    """Importing the kernels leaves numba's own setting as it was."""
    program = (
        "import numba; before = numba.config.CACHE_DIR; import builder.generator.kernels.mesh; "
        "print(before == numba.config.CACHE_DIR)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "True"


@pytest.mark.parametrize("size", [0, 1, 1000, 16384, 16385, 100_000])
def test_moments_are_exact(size):
    """Sum and sum of squares are those of numpy in 64 bits, for all-white images too."""
    values = np.random.default_rng(0).integers(0, 256, size).astype(np.uint8)
    for tried in (values, np.full(size, 255, dtype=np.uint8)):
        wide = tried.astype(np.int64)
        assert statistics.moments(tried) == (wide.sum(), (wide**2).sum())


def test_golden_script_writes_what_is_pinned():
    """The script that remakes the golden digests gives those that are there."""
    assert golden.digests() == json.loads(golden.FILE.read_text())
