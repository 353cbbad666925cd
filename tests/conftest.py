"""What all tests share: a cache folder of the session's own, and small datasets."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

import pytest

# Before anything of the program is imported, since the cache folder is found once a process.
# Worker processes and subprocesses inherit it, those of pytest-xdist too. DIGITSEQ_TEST_CACHE names
# a folder that is kept, so that a run need not compile again what the one before it compiled.
if kept := os.environ.get("DIGITSEQ_TEST_CACHE"):
    os.environ["DIGITSEQ_CACHE"] = kept
elif "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["DIGITSEQ_CACHE"] = tempfile.mkdtemp(prefix="digitseq-tests-")
    atexit.register(shutil.rmtree, os.environ["DIGITSEQ_CACHE"], ignore_errors=True)

from builder import Augment, Recipe, generate
from builder.generator.batch import FIELDS, Batch, Sample

OF_A_SAMPLE = [name for name, value in vars(Sample).items() if isinstance(value, property)]
"""The names of what a sample has."""


def read_all(batch: Batch) -> Batch:
    """Read every field of a batch, and return it."""
    for name in FIELDS:
        getattr(batch, name)
    return batch


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """Return a recipe in which everything is drawn: lengths, gaps, placing, warps, effects."""
    augment = Augment(
        style=0.7,
        thin=0.2,
        thick=0.3,
        elastic=0.7,
        scale=0.15,
        shear=0.2,
        shear_y=0.06,
        rotate=10,
        perspective=0.04,
        shift=1,
        baseline=1,
        contrast=0.4,
        blur=0.5,
    )
    return Recipe(seed=11, length=(1, 5), spacing=(-4, 12), width=170, augment=augment)


@pytest.fixture(scope="session")
def batch(recipe: Recipe) -> Batch:
    """Return the first 250 samples of `recipe`."""
    return generate(recipe, range(250))
