"""Layout: strips against exact fractions, the distribution of gaps and placing by chi-square."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from builder.common import rng
from builder.common.rng import Stream
from builder.planner.layout import arrange, draw_gaps
from builder.planner.specs import POSITION_SCALE, Layout
from builder.recipe import fit
from builder.recipe.fit import StripLimits, check_width

UNLIKELY = 1e-4
"""Least p-value of a correct distribution. All seeds are fixed, so no test fails by chance."""

FITS, ALIGNS = ["squeeze", "fill", "error"], ["random", "left", "center", "right"]
NARROWEST = Fraction(10, 28)


@dataclass
class Row:
    """One sample: nominal extents and the gaps before them, px; the first gap is 0."""

    nominal: list[int]
    gaps: list[int]


@dataclass
class Strip:
    """Where a sample's extents lie, px; `slack` is what the strip leaves of the width."""

    begins: list[Fraction]
    extents: list[Fraction]
    slack: Fraction


def runs(row: Row) -> list[tuple[int, int]]:
    """Return the sum of extents and of the gaps between them, px, of every run of neighbours."""
    ends = range(1, len(row.nominal) + 1)
    return [
        (sum(row.nominal[first:end]), sum(row.gaps[first + 1 : end]))
        for end in ends
        for first in range(end)
    ]


def squeeze_factor(row: Row, width: int, fit: str) -> Fraction:
    """Return the factor of extents: (W - Gs) / S of the strip, or of the tightest run in it.

    A run is tighter than its strip only where a gap is so negative that it takes a narrow digit
    back before the end of its left neighbour.
    """
    filling = min(Fraction(width - gaps, extents) for extents, gaps in runs(row))
    return {"squeeze": min(Fraction(1), filling), "fill": filling, "error": Fraction(1)}[fit]


def round_down(number: Fraction) -> Fraction:
    """Return the largest multiple of 1/65536 that is not above `number`."""
    return Fraction(floor(number * 65536), 65536)


def slow_strip(row: Row, width: int, fit: str) -> Strip:
    """Return the strip of one sample, laid from its own left edge, one digit after another."""
    scale, at, begins, extents = squeeze_factor(row, width, fit), Fraction(0), [], []
    for nominal, gap in zip(row.nominal, row.gaps, strict=True):
        at += gap
        begins.append(at)
        extents.append(round_down(scale * nominal))
        at += extents[-1]
    left = min(begins)
    right = max(begin + extent for begin, extent in zip(begins, extents, strict=True))
    slack = max(width - (right - left), Fraction(0))
    return Strip([begin - left for begin in begins], extents, slack)


def least_width(rows: list[Row], squeeze: Fraction) -> int:
    """Return the least width, px, of every run of neighbours at a squeeze."""
    return max(ceil(squeeze * extents) + gaps for row in rows for extents, gaps in runs(row))


