"""Effects on finished pixels: against slow references, and what they do to many images."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from scipy.stats import chisquare, kstest

from builder import Recipe, generate
from builder.augment import grey_values
from builder.augment.augmentation import Draws, Effect
from builder.augment.ranges import RANGES, resolve_preset
from builder.augment.table import AUGMENTATIONS, draw_effects
from builder.common.rng import sample_seeds
from tests import effects_reference as reference

ENOUGH = 1e-4
"""Below this p-value a distribution counts as wrong; the draws are fixed, so it never flickers."""

MANY = 20_000
WIDTHS = (28, 29, 50, 200)

REFERENCES = {
    "contrast": reference.contrast,
    "blur": reference.blur,
    "strokes": reference.strokes,
    "background": reference.shade,
    "gradient": reference.shade,
    "texture": reference.texture,
    "invert": reference.invert,
    "dropout": reference.dropout,
    "noise": reference.noise,
}

EFFECTS = {item.name: item for item in AUGMENTATIONS.values() if isinstance(item, Effect)}
STREAMS = {item.name: stream for stream, item in AUGMENTATIONS.items()}

WHOLE_RANGE = {
    name: {n: RANGES[n].most for n in item.strengths + item.settings}
    | ({"invert": 0.5} if name == "invert" else {})
    for name, item in EFFECTS.items()
}
"""Each effect as strong as is allowed, so that its draws are from all of its range."""

OFF = {"strokes": 1.5}
"""Grey levels by which an effect may be off, if not 1: of up to twenty strokes, one laid over the
other, each rounds (measured: 1.28)."""


class Ends(Draws):
    """Draws whose numbers for strips are all at one end of [-1, 1)."""

    end = -1.0

    def per_strip(self, draw=0):
        """Return the end for every sample."""
        return np.full(len(self.seeds), self.end)


class LastEnd(Ends):
    """A draw at the upper end."""

    end = 1 - 2.0**-52


def draw_for(name, count, kind=Draws, master=0):
    """Return the draw of an effect for `count` samples."""
    seeds = sample_seeds(master, np.arange(count))
    return kind(seeds, np.zeros((count, 1), dtype=np.int8), STREAMS[name])


def numbers_of(name, count, kind=Draws, master=0, **ranges):
    """Return the numbers of an effect for `count` samples."""
    augment = {**resolve_preset("none"), **WHOLE_RANGE[name], **ranges}
    item = EFFECTS[name]
    return item.draw(draw_for(name, count, kind, master), *item.values(augment))


def changed(name, images, numbers):
    """Return images after an effect; those given stay as they are."""
    result = images.copy()
    EFFECTS[name].apply(result, numbers)
    return result


def flat(value, count, width=200):
    """Return `count` images of one grey value."""
    return np.full((count, 28, width), value, dtype=np.uint8)


def contents(width):
    """Return 14 images: random, black, white, and of real digits."""
    rng = np.random.default_rng(width)
    longest = (width + 10) // 38
    recipe = Recipe(seed=width, length=longest, width=width, augment="none")
    noisy = rng.integers(0, 256, (6, 28, width), dtype=np.uint8)
    return np.concatenate(
        [noisy, flat(0, 2, width), flat(255, 2, width), generate(recipe, range(4)).images]
    )


def uniform(values, low=0.0, high=1.0, step=0.0):
    """Assert that values are uniform in [low, high]; `step` is what they were rounded to."""
    rng = np.random.default_rng(5)
    spread = values + step * rng.uniform(-0.5, 0.5, len(values))
    assert len(values) >= 1000
    assert kstest(spread, "uniform", (low, high - low)).pvalue > ENOUGH


def test_every_effect_has_a_reference():
    """No effect of the table is left out of these tests."""
    assert set(REFERENCES) == set(EFFECTS)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", REFERENCES)
def test_effect_agrees_with_its_reference(name, width):
    """Each image is the float64 reference's within a level, or `OFF`, at the range's ends too."""
    images = contents(width)
    worst = 0.0
    for kind in (Draws, Ends, LastEnd):
        numbers = numbers_of(name, len(images), kind, master=width)
        results = changed(name, images, numbers)
        for image, result, row in zip(images, results, numbers, strict=True):
            expected = REFERENCES[name](image.astype(np.float64), row)
            worst = max(worst, np.abs(result - expected).max())
    assert worst <= OFF.get(name, 1.0)


@pytest.mark.parametrize("name", REFERENCES)
def test_effect_acts_on_images_one_by_one(name):
    """An image in a block comes out as it does alone, and some image is changed at all."""
    images = contents(50)
    numbers = numbers_of(name, len(images), master=1)
    results = changed(name, images, numbers)
    assert (results != images).any()
    for n in range(len(images)):
        alone = changed(name, images[n : n + 1], numbers[n : n + 1])
        assert np.array_equal(alone[0], results[n])


@pytest.mark.parametrize("name", REFERENCES)
def test_effect_that_draws_nothing_changes_nothing(name):
    """At the lower end of its range an effect leaves every image as it is."""
    images = contents(50)
    if name == "contrast":
        numbers = np.zeros((len(images), 1), dtype=np.int64)
    elif name == "invert":
        numbers = numbers_of(name, len(images), invert=0.0)
    else:
        numbers = numbers_of(name, len(images), Ends)
    assert np.array_equal(changed(name, images, numbers), images)


def test_contrast_keeps_black_and_white_and_order():
    """No curve moves black or white, or lets a darker value become the lighter one."""
    every = np.tile(np.arange(256, dtype=np.uint8), (500, 28, 1))
    for kind in (Draws, Ends, LastEnd):
        curves = changed("contrast", every, numbers_of("contrast", 500, kind))[:, 0].astype(int)
        assert (curves[:, 0] == 0).all()
        assert (curves[:, 255] == 255).all()
        assert (np.diff(curves, axis=1) >= 0).all()


def test_contrast_moves_half_tones_by_a_quarter_at_most():
    """The strongest curves move the middle grey by a quarter of white, one up and one down."""
    bent = [
        changed("contrast", flat(128, 1), numbers_of("contrast", 1, k)) for k in (Ends, LastEnd)
    ]
    assert [int(image[0, 0, 0]) for image in bent] == pytest.approx([64, 192], abs=1)


def test_blur_agrees_with_opencv():
    """Blurred images are those of OpenCV's separable filter within two levels."""
    images = contents(200)
    numbers = numbers_of("blur", len(images))
    for image, result, (here, near, far) in zip(
        images, changed("blur", images, numbers), numbers, strict=True
    ):
        line = np.array([far, near, here, near, far]) / 4096
        expected = cv2.sepFilter2D(image, -1, line, line, borderType=cv2.BORDER_CONSTANT)
        assert np.abs(result.astype(int) - expected).max() <= 2


