"""Augmentations: independent of each other, of the distributions they claim, and calibrated."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage
from scipy.stats import kstest

from builder import Augment, Recipe, generate
from builder.augment.augmentation import Effect, Geometric
from builder.augment.ranges import PRESETS, RANGES, resolve_preset
from builder.augment.table import AUGMENTATIONS, draw_effects, draw_warps
from builder.augment.thickness import compute_growth
from builder.augment.warp import Warp, sine_cosine
from builder.common import rng
from builder.generator.generator import render
from builder.generator.kernels import elastic, glyph
from builder.generator.kernels.buffers import make_buffers
from builder.planner.planner import Planner, open_planner
from builder.recipe import digits, glyph_metrics

ROOT = Path(__file__).parents[2]

ENOUGH = 1e-4
"""Below this p-value a distribution counts as wrong; the draws are fixed, so it never flickers."""

MANY = 20_000
NAMES = [item.name for item in AUGMENTATIONS.values()]
STYLED = {"scale", "shear", "thin"}
NONE = resolve_preset("none")

FULL = {**resolve_preset("strong"), "invert": 0.5}
"""Everything on."""

DIGITS = digits.open_bank(digits.MNIST, "test")


def own(name):
    """Return the names of an augmentation's numbers."""
    item = next(item for item in AUGMENTATIONS.values() if item.name == name)
    return item.strengths + item.settings


def only(name, style=0.0, **numbers):
    """Return the numbers of a recipe with one augmentation on."""
    kept = {n: FULL[n] for n in own(name)}
    return {**NONE, **kept, "style": style, **numbers}


def without(name):
    """Return the numbers of a recipe with all augmentations on but one."""
    return {**FULL, **{n: NONE[n] for n in own(name)}}


def weaker(name):
    """Return the numbers of a recipe with all on, and one at half its strength."""
    strengths = {r.name for r in RANGES.values() if not r.default} & set(own(name))
    return {**FULL, **{n: FULL[n] / 2 for n in strengths}}


def seeds_of(count, master=0):
    """Return sample seeds."""
    return rng.sample_seeds(master, np.arange(count))


def warp_of(augment, samples, digits=1, labels=0, master=0):
    """Return the warps of a block of labels that are all the same, or as given."""
    block = np.broadcast_to(np.asarray(labels, dtype=np.int8), (samples, digits))
    return draw_warps(augment, seeds_of(samples, master), block)


def uniform(values, low, high):
    """Assert that values are uniform in [low, high]."""
    assert len(values) >= 10_000
    assert values.min() >= low - 1e-12
    assert values.max() <= high + 1e-12
    assert kstest(values, "uniform", (low, high - low)).pvalue > ENOUGH


# --- (a) independence of streams ---------------------------------------------------------------


def recorded(monkeypatch, augment, indices):
    """Return the specs of a recipe, and every word that was drawn for them by stream and draw."""
    words_by_draw = {}
    single, several = rng.draw_words, rng.draw_digit_words

    def words(seeds, stream, draw=0):
        words_by_draw[int(stream), draw, "strip"] = drawn_words = single(seeds, stream, draw)
        return drawn_words

    def digit_words(seeds, digits, stream, draw=0):
        words_by_draw[int(stream), draw, "digits"] = drawn_words = several(
            seeds, digits, stream, draw
        )
        return drawn_words

    with monkeypatch.context() as patch:
        patch.setattr(rng, "draw_words", words)
        patch.setattr(rng, "draw_digit_words", digit_words)
        recipe = Recipe(seed=6, length=(1, 4), width=150, spacing=(-3, 9), augment=augment)
        return open_planner(recipe).draw_specs(indices), words_by_draw


def of_stream(words_by_draw, stream):
    """Return the words of one stream."""
    return {key: drawn_words for key, drawn_words in words_by_draw.items() if key[0] == stream}


def same(first, second):
    """Assert that two dicts of arrays are equal."""
    assert first.keys() == second.keys()
    for key in first:
        assert np.array_equal(first[key], second[key]), key


def same_layout(first, second):
    """Assert that labels, glyphs, gaps and places of specs are equal."""
    for name in ("seeds", "labels"):
        assert np.array_equal(getattr(first, name), getattr(second, name)), name
    for name in ("lengths", "glyphs", "centres"):
        assert np.array_equal(getattr(first.digits, name), getattr(second.digits, name)), name
    same(first.layout._asdict(), second.layout._asdict())


