"""The public names: what is exported, its types, and the second name of the package."""

from __future__ import annotations

import ast
import importlib.metadata
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import builder
import digitseq

ROOT = Path(__file__).parents[1]


def run(*arguments, cwd=ROOT, path=ROOT):
    """Run a command in a folder, with one folder on Python's path; return its process."""
    environment = {**os.environ, "PYTHONPATH": str(path)}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_code_of_users_is_checked_by_its_types():
    """Right calls have their types under `mypy --strict`, and wrong ones are errors."""
    cache = Path(os.environ["DIGITSEQ_CACHE"], "mypy")
    options = ["--strict", "--config-file=", "--follow-imports=silent", f"--cache-dir={cache}"]
    process = run("-m", "mypy", *options, "tests/public_api_usage.py")
    assert process.returncode == 0, process.stdout + process.stderr


STORE = "s3://bucket/x"


@pytest.mark.parametrize("path", [STORE, Path(STORE)], ids=["str", "Path"])
@pytest.mark.parametrize(
    "use",
    [
        lambda path: builder.build(builder.Recipe(), 1, path),
        builder.open_dataset,
        builder.verify,
        builder.repair,
        builder.register,
        lambda path: builder.Recipe(labels_file=path),
    ],
)
def test_addresses_of_stores_are_refused(tmp_path, monkeypatch, use, path):
    """Wherever a path is taken, `SCHEME://` is an error, and makes no folder of that name."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(builder.UsageError, match=r"s3:/.*: storage of this kind is not supported"):
        use(path)
    assert list(tmp_path.iterdir()) == []


def test_home_folders_are_found(tmp_path, monkeypatch):
    """A `~` at the beginning of a path is the user's home, as in a shell."""
    monkeypatch.setenv("HOME", str(tmp_path))
    result = builder.build(builder.Recipe(), 1, "~/data", backend="sequential")
    assert result.path == tmp_path / "data"
    assert len(builder.open_dataset(Path("~/data"))) == 1
    monkeypatch.chdir(tmp_path)
    Path("~nobody-of-this-name").mkdir()
    with pytest.raises(builder.UsageError, match="~nobody-of-this-name: holds no plan"):
        builder.verify("~nobody-of-this-name")


def test_numbers_of_numpy_are_numbers(tmp_path):
    """Every function takes numpy's whole numbers and booleans in place of Python's."""
    recipe = builder.Recipe(length=(np.int32(1), 3), seed=np.uint64(2**64 - 1), width=np.int16(99))
    options = {"workers": np.int64(1), "shard_size": np.uint8(3), "block_size": np.int32(2)}
    result = builder.build(recipe, np.int64(5), tmp_path / "a", masks=np.True_, **options)
    assert (result.manifest.plan.count, result.manifest.plan.shard_count) == (5, 2)
    data = builder.open_dataset(result.path)
    assert builder.verify(result.path, "deep", samples=np.int8(4), workers=np.int8(1)).whole
    assert builder.repair(result.path, workers=np.int8(1)).before.whole
    assert data[np.uint64(1)].text == data[-4].text == data[np.int64(1) : np.int8(2)][0].text
    assert builder.generate(recipe, [np.uint64(1), 2, np.int8(3)]).texts == data[1:4].texts
    assert builder.regenerate(recipe, np.uint64(data[1].seed)).index == 1
    live = builder.LiveDataset(recipe, np.int16(5))
    order = builder.Order(np.int8(2), shuffle=np.True_, seed=np.uint64(3), ranks=np.int8(1))
    batches = list(live.in_order(order, epoch=np.int8(1), start=np.int8(1)))
    assert [len(batch) for batch in batches] == [2, 1]
    assert len(list(data.batches(np.int64(2), np.bool_(False), np.int8(0), np.int8(1)))) == 3


def names_for_type_checkers():
    """Return the names that `builder/__init__.py` imports for type checkers."""
    module = ast.parse((ROOT / "builder" / "__init__.py").read_text())
    branch = next(node for node in module.body if isinstance(node, ast.If))
    imports = [node for node in branch.body if isinstance(node, ast.ImportFrom)]
    return [alias.asname or alias.name for node in imports for alias in node.names]


@pytest.mark.parametrize("package", [builder, digitseq])
def test_what_is_listed_is_what_is_exported(package):
    """`__all__`, `dir` and what type checkers see are the same names, and all can be had."""
    expected = sorted(["__version__", *names_for_type_checkers()])
    assert sorted(package.__all__) == sorted(dir(package)) == expected
    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match=f"module '{package.__name__}' has no attribute 'no"):
        _ = package.nonsense


def test_both_names_give_the_same_objects():
    """What `digitseq` exports is what `builder` exports, PyTorch's part included."""
    for name in names_for_type_checkers():
        assert getattr(digitseq, name) is getattr(builder, name), name
    assert digitseq.__version__ == builder.__version__
    pytest.importorskip("torch")
    assert import_module("digitseq.torch") is import_module("builder.torch")
    assert digitseq.torch is builder.torch


def test_the_version_is_that_of_the_installed_package(monkeypatch):
    """`__version__` comes from the package's metadata; a checkout that is not installed has one."""
    assert builder.__version__ == importlib.metadata.version("digitseq")

    def not_installed(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", not_installed)  # as in a bare checkout
    assert builder.__version__ == "0+unknown"


BESIDE_ANOTHER = """
from joblib import Parallel, delayed
import digitseq

if __name__ == "__main__":
    recipes = Parallel(2)(delayed(digitseq.Recipe)(seed=seed) for seed in (3, 4))
    assert recipes == [digitseq.Recipe(seed=3), digitseq.Recipe(seed=4)]
    assert digitseq.Recipe.__module__ == "builder.recipe.recipe"
"""


def test_the_second_name_works_where_another_package_hides_the_first(tmp_path):
    """A folder `builder/` beside the user's script hides ours, from worker processes as well."""
    (tmp_path / "builder").mkdir()
    (tmp_path / "builder" / "__init__.py").write_text("raise SystemExit('not the right one')")
    (tmp_path / "program.py").write_text(BESIDE_ANOTHER)
    process = run("program.py", cwd=tmp_path)
    assert (process.returncode, process.stdout, process.stderr) == (0, "", "")


def test_another_package_that_is_imported_first_is_an_error(tmp_path):
    """Two packages called `builder` cannot be used in one process; the message names both."""
    (tmp_path / "builder").mkdir()
    (tmp_path / "builder" / "__init__.py").write_text("")
    process = run("-c", "import builder, digitseq", cwd=tmp_path)
    error = process.stderr.splitlines()[-1]
    assert error.startswith(f"ImportError: digitseq needs the package 'builder' in {ROOT}, ")
    assert error.endswith(f"another one is imported: {tmp_path / 'builder' / '__init__.py'}")


@pytest.mark.parametrize("package", ["builder", "digitseq"])
def test_both_names_run_as_commands(package):
    """`python -m builder` and `python -m digitseq` are the command line."""
    process = run("-m", package, "--help")
    assert (process.returncode, process.stderr) == (0, "")
    assert process.stdout.startswith("usage: digitseq ")
