"""IDX files: the bundled ones, handmade ones, and every kind of bad one."""

from __future__ import annotations

import gzip
import struct
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from builder.common.errors import UsageError
from builder.recipe import digit_files

BUNDLED = Path(str(files("builder") / "data"))

CLASS_COUNTS = {
    "train": [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
    "test": [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
}
"""How often MNIST shows each class, as published."""

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
MNIST_NAMES = (TRAIN_IMAGES, TRAIN_LABELS, TEST_IMAGES, TEST_LABELS)

LOPSIDED = np.random.default_rng(1).integers(0, 256, (7, 28, 28), dtype=np.uint8)
"""Images of noise: none equals its transpose or another one."""

LABELS = np.array([3, 1, 4, 1, 5, 9, 0], dtype=np.uint8)


def idx_bytes(array: np.ndarray) -> bytes:
    """Return an IDX file of uint8 or int32 values, packed by hand."""
    code, letter = (0x08, "B") if array.dtype == np.uint8 else (0x0C, "i")
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return head + struct.pack(f">{array.size}{letter}", *array.ravel().tolist())


def write_folder(folder: Path, names=MNIST_NAMES, images=LOPSIDED, labels=LABELS) -> Path:
    """Write four IDX files, gzipped where the name says so; the test ones hold three items."""
    folder.mkdir(exist_ok=True)
    for name, array in zip(names, (images, labels, images[:3], labels[:3]), strict=True):
        data = idx_bytes(array)
        (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return folder


def refusal(path: Path) -> str:
    """Return the one line with which a folder is refused."""
    with pytest.raises(UsageError) as caught:
        digit_files.load_digits(path)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_bundled_digits_are_mnist():
    """The bundled files hold as many glyphs of each class as MNIST does."""
    digits = digit_files.load_digits(BUNDLED)
    assert list(digits) == ["train", "test"]
    for split, counts in CLASS_COUNTS.items():
        assert np.bincount(digits[split].labels).tolist() == counts
        assert digits[split].images.shape == (sum(counts), 28, 28)
        assert digits[split].images.dtype == digits[split].labels.dtype == np.uint8


def test_bundled_digits_begin_as_mnist_does():
    """The first labels and the ink of the first image are those of MNIST."""
    digits = digit_files.load_digits(BUNDLED)
    assert digits["train"].labels[:8].tolist() == [5, 0, 4, 1, 9, 2, 1, 3]
    assert digits["test"].labels[:8].tolist() == [7, 2, 1, 0, 4, 1, 4, 9]
    rows, columns = np.nonzero(digits["train"].images[0])
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (5, 24, 4, 23)


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize(
    ("data", "values"),
    [
        (b"\0\0\x08\x01" + b"\0\0\0\x03" + b"\x07\x02\xff", [7, 2, 255]),
        (b"\0\0\x08\x02" + b"\0\0\0\x02\0\0\0\x03" + bytes(range(6)), [[0, 1, 2], [3, 4, 5]]),
        (b"\0\0\x0c\x01" + b"\0\0\0\x02" + b"\0\0\x01\x02\xff\xff\xff\xff", [258, -1]),
        (b"\0\0\x08\x03" + b"\0\0\0\0" * 3, np.zeros((0, 0, 0)).tolist()),
    ],
    ids=["bytes", "rows-before-columns", "big-endian-int32", "nothing"],
)
def test_files_spelt_byte_by_byte_read_back(tmp_path, data, values, zipped):
    """A file written as the format's page says gives its numbers, plain and gzipped."""
    path = tmp_path / "some-idx"
    path.write_bytes(gzip.compress(data) if zipped else data)
    assert digit_files.read_idx(path).tolist() == values


@given(
    hnp.arrays(st.sampled_from([np.uint8, np.int32]), hnp.array_shapes(min_dims=1, max_dims=3)),
    st.booleans(),
)
@settings(deadline=None, max_examples=50)
def test_any_array_reads_back(tmp_path_factory, array, zipped):
    """What struct packs, the reader unpacks, with shape and sign kept."""
    path = tmp_path_factory.mktemp("idx") / "some-idx"
    path.write_bytes(gzip.compress(idx_bytes(array)) if zipped else idx_bytes(array))
    loaded = digit_files.read_idx(path)
    assert loaded.shape == array.shape
    assert np.array_equal(loaded, array)


@pytest.mark.parametrize(
    "names",
    [
        MNIST_NAMES,
        tuple(f"{name}.gz" for name in MNIST_NAMES),
        tuple(name.replace("-idx", ".idx") for name in MNIST_NAMES),
        tuple(name.replace("t10k", "test") for name in MNIST_NAMES),
        (TRAIN_IMAGES, f"{TRAIN_LABELS}.gz", f"{TEST_IMAGES}.gz", TEST_LABELS),
    ],
    ids=["plain", "gzip", "dotted", "test", "mixed"],
)
def test_folder_reads_back(tmp_path, names):
    """A folder of four files gives their arrays under the usual spellings of their names."""
    digits = digit_files.load_digits(write_folder(tmp_path, names))
    assert np.array_equal(digits["train"].images, LOPSIDED)
    assert np.array_equal(digits["train"].labels, LABELS)
    assert np.array_equal(digits["test"].images, LOPSIDED[:3])
    assert np.array_equal(digits["test"].labels, LABELS[:3])


def test_a_file_beside_its_gzip_is_one_file(tmp_path):
    """A folder in which files were unpacked beside their originals is read."""
    write_folder(tmp_path)
    write_folder(tmp_path, tuple(f"{name}.gz" for name in MNIST_NAMES))
    assert np.array_equal(digit_files.load_digits(tmp_path)["train"].images, LOPSIDED)


def test_files_of_other_kinds_are_passed_over(tmp_path):
    """A readme, a folder or a picture beside the four files does no harm."""
    write_folder(tmp_path)
    (tmp_path / "README-train-images.txt").write_text("about the train images")
    (tmp_path / "train-images-idx3-ubyte-old").mkdir()
    assert np.array_equal(digit_files.load_digits(tmp_path)["test"].labels, LABELS[:3])


def test_qmnist_labels_give_their_first_column(tmp_path):
    """Labels of eight big-endian columns, as QMNIST has them, give the class."""
    rows = np.arange(56, dtype=np.int32).reshape(7, 8) * 1000 - 9
    rows[:, 0] = LABELS
    names = [f"qmnist-{name.replace('t10k', 'test')}" for name in MNIST_NAMES]
    names = [name.replace("labels-idx1-ubyte", "labels-idx2-int") for name in names]
    write_folder(tmp_path, names, labels=rows)
    assert (tmp_path / names[1]).read_bytes()[:4] == b"\x00\x00\x0c\x02"
    digits = digit_files.load_digits(tmp_path)
    assert np.array_equal(digits["train"].labels, LABELS)
    assert np.array_equal(digits["test"].labels, LABELS[:3])
    assert digits["train"].labels.dtype == np.uint8
    assert np.array_equal(digits["train"].images, LOPSIDED)


def tenth_label(data: bytes) -> bytes:
    return data[:10] + b"\x0a" + data[11:]


IMAGES_OF_27 = idx_bytes(np.zeros((7, 27, 28), dtype=np.uint8))
IMAGES_OF_32 = idx_bytes(np.zeros((7, 32, 32), dtype=np.uint8))
NEGATIVE = idx_bytes(np.array([3, -1], dtype=np.int32))
NO_COLUMNS = idx_bytes(np.zeros((7, 0), dtype=np.int32))
FLOATS = b"\0\0\x0d\x03" + struct.pack(">3I784f", 1, 28, 28, *[0.5] * 784)
FAR = idx_bytes(np.full((7, 28, 28), 256, dtype=np.int32))
BINARY = idx_bytes(np.full((7, 28, 28), 1, dtype=np.uint8))
ONE_HOT = idx_bytes(np.eye(10, dtype=np.int32)[LABELS])
ENDLESS = b"\0\0\x08\x03" + b"\xff" * 12
SHORT = {name: idx_bytes(LABELS[:6] if "labels" in name else LOPSIDED[:6]) for name in MNIST_NAMES}
BAD_GZIP = b"\x1f\x8b\x08\0\0\0\0\0\0\3" + b"not deflated at all"

BAD_FILES = {
    "empty": (TRAIN_IMAGES, lambda data: b"", "begins with bytes ''; expected an IDX file"),
    "magic-cut": (TRAIN_LABELS, lambda data: data[:3], "begins with bytes '00 00 08'"),
    "header-cut": (TRAIN_IMAGES, lambda data: data[:11], "truncated: 11 bytes where"),
    "count-cut": (TEST_LABELS, lambda data: data[:6], "truncated: 6 bytes where"),
    "body-cut": (TEST_IMAGES, lambda data: data[:-1], "truncated: 2367 bytes where"),
    "body-gone": (TRAIN_LABELS, lambda data: data[:8], "truncated: 8 bytes where"),
    "too-long": (TRAIN_IMAGES, lambda data: data + b"\0", "too long: 5505 bytes or more where"),
    "endless": (TEST_IMAGES, lambda data: ENDLESS, "truncated: 16 bytes where"),
    "wrong-magic": (TRAIN_IMAGES, lambda data: b"\x89PNG" + data[4:], "bytes '89 50 4e 47'"),
    "free-magic": (TRAIN_LABELS, lambda data: b"\0\0\x0a\1" + data[4:], "bytes '00 00 0a 01'"),
    "rank-0": (TRAIN_LABELS, lambda data: b"\0\0\x08\0" + data[4:], "bytes '00 00 08 00'"),
    "rank-4": (TRAIN_IMAGES, lambda data: b"\0\0\x08\4" + data[4:], "bytes '00 00 08 04'"),
    "labels-for-images": (TEST_IMAGES, lambda data: idx_bytes(LABELS), "is it a label file?"),
    "images-for-labels": (TEST_LABELS, lambda data: idx_bytes(LOPSIDED), "is it an image file?"),
    "floats": (TRAIN_IMAGES, lambda data: FLOATS, "holds float32 values from 0.5 to 0.5, expected"),
    "float-labels": (
        TRAIN_LABELS,
        lambda data: b"\0\0\x0d\1" + struct.pack(">I3f", 3, 1, 2, 3),
        "array of float32, 3; expected labels that are whole numbers",
    ),
    "256": (TRAIN_IMAGES, lambda data: FAR, "holds int32 values from 256 to 256, expected whole"),
    "binary": (TRAIN_IMAGES, lambda data: BINARY, "holds 0 and 1 only, expected 0 to 255"),
    "one-hot": (TRAIN_LABELS, lambda data: ONE_HOT, "array of int32, 7 x 10; expected labels"),
    "32-rows": (TRAIN_IMAGES, lambda data: IMAGES_OF_32, "are 32 x 32, expected 28 x 28"),
    "27-rows": (TRAIN_IMAGES, lambda data: IMAGES_OF_27, "are 27 x 28, expected 28 x 28"),
    "label-10": (TRAIN_LABELS, tenth_label, "label 10 of item 2 is not a digit, expected 0 to 9"),
    "label-minus-1": (TRAIN_LABELS, lambda data: NEGATIVE, "label -1 of item 1 is not a digit"),
    "no-columns": (TRAIN_LABELS, lambda data: NO_COLUMNS, "expected labels"),
    "fewer-images": (TRAIN_IMAGES, lambda data: SHORT[TRAIN_IMAGES], "6 images, but "),
    "fewer-labels": (TRAIN_LABELS, lambda data: SHORT[TRAIN_LABELS], "7 images, but "),
}
"""What is done to which file of a good folder, and what the refusal says."""


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
@pytest.mark.parametrize(("name", "spoil", "reason"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_files_are_refused(tmp_path, name, spoil, reason, zipped):
    """A spoilt file is refused in one line with its name and the reason."""
    path = write_folder(tmp_path) / name
    data = spoil(path.read_bytes())
    if zipped:
        path.unlink()
        path = path.with_name(f"{name}.gz")
        data = gzip.compress(data)
    path.write_bytes(data)
    message = refusal(tmp_path)
    assert path.name in message
    assert reason in message


BAD_GZIPS = {
    "cut": lambda data: gzip.compress(data)[:-20],
    "trailer-cut": lambda data: gzip.compress(data)[:-4],
    "header-cut": lambda data: gzip.compress(data)[:5],
    "no-deflate": lambda data: BAD_GZIP,
    "checksum": lambda data: gzip.compress(data)[:-8] + b"\1\2\3\4" + gzip.compress(data)[-4:],
    "tail": lambda data: gzip.compress(data) + b"more",
}


@pytest.mark.parametrize("name", MNIST_NAMES)
@pytest.mark.parametrize("spoil", BAD_GZIPS.values(), ids=BAD_GZIPS)
def test_bad_gzips_are_refused(tmp_path, name, spoil):
    """A gzip file that does not unpack is refused in one line with its name."""
    path = write_folder(tmp_path) / name
    path.with_name(f"{name}.gz").write_bytes(spoil(path.read_bytes()))
    path.unlink()
    message = refusal(tmp_path)
    assert f"{name}.gz: cannot be read (" in message
    assert "fetch the file anew" in message


@pytest.mark.parametrize("name", MNIST_NAMES)
def test_missing_files_are_named(tmp_path, name):
    """A folder with one file missing is refused with the name that such a file has."""
    (write_folder(tmp_path) / name).unlink()
    message = refusal(tmp_path)
    assert name in message
    assert str(tmp_path) in message
    assert "found none" in message


@pytest.mark.parametrize("name", MNIST_NAMES)
def test_two_candidates_are_named(tmp_path, name):
    """A folder with two files of one kind is refused with the names of both."""
    other = name.replace("-idx", ".idx")
    (write_folder(tmp_path) / other).write_bytes((tmp_path / name).read_bytes())
    message = refusal(tmp_path)
    assert name in message.partition("found")[2]
    assert other in message.partition("found")[2]


BESIDE = [
    "._{}",
    ".{}.swp",
    "{}.md5",
    "{}.sha256",
    "{}.part",
    "{}.crdownload",
    "{}~",
    "{}.1",
    "{}.bak",
    "{} (1)",
    "{}(1)",
    "{} (1).gz",
    "{} - Copy",
    "{} copy",
    "{}-old",
    "Copy of {}",
    "copy of {}.gz",
    "{}.gz.md5",
    "{}.gz.asc",
    "{}.txt",
]
"""What browsers, file managers and downloads leave beside a file."""


@pytest.mark.parametrize("name", BESIDE)
def test_what_lies_beside_idx_files_is_passed_over(tmp_path, name):
    """Parts, checksums, copies and hidden files beside each of the four files do no harm."""
    write_folder(tmp_path)
    for each in MNIST_NAMES:
        (tmp_path / name.format(each)).write_bytes(b"something else")
    assert np.array_equal(digit_files.load_digits(tmp_path)["train"].images, LOPSIDED)


def test_a_copy_alone_is_named(tmp_path):
    """Where only such a file is there, the line says that it was passed over."""
    path = write_folder(tmp_path) / TRAIN_IMAGES
    path.rename(tmp_path / f"{TRAIN_IMAGES} (1)")
    assert f"found none (passed over: {TRAIN_IMAGES} (1))" in refusal(tmp_path)


def test_names_may_have_capitals(tmp_path):
    """Words in names count in any case."""
    names = [name.replace("train", "Train").replace("idx", "IDX") for name in MNIST_NAMES]
    digits = digit_files.load_digits(write_folder(tmp_path, names))
    assert np.array_equal(digits["train"].images, LOPSIDED)


DTYPE_CODES = {"i1": 0x09, ">i2": 0x0B, ">i4": 0x0C}


@pytest.mark.parametrize("kind", DTYPE_CODES)
def test_other_integers_are_taken_where_they_fit(tmp_path, kind):
    """Images and labels of another integer type whose values fit are the same digits."""
    images = LOPSIDED // 2  # up to 127
    write_folder(tmp_path, images=images)
    for name, array in ((TRAIN_IMAGES, images), (TRAIN_LABELS, LABELS)):
        head = struct.pack(f">4B{array.ndim}I", 0, 0, DTYPE_CODES[kind], array.ndim, *array.shape)
        (tmp_path / name).write_bytes(head + array.astype(kind).tobytes())
    digits = digit_files.load_digits(tmp_path)["train"]
    assert digits.images.dtype == digits.labels.dtype == np.uint8
    assert np.array_equal(digits.images, images)
    assert np.array_equal(digits.labels, LABELS)


def test_rows_and_columns_are_taken(tmp_path):
    """Images (K, 784) and labels (K, 1) are the images and labels that they can only be."""
    write_folder(tmp_path, images=LOPSIDED.reshape(7, 784), labels=LABELS.reshape(7, 1))
    digits = digit_files.load_digits(tmp_path)
    assert np.array_equal(digits["train"].images, LOPSIDED)
    assert np.array_equal(digits["test"].labels, LABELS[:3])


@pytest.mark.parametrize("background", [0, 255])
@pytest.mark.parametrize("flat", [False, True])
def test_small_images_are_centred(tmp_path, background, flat):
    """Images of 20 x 20, NIST's frame, are centred in 28 x 28, with more of their background."""
    small = np.full((7, 20, 20), background, dtype=np.uint8)
    small[:, 5:15, 5:15] = LOPSIDED[:, 5:15, 5:15]
    write_folder(tmp_path, images=small.reshape(7, 400) if flat else small)
    images = digit_files.load_digits(tmp_path)["train"].images
    assert np.array_equal(images[:, 4:24, 4:24], small)
    images = images.copy()
    images[:, 4:24, 4:24] = background
    assert (images == background).all()


NPZ_NAMES = {
    "keras": ("x_train", "y_train", "x_test", "y_test"),
    "medmnist": ("train_images", "train_labels", "test_images", "test_labels"),
    "mnist": ("train-images", "train-labels", "t10k-images", "t10k-labels"),
}


@pytest.mark.parametrize("names", NPZ_NAMES.values(), ids=NPZ_NAMES)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("alone", [False, True], ids=["in-a-folder", "alone"])
def test_npz_files_are_read(tmp_path, names, save, alone):
    """Four arrays give the digits that IDX files of them give, also with an axis of one channel."""
    values = (LOPSIDED[..., None], LABELS.astype(np.int64), LOPSIDED[:3, None], LABELS[:3, None])
    path = tmp_path / "digits.npz"
    save(path, val_images=LOPSIDED[:1], **dict(zip(names, values, strict=True)))
    (tmp_path / "notes.txt").write_text("beside it")
    digits = digit_files.load_digits(path if alone else tmp_path)
    expected = digit_files.load_digits(write_folder(tmp_path / "idx"))
    for split, file in expected.items():
        assert np.array_equal(digits[split].images, file.images)
        assert np.array_equal(digits[split].labels, file.labels)


def test_idx_files_come_before_an_npz_file(tmp_path):
    """A `.npz` file beside IDX files is passed over."""
    np.savez(write_folder(tmp_path) / "x.npz", x_train=LABELS)
    assert np.array_equal(digit_files.load_digits(tmp_path)["train"].images, LOPSIDED)


KERAS = dict(zip(NPZ_NAMES["keras"], (LOPSIDED, LABELS, LOPSIDED[:3], LABELS[:3]), strict=True))
BAD_NPZ = {
    "no-labels": (
        {k: v for k, v in KERAS.items() if k != "y_train"},
        "array of train labels, such",
    ),
    "two": ({**KERAS, "images_train": LOPSIDED}, "found x_train, images_train among"),
    "floats": ({**KERAS, "x_test": LOPSIDED[:3] / 255}, "x_test: holds float64 values from 0.0"),
    "texts": ({**KERAS, "x_test": np.array(["a"])}, "x_test: holds a 1-dimensional array of str"),
    "objects": ({**KERAS, "x_test": np.array([None])}, "cannot be read (Object arrays"),
    "fewer": ({**KERAS, "y_test": LABELS}, "x_test: 3 images, but digits.npz: y_test has 7 labels"),
    "one-hot": ({**KERAS, "y_test": np.eye(10)[LABELS[:3]]}, "y_test: holds a 2-dimensional array"),
    "negative": ({**KERAS, "x_test": LOPSIDED[:3].astype(int) - 1}, "values from -1 to 25"),
}


@pytest.mark.parametrize(("arrays", "reason"), BAD_NPZ.values(), ids=BAD_NPZ)
def test_bad_npz_files_are_refused(tmp_path, arrays, reason):
    """A file that lacks an array, or has a wrong one, is refused in one line that says so."""
    np.savez(tmp_path / "digits.npz", **arrays)
    assert reason in refusal(tmp_path)
    assert f"{tmp_path / 'digits.npz'}: " in refusal(tmp_path)


@pytest.mark.parametrize(
    "data", [b"", b"PK", b"PK\3\4" + b"\1" * 100, b"\x93NUMPY\1\0", b"\x80\4N."]
)
def test_files_that_are_no_npz_are_refused(tmp_path, data):
    """Nonsense in a `.npz` file is one line with its name."""
    (tmp_path / "digits.npz").write_bytes(data)
    assert f"{tmp_path / 'digits.npz'}: cannot be read (" in refusal(tmp_path)


def test_npz_files_have_a_limit(tmp_path, monkeypatch):
    """A file that unpacks to more than the limit is refused before it is unpacked."""
    monkeypatch.setattr(digit_files, "MAX_IDX_BYTES", 5000)
    np.savez_compressed(tmp_path / "digits.npz", **KERAS)
    assert "expected at most 5000" in refusal(tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    """A missing folder, or a file in its place, is refused with its path."""
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "nowhere", tmp_path / "file"):
        assert f"{path}: no such folder" in refusal(path)


def test_counts_that_disagree_name_both_files(tmp_path):
    """Six labels for seven images are refused with both names and both counts."""
    (write_folder(tmp_path) / TRAIN_LABELS).write_bytes(SHORT[TRAIN_LABELS])
    message = refusal(tmp_path)
    assert f"{TRAIN_IMAGES}: 7 images, but {TRAIN_LABELS} has 6 labels" in message
