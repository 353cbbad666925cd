"""The classic face: the functions and the script of `imgAug.py`."""

from __future__ import annotations

import ast
import gzip
import os
import random
import re
import resource
import shlex
import sys
from functools import partial
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

import imgAug
from builder.common import rng
from imgAug import (
    generate_numbers_sequence,
    generate_numbers_sequence_speedup,
    load_dataset,
    random_scale_img,
)
from tests.cli.test_cli import ROOT, command, tree, write_digits

SIDE = 28
SEEDS = range(40)


def bundled(name, header):
    """Return the bytes of one of the bundled files behind its header."""
    return np.frombuffer(
        gzip.decompress((ROOT / "builder" / "data" / name).read_bytes())[header:], dtype=np.uint8
    )


@pytest.fixture(scope="module")
def classes():
    """Return the images of each class of MNIST's training file, as a set of their bytes."""
    images = bundled("train-images-idx3-ubyte.gz", 16).reshape(-1, SIDE * SIDE)
    labels = bundled("train-labels-idx1-ubyte.gz", 8)
    return [{image.tobytes() for image in images[labels == digit]} for digit in range(10)]


def grey(image):
    """Return an image of floats in [0, 1] as grey values, uint8; they are whole."""
    scaled = image.astype(np.float64) * 255
    assert np.abs(scaled - np.rint(scaled)).max() < 1e-4
    return np.rint(scaled).astype(np.uint8)


def frames_in(image, classes, digits):
    """Return the columns at which frames of `digits` stand in a grey image, in their order."""
    columns, start = [], 0
    for digit in digits:
        for x in range(start, image.shape[1] - SIDE + 1):
            if image[:, x : x + SIDE].tobytes() in classes[digit]:
                columns.append(x)
                start = x + SIDE
                break
        else:
            pytest.fail(f"no unchanged frame of digit {digit} from column {start} on")
    return columns


def groups(image, apart):
    """Return first and last column of each group of ink, more than `apart` blank columns apart."""
    columns = np.flatnonzero(image.max(axis=0))
    breaks = np.flatnonzero(np.diff(columns) - 1 > apart)
    firsts = columns[np.concatenate([[0], breaks + 1])]
    lasts = columns[np.concatenate([breaks, [len(columns) - 1]])]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


# generate_numbers_sequence


@pytest.mark.parametrize(
    ("digits", "spacing", "width"),
    [
        ([3, 5, 0], (10, 30), 100),
        ([1, 2, 4, 6, 3, 5, 0], (5, 10), 200),
        ((7,), [0, 0], 28),
        ("02139", (-4, 4), 140),
        (np.array([9, 9]), np.array([2, 3]), np.int64(64)),
    ],
)
def test_an_image_is_what_the_classic_call_promises(digits, spacing, width):
    """The image is float32 (28, width) in [0, 1], black with bright ink in it."""
    for seed in SEEDS:
        image = generate_numbers_sequence(digits, spacing, width, seed=seed)
        assert (image.shape, image.dtype) == ((SIDE, width), np.float32)
        assert image.min() == 0
        assert 0.9 < image.max() <= 1


def test_digits_are_unchanged_images_of_mnist(classes):
    """Where there is room, each 28 x 28 frame is an image of its class, to the bit, and no more."""
    gaps, begins = set(), set()
    for seed in range(150):
        image = grey(generate_numbers_sequence([3, 5, 0], (10, 14), 160, seed=seed))
        at = frames_in(image, classes, [3, 5, 0])
        for x in at:
            image[:, x : x + SIDE] = 0
        assert not image.any()
        gaps.update(np.diff(at) - SIDE)
        begins.add(at[0])
    assert gaps == {10, 11, 12, 13, 14}
    assert min(begins) < 5
    assert max(begins) > 40


@pytest.mark.parametrize("digits", [[0, 0], [9], [1, 2, 3, 4], [8, 7, 6, 5]])
def test_digits_come_in_their_order(classes, digits):
    """The image shows the digits that were asked for, from left to right."""
    for seed in range(5):
        image = grey(generate_numbers_sequence(digits, (0, 3), 200, seed=seed))
        assert len(frames_in(image, classes, digits)) == len(digits)