@pytest.mark.parametrize("change", [without, weaker])
@pytest.mark.parametrize("name", NAMES)
def test_no_augmentation_changes_what_another_draws(monkeypatch, name, change):
    """Off, or at half its strength, it leaves labels, layout and all other drawn words alone."""
    all_on, words = recorded(monkeypatch, FULL, range(200))
    other, fewer = recorded(monkeypatch, change(name), range(200))
    same_layout(all_on, other)
    for stream, item in AUGMENTATIONS.items():
        if item.name != name:
            same(of_stream(words, stream), of_stream(fewer, stream))
        elif change is without:
            assert of_stream(words, stream)
            assert not of_stream(fewer, stream)
    for stream in rng.Stream:
        same(of_stream(words, stream), of_stream(fewer, stream))
    drawn = {item.name: numbers for item, numbers in other.effects}
    for item, numbers in all_on.effects:
        if item.name != name:
            assert np.array_equal(drawn[item.name], numbers)


def composed(names, labels, seeds):
    """Return the warps of augmentations drawn one by one, each alone, put together by matrices."""
    shape = labels.shape
    linear = np.broadcast_to(np.eye(2), (*shape, 2, 2))
    perspective, shift = np.zeros((2, *shape)), np.zeros((2, *shape))
    thickness, keys = np.zeros(shape), np.zeros(shape, dtype=np.uint64)
    for item in AUGMENTATIONS.values():
        if isinstance(item, Geometric) and item.name in names:
            alone = draw_warps(only(item.name, style=FULL["style"]), seeds, labels)
            linear = np.moveaxis(alone.linear, 0, -1).reshape(*shape, 2, 2) @ linear
            perspective, shift = perspective + alone.perspective, shift + alone.shift
            thickness, keys = thickness + alone.thickness, keys + alone.keys
    numbers = np.concatenate([np.moveaxis(linear.reshape(*shape, 4), -1, 0), perspective, shift])
    return Warp(numbers, thickness, keys)


@pytest.mark.parametrize(
    "name", [i.name for i in AUGMENTATIONS.values() if isinstance(i, Geometric)]
)
@pytest.mark.parametrize("change", [without, dict])
def test_warps_are_those_of_each_augmentation_alone(name, change):
    """The warp of many augmentations is what each gives alone, composed in the table's order."""
    labels = np.random.default_rng(1).integers(0, 10, (300, 4), dtype=np.int8)
    augment = without(name) if change is without else FULL
    names = set(NAMES) - ({name} if change is without else set())
    warp, expected = (
        draw_warps(augment, seeds_of(300), labels),
        composed(names, labels, seeds_of(300)),
    )
    assert np.allclose(warp.numbers, expected.numbers, rtol=0, atol=1e-12)
    assert np.array_equal(warp.thickness, expected.thickness)
    assert np.array_equal(warp.keys, expected.keys)
    strength = 0.0 if change is without and name == "elastic" else FULL["elastic"]
    assert warp.elastic[0] == strength


def test_effects_draw_the_same_alone():
    """What an effect draws beside all others is what it draws alone, and no two draw the same."""
    labels = np.random.default_rng(2).integers(0, 10, (300, 4), dtype=np.int8)
    together = draw_effects(FULL, seeds_of(300), labels)
    assert [item.name for item, _ in together] == [
        item.name for item in AUGMENTATIONS.values() if isinstance(item, Effect)
    ]
    first = set()
    for item, numbers in together:
        [(alone, same_numbers)] = draw_effects(only(item.name), seeds_of(300), labels)
        assert alone is item
        assert np.array_equal(numbers, same_numbers)
        if numbers.shape[1] == 3 and numbers[:, 1].min() >= 0 and item.name != "blur":
            first.add(tuple(numbers[:5, 1].tolist()))
    assert len(first) >= 3


def test_draws_of_augmentations_do_not_correlate():
    """The numbers of any two augmentations of a digit are independent."""
    labels = np.zeros((MANY, 1), dtype=np.int8)
    columns = {}
    for item in AUGMENTATIONS.values():
        if isinstance(item, Geometric):
            warp = draw_warps(only(item.name, style=0.7), seeds_of(MANY), labels)
            rows = [*warp.numbers[:, :, 0], warp.thickness[:, 0], warp.keys[:, 0].astype(float)]
        else:
            [(_, numbers)] = draw_effects(
                only(item.name, invert=0.5 * (item.name == "invert")), seeds_of(MANY), labels
            )
            rows = [numbers[:, 0].astype(float)]
        varied = [row for row in rows if row.std() > 1e-9 * (1 + np.abs(row).max())]
        assert varied, item.name
        columns[item.name] = varied
    for name, rows in columns.items():
        for other, others in columns.items():
            if name < other:
                for a in rows:
                    for b in others:
                        assert abs(np.corrcoef(a, b)[0, 1]) < 5 / math.sqrt(MANY), (name, other)


def test_style_changes_scale_slant_and_thickness_only():
    """The style is the exception to that, and for three augmentations only."""
    labels = np.random.default_rng(3).integers(0, 10, (200, 4), dtype=np.int8)
    for item in AUGMENTATIONS.values():
        results = []
        for style in (0.0, 0.4, 1.0):
            augment = only(item.name, style=style)
            warp = draw_warps(augment, seeds_of(200), labels)
            drawn = draw_effects(augment, seeds_of(200), labels)
            results.append([warp.numbers, warp.thickness, warp.keys, *(n for _, n in drawn)])
        for before, after in pairwise(results):
            equal = all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
            assert equal == (item.name not in STYLED), item.name


