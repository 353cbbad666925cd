"""The planner: blocks, statistics, and what the drawn numbers do to an image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from builder import Recipe, generate
from builder.common.errors import UsageError
from builder.planner.layout import fit_into
from builder.planner.planner import open_planner

ENOUGH = 1e-4
"""Least p-value of a correct distribution. All seeds are fixed, so no test fails by chance."""


def arrays_of(specs):
    """Return every array of specs by name, the samples first."""
    arrays = {"index": specs.index, "seeds": specs.seeds, "labels": specs.labels}
    arrays |= specs.layout._asdict() | specs.digits._asdict()
    arrays |= {effect.name: numbers for effect, numbers in specs.effects}
    del arrays["rms"], arrays["correlation"]  # numbers of the recipe
    return arrays | {"warps": np.moveaxis(specs.digits.warps, 1, 0)}


@pytest.mark.parametrize(
    "labels",
    [{"length": (1, 5)}, {"digits": "350"}, {"numbers": "7:1234"}, {"length": 3, "classes": "17"}],
)
@pytest.mark.parametrize("more", [{}, {"spacing_between": "ink", "spacing": (-9, 4)}])
def test_blocks_join(labels, more):
    """The specs of [0, 100) are those of [0, 37) and [37, 100), in any order of indices."""
    planner = open_planner(Recipe(seed=3, augment="strong", **labels, **more))
    whole = arrays_of(planner.draw_specs(range(100)))
    first, second = (arrays_of(planner.draw_specs(part)) for part in (range(37), range(37, 100)))
    turned = arrays_of(planner.draw_specs(np.arange(100)[::-1]))
    for name, values in whole.items():
        assert np.array_equal(values, np.concatenate([first[name], second[name]])), name
        assert np.array_equal(values, turned[name][::-1]), name


def test_far_indices_cost_no_more_than_near_ones():
    """The largest index is planned alone."""
    specs = open_planner(Recipe(seed=3)).draw_specs([2**63 - 1])
    assert specs.index[0] == 2**63 - 1
    assert generate(Recipe(seed=3), [2**63 - 1]).images.any()


@pytest.mark.parametrize(
    "indices",
    [[-1], [2**63], [0.5], "3", [[1, 2]], [None], 3, [True], np.array([2**63], dtype=np.uint64)],
)
def test_bad_indices_are_refused(indices):
    """An index outside of [0, 2**63) is refused in one line."""
    with pytest.raises(UsageError, match="expected a sequence of whole numbers"):
        generate(Recipe(), indices)


def test_no_indices_give_no_samples():
    """An empty block is a batch of no samples."""
    assert generate(Recipe(width=150), []).images.shape == (0, 28, 150)


@pytest.mark.parametrize("split", ["train", "test", "validation", "fit"])
def test_glyphs_are_uniform_within_their_class(split):
    """Each glyph of a class comes as often as any other, and none comes from elsewhere."""
    planner = open_planner(Recipe(digits="4" * 10, split=split, width=400))
    bank = planner.bank
    members = bank.members[bank.starts[4] : bank.starts[5]]
    glyphs = planner.draw_specs(range(12_000)).digits.glyphs.ravel()
    assert set(glyphs.tolist()) <= set(members.tolist())
    counts = np.bincount(np.searchsorted(np.sort(members), glyphs), minlength=len(members))
    assert chisquare(counts).pvalue > ENOUGH


def test_gaps_are_uniform_with_both_ends():
    """Each gap of the range comes as often as any other, the first and last one too."""
    specs = open_planner(Recipe(length=5, spacing=(-3, 12), seed=9)).draw_specs(range(20_000))
    counts = np.bincount((specs.layout.gaps[:, 1:] + 3).ravel())
    assert len(counts) == 16
    assert chisquare(counts).pvalue > ENOUGH
    assert (specs.layout.gaps[:, 0] == 0).all()


def test_gaps_are_independent_of_each_other():
    """Two gaps of a sample are independent of each other and of the first digit."""
    specs = open_planner(Recipe(length=3, spacing=(0, 4), seed=9)).draw_specs(range(20_000))
    first, second = specs.layout.gaps[:, 1], specs.layout.gaps[:, 2]
    assert chisquare(np.bincount(first * 5 + second, minlength=25)).pvalue > ENOUGH
    table = np.bincount(specs.labels[:, 0] * 5 + first, minlength=50)
    assert chisquare(table).pvalue > ENOUGH


def test_digits_and_lengths_are_uniform():
    """Each length of the range and each digit comes as often as any other."""
    specs = open_planner(Recipe(length=(2, 6), width=300)).draw_specs(range(20_000))
    assert chisquare(np.bincount(specs.digits.lengths)[2:]).pvalue > ENOUGH
    assert chisquare(np.bincount(specs.labels[specs.labels >= 0])).pvalue > ENOUGH


def test_placings_are_uniform_with_both_ends():
    """A strip stands at each whole pixel that leaves it inside as often as at any other."""
    specs = open_planner(Recipe(digits="12", spacing=7, width=80)).draw_specs(range(20_000))
    left = specs.layout.left
    assert (left % 65536 == 0).all()
    counts = np.bincount(left // 65536)
    assert len(counts) == 80 - 63 + 1
    assert chisquare(counts).pvalue > ENOUGH


@pytest.mark.parametrize("name", ["scale", "shift"])
@pytest.mark.parametrize("other", [0.0, 0.1, 0.4])
def test_switching_one_augmentation_leaves_other_draws_alone(name, other):
    """Labels, glyphs and layout do not depend on the strength of an augmentation."""
    plain = open_planner(Recipe(augment="none", seed=5)).draw_specs(range(64))
    changed = open_planner(Recipe(augment={name: other}, seed=5)).draw_specs(range(64))
    before, after = arrays_of(plain), arrays_of(changed)
    for name in ("seeds", "labels", "lengths", "glyphs", "centres", *plain.layout._fields):
        assert np.array_equal(before[name], after[name])


def test_each_augmentation_draws_from_a_stream_of_its_own():
    """Scale's factors are the same with shift on or off, and grow in step with the strength."""

    def factors(**strengths):
        specs = open_planner(Recipe(length=5, seed=5, augment=strengths)).draw_specs(range(64))
        return specs.digits.warps[0] - 1, specs.digits.warps[3] - 1

    alone, together = factors(scale=0.1), factors(scale=0.1, shift=3.0)
    assert np.array_equal(alone, together)
    twice = factors(scale=0.2)
    assert np.allclose(np.array(twice), 2 * np.array(alone), atol=1e-14)
    assert np.abs(np.array(alone)).max() > 0.099
    assert np.abs(np.array(alone)).max() < 0.1
    assert abs(np.corrcoef(alone[0].ravel(), alone[1].ravel())[0, 1]) < 0.15