def test_glyphs_are_drawn_at_random(classes):
    """Calls with different seeds show different images of a digit."""
    shown = set()
    for seed in SEEDS:
        image = grey(generate_numbers_sequence([4], (0, 0), 28, seed=seed))
        assert image.tobytes() in classes[4]
        shown.add(image.tobytes())
    assert len(shown) > 0.9 * len(SEEDS)


def test_three_digits_stay_legible_in_100_px(classes):
    """Frames and gaps wider than the image are narrowed to it: no ink is cut, no gap is lost."""
    for seed in SEEDS:
        wide = grey(generate_numbers_sequence([3, 5, 0], (10, 30), 400, seed=seed))
        at = np.array(frames_in(wide, classes, [3, 5, 0]))
        gaps = np.diff(at) - SIDE
        factor = (100 - gaps.sum()) / (3 * SIDE)
        assert factor < 1
        narrow = grey(generate_numbers_sequence([3, 5, 0], (10, 30), 100, seed=seed))
        shown = groups(narrow, apart=9)
        assert len(shown) == 3
        begin = 0.0
        for (first, last), x, gap in zip(shown, at, [*gaps, 0], strict=True):
            frame = wide[:, x : x + SIDE]
            ink = np.flatnonzero(frame.max(axis=0))
            assert first == pytest.approx(begin + factor * ink[0], abs=1.5)
            assert last + 1 == pytest.approx(begin + factor * (ink[-1] + 1), abs=1.5)
            sums = narrow[:, first : last + 1].sum(), factor * frame.sum()
            assert sums[0] == pytest.approx(sums[1], rel=0.1)
            begin += factor * SIDE + gap


def test_a_seed_repeats_and_none_is_fresh():
    """With a seed a call gives the same image again; without one each call gives a new one."""

    def image(**seed):
        return generate_numbers_sequence([3, 5, 0], (10, 30), 100, **seed).tobytes()

    assert image(seed=12) == image(seed=12) != image(seed=13)
    assert image(seed=2**64 - 1) == image(seed=2**64 - 1)
    assert len({image() for _ in range(10)}) == 10


def test_global_generators_neither_matter_nor_move():
    """Seeding numpy or random makes no call repeat, and no call advances them."""
    images = set()
    for _ in range(5):
        np.random.seed(1)
        random.seed(1)
        images.add(generate_numbers_sequence([3], (1, 2), 40).tobytes())
        state = np.random.get_state()[1].tolist(), random.getstate()
    assert len(images) > 1
    np.random.seed(1)
    random.seed(1)
    assert state == (np.random.get_state()[1].tolist(), random.getstate())


def test_save_to_writes_what_is_returned(tmp_path):
    """`save_to` writes a PNG named by index and label that other readers find equal."""
    folder = tmp_path / "new" / "er"
    for index in range(3):
        image = generate_numbers_sequence([0, 2, 1], (5, 9), 120, seed=index, save_to=folder)
        path = folder / f"{index:012d}_021.png"
        read = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        assert (read.dtype, read.shape) == (np.uint8, (SIDE, 120))
        assert np.array_equal(read, grey(image))
    assert len(list(folder.iterdir())) == 3


def test_save_to_overwrites_nothing(tmp_path, monkeypatch):
    """A new image takes the number after the highest, and leaves all other files as they are."""
    monkeypatch.chdir(tmp_path)
    Path("000000000007_9.png").write_bytes(b"mine")
    Path("000000000009_notes.txt").write_bytes(b"mine")
    before = tree(tmp_path)
    for _ in range(2):
        generate_numbers_sequence([3], (5, 9), 40, save_to=".")
    after = tree(tmp_path)
    assert after.keys() - before.keys() == {"000000000008_3.png", "000000000009_3.png"}
    assert before.items() <= after.items()


BAD_CALLS = [
    (([], (5, 10), 100), "digits has 0 digits"),
    ((None, (5, 10), 100), "digits"),
    (([3, 12], (5, 10), 100), "digits holds 12"),
    (([-1], (5, 10), 100), "digits holds -1"),
    ((["x"], (5, 10), 100), "digits.* is 'x'"),
    (([3], (10, 5), 100), "spacing is 10 to 5"),
    (([3], (5,), 100), "spacing is"),
    (([3], (1, 2, 3), 100), "spacing is"),
    (([3], 5.5, 100), "spacing"),
    (([3, 5, 0], (10, 30), 89), "width is 89, too small for 3 digits"),
    (([3], (5, 10), 0), "width is 0"),
    (([3], (5, 10), 8193), "width is 8193"),
]


