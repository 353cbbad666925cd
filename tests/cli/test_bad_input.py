"""Bad input: one clear line, an exit code, and nothing left behind."""

from __future__ import annotations

import errno
import fcntl
import gzip
import json
import logging
import os
import re
import resource
import shlex
import shutil
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from builder import Recipe
from builder.cli import main
from builder.common.errors import LogFile, log, log_to
from tests.cli.test_cli import (
    ALONE,
    ROOT,
    block_digits,
    call,
    command,
    manifest_of,
    script,
    tree,
    write_digits,
)

DATA = "--count 60 --length 1:3 --width 100 --shard-size 25 --seed 5"


def damaged(source, target, name, change):
    """Copy a folder, and put in place of one file what `change` makes of its bytes."""
    shutil.copytree(source, target)
    path = target / name
    data = change(path.read_bytes())
    path.unlink()
    if data is not None:
        path.write_bytes(data)


def swapped(source, target):
    """Copy a folder of digits, and give the training images and labels each other's name."""
    shutil.copytree(source, target)
    images, labels = target / "train-images-idx3-ubyte", target / "train-labels-idx1-ubyte"
    images.rename(target / "x")
    labels.rename(images)
    (target / "x").rename(labels)


def bad_digits(folder):
    """Make folders of digits, each with its own fault, beside a good one."""
    good = block_digits(folder / "digits")
    images, labels = "train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"
    damaged(good, folder / "digits-missing", labels, lambda data: None)
    damaged(good, folder / "digits-truncated", images, lambda data: data[:-1])
    damaged(good, folder / "digits-long", images, lambda data: data + b"\0")
    damaged(good, folder / "digits-blank", images, lambda data: b"")
    damaged(good, folder / "digits-magic", labels, lambda data: b"\0\0\x0a\x01" + data[4:])
    damaged(good, folder / "digits-eleven", labels, lambda data: data[:-1] + b"\x0b")
    damaged(good, folder / "digits-torn", images, lambda data: gzip.compress(data)[:-20])
    damaged(good, folder / "digits-few", labels, lambda data: data[:4] + b"\0\0\0\x13" + data[8:-1])
    swapped(good, folder / "digits-swapped")
    no_three = np.array([0, 1, 2, 4, 5, 6, 7, 8, 9, 9])
    blocks = np.pad(np.full((10, 20, 20), 9, dtype=np.uint8), ((0, 0), (4, 4), (4, 4)))
    write_digits(folder / "digits-nothree", blocks, no_three)
    spots = (np.random.default_rng(0).random((20, 28, 28)) < 0.5).astype(np.uint8) * 255
    write_digits(folder / "digits-spots", spots, np.arange(20) % 10)
    write_digits(folder / "digits-black", np.zeros((20, 28, 28), np.uint8), np.arange(20) % 10)
    write_digits(folder / "digits-small", np.zeros((10, 8, 8), dtype=np.uint8), no_three)


def bad_labels(folder):
    """Make labels files, each with its own fault."""
    texts = {
        "letter": b"1\n22\n333\n4\n5\n6\n7x7\n8\n",
        "blank": b"1\n\n3\n",
        "empty": b"",
        "spaces": b" \r\n",
        "minus": b"12\n-3\n",
        "arabic": "12\n\u0663\n".encode(),
        "long": b"1\n" + b"7" * 256 + b"\n",
        "torn": gzip.compress(b"1\n2\n3\n")[:-6],
        "good": b"1\n2\n",
    }
    for name, text in texts.items():
        (folder / f"{name}.txt").write_bytes(text)


