"""Recipes: bad values refused in one line, JSON both ways, fingerprints, widths that would do."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import re
import sys
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder import Augment, Recipe
from builder.augment.ranges import PRESETS, RANGES
from builder.common.errors import UsageError
from builder.recipe.digits import MNIST, Source
from builder.recipe.labels_file import LabelsFile

STRENGTHS = {item.name: item.most for item in RANGES.values() if not item.default}
FILE = LabelsFile(sha256="ab" * 32, lines=12, longest=7)


def refusal(**values: Any) -> str:
    """Return the one line with which a recipe is refused."""
    with pytest.raises(UsageError) as caught:
        Recipe(**values)
    assert isinstance(caught.value, ValueError)
    message = str(caught.value)
    assert len(message.splitlines()) == 1
    assert message.isprintable()
    return message


BAD_VALUES = [
    ("seed", -1, "seed is -1, expected a whole number from 0 to 18446744073709551615"),
    ("seed", 1 << 64, "seed is 18446744073709551616, expected a whole number from 0 to"),
    ("seed", 1.5, "seed is 1.5, expected a whole number from 0 to"),
    ("seed", "seven", "seed is 'seven', expected a whole number from 0 to"),
    ("seed", None, "seed is None, expected a whole number from 0 to"),
    ("width", 0, "width is 0, expected a whole number from 1 to 8192"),
    ("width", 8193, "width is 8193, expected a whole number from 1 to 8192"),
    ("width", -200, "width is -200, expected a whole number from 1 to 8192"),
    ("width", float("nan"), "width is nan, expected a whole number from 1 to 8192"),
    ("width", "wide", "width is 'wide', expected a whole number from 1 to 8192"),
    ("length", 0, "length is 0 to 0, expected digits from 1 to 255"),
    ("length", (0, 5), "length is 0 to 5, expected digits from 1 to 255"),
    ("length", (1, 256), "length is 1 to 256, expected digits from 1 to 255"),
    ("length", (5, 1), "length is 5 to 1: the first number is the larger; write 1 5"),
    ("length", (5, 4), "length is 5 to 4: the first number is the larger; write 4 5"),
    ("length", "many", "length is 'many', expected"),
    ("length", (1, 2, 3), "length is (1, 2, 3), expected"),
    ("length", (3,), "length is (3,), expected"),
    ("length", (1, None), "length is None, expected"),
    ("spacing", (-10, 5), "spacing is -10 to 5, expected px from -9 to 8192"),
    ("spacing", -10, "spacing is -10 to -10, expected px from -9 to 8192"),
    ("spacing", (0, 8193), "spacing is 0 to 8193, expected px from -9 to 8192"),
    ("spacing", (10, 5), "spacing is 10 to 5: the first number is the larger; write 5 10"),
    ("spacing", (5,), "spacing is (5,), expected"),
    ("spacing", None, "spacing is None, expected"),
    ("spacing", (0.5, 5), "spacing is 0.5, expected"),
    ("digits", "", "digits has 0 digits, expected 1 to 255"),
    ("digits", "7" * 256, "digits has 256 digits, expected 1 to 255"),
    ("digits", [1, 10], "digits holds 10, expected digits from 0 to 9"),
    ("digits", [-1], "digits holds -1, expected digits from 0 to 9"),
    ("digits", 350, "digits is 350, expected"),
    ("digits", "3x0", "digits is 'x', expected"),
    ("classes", "", "classes has 0 digits, expected 1 to 255"),
    ("classes", [3, 12], "classes holds 12, expected digits from 0 to 9"),
    ("numbers", "9", "numbers is '9', expected LO:HI, such as 0:999 or 000:999"),
    ("numbers", "", "numbers is '', expected LO:HI"),
    ("numbers", ":", "numbers is ':', expected LO:HI"),
    ("numbers", "1:2:3", "numbers is '1:2:3', expected LO:HI"),
    ("numbers", "-5:5", "numbers is '-5:5', expected LO:HI"),
    ("numbers", "1 : 5", "numbers is '1 : 5', expected LO:HI"),
    ("numbers", "0x1:0x2", "numbers is '0x1:0x2', expected LO:HI"),
    ("numbers", "\u00b2:5", "numbers is '\u00b2:5', expected LO:HI"),
    ("numbers", "9:1", "numbers is '9:1': LO is larger than HI; write 1:9"),
    ("numbers", "0:" + "9" * 19, "expected numbers of up to 18 digits"),
    ("numbers", "0" * 19 + ":5", "expected numbers of up to 18 digits"),
    ("numbers", 9, "numbers is 9, expected"),
    ("labels_file", 9, "labels_file is 9, expected"),
    ("labels_file", "nowhere/labels.txt", "labels file nowhere/labels.txt: cannot be read"),
    ("split", "valid", "split is 'valid', expected 'train', 'test', 'validation' or 'fit'"),
    ("split", None, "split is None, expected 'train', 'test', 'validation' or 'fit'"),
    ("fit", "shrink", "fit is 'shrink', expected 'squeeze', 'fill' or 'error'"),
    ("align", "centre", "align is 'centre', expected 'random', 'left', 'center' or 'right'"),
    ("spacing_between", "box", "spacing_between is 'box', expected 'frame' or 'ink'"),
    ("source", "mnist", "source is 'mnist', expected"),
    ("augment", "mild", "augment is 'mild', expected a preset: none, light, standard, strong"),
    ("augment", 5, "augment is 5, expected"),
    ("augment", {"scale": "x"}, "scale is 'x', expected a number from 0 to 0.5"),
    ("augment", {"scalee": 0.1}, "Augment has no field 'scalee': did you mean 'scale'?"),
]
"""A field, a value that it cannot have, and what the refusal says."""


@pytest.mark.parametrize(("field", "value", "reason"), BAD_VALUES)
def test_bad_values_are_refused(field, value, reason):
    """A bad value is refused when the recipe is made, with field, value and range in one line."""
    assert reason in refusal(**{field: value})


HEX = "ab" * 32


@pytest.mark.parametrize(
    ("field", "value", "word"),
    [
        ("source", {"digest": "../../else", "ink_width": 20}, "digest"),
        ("source", {"digest": HEX[:63], "ink_width": 20}, "digest"),
        ("source", {"digest": HEX + "0", "ink_width": 20}, "digest"),
        ("source", {"digest": HEX.upper(), "ink_width": 20}, "digest"),
        ("source", {"digest": HEX, "ink_width": -1}, "ink_width"),
        ("source", {"digest": HEX, "ink_width": 29}, "ink_width"),
        ("source", {"digest": HEX}, "ink_width"),
        ("labels_file", {"sha256": "../../else", "lines": 1, "longest": 1}, "sha256"),
        ("labels_file", {"sha256": HEX, "lines": 0, "longest": 1}, "lines"),
        ("labels_file", {"sha256": HEX, "lines": 1, "longest": 0}, "longest"),
        ("labels_file", {"sha256": HEX, "lines": 1, "longest": 256}, "longest"),
        ("labels_file", {"sha256": HEX, "lines": 1}, "longest"),
    ],
)
def test_impossible_identities_are_refused(field, value, word):
    """What no digits and no labels file can be is refused when the recipe is made."""
    assert word in refusal(width=8192, **{field: value})


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("numbers", "1\n:9", r"numbers is '1\n:9', expected"),
        ("numbers", "1:9\r", r"numbers is '1:9\r', expected"),
        ("augment", "strong\n", r"augment is 'strong\n', expected"),
        ("labels_file", "no\nwhere", r"labels file no\nwhere: cannot be read"),
        ("width", np.zeros((2, 2)), "width is "),
        ("wid\nth", 200, r"no field 'wid\nth': did you mean 'width'?"),
        ("digits", "35\n", r"\n', expected"),
        ("split", "train\x1b[2J", r"split is 'train\x1b[2J', expected"),
    ],
)
def test_values_of_several_lines_are_refused_in_one(field, value, reason):
    """A value with a line break or an escape sequence in it does not break the one line."""
    assert reason in refusal(**{field: value})


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"length": 3, "digits": "350"}, "length and digits are both given, expected one of them"),
        ({"digits": "3", "numbers": "0:9"}, "digits and numbers are both given"),
        ({"numbers": "0:9", "labels_file": FILE}, "numbers and labels_file are both given"),
        ({"classes": "717"}, "classes holds 7 twice, expected each digit once"),
        ({"classes": [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9]}, "classes holds 9 twice"),
        ({"classes": "01", "digits": "3"}, "classes goes with random digits, but digits names"),
        ({"classes": "01", "numbers": "0:9"}, "classes goes with random digits, but numbers"),
        ({"classes": "01", "labels_file": FILE}, "classes goes with random digits, but labels_fi"),
        ({"labels_order": "file"}, "labels_order is given without a labels_file"),
        ({"labels_order": "shuffled", "digits": "3"}, "labels_order is given without a labels_fil"),
        ({"labels_file": FILE, "labels_order": "x"}, "labels_order is 'x', expected 'file' or 'sh"),
    ],
)
def test_values_that_do_not_go_together_are_refused(values, reason):
    """Two sources of labels, or an option of one beside another, are refused with both names."""
    assert reason in refusal(**values)


@pytest.mark.parametrize("name", STRENGTHS)
@pytest.mark.parametrize("value", [-0.01, float("nan"), float("inf"), None, "much"])
def test_bad_strengths_are_refused(name, value):
    """A strength below 0, or that is no number, is refused with its range."""
    reason = f"{name} is {value!r}, expected a number from 0 to {STRENGTHS[name]}"
    assert reason in refusal(augment={name: value})


@pytest.mark.parametrize("name", STRENGTHS)
def test_the_largest_strength_is_allowed_and_no_more(name):
    """The upper end of a strength's range belongs to it."""
    most = STRENGTHS[name]
    assert Recipe(augment={name: most}).augment.ranges[name] == most
    assert f"expected a number from 0 to {most}" in refusal(augment={name: most * 1.001})


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("widht", "width"),
        ("lenght", "length"),
        ("spaceing", "spacing"),
        ("label_file", "labels_file"),
        ("Seed", "seed"),
        ("spacing_betwen", "spacing_between"),
    ],
)
def test_an_unknown_field_is_answered_with_the_one_meant(name, meant):
    """A misspelt field is refused with the spelling that exists."""
    assert refusal(**{name: 3}) == f"Recipe has no field '{name}': did you mean '{meant}'?"