def test_style_leaves_labels_and_layout_alone(monkeypatch):
    """No style changes labels, glyphs, gaps and places, nor what effects draw."""
    first, _ = recorded(monkeypatch, {**FULL, "style": 0.0}, range(200))
    for style in (0.5, 1.0):
        other, _ = recorded(monkeypatch, {**FULL, "style": style}, range(200))
        same_layout(first, other)
        for (_, before), (_, after) in zip(first.effects, other.effects, strict=True):
            assert np.array_equal(before, after)


# --- (b) distributions -------------------------------------------------------------------------


def amounts(name, warp):
    """Return the numbers that an augmentation drew, with the range each is uniform in."""
    a, b, c, e = warp.linear
    s = FULL.get(name, 0.0)
    return {
        "scale": [(a, 1 - s, 1 + s), (e, 1 - s, 1 + s)],
        "shear": [(b, -s, s)],
        "shear_y": [(c, -s, s)],
        "rotate": [(np.rad2deg(np.arctan2(c, a)), -s, s)],
        "perspective": [(warp.perspective[n] * 14, -s, s) for n in (0, 1)],
        "shift": [(warp.shift[n], -s, s) for n in (0, 1)],
        "thin": [(warp.thickness, -FULL["thin"], FULL["thick"])],
    }[name]


MARGINS = [
    *((name, style) for name in ("scale", "shear", "thin") for style in (0.0, 0.3, 0.5, 0.7, 1.0)),
    *((name, 0.7) for name in ("shear_y", "rotate", "perspective", "shift")),
]


@pytest.mark.parametrize(("name", "style"), MARGINS)
def test_numbers_are_uniform_over_their_range(name, style):
    """Whatever the style, each number of the first and of the last digit is uniform."""
    warp = warp_of(only(name, style), MANY, 5)
    for values, low, high in amounts(name, warp):
        for digit in (0, 4):
            uniform(values[:, digit], low, high)


@pytest.mark.parametrize("name", sorted(STYLED))
def test_style_makes_the_digits_of_a_strip_alike(name):
    """Digits are the same with style 1, independent with 0, and ever more alike in between."""
    styles = (0.0, 0.2, 0.4, 0.6, 0.8, 0.95, 1.0)
    correlations = []
    for style in styles:
        per_range = []
        for values, _, _ in amounts(name, warp_of(only(name, style), MANY, 3)):
            table = np.corrcoef(values.T)
            per_range.append([table[0, 1], table[0, 2], table[1, 2]])
            if style == 1:
                assert (values == values[:, :1]).all()
        correlations.append(np.array(per_range))
    assert np.abs(correlations[0]).max() < 4.5 / math.sqrt(MANY)
    means = [c.mean() for c in correlations]
    assert all(b > a + 0.005 for a, b in pairwise(means)), means
    assert means[5] > 0.95


@pytest.mark.parametrize("name", ["shear_y", "rotate", "perspective", "shift"])
def test_numbers_without_style_are_of_each_digit(name):
    """What is not the writer's does not correlate between the digits of a strip."""
    for values, _, _ in amounts(name, warp_of(only(name, 1.0), MANY, 3)):
        table = np.corrcoef(values.T)
        assert np.abs(table[np.triu_indices(3, 1)]).max() < 4.5 / math.sqrt(MANY)


@pytest.mark.parametrize("name", ["scale", "perspective", "shift"])
@pytest.mark.parametrize("style", [0.0, 0.5])
def test_both_axes_draw_by_themselves(name, style):
    """The numbers for x and y of a digit do not correlate."""
    (x, *_), (y, *_) = amounts(name, warp_of(only(name, style), MANY, 1))
    assert abs(np.corrcoef(x[:, 0], y[:, 0])[0, 1]) < 4.5 / math.sqrt(MANY)


# --- (c) rotation ------------------------------------------------------------------------------


@pytest.mark.parametrize("degrees", [5.0, 15.0, 180.0])
def test_rotations_are_rotations(degrees):
    """The linear part keeps lengths and angles, and turns as far as asked, half for 1 and 7."""
    labels = np.arange(10)
    warp = warp_of(only("rotate", rotate=degrees), MANY, 10, labels)
    a, b, c, e = warp.linear
    for value, expected in ((a * a + c * c, 1), (b * b + e * e, 1), (a * b + c * e, 0)):
        assert np.abs(value - expected).max() < 1e-8
    assert np.abs(a * e - b * c - 1).max() < 1e-8
    turned = np.rad2deg(np.arctan2(c, a))
    for label in labels:
        most = degrees / 2 if label in (1, 7) else degrees
        assert np.abs(turned[:, label]).max() <= most + 1e-6
        assert kstest(turned[:, label], "uniform", (-most, 2 * most)).pvalue > ENOUGH


