"""The kernel against slow references and OpenCV, on maps far beyond those of the presets."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest

from builder import Recipe
from builder.generator.generator import render
from builder.planner import layout
from builder.planner.planner import Planner
from builder.planner.specs import DigitSpecs, Layout, Specs
from builder.recipe import digits
from tests import reference

WIDTH = 64
OPENCV = int(cv2.__version__.split(".")[0])
DIGITS = digits.open_bank(digits.MNIST, "test")
IMAGES = DIGITS.glyphs.reshape(-1, 32, 32)[:, 2:30, 2:30]


def make_specs(warps, glyphs, centres=None, growth=0, elastic=(0.0, 1.0)) -> Specs:
    """Return specs of B samples of L digits with warps (B, L, 8) and glyphs (B, L)."""
    samples, digits = glyphs.shape
    nothing = np.zeros((samples, digits), dtype=np.int64)
    edge = np.zeros(samples, dtype=np.int64)
    return Specs(
        index=np.arange(samples),
        seeds=np.arange(samples).astype(np.uint64),
        labels=np.zeros((samples, digits), dtype=np.int8),
        layout=Layout(nothing, nothing, edge, edge, nothing),
        digits=DigitSpecs(
            lengths=np.full(samples, digits),
            glyphs=glyphs.astype(np.int32),
            warps=np.ascontiguousarray(np.moveaxis(warps, 2, 0)),
            centres=np.full((samples, digits), 14.0) if centres is None else centres,
            growth=np.full((samples, digits), growth),
            gain=np.full((samples, digits), 64),
            keys=np.arange(samples * digits, dtype=np.uint64).reshape(samples, digits),
            rms=elastic[0],
            correlation=elastic[1],
        ),
        effects=[],
    )


def render_digits(warps, glyphs, width=WIDTH, centres=None, **more):
    """Return the batch of the given warps and glyphs, drawn by the kernel, with masks."""
    recipe = Recipe(digits=[0] * glyphs.shape[1], split="test", width=max(width, 10), spacing=0)
    return render(Planner(recipe, DIGITS), make_specs(warps, glyphs, centres, **more), masks=True)


def random_affine(rng, count, squeezed=1.0):
    """Return `count` warps (count, 1, 8) of every affine kind, about the middle of the image."""
    angle, shear = rng.uniform(-0.8, 0.8, (2, count))
    sx, sy = rng.uniform(0.6, 1.6, (2, count))
    warps = np.zeros((count, 1, 8))
    warps[:, 0, 0] = sx * np.cos(angle) * squeezed
    warps[:, 0, 1] = (sx * shear - sy * np.sin(angle)) * squeezed
    warps[:, 0, 2] = sx * np.sin(angle)
    warps[:, 0, 3] = sy * np.cos(angle) + sx * shear * np.sin(angle)
    warps[:, 0, 6] = WIDTH / 2 + rng.uniform(-25, 25, count)
    warps[:, 0, 7] = 14 + rng.uniform(-6, 6, count)
    return warps


def random_glyphs(rng, count):
    """Return `count` rows of the test split, (count, 1)."""
    return rng.integers(0, len(IMAGES), (count, 1))


def test_kernel_agrees_with_float64_reference_on_affine_maps():
    """Each of 100 random affine maps gives the reference's pixels within one grey level."""
    rng = np.random.default_rng(1)
    warps, glyphs = random_affine(rng, 100), random_glyphs(rng, 100)
    images = render_digits(warps, glyphs).images
    for warp, glyph, image in zip(warps[:, 0], glyphs[:, 0], images, strict=True):
        matrix = reference.homography(warp, 14)
        expected = reference.warp_glyph(IMAGES[glyph], matrix, (0, 0, WIDTH, 28))
        assert np.abs(image - expected).max() <= 1.0
        assert expected.max() > 50