@pytest.mark.parametrize(("arguments", "complaint"), BAD_CALLS)
def test_bad_arguments_are_value_errors(tmp_path, arguments, complaint):
    """A call that cannot be is refused by value, and saves nothing."""
    with pytest.raises(ValueError, match=complaint):
        generate_numbers_sequence(*arguments, save_to=tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, "x"])
def test_bad_seeds_are_value_errors(seed):
    """A seed is a whole number from 0 to 2**64 - 1, wherever one is taken."""
    with pytest.raises(ValueError, match="seed"):
        generate_numbers_sequence([3], (5, 10), 100, seed=seed)
    with pytest.raises(ValueError, match="seed"):
        random_scale_img(np.ones((3, 3)), seed=seed)


# load_dataset and generate_numbers_sequence_speedup


def squares(folder):
    """Write digits of which class c is a square of 12 x 12 px, of grey value 255 - 10 c."""
    labels = np.arange(10)
    images = np.zeros((10, SIDE, SIDE), dtype=np.uint8)
    images[:, 8:20, 8:20] = (255 - 10 * labels)[:, None, None]
    return write_digits(folder, images, labels)


@pytest.mark.parametrize("flag", [{}, {"scaleFlg": False}])
def test_speedup_gives_the_plain_image(flag):
    """Without scaling both forms are one, for the bundled digits."""
    df, gp = load_dataset(None)
    for seed in range(5):
        arguments = [3, 5, 0], (10, 30), 100
        plain = generate_numbers_sequence(*arguments, seed=seed)
        fast = generate_numbers_sequence_speedup(*arguments, df, gp, seed=seed, **flag)
        assert np.array_equal(plain, fast)
        assert (fast.shape, fast.dtype) == ((SIDE, 100), np.float32)


def test_speedup_draws_the_digits_that_were_loaded(tmp_path):
    """`load_dataset` of a folder gives its digits, as `save_to` and the image show."""
    df, gp = load_dataset(squares(tmp_path / "dataset"))
    image = grey(
        generate_numbers_sequence_speedup(
            [7, 0, 2], (3, 3), 200, df, gp, seed=1, save_to=tmp_path / "out"
        )
    )
    spans = groups(image, apart=0)
    assert [last - first + 1 for first, last in spans] == [12, 12, 12]
    assert [image[14, first] for first, _ in spans] == [185, 255, 235]
    assert spans[1][0] - spans[0][0] == SIDE + 3
    assert np.array_equal(cv2.imread(str(tmp_path / "out" / "000000000000_702.png"), -1), image)