def test_blur_weights_have_the_variance_drawn():
    """The weights sum up to one, and their variance is the square of the sigma drawn."""
    signed = draw_for("blur", MANY).per_strip()
    for most in (0.3, 0.8, 1.0):
        here, near, far = numbers_of("blur", MANY, blur=most).T
        assert (here + 2 * near + 2 * far == 4096).all()
        assert (np.minimum(near, far) >= 0).all()
        assert (here >= near).all()
        variance = (2 * near + 8 * far) / 4096
        assert np.abs(variance - (most * (signed + 1) / 2) ** 2).max() < 0.002


def test_blur_spreads_an_edge_by_its_sigma():
    """The profile of a blurred edge has the variance of the sigma drawn, across and down."""
    images = flat(0, 200, 40)
    images[:, :, 20:] = 255
    down = np.ascontiguousarray(images[:, :, 12:40].transpose(0, 2, 1))
    numbers = numbers_of("blur", 200)
    sigma = (draw_for("blur", 200).per_strip() + 1) / 2
    across = changed("blur", images, numbers)[:, 14, 15:26].astype(float)
    along = changed("blur", down, numbers)[:, 3:14, 14].astype(float)
    for profile in (across, along):
        steps = np.diff(profile, axis=1) / 255
        assert np.allclose(steps.sum(axis=1), 1)
        middle = (steps * np.arange(10)).sum(axis=1)
        variance = (steps * (np.arange(10) - middle[:, None]) ** 2).sum(axis=1)
        assert np.abs(variance - sigma**2).max() < 0.03
        assert np.allclose(middle, 4, atol=0.02)


