"""Digit banks: splits, classes, padding and ink, of the bundled digits and of own ones."""

from __future__ import annotations

import gzip
import hashlib
import shutil
import struct
from importlib.resources import files
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest

from builder.common import cache
from builder.common.errors import BuilderError, UsageError
from builder.recipe import glyph_metrics
from builder.recipe.digits import MNIST, Source, Split, open_bank, register, register_expected

SPLITS = get_args(Split)
BUNDLED = Path(str(files("builder") / "data"))
PREFIX = {"train": "train", "test": "t10k"}
FILE_OF = {"train": "train", "fit": "train", "validation": "train", "test": "test"}

OWN_LABELS = {
    "train": [7, 0, 1, 7, 7, 0, 1, 7, 0, 0, 7, 1, 1, 0, 7, 7, 0, 1, 7, 0, 0, 1, 7],
    "test": [1, 0, 0, 1],
}
"""The classes of a small set of own digits: 0, 1 and 7, not in order; 23 and 4 of them."""


def raw(split: str, kind: str) -> np.ndarray:
    """Return what a bundled file holds, decoded here: images (K, 28, 28) or labels (K,)."""
    rank = 3 if kind == "images" else 1
    path = BUNDLED / f"{PREFIX[split]}-{kind}-idx{rank}-ubyte.gz"
    data = gzip.decompress(path.read_bytes())
    shape = struct.unpack_from(f">{rank}I", data, 4)
    return np.frombuffer(data, dtype=np.uint8, offset=4 + 4 * rank).reshape(shape)


def own_images(split: str) -> np.ndarray:
    """Return blots in all places: the second is one pixel in a corner."""
    rng = np.random.default_rng(len(split))
    images = np.zeros((len(OWN_LABELS[split]), 28, 28), dtype=np.uint8)
    images[1, 27, 27] = 1
    for image in (images[0], *images[2:]):
        (y, x), (height, width) = rng.integers(0, 20, 2), rng.integers(1, 9, 2)
        image[y : y + height, x : x + width] = rng.integers(1, 256, (height, width))
    return images


def write_own(folder: Path, labels=OWN_LABELS, change: int = 0) -> Path:
    """Write the own digits as four IDX files, with one pixel raised by `change`."""
    folder.mkdir(exist_ok=True)
    for split, prefix in PREFIX.items():
        images, classes = own_images(split), np.array(labels[split], dtype=np.uint8)
        images[2, 14, 14] += change
        for kind, array in (("images", images), ("labels", classes)):
            head = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            path = folder / f"{prefix}-{kind}-idx{array.ndim}-ubyte"
            path.write_bytes(head + array.tobytes())
    return folder


def register_own(folder: Path) -> Source:
    """Register own digits, of whose pixels nobody could say how they stand."""
    return register(folder, "upright", "white")


def slow_bounds(image: np.ndarray) -> list[int]:
    """Return x0, y0, x1, y1 of the pixels >= 1, half-open, found one pixel at a time."""
    inked = [(x, y) for y, row in enumerate(image.tolist()) for x, v in enumerate(row) if v >= 1]
    if not inked:
        return [0, 0, 0, 0]
    xs, ys = zip(*inked, strict=True)
    return [min(xs), min(ys), max(xs) + 1, max(ys) + 1]


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Source:
    """Return the source of the small own set, registered from its folder."""
    return register_own(write_own(tmp_path_factory.mktemp("digits") / "own"))


def clear_caches() -> None:
    cache.cache_folder.cache_clear()
    open_bank.cache_clear()


@pytest.fixture
def fresh_cache(tmp_path, monkeypatch):
    """Give the test an empty cache folder, which the next test does not see."""
    monkeypatch.setenv("DIGITSEQ_CACHE", str(tmp_path / "cache"))
    clear_caches()
    yield tmp_path / "cache"
    monkeypatch.undo()
    clear_caches()
    shutil.rmtree(tmp_path / "cache")


