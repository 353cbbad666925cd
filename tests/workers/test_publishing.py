"""A crash at every step of publishing a dataset, and the next call, which finishes it."""

from __future__ import annotations

import os

import pytest

from builder import Recipe, build, open_dataset
from builder.common import atomic_files
from builder.common.errors import DatasetError
from tests.workers.files import hash_files

STEPS = {"hdf5": 42, "png": 48}
"""How many steps a dataset of two shards takes to publish; a test counts them."""

COUNT = 30


def build_in_process(recipe, out, form):
    """Build a dataset of two shards in this process."""
    return build(recipe, COUNT, out, format=form, shard_size=20, workers=1)


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Return a recipe with a labels file, so that every kind of file is published."""
    from builder.recipe import labels_file

    lines = tmp_path_factory.mktemp("labels") / "labels.txt"
    lines.write_text("350\n02139\n7\n")
    return Recipe(
        seed=3, labels_file=labels_file.register_labels(lines), length=None, augment="light"
    )


@pytest.fixture(scope="module")
def whole(labelled, tmp_path_factory):
    """Return the hashes of the files of a dataset built without a crash, by format."""
    found = {}
    for form in STEPS:
        out = tmp_path_factory.mktemp("whole") / form
        build_in_process(labelled, out, form)
        found[form] = hash_files(out)
    return found


def observe_steps(monkeypatch, at_step):
    """Call `at_step(number)` before each step: a write, sync, rename, removal or new folder.

    Consecutive writes to a shard are one step, after the first two.
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

    for name in ("mkdir", "fsync", "replace", "rename", "unlink", "rmdir"):
        before(os, name)
    for name in ("write_at", "sync_all"):
        before(atomic_files, name)


@pytest.mark.parametrize("form", STEPS)
def test_every_step_is_tried(labelled, whole, tmp_path, monkeypatch, form):
    """The number of steps is the one in the table. `whole` has compiled the kernels."""
    taken = []
    with monkeypatch.context() as patched:
        observe_steps(patched, taken.append)
        build_in_process(labelled, tmp_path / "set", form)
    assert len(taken) == STEPS[form]


@pytest.mark.parametrize(
    ("form", "step"), [(f, n) for f, steps in STEPS.items() for n in range(steps)]
)
def test_a_build_recovers_from_a_crash_at_any_step(
    labelled, whole, tmp_path, monkeypatch, form, step
):
    """A process that ends before a step leaves no wrong dataset, and the same call finishes it."""
    out = tmp_path / "set"
    child = os.fork()
    if child == 0:  # ends like a killed process, without clean-up
        try:
            observe_steps(monkeypatch, lambda number: os._exit(9) if number == step else None)
            build_in_process(labelled, out, form)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    try:
        assert len(open_dataset(out)) == COUNT  # complete already, or it does not open
    except DatasetError:
        build_in_process(labelled, out, form)
    assert {n: c for n, c in hash_files(out).items() if ".tmp-" not in n} == whole[form]
    build_in_process(labelled, out, form)
    assert hash_files(out) == whole[form]
    assert not list(out.glob(".tmp-*"))