def test_blur_of_almost_nothing_leaves_images_alone():
    """A sigma below a hundredth of a pixel changes no image."""
    images = contents(50)
    assert np.array_equal(
        changed("blur", images, numbers_of("blur", len(images), blur=0.01)), images
    )


def test_noise_has_the_deviation_drawn():
    """Over mid-grey images the noise has no mean, and the deviation drawn within 5 %."""
    images = flat(128, 300)
    signed = draw_for("noise", 300).per_strip()
    added = changed("noise", images, numbers_of("noise", 300, noise=36.0)).astype(float) - 128
    expected = 36 * (signed + 1) / 2
    some = expected > 2  # below, rounding to whole levels counts
    deviation = added.std(axis=(1, 2))
    assert some.sum() > 250
    assert np.abs(deviation[some] / expected[some] - 1).max() < 0.05
    means = added.mean(axis=(1, 2)) / (deviation + 0.3) * np.sqrt(28 * 200)
    assert np.abs(means).max() < 4.5
    assert abs(means.mean()) < 4 / np.sqrt(300)


def test_noise_looks_gaussian():
    """Skewness is none and the excess of the kurtosis that of four added numbers, -0.3."""
    numbers = numbers_of("noise", 200, LastEnd, noise=36.0)
    added = changed("noise", flat(128, 200), numbers).astype(float) - 128
    added /= added.std()
    assert abs((added**3).mean()) < 0.01
    assert (added**4).mean() - 3 == pytest.approx(-0.3, abs=0.02)


def test_noise_of_pixels_and_samples_is_independent():
    """Neighbours, pixels half an image apart and the same pixel of two samples do not correlate."""
    numbers = numbers_of("noise", 200, LastEnd, noise=36.0)
    added = changed("noise", flat(128, 200), numbers).astype(float) - 128
    added /= added.std()
    pairs = {
        "right": (added[:, :, :-1], added[:, :, 1:]),
        "below": (added[:, :-1], added[:, 1:]),
        "diagonal": (added[:, :-1, :-1], added[:, 1:, 1:]),
        "two right": (added[:, :, :-2], added[:, :, 2:]),
        "half an image": (added[:, :14], added[:, 14:]),
        "next sample": (added[:-1], added[1:]),
    }
    for name, (first, second) in pairs.items():
        for power in (1, 2):
            a, b = first**power - (power - 1), second**power - (power - 1)
            correlation = (a * b).mean() / np.sqrt((a**2).mean() * (b**2).mean())
            assert abs(correlation) < 4 / np.sqrt(first.size), (name, power)
    flattened = added.reshape(200, -1)
    between = np.corrcoef(flattened)[np.triu_indices(200, 1)]
    assert np.abs(between).max() < 5.5 / np.sqrt(flattened.shape[1])


def test_noise_and_dropout_of_a_sample_are_independent():
    """The pixels that are lost have noise like all others."""
    noisy = changed("noise", flat(128, 200), numbers_of("noise", 200, LastEnd, noise=36.0))
    lost = changed("dropout", flat(255, 200), numbers_of("dropout", 200, LastEnd)) == 0
    added = (noisy.astype(float) - 128) / 36
    assert abs(added[lost].mean() - added[~lost].mean()) < 4 * 2 / np.sqrt(added.size)


def test_noise_mean_and_deviation_are_those_of_its_sum():
    """The mean and deviation that the noise is scaled by are those of four numbers from 0 to 15."""
    sums = np.add.outer(
        np.add.outer(np.arange(16), np.arange(16)).ravel(),
        np.add.outer(np.arange(16), np.arange(16)).ravel(),
    )
    assert sums.mean() == grey_values.MEAN
    assert pytest.approx(sums.std()) == grey_values.DEVIATION


def test_dropout_loses_the_share_drawn():
    """As many pixels are 0 as the share says, within five deviations, and the others unchanged."""
    images = np.random.default_rng(1).integers(1, 256, (300, 28, 200), dtype=np.uint8)
    numbers = numbers_of("dropout", 300)
    share = 0.5 * (draw_for("dropout", 300).per_strip() + 1) / 2
    result = changed("dropout", images, numbers)
    lost = result == 0
    assert np.array_equal(result[~lost], images[~lost])
    count, pixels = lost.sum(axis=(1, 2)), 28 * 200
    bound = 5 * np.sqrt(pixels * share * (1 - share)) + 2
    assert (np.abs(count - pixels * share) <= bound).all()
    assert abs((count - pixels * share).sum()) < 4 * np.sqrt((pixels * share * (1 - share)).sum())