def test_kernel_agrees_with_opencv_on_a_thousand_affine_maps():
    """Each of 1,000 random affine maps gives the pixels of `cv2.warpAffine` within two levels."""
    rng = np.random.default_rng(2)
    warps, glyphs = random_affine(rng, 1000), random_glyphs(rng, 1000)
    images = render_digits(warps, glyphs).images
    worst = 0
    for warp, glyph, image in zip(warps[:, 0], glyphs[:, 0], images, strict=True):
        matrix = reference.homography(warp, 14)[:2]
        matrix[:, 2] += matrix[:, :2] @ (0.5, 0.5) - 0.5  # OpenCV counts from pixel middles
        expected = cv2.warpAffine(IMAGES[glyph], matrix, (WIDTH, 28), flags=cv2.INTER_LINEAR)
        worst = max(worst, np.abs(image.astype(int) - expected).max())
    # OpenCV 4 rounds fractions to 1/32 px; it is up to 7 levels from exact itself
    assert worst <= (2 if OPENCV >= 5 else 9)


def random_projective(rng, count, share, spread):
    """Return maps (count, 1, 8) whose edges are up to `share` nearer, and linear parts near one."""
    warps = random_affine(rng, count)
    warps[:, 0, 0:4] = np.eye(2).reshape(-1) + rng.uniform(-spread, spread, (count, 4))
    warps[:, 0, 4:6] = rng.uniform(-share / 14, share / 14, (count, 2))
    return warps


@pytest.mark.parametrize(("share", "levels"), [(0.02, 0.7), (0.04, 0.7), (0.08, 0.9), (0.2, 4.0)])
def test_mesh_is_close_to_true_perspective(share, levels):
    """Second-order bends between nodes keep the error low: 0.61, 0.62, 0.78, 2.7 levels measured.

    The presets go to 0.08; without the second order it was 4 levels at 0.014 already.
    """
    rng = np.random.default_rng(3)
    warps, glyphs = random_projective(rng, 150, share, 0.2), random_glyphs(rng, 150)
    images = render_digits(warps, glyphs).images
    worst = 0.0
    for warp, glyph, image in zip(warps[:, 0], glyphs[:, 0], images, strict=True):
        matrix = reference.homography(warp, 14)
        expected = reference.warp_glyph(IMAGES[glyph], matrix, (0, 0, WIDTH, 28))
        worst = max(worst, np.abs(image - expected).max())
    assert worst <= levels


def test_kernel_agrees_with_opencv_on_perspective():
    """Each of 500 maps of the presets' kind gives `cv2.warpPerspective` within two levels."""
    rng = np.random.default_rng(12)
    warps, glyphs = random_projective(rng, 500, 0.08, 0.3), random_glyphs(rng, 500)
    images = render_digits(warps, glyphs).images
    to_middles = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    worst = 0
    for warp, glyph, image in zip(warps[:, 0], glyphs[:, 0], images, strict=True):
        matrix = np.linalg.inv(to_middles) @ reference.homography(warp, 14) @ to_middles
        expected = cv2.warpPerspective(IMAGES[glyph], matrix, (WIDTH, 28), flags=cv2.INTER_LINEAR)
        worst = max(worst, np.abs(image.astype(int) - expected).max())
    assert worst <= (2 if OPENCV >= 5 else 9)


@pytest.mark.parametrize(("rms", "correlation"), [(0.7, 5.0), (1.5, 3.0), (1.0, 10.0)])
def test_elastic_digits_agree_with_the_reference_and_opencv(rms, correlation):
    """Deformed pixels are those of the slow mesh within a level, of `cv2.remap` within two."""
    rng = np.random.default_rng(13)
    warps, glyphs = random_affine(rng, 12), random_glyphs(rng, 12)
    batch = render_digits(warps, glyphs, elastic=(rms, correlation))
    for n, image in enumerate(batch.images):
        field = reference.elastic_displacement(n, rms, correlation)
        x, y = reference.mesh_points(warps[n, 0], 14, field, WIDTH)
        expected = reference.bilinear(IMAGES[glyphs[n, 0]], x, y)
        assert np.abs(image - expected).max() <= 1.0
        assert tuple(batch.boxes[n, 0]) == reference.bounds(image)
        points = (np.float32(x - 0.5), np.float32(y - 0.5))
        by_opencv = cv2.remap(IMAGES[glyphs[n, 0]], *points, cv2.INTER_LINEAR)
        # OpenCV 5 remaps exactly, 4 by fractions of 1/32 px
        assert np.abs(image.astype(int) - by_opencv).max() <= (2 if OPENCV >= 5 else 9)
    assert not np.array_equal(batch.images, render_digits(warps, glyphs).images)