@pytest.mark.parametrize("name", ["count", "workers", "shard_size", "format", "masks"])
def test_what_is_not_in_a_recipe_is_refused(name):
    """Count and storage are no part of a recipe, and the refusal lists what is."""
    message = refusal(**{name: 3})
    assert f"Recipe has no field '{name}'" in message
    assert "seed" in message or "did you mean" in message


@pytest.mark.parametrize(
    "values",
    [
        {"seed": 0},
        {"seed": (1 << 64) - 1},
        {"width": 8192},
        {"width": 10, "length": 1},
        {"length": 255, "spacing": 0, "width": 8192},
        {"digits": "7" * 255, "width": 8192},
        {"spacing": (-9, -9)},
        {"spacing": 8162, "length": 2, "width": 8192, "fit": "squeeze"},
        {"numbers": "0" * 18 + ":" + "9" * 18, "width": 8192},
        {"labels_file": FILE},
    ],
)
def test_the_ends_of_ranges_are_allowed(values):
    """The first and the last value of each range belong to it."""
    recipe = Recipe(**values)
    for name, value in values.items():
        stored = getattr(recipe, name)
        if isinstance(stored, tuple) and isinstance(value, int):
            assert stored == (value, value)
        elif name == "digits":
            assert stored == (7,) * 255
        else:
            assert stored == value


