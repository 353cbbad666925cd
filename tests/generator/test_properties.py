"""Datasets of random recipes: stored fields equal rendered ones, and seeds give the samples."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder import Recipe, build, generate, open_dataset, regenerate
from builder.generator.batch import FIELDS, Batch

LABELS = st.one_of(
    st.builds(
        lambda low, more: {"length": (low, low + more)}, st.integers(1, 4), st.integers(0, 3)
    ),
    st.lists(st.integers(0, 9), min_size=1, max_size=6).map(
        lambda digits: {"digits": tuple(digits), "length": None}
    ),
    st.sampled_from(["0:9", "000:123", "98:101"]).map(
        lambda numbers: {"numbers": numbers, "length": None}
    ),
)
RECIPES = st.builds(
    lambda labels, low, more, rest: Recipe(**labels, spacing=(low, low + more), **rest),
    LABELS,
    st.integers(-9, 6),
    st.integers(0, 9),
    st.fixed_dictionaries(
        {
            "seed": st.integers(0, 2**64 - 1),
            "width": st.integers(200, 330),
            "fit": st.sampled_from(["squeeze", "fill"]),
            "align": st.sampled_from(["random", "left", "center", "right"]),
            "spacing_between": st.sampled_from(["frame", "ink"]),
            "split": st.sampled_from(["train", "test", "fit", "validation"]),
            "augment": st.sampled_from(["none", "light", "standard", "strong"]),
        }
    ),
)
STORAGE = st.sampled_from(
    [
        {"format": "hdf5"},
        {"format": "hdf5", "masks": True},
        {"compression": "gzip"},
        {"compression": "gzip", "masks": True},
        {"format": "png"},
    ]
)


def assert_equal(stored: Batch, rendered: Batch) -> None:
    """Compare all fields that are stored."""
    for name in FIELDS:
        values = getattr(stored, name)
        if values is not None:
            assert np.array_equal(values, getattr(rendered, name)), name


@given(RECIPES, STORAGE, st.integers(1, 40), st.integers(1, 25))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_what_is_written_is_read_and_comes_from_its_seed(recipe, storage, count, shard_size):
    """All fields of stored samples equal the rendered ones, and a seed gives its sample again."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "set"
        build(recipe, count, out, shard_size=shard_size, workers=1, **storage)
        data = open_dataset(out)
        rendered = generate(recipe, range(count), masks=storage.get("masks", False))
        assert_equal(data[0:count], rendered)
        assert data[0:count].texts == rendered.texts
        last = data[count - 1]
        again = regenerate(data.recipe, last.seed)
        assert again.index == count - 1
        assert again.text == last.text
        assert np.array_equal(again.image, last.image)
        data.close()