def test_masks_name_the_brightest_digit():
    """A mask holds, pixel by pixel, the digit with the largest value, of equal ones the first."""
    rng = np.random.default_rng(14)
    warps = np.concatenate([random_affine(rng, 60) for _ in range(3)], axis=1)
    warps[:20, 1] = warps[:20, 0]  # the same digit twice: every pixel is a tie
    glyphs = rng.integers(0, len(IMAGES), (60, 3))
    glyphs[:20, 1] = glyphs[:20, 0]
    for width in (WIDTH, WIDTH - 1, WIDTH - 3):
        batch = render_digits(warps, glyphs, width=width)
        alone = [
            render_digits(warps[:, d : d + 1], glyphs[:, d : d + 1], width).images for d in range(3)
        ]
        stack = np.stack([np.zeros_like(alone[0]), *alone])
        expected = stack.argmax(axis=0)  # the first of equal ones, so 0 where all are
        assert np.array_equal(batch.masks, expected)
        assert np.array_equal(batch.images, stack.max(axis=0))
        assert set(np.unique(batch.masks[20:])) == {0, 1, 2, 3}
    assert not (batch.masks[:20] == 2).any()


@pytest.mark.parametrize("width", [WIDTH - 1, WIDTH - 2, WIDTH - 3])
def test_widths_that_fill_no_word_cut_at_the_edge(width):
    """A narrower image is the wider one less its last columns; boxes and shares match it."""
    rng = np.random.default_rng(15)
    warps, glyphs = random_affine(rng, 60), random_glyphs(rng, 60)
    warps[:, 0, 6] += 20
    wide, narrow = render_digits(warps, glyphs), render_digits(warps, glyphs, width=width)
    assert np.array_equal(wide.images[:, :, :width], narrow.images)
    assert np.array_equal(wide.masks[:, :, :width], narrow.masks)
    for n, image in enumerate(narrow.images):
        assert tuple(narrow.boxes[n, 0]) == reference.bounds(image)
        matrix = reference.homography(warps[n, 0], 14)
        whole = reference.warp_glyph(IMAGES[glyphs[n, 0]], matrix, (-60, -45, WIDTH + 60, 73))
        share = whole[45:73, 60 : 60 + width].sum() / whole.sum()
        assert narrow.visible[n, 0] == pytest.approx(share, abs=3e-3)