def test_recipes_cannot_be_changed():
    """A recipe and its strengths are frozen."""
    recipe = Recipe()
    with pytest.raises(ValueError, match="frozen"):
        recipe.seed = 3
    with pytest.raises(ValueError, match="frozen"):
        recipe.augment.scale = 0.3


def test_the_defaults_are_the_documented_ones():
    """A recipe of nothing but defaults is the one that users read of."""
    recipe = Recipe()
    assert (recipe.seed, recipe.split, recipe.source) == (0, "train", MNIST)
    assert (recipe.length, recipe.spacing, recipe.width) == ((1, 5), (5, 10), 200)
    assert (recipe.fit, recipe.align, recipe.spacing_between) == ("squeeze", "random", "frame")
    assert recipe.augment == Augment.preset("standard")


SAME = {
    "nothing": ({}, {"length": (1, 5), "spacing": (5, 10), "width": 200, "seed": 0}),
    "one-length": ({"length": 3}, {"length": (3, 3)}),
    "list": ({"length": [2, 3]}, {"length": (2, 3)}),
    "one-gap": ({"spacing": 7}, {"spacing": (7, 7)}),
    "digits": ({"digits": "0350"}, {"digits": [0, 3, 5, 0]}),
    "array": ({"digits": np.array([0, 3, 5, 0])}, {"digits": (0, 3, 5, 0)}),
    "classes": ({"classes": "71"}, {"classes": (1, 7)}),
    "preset": ({"augment": "strong"}, {"augment": Augment.preset("strong")}),
    "default-preset": ({}, {"augment": "standard"}),
    "strengths": ({"augment": {"scale": 0.2}}, {"augment": Augment(scale=0.2)}),
    "off": ({"augment": "none"}, {"augment": {}}),
    "explicitly-off": ({"augment": {"scale": 0}}, {"augment": "none"}),
    "whole-strength": ({"augment": {"shift": 2}}, {"augment": {"shift": 2.0}}),
    "order": ({"labels_file": FILE}, {"labels_file": FILE, "labels_order": "file"}),
    "none": ({"length": None, "digits": None, "labels_order": None}, {}),
    "numpy": ({"width": np.int64(150), "seed": np.uint8(3)}, {"width": 150, "seed": 3}),
    "numpy-range": ({"length": np.int64(3), "spacing": np.int64(7)}, {"length": 3, "spacing": 7}),
    "numpy-pairs": (
        {"length": (np.int32(1), 3), "spacing": [np.uint8(4), np.int64(9)]},
        {"length": (1, 3), "spacing": (4, 9)},
    ),
    "numpy-array": ({"spacing": np.array([4, 9], dtype="u1")}, {"spacing": (4, 9)}),
    "numpy-digits": ({"digits": [np.int8(3), np.uint16(5), 0]}, {"digits": "350"}),
    "numpy-set": ({"classes": frozenset(np.arange(3))}, {"classes": "012"}),
    "numpy-augment": ({"augment": {"rotate": np.int64(9)}}, {"augment": {"rotate": 9.0}}),
    "numpy-seed": ({"seed": np.int64(2**53 + 1)}, {"seed": 2**53 + 1}),
    "numpy-last-seed": ({"seed": np.uint64(2**64 - 1)}, {"seed": 2**64 - 1}),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_two_ways_to_say_one_recipe(one, other):
    """Short and long forms of the same values make equal recipes of one fingerprint."""
    assert Recipe(**one) == Recipe(**other)
    assert hash(Recipe(**one)) == hash(Recipe(**other))
    assert Recipe(**one).fingerprint == Recipe(**other).fingerprint


DIFFERENT = [
    {},
    {"seed": 1},
    {"source": Source(digest=HEX, ink_width=20)},
    {"source": Source(digest=MNIST.digest, ink_width=19)},
    {"split": "fit"},
    {"length": (1, 4)},
    {"length": (2, 5)},
    {"classes": "01"},
    {"digits": "02139"},
    {"digits": "2139"},
    {"numbers": "0:999"},
    {"numbers": "000:999"},
    {"labels_file": FILE},
    {"labels_file": FILE, "labels_order": "shuffled"},
    {"labels_file": LabelsFile(sha256="cd" * 32, lines=12, longest=7)},
    {"labels_file": LabelsFile(sha256="ab" * 32, lines=13, longest=7)},
    {"spacing": (5, 11)},
    {"spacing": (4, 10)},
    {"width": 201},
    {"fit": "fill"},
    {"align": "left"},
    {"spacing_between": "ink"},
    {"augment": "none"},
    {"augment": "light"},
    *({"augment": Augment.preset("standard", **{name: most})} for name, most in STRENGTHS.items()),
]
"""Recipes, no two of which make the same samples."""


def test_every_field_is_in_the_fingerprint():
    """A change of any one field changes the fingerprint."""
    recipes = [Recipe(**values) for values in DIFFERENT]
    assert len({recipe.fingerprint for recipe in recipes}) == len(recipes)
    assert all(re.fullmatch("[0-9a-f]{64}", recipe.fingerprint) for recipe in recipes)


PINNED_RANDOM = "fe53cf66376501c685e7347c7989a50478160751db46e0c03ba70abfd040937e"
PINNED_FIXED = "159b1530935c041845f0b50bd6121f709a2a6ea8ba378af15a0c68f22da2fcb7"
"""Computed by hand from the JSON text; a field that a later version adds must not change them."""


def test_fingerprints_are_pinned():
    """A recipe with explicit ranges keeps its fingerprint for good."""
    recipe = Recipe(seed=7, length=(1, 5), spacing=(5, 10), width=200, augment={"scale": 0.125})
    assert recipe.fingerprint == PINNED_RANDOM
    assert Recipe(digits="02139", augment="none").fingerprint == PINNED_FIXED


LABELS = st.one_of(
    st.fixed_dictionaries(
        {"length": st.tuples(st.integers(1, 9), st.integers(0, 5)).map(lambda p: (p[0], sum(p)))},
        optional={"classes": st.sets(st.integers(0, 9), min_size=1)},
    ),
    st.fixed_dictionaries({"digits": st.text("0123456789", min_size=1, max_size=30)}),
    st.tuples(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(1, 18)).map(
        lambda n: {"numbers": f"{n[0]:0{n[2]}}:{n[0] + n[1]}"}
    ),
    st.builds(
        lambda lines, longest, order: {
            "labels_file": LabelsFile(sha256=HEX, lines=lines, longest=longest),
            "labels_order": order,
        },
        st.integers(1, 10**9),
        st.integers(1, 255),
        st.sampled_from([None, "file", "shuffled"]),
    ),
)

OTHERS = st.fixed_dictionaries(
    {},
    optional={
        "seed": st.integers(0, (1 << 64) - 1),
        "source": st.sampled_from([MNIST, Source(digest=HEX, ink_width=17)]),
        "split": st.sampled_from(["train", "test", "validation", "fit"]),
        # gaps of 22 px are the widest that 255 digits of 10 px leave room for in 8192 px
        "spacing": st.tuples(st.integers(-9, 17), st.integers(0, 5)).map(lambda p: (p[0], sum(p))),
        "fit": st.sampled_from(["squeeze", "fill"]),
        "align": st.sampled_from(["random", "left", "center", "right"]),
        "spacing_between": st.sampled_from(["frame", "ink"]),
        "augment": st.one_of(
            st.sampled_from(PRESETS),
            st.fixed_dictionaries(
                {}, optional={name: st.floats(0, most) for name, most in STRENGTHS.items()}
            ),
        ),
    },
)


def turned(value: Any) -> Any:
    """Return JSON values with the keys of every object in the opposite order."""
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}
    return value


