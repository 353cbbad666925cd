"""The rules of the project that a program can check."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from inspect import signature
from pathlib import Path
from types import FunctionType

import pytest
from typing_extensions import get_overloads

import builder

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "builder").rglob("*.py"))


MODULE_LINES = {
    "recipe.recipe": 280,
}
"""Modules that may be longer than all others: to become empty."""


def module_name(path: Path) -> str:
    """Return the dotted name below `builder` of a source file."""
    parts = path.relative_to(ROOT / "builder").with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def external_imports(path: Path) -> set[str]:
    """Return the top-level packages that a file imports, anywhere in it."""
    packages = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            packages.add((node.module or "").split(".")[0])
        if isinstance(node, ast.Import):
            packages |= {alias.name.split(".")[0] for alias in node.names}
    return packages


@pytest.mark.parametrize(
    ("package", "homes"),
    [
        ("joblib", {"workers.pool"}),
        ("tqdm", {"cli.build", "workers.pool"}),
        ("random", set()),
        ("secrets", {"common.rng"}),
        ("h5py", {"storage.formats.hdf5", "storage.formats.hdf5_reader"}),
        ("pyarrow", {"storage.formats.parquet"}),
        ("cv2", {"storage.formats.png_file", "visualization.contact_sheet"}),
        ("numba", {"common.jit"}),
        ("xxhash", {"common.cache", "storage.statistics"}),
        ("platformdirs", {"common.cache"}),
        (
            "argparse",
            {"cli", "cli.options"}
            | {"cli.build", "cli.info", "cli.preview", "cli.regenerate", "cli.verify"},
        ),
        (
            "torch",
            {"torch", "torch.loader", "torch.shared_memory", "torch.targets"},
        ),
        ("pickle", set()),
    ],
)
def test_each_library_has_its_home(package, homes):
    """One module knows each library, so that it can be changed in one place."""
    modules = {module_name(path) for path in SOURCES if package in external_imports(path)}
    assert modules == homes


def test_only_named_streams_draw_random_numbers():
    """No module uses numpy's random module, and only one mixes words."""
    for path in SOURCES:
        text = path.read_text()
        assert "np.random" not in text, path
        if module_name(path) != "common.rng_kernels":
            assert "BF58476D1CE4E5B9" not in text.upper(), path


def test_no_data_runs_as_code():
    """Nothing that is read can run code: no pickle, no eval, and no loader that allows them."""
    running = r"pickle|marshal|shelve|yaml|joblib\.load|\beval\(|\bexec\("
    for path in SOURCES:
        text = path.read_text()
        assert not re.search(running, text.replace("allow_pickle=False", "")), path
        loads = re.findall(r"np\.load\((?:.|\n)*?\)\n", text)
        assert all("allow_pickle=False" in call for call in loads), path


def test_arithmetic_between_word_and_pixel_is_exact():
    """No library function whose last bit depends on the processor is used in making samples."""
    inexact = (
        r"\b(np|math|numba)\.(sin|cos|tan|exp|exp2|log|log2|power|pow|hypot|dot|matmul|einsum)\b"
    )
    makers = ("common.rng", "augment", "recipe.labels", "planner", "generator")
    for path in SOURCES:
        if module_name(path).startswith(makers):
            assert not re.search(inexact, path.read_text()), path
            assert "fastmath" not in re.sub(r'"""(?s:.*?)"""', "", path.read_text()), path
            assert " @ " not in path.read_text(), path


def test_one_module_prints():
    """What is printed passes the functions that escape what would move a cursor."""
    for path in SOURCES:
        nodes = list(ast.walk(ast.parse(path.read_text())))
        calls = [node.func for node in nodes if isinstance(node, ast.Call)]
        prints = [f for f in calls if isinstance(f, ast.Name) and f.id == "print"]
        assert not prints or module_name(path) == "cli", path


FILE_CALLS = (
    r"\.(unlink|rename|rmdir|mkdir|touch|symlink_to|write_text|write_bytes)\("
    r"|\.(glob|rglob|iterdir|scandir|listdir|walk)\("
    r"|\b(os|atomic_files)\.remove\(|rmtree\(|\.replace\([^,]*\)$|open\(.*(O_CREAT|'[wax]b?\+?')"
)
"""Calls that write, rename, remove or list files, as `ast.unparse` writes them."""