def bad_datasets(folder):
    """Make a dataset of 60 images, and others like it with something wrong."""
    good = folder / "data"
    arguments = [*shlex.split(DATA), *(str(a) for a in ALONE), "--out", str(good)]
    assert main("build", arguments) == 0
    damaged(good, folder / "manifest-text", "manifest.json", lambda data: b"count = 60\n")
    damaged(good, folder / "manifest-torn", "manifest.json", lambda data: data[: len(data) // 2])
    damaged(good, folder / "manifest-blank", "manifest.json", lambda data: b"")
    damaged(good, folder / "manifest-list", "manifest.json", lambda data: b"[1, 2]")
    damaged(good, folder / "plan-torn", "plan.json", lambda data: data[: len(data) // 2])
    damaged(good, folder / "unfinished", "manifest.json", lambda data: None)
    damaged(good, folder / "shard-gone", "shard-000001.h5", lambda data: None)
    damaged(good, folder / "shard-torn", "shard-000001.h5", lambda data: data[:3000])

    def changed(name, change):
        def edit(data):
            manifest = json.loads(data)
            change(manifest["plan"])
            return json.dumps(manifest).encode()

        damaged(good, folder / name, "manifest.json", edit)

    changed("no-width", lambda plan: plan["recipe"].pop("width"))
    changed("wide-text", lambda plan: plan["recipe"].update(width="wide"))
    changed("newer-format", lambda plan: plan.update(format_version=99))
    changed("newer-pixels", lambda plan: plan.update(generator_version=99))
    changed("outside", lambda plan: plan["recipe"].update(labels_file="../good.txt", length=None))
    (folder / "plan-is-text.json").write_text('{"plan": "x"}')
    long = Recipe(length=255, width=8192, spacing=(0, 0))
    (folder / "long-labels.json").write_text(json.dumps(long.to_json()))


@pytest.fixture(scope="module")
def faults(tmp_path_factory):
    """Return a folder full of bad input; no call may change anything in it."""
    folder = tmp_path_factory.mktemp("faults")
    bad_digits(folder)
    bad_labels(folder)
    bad_datasets(folder)
    for name in ("empty", "foreign", "foreign-manifest"):
        (folder / name).mkdir()
    (folder / "foreign" / "notes.txt").write_text("mine")
    (folder / "foreign-manifest" / "manifest.json").write_text("{}")
    (folder / "file").write_text("mine")
    (folder / "nowhere").symlink_to("not-there")
    os.mkfifo(folder / "fifo")
    (folder / "to-fifo").symlink_to("fifo")
    (folder / "zeros").write_bytes(bytes(1 << 20))
    return folder


BUILD = "--count 20 --backend sequential --quiet"
DIGITS = f"{BUILD} --dataset-dir digits"
AGAIN = f"{DATA} --backend sequential --quiet --out data"

WRONG_BUILDS = [
    # the recipe
    (f"{BUILD} --width 40", "width is 40, too small for 5 digits.* expected at least 90"),
    (f"{BUILD} --fit error --width 100", "width is 100, too small .* at least 180"),
    (f"{BUILD} --width 0", "width is 0, expected .* from 1 to 8192"),
    (f"{BUILD} --width 8193", "width is 8193"),
    (f"{BUILD} --spacing 10 5", "spacing is 10 to 5.* write 5 10"),
    (f"{BUILD} --spacing -10 5", "spacing is -10 to 5, expected px from -9"),
    (f"{BUILD} --spacing", "--spacing: expected one argument"),
    (f"{BUILD} --spacing 5.5", "'5.5' is not a number or a range"),
    (f"{BUILD} --spacing 5:", "'5:' is not a number or a range"),
    (f"{BUILD} --spacing 5 10 15", "unrecognized arguments: 15"),
    (f"{BUILD} --spacing 5 x", "unrecognized arguments: x"),
    (f"{BUILD} --digits ''", "digits has 0 digits"),
    (f"{BUILD} --digits []", "digits has 0 digits"),
    (f"{BUILD} --digits 12", "digits holds 12"),
    (f"{BUILD} --digits 3,-1", "digits holds -1"),
    (f"{BUILD} --digits 3,x,5", "'3,x,5' is not a list of digits"),
    (f"{BUILD} --digits {'1,' * 255}1 --width 8192", "digits has 256 digits"),
    (f"{BUILD} --classes ''", "classes has 0 digits"),
    (f"{BUILD} --classes 12", "classes holds 12"),
    (f"{BUILD} --classes 1,7,1", "classes holds 1 twice"),
    (f"{BUILD} --classes 1 --digits 3", "classes goes with random digits"),
    (f"{BUILD} --length 0", "length is 0"),
    (f"{BUILD} --length 5:1", "length is 5 to 1.* write 1 5"),
    (f"{BUILD} --length 256 --width 8192", "length is 256"),
    (f"{BUILD} --length x", "'x' is not a number or a range, such as 5 or 1:5"),
    (f"{BUILD} --length 3 --digits 3", "--digits.* not allowed with .*--length"),
    (f"{BUILD} --numbers 5", "numbers is '5', expected LO:HI"),
    (f"{BUILD} --numbers 9:5", "LO is larger than HI; write 5:9"),
    (f"{BUILD} --numbers \u0663:\u0665", "numbers is"),
    (f"{BUILD} --labels-order shuffled", "labels_order is given without"),
    (f"{BUILD} --seed -1", "seed is -1, expected .* from 0 to 18446744073709551615"),
    (f"{BUILD} --seed {2**64}", "seed is 18446744073709551616"),
    (f"{BUILD} --scale 0.6", "scale is 0.6, expected .* 0 to 0.5"),
    (f"{BUILD} --scale nan", "scale is nan"),
    (f"{BUILD} --scale inf", "scale is inf"),
    (f"{BUILD} --shift -1", "shift is -1"),
    (f"{BUILD} --augment wild", "'wild'.*none.*light.*standard.*strong"),
    (f"{BUILD} --fit stretch", "'stretch'"),
    (f"{BUILD} --split everything", "'everything'"),
    # labels files
    (f"{BUILD} --labels-file letter.txt", "line 7 is '7x7'"),
    (f"{BUILD} --labels-file blank.txt", "line 2 is blank"),
    (f"{BUILD} --labels-file empty.txt", "empty.txt: is empty"),
    (f"{BUILD} --labels-file spaces.txt", "spaces.txt: is empty"),
    (f"{BUILD} --labels-file minus.txt", "line 2 is '-3'"),
    (f"{BUILD} --labels-file arabic.txt", "line 2 is "),
    (f"{BUILD} --labels-file long.txt --width 8192", "line 2 has 256 digits"),
    (f"{BUILD} --labels-file torn.txt", "torn.txt: cannot be read"),
    (f"{BUILD} --labels-file missing.txt", "missing.txt: .*No such file"),
    (f"{BUILD} --labels-file empty", "empty: .*[Dd]irectory"),
    (f"{BUILD} --labels-file ''", "labels file"),
    (f"{BUILD} --labels-file 'no\nsuch'", "No such file"),
    (f"{BUILD} --labels-file bad\udcff", "bad"),
    # digits
    (f"{DIGITS}-missing", "expected one test labels file.* found none"),
    (f"{DIGITS}-truncated", "train-images-idx3-ubyte: truncated: 15695 bytes .* 15696"),
    (f"{DIGITS}-long", "train-images-idx3-ubyte: too long: 15697 bytes .* 15696"),
    (f"{DIGITS}-blank", "train-images-idx3-ubyte: begins with bytes ''"),
    (f"{DIGITS}-magic", "t10k-labels-idx1-ubyte: begins with bytes '00 00 0a 01'"),
    (f"{DIGITS}-eleven", "t10k-labels-idx1-ubyte: label 11 of item 19"),
    (f"{DIGITS}-torn", "train-images-idx3-ubyte: cannot be read"),
    (f"{DIGITS}-few", "20 images, but t10k-labels-idx1-ubyte has 19 labels"),
    (f"{DIGITS}-swapped", "train-images-idx3-ubyte: .*is it a label file"),
    (f"{DIGITS}-small", "8 x 8, expected 28 x 28"),
    (f"{DIGITS}-nothree", r"need digit 3, .*\[0, 1, 2, 4, 5, 6, 7, 8, 9\]"),
    (f"{DIGITS}-nothree --digits 1,3", "need digit 3"),
    (f"{DIGITS}-nothree --numbers 30:30", "need digit 3"),
    (f"{DIGITS}-nowhere", "digits-nowhere: no such folder"),
    (
        f"{DIGITS}-spots",
        "digits-spots: the polarity .*is not clear .*--digits-polarity white or black",
    ),
    (f"{DIGITS}-spots --digits-polarity white", "the orientation .*--digits-orientation upright"),
    (f"{DIGITS}-black", "digits-black: 20 of the train images are blank"),
    (f"{DIGITS} --digits-orientation sideways", "--digits-orientation.*'sideways'"),
    (f"{BUILD} --digits-polarity black", "--digits-polarity go with --dataset-dir"),
    ("--recipe data/manifest.json --digits-polarity black", "--digits-polarity .*--recipe"),
    (f"{BUILD} --dataset-dir file", "file: no such folder"),
    (f"{BUILD} --dataset-dir empty", "expected one train images file"),
    # count, storage, and how to run
    ("--count 0", "count is 0, expected .* from 1"),
    ("--count -5", "count is -5, expected .* from 1"),
    (f"--count {2**63}", f"count is {2**63}"),
    ("--count many", "--count.*'many'"),
    ("--count 10.5", "--count.*'10.5' is not a whole number, such as 10000, 10k, 2M or 1e4"),
    ("--count 1.0005k", "--count.*'1.0005k'"),
    ("--count 1e-1", "--count.*'1e-1'"),
    ("--count 10kk", "--count.*'10kk'"),
    ("--count k", "--count.*'k'"),
    ("--count 1e999", "--count.*'1e999'"),
    ("--count 1e99", "count is 1000000.*, expected .* from 1"),
    ("--width 200", "--count is missing"),
    ("--count 0 --dry-run", "count is 0"),
    (f"{BUILD} --workers 0", "workers is 0, expected .* from 1"),
    (f"{BUILD} --workers -2", "workers is -2"),
    (f"{BUILD} --block-size 0", "block.size is 0, expected .* from 1"),
    (f"{BUILD} --shard-size 0", "shard.size is 0, expected .* from 1"),
    (f"{BUILD} --backend dusk", "'dusk'"),
    (f"{BUILD} --format jpeg", "'jpeg'"),
    (
        f"{BUILD} --format png --compression gzip",
        "compression is 'gzip', expected 'none' with format 'png'",
    ),
    (f"{BUILD} --format png --length 201 --width 8192", "201 digits.*200.*hdf5"),
    (f"{BUILD} --quiet --verbose", "--verbose"),
    (f"{BUILD} --frobnicate", "--frobnicate"),
    (f"{BUILD} --wid 100", "--wid"),
    (f"{BUILD} extra", "extra"),
    (f"{BUILD} 'two\nlines'", "two"),
    # recipes
    (f"{BUILD} --recipe missing.json", "missing.json: there is no such file or folder"),
    (f"{BUILD} --recipe empty", "empty: .*[Dd]irectory"),
    (f"{BUILD} --recipe /dev/zero", "/dev/zero: .*no regular file"),
    (f"{BUILD} --recipe fifo", "fifo: .*no regular file"),
    (f"{BUILD} --recipe to-fifo", "to-fifo: .*no regular file"),
    (f"{BUILD} --recipe zeros", "zeros: .*begins with no bracket"),
    (f"{BUILD} --labels-file fifo", "fifo: .*no regular file"),
    (f"{BUILD} --recipe good.txt", "good.txt"),
    (f"{BUILD} --recipe letter.txt", "letter.txt: .*JSON"),
    (f"{BUILD} --recipe manifest-list/manifest.json", "list, expected a JSON object"),
    (f"{BUILD} --recipe manifest-blank/manifest.json", "manifest.json: .*JSON"),
    (f"{BUILD} --recipe data/shard-000000.json", "recipe"),
    (f"{BUILD} --recipe plan-is-text.json", "plan-is-text.json|recipe|plan"),
    (f"{BUILD} --recipe wide-text/manifest.json", "width is 'wide'"),
    (f"{BUILD} --recipe outside/manifest.json", "labels_file"),
    ("--recipe data/manifest.json --seed 5", "--seed .*--recipe"),
    ("--recipe data/manifest.json --labels-file good.txt", "--labels-file .*--recipe"),
    ("--recipe data/manifest.json --augment none", "--augment .*--recipe"),
    ("--recipe data/manifest.json --scale 0", "--scale .*--recipe"),
    # the output folder
    (f"{BUILD} --out foreign", "foreign: holds notes.txt and no plan.json"),
    (f"{BUILD} --out foreign-manifest", "holds manifest.json and no plan.json"),
    (f"{BUILD} --out .", "no plan.json"),
    (f"{BUILD} --out file", "file: is a file"),
    (f"{BUILD} --out s3://bucket/x", "--out: s3://bucket/x: storage of this kind is not supported"),
    (f"{BUILD} --out=hf+x://a", "--out: hf[+]x://a: storage"),
    (f"{BUILD} --recipe https://a/plan.json", "--recipe: https://a/plan.json: storage"),
    (f"{BUILD} --labels-file gs://a/b.txt", "--labels-file: gs://a/b.txt: storage"),
    (f"{BUILD} --dataset-dir FILE:///data", "--dataset-dir: FILE:///data: storage"),
    (f"{AGAIN} --count 59", "data: holds a dataset of 60 images, more than 59"),
    (f"{AGAIN} --seed 6", "holds another dataset .*seed: 5, not 6"),
    (f"{AGAIN} --width 101", "width: 100, not 101"),
    (f"{AGAIN} --augment none", "holds another dataset .*augment: "),
    (f"{AGAIN} --shard-size 30", "shard_size: 25, not 30"),
    (f"{AGAIN} --compression gzip", "compression: none, not gzip"),
    (f"{AGAIN} --format png", "format: hdf5, not png"),
]

FAILED_BUILDS = [
    (f"{DATA} --backend sequential --quiet --out plan-torn", "plan-torn/plan.json: .*JSON"),
    (f"{BUILD} --out file/below", "file"),
    (f"{BUILD} --out nowhere", "nowhere"),
    (f"{BUILD} --out {'x' * 300}", "[Nn]ame too long"),
]

WRONG_OTHERS = [
    ("info", "", "DATASET"),
    ("info", "data --frobnicate", "--frobnicate"),
    ("info", "data more", "more"),
    ("info", "s3://bucket/x", "DATASET: s3://bucket/x: storage"),
    ("verify", "s3://bucket/x", "DATASET: s3://bucket/x: storage"),
    ("verify", "data --deep --dataset-dir s3://bucket/x", "--dataset-dir: s3://bucket/x: storage"),
    ("preview", "nope", "nope: there is no such file or folder, expected a dataset's folder"),
    ("verify", "nope", "nope: there is no such folder, expected a dataset's folder"),
    ("verify", "file", "file: is a file, expected a dataset's folder"),
    ("preview", "s3://bucket/x", "s3://bucket/x: storage"),
    ("preview", "--out s3://bucket/x.png", "--out: s3://bucket/x.png: storage"),
    ("regenerate", "s3://bucket/x --index 0", "s3://bucket/x: storage"),
    ("regenerate", "data --index 0 --out s3://bucket/x", "--out: s3://bucket/x: storage"),
    ("regenerate", "data", "--sample-seed|--index"),
    ("regenerate", "data --index", "--index"),
    ("regenerate", "data --index x", "'x' is not a whole number"),
    ("regenerate", "data --index 1.5", "'1.5' is not a whole number"),
    ("regenerate", "data --index ''", "'' is not a whole number"),
    ("regenerate", "data --index 1 --sample-seed 1", "not allowed with"),
    ("regenerate", "data --index 60 --out new", "index 60 is not in this dataset"),
    (
        "regenerate",
        "missing --index 0 --out new",
        "missing: there is no such file or folder, expected a dataset's folder",
    ),
    ("regenerate", "/dev/zero --index 0 --out new", "/dev/zero: .*no regular file"),
    ("regenerate", "fifo --index 0 --out new", "fifo: .*no regular file"),
    ("regenerate", "good.txt --index 0 --out new", "good.txt"),
    ("regenerate", "file --index 0 --out new", "file: .*JSON"),
    ("regenerate", "long-labels.json --index 0 --out long", "255 digits.* 200"),
    ("regenerate", "plan-is-text.json --index 0 --out new", "plan-is-text.json|recipe|plan"),
    ("regenerate", "data/shard-000000.h5 --index 0 --out new", "shard-000000.h5: .*JSON"),
]

FAILED_OTHERS = [
    ("info", "missing", "missing: there is no such folder, expected a dataset's folder"),
    ("info", "file", "file"),
    ("info", "empty", "empty/manifest.json: is not there"),
    ("info", "unfinished", "unfinished: .*not finished"),
    ("info", "manifest-text", "manifest-text/manifest.json: is not JSON"),
    ("info", "manifest-torn", "manifest-torn/manifest.json: is not JSON"),
    ("info", "manifest-blank", "manifest-blank/manifest.json: is not JSON"),
    ("info", "manifest-list", "manifest.json: holds list"),
    ("info", "foreign-manifest", "foreign-manifest/manifest.json: .*'plan'"),
    ("info", "newer-format", "format version 99, expected 2"),
    ("info", "no-width", "width|recipe|fingerprint"),
    ("info", "outside", "labels_file|recipe|fingerprint"),
    ("info", "wide-text", "width is 'wide'"),
    ("regenerate", "empty --index 0 --out new", "empty/manifest.json: is not there"),
    ("regenerate", "unfinished --index 0 --out new", "unfinished: .*not finished"),
    ("regenerate", "manifest-text --index 0 --out new", "is not JSON"),
    (
        "regenerate",
        "newer-pixels --index 0 --out new",
        "generator version 99, and this is ",
    ),
    ("regenerate", "no-width --index 0 --out new", "width|recipe|fingerprint"),
    ("regenerate", "wide-text --index 0 --out new", "width is 'wide'"),
    ("regenerate", "outside --index 0 --out new", "labels_file|recipe|fingerprint"),
    ("regenerate", "shard-gone --index 30 --out new", "shard-000001.h5"),
    ("regenerate", "shard-torn --index 30 --out other", "shard-000001.h5"),
    ("regenerate", "data --index 0 --out file", "file: is no folder"),
    ("regenerate", "data --index 0 --out nowhere", "nowhere: is no folder .*a link to nothing"),
]

CALLS = [
    *(("build", arguments, 2, pattern) for arguments, pattern in WRONG_BUILDS),
    *(("build", arguments, 1, pattern) for arguments, pattern in FAILED_BUILDS),
    *((verb, arguments, 2, pattern) for verb, arguments, pattern in WRONG_OTHERS),
    *((verb, arguments, 1, pattern) for verb, arguments, pattern in FAILED_OTHERS),
]


def test_a_huge_recipe_is_refused_before_it_is_read(tmp_path, capsys):
    """A file of 4 TiB, which takes no space on the disk, is refused by its size."""
    (tmp_path / "huge").touch()
    os.truncate(tmp_path / "huge", 1 << 42)
    result = call(capsys, *shlex.split(f"build {BUILD}"), "--recipe", tmp_path / "huge")
    assert_one_line(result, 2, "huge: .*4398046511104 bytes, expected at most")


def assert_one_line(result, code, pattern):
    """Hold that a call ended with `code` and one line of error that says `pattern`."""
    assert (result.code, result.out) == (code, "")
    assert "Traceback" not in result.err
    assert result.err.endswith("\n")
    (line,) = result.err.splitlines()
    assert re.match(r"(build|regenerate|info|preview|verify)\.py: ", line), line
    assert re.search(pattern, line), line


@pytest.mark.parametrize(("verb", "arguments", "code", "pattern"), CALLS)
def test_bad_calls(capsys, faults, monkeypatch, verb, arguments, code, pattern):
    """A bad call gets one line and an exit code, prints no result, and changes no file."""
    monkeypatch.chdir(faults)
    before = tree(faults, but=[".lock"])
    result = call(capsys, verb, *shlex.split(arguments))
    assert_one_line(result, code, pattern)
    assert tree(faults, but=[".lock"]) == before


def test_a_folder_in_use_is_refused(capsys, tmp_path):
    """While one build writes, another is refused by the first one's name, and changes nothing."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / ".lock").write_text("process 7 on there")
    with (folder / ".lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = tree(tmp_path)
        result = call(capsys, "build", *shlex.split(DATA), *ALONE, "--out", folder)
        assert_one_line(result, 1, "data: another build .*process 7 on there")
        assert tree(tmp_path) == before
    assert call(capsys, "build", *shlex.split(DATA), *ALONE, "--out", folder).code == 0


def test_a_name_that_looks_like_an_address_is_a_folder(capsys, tmp_path, monkeypatch):
    """A colon in the name of the output folder is a letter like any other."""
    monkeypatch.chdir(tmp_path)
    for form in ("hdf5", "png"):
        name = f"run:{form}"
        result = call(capsys, "build", *shlex.split(DATA), *ALONE, "--format", form, "--out", name)
        assert result.code == 0, result.err
        again = call(capsys, "regenerate", name, "--index", 1, "--out", "out")
        assert again.out.endswith(", equal to the stored one\n")


# Folders that cannot be written


def refuse_writing(monkeypatch, folder):
    """Make every way of making something below a folder fail, as on a read-only file system."""

    def refused(function, writes):
        def maybe_refused(path, *rest, **more):
            handle = more.get("dir_fd")
            parent = Path(f"/proc/self/fd/{handle}").readlink() if handle else Path()
            if (parent / path).is_relative_to(folder) and writes(path, *rest):
                raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
            return function(path, *rest, **more)

        return maybe_refused

    def opens_to_write(path, flags, *rest):
        return flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)

    monkeypatch.setattr(os, "open", refused(os.open, opens_to_write))
    monkeypatch.setattr(os, "mkdir", refused(os.mkdir, lambda *_: True))
    monkeypatch.setattr(Path, "mkdir", refused(Path.mkdir, lambda path, *_: not path.exists()))


@pytest.mark.parametrize("below", ["", "new", "new/er"])
def test_a_read_only_folder_is_refused(capsys, tmp_path, monkeypatch, below):
    """Where nothing can be written, a build fails with the reason, and nothing is there."""
    folder = tmp_path / "fixed"
    folder.mkdir()
    refuse_writing(monkeypatch, folder)
    result = call(capsys, "build", *shlex.split(DATA), *ALONE, "--out", folder / below)
    assert_one_line(result, 1, "fixed.*: Read-only file system")
    assert tree(tmp_path) == {"fixed": None}


def test_a_read_only_dataset_can_be_used(capsys, faults, tmp_path, monkeypatch):
    """Reading and comparing needs no right to write beside the dataset."""
    monkeypatch.chdir(tmp_path)
    refuse_writing(monkeypatch, faults)
    assert call(capsys, "info", faults / "data").code == 0
    result = call(capsys, "regenerate", faults / "data", "--index", 3)
    assert result.out.endswith(", equal to the stored one\n")
    result = call(capsys, "regenerate", faults / "data", "--index", 3, "--out", faults / "new")
    assert_one_line(result, 1, "new: Read-only file system")


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="needs /sys")
@pytest.mark.parametrize("verb", ["build", "regenerate"])
def test_a_folder_that_not_even_root_can_make(capsys, faults, verb):
    """A place that the kernel keeps for itself is refused with the kernel's reason."""
    arguments = {
        "build": [*shlex.split(DATA), *ALONE],
        "regenerate": [faults / "data", "--index", 0],
    }
    result = call(capsys, verb, *arguments[verb], "--out", "/sys/kernel/digitseq/data")
    assert_one_line(result, 1, "/sys/kernel/digitseq.*: .+")


# Disks that are full


FORMS = ["--format hdf5", "--compression gzip", "--format png"]


def fill_disk(monkeypatch, full):
    """Make every write of a shard's bytes fail as on a full disk while `full()` is true."""
    pwrite, write_bytes = os.pwrite, Path.write_bytes

    def limited_pwrite(*rest):
        if full():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return pwrite(*rest)

    def limited_write_bytes(path, data):
        if full():
            write_bytes(path, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        return write_bytes(path, data)

    monkeypatch.setattr(os, "pwrite", limited_pwrite)
    monkeypatch.setattr(Path, "write_bytes", limited_write_bytes)


@pytest.mark.parametrize("form", FORMS)
def test_a_disk_that_fills_up(capsys, faults, tmp_path, monkeypatch, form):
    """A full disk ends a build with its reason; finished shards stay, and the rest comes later."""
    folder = tmp_path / "data"
    arguments = [*shlex.split(DATA), *ALONE, *shlex.split(form), "--out", folder]
    with monkeypatch.context() as patched:
        fill_disk(patched, (folder / "shard-000000.json").exists)
        result = call(capsys, "build", *arguments)
    assert_one_line(result, 1, "No space left on device")
    shards = [name for name in tree(folder) if name.startswith(("shard-", ".tmp-"))]
    assert shards
    assert all(name.startswith("shard-000000") for name in shards)
    kept = {path: path.stat().st_mtime_ns for path in folder.rglob("shard-000000*")}
    assert not (folder / "manifest.json").exists()
    assert call(capsys, "build", *arguments).code == 0
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    whole = manifest_of(faults / "data")["content_digest"]
    assert manifest_of(folder)["content_digest"] == whole


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("passed", [0, 1, 2, 3])
def test_a_disk_that_is_full_from_the_beginning(capsys, tmp_path, monkeypatch, form, passed):
    """Where not one shard was finished, a full disk leaves nothing, the new folders included."""
    writes = iter(range(10**6))
    arguments = [*shlex.split(DATA), *ALONE, *shlex.split(form)]
    with monkeypatch.context() as patched:
        fill_disk(patched, lambda: next(writes) >= passed)
        result = call(capsys, "build", *arguments, "--out", tmp_path / "new" / "data")
    assert_one_line(result, 1, "No space left on device")
    assert tree(tmp_path) == {}
    assert call(capsys, "build", *arguments, "--out", tmp_path / "new" / "data").code == 0


def test_a_wrong_number_of_cores_in_the_environment(capsys, tmp_path, monkeypatch):
    """A limit of cores that is no number is named, with its variable and its value."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOKY_MAX_CPU_COUNT", "abc")
    result = call(capsys, "build", *shlex.split(DATA))
    assert_one_line(result, 2, "LOKY_MAX_CPU_COUNT is 'abc', expected a whole number from 1")
    assert tree(tmp_path) == {}


def test_an_empty_folder_of_the_user_stays(capsys, tmp_path, monkeypatch):
    """A folder that was there before a build that failed is there after it, as empty as before."""
    (tmp_path / "data").mkdir()
    fill_disk(monkeypatch, lambda: True)
    result = call(capsys, "build", *shlex.split(DATA), *ALONE, "--out", tmp_path / "data")
    assert_one_line(result, 1, "No space left on device")
    assert tree(tmp_path) == {"data": None}


def test_a_log_that_cannot_be_written_is_no_noise(capsys, tmp_path, monkeypatch):
    """Where the build's log does not fit on the disk, no traceback of the logging is shown."""
    flush = logging.StreamHandler.flush

    def limited(handler):
        if str(getattr(handler, "baseFilename", "")).endswith("build.log"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(handler)

    monkeypatch.setattr(logging.StreamHandler, "flush", limited)
    result = call(capsys, "build", *shlex.split(DATA), *ALONE, "--out", tmp_path / "data")
    assert result.code in (0, 1)
    assert len(result.err.splitlines()) == result.code, result.err


# Standard streams


FULL = "standard output: No space left on device; not all is printed\n"


@pytest.mark.parametrize(
    ("redirection", "err"), [(">&-", ""), ("2>&1 | true", ""), (">/dev/full", FULL)]
)
def test_exit_codes_speak_of_the_dataset(faults, redirection, err):
    """A stream that is closed, or takes nothing, changes no exit code."""
    line = f'set -o pipefail; "$@" {redirection}'
    result = command("bash", "-c", line, "bash", *script("info"), "data", cwd=faults)
    assert (result.code, result.err) == (0, err)


@pytest.mark.parametrize(
    ("redirection", "options"),
    [("<&- >&- 2>&-", "--workers 2"), ("2>/dev/full", "--backend sequential --verbose")],
)
def test_a_build_needs_no_streams(faults, tmp_path, redirection, options):
    """A dataset is made, although nobody sees what is printed; several workers make it too."""
    call = [*script("build"), *shlex.split(DATA), *options.split(), "--out", tmp_path / "data"]
    result = command("bash", "-c", f'"$@" {redirection}', "bash", *call, cwd=tmp_path)
    assert (result.code, result.err) == (0, "")
    whole = manifest_of(faults / "data")["content_digest"]
    assert manifest_of(tmp_path / "data")["content_digest"] == whole


def test_a_program_without_streams_can_build(tmp_path):
    """In Python too, several workers start although the standard streams are closed."""
    lines = (
        "from builder import *",
        "result = build(Recipe(), 2, 'data', shard_size=1, workers=2, progress=True)",
        "raise SystemExit(0 if result.made == 2 else 3)",
    )
    call = [sys.executable, "-c", "\n".join(lines)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    closed = '"$@" <&- >&- 2>&-'
    result = command("bash", "-c", closed, "bash", *call, cwd=tmp_path, env=environment)
    assert result.code == 0


@pytest.mark.parametrize("verb", ["build", "verify"])
def test_a_stream_need_not_know_every_character(faults, tmp_path, verb):
    """What the encoding of a stream lacks, and bytes that are no text, are printed as escapes."""
    folder = tmp_path / "data\u00e9\udcff"
    if verb == "build":
        arguments = [*shlex.split(DATA), *ALONE, "--out", folder]
    else:
        shutil.copytree(faults / "data", folder)
        arguments = [folder]
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    result = command(*script(verb), *arguments, cwd=tmp_path, env=ascii_only)
    assert (result.code, result.err) == (0, "")
    assert "data\\xe9\\udcff: " in result.out


def test_escape_sequences_are_shown(capsys, faults, tmp_path):
    """What would move a cursor or change a title is printed as its escape, in every line."""
    folder = tmp_path / "data\x1b[2J"
    shutil.copytree(faults / "data", folder)
    (folder / "shard-000009.h5\x1b]0;x\x07").touch()
    (folder / "shard-000001.h5").unlink()
    build = ["build", *shlex.split(DATA), "--backend", "sequential", "--out"]
    calls = [
        ["info", folder],
        ["verify", folder],
        ["verify", folder, "--repair"],
        ["regenerate", folder, "--index", "3", "--out", folder / "new"],
        ["preview", folder, "--count", "1", "--out", tmp_path / "\x9b.png"],
        ["preview", folder, "--count", "1", "--out", tmp_path / "\x9b.jpg"],
        [*build, folder, "--dry-run"],
        [*build, folder],
        [*build, tmp_path / "\u202egnp.exe"],
    ]
    for arguments in calls:
        result = call(capsys, *arguments)
        text = result.out + result.err.replace("\r", "\n")
        assert all(line.isprintable() for line in text.split("\n")), text
        assert re.search(r"\\x1b\[2J|\\x9b|\\u202e", text), arguments


def test_the_log_is_lines_of_text(tmp_path):
    """A name in a log line is escaped, whatever bytes it has, and no line is lost."""
    path = tmp_path / "build.log"
    with log_to(LogFile(path, partial(path.open, "a", encoding="utf-8"))):
        log.info("%s is here", "data\x1b[2J\udcff\n")
    assert path.read_text().endswith(" data\\x1b[2J\\udcff\\n is here\n")


@pytest.mark.untraced
@pytest.mark.parametrize(
    ("form", "limit"),
    [
        ("--format hdf5", 10),
        ("--format hdf5", 700),
        ("--format hdf5", 1500),
        ("--format hdf5", 40_000),
        ("--compression gzip", 20_000),
        ("--format png", 3000),
    ],
)
def test_a_file_that_may_not_grow(tmp_path, form, limit):
    """Where the system itself refuses a write, whichever library makes it, one line says so."""
    options = [*shlex.split(DATA), *ALONE, *shlex.split(form), "--out", "data"]
    limits = (limit, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    hold = partial(resource.setrlimit, resource.RLIMIT_FSIZE, limits)
    result = command(*script("build"), *options, cwd=tmp_path, preexec_fn=hold)
    assert_one_line(result, 1, "File too large")
    assert tree(tmp_path) == {}


@pytest.mark.untraced
@pytest.mark.parametrize("backend", ["loky", "threads"])
def test_workers_leave_nothing_behind(tmp_path, backend):
    """A worker whose write fails ends the build as the process itself does, leftovers included."""
    (tmp_path / "data").mkdir()
    options = [*shlex.split(DATA), "--shard-size", 5, "--quiet", "--backend", backend]
    limits = (20_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1])
    hold = partial(resource.setrlimit, resource.RLIMIT_FSIZE, limits)
    result = command(
        *script("build"), *options, "--workers", 2, "--out", "data", cwd=tmp_path, preexec_fn=hold
    )
    assert_one_line(result, 1, "File too large")
    assert tree(tmp_path) == {"data": None}