def test_positive_angles_turn_clockwise():
    """With y down, a positive angle takes the right edge down, as the image shows it."""
    warp = warp_of(only("rotate"), 1000)
    word = rng.uniform_signed(rng.draw_digit_words(seeds_of(1000), 1, 22))
    right_edge_y = warp.linear[2]
    assert (np.sign(right_edge_y) == np.sign(word)).all()


def test_sine_and_cosine_are_as_exact_as_they_say():
    """Both are within their stated error of the true values, which is not stated far too large."""
    degrees = np.concatenate([np.linspace(-180, 180, 200_001), np.arange(-180, 181, 15.0)])
    sine, cosine = sine_cosine(degrees)
    true = np.array([(math.sin(math.radians(d)), math.cos(math.radians(d))) for d in degrees]).T
    worst = max(np.abs(sine - true[0]).max(), np.abs(cosine - true[1]).max())
    assert 3e-10 < worst <= 3e-9


# --- (d) presets -------------------------------------------------------------------------------


def test_preset_none_has_everything_off():
    """Strengths are 0 and settings as by default; so no augmentation is on."""
    assert all(NONE[r.name] == r.default for r in RANGES.values())
    assert not any(item.is_on(NONE) for item in AUGMENTATIONS.values())
    assert all(
        r.default == 0 or r.name in ("elastic_correlation", "stroke_width") for r in RANGES.values()
    )


@pytest.mark.parametrize("name", PRESETS)
def test_presets_lie_in_their_ranges(name):
    """Every number of a preset is allowed: 0 for off, or from the least to the most."""
    numbers = resolve_preset(name)
    assert list(numbers) == list(RANGES)
    for r in RANGES.values():
        assert r.least <= numbers[r.name] <= r.most or (numbers[r.name] == 0 and not r.default)
        assert set(r.presets) <= set(PRESETS)
    assert Recipe(augment=name).augment.ranges == numbers


def test_presets_grow_stronger():
    """No strength is less in a preset that is said to be stronger, and some are more."""
    ladder = [resolve_preset(name) for name in PRESETS]
    for weak, strong in pairwise(ladder):
        strengths = [r.name for r in RANGES.values() if not r.default]
        assert all(weak[name] <= strong[name] for name in strengths)
        assert any(weak[name] < strong[name] for name in strengths)


# --- (e) elastic deformation -------------------------------------------------------------------

SIDE = 28


def lattice(key, rms):
    """Return the smoothed noise of a key, (256,) uint32, and the noise before, (2, 16, 16)."""
    buffers = make_buffers(nodes=0, width=SIDE)
    elastic.draw_noise(np.uint64(key), buffers.noise)
    before = buffers.noise.reshape(2, 16, 16).copy()
    elastic.smooth_noise(rms, buffers)
    return buffers.field, before


def displaced(field, correlation, x, y):
    """Return how far points of the frame, px from its centre, are displaced, (2, N), px."""
    buffers, count = make_buffers(len(x), SIDE), len(x)
    buffers.field[:] = field
    before = np.round((np.stack([x, y]) + 15.5) * 65536).astype(np.int32)
    buffers.nodes[:2, :count] = before
    elastic.displace(14.0, correlation, count, buffers)
    return (buffers.nodes[:2, :count] - before) / 65536


@lru_cache(maxsize=1)
def fields_of(rms, correlation, count=6000):
    """Return displacement fields of `count` keys, (count, 2, 28, 28), px."""
    x, y = np.meshgrid(np.arange(SIDE) - 13.5, np.arange(SIDE) - 13.5)
    keys = np.array([rng.mix64(n) for n in range(1, count + 1)], dtype=np.uint64)
    fields = [displaced(lattice(key, rms)[0], correlation, x.ravel(), y.ravel()) for key in keys]
    return np.array(fields).reshape(count, 2, SIDE, SIDE)


@pytest.mark.parametrize("correlation", [3.0, 5.0, 8.0, 10.0])
def test_elastic_displaces_as_far_as_asked(correlation):
    """Over the frame x and y have the root mean square asked for, no mean, and no correlation."""
    fields = fields_of(0.7, correlation)
    # fields are wide: this many numbers of a frame are independent
    effective = len(fields) * max(1.0, (SIDE / (math.sqrt(4 * math.pi) * correlation)) ** 2)
    for axis in (0, 1):
        rms = math.sqrt((fields[:, axis] ** 2).mean())
        assert rms == pytest.approx(0.7, rel=0.02)
        assert abs(fields[:, axis].mean()) < 0.7 * 4.5 / math.sqrt(effective)
    assert abs((fields[:, 0] * fields[:, 1]).mean()) < 0.49 * 4.5 / math.sqrt(effective)


