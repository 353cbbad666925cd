"""Label sources and labels files: zeros kept, ranges with both ends, every bad line named."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from builder import Recipe
from builder.common import cache, rng
from builder.common.errors import BuilderError, UsageError
from builder.common.rng import Stream
from builder.recipe import labels, labels_file
from builder.recipe.labels import FileLines, FixedDigits, NumberRange, RandomDigits

UNLIKELY = 1e-4
"""Every seed here is fixed, so a chi-square test of a sound draw passes always or never."""

LAST_INDEX = (1 << 63) - 1


def drawn(source: labels.LabelSource, index, master: int = 3) -> labels.Labels:
    """Return the labels of a source at some indices, and check what holds for every source."""
    index = np.asarray(index, dtype=np.int64)
    block = source.draw(master, index, rng.sample_seeds(master, index))
    shown = np.arange(source.longest) < block.lengths[:, None]
    assert block.digits.dtype == np.int8
    assert block.digits.shape == (len(index), source.longest)
    assert (block.digits[~shown] == -1).all()
    assert ((block.digits[shown] >= 0) & (block.digits[shown] <= 9)).all()
    if len(index):
        assert block.lengths.min() >= 1
        assert block.lengths.max() <= source.longest
    return block


def texts_of(source: labels.LabelSource, index, master: int = 3) -> list[str]:
    return labels.format_labels(*drawn(source, index, master))


def numbers(text: str) -> NumberRange:
    """Return the source of a range as a recipe reads it."""
    source = Recipe(numbers=text, width=8192).label_source
    assert isinstance(source, NumberRange)
    return source


def is_uniform(values, choices: int) -> bool:
    """Tell whether integers are uniform over [0, choices), both ends reached."""
    counts = np.bincount(values, minlength=choices)
    assert len(counts) == choices
    assert counts.min() > 0
    return choices == 1 or stats.chisquare(counts).pvalue > UNLIKELY


@pytest.fixture(scope="session")
def seven_lines(tmp_path_factory) -> labels_file.LabelsFile:
    """Return a file of seven different labels, registered."""
    path = tmp_path_factory.mktemp("labels") / "seven.txt"
    path.write_text("02139\n7\n00\n123456789\n7777\n31\n000\n")
    return labels_file.register_labels(path)


SEVEN = ["02139", "7", "00", "123456789", "7777", "31", "000"]

SOURCES = {
    "fixed": lambda file: FixedDigits((0, 2, 1, 3, 9)),
    "random": lambda file: RandomDigits(1, 5, (0, 4, 8)),
    "numbers": lambda file: NumberRange(95, 12345, 1),
    "padded": lambda file: NumberRange(0, 999, 3),
    "lines": lambda file: FileLines(file, shuffled=False),
    "shuffled": lambda file: FileLines(file, shuffled=True),
}


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
def test_a_label_is_drawn_alone_as_in_a_block(seven_lines, make):
    """The label of an index does not depend on what stands beside it, nor on the order."""
    source = make(seven_lines)
    index = [0, 1, 5, 100, 101, 12_345_678_901, LAST_INDEX]
    alone = [texts_of(source, [i])[0] for i in index]
    assert texts_of(source, index) == alone
    assert texts_of(source, index[::-1]) == alone[::-1]
    assert texts_of(source, []) == []


@pytest.mark.parametrize("make", SOURCES.values(), ids=SOURCES)
def test_classes_are_the_digits_that_labels_show(seven_lines, make):
    """A source names the digits of its labels, no more and no fewer."""
    source = make(seven_lines)
    shown = set("".join(texts_of(source, range(2000))))
    assert {str(c) for c in source.classes()} == shown


@pytest.mark.parametrize("master", [0, (1 << 64) - 1])
def test_fixed_digits_are_in_every_sample(master):
    """Fixed digits keep their zero in front and do not depend on the seed."""
    source = Recipe(digits="02139").label_source
    assert isinstance(source, FixedDigits)
    assert texts_of(source, [0, 1, LAST_INDEX], master) == ["02139"] * 3
    assert (source.longest, set(source.classes())) == (5, {0, 2, 1, 3, 9})


@pytest.mark.parametrize(("low", "high"), [(1, 5), (1, 1), (3, 4), (2, 9)])
def test_random_lengths_are_uniform(low, high):
    """Every length from LO to HI comes equally often, both included."""
    source = Recipe(length=(low, high)).label_source
    lengths = drawn(source, range(3000)).lengths
    assert (source.shortest, source.longest) == (low, high)
    assert is_uniform(lengths - low, high - low + 1)


@pytest.mark.parametrize("classes", ["0123456789", "17", "9", "048"])
def test_random_digits_are_uniform_over_their_classes(classes):
    """At every place each class comes equally often, and no other digit ever."""
    source = Recipe(length=4, classes=classes).label_source
    digits = drawn(source, range(5000)).digits
    place_of = {int(c): k for k, c in enumerate(classes)}
    for place in range(4):
        picks = [place_of[digit] for digit in digits[:, place].tolist()]
        assert is_uniform(picks, len(classes))


def test_random_labels_come_from_their_streams():
    """Lengths and digits are the words of their streams on their ranges, in exact integers."""
    block = drawn(RandomDigits(2, 5, (3, 5, 8)), range(50))
    seeds = rng.sample_seeds(3, np.arange(50))
    lengths = [2 + ((w >> 32) * 4 >> 32) for w in rng.draw_words(seeds, Stream.LENGTH).tolist()]
    rows = rng.draw_digit_words(seeds, 5, Stream.DIGIT).tolist()
    picks = ["".join(str((3, 5, 8)[(w >> 32) * 3 >> 32]) for w in row) for row in rows]
    expected = [row[:length] for row, length in zip(picks, lengths, strict=True)]
    assert labels.format_labels(*block) == expected


def test_random_digits_and_lengths_are_independent():
    """The digits at two places, and digit and length, fill their tables evenly."""
    block = drawn(RandomDigits(2, 5, tuple(range(10))), range(40_000))
    first, second = block.digits[:, 0].astype(np.int64), block.digits[:, 1]
    assert is_uniform(first * 10 + second, 100)
    assert is_uniform(first * 4 + block.lengths - 2, 40)


def test_another_length_range_keeps_the_digits():
    """The digits that two ranges of length both show are the same."""
    short = drawn(RandomDigits(1, 3, tuple(range(10))), range(500))
    long = drawn(RandomDigits(5, 9, tuple(range(10))), range(500))
    both = short.digits >= 0
    assert np.array_equal(short.digits[both], long.digits[:, :3][both])


def test_the_master_seed_decides_random_labels():
    """Two master seeds give two sequences of labels."""
    source = RandomDigits(1, 5, tuple(range(10)))
    assert texts_of(source, range(50), 1) != texts_of(source, range(50), 2)


RANGES = {
    "0:9": [str(n) for n in range(10)],
    "0:12": [str(n) for n in range(13)],
    "00:12": [f"{n:02}" for n in range(13)],
    "5:8": ["5", "6", "7", "8"],
    "7:7": ["7"],
    "0:0": ["0"],
    "000:000": ["000"],
    "007:010": ["007", "008", "009", "010"],
    "05:9": ["05", "06", "07", "08", "09"],
    "0098:102": ["0098", "0099", "0100", "0101", "0102"],
    "95:105": [str(n) for n in range(95, 106)],
    "998:1002": ["998", "999", "1000", "1001", "1002"],
    "000:999": [f"{n:03}" for n in range(1000)],
    "0:999": [str(n) for n in range(1000)],
    "5:0012": [str(n) for n in range(5, 13)],
    "99999999999999999:100000000000000001": [str(10**17 + n) for n in (-1, 0, 1)],
    "999999999999999998:999999999999999999": ["9" * 17 + "8", "9" * 18],
    "000000000000000000:000000000000000001": ["0" * 18, "0" * 17 + "1"],
}
"""Ranges as users write them, and all the labels that each can give."""


@pytest.mark.parametrize(("text", "possible"), RANGES.items(), ids=RANGES)
def test_numbers_are_uniform_with_both_ends(text, possible):
    """Every number of the range comes equally often, padded only where LO has a zero in front."""
    texts = texts_of(numbers(text), range(40 * len(possible)))
    place_of = {label: k for k, label in enumerate(possible)}
    assert set(texts) == set(possible)
    assert is_uniform([place_of[label] for label in texts], len(possible))


@pytest.mark.parametrize(("text", "possible"), RANGES.items(), ids=RANGES)
def test_ranges_know_their_lengths_and_classes(text, possible):
    """The longest label and the classes are those of the labels that the range can give."""
    source = numbers(text)
    assert source.longest == max(map(len, possible))
    assert set(source.classes()) == {int(digit) for digit in "".join(possible)}


BOUND = st.integers(0, 18).flatmap(lambda digits: st.integers(0, 10**digits - 1))


@given(BOUND, BOUND, st.booleans(), st.lists(st.integers(0, LAST_INDEX), min_size=1, max_size=5))
@settings(deadline=None, max_examples=100)
def test_any_range_up_to_18_digits_is_exact(one, other, padded, index):
    """A number is LO + word * (HI - LO + 1) / 2**64 in exact arithmetic, digit by digit."""
    low, high = sorted((one, other))
    start = f"0{low}" if padded and low < 10**17 else str(low)
    width = max(len(start), len(str(high))) if start != str(low) else 1
    seeds = rng.sample_seeds(3, np.array(index, dtype=np.int64))
    words = rng.draw_words(seeds, Stream.NUMBER).tolist()
    expected = [low + word * (high - low + 1) // 2**64 for word in words]
    texts = texts_of(numbers(f"{start}:{high}"), index)
    assert texts == [str(number).zfill(width) for number in expected]


def test_the_widest_range_is_uniform():
    """The leading and the last digits of 18-digit numbers are uniform."""
    digits = drawn(numbers("0" * 18 + ":" + "9" * 18), range(20_000)).digits.astype(np.int64)
    for place in (0, 1, 8, 9, 16, 17):
        assert is_uniform(digits[:, place], 10)


def test_texts_keep_zeros():
    """Labels of any length show as strings with their zeros, without their padding."""
    block = np.array([[0, 2, 1, 3, 9], [0, -1, -1, -1, -1], [0, 0, 0, -1, -1]], dtype=np.int8)
    assert labels.format_labels(block, np.array([5, 1, 3], dtype=np.uint8)) == ["02139", "0", "000"]


GOOD_FILES = {
    "newlines": b"12\n007\n5\n0\n",
    "no-final-newline": b"12\n007\n5\n0",
    "crlf": b"12\r\n007\r\n5\r\n0\r\n",
    "crlf-unfinished": b"12\r\n007\r\n5\r\n0",
    "mixed": b"12\r\n007\n5\r\n0\n",
    "two-crs": b"12\r\r\n007\n5\n0\r",
    "spaces": b" 12\n007  \n   5   \n0 ",
    "spaces-and-crs": b"  12  \r\n 007 \r \r\n5 \r\n 0\r\n",
    "spaces-after-the-last": b"12\n007\n5\n0\n   ",
    "byte-order-mark": b"\xef\xbb\xbf12\n007\n5\n0\n",
    "mark-and-crlf": b"\xef\xbb\xbf12\r\n007\r\n5\r\n0\r\n",
    "tabs": b"12\t\n\t007\n5 \t \n\t0\t",
    "blank-lines-after-the-last": b"12\n007\n5\n0\n\n\n",
    "blank-crlf-after-the-last": b"12\r\n007\r\n5\r\n0\r\n\r\n \t\r\n",
    "gzip-mark": gzip.compress(b"\xef\xbb\xbf12\n007\n5\n0\n\n"),
    "gzip": gzip.compress(b"12\n007\n5\n0\n"),
    "gzip-crlf": gzip.compress(b" 12\r\n007\r\n5\r\n0", 1, mtime=9),
}
"""Ways to write the lines 12, 007, 5 and 0."""


@pytest.mark.parametrize("data", GOOD_FILES.values(), ids=GOOD_FILES)
def test_one_file_written_many_ways_is_one_file(tmp_path, data):
    """Line ends, spaces and compression change neither the identity nor the labels."""
    (tmp_path / "labels").write_bytes(data)
    file = labels_file.register_labels(tmp_path / "labels")
    assert file.sha256 == hashlib.sha256(b"12\n007\n5\n0\n").hexdigest()
    assert (file.lines, file.longest) == (4, 3)
    assert texts_of(FileLines(file, shuffled=False), range(4)) == ["12", "007", "5", "0"]


LABEL = st.text("0123456789", min_size=1, max_size=255)
PADDING = st.tuples(st.text(" ", max_size=3), st.text(" \r", max_size=3))


@given(st.lists(st.tuples(LABEL, PADDING), min_size=1, max_size=20), st.booleans(), st.booleans())
@settings(deadline=None, max_examples=50)
def test_any_labels_come_back(tmp_path_factory, lines, finished, zipped):
    """Whatever labels are written, with spaces or CRs around them, are the labels that are read."""
    text = "\n".join(before + label + after for label, (before, after) in lines)
    data = (text + "\n" * finished).encode()
    path = tmp_path_factory.mktemp("labels") / "labels.txt"
    path.write_bytes(gzip.compress(data) if zipped else data)
    expected = [label for label, _ in lines]
    file = labels_file.register_labels(str(path))
    source = FileLines(file, shuffled=False)
    assert (file.lines, file.longest) == (len(expected), max(map(len, expected)))
    assert texts_of(source, range(len(expected))) == expected
    assert set(source.classes()) == {int(digit) for digit in "".join(expected)}


def test_any_change_of_a_line_changes_the_identity(tmp_path):
    """A digit, an order or a zero more makes another file."""
    path, digests = tmp_path / "labels.txt", set()
    for text in ("12\n34\n", "34\n12\n", "12\n35\n", "12\n034\n", "1\n234\n", "12\n34\n34\n"):
        path.write_text(text)
        digests.add(labels_file.register_labels(path).sha256)
    assert len(digests) == 6


SIX = b"1\n22\n333\n4444\n55\n6\n"

BAD_LABELS = {
    "letter": (SIX + b"7x7\n8\n", "line 7 is '7x7', expected digits 0 to 9 only"),
    "letter-first": (b"x\n1\n", "line 1 is 'x'"),
    "letter-last": (SIX + b"7\n8\n9a", "line 9 is '9a'"),
    "letter-crlf": (SIX.replace(b"\n", b"\r\n") + b"7x\r\n", "line 7 is '7x'"),
    "letter-gzip": (gzip.compress(SIX + b"seven\n"), "line 7 is 'seven'"),
    "letter-before-blank": (b"1\n2x\n\n3\n", "line 2 is '2x'"),
    "minus": (SIX + b"-7\n", "line 7 is '-7'"),
    "dot": (SIX + b"7.0\n", "line 7 is '7.0'"),
    "inner-space": (SIX + b"7 7\n", "line 7 is '7 7'"),
    "comma": (b"1,2\n3\n", "line 1 is '1,2'"),
    "other-digits": (SIX + b"\xd9\xa7\n", r"line 7 is '\xd9\xa7'"),
    "byte-order-mark-later": (b"1\n\xef\xbb\xbf2\n", r"line 2 is '\xef\xbb\xbf2'"),
    "two-byte-order-marks": (b"\xef\xbb\xbf" * 2 + b"1\n", r"line 1 is '\xef\xbb\xbf1'"),
    "utf-16": ("1\n2\n".encode("utf-16"), r"line 1 is '\xff\xfe1"),
    "inner-tab": (SIX + b"7\t7\n", "line 7 is '"),
    "zero-byte": (b"1\n2\x003\n", "line 2 is "),
    "blank": (SIX + b"\n8\n", "line 7 is blank"),
    "blank-first": (b"\n1\n", "line 1 is blank"),
    "blank-second": (b"1\n\n2\n", "line 2 is blank"),
    "blank-tabs": (SIX + b"\t\n8\n\n", "line 7 is blank"),
    "blank-spaces": (SIX + b"  \n8\n", "line 7 is blank"),
    "blank-crlf": (SIX + b"\r\n8\r\n", "line 7 is blank"),
    "blank-before-letter": (b"1\n\nx\n", "line 2 is blank"),
    "blank-twice": (b"1\n2\n\n\n3\n", "line 3 is blank"),
    "empty": (b"", "is empty"),
    "only-newlines": (b"\n\n", "is empty"),
    "only-spaces": (b"   ", "is empty"),
    "only-a-mark": (b"\xef\xbb\xbf", "is empty"),
    "only-blanks": (b" \t\r\n\n", "is empty"),
    "empty-gzip": (gzip.compress(b""), "is empty"),
    "256-digits": (SIX + b"7" * 256 + b"\n8\n", "line 7 has 256 digits, expected 1 to 255"),
    "256-twice": (b"1\n" + b"0" * 300 + b"\n" + b"1" * 999, "line 2 has 300 digits"),
    "gzip-cut": (gzip.compress(SIX)[:-9], "cannot be read ("),
    "gzip-garbage": (b"\x1f\x8b garbage", "cannot be read ("),
}
"""What a file holds, and what the refusal says of it."""


@pytest.mark.parametrize(("data", "reason"), BAD_LABELS.values(), ids=BAD_LABELS)
def test_bad_labels_are_refused(tmp_path, data, reason):
    """A file with a bad line is refused in one line with its name, the line's number and text."""
    path = tmp_path / "labels.txt"
    path.write_bytes(data)
    with pytest.raises(UsageError) as caught:
        labels_file.register_labels(path)
    assert f"labels file {path}: {reason}" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("label", [b"1\r2", b"1\x1b[2J", b"\x0c1", b"1\x002"])
