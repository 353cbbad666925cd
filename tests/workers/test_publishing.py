"""A crash at every step of publishing a dataset: the next call ends as if there had been none."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from builder import Recipe, build, open_dataset
from builder.common import atomic_files
from builder.common.errors import DatasetError

STEPS = {"hdf5": 40, "png": 42}
"""How many steps a dataset of two shards takes to publish; a test counts them."""

COUNT = 30


def contents(folder):
    """Return the sha256 of every file of a folder, without what names times and processes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (".lock", "build.log")
    }


def made(recipe, out, form):
    """Build a dataset of two shards in this process."""
    return build(recipe, COUNT, out, format=form, shard_size=20, workers=1)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Return a recipe with a labels file, so that there is nothing that is not published."""
    from builder.recipe import labels_file

    lines = tmp_path_factory.mktemp("labels") / "labels.txt"
    lines.write_text("350\n02139\n7\n")
    return Recipe(seed=3, labels_file=labels_file.register(lines), length=None, augment="light")


@pytest.fixture(scope="module")
def whole(labelled, tmp_path_factory):
    """Return, of each form, the contents of a dataset made without a crash."""
    found = {}
    for form in STEPS:
        out = tmp_path_factory.mktemp("whole") / form
        made(labelled, out, form)
        found[form] = contents(out)
    return found


def watched(monkeypatch, at_step):
    """Have `at_step(number)` called before each step: a write, sync, rename or removal.

    Writes one after another to a shard are one step, after the first two.
    """
    steps, writes = iter(range(10**6)), [0]

    def before(owner, name):
        function = getattr(owner, name)

        def stepped(*arguments, **named):
            writes[0] = writes[0] + 1 if name == "write_at" else 0
            if writes[0] in (0, 3):
                at_step(next(steps))
            return function(*arguments, **named)

        monkeypatch.setattr(owner, name, stepped)

    for name in ("write_at", "sync", "remove"):
        before(atomic_files, name)
    before(Path, "replace")
    before(Path, "write_bytes")


@pytest.mark.parametrize("form", STEPS)
def test_every_step_is_tried(labelled, tmp_path, monkeypatch, form):
    """The tests below crash at each step that there is."""
    taken = []
    with monkeypatch.context() as patched:
        watched(patched, taken.append)
        made(labelled, tmp_path / "set", form)
    assert len(taken) == STEPS[form]


@pytest.mark.parametrize(
    ("form", "step"), [(f, n) for f, steps in STEPS.items() for n in range(steps)]
)
def test_a_crash_at_a_step_is_made_good(labelled, whole, tmp_path, monkeypatch, form, step):
    """A process that ends just before a step leaves no wrong dataset, and the same call ends it."""
    out = tmp_path / "set"
    child = os.fork()
    if child == 0:  # what follows is as if the process were killed: nothing is cleaned up
        try:
            watched(monkeypatch, lambda number: os._exit(9) if number == step else None)
            made(labelled, out, form)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    try:
        assert len(open_dataset(out)) == COUNT  # whole already, or it does not open
    except DatasetError:
        made(labelled, out, form)
    assert {n: c for n, c in contents(out).items() if ".tmp-" not in n} == whole[form]
    made(labelled, out, form)
    assert contents(out) == whole[form]
    assert not list(out.glob(".tmp-*"))