def test_scale_and_shift_move_boxes_as_they_say():
    """With scale alone ink stays about its middle; with shift alone it keeps its size."""
    plain = generate(Recipe(digits="8", width=64, align="center", augment="none"), range(200))
    shifted = generate(
        Recipe(digits="8", width=64, align="center", augment={"shift": 3}), range(200)
    )
    moved = shifted.quads[:, 0, 0] - plain.quads[:, 0, 0]
    assert np.abs(moved).max() <= 3.001
    assert np.abs(moved).max(axis=0).min() > 2.9
    assert np.allclose(shifted.quads[:, 0, 2] - plain.quads[:, 0, 2], moved, atol=1e-4)
    assert abs(np.corrcoef(moved.T)[0, 1]) < 0.3
    scaled = generate(
        Recipe(digits="8", width=64, align="center", augment={"scale": 0.2}), range(200)
    )
    middles = scaled.quads[:, 0].mean(axis=1) - plain.quads[:, 0].mean(axis=1)
    assert (np.abs(middles).max(axis=1) < 1e-4).mean() > 0.9  # the others were pulled in
    sides = (scaled.quads[:, 0, 2] - scaled.quads[:, 0, 0]) / 28
    assert 0.8 <= sides.min() < 0.81
    assert 1.19 < sides.max() <= 1.2