def test_mnist_is_known_by_its_content():
    """The digest in the code is the sha256 over shape and bytes of the bundled arrays."""
    digest = hashlib.sha256()
    for split in ("test", "train"):
        for array in (raw(split, "images"), raw(split, "labels")):
            digest.update(str(array.shape).encode())
            digest.update(array.tobytes())
    assert digest.hexdigest() == MNIST.digest


def test_mnist_ink_width_is_that_of_the_widest_glyph():
    """The ink width in the code is the widest run of inked columns among all 70,000 glyphs."""
    widest = 0
    for split in PREFIX:
        inked = (raw(split, "images") > 0).any(axis=1)
        widest = max(widest, *(np.ptp(np.flatnonzero(row)) + 1 for row in inked))
    assert widest == MNIST.ink_width


def test_registering_the_bundled_files_gives_mnist():
    """The bundled folder under another name is still MNIST."""
    assert register(BUNDLED) == MNIST
    with pytest.raises(UsageError, match="orientation is 'sideways'"):
        register(BUNDLED, "sideways")


@pytest.mark.parametrize("split", SPLITS)
def test_members_have_the_class_they_stand_under(split):
    """Class c owns the members from starts[c] to starts[c + 1], each labelled c, in file order."""
    labels, digits = raw(FILE_OF[split], "labels"), open_bank(MNIST, split)
    assert digits.starts[0] == 0
    assert digits.starts[-1] == len(digits.members)
    for c in range(10):
        rows = digits.members[digits.starts[c] : digits.starts[c + 1]]
        assert set(labels[rows].tolist()) == {c}
        assert (np.diff(rows) > 0).all()
        assert digits.class_sizes[c] == len(rows)
    assert (digits.source, digits.split) == (MNIST, split)


@pytest.mark.parametrize(
    ("split", "rows"),
    [
        ("train", range(60_000)),
        ("test", range(10_000)),
        ("fit", range(54_000)),
        ("validation", range(54_000, 60_000)),
    ],
)
def test_splits_of_mnist_hold_their_rows(split, rows):
    """Validation is the last tenth of the train file in file order, and fit is the rest."""
    assert sorted(open_bank(MNIST, split).members.tolist()) == list(rows)


def test_fit_and_validation_share_train_between_them(own):
    """A set of 23 gives its last 2 to validation: the two are disjoint and together train."""
    members = {split: open_bank(own, split).members.tolist() for split in SPLITS}
    assert sorted(members["validation"]) == [21, 22]
    assert sorted(members["fit"] + members["validation"]) == sorted(members["train"])
    assert sorted(members["train"]) == list(range(23))
    assert sorted(members["test"]) == list(range(4))


@pytest.mark.parametrize("split", SPLITS)
def test_padded_glyphs_are_the_images(split):
    """A glyph is its image in a frame of two background pixels."""
    images, digits = raw(FILE_OF[split], "images"), open_bank(MNIST, split)
    assert digits.glyphs.dtype == np.uint8
    padded = digits.glyphs.reshape(-1, 32, 32)
    assert np.array_equal(padded[:, 2:30, 2:30], images)
    assert padded.sum(dtype=np.int64) == images.sum(dtype=np.int64)


@pytest.mark.parametrize("split", ["train", "test"])
def test_ink_bounds_of_mnist_equal_slow_ones(split):
    """The bounds of every hundredth glyph are those found one pixel at a time."""
    images, ink = raw(split, "images")[::100], open_bank(MNIST, split).ink
    assert ink.dtype == np.int16
    assert ink[::100].tolist() == [slow_bounds(image) for image in images]


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.5, 1.0])
def test_ink_bounds_of_noise_equal_slow_ones(share):
    """Bounds of blank, sparse and full images of any shape are those found pixel by pixel."""
    rng = np.random.default_rng(4)
    images = (rng.random((100, 9, 13)) < share) * rng.integers(0, 256, (100, 9, 13))
    images = images.astype(np.uint8)
    images[0, 8, 12] = images[1, 0, 0] = 1
    assert glyph_metrics.measure_ink(images).tolist() == [slow_bounds(image) for image in images]