@given(LABELS, OTHERS)
@settings(deadline=None, max_examples=200)
def test_recipes_come_back_from_json(labels, others):
    """A recipe that went through JSON text, in any order of keys, is the recipe it was."""
    recipe = Recipe(width=8192, **labels, **others)
    values = json.loads(json.dumps(recipe.to_json()))
    assert values == recipe.to_json()
    for again in (Recipe.from_json(values), Recipe.from_json(turned(values))):
        assert again == recipe
        assert hash(again) == hash(recipe)
        assert again.fingerprint == recipe.fingerprint
        assert again.to_json() == values


@given(LABELS, OTHERS)
@settings(deadline=None, max_examples=100)
def test_what_is_off_is_absent_from_json(labels, others):
    """JSON holds no null, no strength of 0 and no preset's name, and names its version."""
    values = Recipe(width=8192, **labels, **others).to_json()
    assert values["recipe_version"] == 1
    assert set(values) <= {"recipe_version", *Recipe.model_fields}
    assert None not in values.values()
    assert all(isinstance(s, float) and s > 0 for s in values["augment"].values())
    assert not set(PRESETS) & set(re.findall(r"\w+", json.dumps(values["augment"])))
    sources = [n for n in ("length", "digits", "numbers", "labels_file") if n in values]
    assert sources == [n for n in ("length", "digits", "numbers", "labels_file") if n in labels]