def test_speedup_scales_each_digit_by_its_own_two_factors(tmp_path):
    """`scaleFlg` draws factors in [0.8, 1.2], for x and y and every digit independently."""
    df, gp = load_dataset(squares(tmp_path / "dataset"))
    factors = []
    for seed in range(150):
        image = generate_numbers_sequence_speedup(
            [0, 0], (9, 9), 120, df, gp, scaleFlg=True, seed=seed
        )
        spans = groups(image, apart=4)
        assert len(spans) == 2
        row = [image[14, first - 1 : last + 2].sum() / 12 for first, last in spans]
        column = [image[:, (first + last) // 2].sum() / 12 for first, last in spans]
        factors.append([*row, *column])
    drawn = np.array(factors)  # x of both digits, y of both digits
    assert 0.79 < drawn.min() < 0.82
    assert 1.18 < drawn.max() < 1.21
    assert np.abs(drawn.mean(axis=0) - 1).max() < 0.05
    assert np.abs(np.corrcoef(drawn.T) - np.eye(4)).max() < 0.3


@pytest.mark.parametrize("folder", ["missing", "empty", "file"])
def test_a_folder_without_digits_is_refused(tmp_path, folder):
    """`load_dataset` names the folder that it cannot use."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match=f"{folder}: (no such folder|expected one)"):
        load_dataset(tmp_path / folder)


# random_scale_img


def ramp_factors(shape, scale, seed):
    """Return the factors of a seed in x and y, read off the slope of two ramps that it scaled."""
    rows, columns = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float64)
    across, down = (random_scale_img(ramp, scale, seed=seed) for ramp in (columns, rows))
    y, x = shape[0] // 2, shape[1] // 2
    return 1 / (across[y, x + 1] - across[y, x]), 1 / (down[y + 1, x] - down[y, x])


def by_opencv(image, x, y):
    """Scale an image about its centre with OpenCV."""
    height, width = image.shape
    across = [x, 0, (width - 1) / 2 * (1 - x)]
    down = [0, y, (height - 1) / 2 * (1 - y)]
    return cv2.warpAffine(
        image, np.array([across, down]), (width, height), flags=cv2.INTER_LINEAR, borderValue=0
    )


@pytest.mark.skipif(int(cv2.__version__.split(".")[0]) < 5, reason="4.x differs by up to 7 levels")
@pytest.mark.parametrize("scale", [0.05, 0.2, 0.5, 0.7])
def test_scaling_agrees_with_opencv(scale):
    """Every grey value is within a level of OpenCV's for the same factors, and none is favoured."""
    bias = []
    for seed in range(25):
        sequence = grey(generate_numbers_sequence([3, 5, 0], (10, 30), 100, seed=seed))
        noise = np.random.default_rng(seed).integers(0, 256, (31, 57), dtype=np.uint8)
        for image in (sequence, noise):
            x, y = ramp_factors(image.shape, scale, seed)
            difference = random_scale_img(image, scale, seed=seed).astype(int)
            difference -= by_opencv(image, x, y)
            assert np.abs(difference).max() <= 1
            bias.append(difference.mean())
    assert abs(np.mean(bias)) < 0.02


def test_factors_are_the_named_draws():
    """The two factors are 1 + scale_in times the first two words of the seed's stream 0."""
    seeds = np.arange(20, dtype=np.uint64)
    x, y = (rng.uniform_signed(rng.draw_words(seeds, 0, draw)) for draw in (0, 1))
    for seed in range(20):
        expected = 1 + 0.2 * x[seed], 1 + 0.2 * y[seed]
        assert ramp_factors((28, 100), 0.2, seed) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("scale", [0.1, 0.2])
def test_factors_are_independent_and_uniform(scale):
    """Over many seeds x and y fill 1 +- scale_in evenly, and know nothing of each other."""
    drawn = np.array([ramp_factors((28, 40), scale, seed) for seed in range(400)])
    steps = (drawn - 1) / scale
    assert np.abs(steps).max() <= 1
    for column in steps.T:
        counts = np.histogram(column, bins=4, range=(-1, 1))[0]
        assert counts.min() > 60
    assert abs(np.corrcoef(steps.T)[0, 1]) < 0.2


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(28, 100), (28, 28), (5, 1)])
def test_scaling_keeps_shape_and_type(kind, shape):
    """What comes out has the shape and type of what went in, which itself stays as it was."""
    image = np.random.default_rng(1).integers(0, 200, shape).astype(kind)
    copy = image.copy()
    scaled = random_scale_img(image, seed=3)
    assert (scaled.shape, scaled.dtype) == (shape, kind)
    assert np.array_equal(image, copy)
    assert scaled.max() <= image.max()
    assert not np.array_equal(scaled, image)


@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_a_factor_of_one_changes_nothing(kind):
    """With `scale_in=0` an image comes back to the bit."""
    image = np.random.default_rng(1).integers(0, 256, (28, 61)).astype(kind)
    assert np.array_equal(random_scale_img(image, scale_in=0), image)


def test_scaling_repeats_with_a_seed_only():
    """A seed repeats the factors; without one each call draws its own; 0.2 is the default."""
    image = grey(generate_numbers_sequence([3, 5, 0], (10, 30), 100, seed=1))
    assert np.array_equal(random_scale_img(image, seed=3), random_scale_img(image, 0.2, seed=3))
    assert not np.array_equal(random_scale_img(image, seed=3), random_scale_img(image, seed=4))
    assert len({random_scale_img(image).tobytes() for _ in range(10)}) == 10


@pytest.mark.parametrize("scale", [1, 1.5, -0.1, float("nan"), float("inf")])
def test_a_bad_scale_is_refused(scale):
    """A share is from 0 to below 1: at 1 an image could vanish."""
    with pytest.raises(ValueError, match="scale_in is"):
        random_scale_img(np.zeros((28, 100), dtype=np.uint8), scale_in=scale)


@pytest.mark.parametrize("shape", [(28,), (3, 28, 100)])
def test_only_grey_images_are_scaled(shape):
    """An image has two dimensions."""
    with pytest.raises(ValueError, match="image has shape"):
        random_scale_img(np.zeros(shape))