def make_block(rows: list[Row]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return seeds (B,), nominal (B, L) and gaps (B, L) of some rows, padded with zeros."""
    digits = max(len(row.nominal) for row in rows)
    padded = [
        ([*r.nominal, *[0] * digits][:digits], [*r.gaps, *[0] * digits][:digits]) for r in rows
    ]
    seeds = rng.sample_seeds(1, np.arange(len(rows)))
    return seeds, *(np.array(column, dtype=np.int64) for column in zip(*padded, strict=True))


def arrange_rows(rows: list[Row], width: int, fit: str, align: str) -> Layout:
    return arrange(*make_block(rows), width, fit=fit, align=align)


def to_px(values: np.ndarray, count: int) -> list[Fraction]:
    return [Fraction(value, 65536) for value in values.tolist()[:count]]


EXTENT, FRAME = st.integers(1, 28), st.just(28)


@st.composite
def rows_and_width(draw, nominal=EXTENT, least_gap: int = -9):
    """Draw a few samples of up to six digits, and a width that squeezes none below 10/28."""
    rows = []
    for length in draw(st.lists(st.integers(1, 6), min_size=1, max_size=5)):
        nominals = draw(st.lists(nominal, min_size=length, max_size=length))
        gap = st.integers(least_gap, 40)
        gaps = draw(st.lists(gap, min_size=length - 1, max_size=length - 1))
        rows.append(Row(nominals, [0, *gaps]))
    width = least_width(rows, NARROWEST) + draw(st.one_of(st.integers(0, 60), st.integers(0, 8192)))
    return rows, width


@pytest.mark.parametrize("align", ["left", "center", "right"])
@pytest.mark.parametrize("fit", FITS)
@given(rows_and_width())
@settings(deadline=None, max_examples=60)
def test_layout_equals_the_slow_one(fit, align, rows_and_width):
    """Begins, extents and the strip's edges of a block are those of each sample laid by hand."""
    rows, width = rows_and_width
    layout = arrange_rows(rows, width, fit, align)
    for k, row in enumerate(rows):
        strip, count = slow_strip(row, width, fit), len(row.nominal)
        whole = Fraction(floor(strip.slack / 2))
        left = {"left": Fraction(0), "center": whole, "right": strip.slack}[align]
        assert to_px(layout.extents[k], count) == strip.extents
        assert to_px(layout.begins[k], count) == [left + begin for begin in strip.begins]
        ends = [b + e for b, e in zip(strip.begins, strip.extents, strict=True)]
        assert Fraction(int(layout.left[k]), 65536) == left
        assert Fraction(int(layout.right[k]), 65536) == left + max(ends)


@pytest.mark.parametrize("fit", FITS)
@given(rows_and_width())
@settings(deadline=None, max_examples=60)
def test_random_placing_moves_the_whole_strip(fit, rows_and_width):
    """Random placing shifts a strip by whole pixels, from none to all of its slack."""
    rows, width = rows_and_width
    layout, left = (arrange_rows(rows, width, fit, align) for align in ("random", "left"))
    for k, row in enumerate(rows):
        shift = Fraction(int(layout.left[k] - left.left[k]), 65536)
        assert shift.denominator == 1
        assert 0 <= shift <= floor(slow_strip(row, width, fit).slack)
        count = len(row.nominal)
        moved = [begin + shift for begin in to_px(left.begins[k], count)]
        assert to_px(layout.begins[k], count) == moved
    assert np.array_equal(layout.extents, left.extents)


@pytest.mark.parametrize("align", ALIGNS)
@pytest.mark.parametrize("fit", FITS)
@given(rows_and_width())
@settings(deadline=None, max_examples=40)
def test_gaps_are_never_scaled(fit, align, rows_and_width):
    """Each extent begins where the last one ended plus its gap, to the last 65536th."""
    rows, width = rows_and_width
    layout = arrange_rows(rows, width, fit, align)
    ends = layout.begins + layout.extents
    between = layout.begins[:, 1:] - ends[:, :-1]
    for k, row in enumerate(rows):
        assert (between[k, : len(row.gaps) - 1] == np.array(row.gaps[1:]) * POSITION_SCALE).all()
        assert layout.gaps[k, : len(row.gaps)].tolist() == row.gaps


def lies_inside(rows: list[Row], width: int, layout: Layout) -> bool:
    """Tell whether every strip and every extent lies within [0, width]."""
    ends = layout.begins + layout.extents
    own = np.array([[k < len(row.nominal) for k in range(ends.shape[1])] for row in rows])
    edges = [layout.left, layout.right, layout.begins[own], ends[own]]
    return all((edge >= 0).all() and (edge <= width * POSITION_SCALE).all() for edge in edges)


@pytest.mark.parametrize("align", ALIGNS)
@pytest.mark.parametrize("fit", ["squeeze", "fill"])
@given(rows_and_width(least_gap=0))
@settings(deadline=None, max_examples=60)
def test_strips_lie_within_the_image(fit, align, rows_and_width):
    """With gaps of 0 and more no extent leaves the image."""
    rows, width = rows_and_width
    assert lies_inside(rows, width, arrange_rows(rows, width, fit, align))


@pytest.mark.parametrize("align", ALIGNS)
@pytest.mark.parametrize("fit", ["squeeze", "fill"])
@given(rows_and_width(nominal=FRAME))
@settings(deadline=None, max_examples=60)
def test_strips_of_whole_frames_lie_within_the_image(fit, align, rows_and_width):
    """Whole frames that overlap by up to 9 px stay in the image and in their order."""
    rows, width = rows_and_width
    layout = arrange_rows(rows, width, fit, align)
    assert lies_inside(rows, width, layout)
    for k, row in enumerate(rows):
        begins = layout.begins[k, : len(row.nominal)]
        assert (np.diff(begins) > 0).all()


@pytest.mark.parametrize("fit", ["squeeze", "fill"])
@given(rows_and_width())
@settings(deadline=None, max_examples=60)
def test_no_run_of_neighbours_is_wider_than_the_image(fit, rows_and_width):
    """Where an overlap is wider than a digit, every run of neighbours still fits into the width."""
    rows, width = rows_and_width
    layout = arrange_rows(rows, width, fit, "left")
    for k, row in enumerate(rows):
        for end in range(len(row.nominal)):
            widths = layout.begins[k, end] + layout.extents[k, end] - layout.begins[k, : end + 1]
            assert (widths <= width * POSITION_SCALE).all()


@pytest.mark.parametrize("align", ALIGNS)
@given(rows_and_width(least_gap=0))
@settings(deadline=None, max_examples=40)
def test_unscaled_strips_lie_within_an_image_that_holds_them(align, rows_and_width):
    """With fit 'error' extents keep their width, and the strip lies within a width that fits."""
    rows, width = rows_and_width
    width = max(width, least_width(rows, Fraction(1)))
    layout = arrange_rows(rows, width, "error", align)
    assert lies_inside(rows, width, layout)
    assert layout.extents.tolist() == (make_block(rows)[1] * POSITION_SCALE).tolist()


@given(rows_and_width(least_gap=0))
@settings(deadline=None, max_examples=60)
def test_filling_strips_fill(rows_and_width):
    """With fit 'fill' extents and gaps add up to the width, short of one 65536th a digit."""
    rows, width = rows_and_width
    layout = arrange_rows(rows, width, "fill", "left")
    for k, row in enumerate(rows):
        lacking = (
            width * POSITION_SCALE - int(layout.extents[k].sum()) - sum(row.gaps) * POSITION_SCALE
        )
        assert 0 <= lacking < len(row.nominal)
        assert layout.left[k] == 0
        assert width * POSITION_SCALE - layout.right[k] == lacking


@given(rows_and_width(least_gap=0))
@settings(deadline=None, max_examples=60)
def test_squeezed_strips_are_never_widened(rows_and_width):
    """With fit 'squeeze' extents are nominal where there is room, and fill the width where not."""
    rows, width = rows_and_width
    layout = arrange_rows(rows, width, "squeeze", "random")
    _, nominal, gaps = make_block(rows)
    roomy = nominal.sum(axis=1) + gaps.sum(axis=1) <= width
    assert (layout.extents[roomy] == nominal[roomy] * POSITION_SCALE).all()
    lacking = (width - gaps.sum(axis=1)) * POSITION_SCALE - layout.extents.sum(axis=1)
    assert (lacking[~roomy] >= 0).all()
    assert (lacking[~roomy] < nominal.shape[1]).all()


@pytest.mark.parametrize("align", ALIGNS)
@pytest.mark.parametrize("fit", FITS)
@given(rows_and_width())
@settings(deadline=None, max_examples=30)
def test_a_sample_is_laid_alone_as_in_a_block(fit, align, rows_and_width):
    """The layout of a sample depends neither on its neighbours nor on its padding."""
    rows, width = rows_and_width
    together = arrange_rows(rows, width, fit, align)
    seeds, _, _ = make_block(rows)
    for k, row in enumerate(rows):
        _, nominal, gaps = make_block([row])
        alone = arrange(seeds[k : k + 1], nominal, gaps, width, fit=fit, align=align)
        count = len(row.nominal)
        assert alone.begins[0].tolist() == together.begins[k, :count].tolist()
        assert alone.extents[0].tolist() == together.extents[k, :count].tolist()
        assert (alone.left[0], alone.right[0]) == (together.left[k], together.right[k])


EXAMPLES = [
    # nominal, gaps, width, fit, align, begins, extents (px)
    ([28, 28], [0, 5], 100, "squeeze", "left", [0, 33], [28, 28]),
    ([28, 28], [0, 5], 100, "squeeze", "right", [39, 72], [28, 28]),
    ([28, 28], [0, 5], 100, "squeeze", "center", [19, 52], [28, 28]),
    ([28, 28], [0, 5], 100, "error", "left", [0, 33], [28, 28]),
    ([28, 28], [0, 4], 100, "fill", "left", [0, 52], [48, 48]),
    ([28, 28], [0, 4], 32, "squeeze", "random", [0, 18], [14, 14]),
    ([28, 28], [0, -4], 52, "squeeze", "random", [0, 24], [28, 28]),
    ([28, 28], [0, -4], 24, "squeeze", "right", [0, 10], [14, 14]),
    ([20, 4, 8], [0, 3, -2], 65, "fill", "left", [0, 43, 49], [40, 8, 16]),
    ([7], [0], 14, "fill", "random", [0], [14]),
    ([7], [0], 10, "error", "center", [1], [7]),
]


@pytest.mark.parametrize(
    ("nominal", "gaps", "width", "fit", "align", "begins", "extents"), EXAMPLES
)
def test_examples_laid_by_hand(nominal, gaps, width, fit, align, begins, extents):
    """Simple strips have the begins and extents worked out by hand."""
    layout = arrange_rows([Row(nominal, gaps)], width, fit, align)
    assert (layout.begins[0] / POSITION_SCALE).tolist() == begins
    assert (layout.extents[0] / POSITION_SCALE).tolist() == extents


def is_uniform(values: np.ndarray, low: int, high: int) -> bool:
    """Tell whether integers are uniform in [low, high], both ends reached, none beyond."""
    counts = np.bincount(values - low, minlength=high - low + 1)
    assert len(counts) == high - low + 1
    assert counts.min() > 0
    return low == high or stats.chisquare(counts).pvalue > UNLIKELY


@pytest.mark.parametrize(("width", "slack"), [(28, 0), (29, 1), (30, 2), (100, 72), (128, 100)])
@pytest.mark.parametrize("fit", ["squeeze", "error"])
def test_random_placing_is_uniform(fit, width, slack):
    """Every whole pixel from 0 to the slack comes equally often, both included."""
    layout = arrange_rows([Row([28], [0])] * (100 * slack + 100), width, fit, "random")
    assert (layout.left % POSITION_SCALE == 0).all()
    assert is_uniform(layout.left // POSITION_SCALE, 0, slack)


def test_placing_and_gaps_come_from_their_streams():
    """Placing and gaps are the words of their streams on their ranges, in exact integers."""
    seeds = rng.sample_seeds(6, np.arange(50))
    nominal, none = np.full((50, 1), 28), np.zeros((50, 1), dtype=np.int64)
    left = arrange(seeds, nominal, none, 128, fit="squeeze", align="random").left // POSITION_SCALE
    words = rng.draw_words(seeds, Stream.PLACING).tolist()
    assert left.tolist() == [(word >> 32) * 101 >> 32 for word in words]
    gaps = draw_gaps(seeds, np.full(50, 4), 4, (-3, 12))
    rows = rng.draw_digit_words(seeds, 4, Stream.GAP).tolist()
    expected = [[0] + [-3 + ((word >> 32) * 16 >> 32) for word in row[1:]] for row in rows]
    assert gaps.tolist() == expected


def test_random_placing_is_independent_of_the_gaps():
    """The placing of a strip is independent of its gaps."""
    seeds = rng.sample_seeds(8, np.arange(16_000))
    gaps = draw_gaps(seeds, np.full(16_000, 2), 2, (0, 7))
    nominal = np.full((16_000, 2), 28)
    left = (
        arrange(seeds, nominal, gaps * 0, 71, fit="squeeze", align="random").left // POSITION_SCALE
    )
    assert is_uniform(left * 8 + gaps[:, 1], 0, 127)


@pytest.mark.parametrize("spacing", [(5, 10), (0, 0), (7, 7), (-9, -3), (-2, 2), (-9, -9), (0, 99)])
def test_gaps_are_uniform_with_both_ends(spacing):
    """At every place each gap from LO to HI comes equally often, both included."""
    low, high = spacing
    count = 200 * (high - low + 1)
    seeds = rng.sample_seeds(2, np.arange(count))
    gaps = draw_gaps(seeds, np.full(count, 5), 5, spacing)
    assert (gaps[:, 0] == 0).all()
    assert all(is_uniform(gaps[:, place], low, high) for place in range(1, 5))


def test_gaps_are_independent():
    """The gaps at two places, and of two neighbouring samples, fill their tables evenly."""
    seeds = rng.sample_seeds(2, np.arange(20_001))
    gaps = draw_gaps(seeds, np.full(20_001, 4), 4, (0, 9))
    assert is_uniform(gaps[:, 1] * 10 + gaps[:, 2], 0, 99)
    assert is_uniform(gaps[:, 2] * 10 + gaps[:, 3], 0, 99)
    assert is_uniform(gaps[1:, 1] * 10 + gaps[:-1, 1], 0, 99)


@given(st.lists(st.integers(1, 7), min_size=1, max_size=8), st.integers(-9, 50), st.integers(0, 50))
@settings(deadline=None)
def test_there_is_a_gap_between_digits_and_nowhere_else(lengths, low, more):
    """A label of n digits has n - 1 gaps within the range, and zeros before and after them."""
    seeds = rng.sample_seeds(4, np.arange(len(lengths)))
    gaps = draw_gaps(seeds, np.array(lengths), 7, (low, low + more))
    for row, length in zip(gaps.tolist(), lengths, strict=True):
        assert row[0] == 0
        assert all(low <= gap <= low + more for gap in row[1:length])
        assert row[length:] == [0] * (7 - length)


def test_gaps_do_not_depend_on_the_longest_label():
    """The gaps of a sample are the same beside longer labels and shorter ones."""
    seeds, lengths = rng.sample_seeds(4, np.arange(300)), np.full(300, 3)
    wide, narrow = (draw_gaps(seeds, lengths, digits, (1, 30)) for digits in (9, 3))
    assert np.array_equal(wide[:, :3], narrow)
    assert not wide[:, 3:].any()


def accepts(width, lengths, spacing, extent, fit) -> bool:
    """Tell whether a recipe with these numbers would be accepted."""
    try:
        check_width(width, lengths[0], StripLimits(lengths[1], spacing, extent, fit, "frame"))
    except ValueError:
        return False
    return True


SIZES = st.tuples(
    st.integers(1, 9),
    st.integers(0, 6),
    st.integers(-9, 20),
    st.integers(0, 9),
    st.integers(17, 28),
    st.integers(-3, 3),
)
"""Shortest label and how many digits more, LO and how many px more, widest extent, and how far
the width is from the edge; extents of 17 px and more are the widest strip at the largest gap."""


def widest_rows(shortest: int, more: int, gap: int, extent: int) -> list[Row]:
    """Return a sample of each length, with the widest extents and the largest gaps."""
    lengths = range(shortest, shortest + more + 1)
    return [Row([extent] * n, [0] + [gap] * (n - 1)) for n in lengths]


@pytest.mark.parametrize("fit", ["squeeze", "fill"])
@given(SIZES)
@settings(deadline=None, max_examples=300)
def test_a_squeeze_below_10_of_28_is_refused_and_no_other(fit, sizes):
    """A recipe is refused if, and only if, its tightest strip has f below 10/28."""
    shortest, more, low, span, extent, off = sizes
    rows = widest_rows(shortest, more, low + span, extent)
    width = max(1, least_width(rows, NARROWEST) + off)
    fits = all(squeeze_factor(row, width, fit) >= NARROWEST for row in rows)
    assert accepts(width, (shortest, shortest + more), (low, low + span), extent, fit) == fits


@given(SIZES)
@settings(deadline=None, max_examples=300)
def test_a_strip_wider_than_the_image_is_refused_and_no_other(sizes):
    """With fit 'error' a recipe is refused if, and only if, its widest strip exceeds the width."""
    shortest, more, low, span, extent, off = sizes
    rows = widest_rows(shortest, more, low + span, extent)
    width = max(1, least_width(rows, Fraction(1)) + off)
    fits = least_width(rows, Fraction(1)) <= width
    assert accepts(width, (shortest, shortest + more), (low, low + span), extent, "error") == fits


@pytest.mark.parametrize(
    ("width", "digits", "extent", "fit"),
    [(1, 3, 5, "error"), (4, 3, 20, "squeeze"), (1, 5, 20, "squeeze"), (4, 3, 20, "fill")],
)
def test_overlapping_ink_needs_the_width_of_one_digit(width, digits, extent, fit):
    """A width that digits fit into only by their overlaps is refused, or the strip stays in it."""
    row = Row([extent] * digits, [0] + [-9] * (digits - 1))
    accepted = accepts(width, (digits, digits), (-9, -9), extent, fit)
    assert not accepted or lies_inside([row], width, arrange_rows([row], width, fit, "left"))


def test_the_limits_stand_as_documented():
    """Positions are 65536ths of a pixel, gaps begin at -9, and 28 px squeeze to 10."""
    assert (POSITION_SCALE, fit.LOWEST_GAP, fit.SQUEEZE_LIMIT) == (65536, -9, (10, 28))


@pytest.mark.parametrize("width", [8192, 8191])
@pytest.mark.parametrize("fit", FITS)
def test_the_largest_layouts_do_not_overflow(width, fit):
    """255 digits on the widest image, and one digit filling it, are laid exactly."""
    rows = [Row([28] * 255, [0] + [4] * 254), Row([28], [0])]
    layout = arrange_rows(rows, width, fit, "left")
    for k, row in enumerate(rows):
        strip = slow_strip(row, width, fit)
        assert to_px(layout.begins[k], len(row.nominal)) == strip.begins
        assert to_px(layout.extents[k], len(row.nominal)) == strip.extents