def test_control_characters_are_shown_escaped(tmp_path, label):
    """A line with control characters does not reach the terminal as it is."""
    path = tmp_path / "labels.txt"
    path.write_bytes(b"1\n" + label + b"\n3\n")
    with pytest.raises(UsageError, match="line 2 is") as caught:
        labels_file.register_labels(path)
    assert str(caught.value).isprintable()


def test_long_lines_are_shown_in_part(tmp_path):
    """A file that is no labels file gives one line that fits a screen."""
    path = tmp_path / "labels.txt"
    path.write_bytes(b"words " * 10_000)
    with pytest.raises(UsageError, match="line 1 is 'words words") as caught:
        labels_file.register_labels(path)
    assert len(str(caught.value)) < 200 + len(str(path))


def test_labels_of_255_digits_are_allowed(tmp_path):
    """The longest label has 255 digits."""
    (tmp_path / "labels.txt").write_text("1\n" + "7" * 255 + "\n")
    file = labels_file.register_labels(tmp_path / "labels.txt")
    assert (file.lines, file.longest) == (2, 255)
    assert texts_of(FileLines(file, shuffled=False), [1, 0]) == ["7" * 255, "1"]


def test_a_missing_file_is_named(tmp_path):
    """A file that is not there, or is a folder, is refused with its path."""
    for path in (tmp_path / "nowhere.txt", tmp_path):
        with pytest.raises(UsageError, match=f"labels file {path}: cannot be read"):
            labels_file.register_labels(path)