@pytest.mark.parametrize("preset", ["none", "light", "standard", "strong"])
@pytest.mark.parametrize("align", ["left", "right", "random"])
def test_ink_is_not_cut(preset, align):
    """At least 98 % of a digit's ink is inside the image for 99.9 % of the digits."""
    batch = generate(Recipe(length=3, width=110, augment=preset, align=align, seed=2), range(2000))
    assert (batch.visible < 0.98).mean() <= 0.001
    assert batch.visible.min() > 0.9


def test_pull_in_keeps_ink_within_the_strip():
    """Shifted ink of the first and last digit stays between the strip's edges."""
    recipe = Recipe(length=2, width=120, augment={"shift": 8}, spacing_between="ink", seed=2)
    specs = open_planner(recipe).draw_specs(range(500))
    boxes = generate(recipe, range(500)).boxes
    assert (boxes[:, :, 0] >= specs.layout.left[:, None] / 65536 - 1).all()
    assert (boxes[:, :, 2] <= specs.layout.right[:, None] / 65536 + 1).all()


@pytest.mark.parametrize(
    ("low", "high", "shift"),
    [(3, 9, 0), (-2, 9, 2), (0, 28, 0), (20, 30, -2), (-3, 30, 0.5), (-9, 25, 6), (5, 40, -8.5)],
)
def test_ink_is_shifted_as_little_as_brings_it_inside(low, high, shift):
    """Ink that fits is moved to the nearer edge; ink that does not is made smaller, and fits."""
    middle = (low + high) / 2 + 1
    factor, moved = fit_into(low, high, middle, 0.0, 28.0)
    assert factor == pytest.approx(min(28 / (high - low), 1))
    if factor == 1:
        assert moved == shift
    else:
        assert middle + factor * (low - middle) + moved == pytest.approx(0)
        assert middle + factor * (high - middle) + moved == pytest.approx(28)


def test_ink_spacing_is_between_ink():
    """With spacing between ink, the columns between two boxes are the gap, to the pixel."""
    recipe = Recipe(length=4, spacing=(0, 9), width=200, spacing_between="ink", augment="none")
    boxes = generate(recipe, range(300)).boxes
    gaps = open_planner(recipe).draw_specs(range(300)).layout.gaps
    assert np.array_equal(boxes[:, 1:, 0] - boxes[:, :-1, 2], gaps[:, 1:])


@given(
    digits=st.text("0123456789", min_size=1, max_size=7),
    low=st.integers(-9, 3),
    width=st.integers(5, 120),
    fit=st.sampled_from(["squeeze", "fill", "error"]),
    between=st.sampled_from(["frame", "ink"]),
)
@settings(max_examples=150, deadline=None)
@example(digits="1111111", low=-9, width=54, fit="squeeze", between="ink")
@example(digits="0001111", low=-9, width=54, fit="fill", between="ink")
def test_every_strip_of_an_accepted_recipe_lies_in_the_image(digits, low, width, fit, between):
    """No extent of an accepted recipe reaches out of the image."""
    try:
        recipe = Recipe(
            digits=digits, spacing=(low, low + 2), width=width, fit=fit, spacing_between=between
        )
    except UsageError:
        return
    strips = open_planner(recipe).draw_specs(range(30)).layout
    assert (strips.left >= 0).all()
    assert (strips.right <= width * 65536).all()


def test_frame_spacing_is_between_frames():
    """With spacing between frames, frames are 28 px wide and the gap apart."""
    recipe = Recipe(length=4, spacing=(0, 9), width=200, augment="none")
    quads = generate(recipe, range(300)).quads
    gaps = open_planner(recipe).draw_specs(range(300)).layout.gaps
    assert np.array_equal(quads[:, 1:, 0, 0] - quads[:, :-1, 1, 0], gaps[:, 1:])
    assert (quads[:, :, 1, 0] - quads[:, :, 0, 0] == 28).all()


def test_fill_reaches_both_edges():
    """With fit 'fill' and ink spacing, the ink begins in the first column and ends in the last."""
    recipe = Recipe(length=(1, 4), width=150, fit="fill", spacing_between="ink", augment="none")
    batch = generate(recipe, range(200))
    last = batch.boxes[np.arange(200), batch.lengths - 1]
    assert (batch.boxes[:, 0, 0] <= 1).all()
    assert (last[:, 2] >= 149).all()