@pytest.mark.parametrize("correlation", [3.0, 5.0, 8.0, 10.0])
def test_elastic_is_noise_smoothed_by_a_gaussian(correlation):
    """The autocorrelation is exp(-d^2 / 4 sigma^2) across, down and along the diagonals."""
    fields = fields_of(0.7, correlation)
    variance = (fields**2).mean()
    for right, down in ((1, 0), (0, 1), (1, 1), (1, -1)):
        for steps in (1, 2, 3, 5, 7, 10, 14, 18):
            dx, dy = right * steps, abs(down) * steps
            near = fields[:, :, : SIDE - dy, : SIDE - dx]
            far = fields[:, :, dy:, dx:]
            if down < 0:
                near, far = fields[:, :, : SIDE - dy, dx:], fields[:, :, dy:, : SIDE - dx]
            expected = math.exp(-(dx * dx + dy * dy) / (4 * correlation**2))
            assert (near * far).mean() / variance == pytest.approx(expected, abs=0.05)


def test_elastic_strength_scales_the_field_only():
    """Another strength gives the same field, larger; another key another field."""
    x, y = (grid.ravel() for grid in np.meshgrid(np.arange(-14, 14.5), np.arange(-14, 14.5)))
    for key in (1, 2**63 + 5, 2**64 - 1):
        weak = displaced(lattice(key, 0.5)[0], 5.0, x, y)
        strong = displaced(lattice(key, 1.5)[0], 5.0, x, y)
        assert np.abs(strong - 3 * weak).max() < 5 / 1024
        other = displaced(lattice(key - 1, 0.5)[0], 5.0, x, y)
        assert np.abs(other - weak).max() > 0.3


def slow_elastic(noise, rms, correlation, x, y):
    """Return the displacement of one point (x, y), px from the centre, by plain loops."""
    weights = (1, 4, 6, 4, 1)
    step = math.sqrt(1 + 1 / 6) / correlation
    # the mean square of the weights, over all places between points, of an axis
    axis = 2 / 3 * 70 + 1 / 3 * 56
    deviation = math.sqrt(sum(n * n for n in range(-15, 16, 2)) / 16) * axis
    places = [min(max(place * step + 5.5, 0.0), 11 - 1e-9) for place in (x, y)]
    (left, right), (top, low) = ((int(p), p - int(p)) for p in places)
    result = []
    for values in noise:
        total = 0.0
        for row, share_y in ((top, 1 - low), (top + 1, low)):
            for column, share_x in ((left, 1 - right), (left + 1, right)):
                for i in range(5):
                    for j in range(5):
                        value = float(values[row + i, column + j])
                        total += share_y * share_x * weights[i] * weights[j] * value
        result.append(total / deviation * rms)
    return result


@pytest.mark.parametrize("correlation", [3.0, 5.0, 10.0])
def test_elastic_agrees_with_its_reference(correlation):
    """Displacements are those of plain loops in float64, within 2/1024 px + 7/1024 of the rms.

    The second part is since places are cut to 1/256 of a step: the field is moved by so much.
    """
    rng = np.random.default_rng(4)
    worst = 0.0
    for key in range(12):
        rms = (0.2, 0.7, 1.5)[key % 3]
        field, noise = lattice(key * 77777, rms)
        x, y = rng.uniform(-14, 14, (2, 30))
        x[:4], y[:4] = (-14, 14, -14, 14), (-14, -14, 14, 14)
        displacements = displaced(field, correlation, x, y)
        for n in range(30):
            exact = slow_elastic(noise, rms, correlation, x[n], y[n])
            worst = max(worst, np.abs(displacements[:, n] - exact).max() / (2 + 7 * rms) * 1024)
    assert worst <= 1


def test_elastic_noise_is_fair():
    """Each of 16 values is as frequent as any other, at each place, for x and for y."""
    noise = np.array([lattice(key, 1.0)[1] for key in range(3000)])
    assert set(np.unique(noise).tolist()) == set(range(-15, 16, 2))
    assert np.abs(noise.mean(axis=0)).max() < 5 * math.sqrt(85 / 3000)
    flattened = noise.reshape(3000, -1)
    between = np.corrcoef(flattened.T)[np.triu_indices(512, 1)]
    assert np.abs(between).max() < 6 / math.sqrt(3000)


def test_elastic_moves_ink_but_no_digit_draws_the_same():
    """Two digits of a strip have keys of their own; with elastic off there are none."""
    warp = warp_of(only("elastic"), 2000, 5)
    assert len(np.unique(warp.keys)) == 10_000
    assert (warp_of(NONE, 10, 5).keys == 0).all()


# --- (f) thickness -----------------------------------------------------------------------------