@given(LABELS, OTHERS)
@settings(deadline=None, max_examples=50)
def test_the_fingerprint_is_the_sha256_of_the_canonical_json(labels, others):
    """Anyone can compute the fingerprint: sorted keys, no spaces, ASCII."""
    recipe = Recipe(width=8192, **labels, **others)
    text = json.dumps(recipe.to_json(), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    assert recipe.fingerprint == hashlib.sha256(text.encode()).hexdigest()


def test_a_labels_file_enters_by_content_and_never_by_path(tmp_path):
    """The JSON names the sha256, the lines and the longest label of a file, and no path."""
    paths = [tmp_path / "postcodes.txt", tmp_path / "others.txt"]
    for path in paths:
        path.write_text("02139\n10115\n7\n")
    recipe, other = (Recipe(labels_file=path) for path in paths)
    text = json.dumps(recipe.to_json())
    assert str(tmp_path) not in text
    assert "postcodes" not in text
    assert recipe.to_json()["labels_file"] == {
        "sha256": hashlib.sha256(b"02139\n10115\n7\n").hexdigest(),
        "lines": 3,
        "longest": 5,
    }
    assert recipe == other == Recipe(labels_file=str(paths[0]), labels_order="file")
    assert recipe == Recipe.from_json(json.loads(text))


def test_json_that_names_a_path_is_refused(tmp_path):
    """A recipe from elsewhere cannot make this machine read a file of its choice."""
    (tmp_path / "labels.txt").write_text("1\n")
    values = {**Recipe(digits="3").to_json(), "labels_file": str(tmp_path / "labels.txt")}
    del values["digits"]
    with pytest.raises(UsageError, match="labels_file"):
        Recipe.from_json(values)


def test_a_digit_source_enters_by_digest():
    """The JSON names the digits by digest and ink width alone."""
    assert Recipe().to_json()["source"] == {"digest": MNIST.digest, "ink_width": MNIST.ink_width}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ([], "a recipe is a JSON object, but this is list"),
        ("recipe", "a recipe is a JSON object, but this is str"),
        (None, "a recipe is a JSON object, but this is NoneType"),
        ({}, "recipe_version is None, expected 1"),
        ({"recipe_version": 2}, "recipe_version is 2, expected 1"),
        ({"recipe_version": "1"}, "recipe_version is '1', expected 1"),
        ({"recipe_version": 1, "speed": 3}, "Recipe has no field 'speed'"),
        ({"recipe_version": 1, "width": 0}, "width is 0, expected a whole number from 1 to 8192"),
        ({"recipe_version": 1, "augment": {"blurr": 1}}, "Augment has no field 'blurr'"),
    ],
)
def test_json_that_is_no_recipe_is_refused(values, reason):
    """JSON of another kind, version or field is refused in one line."""
    with pytest.raises(UsageError) as caught:
        Recipe.from_json(values)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_from_json_leaves_its_values_alone():
    """Reading a recipe does not change what it was read from."""
    values = Recipe(seed=3).to_json()
    before = json.dumps(values)
    Recipe.from_json(values)
    assert json.dumps(values) == before