def test_a_pipe_is_refused_at_once(tmp_path):
    """A FIFO that nobody writes to, or a device, is refused with its path: it would never end."""
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "fifo", "/dev/zero"):
        with pytest.raises(UsageError, match=f"labels file {path}: .*is no regular file"):
            labels_file.register_labels(path)


@pytest.mark.parametrize(
    "lines",
    [
        SEVEN,
        tuple(SEVEN),
        iter(SEVEN),
        np.array(SEVEN),
        pd.Series(SEVEN),
        [f" {line}\t" for line in SEVEN],
    ],
    ids=["list", "tuple", "iterator", "numpy", "pandas", "blanks"],
)
def test_labels_in_python_are_a_file_of_these_lines(seven_lines, lines):
    """Texts give the recipe that a file of these lines gives."""
    recipe = Recipe(labels=lines, width=400, labels_order="shuffled")
    file = Recipe(labels_file=seven_lines, width=400, labels_order="shuffled")
    assert recipe == file
    assert recipe.fingerprint == file.fingerprint
    assert Recipe.from_json(recipe.to_json()) == recipe


BAD_LISTS = {
    "numbers": ([12, 7], "label 1 is 12, expected a text of digits"),
    "numpy-numbers": (np.array([12, 7]), "label 1 is 12, expected a text of digits"),
    "none": (["1", None], "label 2 is None, expected a text"),
    "bytes": ([b"12"], "label 1 is b'12', expected a text"),
    "digits": ([[0, 1, 2]], r"label 1 is \[0, 1, 2\], expected a text"),
    "blank": (["1", "", "2"], "label 2 is '', expected a text"),
    "blank-last": (["1", " "], "label 2 is ' ', expected a text"),
    "two-lines": (["1\n2"], "label 1 is .*, expected a text"),
    "letters": (["1", "x2"], "labels: line 2 is 'x2', expected digits 0 to 9 only"),
    "other-digits": (["\u0661"], "labels: line 1 is "),
    "half-a-character": (["\ud800"], "labels: line 1 is "),
    "too-long": (["1" * 256], "labels: line 1 has 256 digits"),
    "empty": ([], "labels: is empty"),
    "one-text": ("012", "labels is '012', expected a list of texts"),
    "a-set": ({"1", "2"}, "expected a list of texts"),
    "a-dictionary": ({"1": "2"}, "expected a list of texts"),
    "a-number": (12, "labels is 12, expected a list of texts"),
}