def grown(digits, rows, growth, gain, linear=1.0, width=60):
    """Return images of single glyphs with their strokes changed, centred, drawn by the program."""
    recipe = Recipe(split="test", length=1, width=width, align="center", augment="none")
    planner = Planner(recipe, digits)
    specs = open_planner(recipe).draw_specs(range(len(rows)))
    shape = (len(rows), 1)
    warp = Warp.identity(*shape)
    warp.linear[[0, 3]] = linear
    warp.shift[0], warp.shift[1] = width / 2, 14
    changed = specs.digits._replace(
        glyphs=np.asarray(rows, dtype=np.int32).reshape(shape),
        warps=warp.numbers,
        growth=np.broadcast_to(np.asarray(growth).reshape(-1, 1), shape).astype(np.int64),
        gain=np.broadcast_to(np.asarray(gain).reshape(-1, 1), shape).astype(np.int64),
    )
    return render(planner, replace(specs, digits=changed)).images


def thick(rows, share):
    """Return images of glyphs whose strokes are wider by a share."""
    growth, gain = compute_growth(np.full(len(rows), share), DIGITS.strokes[rows].astype(float))
    return grown(DIGITS, rows, growth, gain, width=28)


ROWS = np.random.default_rng(8).choice(len(DIGITS.glyphs), 400, replace=False)


@pytest.mark.parametrize("share", [-0.5, -0.4, -0.2, -0.1, 0.1, 0.3, 0.6, 1.0])
def test_ink_changes_by_the_share_on_average(share):
    """Over 400 glyphs the mean change of ink is the share within 0.03."""
    before = grown(DIGITS, ROWS, 0, 64, width=28).sum(axis=(1, 2), dtype=float)
    after = thick(ROWS, share).sum(axis=(1, 2), dtype=float)
    assert (after / before).mean() - 1 == pytest.approx(share, abs=0.03)


def measured_widths(images):
    """Return the mean width of the strokes of each image, px, by distances from their edges."""
    widths = []
    for image in images:
        large = ndimage.zoom(image.astype(float), 4, order=1, grid_mode=True, mode="grid-constant")
        distance = ndimage.distance_transform_edt(large > 127.5)
        ridge = (distance > 0) & (distance == ndimage.maximum_filter(distance, 3))
        widths.append((2 * distance[ridge].mean() - 1) / 4 if ridge.any() else 0.0)
    return np.array(widths)


@pytest.mark.parametrize(
    ("share", "off"),
    [(s, 0.05) for s in (-0.5, -0.4, -0.2, -0.1, 0.1, 0.3)] + [(0.6, 0.14), (1.0, 0.25)],
)
def test_strokes_get_wider_by_the_share_on_average(share, off):
    """So does the width of strokes, by distances within the thresholded glyph.

    Wide strokes close holes and run together, so those that are left are wider than their ink says.
    """
    rows = ROWS[:200]
    before = measured_widths(grown(DIGITS, rows, 0, 64, width=28))
    after = measured_widths(thick(rows, share))
    assert (after / before).mean() - 1 == pytest.approx(share, abs=off)


def slow_growth(frame, pixels):
    """Return a frame whose strokes' edges move outward by up to a pixel, inward if negative."""
    padded = np.pad(frame.astype(float), 1)
    if pixels < 0:
        padded = 255 - np.pad(frame.astype(float), 1)
    result = np.zeros((28, 28))
    for y in range(28):
        for x in range(28):
            here = padded[y + 1, x + 1]
            best = here
            for dy in (-1, 0, 1):
                for dx in (-1, 0, 1):
                    length = math.hypot(dx, dy) or 1.0
                    there = padded[y + 1 + dy, x + 1 + dx]
                    best = max(best, here + (there - here) * abs(pixels) / length)
            result[y, x] = best
    return result if pixels >= 0 else 255 - result


@pytest.mark.parametrize("growth", [-256, -180, -80, -1, 0, 1, 75, 200, 256])
def test_growth_agrees_with_its_reference(growth):
    """Edges that move by up to a pixel do so as in plain loops, within 2.5 levels."""
    rows = ROWS[:15]
    images = grown(DIGITS, rows, growth, 64, width=28)
    frames = DIGITS.glyphs[rows].reshape(-1, 32, 32)[:, 2:30, 2:30]
    worst = 0.0
    for image, frame in zip(images, frames, strict=True):
        worst = max(worst, np.abs(image - slow_growth(frame, growth / 256)).max())
    # factors are cut to 1/256, which is two levels of a full step, and the result to whole ones
    assert worst <= 1.0


def test_growth_beyond_a_pixel_is_growth_twice():
    """Edges move by more than a pixel as if they had moved by one, and then by the rest."""
    rows = ROWS[:15]
    frames = DIGITS.glyphs[rows].reshape(-1, 32, 32)[:, 2:30, 2:30]
    for growth in (256 + 70, 3 * 256 + 5, -256 - 33):
        images = grown(DIGITS, rows, growth, 64, width=28)
        for image, frame in zip(images, frames, strict=True):
            rest, expected = growth, frame
            while rest:
                part = min(max(rest, -256), 256)
                expected, rest = slow_growth(expected, part / 256), rest - part
            assert np.abs(image - expected).max() <= 6