def test_presets_get_stronger():
    """`none` is all off, and no strength falls from `light` over `standard` to `strong`."""
    assert PRESETS == ("none", "light", "standard", "strong")
    strengths = [Augment.preset(name).ranges for name in PRESETS]
    assert {strengths[0][name] for name in STRENGTHS} == {0.0}
    for name, most in STRENGTHS.items():
        row = [values[name] for values in strengths]
        assert row == sorted(row)
        assert row[-1] <= most
    assert len({tuple(values.values()) for values in strengths}) == 4


def test_presets_stay_within_the_evidence():
    """Standard scales by 8 % an axis; strong by 20 %, and shifts by up to 2 px."""
    assert Augment.preset("standard").scale == 0.08
    assert Augment.preset("strong").scale == 0.2
    assert Augment.preset("strong").shift == 2.0


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("name", STRENGTHS)
def test_every_strength_can_be_set_beside_a_preset(preset, name):
    """A preset with one strength changed differs from it in that strength alone."""
    before, after = Augment.preset(preset).ranges, Augment.preset(preset, **{name: 0.03125})
    assert after.ranges == {**before, name: 0.03125}


@pytest.mark.parametrize("name", ["mild", "", "Standard", "strong "])
def test_unknown_presets_are_refused(name):
    """A preset that is not there is refused with those that are."""
    with pytest.raises(UsageError, match=f"'{name}', expected a preset: none, light, standard"):
        Augment.preset(name)