def test_no_images_have_no_bounds():
    """An empty file of images gives an empty array of bounds."""
    assert glyph_metrics.measure_ink(np.zeros((0, 28, 28), dtype=np.uint8)).shape == (0, 4)


@pytest.mark.parametrize("split", SPLITS)
def test_own_digits_open_by_their_digest(own, split):
    """Own digits come back from digest and ink width alone, as they were in their folder."""
    digits = open_bank(Source(digest=str(own.digest), ink_width=int(own.ink_width)), split)
    images, labels = own_images(FILE_OF[split]), np.array(OWN_LABELS[FILE_OF[split]])
    assert np.array_equal(digits.glyphs.reshape(-1, 32, 32)[:, 2:30, 2:30], images)
    assert digits.ink.tolist() == [slow_bounds(image) for image in images]
    classes = np.repeat(np.arange(10), digits.class_sizes)
    assert np.array_equal(labels[digits.members], classes)
    assert set(classes.tolist()) <= {0, 1, 7}


def test_own_ink_width_is_that_of_the_widest_glyph(own):
    """The ink width of own digits looks at both files."""
    bounds = [slow_bounds(image) for split in PREFIX for image in own_images(split)]
    assert own.ink_width == max(x1 - x0 for x0, _, x1, _ in bounds)


def test_the_ink_width_is_found_in_either_file(tmp_path):
    """One wide glyph decides the ink width, whether it stands in train or in test."""
    for split, prefix in PREFIX.items():
        path = write_own(tmp_path / split) / f"{prefix}-images-idx3-ubyte"
        path.write_bytes(path.read_bytes()[: -28 * 28] + b"\x05" * (28 * 28 - 1) + b"\x06")
        assert register_own(tmp_path / split).ink_width == 28


def test_the_source_is_known_by_content_not_by_place(own, tmp_path):
    """Another folder, or gzipped files, give the same source; a pixel or a label more does not."""
    assert register_own(write_own(tmp_path / "elsewhere")) == own
    for path in write_own(tmp_path / "zipped").iterdir():
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert register_own(str(tmp_path / "zipped")) == own
    assert register_own(write_own(tmp_path / "pixel", change=1)).digest != own.digest
    swapped = {**OWN_LABELS, "test": [0, 1, 0, 1]}
    assert register_own(write_own(tmp_path / "label", labels=swapped)).digest != own.digest


def test_bad_folders_are_refused(tmp_path):
    """Registering a folder without digits is the user's error, with the folder named."""
    with pytest.raises(UsageError, match=str(tmp_path / "empty")):
        register(tmp_path / "empty")


@pytest.mark.parametrize("classes", [[], [0], [7, 1], (0, 1, 7), {1}])
def test_classes_that_are_there_are_granted(own, classes):
    """A split that has all the classes asked for says nothing."""
    open_bank(own, "train").require(classes)


@pytest.mark.parametrize(
    ("split", "classes", "missing"), [("train", [9, 3, 0], 3), ("test", "70", 7)]
)
def test_a_class_that_is_missing_is_named(own, split, classes, missing):
    """The first class that a split lacks is named, with the split and the classes it has."""
    with pytest.raises(UsageError) as caught:
        open_bank(own, split).require([int(c) for c in classes])
    message = str(caught.value)
    assert f"need digit {missing}, but split '{split}'" in message
    assert own.digest[:12] in message
    assert str([0, 1, 7] if split == "train" else [0, 1]) in message


@pytest.mark.parametrize("split", SPLITS)
def test_mnist_has_every_class_in_every_split(split):
    """Random digits can be drawn from every split of the bundled digits."""
    open_bank(MNIST, split).require(range(10))


def test_a_set_without_test_digits_still_opens(tmp_path):
    """An empty test file leaves the train digits usable and the test split without a class."""
    folder = write_own(tmp_path / "own")
    (folder / "t10k-images-idx3-ubyte").write_bytes(struct.pack(">4B3I", 0, 0, 8, 3, 0, 28, 28))
    (folder / "t10k-labels-idx1-ubyte").write_bytes(struct.pack(">4BI", 0, 0, 8, 1, 0))
    source = register_own(folder)
    assert sorted(open_bank(source, "train").members.tolist()) == list(range(23))
    with pytest.raises(UsageError, match="no glyph of it; it has glyphs of no digit"):
        open_bank(source, "test").require([0])