@pytest.mark.parametrize("spacing_between", ["frame", "ink"])
def test_thick_digits_are_the_same_alone_and_in_a_block(spacing_between):
    """What was drawn before a digit leaves no trace in it, however far its strokes grow."""
    recipe = Recipe(length=5, augment={"thick": 1.0}, spacing_between=spacing_between)
    images = generate(recipe, range(200)).images
    for n in range(200):
        assert np.array_equal(generate(recipe, [n]).images[0], images[n])


def test_gain_multiplies_up_to_white():
    """Gain, in 1/64, multiplies what is left of strokes, up to 255."""
    rows = ROWS[:15]
    plain = grown(DIGITS, rows, -50, 64, width=28).astype(float)
    more = grown(DIGITS, rows, -50, 96, width=28)
    assert np.abs(more - np.minimum(plain * 1.5, 255)).max() <= 1


def framed(frames):
    """Return a bank of given frames (K, 28, 28)."""
    padded = np.pad(frames, ((0, 0), (2, 2), (2, 2)))
    return replace(
        DIGITS,
        glyphs=padded.reshape(len(frames), 1024),
        ink=glyph_metrics.measure_ink(frames),
        diagonals=glyph_metrics.measure_diagonals(frames),
        strokes=glyph_metrics.measure_strokes(padded),
    )


def edge_frames():
    """Return frames with ink at their edges: sides, corners, everything, random."""
    frames = np.zeros((9, 28, 28), dtype=np.uint8)
    frames[0, 0], frames[1, 27], frames[2, :, 0], frames[3, :, 27] = 255, 255, 255, 255
    frames[4, [0, 0, 27, 27], [0, 27, 0, 27]] = 255
    frames[5] = 255
    frames[6, ::2, ::3] = 200
    frames[7] = np.random.default_rng(9).integers(0, 256, (28, 28))
    frames[8, 0:3, 20:28] = 255
    return frames


@pytest.mark.parametrize("growth", [120, 256, 400, 1000, 256 * 4])
def test_strokes_never_leave_the_frame(growth):
    """Ink at the edge of its frame grows inward only: what lies beside the frame stays black."""
    frames = edge_frames()
    images = grown(framed(frames), range(9), growth, 64)
    assert images[:, :, :16].max() == images[:, :, 44:].max() == 0
    half = grown(framed(frames), range(9), growth, 64, linear=0.5)
    inside = half[:, 7:21, 23:37].astype(int).sum()
    assert half.astype(int).sum() == inside > 0
    assert half[:, 7].max() > 0
    assert half[:, 20].max() > 0
    sizes = images.astype(int).sum(axis=(1, 2))
    assert (sizes >= frames.astype(int).sum(axis=(1, 2))).all()
    if growth <= 256:
        for image, frame in zip(images, frames, strict=True):
            assert np.abs(image[:, 16:44] - slow_growth(frame, growth / 256)).max() <= 1.0


def bar(width, degrees, length=160.0, side=200):
    """Return a bar about the middle of an image, its pixels averaged over 8 x 8 points."""
    parts = 8
    at = (np.arange(side * parts) + 0.5) / parts - side / 2 + 0.13
    x, y = np.meshgrid(at, at)
    turn = math.radians(degrees)
    along = np.abs(x * math.cos(turn) + y * math.sin(turn))
    across = np.abs(y * math.cos(turn) - x * math.sin(turn))
    inside = (along < length / 2) & (across < width / 2)
    share = inside.reshape(side, parts, side, parts).mean(axis=(1, 3))
    return np.round(share * 255).astype(np.uint8)


@pytest.mark.parametrize("degrees", [0, 90, 45, 20, -63])
def test_stroke_widths_are_those_of_bars(degrees):
    """A bar of 2.5 to 6 px has that width within 5 %, level, upright or slanted; of 2 px, 10 %."""
    widths = (2.0, 2.5, 3.0, 4.0, 6.0)
    measured = glyph_metrics.measure_strokes(np.stack([bar(width, degrees) for width in widths]))
    assert measured[1:] == pytest.approx(widths[1:], rel=0.05)
    assert measured[0] == pytest.approx(widths[0], rel=0.1)  # aslant it is no pixel's whole width


def test_stroke_widths_of_nothing_are_nothing():
    """A blank image has strokes of no width, and brightness does not change the width."""
    frame = DIGITS.glyphs[:50].reshape(-1, 32, 32)
    assert glyph_metrics.measure_strokes(np.zeros((2, 32, 32), dtype=np.uint8)).tolist() == [0, 0]
    assert glyph_metrics.measure_strokes(frame // 2) == pytest.approx(
        glyph_metrics.measure_strokes(frame), rel=0.02
    )


