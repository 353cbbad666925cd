"""The classic face's distortions of a whole image: maps read off ramps, pixels against OpenCV."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.stats import kstest

from builder.common.errors import UsageError
from builder.generator import transforms
from imgAug import (
    random_elastic_img,
    random_perspective_img,
    random_rotate_img,
    random_scale_img,
    random_shear_img,
)

SHAPE = (28, 160)
EDGE = 1e8
"""Added to ramps, to distinguish values from inside of the image from 0, the value outside."""

DISTORTIONS = {
    "scale": (random_scale_img, 0.2),
    "rotate": (random_rotate_img, 12.0),
    "shear": (random_shear_img, 0.4),
    "perspective": (random_perspective_img, 0.1),
    "elastic": (random_elastic_img, 0.8),
}


def find_sources(distort, strength, seed, shape=SHAPE):
    """Return where each pixel comes from, x and y in px, and whether it is well inside."""
    height, width = shape
    x, y = np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5)
    at_x, at_y = (distort(ramp + EDGE, strength, seed=seed) - EDGE for ramp in (x, y))
    inside = (at_x > 1) & (at_x < width - 1) & (at_y > 1) & (at_y < height - 1)
    return at_x, at_y, inside


def fit_matrix(distort, strength, seed):
    """Return the least-squares matrix (2, 2) from pixels to source points, from the centre."""
    at_x, at_y, inside = find_sources(distort, strength, seed)
    y, x = np.nonzero(inside)
    pixels = np.stack([x + 0.5 - SHAPE[1] / 2, y + 0.5 - SHAPE[0] / 2])
    points = np.stack([at_x[inside] - SHAPE[1] / 2, at_y[inside] - SHAPE[0] / 2])
    matrix = points @ pixels.T @ np.linalg.inv(pixels @ pixels.T)
    assert np.abs(matrix @ pixels - points).max() < 1e-6
    return matrix


@pytest.mark.parametrize("name", DISTORTIONS)
@pytest.mark.parametrize("kind", [np.uint8, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(28, 100), (28, 28), (28, 1), (5, 9)])
def test_shape_and_type_are_kept(name, kind, shape):
    """The output has the shape and type of the input, and the input does not change."""
    distort, strength = DISTORTIONS[name]
    image = np.random.default_rng(1).integers(0, 200, shape).astype(kind)
    copy = image.copy()
    output = distort(image, strength, seed=3)
    assert (output.shape, output.dtype) == (shape, kind)
    assert np.array_equal(image, copy)
    assert output.max() <= image.max()


@pytest.mark.parametrize("name", DISTORTIONS)
def test_nothing_changes_without_strength(name):
    """A strength of 0 returns an equal image."""
    image = np.random.default_rng(1).integers(0, 256, SHAPE).astype(np.uint8)
    assert np.array_equal(DISTORTIONS[name][0](image, 0), image)


@pytest.mark.parametrize("name", DISTORTIONS)
def test_a_seed_repeats_and_none_is_fresh(name):
    """A seed gives the same image again; without one each call gives its own."""
    distort, strength = DISTORTIONS[name]
    image = np.random.default_rng(1).integers(0, 256, SHAPE).astype(np.uint8)
    assert np.array_equal(distort(image, strength, seed=3), distort(image, strength, seed=3))
    assert len({distort(image, strength).tobytes() for _ in range(5)}) == 5


@pytest.mark.parametrize("name", DISTORTIONS)
def test_pixels_are_those_of_opencv_at_the_same_points(name):
    """Pixels well inside are close to those of `cv2.remap` at the same source points."""
    distort, strength = DISTORTIONS[name]
    image = cv2.GaussianBlur(
        np.random.default_rng(2).integers(0, 256, SHAPE, dtype=np.uint8), (0, 0), 1
    )
    for seed in range(10):
        at_x, at_y, inside = find_sources(distort, strength, seed)
        expected = cv2.remap(
            image.astype(np.float32),
            (at_x - 0.5).astype(np.float32),
            (at_y - 0.5).astype(np.float32),
            cv2.INTER_LINEAR,
        )
        output = distort(image, strength, seed=seed).astype(float)
        assert np.abs(output - expected)[inside].max() <= 4  # OpenCV's fractions are 1/32 px
        assert np.abs(output - expected)[inside].mean() < 0.6
        assert inside.mean() > 0.4


def test_rotation_is_a_rotation_of_a_uniform_angle():
    """The map is a pure rotation, and its angles are uniform over the range."""
    angles = []
    for seed in range(60):
        matrix = fit_matrix(random_rotate_img, 20.0, seed)
        assert np.abs(matrix @ matrix.T - np.eye(2)).max() < 1e-7
        angles.append(np.degrees(np.arctan2(matrix[0, 1], matrix[0, 0])))
    assert kstest(np.array(angles) / 40 + 0.5, "uniform").pvalue > 1e-4
    assert np.abs(angles).max() <= 20


def test_positive_angles_turn_clockwise():
    """A pixel right of the centre goes down for half of the seeds, with the sign of the angle."""
    image = np.zeros((29, 29), dtype=np.float64)
    image[14, 22:26] = 1.0
    for seed in range(10):
        matrix = np.array(fit_matrix(random_rotate_img, 60.0, seed))
        rows = np.nonzero(random_rotate_img(image, 60.0, seed=seed).sum(axis=1))[0]
        clockwise = np.arctan2(matrix[0, 1], matrix[0, 0]) > 0
        assert (rows.mean() > 14) == clockwise


def test_shear_slants_and_keeps_rows():
    """A row stays a row, shifted by a uniform slant times its distance from the middle."""
    slants = []
    for seed in range(60):
        matrix = fit_matrix(random_shear_img, 0.3, seed)
        assert matrix[0, 0] == pytest.approx(1)
        assert matrix[1] == pytest.approx([0, 1])
        slants.append(matrix[0, 1])
    assert kstest(np.array(slants) / 0.6 + 0.5, "uniform").pvalue > 1e-4


def test_perspective_keeps_lines_straight():
    """The points that a line's pixels come from lie on a line, but no longer at equal distances."""
    for seed in range(10):
        at_x, at_y, inside = find_sources(random_perspective_img, 0.3, seed)
        row, columns = 9, np.nonzero(inside[9])[0]
        line = np.polyfit(at_x[row, columns], at_y[row, columns], 1)
        assert np.abs(np.polyval(line, at_x[row, columns]) - at_y[row, columns]).max() < 1e-6
        steps = np.diff(at_x[row, columns])
        assert steps.max() / steps.min() > 1.0001


