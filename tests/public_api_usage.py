"""Code as users write it: `test_public_api.py` runs `mypy --strict` over this file.

Where a line is wrong on purpose, its comment names the error; mypy reports a comment without one.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from typing_extensions import assert_type

import builder
import digitseq
from builder import Augment, Batch, Order, Recipe, Sample, StoredDataset

recipe = Recipe(seed=7, length=(1, 5), width=160, augment=Augment(rotate=20))
assert_type(recipe, builder.Recipe)
assert_type(digitseq.Recipe(), builder.Recipe)
assert_type(builder.__version__, str)
assert_type(digitseq.__version__, str)

batch = builder.generate(recipe, range(256))
assert_type(batch, Batch)
assert_type(batch.images, npt.NDArray[np.uint8])
assert_type(digitseq.generate(recipe, [3])[0], Sample)
assert_type(builder.regenerate(recipe, seed=0x1234).text, str)

dataset = builder.open_dataset("shards/run1")
assert_type(dataset, StoredDataset)
assert_type(dataset[3].image, npt.NDArray[np.uint8])
assert_type(dataset[3:9], Batch)
assert_type(dataset[[True] * 60], Batch)
assert_type(dataset[np.array([0, 7])], Batch)
assert_type(dataset[np.array([0, 7]) > 3], Batch)
assert_type(dataset[np.int64(3)], Sample)
assert_type(builder.generate(recipe, [np.int32(3), 4]), Batch)
live = builder.LiveDataset(recipe, 1_000_000)
assert_type(live[3], Sample)
for batch in live.batches(256, shuffle=True):
    assert_type(batch.texts, list[str])
order = Order(256, shuffle=True)

Recipe(length=3, spacing=5, classes="01", augment="strong")
Recipe(digits="350", augment={"rotate": 20})
Recipe(digits=[3, 5, 0], augment=Augment.preset("none", scale=0.1))
assert_type(recipe.augment.rotate, float)
Recipe(numbers="000:999", width=np.int64(100))
Recipe(labels_file="labels.txt", labels_order="shuffled")
Recipe(labels=["02139", "7"], labels_order="shuffled")
assert_type(recipe.spacing, tuple[int, int])

Recipe(augment="nonsense")  # type: ignore[arg-type]
Recipe(spacing=(1, 2, 3))  # type: ignore[arg-type]
Recipe(nonsense=3)  # type: ignore[call-arg]
Recipe(width="x")  # type: ignore[arg-type]
Recipe(fit="stretch")  # type: ignore[arg-type]
Augment(nonsense=1)  # type: ignore[call-arg]
Augment(rotate="far")  # type: ignore[arg-type]
_ = builder.nonsense  # type: ignore[attr-defined]
_ = digitseq.nonsense  # type: ignore[attr-defined]