# The script


AS_WRITTEN = (
    '--dataset_dir="dataset" --digits="[1,2,3]" --spacing_range="[5,10]" '
    '--image_width=200 --dataout_dir="testout50" --image_count=50'
)
FALLBACK = "no digits in a folder 'dataset' here: using the bundled MNIST digits"


def script(capsys, text):
    """Run the script in this process."""
    capsys.readouterr()
    try:
        code = imgAug.main(shlex.split(text))
    except SystemExit as end:
        code = end.code
    return code, *capsys.readouterr()


def images_of(folder, label, count, width):
    """Return the images of a folder, held to be numbered without a gap and of one label."""
    paths = sorted(Path(folder).iterdir())
    assert [path.name for path in paths] == [f"{i:012d}_{label}.png" for i in range(count)]
    images = [cv2.imread(str(path), cv2.IMREAD_UNCHANGED) for path in paths]
    assert {(image.shape, image.dtype) for image in images} == {((SIDE, width), np.dtype("u1"))}
    return images


def test_the_classic_command_works_as_written(tmp_path, classes):
    """In an empty folder the documented command makes its 50 images, from the bundled digits."""
    result = command(sys.executable, ROOT / "imgAug.py", *shlex.split(AS_WRITTEN), cwd=tmp_path)
    assert result.code == 0, result.err
    assert FALLBACK in result.err
    assert "testout50" in result.out
    images = images_of(tmp_path / "testout50", "123", 50, 200)
    assert len({image.tobytes() for image in images}) == 50
    for image in images[:5]:
        assert len(frames_in(image, classes, [1, 2, 3])) == 3
    assert [path.name for path in tmp_path.iterdir()] == ["testout50"]


def test_a_dataset_folder_that_is_there_is_used(capsys, tmp_path, monkeypatch):
    """A folder `dataset` serves without being named, and as the command is written."""
    monkeypatch.chdir(tmp_path)
    squares(tmp_path / "dataset")
    for arguments in (AS_WRITTEN, "--digits=1,2,3 --image_count=50 --dataout_dir=testout50"):
        code, out, err = script(capsys, arguments)
        assert (code, err) == (0, "")
        assert "testout50" in out
        for image in images_of("testout50", "123", 50, 200):
            spans = groups(image, apart=0)
            assert [image[14, first] for first, _ in spans] == [245, 235, 225]
            assert all(5 <= b[0] - a[0] - SIDE <= 10 for a, b in pairwise(spans))
        for path in Path("testout50").iterdir():
            path.unlink()