@pytest.mark.parametrize("growth", [-400, -256, -120, 80, 256, 600])
def test_grown_strokes_are_drawn_whole(growth):
    """Grown ink is in the image, and the pixels of digits drawn before are not."""
    rng = np.random.default_rng(16)
    glyphs = random_glyphs(rng, 60)
    warps = np.zeros((60, 1, 8))
    warps[:, 0, 0] = warps[:, 0, 3] = 1
    warps[:, 0, 6], warps[:, 0, 7] = 30, 14
    together = render_digits(warps, glyphs, growth=growth).images
    plain = render_digits(warps, glyphs).images
    for n in range(60):
        one = render_digits(warps[n : n + 1], glyphs[n : n + 1], growth=growth)
        assert np.array_equal(one.images[0], together[n])
        assert one.visible[0, 0] == 1.0
        size, kernel = -(-abs(growth) // 256), np.ones((3, 3), np.uint8)
        most = cv2.dilate(plain[n], kernel, iterations=size)
        black_around = {"borderType": cv2.BORDER_CONSTANT, "borderValue": 0}
        least = cv2.erode(plain[n], kernel, iterations=size, **black_around)
        assert (together[n] <= most).all()
        assert (together[n] >= least).all()
    assert (together.sum() > plain.sum()) == (growth > 0)


def test_identity_copies_glyphs():
    """A warp that moves by whole pixels copies every pixel of the glyph, ink at the edge too."""
    rng = np.random.default_rng(4)
    glyphs = random_glyphs(rng, 50)
    warps = np.zeros((50, 1, 8))
    warps[:, 0, 0] = warps[:, 0, 3] = 1
    warps[:, 0, 6], warps[:, 0, 7] = np.arange(50) % 36 + 14, 14
    for n, image in enumerate(render_digits(warps, glyphs).images):
        left = n % 36
        assert np.array_equal(image[:, left : left + 28], IMAGES[glyphs[n, 0]])
        assert image[:, :left].max(initial=0) == image[:, left + 28 :].max(initial=0) == 0


def test_overlapping_digits_combine_by_maximum():
    """Where two digits overlap, a pixel has the larger of what each gives alone."""
    rng = np.random.default_rng(5)
    warps = np.concatenate([random_affine(rng, 80), random_affine(rng, 80)], axis=1)
    glyphs = rng.integers(0, len(IMAGES), (80, 2))
    both = render_digits(warps, glyphs).images
    first = render_digits(warps[:, :1], glyphs[:, :1]).images
    second = render_digits(warps[:, 1:], glyphs[:, 1:]).images
    assert np.array_equal(both, np.maximum(first, second))
    assert ((first > 0) & (second > 0)).any()


def test_boxes_bound_each_digit_drawn_alone():
    """A box is the tight bounds of the pixels that its digit alone has in the image."""
    rng = np.random.default_rng(6)
    warps = np.concatenate([random_affine(rng, 120), random_affine(rng, 120)], axis=1)
    warps[:5, 0, 6] = -200  # wholly outside: no box
    glyphs = rng.integers(0, len(IMAGES), (120, 2))
    boxes = render_digits(warps, glyphs).boxes
    for digit in (0, 1):
        alone = render_digits(warps[:, digit : digit + 1], glyphs[:, digit : digit + 1]).images
        for image, box in zip(alone, boxes[:, digit], strict=True):
            assert tuple(box) == reference.bounds(image)
    assert (boxes[:5, 0] == 0).all()


def test_visible_is_the_share_of_ink_inside():
    """The visible share is the ink drawn into the image over that of an image with room for all."""
    rng = np.random.default_rng(7)
    warps, glyphs = random_affine(rng, 200), random_glyphs(rng, 200)
    warps[::2, 0, 6] += rng.choice([-30, 30], 100)
    warps[1::3, 0, 7] += rng.choice([-14, 14], 67)[: len(warps[1::3])]
    batch = render_digits(warps, glyphs)
    shares = []
    for n in range(200):
        matrix = reference.homography(warps[n, 0], 14)
        whole = reference.warp_glyph(IMAGES[glyphs[n, 0]], matrix, (-60, -45, WIDTH + 60, 73))
        share = whole[45:73, 60 : 60 + WIDTH].sum() / whole.sum()
        shares.append(share)
        assert batch.visible[n, 0] == pytest.approx(share, abs=2e-3)
    assert min(shares) == 0
    assert sum(0.01 < share < 0.99 for share in shares) > 20


def test_quads_are_the_frames_corners():
    """A quad holds the images of the frame's corners, from top left clockwise."""
    rng = np.random.default_rng(8)
    warps, glyphs = random_affine(rng, 30), random_glyphs(rng, 30)
    warps[:, 0, 4:6] = rng.uniform(-0.004, 0.004, (30, 2))
    centres = rng.uniform(8, 20, (30, 1))
    quads = render_digits(warps, glyphs, centres=centres).quads
    for n in range(30):
        matrix = reference.homography(warps[n, 0], centres[n, 0])
        corners = np.array([[0, 0, 1], [28, 0, 1], [28, 28, 1], [0, 28, 1]]) @ matrix.T
        assert np.allclose(quads[n, 0], corners[:, :2] / corners[:, 2:], atol=1e-4)


@pytest.mark.parametrize("squeezed", [0.36, 0.12])
def test_strong_squeeze_keeps_to_the_reference(squeezed):
    """A digit squeezed to a third samples the points of the reference, whatever the mesh step."""
    rng = np.random.default_rng(9)
    warps, glyphs = random_affine(rng, 60, squeezed), random_glyphs(rng, 60)
    for warp, glyph, image in zip(
        warps[:, 0], glyphs[:, 0], render_digits(warps, glyphs).images, strict=True
    ):
        matrix = reference.homography(warp, 14)
        expected = reference.warp_glyph(IMAGES[glyph], matrix, (0, 0, WIDTH, 28))
        assert np.abs(image - expected).max() <= 1.0


def test_very_wide_stretch_keeps_to_the_reference():
    """A digit stretched over 2,000 px has the pixels of the reference within one grey level."""
    warps = np.zeros((1, 1, 8))
    warps[0, 0] = 70, 9, 0, 1, 0, 0, 1000.3, 14.4
    glyphs = np.array([[7]])
    image = render_digits(warps, glyphs, width=2000).images[0]
    expected = reference.warp_glyph(
        IMAGES[7], reference.homography(warps[0, 0], 14), (0, 0, 2000, 28)
    )
    assert np.abs(image - expected).max() <= 1.0
    assert (image.max(axis=0) > 0).sum() > 900


def test_images_are_cleared():
    """Images are cleared before digits are drawn: a block in used memory is the same."""
    rng = np.random.default_rng(10)
    warps, glyphs = random_affine(rng, 20), random_glyphs(rng, 20)
    first = render_digits(warps, glyphs).images
    for _ in range(3):
        used = np.full((20, 28, WIDTH), 255, dtype=np.uint8)  # memory that comes next is full
        del used
        assert np.array_equal(render_digits(warps, glyphs).images, first)


def test_a_blank_digit_shows_nothing():
    """A glyph without ink has no box and a visible share of 0."""
    blank = replace(DIGITS, glyphs=np.zeros_like(DIGITS.glyphs[:1]), ink=np.zeros((1, 4), np.int16))
    recipe = Recipe(digits=[0], split="test", width=WIDTH, spacing=0)
    warps = random_affine(np.random.default_rng(17), 20)
    batch = render(Planner(recipe, blank), make_specs(warps, np.zeros((20, 1))), masks=True)
    for values in (batch.images, batch.masks, batch.boxes, batch.visible):
        assert not values.any()


@pytest.mark.parametrize("spread", [0.0, 1.0, 3.5])
def test_octagons_lie_close_around_ink(spread):
    """An octagon reaches in each of eight directions as far as the ink does."""
    corners = np.empty((2, 8))
    for row in range(0, 10_000, 100):
        ink, diagonals = DIGITS.ink[row], DIGITS.diagonals[row]
        layout.surround(ink, diagonals, spread, corners)
        x, y = corners
        left, top, right, bottom = ink + np.array([-1, -1, 1, 1]) * spread
        assert [x.min(), y.min(), x.max(), y.max()] == [left, top, right, bottom]
        slanted = spread * 2**0.5
        assert (x + y).min() == pytest.approx(max(left + top, diagonals[0] - slanted))
        assert (x - y).min() == pytest.approx(max(left - bottom, diagonals[1] - slanted))
        assert (x + y).max() == pytest.approx(min(right + bottom, diagonals[2] + slanted))
        assert (x - y).max() == pytest.approx(min(right - top, diagonals[3] + slanted))