def test_dropout_is_everywhere_and_independent():
    """Every place is lost about as often, and neighbours and samples are lost by themselves."""
    numbers = numbers_of("dropout", 2000, LastEnd)  # half of all
    lost = (changed("dropout", flat(9, 2000, 50), numbers) == 0).astype(float) * 2 - 1
    often = lost.mean(axis=0) * np.sqrt(2000)
    assert np.abs(often).max() < 5
    assert often.std() == pytest.approx(1, abs=0.1)
    for first, second in (
        (lost[:, :, :-1], lost[:, :, 1:]),
        (lost[:, :-1], lost[:, 1:]),
        (lost[:, :14], lost[:, 14:]),
        (lost[:-1], lost[1:]),
    ):
        assert abs((first * second).mean()) < 4.5 / np.sqrt(first.size)


def test_invert_twice_is_nothing():
    """An inverted image is the negative, and inverted again the image."""
    images = contents(29)
    numbers = np.full((len(images), 1), 255)
    once = changed("invert", images, numbers)
    assert np.array_equal(once, 255 - images)
    assert np.array_equal(changed("invert", once, numbers), images)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 1.0])
def test_invert_turns_the_share_asked_for(share):
    """As many images are inverted as asked for, within four deviations; with 1 it is all."""
    turned = numbers_of("invert", MANY, invert=share)[:, 0]
    assert set(turned.tolist()) <= {0, 255}
    deviation = np.sqrt(share * (1 - share) / MANY)
    assert abs((turned == 255).mean() - share) <= 4 * deviation


def test_background_is_level_and_ink_white():
    """Black becomes the grey drawn, the same everywhere, and full ink stays full."""
    images = flat(0, 300, 50)
    images[:, 10:12, 5:40] = 255
    result = changed("background", images, numbers_of("background", 300)).astype(int)
    level = 255 * (draw_for("background", 300).per_strip() + 1) / 2
    ink = images == 255
    assert (result[ink] == 255).all()
    for image, grey in zip(result, level, strict=True):
        paper = image[~ink[0]]
        assert paper.min() == paper.max()
        assert abs(paper[0] - grey) <= 1


@pytest.mark.parametrize("name", ["background", "gradient", "texture"])
def test_paper_keeps_the_order_of_ink(name):
    """On any paper the pixel with more ink is as light or lighter, and white stays white."""
    numbers = numbers_of(name, 100)
    before = changed(name, flat(0, 100, 50), numbers)
    for value in (30, 90, 150, 200, 254, 255):
        after = changed(name, flat(value, 100, 50), numbers)
        assert (after >= before).all()
        assert (after >= value).all()
        before = after
    assert (before == 255).all()


def test_gradient_spans_its_range():
    """Paper goes from black in one corner to the level drawn in the opposite one, in a plane."""
    most = 255 * (draw_for("gradient", 400).per_strip() + 1) / 2
    paper = changed("gradient", flat(0, 400), numbers_of("gradient", 400)).astype(float)
    corners = paper[:, [0, 0, 27, 27], [0, 199, 0, 199]]
    # the middles of the corners' pixels are up to 1/28 of the range inside
    assert (np.abs(corners.min(axis=1)) <= 1 + most / 28).all()
    assert (np.abs(corners.max(axis=1) - most) <= 1 + most / 28).all()
    assert np.allclose(paper.mean(axis=(1, 2)), most / 2, atol=1)
    assert (np.abs(np.diff(paper, 2, axis=1)) <= 1).all()
    assert (np.abs(np.diff(paper, 2, axis=2)) <= 1).all()
    assert paper.max() > 240


def test_gradient_comes_from_all_sides():
    """The direction in which paper gets lighter is uniform."""
    _, across, down = numbers_of("gradient", MANY).T.astype(float)
    some = np.hypot(across, down) > 2000
    uniform(np.arctan2(down, across)[some] / np.pi, -1, 1)