@pytest.mark.parametrize("correlation", [4.0, 8.0])
def test_elastic_displacements_have_the_strength_and_length_asked_for(correlation):
    """Displacements have the rms asked for, and the correlation of such a Gaussian."""
    squares, products, count = 0.0, 0.0, 0
    distance = 8
    for seed in range(120):
        x = np.broadcast_to(np.arange(120) + 0.5, (60, 120))
        e = random_elastic_img(x + EDGE, 0.5, correlation, seed=seed) - EDGE - x
        e = e[4:-4, 4:-4]
        squares += (e**2).mean()
        products += (e[:, :-distance] * e[:, distance:]).mean()
        count += 1
    assert np.sqrt(squares / count) == pytest.approx(0.5, rel=0.06)
    expected = np.exp(-(distance**2) / (4 * correlation**2))
    assert products / squares == pytest.approx(expected, abs=0.07)


@pytest.mark.parametrize(
    ("distort", "name", "bad"),
    [
        (random_rotate_img, "degrees_in", [-1, 181, float("nan"), "5", None]),
        (random_shear_img, "shear_in", [-0.1, 2.1, float("inf")]),
        (random_perspective_img, "share_in", [-0.1, 0.5]),
        (random_elastic_img, "rms_in", [-0.1, 6]),
    ],
)
def test_bad_strengths_are_refused(distort, name, bad):
    """A strength outside its range gets one line with name, value and range."""
    for value in bad:
        with pytest.raises(UsageError, match=f"{name} is .*expected a number from 0 to"):
            distort(np.zeros(SHAPE), value)


def test_bad_correlation_is_refused():
    """A correlation length below 2 px is refused."""
    with pytest.raises(UsageError, match="correlation is 1, expected a number from 2 to 100"):
        random_elastic_img(np.zeros(SHAPE), 0.5, 1)


@pytest.mark.parametrize("name", DISTORTIONS)
@pytest.mark.parametrize(
    "image", [np.zeros(28), np.zeros((3, 28, 9)), np.zeros((0, 5)), [[1]], None, np.array([["a"]])]
)
def test_what_is_no_grey_image_is_refused(name, image):
    """An input that is no array (H, W) of numbers is refused."""
    with pytest.raises(UsageError, match="expected a grey image"):
        DISTORTIONS[name][0](image, 0.1)


def test_perspective_tilts_both_axes_by_shares_of_the_image():
    """At the middle of an edge the depth is 1 less a share, uniform in [-0.2, 0.2]."""
    shares = []
    for seed in range(60):
        at_x, at_y, inside = find_sources(random_perspective_img, 0.2, seed)
        y, x = np.nonzero(inside)
        p, q = x + 0.5 - SHAPE[1] / 2, y + 0.5 - SHAPE[0] / 2
        u, v = at_x[inside] - SHAPE[1] / 2, at_y[inside] - SHAPE[0] / 2
        rows = np.concatenate([np.stack([u * p, u * q], 1), np.stack([v * p, v * q], 1)])
        g, h = np.linalg.lstsq(rows, np.concatenate([u - p, v - q]), rcond=None)[0]
        shares.append([g * SHAPE[1] / 2, h * SHAPE[0] / 2])
    for share in np.transpose(shares):
        assert kstest(share / 0.4 + 0.5, "uniform").pvalue > 1e-4
        assert np.abs(share).max() <= 0.2 + 1e-9


def test_elastic_is_as_strong_at_the_edges():
    """The first column and row are displaced as far as the middle ones."""
    image = np.zeros(SHAPE)
    moved = np.array([transforms.displacement_fields(image, 8.0, seed) for seed in range(200)])
    rms = np.sqrt((moved**2).mean(axis=(0, 1)))
    assert rms[:, 0].mean() > 0.85 * rms[:, 80].mean()
    assert rms[0].mean() > 0.85 * rms[14].mean()