FILE_HOMES = {
    "storage.output_folder": "it is the output folder",
    "storage.claim": "makes and fences the staging folder of an output folder, before it is one",
    "workers.processes": "the current folder under Python 3.10, and shared memory",
    "storage.folder_lock": "the lock files of an output folder",
    "common.atomic_files": "the steps of publishing, for files outside of output folders too",
    "common.errors": "the null device",
    "common.cache": "the user's cache folder",
    "common.jit": "sources of the program, and the folder of compiled code",
    "recipe.digit_files": "the folder of a digit source",
    "cli.regenerate": "the folder that --out names for PNG files",
    "storage.formats.parquet": "a new file that `publish_file` yields",
    "storage.formats.png": "a new folder that `publish_folder` yields",
}


def test_output_folders_are_changed_and_listed_by_one_class():
    """Every other module that calls the file system has a reason."""
    for path in SOURCES:
        calls = [
            ast.unparse(node)
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
        ]
        found = [call for call in calls if re.search(FILE_CALLS, call)]
        assert not found or module_name(path) in FILE_HOMES, f"{path}: {found}"


def test_functions_and_modules_are_short():
    """No function body is longer than 60 lines, and no module than 250."""
    for path in SOURCES:
        text = path.read_text()
        assert len(text.splitlines()) <= MODULE_LINES.get(module_name(path), 250), path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                assert node.end_lineno - node.body[0].lineno < 60, f"{path}: {node.name}"


def public_members(exported):
    """Yield a name and an object for what users call or read of an exported object."""
    yield exported.__name__, exported
    if isinstance(exported, type):
        for base in exported.__mro__:
            if base.__module__.startswith("builder."):
                for name, member in vars(base).items():
                    if not name.startswith("_") or name in ("__getitem__", "__iter__"):
                        yield f"{exported.__name__}.{name}", member


def annotations(member):
    """Return the annotations in a signature, or of a property."""
    function = getattr(member, "fget", None) or getattr(member, "func", None) or member
    function = getattr(function, "__func__", function)
    if isinstance(function, type):
        return [str(item.annotation) for item in signature(function).parameters.values()]
    overloads = get_overloads(function) if isinstance(function, FunctionType) else []
    return [
        str(annotation)
        for item in overloads or [function]
        for annotation in getattr(item, "__annotations__", {}).values()
    ]


def test_public_signatures_say_their_types():
    """No signature of what `builder` exports contains `Any`."""
    untyped = {
        name
        for exported in map(builder.__getattr__, builder.__all__)
        if callable(exported)
        for name, member in public_members(exported)
        if any(re.search(r"\bAny\b", annotation) for annotation in annotations(member))
    }
    assert untyped == set()


def test_every_test_says_what_it_shows():
    """Every test has a docstring whose first line is a sentence."""
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                sentence = (ast.get_docstring(node) or "").split("\n")[0]
                assert sentence[:1].upper() == sentence[:1] != "", f"{path.name}: {node.name}"
                assert sentence.endswith("."), f"{path.name}: {node.name}"


def test_importing_reads_no_arguments_and_seeds_nothing():
    """Importing every module changes no global state and looks at no arguments."""
    program = """
import random, sys
import numpy as np
before = random.getstate(), np.random.get_state()[1].tolist()
sys.argv = ["x", "--nonsense"]
import builder, imgAug
from importlib import import_module
for name in sys.stdin.read().split():
    import_module(name)
assert before == (random.getstate(), np.random.get_state()[1].tolist())
"""
    names = [f"builder.{module_name(path)}".rstrip(".") for path in SOURCES]
    subprocess.run(
        [sys.executable, "-c", program], input="\n".join(names), text=True, check=True, cwd=ROOT
    )


def test_help_loads_no_heavy_library():
    """Asking for help imports neither numba nor h5py nor OpenCV nor pyarrow nor joblib."""
    program = """
import sys
from builder.cli import main
try:
    main("build", ["--help"])
except SystemExit:
    pass
print([name for name in ("numba", "h5py", "cv2", "pyarrow", "joblib") if name in sys.modules])
"""
    process = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert process.stdout.splitlines()[-1] == "[]"


def test_docstrings_run():
    """The examples in docstrings do what they say."""
    import doctest
    from importlib import import_module

    ran = 0
    for name in [f"builder.{module_name(path)}".rstrip(".") for path in SOURCES] + ["imgAug"]:
        result = doctest.testmod(import_module(name))
        assert not result.failed, name
        ran += result.attempted
    assert ran >= 8