def test_texture_differs_between_samples():
    """Two samples have grains that do not correlate, each from near black to near its level."""
    numbers = numbers_of("texture", 200)
    paper = changed("texture", flat(0, 200), numbers).astype(float)
    level = 255 * (draw_for("texture", 200).per_strip() + 1) / 2
    assert (paper.max(axis=(1, 2)) <= level + 1).all()
    rich = level > 30
    assert (paper.max(axis=(1, 2)) > 0.85 * level)[rich].all()
    assert (paper.min(axis=(1, 2)) < 0.15 * level)[rich].all()
    points = paper[rich][:, ::8, ::8].reshape(rich.sum(), -1)
    between = np.corrcoef(points)[np.triu_indices(len(points), 1)]
    assert np.abs(between).max() < 5.5 / np.sqrt(points.shape[1])
    assert abs(between.mean()) < 0.005


def test_texture_points_are_uniform_and_smooth_between():
    """At its points the grain is uniform over its level; between two it is in a line."""
    paper = changed("texture", flat(0, 200), numbers_of("texture", 200, LastEnd)).astype(float)
    uniform(paper[:, ::8, ::8].reshape(-1)[:MANY], -0.5, 255.5, step=1.0)
    inside = np.diff(paper, 2, axis=2)[:, ::8].reshape(200, 4, -1)
    bends = np.abs(inside[:, :, [n for n in range(198) if n % 8 != 7]])
    assert bends.max() <= 2


def test_strokes_are_as_many_as_asked_for():
    """The count of strokes is uniform in 0 to N."""
    for most in (1, 3, 20):
        numbers = numbers_of("strokes", MANY, strokes=float(most))
        count = (numbers.reshape(MANY, -1, 7)[:, :, 5] > 0).sum(axis=1)
        frequencies = np.bincount(count, minlength=most + 1)
        assert len(frequencies) == most + 1
        assert chisquare(frequencies).pvalue > ENOUGH


def test_numbers_of_strokes_are_uniform():
    """Place, direction, length, width and grey of strokes are uniform over their ranges."""
    drawn = numbers_of("strokes", MANY, strokes=3.0, stroke_width=4.0).reshape(-1, 7)
    x, y, cosine, sine, long, broad, grey = drawn[drawn[:, 5] > 0][:MANY].T.astype(float)
    uniform(x, 0, 65536, 1)
    uniform(y, 0, 28 * 256, 1)
    uniform(np.arctan2(sine, cosine), -np.pi, np.pi, 1e-4)
    assert np.allclose(np.hypot(sine, cosine), 16384, atol=1)
    uniform(long / 128, 10, 40, 1 / 128)
    uniform(broad / 128, 1, 4, 1 / 128)
    uniform(grey, 0, 255, 1)


def test_strokes_of_a_sample_are_independent():
    """No number of a stroke correlates with one of another stroke of its sample."""
    drawn = numbers_of("strokes", MANY, strokes=20.0)[:, : 3 * 7].astype(float)
    kept = [n for n in range(21) if n % 7 != 5]  # widths share the count
    table = np.corrcoef(drawn[:, kept].T)
    assert np.abs(table[np.triu_indices(len(kept), 1)]).max() < 4.5 / np.sqrt(MANY)


def one_stroke(x, y, degrees, length, width, grey, image_width=100):
    """Return the numbers of one stroke about (x, y) px."""
    turn = np.deg2rad(degrees)
    values = [
        x / image_width * 65536,
        y * 256,
        16384 * np.cos(turn),
        16384 * np.sin(turn),
        128 * length,
        128 * width,
        grey,
    ]
    return np.round([values]).astype(np.int64)