@pytest.mark.parametrize(("lines", "reason"), BAD_LISTS.values(), ids=BAD_LISTS)
def test_bad_labels_in_python_are_refused(lines, reason):
    """What is no list of labels is refused in one line with the label and its number."""
    with pytest.raises(UsageError, match=reason) as caught:
        Recipe(labels=lines)
    assert "\n" not in str(caught.value)


def test_labels_in_python_are_one_source_among_others():
    """Another source of labels beside them, or labels in a stored recipe, are refused."""
    with pytest.raises(UsageError, match="digits and labels are both given"):
        Recipe(labels=["1"], digits="1")
    with pytest.raises(UsageError, match="a stored recipe holds the sha256"):
        Recipe.from_json({**Recipe().to_json(), "labels": ["1"]})


@pytest.mark.parametrize("index", [0, 3, 7, 10**12 + 1, LAST_INDEX - 13])
def test_file_order_takes_line_i_mod_n(seven_lines, index):
    """Sample i shows line i mod n, at any index and under any master seed."""
    source = FileLines(seven_lines, shuffled=False)
    expected = [SEVEN[(index + k) % 7] for k in range(14)]
    assert texts_of(source, range(index, index + 14), 1) == expected
    assert texts_of(source, range(index, index + 14), 2) == expected