def test_thickness_never_asks_for_more_than_the_kernel_can():
    """Over the whole range, for all widths there are, gain is below 4 and growth a few pixels."""
    shares = np.linspace(-0.5, 1.0, 151)[:, None]
    widths = np.unique(np.concatenate([DIGITS.strokes, [0, 12]]))[None, :].astype(float)
    growth, gain = compute_growth(*np.broadcast_arrays(shares, widths))
    assert gain.min() == 64
    assert gain.max() < 256
    assert np.abs(growth).max() < 20 * glyph.GROWTH_SCALE
    assert (np.diff(growth, axis=0) >= 0).all()
    assert (growth[50] == 0).all()


# --- (g) baseline ------------------------------------------------------------------------------


def test_baseline_moves_digits_up_and_down_within_its_range():
    """No digit is raised or lowered by more than the number, some almost so, and none sideways."""
    warp = warp_of(only("baseline", baseline=3.0), MANY, 5)
    assert np.abs(warp.shift[1]).max() <= 3.0
    assert np.abs(warp.shift[1]).max() > 2.8
    assert (warp.shift[0] == 0).all()
    assert (warp.linear == Warp.identity(MANY, 5).linear).all()
    assert abs(warp.shift[1].mean()) < 3 * 4 / math.sqrt(MANY)


def test_baseline_of_neighbours_is_alike():
    """Neighbours correlate, the more the nearer they stand; so they stand on a line."""
    y = warp_of(only("baseline"), MANY, 5).shift[1]
    table = np.corrcoef(y.T)
    assert table[0, 1] > 0.3
    assert table[3, 4] > 0.3
    assert (np.diff(table[0]) < 0).all()
    assert abs(table[0, 4]) < 4.5 / math.sqrt(MANY)  # the two ends are drawn by themselves


def test_baseline_ends_with_the_strip():
    """The line of a short strip is that of its own digits: padding changes nothing."""
    labels = np.full((500, 6), -1, dtype=np.int8)
    labels[:, :3] = 4
    padded = draw_warps(only("baseline"), seeds_of(500), labels).shift[1]
    alone = draw_warps(only("baseline"), seeds_of(500), labels[:, :3].copy()).shift[1]
    assert np.array_equal(padded[:, :3], alone)


# --- (h) visible share -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["light", "standard", "strong"])
def test_digits_stay_in_the_image(name):
    """Of 30,000 digits of a preset 99.9 % show 98 % of their ink or more."""
    visible = generate(Recipe(seed=12, length=5, augment=name), range(6000)).visible
    assert visible.shape == (6000, 5)
    assert (visible >= 0.98).mean() >= 0.999


LIFT = """
import numpy as np


def draw(draws, level):
    return np.full((len(draws.seeds), 1), round(level))


def lift(images, numbers, scratch):
    images += numbers[:, :, None].astype(np.uint8)
"""

SHOW_LIFT = """
from builder import Augment, Recipe, generate
from builder.visualization import ladder

recipe = Recipe(digits="1", width=40, augment=Augment(lift=60))
print(recipe.to_json()["augment"], generate(recipe, [0]).images[0, 0, 0])
print([item.name for item in ladder.strengths()][-1])
"""


def test_a_new_augmentation_is_a_file_and_two_lines(tmp_path):
    """A file, a line in the table and a field of `Augment` are an augmentation everywhere."""
    package = shutil.copytree(ROOT / "builder", tmp_path / "builder")
    (package / "augment" / "lift.py").write_text(LIFT)
    for file, before, line in (
        ("table.py", "from builder.augment.warp", "from builder.augment.lift import draw, lift\n"),
        (
            "table.py",
            '}\n"""Stream number and',
            '    90: Effect("lift", draw=draw, change=lift),\n',
        ),
        (
            "ranges.py",
            "\n    @classmethod\n    def preset(",
            '    lift: float = _range("LEVEL", "a new one", 100.0)\n',
        ),
    ):
        path = package / "augment" / file
        text = path.read_text()
        assert text.count(before) == 1
        path.write_text(text.replace(before, line + before))
    done = subprocess.run(
        [sys.executable, "-c", SHOW_LIFT],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["{'lift': 60.0} 60", "lift"]


def test_each_range_of_the_table_is_a_field_of_augment():
    """`Augment` has the ranges that the table names as fields, in its order, and style."""
    names = [name for item in AUGMENTATIONS.values() for name in item.strengths + item.settings]
    assert list(Augment.model_fields) == list(RANGES) == ["style", *names]


def test_no_stream_is_given_twice():
    """The table in the source names every stream once."""
    source = (ROOT / "builder" / "augment" / "table.py").read_text()
    streams = re.findall(r"^    (\d+): (?:Geometric|Effect)\(", source, re.M)
    assert len(set(streams)) == len(streams) == len(AUGMENTATIONS)
