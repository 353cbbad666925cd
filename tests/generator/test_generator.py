"""Samples: the same bits however they are asked for, and the digests that hold them in place."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
import xxhash
from hypothesis import given, settings
from hypothesis import strategies as st

from builder import Recipe, generate, regenerate
from builder.common.errors import UsageError
from builder.generator.kernels.draw import find_most_nodes
from builder.planner.planner import open_planner
from builder.storage import statistics
from tests import golden
from tests.conftest import OF_A_SAMPLE


@pytest.mark.parametrize("name", golden.RECIPES)
def test_golden_digests_hold(name):
    """Pixels, labels and seeds of fixed recipes are what they were when they were pinned.

    If this fails and the change is meant, raise GENERATOR_VERSION and run `tests.golden`.
    """
    pinned = json.loads(golden.FILE.read_text())[name]
    recipe = Recipe(**golden.RECIPES[name])
    assert recipe.fingerprint == pinned["fingerprint"]
    batch = generate(recipe, range(golden.SAMPLES))
    assert statistics.format_digest(statistics.digest_of(batch)) == pinned["content"]


def equal(a, b) -> bool:
    """Tell whether two samples are the same in every field."""
    return all(np.array_equal(getattr(a, f), getattr(b, f)) for f in OF_A_SAMPLE)


def test_a_sample_is_the_same_alone_and_in_any_block(recipe, batch):
    """Any order and size of blocks gives every sample the same bits."""
    order = np.random.default_rng(0).permutation(250)
    mixed = generate(recipe, order)
    for row, index in enumerate(order[:60]):
        assert equal(mixed[row], batch[int(index)])
        assert equal(generate(recipe, [index])[0], batch[int(index)])


@given(index=st.integers(0, 2**63 - 1), master=st.integers(0, 2**64 - 1))
@settings(max_examples=60, deadline=None)
def test_regenerate_gives_the_sample_of_a_seed(index, master):
    """Any sample comes back from its seed alone, with its index."""
    recipe = Recipe(seed=master, width=120, length=(1, 3))
    sample = generate(recipe, [index])[0]
    again = regenerate(recipe, sample.seed)
    assert again.index == index
    assert equal(again, sample)


def test_regenerate_refuses_a_seed_of_no_sample(recipe):
    """A seed whose index is 2**63 or more is refused, as is one of more than 64 bits."""
    seeds = [generate(recipe, [2**63 - 1])[0].seed + n for n in range(40)]
    refused = 0
    for seed in seeds:
        try:
            regenerate(recipe, seed)
        except UsageError:
            refused += 1
    assert 5 < refused < 35
    with pytest.raises(UsageError, match=r"expected a whole number from 0 to 2\*\*64 - 1"):
        regenerate(recipe, 2**64)


def test_two_master_seeds_share_nothing(recipe):
    """Another master seed gives other labels, glyphs and pixels."""
    other = recipe.model_copy(update={"seed": 12})
    a, b = generate(recipe, range(50)), generate(other, range(50))
    assert a.texts != b.texts
    assert statistics.digest_of(a) != statistics.digest_of(b)
    assert not set(a.seeds.tolist()) & set(b.seeds.tolist())


def test_room_for_longer_labels_changes_no_pixel(tmp_path):
    """A sample is the same in a recipe whose other labels are longer."""
    (tmp_path / "labels.txt").write_text("35\n123456\n")
    short = generate(Recipe(digits="35", augment="strong"), [0])[0]
    long = generate(Recipe(labels_file=tmp_path / "labels.txt", augment="strong"), [0])[0]
    assert equal(short, long)


def test_batches_hold_what_they_say(recipe, batch):
    """Shapes, types, padding and texts are those of the docs."""
    digits = recipe.label_source.longest
    shapes = {
        "images": ((250, 28, 170), np.uint8),
        "labels": ((250, digits), np.int8),
        "lengths": ((250,), np.uint8),
        "index": ((250,), np.int64),
        "seeds": ((250,), np.uint64),
        "glyphs": ((250, digits), np.int32),
        "boxes": ((250, digits, 4), np.float32),
        "quads": ((250, digits, 4, 2), np.float32),
        "visible": ((250, digits), np.float32),
    }
    for name, (shape, kind) in shapes.items():
        values = getattr(batch, name)
        assert (values.shape, values.dtype) == (shape, kind), name
    past = np.arange(digits) >= batch.lengths[:, None]
    assert past.any()
    for values in (batch.labels, batch.glyphs):
        assert (values[past] == -1).all()
        assert (values[~past] >= 0).all()
    for name in ("boxes", "quads", "visible"):
        assert (getattr(batch, name)[past] == 0).all()
    assert [len(text) for text in batch.texts] == batch.lengths.tolist()
    assert [int(text[0]) for text in batch.texts] == batch.labels[:, 0].tolist()
    assert len(batch[3].boxes) == len(batch[3].text)


def test_glyphs_are_of_the_labels_class(batch):
    """The glyph that a sample names is one of the digit that its label names."""
    from builder.recipe import digits

    source = digits.open_bank(digits.MNIST, "train")
    classes = np.full(60_000, -1)
    for c in range(10):
        classes[source.members[source.starts[c] : source.starts[c + 1]]] = c
    own = batch.labels >= 0
    assert np.array_equal(classes[batch.glyphs[own]], batch.labels[own])


def test_unaugmented_samples_are_mnist_glyphs_side_by_side():
    """Without augmentation an image is its glyphs, pixel for pixel, at their places."""
    from builder.recipe import digits

    source = digits.open_bank(digits.MNIST, "train")
    recipe = Recipe(length=(1, 5), spacing=(0, 10), width=190, augment="none", seed=4)
    for sample in generate(recipe, range(100)):
        expected = np.zeros((28, 190), dtype=np.uint8)
        for glyph, quad in zip(sample.glyphs, sample.quads, strict=True):
            left = int(quad[0, 0])
            frame = source.glyphs[glyph].reshape(32, 32)[2:30, 2:30]
            expected[:, left : left + 28] = np.maximum(expected[:, left : left + 28], frame)
        assert np.array_equal(sample.image, expected)


def test_digest_follows_its_definition(batch):
    """The digest is the sum of XXH3-128 over the bytes that the docs list, packed by hand."""
    total = 0
    for sample in batch:
        data = struct.pack("<QQI", sample.index, sample.seed, 170)
        data += bytes([len(sample.text)]) + bytes(int(digit) for digit in sample.text)
        data += b"".join(bytes(row) for row in sample.image)
        total += xxhash.xxh3_128(data).intdigest()
    assert statistics.digest_of(batch) == total % 2**128
    assert int(statistics.format_digest(total).removeprefix("c1:"), 16) == total % 2**128


def test_digests_of_parts_add_up(recipe, batch):
    """The digest of a set is the sum of the digests of its parts."""
    parts = [statistics.digest_of(generate(recipe, part)) for part in (range(100), range(100, 250))]
    assert statistics.format_digest(sum(parts)) == statistics.format_digest(
        statistics.digest_of(batch)
    )


@pytest.mark.parametrize("field", ["images", "labels", "index", "seeds", "lengths"])
def test_digest_sees_one_changed_value(recipe, field):
    """One changed pixel, digit, index, seed or length changes the digest."""
    batch = generate(recipe, range(20))
    values = getattr(batch, field).copy()
    values.reshape(-1)[0] ^= 1
    changed = batch.replace(**{field: values})
    assert statistics.digest_of(changed) != statistics.digest_of(batch)


@pytest.mark.parametrize("text", ["", "c1:", "c2:" + "0" * 32, "c1:" + "g" * 32, "c1:" + "0" * 33])
def test_digests_in_another_form_are_refused(text):
    """A digest that is not c1: and 32 hex digits gets a clear error."""
    with pytest.raises(UsageError, match="expected c1: and 32 hex digits"):
        statistics.Statistics(content_digest=text)


def test_no_sample_of_the_largest_ranges_needs_much_memory():
    """With every warp at its most, no digit's mesh grows out of bounds."""
    most = {**golden.STRONGEST, **dict.fromkeys(golden.EFFECTS, 0.0), "stroke_width": 3.0}
    planner = open_planner(Recipe(length=1, spacing=0, width=300, fit="fill", augment=most))
    for start in range(0, 100_000, 5000):
        specs = planner.draw_specs(range(start, start + 5000))
        assert find_most_nodes(specs.digits, planner.glyph_arrays) < 20_000