@pytest.fixture(scope="session")
def hundred_lines(tmp_path_factory) -> labels_file.LabelsFile:
    """Return a file of a hundred labels, each but one of them twice, registered."""
    path = tmp_path_factory.mktemp("labels") / "hundred.txt"
    path.write_text("".join(f"{n // 2:03}\n" for n in range(99)) + "777\n")
    return labels_file.register_labels(path)


@pytest.mark.parametrize("turn", [0, 1, 2, 10**9, LAST_INDEX // 100 - 1])
def test_each_shuffled_pass_shows_every_line(hundred_lines, turn):
    """A pass through a shuffled file shows each line as often as it stands there."""
    source = FileLines(hundred_lines, shuffled=True)
    expected = sorted([f"{n // 2:03}" for n in range(99)] + ["777"])
    assert sorted(texts_of(source, range(100 * turn, 100 * turn + 100))) == expected


def test_shuffled_passes_differ(hundred_lines):
    """Each pass has an order of its own, other than the file's, and so has each master seed."""
    source = FileLines(hundred_lines, shuffled=True)
    file_order = tuple(texts_of(FileLines(hundred_lines, shuffled=False), range(100)))
    orders = {
        tuple(texts_of(source, range(100 * turn, 100 * turn + 100), master))
        for master, turn in itertools.product((0, 1), range(10))
    }
    assert len(orders | {file_order}) == 21


def test_the_canonical_text_is_packed_without_a_time(tmp_path, seven_lines):
    """A packed file unpacks to its canonical text, holds no time, and is the same file again."""
    data = labels_file.gzip_text(seven_lines)
    assert data[4:8] == b"\0\0\0\0"
    assert data == labels_file.gzip_text(seven_lines)
    assert gzip.decompress(data).decode().split("\n") == [*SEVEN, ""]
    (tmp_path / "labels.txt.gz").write_bytes(data)
    assert labels_file.register_labels(tmp_path / "labels.txt.gz") == seven_lines


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"sha256": "ab" * 32}, "abababababab is not known on this machine"),
        ({"lines": 8}, "claims 8 lines of up to 9 digits, but .* has 7 of up to 9"),
        ({"longest": 5}, "claims 7 lines of up to 5 digits, but .* has 7 of up to 9"),
    ],
)
def test_files_that_are_not_what_they_claim_are_refused(seven_lines, change, reason):
    """An identity that was not registered, or was edited, is refused in one line."""
    with pytest.raises(BuilderError, match=reason) as caught:
        drawn(FileLines(seven_lines.model_copy(update=change), shuffled=False), [0])
    assert not isinstance(caught.value, UsageError)


@pytest.mark.parametrize("size", [0, 100, 130])
def test_a_truncated_cache_file_is_rebuilt(tmp_path, size):
    """Registering again repairs a cache file that was cut short, to nothing too."""
    (tmp_path / "labels.txt").write_text(f"{size}\n4\n5\n")
    file = labels_file.register_labels(tmp_path / "labels.txt")
    (path,) = cache.cache_folder().glob(f"labels-*{file.sha256[:32]}/text.npy")
    whole = path.read_bytes()
    path.unlink()
    path.write_bytes(whole[:size])
    assert labels_file.register_labels(tmp_path / "labels.txt") == file
    assert path.read_bytes() == whole
    assert texts_of(FileLines(file, shuffled=False), range(3)) == [str(size), "4", "5"]