NEEDED = [
    ({"length": 5}, 90),
    ({"length": (1, 5)}, 90),
    ({"length": (1, 5), "spacing": (0, 0)}, 50),
    ({"length": (1, 5), "spacing": (-9, -9)}, 14),
    ({"length": 1, "spacing": (50, 90)}, 10),
    ({"length": (1, 5), "fit": "fill"}, 90),
    ({"length": (1, 5), "fit": "error"}, 180),
    ({"digits": "350", "fit": "error", "spacing": 0}, 84),
    ({"numbers": "7:1234"}, 70),
    ({"numbers": "007:1234", "fit": "error"}, 142),
    ({"labels_file": FILE}, 130),
    ({"length": 5, "spacing_between": "ink"}, 76),
    ({"length": 5, "spacing_between": "ink", "fit": "error"}, 140),
    ({"length": 7, "spacing_between": "ink", "spacing": 0}, 50),
    ({"length": 5, "spacing_between": "ink", "source": Source(digest=HEX, ink_width=28)}, 90),
]
"""Recipes, and the smallest width that each may have: 10 px a digit, or 28 unsqueezed."""


@pytest.mark.parametrize(("values", "width"), NEEDED)
def test_the_smallest_width_is_allowed_and_no_less(values, width):
    """A strip may be squeezed to 10/28 and no further, and not at all with fit 'error'."""
    assert Recipe(width=width, **values).width == width
    message = refusal(width=width - 1, **values)
    assert message.startswith(f"width is {width - 1}, too small for ")
    assert f"expected at least {width}" in message


def ways_out(message: str) -> dict[str, Any]:
    """Return the changes that a refusal names, each as the values to change."""
    changes: dict[str, Any] = {}
    if width := re.search(r"expected at least (\d+)", message):
        changes["width"] = {"width": int(width[1])}
    if length := re.search(r"length at most (\d+)", message):
        changes["length"] = {"length": int(length[1])}
    if spacing := re.search(r"spacing at most (-?\d+)", message):
        changes["spacing"] = {"spacing": int(spacing[1])}
    if "fit 'squeeze'" in message:
        changes["fit"] = {"fit": "squeeze"}
    return changes


