"""The pictures of samples and of augmentations, and the command that writes them."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from builder import Recipe, generate
from builder.augment.ranges import RANGES
from builder.cli import main
from builder.common import atomic_files
from builder.common.errors import UsageError
from builder.visualization import contact_sheet, ladder

ROOT = Path(__file__).parents[2]


def call(capsys, *arguments):
    """Run `preview` in this process; return exit code, standard output, standard error."""
    capsys.readouterr()
    try:
        code = main("preview", [str(argument) for argument in arguments])
    except SystemExit as end:
        code = end.code
    return code, *capsys.readouterr()


def picture_in(path):
    """Return a picture file as red, green, blue (H, W, 3) uint8."""
    return cv2.imread(str(path), cv2.IMREAD_COLOR)[:, :, ::-1]


def squares(image, zoom):
    """Return a grey image in colour, each pixel a square, by other means than the program's."""
    large = np.kron(image, np.ones((zoom, zoom), dtype=np.uint8))
    return np.stack([large] * 3, axis=-1)


def frames(picture):
    """Return x, y, width, height of what the thin frames of a picture enclose, in reading order."""
    pale = np.all(picture == 190, axis=-1).astype(np.uint8)
    contours, _ = cv2.findContours(pale, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    boxes = [cv2.boundingRect(contour) for contour in contours]
    inner = [(x + 1, y + 1, w - 2, h - 2) for x, y, w, h in boxes if h > 28]
    return sorted(inner, key=lambda frame: (frame[1], frame[0]))


def images_in(picture):
    """Return the framed images of a picture, in reading order."""
    return [picture[y : y + h, x : x + w] for x, y, w, h in frames(picture)]


def shows(picture, images):
    """Tell whether a picture shows these images (28, W), in this order, all equally enlarged."""
    pictures = images_in(picture)
    zoom = pictures[0].shape[0] // 28
    pairs = zip(pictures, images, strict=True)
    return all(np.array_equal(there, squares(image, zoom)) for there, image in pairs)


@pytest.fixture(scope="module")
def samples():
    """Return twelve samples of everything, on white or black."""
    return generate(Recipe(seed=3, width=150, augment={"invert": 0.5, "rotate": 10}), range(12))


# Sheets


@pytest.mark.parametrize("zoom", [1, 2, 3])
def test_a_sheet_shows_every_sample_as_it_is(samples, zoom):
    """Each image stands in its place, in order, each pixel a square; so do inverted ones."""
    picture = contact_sheet.contact_sheet(samples, columns=3, zoom=zoom)
    assert picture.dtype == np.uint8
    assert len({(samples.images[n] > 127).mean() > 0.5 for n in range(12)}) == 2
    assert shows(picture, samples.images)
    assert len({x for x, _, _, _ in frames(picture)}) == 3
    assert len({y for _, y, _, _ in frames(picture)}) == 4


def test_every_sample_has_its_label_and_index_below(samples):
    """The line under an image has ink on the left and right, of its own label and index."""
    picture = contact_sheet.contact_sheet(samples, columns=3, zoom=2)
    lines = [picture[y + h + 1 : y + h + 19, x : x + w] for x, y, w, h in frames(picture)]
    for line in lines:
        assert line[:, :10].min() < 100
        assert line[:, -10:].min() < 200
        assert line[:, 75:220].min() == 255
    labels, indices = [
        {half.tobytes() for half in halves}
        for halves in ([line[:, :75] for line in lines], [line[:, 220:] for line in lines])
    ]
    assert len(labels) == len(set(samples.texts))
    assert len(indices) == 12


@pytest.mark.parametrize(
    ("count", "width"), [(40, 200), (40, 100), (12, 28), (100, 150), (24, 320), (500, 60)]
)
def test_a_sheet_has_the_shape_of_a_screen(count, width):
    """By default columns and zoom make a sheet that is broad and fits a screen's width."""
    batch = generate(Recipe(digits="3", width=width, augment="none"), range(count))
    height, across, _ = contact_sheet.contact_sheet(batch).shape
    assert across <= 1800
    assert 1.0 < across / height < 2.4


def test_a_wide_image_with_a_long_label_is_shown():
    """An image of 8192 px stays as it is in a row of its own; a label too long ends in dots."""
    batch = generate(Recipe(length=255, width=8192), range(2))
    assert shows(contact_sheet.contact_sheet(batch, boxes=False), batch.images)
    narrow = generate(Recipe(length=30, width=590), range(4))
    picture = contact_sheet.contact_sheet(narrow, columns=2, zoom=1)
    assert shows(picture, narrow.images)
    text = contact_sheet.shorten(narrow.texts[0], 100)
    assert text.endswith("...")
    assert narrow.texts[0].startswith(text[:-3])
    assert 5 < len(text) < 20


def test_a_picture_too_large_is_refused():
    """A sheet that would take gigabytes is an error of one line, whatever makes it large."""
    batch = generate(Recipe(), range(3))
    with pytest.raises(UsageError, match="expected at most 100,000,000 pixels"):
        contact_sheet.contact_sheet(batch, zoom=10**6)
    with pytest.raises(UsageError, match="0 samples"):
        contact_sheet.contact_sheet([])


def coloured(picture):
    """Return where a picture is neither black, white nor grey."""
    return picture.max(axis=-1) != picture.min(axis=-1)


def test_boxes_are_drawn_where_the_boxes_are():
    """The outline of each box has its colour; with no quads in the image nothing else has one."""
    batch = generate(Recipe(digits="358", width=120, spacing=(8, 8)), range(4))
    plain = list(batch.replace(quads=np.full_like(batch.quads, -1000)))
    shown = images_in(contact_sheet.contact_sheet(plain, columns=2, zoom=2, boxes=True))
    for sample, image in zip(batch, shown, strict=True):
        expected = np.zeros(image.shape[:2], dtype=bool)
        for x0, y0, x1, y1 in 2 * sample.boxes.astype(int):
            expected[y0:y1, x0:x1] = True
            expected[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1] = False
        assert np.array_equal(coloured(image), expected)
        rest = ~expected
        assert np.array_equal(image[rest], squares(sample.image, 2)[rest])


def test_quads_are_drawn_over_the_frames():
    """The corners of each glyph's frame are coloured too, where they are inside the image."""
    batch = generate(Recipe(digits="35", width=120, augment={"scale": 0.3}, seed=1), range(8))
    shown = images_in(contact_sheet.contact_sheet(batch, columns=2, zoom=2, boxes=True))
    corners = 0
    for sample, image in zip(batch, shown, strict=True):
        for x, y in np.rint(2 * sample.quads - 0.5).astype(int).reshape(-1, 2):
            if 0 <= x < 240 and 0 <= y < 56:
                corners += 1
                assert coloured(image[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]).any()
    assert corners >= 8


# Ladders


def test_a_ladder_has_a_row_for_each_strength():
    """Below the plain sample stands each strength alone, of five numbers, in the table's order."""
    recipe = Recipe(seed=273, digits="2357", width=150)
    plain, *cells = images_in(ladder.ladder(recipe))
    strengths = [r for r in RANGES.values() if not r.default and r.name != "style"]
    assert {"thin", "thick", "noise", "invert"} <= {item.name for item in strengths}
    assert len(cells) == 5 * len(strengths)
    off = generate(Recipe(seed=273, digits="2357", width=150, augment="none"), [0]).images[0]
    assert np.array_equal(plain, squares(off, 2))
    for row, item in enumerate(strengths):
        most = item.presets.get("strong", item.most)
        for step in (1, 2, 3, 4, 5):
            augment = {item.name: most * step / 5}
            made = generate(Recipe(seed=273, digits="2357", width=150, augment=augment), [0])
            there = cells[5 * row + step - 1][::2, ::2, 0].astype(int)
            assert abs(there - made.images[0]).max() <= 1, (item.name, step)
        assert not np.array_equal(cells[5 * row], cells[5 * row + 4]), item.name


def test_a_ladder_keeps_the_rest_of_the_recipe():
    """Digits, spacing, width and index are those of the recipe; its augment is not used."""
    recipe = Recipe(seed=4, length=(3, 3), spacing=(0, 2), width=90, split="test", augment="strong")
    bare = Recipe(seed=4, length=3, spacing=(0, 2), width=90, split="test", augment="none")
    plain = images_in(ladder.ladder(recipe, index=7, zoom=1))[0]
    assert np.array_equal(plain, squares(generate(bare, [7]).images[0], 1))


def test_a_ladder_of_wide_images_wraps_its_rows():
    """Where five images are wider than a picture, they stand below each other, all of them."""
    picture = ladder.ladder(Recipe(length=40, width=1400, augment="none"))
    assert picture.shape[1] <= 1800
    assert len(frames(picture)) == 1 + 5 * len(ladder.strengths())
    assert len({x for x, _, _, _ in frames(picture)}) == 1


# The command


def test_the_default_is_forty_samples_of_the_default_recipe(capsys, tmp_path, monkeypatch):
    """A bare call writes preview.png in the current folder and says so in one line."""
    monkeypatch.chdir(tmp_path)
    code, out, err = call(capsys)
    picture = picture_in("preview.png")
    height, width, _ = picture.shape
    assert (code, err) == (0, "")
    assert out == f"preview.png: 40 samples, {width} x {height} px\n"
    assert shows(picture, generate(Recipe(), range(40)).images)
    assert [path.name for path in tmp_path.iterdir()] == ["preview.png"]


def test_options_make_the_recipe(capsys, tmp_path):
    """The options of a recipe are those of build, and columns and zoom are as asked for."""
    options = "--digits 3,5,0 --width 100 --spacing 10 30 --augment none --seed 8 --zoom 2"
    path = tmp_path / "three.png"
    more = ["--count", 6, "--columns", 2, "--out", path]
    assert call(capsys, *shlex.split(options), *more)[0] == 0
    recipe = Recipe(digits="350", width=100, spacing=(10, 30), augment="none", seed=8)
    assert shows(picture_in(path), generate(recipe, range(6)).images)
    assert [frame[2:] for frame in frames(picture_in(path))] == [(200, 56)] * 6
    assert len({x for x, _, _, _ in frames(picture_in(path))}) == 2


@pytest.fixture(scope="module", params=["hdf5", "png"])
def dataset(request, tmp_path_factory):
    """Return the folder of a dataset of 9 images in three shards."""
    folder = tmp_path_factory.mktemp("built") / request.param
    options = shlex.split("--count 9 --shard-size 4 --width 90 --length 1:2 --seed 6 --quiet")
    storage = ["--backend", "sequential", "--format", request.param, "--out", str(folder)]
    assert main("build", [*options, *storage]) == 0
    return folder


@pytest.mark.parametrize(("count", "shown"), [(5, 5), (40, 9)])
def test_the_samples_of_a_dataset_are_those_stored(capsys, dataset, tmp_path, count, shown):
    """A dataset's folder gives its first stored samples, across shards; all, if it has fewer."""
    code, out, _ = call(capsys, dataset, "--count", count, "--out", tmp_path / "a.png")
    assert (code, f": {shown} samples, " in out) == (0, True)
    recipe = Recipe(width=90, length=(1, 2), seed=6)
    assert shows(picture_in(tmp_path / "a.png"), generate(recipe, range(shown)).images)


def test_a_changed_sample_shows_as_it_is_stored(capsys, dataset, tmp_path):
    """What is shown of a dataset is read, not made again; its ladder is that of its recipe."""
    path = tmp_path / "a.png"
    if not (dataset / "shard-000000.h5").exists():
        path_of_first = next((dataset / "shard-000000").glob("000000000000_*.png"))
        before = path_of_first.read_bytes()
        cv2.imwrite(str(path_of_first), np.full((28, 90), 77, dtype=np.uint8))
        call(capsys, dataset, "--count", 1, "--out", path)
        path_of_first.write_bytes(before)
        assert shows(picture_in(path), [np.full((28, 90), 77, dtype=np.uint8)])
    assert call(capsys, dataset, "--ladder", "--out", path)[0] == 0
    expected = ladder.ladder(Recipe(width=90, length=(1, 2), seed=6))
    assert np.array_equal(picture_in(path), expected)


def test_a_recipe_in_a_file_is_enough(capsys, dataset, tmp_path):
    """A recipe, plan or manifest file gives the recipe's samples, as many as are asked for."""
    recipe = Recipe(width=90, length=(1, 2), seed=6)
    (tmp_path / "recipe.json").write_text(json.dumps(recipe.to_json()))
    for file in (tmp_path / "recipe.json", dataset / "plan.json", dataset / "manifest.json"):
        for named in ([file], ["--recipe", file]):
            out = tmp_path / "a.png"
            assert call(capsys, *named, "--count", 12, "--out", out)[0] == 0
            assert shows(picture_in(out), generate(recipe, range(12)).images)


def test_boxes_are_asked_for(capsys, dataset, tmp_path):
    """`--boxes` brings colour to a sheet of a recipe or dataset, and no sheet has it without."""
    for target in ([dataset], []):
        for boxes in (False, True):
            path = tmp_path / "a.png"
            more = ["--boxes"] * boxes
            assert call(capsys, *target, *more, "--count", 4, "--out", path)[0] == 0
            assert coloured(picture_in(path)).any() == boxes


def test_own_labels_go_beside_a_recipe_that_is_named(capsys, tmp_path):
    """The file of a recipe's labels may be named beside it; another one is refused."""
    for name, lines in (("mine.txt", "12\n3\n"), ("other.txt", "45\n")):
        (tmp_path / name).write_text(lines)
    recipe = Recipe(labels_file=tmp_path / "mine.txt")
    file, out = tmp_path / "recipe.json", tmp_path / "a.png"
    file.write_text(json.dumps(recipe.to_json()))
    named = [file, "--out", out, "--count", 3, "--labels-file"]
    assert call(capsys, *named, tmp_path / "mine.txt")[0] == 0
    assert shows(picture_in(out), generate(recipe, range(3)).images)
    assert call(capsys, *named, tmp_path / "other.txt")[0] == 2


BAD = [
    ("--count 0", "count is 0, expected a whole number from 1 to 2000"),
    ("--count 2001", "count is 2001"),
    ("--count many", "--count"),
    ("--zoom 0", "zoom is 0, expected a whole number from 1"),
    ("--zoom 1000000", "expected at most 100,000,000 pixels"),
    ("--columns -1", "columns is -1"),
    ("--ladder --boxes", "--boxes is given beside --ladder"),
    ("--ladder --count 3", "--count is given beside --ladder"),
    ("--out nowhere/a.png", "nowhere/a.png: there is no folder nowhere"),
    ("--out .", "is a folder"),
    ("nothing.json", "nothing.json: there is no such file or folder"),
    ("bad.json", "bad.json: "),
    ("good.json --seed 3", "--seed is given beside good.json"),
    ("good.json --stroke-width 3", "--stroke-width is given beside good.json"),
    ("good.json --recipe good.json", "--recipe is given beside good.json"),
    ("--recipe good.json --width 90", "--width is given beside --recipe"),
    ("--width 20", "width is 20"),
]


@pytest.mark.parametrize(("arguments", "complaint"), BAD)
def test_a_wrong_call_is_reported_in_one_line(capsys, tmp_path, monkeypatch, arguments, complaint):
    """A call that cannot be met ends with 2, one line, and no file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "good.json").write_text(json.dumps(Recipe().to_json()))
    (tmp_path / "bad.json").write_text("[1]")
    code, out, err = call(capsys, *shlex.split(arguments))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("preview.py: ")
    assert complaint in err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.json", "good.json"]


def test_a_folder_that_is_no_dataset_is_reported(capsys, tmp_path):
    """A folder without a manifest ends with 1 and one line, sheet or ladder."""
    for more in ([], ["--ladder"]):
        code, out, err = call(capsys, tmp_path, *more, "--out", tmp_path / "a.png")
        assert (code, out, err.count("\n")) == (1, "", 1)
        assert str(tmp_path) in err
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_reported(capsys, tmp_path, monkeypatch):
    """Where the system refuses the picture, the call ends with 1, one line, and no leftovers."""

    def refuse(name, folder):
        raise PermissionError(errno.EACCES, "Permission denied", name)

    monkeypatch.setattr(atomic_files, "create_file", refuse)  # no right to write
    code, out, err = call(capsys, "--count", 1, "--out", tmp_path / "a.png")
    assert (code, out) == (1, "")
    assert err == f"preview.py: {tmp_path / 'a.png'}: Permission denied\n"
    assert list(tmp_path.iterdir()) == []


def test_help_has_examples_that_work(capsys, tmp_path, monkeypatch):
    """Every example of a recipe in the help can be pasted."""
    monkeypatch.chdir(tmp_path)
    code, out, err = call(capsys, "--help")
    assert (code, err) == (0, "")
    examples = re.findall(r"^  preview\.py ?(.*)$", out, re.MULTILINE)
    assert len(examples) == 4
    for example in examples:
        if "shards/" not in example:
            assert call(capsys, *shlex.split(example))[0] == 0, example


def test_the_script_is_the_verb(tmp_path):
    """`scripts/preview.py` does what the verb does, from any folder."""
    script = [
        sys.executable,
        str(ROOT / "scripts" / "preview.py"),
        "--count",
        "3",
        "--width",
        "160",
    ]
    done = subprocess.run(script, cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("preview.png: 3 samples, ")
    images = generate(Recipe(width=160), range(3)).images
    assert shows(picture_in(tmp_path / "preview.png"), images)


def test_only_a_regular_png_file_is_written(capsys, tmp_path, monkeypatch):
    """What is no regular file is left alone, and so is a name that promises another format."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe.png")
    for name, complaint in (("pipe.png", "no regular file"), ("x.jpg", "ends in .png")):
        assert main("preview", ["--count", "1", "--out", name]) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert complaint in error
    assert stat.S_ISFIFO((tmp_path / "pipe.png").stat().st_mode)
    assert not (tmp_path / "x.jpg").exists()