@pytest.mark.parametrize("option", ["", "--dataset_dir=dataset "])
def test_an_unrelated_dataset_folder_is_passed_over(capsys, tmp_path, monkeypatch, option):
    """A folder `dataset` without a file of digits does not stop the script, and a line says so."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "notes.txt").touch()
    code, out, err = script(capsys, f"{option}--image_count=1 --dataout_dir=new")
    assert (code, err) == (0, f"imgAug.py: {FALLBACK}\n")
    assert out == "new: 1 images of 28 x 200 px\n"


def test_the_script_has_the_classic_defaults(capsys, tmp_path, monkeypatch, classes):
    """Without options: 100 images of 1246350, 200 px wide, 5 to 10 px apart, in `dataout`."""
    monkeypatch.chdir(tmp_path)
    code, _, err = script(capsys, "")
    assert (code, err.count("\n")) == (0, 1)
    assert FALLBACK in err
    images = images_of("dataout", "1246350", 100, 200)
    assert len({image.tobytes() for image in images}) == 100
    code, _, _ = script(capsys, "--image_width=400 --image_count=30 --dataout_dir=wide")
    gaps = set()
    for image in images_of("wide", "1246350", 30, 400):
        at = frames_in(image, classes, [1, 2, 4, 6, 3, 5, 0])
        gaps.update(np.diff(at) - SIDE)
    assert gaps == {5, 6, 7, 8, 9, 10}


def test_a_second_run_adds_to_the_first(capsys, tmp_path, monkeypatch):
    """Files are numbered on from those that are there, and none is written over."""
    monkeypatch.chdir(tmp_path)
    script(capsys, "--digits=7 --image_count=2 --seed=1")
    before = tree(tmp_path)
    script(capsys, "--digits=7 --image_count=2 --seed=1")
    after = tree(tmp_path)
    assert before.items() <= after.items()
    names = [f"dataout/{i:012d}_7.png" for i in range(4)]
    assert sorted(after) == ["dataout", *names]
    assert [after[name] for name in names[:2]] == [after[name] for name in names[2:]]


BAD_SCRIPT_CALLS = [
    ("--image_count=0", "image_count is 0"),
    ("--image_count=-3", "image_count is -3"),
    ("--image_count=x", "'x'"),
    ("--digits=[]", "digits has 0 digits"),
    ("--digits=''", "digits has 0 digits"),
    ("--digits=[1,12]", "digits holds 12"),
    ("--digits=[1,a]", "'[1,a]' is not a list"),
    ("--digits=[1.5]", "'[1.5]' is not a list"),
    (f"--digits=[{'1,' * 240}1] --image_width=8192", "241 digits"),
    ("--spacing_range=[10,5]", "spacing is 10 to 5"),
    ("--spacing_range=[5]", "spacing"),
    ("--spacing_range=[]", "spacing"),
    ("--spacing_range=[1,2,3]", "spacing"),
    ("--image_width=40", "width is 40, too small"),
    ("--image_width=x", "'x'"),
    ("--dataset_dir=missing", "missing: no such folder"),
    ("--dataset_dir=empty", "empty: expected one train images file"),
    ("--seed=-1", "seed is -1"),
    ("--frobnicate", "--frobnicate"),
    ("extra", "extra"),
]


@pytest.mark.parametrize(("arguments", "complaint"), BAD_SCRIPT_CALLS)
def test_bad_input_of_the_script(capsys, tmp_path, monkeypatch, arguments, complaint):
    """A wrong call gets one line, exit code 2, and no folder; a wrong field is named as such."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    code, out, err = script(capsys, arguments)
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"imgAug\.py: .*{re.escape(complaint)}.*\n", err), err
    assert "lacks the field" not in err
    assert tree(tmp_path) == {"empty": None}


@pytest.mark.untraced
def test_a_write_that_fails_leaves_no_half_image(tmp_path):
    """Where the disk takes only part of an image, the run fails with the reason, and it is gone."""
    squares(tmp_path / "digits")
    arguments = shlex.split(
        "--dataset_dir=digits --image_count=2 --image_width=400 --dataout_dir=o"
    )
    limits = (80, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    hold = partial(resource.setrlimit, resource.RLIMIT_FSIZE, limits)
    load_dataset(tmp_path / "digits")
    result = command(sys.executable, ROOT / "imgAug.py", *arguments, cwd=tmp_path, preexec_fn=hold)
    assert (result.code, result.out) == (1, "")
    assert re.fullmatch(r"imgAug\.py: .*File too large.*\n", result.err), result.err
    assert not list(tmp_path.glob("o/*"))


IMPORTED = """
import random, sys
import numpy as np
opened = []
sys.addaudithook(lambda event, about: event == "open" and opened.append(str(about[0])))
before = random.getstate(), np.random.get_state()[1].tolist()
sys.argv = ["program", "--garbage", "--image_count=x"]
import imgAug
assert before == (random.getstate(), np.random.get_state()[1].tolist())
print(sorted(name for name in opened if not name.endswith((".py", ".pyc"))))
"""


def test_importing_does_nothing(tmp_path):
    """An import parses no arguments, reads no file of the project's, and seeds nothing."""
    result = command(sys.executable, "-c", IMPORTED, cwd=tmp_path)
    assert (result.code, result.err) == (0, "")
    opened = [Path(tmp_path, name).resolve() for name in ast.literal_eval(result.out)]
    read = [path for path in opened if path.exists()]
    for folder in (tmp_path, ROOT / "builder", Path(os.environ["DIGITSEQ_CACHE"]).resolve()):
        assert not [path for path in read if path.is_relative_to(folder)]
    assert list(tmp_path.iterdir()) == []


def test_pandas_is_not_needed(tmp_path):
    """The handles of `load_dataset` work without pandas."""
    text = (
        "import sys; sys.modules['pandas'] = None; import imgAug; h = imgAug.load_dataset(); "
        "print(imgAug.generate_numbers_sequence_speedup([3, 5, 0], (10, 30), 100, *h).shape)"
    )
    result = command(sys.executable, "-c", text, cwd=tmp_path)
    assert result == (0, "(28, 100)\n", "")