@pytest.mark.parametrize("degrees", [0, 25, 90, 140, -60])
@pytest.mark.parametrize("grey", [0, 77, 255])
def test_stroke_covers_what_it_lies_on(degrees, grey):
    """Inside a stroke all pixels have its grey; outside of it all are as they were."""
    images = np.random.default_rng(3).integers(0, 256, (1, 28, 100), dtype=np.uint8)
    result = changed("strokes", images, one_stroke(40, 13, degrees, 20, 6, grey))
    x, y = np.meshgrid(np.arange(100) + 0.5 - 40, np.arange(28) + 0.5 - 13)
    turned = (x + 1j * y) * np.exp(-1j * np.deg2rad(degrees))
    beyond = np.maximum(np.abs(turned.real) - 10, np.abs(turned.imag) - 3)
    assert (result[0][beyond < -0.52] == grey).all()
    assert np.array_equal(result[0][beyond > 0.52], images[0][beyond > 0.52])
    between = np.abs(beyond) < 0.4
    low, high = np.minimum(images[0], grey), np.maximum(images[0], grey)
    assert ((result[0] >= low) & (result[0] <= high))[between].all()
    assert (beyond < -0.52).sum() > 60


@pytest.mark.parametrize("degrees", [0, 30, 75, 90, 130])
def test_stroke_has_the_area_of_its_sides(degrees):
    """The sum of what a white stroke adds to black is its length times its width, within 3 %."""
    result = changed("strokes", flat(0, 1, 100), one_stroke(50, 14, degrees, 18, 4, 255))
    assert result.sum() / 255 == pytest.approx(18 * 4, rel=0.03)


def test_strokes_are_laid_in_order():
    """Where two strokes cross, the later one lies on top."""
    first, second = one_stroke(50, 14, 0, 30, 6, 60), one_stroke(50, 14, 90, 20, 6, 200)
    crossed = changed("strokes", flat(0, 1, 100), np.concatenate([first, second], axis=1))
    turned = changed("strokes", flat(0, 1, 100), np.concatenate([second, first], axis=1))
    assert (crossed[0, 14, 50], turned[0, 14, 50]) == (200, 60)


def amount(name, numbers, most):
    """Return the amounts that were drawn, as a share of the most, and their rounding."""
    first = numbers[:, 0].astype(float)
    if name == "contrast":
        return (first / (most * 65536 / 255) + 1) / 2, 255 / 65536 / most / 2
    if name == "blur":
        return np.sqrt((2 * numbers[:, 1] + 8 * numbers[:, 2]) / 4096) / most, 0.0
    if name == "noise":
        unit = grey_values.DEVIATION / 256 / most
    else:
        unit = {"background": 1 / 256, "gradient": 1 / 128, "texture": 1, "dropout": 1 / 65536}[
            name
        ] / most
    return first * unit, unit


@pytest.mark.parametrize(
    ("name", "most"),
    [
        ("contrast", 1.0),
        ("contrast", 0.2),
        ("blur", 1.0),
        ("noise", 128.0),
        ("noise", 12.0),
        ("dropout", 0.5),
        ("dropout", 0.02),
        ("background", 255.0),
        ("background", 40.0),
        ("gradient", 255.0),
        ("gradient", 40.0),
        ("texture", 255.0),
        ("texture", 30.0),
    ],
)
def test_drawn_amount_is_uniform(name, most):
    """What a sample draws is uniform from nothing to the most, or from -most to most."""
    share, step = amount(name, numbers_of(name, MANY, **{name: most}), most)
    if name == "blur":  # below, weights of 1/4096 are too coarse to tell sigmas apart
        share = (share[share > 0.1] - 0.1) / 0.9
        assert len(share) == pytest.approx(0.9 * MANY, rel=0.01)
    elif name != "contrast":
        at_the_ends = share < step / 2, share > 1 - step / 2
        for end in at_the_ends:  # half a step is rounded to each end
            assert end.mean() < step + 5 * np.sqrt(step / MANY) + 1e-3
    uniform(share, step=step)


def test_effects_act_in_the_order_of_the_table():
    """An image with several effects is that of one after the other, paper before noise."""
    recipe = Recipe(
        seed=4, length=3, width=120, augment={"background": 200, "noise": 20, "blur": 1}
    )
    plain = Recipe(seed=4, length=3, width=120, augment="none")
    seeds, labels = generate(plain, range(20)).seeds, generate(plain, range(20)).labels
    images = generate(plain, range(20)).images.copy()
    drawn = draw_effects(recipe.augment.ranges, seeds, labels)
    assert [item.name for item, _ in drawn] == ["blur", "background", "noise"]
    for item, numbers in drawn:
        images = changed(item.name, images, numbers)
    assert np.array_equal(images, generate(recipe, range(20)).images)