def test_unknown_digits_are_refused():
    """A source that nobody registered here says what to name, and is no wrong call."""
    with pytest.raises(BuilderError, match="not known on this machine") as caught:
        open_bank(Source(digest="0123456789ab" + "0" * 52, ink_width=20), "train")
    assert "0123456789ab" in str(caught.value)
    assert "--dataset-dir" in str(caught.value)
    assert not isinstance(caught.value, UsageError)


@pytest.mark.parametrize("wrong", [-1, 1])
def test_an_edited_ink_width_is_refused(own, wrong):
    """A source that claims another ink width than its glyphs have is refused with both."""
    claimed = own.ink_width + wrong
    with pytest.raises(BuilderError, match=f"{claimed} px, but its glyphs have {own.ink_width}"):
        open_bank(own.model_copy(update={"ink_width": claimed}), "train")


def test_sources_say_who_holds_the_rights(own):
    """MNIST names its holders and licence, and own digits leave that to their user."""
    assert "Yann LeCun and Corinna Cortes, CC BY-SA 3.0" in MNIST.licence
    assert "user" in own.licence
    assert str(MNIST) == "MNIST (bundled)"
    assert own.digest[:12] in str(own)


def test_banks_cannot_be_written(own):
    """What workers share is read-only."""
    for source in (own, MNIST):
        for array in (open_bank(source, "train").glyphs, open_bank(source, "train").ink):
            with pytest.raises(ValueError, match="read-only"):
                array[0] = 1


def cut(path: Path, size: int) -> None:
    """Put the first `size` bytes of a file in its place, as a new file."""
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data[:size])


@pytest.mark.parametrize("size", [0, 1, 60, 128, 500])
def test_a_truncated_cache_file_is_rebuilt(fresh_cache, tmp_path, size):
    """Registering again repairs a cache file that was cut short, to nothing too."""
    source = register_own(write_own(tmp_path / "own"))
    (path,) = fresh_cache.glob("*/train-glyphs.npy")
    whole = path.read_bytes()
    cut(path, size)
    assert register_own(tmp_path / "own") == source
    assert path.read_bytes() == whole
    assert len(open_bank(source, "train").members) == 23


def test_damaged_labels_of_mnist_are_made_again(fresh_cache, caplog):
    """Labels rolled by one in the cache reach no sample, and the log names the entry."""
    open_bank(MNIST, "test")
    (path,) = fresh_cache.glob("*/test-labels.npy")
    np.save(path, np.roll(np.load(path), 1))
    open_bank.cache_clear()
    digits = open_bank(MNIST, "test")
    classes = np.repeat(np.arange(10), digits.class_sizes)
    assert np.array_equal(raw("test", "labels")[digits.members], classes)
    assert f"{path.parent}: is damaged (test-labels.npy" in caplog.text


def test_a_truncated_cache_file_of_own_digits_counts_as_not_there(fresh_cache, tmp_path):
    """Own digits whose cache is damaged ask for their folder again."""
    source = register_own(write_own(tmp_path / "own"))
    (path,) = fresh_cache.glob("*/test-ink.npy")
    cut(path, 130)
    with pytest.raises(BuilderError, match="--dataset-dir"):
        open_bank(source, "test")