def changed(values: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe's values with the upper end of a range, or a plain value, changed."""
    (name, new), *_ = change.items()
    if name in ("length", "spacing"):
        change = {name: (min(values[name][0], new), new)}
    return {**values, **change}


def is_refused(values: dict[str, Any], **change: Any) -> bool:
    """Tell whether a recipe is too narrow with one value, or the end of one range, changed."""
    try:
        Recipe(**changed(values, change))
    except UsageError as error:
        return "too small for " in str(error)
    return False


def check_ways_out(values: dict[str, Any]) -> dict[str, Any]:
    """Check that a refusal names every change that would do, and the nearest; return them."""
    ways = ways_out(refusal(**values))
    for change in ways.values():
        Recipe(**changed(values, change))
    (shortest, longest), (_, widest) = values["length"], values["spacing"]
    width, length, spacing = (ways.get(n, {}).get(n) for n in ("width", "length", "spacing"))
    assert is_refused(values, width=8192 if width is None else width - 1)
    assert is_refused(values, length=shortest if length is None else length + 1) or (
        length is not None and length + 1 > longest
    )
    assert is_refused(values, spacing=-9 if spacing is None else spacing + 1)
    assert "fit" in ways or is_refused(values, fit="squeeze") or values["fit"] != "error"
    assert spacing is None or spacing < widest
    return ways


@pytest.mark.parametrize("fit", ["squeeze", "fill", "error"])
@pytest.mark.parametrize("between", ["frame", "ink"])
@given(
    st.tuples(st.integers(1, 8), st.integers(0, 8)),
    st.tuples(st.integers(-9, 40), st.integers(0, 9)),
    st.integers(1, 150),
)
@settings(deadline=None, max_examples=100)
def test_every_way_out_of_a_small_width_would_do(fit, between, length, spacing, width):
    """A refusal names the nearest width, length, spacing and fit that would do, if there is one."""
    values = {
        "length": (length[0], sum(length)),
        "spacing": (spacing[0], sum(spacing)),
        "width": width,
        "fit": fit,
        "spacing_between": between,
    }
    with suppress(UsageError):
        Recipe(**values)
        return
    check_ways_out(values)


@pytest.mark.parametrize(
    ("width", "length", "spacing", "more"),
    [
        (8192, (255, 255), (50, 50), {}),
        (8192, (1, 255), (0, 8192), {}),
        (4000, (1, 255), (5, 10), {"fit": "error"}),
        (20, (1, 5), (5, 10), {"fit": "error"}),
        (5, (1, 5), (5, 10), {"spacing_between": "ink"}),
        (5, (1, 5), (-9, -9), {"spacing_between": "ink"}),
    ],
)
def test_ways_out_stay_within_their_limits(width, length, spacing, more):
    """No refusal names a width above 8192, or a length, spacing or fit that is refused next."""
    values = {"width": width, "length": length, "spacing": spacing, "fit": "squeeze"}
    check_ways_out({**values, **more})


def test_ways_out_are_the_nearest_ones():
    """The refusal names the width, the length and the spacing that one would work out."""
    values = {"width": 100, "length": (2, 9), "spacing": (3, 10)}
    ways = check_ways_out({**values, "fit": "squeeze"})
    assert ways == {"width": {"width": 170}, "length": {"length": 5}, "spacing": {"spacing": 1}}


def test_labels_that_have_no_length_are_not_to_be_shortened():
    """A length is no way out for labels that are not of random digits."""
    for labels in ({"numbers": "0:99999"}, {"labels_file": FILE}, {"digits": "35035"}):
        assert ways_out(refusal(width=40, **labels)).keys() == {"width", "spacing"}


def test_the_refusal_names_the_longest_label_and_the_largest_gap():
    """A user sees what the width is too small for."""
    message = refusal(width=40, length=(1, 5), spacing=(5, 10))
    assert "too small for 5 digits with gaps of up to 10 px" in message
    assert "too small for 1 digit:" in refusal(width=9, length=1)


@pytest.mark.parametrize("value", [True, "5", "x", None, [1], 1j])
def test_ranges_are_numbers(value):
    """A range is a number: what could be read as one is not taken for it."""
    with pytest.raises(UsageError, match="rotate is "):
        Recipe(augment={"rotate": value})


def test_type_checkers_see_every_field():
    """The parameters that `Recipe` states for type checkers are its fields, in their order.

    `labels` is one more: a way to give the field `labels_file`.
    """
    tree = ast.parse(inspect.getsource(sys.modules[Recipe.__module__]))
    (function,) = (n for n in ast.walk(tree) if getattr(n, "name", None) == "__init__")
    stated = [argument.arg for argument in function.args.kwonlyargs if argument.arg != "labels"]
    assert stated == list(Recipe.model_fields)