def mnist_like(change=lambda images: images, size=200) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return glyphs of MNIST's test file, of all classes, after a change of the images."""
    images, labels = raw("test", "images"), raw("test", "labels")
    cuts = {"train": slice(0, size), "test": slice(size, size + size // 2)}
    return {split: (change(images[cut]), labels[cut]) for split, cut in cuts.items()}


def write_digits(folder: Path, sets: dict[str, tuple[np.ndarray, np.ndarray]]) -> Path:
    """Write images and labels as a `.npz` file in a folder, as no set that is known is named."""
    folder.mkdir()
    arrays = {}
    for split, (images, labels) in sets.items():
        arrays |= {f"x_{split}": images, f"y_{split}": labels}
    np.savez(folder / "some.npz", **arrays)
    return folder


def transpose(images: np.ndarray) -> np.ndarray:
    return images.transpose(0, 2, 1)


def invert(images: np.ndarray) -> np.ndarray:
    return 255 - images


LYING = {
    "upright": lambda images: images,
    "transposed": transpose,
    "black": invert,
    "transposed-black": lambda images: invert(transpose(images)),
}
"""How digits may lie in their files."""


@pytest.fixture(scope="module")
def upright(tmp_path_factory) -> Source:
    """Return the source of some glyphs of MNIST, as they are."""
    folder = write_digits(tmp_path_factory.mktemp("upright") / "set", mnist_like())
    return register(folder, "upright", "white")


@pytest.mark.parametrize("change", LYING.values(), ids=LYING)
def test_pixels_tell_how_digits_lie(tmp_path, upright, change):
    """Transposed, or black on white, digits give the same source as they do upright and white."""
    assert register(write_digits(tmp_path / "set", mnist_like(change))) == upright


@pytest.mark.parametrize("name", LYING)
def test_a_user_can_say_how_digits_lie(tmp_path, upright, name):
    """What the user says counts, also where the pixels say otherwise."""
    folder = write_digits(tmp_path / "set", mnist_like(LYING[name]))
    ways = ("transposed" if "transposed" in name else "upright", "white", "black")
    polarity = ways[1 + ("black" in name)]
    assert register(folder, ways[0], polarity) == upright
    assert register(folder, polarity=polarity) == upright
    assert register(folder, ways[0]) == upright
    other = {"upright": "transposed", "transposed": "upright"}[ways[0]]
    assert register(folder, other, polarity).digest != upright.digest


@pytest.mark.parametrize("name", LYING)
def test_digits_of_a_recipe_are_found_however_they_lie(tmp_path, upright, name):
    """Beside a recipe nobody need say how digits lie; other digits are refused."""
    folder = write_digits(tmp_path / "set", mnist_like(LYING[name]))
    register_expected(folder, upright)
    with pytest.raises(UsageError, match="but the recipe is of MNIST"):
        register_expected(folder, MNIST)


@pytest.mark.parametrize("classes", [(0, 1), (0, 8), (4, 9), (3,)])
def test_some_classes_are_enough(tmp_path, classes):
    """Sets of some classes only are turned, too."""

    def of_classes(change):
        kept = {
            split: (change(images[np.isin(labels, classes)]), labels[np.isin(labels, classes)])
            for split, (images, labels) in mnist_like(size=2000).items()
        }
        return write_digits(tmp_path / change.__name__, kept)

    assert register(of_classes(transpose)) == register(of_classes(np.copy))


UNCLEAR = {
    "noise": (lambda i: np.random.default_rng(0).integers(0, 256, i.shape), "polarity", "unsure"),
    "mirrored": (lambda images: images[:, :, ::-1], "orientation", "unsure"),
    "upside-down": (lambda images: images[:, ::-1], "orientation", "unsure"),
    "rotated": (lambda images: np.rot90(images, 1, (1, 2)), "orientation", "unsure"),
    "rotated-twice": (lambda images: images[:, ::-1, ::-1], "orientation", "unsure"),
}


@pytest.mark.parametrize(("change", "name", "answer"), UNCLEAR.values(), ids=UNCLEAR)
def test_what_pixels_do_not_tell_is_asked(tmp_path, change, name, answer):
    """Where the pixels are not sure, the line names the option, and the answer is taken."""
    folder = write_digits(tmp_path / "set", mnist_like(change))
    with pytest.raises(UsageError, match=f"{folder}: the {name} .*{answer}.*--digits-{name}"):
        register(folder)
    register(folder, "upright", "white")


def test_few_digits_and_files_that_differ_are_asked(tmp_path):
    """A handful of glyphs says nothing, and files that say different things are refused."""
    few = write_digits(tmp_path / "few", mnist_like(size=18))
    with pytest.raises(UsageError, match="train: unsure, test: unsure"):
        register(few)
    train, test = mnist_like()["train"], mnist_like(transpose)["test"]
    mixed = write_digits(tmp_path / "mixed", {"train": train, "test": test})
    with pytest.raises(UsageError, match=r"orientation .*\(train: upright, test: transposed\)"):
        register(mixed)


def test_printed_digits_are_told(tmp_path):
    """Digits of a font, which look unlike MNIST's, are turned as they should be."""
    images, labels = [], np.repeat(np.arange(10), 7).astype(np.uint8)
    for row, digit in enumerate(labels):
        image = np.zeros((28, 28), dtype=np.uint8)
        place = (6 + row % 3, 22 + row % 2)
        cv2.putText(image, str(digit), place, row % 7, 0.7, 255, 1 + row % 2)
        images.append(image)
    plain = (np.stack(images), labels)
    turned = (invert(transpose(plain[0])), labels)
    told = register(write_digits(tmp_path / "turned", {"train": turned, "test": turned}))
    asked = write_digits(tmp_path / "plain", {"train": plain, "test": plain})
    assert told == register(asked, "upright", "white")


def test_digits_that_equal_their_transpose_need_no_answer(tmp_path):
    """Squares are upright and transposed at once."""
    image = np.zeros((28, 28), dtype=np.uint8)
    image[6:22, 6:22] = 200
    squares = (np.tile(image, (30, 1, 1)), np.arange(30) % 10)
    folder = write_digits(tmp_path / "set", {"train": squares, "test": squares})
    assert register(folder, polarity="white") == register(folder, "transposed", "white")


@pytest.mark.parametrize("grey", [0, 255, 7])
def test_blank_glyphs_are_refused_with_their_rows(tmp_path, grey):
    """Images of one grey value are named by their rows; the user removes them."""
    sets = mnist_like(np.copy)
    sets["test"][0][[3, 14]] = grey
    folder = write_digits(tmp_path / "set", sets)
    for arguments in ((), ("upright", "white")):
        with pytest.raises(UsageError, match=f"{folder}: 2 of the test images .* rows 3, 14 "):
            register(folder, *arguments)
    sets["test"][0][:] = grey
    with pytest.raises(UsageError, match=r"100 of the test images .* 8, 9, \.\.\. "):
        register(write_digits(tmp_path / "all", sets))


@pytest.mark.parametrize(
    "wrong", [{"orientation": "sideways"}, {"polarity": "grey"}, {"orientation": None}]
)
def test_other_answers_are_refused(tmp_path, wrong):
    """A value that is none of the answers is refused with them."""
    folder = write_digits(tmp_path / "set", mnist_like())
    with pytest.raises(UsageError, match=r"(orientation|polarity) is .*, expected auto, "):
        register(folder, **wrong)


def slow_diagonals(image):
    """Return the least and largest x + y and x - y of the corners of the pixels >= 1."""
    rows, columns = np.nonzero(image)
    if not len(rows):
        return [0, 0, 0, 0]
    pixels = list(zip(columns.tolist(), rows.tolist(), strict=True))
    corners = [(x + i, y + j) for x, y in pixels for i in (0, 1) for j in (0, 1)]
    sums, differences = [x + y for x, y in corners], [x - y for x, y in corners]
    return [min(sums), min(differences), max(sums), max(differences)]


@pytest.mark.parametrize("share", [0.0, 0.002, 0.02, 0.5, 1.0])
def test_diagonal_bounds_of_noise_equal_slow_ones(share):
    """Bounds along the diagonals are those of every corner of every pixel."""
    rng = np.random.default_rng(5)
    images = ((rng.random((60, 28, 28)) < share) * 200).astype(np.uint8)
    images[0, 27, 27] = images[1, 0, 0] = images[2, 27, 0] = images[3, 0, 27] = 1
    assert glyph_metrics.measure_diagonals(images).tolist() == [
        slow_diagonals(image) for image in images
    ]
