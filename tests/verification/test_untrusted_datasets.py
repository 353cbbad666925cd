"""Datasets from somebody else: they open no other file, take little memory, and fail in one line.

A file outside of the dataset, the canary, is watched by the kernel (inotify), which sees every
library that opens it, compiled or not.
"""

from __future__ import annotations

import ctypes
import gzip
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import time
import zlib
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builder import Recipe, build, open_dataset, verify
from builder.cli import main
from builder.common import atomic_files, cache, untrusted_files
from builder.common.errors import BuilderError, DatasetError
from builder.planner import planner
from builder.recipe import digit_files, labels_file
from builder.storage import manifest
from builder.storage.config import DatasetConfig, StorageOptions
from builder.storage.formats import png_file
from builder.storage.manifest import CompletionRecord, FileRecord, Manifest
from builder.storage.statistics import Statistics
from tests.conftest import read_all

ROOT = Path(__file__).parents[2]
COUNT, SIZE, WIDTH = 50, 20, 100
FORMS = {"hdf5": {}, "gzip": {"compression": "gzip"}, "png": {"format": "png"}}
OPENED = 0x20  # IN_OPEN
CANARY = b"28 canaries sing "
FEW = settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module", params=FORMS)
def form(request):
    """Return the name of each form of a dataset."""
    return request.param


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Return a folder of undamaged datasets, one of each form, with labels from a file."""
    folder = tmp_path_factory.mktemp("originals")
    (folder / "labels.txt").write_text("".join(f"{n}\n" for n in range(90, 130)))
    recipe = Recipe(seed=3, labels_file=folder / "labels.txt", width=WIDTH, spacing=(0, 2))
    for name, storage in FORMS.items():
        build(recipe, COUNT, folder / name, shard_size=SIZE, backend="sequential", **storage)
    return folder


@pytest.fixture
def copy(originals, tmp_path):
    """Return a function that copies one of the datasets, for the test to damage."""

    def copy_of(form):
        shutil.rmtree(tmp_path / "set", ignore_errors=True)
        return Path(shutil.copytree(originals / form, tmp_path / "set"))

    return copy_of


@contextmanager
def no_file_opened(folder):
    """Assert that no library opens a file of a folder in the body."""
    libc = ctypes.CDLL(None, use_errno=True)
    if not hasattr(libc, "inotify_init1"):
        pytest.skip("needs inotify")
    watch = libc.inotify_init1(os.O_NONBLOCK)
    try:
        assert libc.inotify_add_watch(watch, os.fsencode(folder), OPENED) >= 0
        yield
        with pytest.raises(BlockingIOError):
            os.read(watch, 4096)
    finally:
        os.close(watch)


def read_dataset(folder):
    """Read every sample of a dataset, and its recipe."""
    data = open_dataset(folder)
    try:
        found = read_all(data[:])
        assert data.recipe.width == WIDTH
        return found
    finally:
        data.close()


def expect_refusal(folder, message="", most=2000):
    """Assert that a dataset is refused in one line that names the folder and matches `message`."""
    with pytest.raises(DatasetError, match=message) as caught:
        read_dataset(folder)
    line = str(caught.value)
    assert line.isprintable()
    assert str(folder) in line
    assert len(line) < most


def edit_json(folder, change, name="manifest.json"):
    """Change a JSON file of a dataset."""
    values = json.loads((folder / name).read_text())
    change(values)
    (folder / name).write_text(json.dumps(values))


def first_image(form):
    """Return the name of a dataset's first file of images."""
    return f"shard-000000/{png_file.file_name(0, '90')}" if form == "png" else "shard-000000.h5"


def test_the_canary_can_be_heard(originals, form):
    """The undamaged datasets can be read, and the watch sees each file that is opened."""
    assert read_dataset(originals / form).texts[:3] == ["90", "91", "92"]
    with (
        pytest.raises(pytest.fail.Exception),
        no_file_opened((originals / form / first_image(form)).parent),
    ):
        read_dataset(originals / form)


# Names, links, and what is no file


def names_of(form):
    """Return the name of every file and folder that a reader opens."""
    inside = ["shard-000000", "shard-000000.h5"] if form == "png" else []
    return ["manifest.json", "labels.txt.gz", first_image(form), *inside]


def test_links_are_not_followed(copy, tmp_path, form):
    """A link in place of any file or folder is refused, and its target is not opened."""
    for name in names_of(form):
        folder = copy(form)
        outside = tmp_path / "outside"
        shutil.rmtree(outside, ignore_errors=True)
        outside.mkdir()
        (folder / name).rename(outside / "canary")
        (folder / name).symlink_to(outside / "canary")
        with no_file_opened(outside):
            expect_refusal(folder, "symbolic link")


def test_the_folder_itself_may_be_a_link(copy, tmp_path, form):
    """The folder that the user names may be a link."""
    (tmp_path / "link").symlink_to(copy(form))
    assert len(read_dataset(tmp_path / "link")) == COUNT


def test_fifos_and_folders_are_no_files(copy, form):
    """A FIFO does not block the reader, and a folder in place of a file is refused."""
    for make in (os.mkfifo, os.mkdir):
        for name in names_of(form):
            if name == "shard-000000" and make is os.mkdir:
                continue
            folder = copy(form)
            (folder / name).rename(folder / "away")
            make(folder / name)
            expect_refusal(folder, "no regular file|is no folder|is not there")


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="needs /dev/zero")
def test_a_device_is_no_file():
    """A device is refused though it can be opened."""
    with pytest.raises(DatasetError, match="no regular file"):
        untrusted_files.open_untrusted(Path("/dev"), "zero")


@pytest.mark.parametrize("name", ["../canary", "/etc/passwd", ".", "", "a//b", "shard-0/../x"])
def test_names_lead_nowhere_else(tmp_path, name):
    """A name that leaves the folder is refused as such."""
    (tmp_path / "canary").write_bytes(CANARY)
    (tmp_path / "set").mkdir()
    with pytest.raises(DatasetError, match="is no name"):
        untrusted_files.open_untrusted(tmp_path / "set", name)


@pytest.mark.parametrize("name", ["../canary", "/etc/passwd", "shard-000001.h5", "", "\x1b[2J"])
@pytest.mark.parametrize("part", [0, 1, "record"])
def test_names_are_those_of_the_plan(copy, name, part):
    """A manifest that names other files than the plan implies is refused."""
    folder = copy("hdf5")

    def rename(manifest):
        entry = manifest["shards"][0]
        (entry["record"] if part == "record" else entry["files"][part]).update(name=name)

    edit_json(folder, rename)
    expect_refusal(folder, "shard-000000: names .*expected shard-000000.h5")


@pytest.mark.parametrize("length", [2, 0, 200])
def test_labels_of_png_files_name_no_paths(copy, tmp_path, length):
    """A label is part of a file name, so it must be digits only, as many as its length."""
    path = copy("png") / "shard-000000.h5"
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "canary.png").write_bytes(CANARY)
    with h5py.File(path, "r+") as file:
        file["labels"][0] = ord("/") - ord("0")
        file["lengths"][0] = length
    with no_file_opened(outside):
        expect_refusal(path.parent, r"holds label .* for sample 0, expected 1 to 3 digits")


# HDF5


def replace_dataset(file, name, values, **options):
    """Replace a dataset of an HDF5 file."""
    del file[name]
    return file.create_dataset(name, data=values, **options)


def external_link(file, outside):
    images = file["images"][:]
    with h5py.File(outside / "canary.h5", "w") as other:
        other["images"] = images
    del file["images"]
    file["images"] = h5py.ExternalLink(str(outside / "canary.h5"), "images")


def soft_link(file, outside):
    file.move("images", "else")
    file["images"] = h5py.SoftLink("/else")


def external_storage(file, outside):
    shape = file["images"].shape
    (outside / "canary.raw").write_bytes(file["images"][:].tobytes())
    del file["images"]
    where = [(str(outside / "canary.raw"), 0, h5py.h5f.UNLIMITED)]
    file.create_dataset("images", shape, "u1", external=where)


def virtual(file, outside):
    images = file["images"][:]
    with h5py.File(outside / "canary.h5", "w") as other:
        other.create_dataset("images", data=images, maxshape=(None, *images.shape[1:]))
    layout = h5py.VirtualLayout(images.shape, "u1", maxshape=(None, *images.shape[1:]))
    layout[:] = h5py.VirtualSource(str(outside / "canary.h5"), "images", images.shape)
    del file["images"]
    file.create_virtual_dataset("images", layout)


def committed(file, outside):
    values = file["lengths"][:]
    file["kind"] = np.dtype("u1")
    replace_dataset(file, "lengths", values, dtype=file["kind"])


def scalar(file, outside):
    replace_dataset(file, "lengths", 5)


def larger_type(file, outside):
    replace_dataset(file, "index", file["index"][:].astype(">i8"))


def text(file, outside):
    replace_dataset(file, "lengths", ["x"] * SIZE)


def a_group(file, outside):
    del file["images"]
    file.create_group("images")


def absurd(file, outside):
    del file["images"]
    file.create_dataset("images", (10**12, 28, WIDTH), "u1", chunks=(16, 28, WIDTH))


def compact(file, outside):
    values = file["lengths"][:]
    del file["lengths"]
    made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    made.set_layout(h5py.h5d.COMPACT)
    kind = h5py.h5t.py_create(values.dtype)
    space = h5py.h5s.create_simple(values.shape)
    h5py.h5d.create(file.id, b"lengths", kind, space, made).write(
        h5py.h5s.ALL, h5py.h5s.ALL, values
    )


def unwritten(file, outside):
    shape = file["images"].shape
    del file["images"]
    file.create_dataset("images", shape, "u1")


ATTACKS = [
    (external_link, "link to elsewhere"),
    (soft_link, "link to elsewhere"),
    (external_storage, "in other files"),
    (virtual, "virtual"),
    (committed, "another type"),
    (scalar, "expected"),
    (larger_type, "another type"),
    (text, "another type"),
    (a_group, "cannot be opened"),
    (absurd, "expected"),
    (compact, "compact"),
    (unwritten, "0 bytes at None"),
]


@pytest.mark.parametrize(("attack", "message"), ATTACKS)
def test_hdf5_that_is_not_as_planned(copy, tmp_path, attack, message):
    """Links, external storage, other types and shapes are refused, and no other file is opened."""
    folder = copy("hdf5")
    outside = tmp_path / "outside"
    outside.mkdir()
    with h5py.File(folder / "shard-000000.h5", "r+") as file:
        attack(file, outside)
    with no_file_opened(outside):
        expect_refusal(folder, message)


def replace_with_chunks(file, filters):
    """Store images in chunks as a gzipped shard does, with other filters."""
    images = file["images"][:]
    return replace_dataset(file, "images", images, chunks=(16, 28, WIDTH), **filters)


@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"compression": "gzip", "shuffle": True},
        {"compression": "lzf"},
        {"fletcher32": True},
        {"compression": "gzip", "fletcher32": True},
    ],
)
def test_only_the_planned_filter_is_known(copy, filters):
    """Chunks with any filters but deflate alone are refused."""
    folder = copy("gzip")
    with h5py.File(folder / "shard-000000.h5", "r+") as file:
        replace_with_chunks(file, filters)
    expect_refusal(folder, "with filters")


def test_no_plugin_is_looked_for(copy, tmp_path):
    """An unknown filter number loads no plugin, though HDF5 alone would."""
    folder = copy("gzip")
    path = folder / "shard-000000.h5"
    with h5py.File(path, "r+") as file:
        images = replace_with_chunks(file, {"compression": "lzf"})
        assert images.id.get_create_plist().get_filter(0)[0] == h5py.h5z.FILTER_LZF
    data = path.read_bytes()  # LZF's number, 32000, becomes one that is nobody's
    assert struct.pack("<H", 32000) in data
    path.write_bytes(data.replace(struct.pack("<H", 32000), struct.pack("<H", 32999)))
    outside = tmp_path / "plugins"
    outside.mkdir()
    (outside / "libcanary.so").write_bytes(CANARY)
    h5py.h5pl.prepend(str(outside).encode())
    try:
        with no_file_opened(outside):
            expect_refusal(folder, "32999")
        # h5py alone loads it
        with h5py.File(path) as file, pytest.raises(OSError, match=r"dlopen.*libcanary"):
            file["images"][:]
    finally:
        h5py.h5pl.remove(0)


@pytest.mark.parametrize(
    ("chunk", "message"),
    [
        (zlib.compress(bytes(20_000_000)), "cut or longer"),
        (zlib.compress(bytes(100)), "cut or longer"),
        (zlib.compress(bytes(16 * 28 * WIDTH))[:-1], "cut or longer"),
        (b"no zlib at all", "damaged"),
        (bytes(16 * 28 * WIDTH + 5000), "whole ones"),
        (None, "whole ones"),
    ],
)
def test_chunks_inflate_to_their_size_or_not_at_all(copy, chunk, message):
    """Chunks that inflate to another size, are damaged, too long or missing are refused."""
    folder = copy("gzip")
    with h5py.File(folder / "shard-000000.h5", "r+") as file:
        images = file["images"]
        shape, made = images.shape, {"chunks": images.chunks, "compression": "gzip"}
        whole = images.id.read_direct_chunk((0, 0, 0))[1]
        del file["images"]
        images = file.create_dataset("images", shape, "u1", **made)
        images.id.write_direct_chunk((0, 0, 0), whole)
        if chunk is not None:
            images.id.write_direct_chunk((16, 0, 0), chunk)
    expect_refusal(folder, message)


@pytest.mark.parametrize("form", ["hdf5", "gzip"])
def test_a_file_that_is_cut_while_it_is_open(copy, form):
    """A shard that is cut after it was opened is refused without a crash."""
    folder = copy(form)
    data = open_dataset(folder)
    assert data[0].text == "90"
    assert data[0].image.any()
    os.truncate(folder / "shard-000000.h5", 3000)
    with pytest.raises(DatasetError, match="was cut"):
        read_all(data[19:20])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("labels", 99),
        ("labels", -2),
        ("labels", -1),
        ("lengths", 0),
        ("lengths", 200),
        ("index", 7),
        ("glyphs", -7),
        ("glyphs", -1),
        ("quads", np.inf),
        ("quads", 1e30),
        ("visible", 1.5),
        ("visible", -0.5),
        ("boxes", np.nan),
        ("boxes", 1e30),
        ("boxes", [0, 0, WIDTH + 1, 5]),
        ("boxes", [0, 0, 5, 29]),
        ("boxes", [-1, 0, 5, 5]),
        ("boxes", [0, -1, 5, 5]),
        ("boxes", [5, 0, 5, 5]),
        ("boxes", [0, 5, 5, 5]),
    ],
)
def test_values_that_no_sample_has(copy, name, value):
    """Impossible labels, indices, glyphs and coordinates are refused by name."""
    folder = copy("hdf5")
    with h5py.File(folder / "shard-000000.h5", "r+") as file:
        file[name][(3, 0) if name == "boxes" else 3] = value
    expect_refusal(folder, f"sample 3 that it cannot have: .*{name}")


@pytest.mark.parametrize(("row", "label", "length"), [(3, -1, 0), (10, 1, 200)])
def test_lengths_are_from_one_to_the_longest(copy, row, label, length):
    """A label without digits, and one longer than the longest, are refused."""
    folder = copy("hdf5")
    with h5py.File(folder / "shard-000000.h5", "r+") as file:
        file["labels"][row], file["lengths"][row] = label, length
    expect_refusal(folder, f"sample {row} that it cannot have: labels")


@pytest.mark.parametrize(("name", "value"), [("boxes", [1, 1, 5, 5]), ("glyphs", 3)])
def test_padding_holds_nothing(copy, name, value):
    """A box or a glyph past the last digit of a label is refused."""
    folder = copy("hdf5")
    with h5py.File(folder / "shard-000000.h5", "r+") as file:
        assert file["lengths"][3] == 2
        file[name][3, 2] = value
    expect_refusal(folder, f"sample 3 that it cannot have: {name}")


def test_masks_hold_no_digit_that_is_not_there(tmp_path):
    """A mask with a position past the last digit of the label is refused."""
    recipe = Recipe(seed=1, length=(1, 2), width=WIDTH)
    build(recipe, 20, tmp_path / "set", masks=True, backend="sequential")
    assert open_dataset(tmp_path / "set")[:].masks.max() == 2
    with h5py.File(tmp_path / "set" / "shard-000000.h5", "r+") as file:
        row = int(np.argmin(file["lengths"][:]))
        file["masks"][row, 0, 0] = 2
    with pytest.raises(DatasetError, match=f"sample {row} that it cannot have: masks"):
        open_dataset(tmp_path / "set")[:].masks  # noqa: B018


@pytest.mark.parametrize("damage", ["cut", "flipped", "other values"])
@pytest.mark.parametrize("form", ["hdf5", "gzip"])
def test_a_shard_that_was_mended_is_read_again(copy, originals, form, damage):
    """A dataset that found a shard damaged reads the repaired file."""
    folder = copy(form)
    shard = folder / "shard-000000.h5"
    if damage == "flipped":
        with h5py.File(shard) as file:
            place = 0 if form == "hdf5" else file["images"].id.get_chunk_info(0).byte_offset
        with shard.open("r+b") as file:
            file.seek(place)
            file.write(b"\xff" * 8)
    elif damage == "other values":
        with h5py.File(shard, "r+") as file:
            file["index"][3] = 7
    data = open_dataset(folder)
    if damage == "cut":
        assert data[0].image.any()
        os.truncate(shard, 3000)
    for use_of in (lambda: read_all(data[:20]), lambda: (data[0].image, data[3].index)):
        with pytest.raises(DatasetError, match="shard-000000"):
            use_of()
    shutil.copy(originals / form / shard.name, folder / "mended")
    (folder / "mended").replace(shard)
    assert data[0].image.any()
    assert np.array_equal(read_all(data[:]).index, range(COUNT))


# Sizes


@contextmanager
def memory_limit(most):
    """Assert that the body takes at most `most` bytes at any time."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = memory_figure("VmRSS")
    yield
    assert memory_figure("VmHWM") - before < most


def memory_figure(what):
    """Return a figure of this process's memory, bytes."""
    return int(re.search(rf"{what}:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024


try:
    Path("/proc/self/clear_refs").write_text("5")
    measured = pytest.mark.skipif(False, reason="")
except OSError:
    measured = pytest.mark.skip(reason="needs /proc/self/clear_refs")


@measured
@pytest.mark.parametrize("size", [20, 10**8, 5 * 10**7])
def test_absurd_counts_take_no_memory(copy, size):
    """A small manifest that claims 10^12 images is refused at once."""
    folder = copy("hdf5")
    edit_json(folder, lambda m: m["plan"].update(count=10**12))
    edit_json(folder, lambda m: m["plan"]["storage"].update(shard_size=size))
    with memory_limit(50 << 20):
        expect_refusal(folder, "lists 3 shards, expected|is of 50000000000 shards, expected")


@measured
def test_a_shard_that_claims_more_than_its_file_holds(copy):
    """A shard that claims 10^8 images is refused when it is opened."""
    for form in FORMS:
        folder = copy(form)
        edit_json(folder, lambda m: claim_one_shard(m, 10**8))
        with memory_limit(50 << 20), pytest.raises(DatasetError, match="expected"):
            read_all(open_dataset(folder)[-256:])


def claim_one_shard(manifest, count):
    """Make the first shard the only one of a manifest, with a count of one's choice."""
    manifest["plan"]["count"] = count
    manifest["plan"]["storage"]["shard_size"] = count
    manifest["shards"] = manifest["shards"][:1]
    manifest["shards"][0]["shard"]["count"] = count
    manifest["content_digest"] = manifest["shards"][0]["content_digest"]
    manifest["length_counts"] = {"2": count}


@measured
def test_bombs_of_labels(copy, tmp_path):
    """A labels file is inflated up to the size that the recipe implies, or the limit."""
    folder = copy("hdf5")
    (folder / "labels.txt.gz").write_bytes(gzip.compress(b"1\n" * 100_000_000, 1))
    with memory_limit(20 << 20):
        expect_refusal(folder, r"labels.txt.gz: is not the labels file")


def test_labels_are_cached_only_where_samples_are_rendered(copy, tmp_path, monkeypatch):
    """A quick and a full check store nothing of somebody else's labels file, a deep one its own."""
    folder, stored = copy("hdf5"), []
    (tmp_path / "cache").mkdir()
    for entry in cache.cache_folder().iterdir():
        if not entry.name.startswith("labels-"):
            (tmp_path / "cache" / entry.name).symlink_to(entry)
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path / "cache")
    labels_file.open_lines.cache_clear()
    planner.open_planner.cache_clear()
    plain = cache.store
    monkeypatch.setattr(
        cache, "store", lambda entry, arrays: stored.append(entry) or plain(entry, arrays)
    )
    for level in ("quick", "full"):
        assert verify(folder, level, workers=1).whole
    assert stored == []
    assert verify(folder, "deep", workers=1).whole
    assert len(stored) == 1
    text = b"1\n2\n"
    (folder / "labels.txt.gz").write_bytes(gzip.compress(text))
    for level in ("quick", "full", "deep"):
        assert not verify(folder, level, workers=1).whole
    assert len(stored) == 1


def test_labels_files_have_a_limit(monkeypatch, tmp_path):
    """A user's labels file that is too large is refused."""
    # files of the real limit take too long
    monkeypatch.setattr(labels_file, "MAX_TEXT_BYTES", 1000)
    (tmp_path / "l.gz").write_bytes(gzip.compress(b"1\n" * 501))
    with pytest.raises(BuilderError, match="more than 1000 bytes"):
        Recipe(labels_file=tmp_path / "l.gz")


@measured
def test_bombs_of_digits(tmp_path):
    """An IDX file is inflated up to the size in its header, and headers have a limit."""
    path = tmp_path / "train-images-idx3-ubyte.gz"
    head = b"\0\0\x08\x03" + struct.pack(">3I", 2, 28, 28)
    path.write_bytes(gzip.compress(head + bytes(300_000_000), 1))
    with memory_limit(20 << 20), pytest.raises(BuilderError, match="too long: 1585 bytes or more"):
        digit_files.read_idx(path)
    path.write_bytes(b"\0\0\x08\x03" + b"\xff" * 12)
    with pytest.raises(BuilderError, match="truncated: 16 bytes"):
        digit_files.read_idx(path)


def png_file_of(width, deflated):
    """Return a grey PNG file 28 px high, of rows that are deflated already."""

    def chunk(kind, data):
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">II5B", width, 28, 8, 0, 0, 0, 0)
    chunks = chunk(b"IHDR", head) + chunk(b"IDAT", deflated) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


@measured
def test_bombs_of_pixels(copy):
    """A PNG of another size, and a file too large for one, are refused before decoding."""
    folder = copy("png")
    read_dataset(folder)  # what it loads is loaded
    path = folder / first_image("png")
    good = path.read_bytes()
    rows = zlib.compress(bytes(28 * 900_001), 9)
    path.write_bytes(png_file_of(900_000, rows))
    with memory_limit(20 << 20):
        expect_refusal(folder, "is not a grey PNG of 100 x 28 px")
    rows = zlib.compress(bytes(28 * (WIDTH + 1)) + bytes(10_000_000), 9)
    path.write_bytes(png_file_of(WIDTH, rows))
    with memory_limit(20 << 20):
        read_dataset(folder)  # what follows the rows is not inflated
    path.write_bytes(good + bytes(100_000))
    expect_refusal(folder, "has .* bytes, expected at most")


def test_json_has_a_limit(copy, monkeypatch):
    """A manifest that is too large, or has too many values for its size, is not parsed."""
    folder = copy("hdf5")
    (folder / "manifest.json").write_bytes(b"[" + b"{}," * 1_000_000 + b"{}]")
    expect_refusal(folder, "values in 3000004 bytes")
    # files of the real limit take too long
    monkeypatch.setitem(manifest.MOST_BYTES, "manifest.json", 1000)
    expect_refusal(folder, "expected at most 1000")
    (folder / "x.json").write_bytes(b" " * (manifest.MOST_OF_OTHERS + 1))
    with pytest.raises(DatasetError, match="expected at most"):
        manifest.read_model(folder / "x.json", CompletionRecord)


def test_the_largest_plan_and_record_are_within_their_limit():
    """No plan or record that can be has more than a quarter of what may be read of it."""
    digits, most = [9] * 255, (1 << 127) - 1
    config = DatasetConfig.of(
        Recipe(digits=digits, width=8192, seed=2**64 - 1, spacing=(-9, -9), augment="strong"),
        StorageOptions(compression="gzip", masks=True, shard_size=10**8),
        10**14,
    )
    shard = config.shard(config.shard_count - 1)
    record = CompletionRecord(
        shard=shard,
        files=[FileRecord(name="x" * 30, bytes=most, sha256="f" * 64)] * 2,
        statistics=Statistics(
            pixel_sum=most,
            pixel_square_sum=most,
            class_counts=[most] * 10,
            length_counts=dict.fromkeys(range(1, 256), 10**8),
        ),
        fingerprint=config.fingerprint,
        generator_version=2,
    )
    for model in (config, record):
        size = len(atomic_files.json_bytes(model.model_dump(mode="json")))
        assert 1000 < size < manifest.MOST_OF_OTHERS / 4, size


# JSON


def test_doubled_keys_are_found_in_one_pass():
    """The time of the search grows with the number of keys, and not with its square."""
    keys = ",".join(f'"{number}":0' for number in range(90_000))
    started = time.perf_counter()
    with pytest.raises(ValueError, match="'89999' twice"):
        untrusted_files.parse_json(f'{{{keys},"89999":0}}'.encode())
    assert time.perf_counter() - started < 10  # it took minutes


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"plan": NaN}', "holds NaN"),
        (b'{"plan": -Infinity}', "holds -Infinity"),
        (b'{"plan": 1, "plan": 2}', "'plan' twice"),
        (b"[" * 100_000, "is not JSON"),
        (b'{"plan": ' + b"9" * 5000 + b"}", "is not JSON"),
        ('{"plan": "\u00e9"}'.encode("latin-1"), "is not JSON"),
        ('{"plan": 1}'.encode("utf-16"), "is not JSON"),
        (b'\xef\xbb\xbf{"plan": 1}', "is not JSON"),
        (b'{"\\ud800": 1}', "is not JSON"),
        (b'{"plan": ' + b"[" * 900 + b"]" * 900 + b"}", "plan is"),
        (b"3", "holds int"),
        (b'"x"', "holds str"),
        (b"", "is not JSON"),
    ],
)
def test_wrong_json(copy, text, message):
    """Anything but strict JSON of a manifest is refused in one short line."""
    folder = copy("hdf5")
    (folder / "manifest.json").write_bytes(text)
    expect_refusal(folder, message, most=500)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["shards"].pop(), "lists 2 shards, expected 3"),
        (lambda m: m["shards"].append(m["shards"][0]), "lists 4 shards"),
        (lambda m: m["shards"].reverse(), "lists shard-000002 .*expected shard-000000 "),
        (lambda m: m["shards"].__setitem__(1, m["shards"][0]), "expected shard-000001 "),
        (lambda m: m["shards"][0]["shard"].update(number=-1), "number"),
        (lambda m: m["shards"][0]["shard"].update(start=-20), "start"),
        (lambda m: m["shards"][1]["shard"].update(start=0), "expected shard-0"),
        (lambda m: m["shards"][0]["shard"].update(count=19), "expected shard-0"),
        (lambda m: m["shards"][0]["shard"].update(count=True), "count"),
        (lambda m: m["shards"][0]["shard"].update(count="20"), "count"),
        (lambda m: m["shards"][0]["shard"].update(count=20.0), "count"),
        (lambda m: m["shards"][0]["shard"].update(count=10**4000), "count"),
        (lambda m: m["shards"][0].update(content_digest="c1:0"), "content digest is 'c1:0'"),
        (lambda m: m.update(content_digest="c1:" + "0" * 32), "not the sum"),
        (lambda m: m.update(class_counts=[1]), "class_counts is \\[1\\], expected"),
        (lambda m: m.update(length_counts={"2": 3}), "counts 3 labels, expected 50"),
        (lambda m: m.update(length_counts={"x": 3}), "length_counts"),
        (lambda m: m.update(pixel_mean=10**4000), "pixel_mean"),
        (lambda m: m.update(shards=None), "shards"),
        (lambda m: m.update(shards={}), "shards"),
        (lambda m: m.update({"x" * 10**5: 1}), "Manifest has no field 'xxx"),
        (lambda m: m.update({"\x1b[2Jx": 1}), r"no field '\\x1b\[2Jx'"),
        (lambda m: m.pop("licence"), "lacks the field 'licence'"),
        (lambda m: m["plan"].update(generator_version="2"), "generator_version"),
        (lambda m: m["plan"].update(format_version=3), "format version 3, expected 2"),
        (lambda m: m["plan"].update(fingerprint="0" * 64), "fingerprint"),
        (lambda m: m["plan"].update(count=-1), "count"),
        (lambda m: m["plan"].update(recipe=[]), "recipe"),
        (lambda m: m["plan"]["recipe"].update(width=10**9), "width"),
        (lambda m: m["plan"]["recipe"].update(augment=[[1] * 10**5]), "augment is "),
        (lambda m: m["plan"]["recipe"].update(recipe_version="x" * 10**5), "recipe_version is "),
        (lambda m: m["plan"]["recipe"]["labels_file"].update(lines=39), "fingerprint"),
        (lambda m: m["plan"]["storage"].update(compression="lzf"), "compression"),
        (lambda m: m["plan"]["storage"].update(compression="gzip"), "in deflated chunks"),
    ],
)
def test_manifests_that_do_not_fit(copy, change, message):
    """A shard table with missing, doubled, negative or reordered lines, and other wrong values."""
    folder = copy("hdf5")
    edit_json(folder, change)
    expect_refusal(folder, message)


# Commands


@pytest.mark.parametrize(
    "harm",
    [
        lambda f: (f / "manifest.json").write_bytes(b"[" * 100_000),
        lambda f: ((f / "manifest.json").unlink(), os.mkfifo(f / "manifest.json")),
        lambda f: edit_json(f, lambda m: m["shards"].reverse()),
        lambda f: edit_json(f, lambda m: m["plan"].update(count=10**12)),
    ],
)
def test_commands_say_one_line_and_end_with_1(copy, capsys, harm, tmp_path):
    """Every command that takes a dataset refuses a damaged one in one line, with exit code 1."""
    folder = copy("hdf5")
    harm(folder)
    calls = {
        "info": [],
        "regenerate": ["--index", "0", "--out", tmp_path / "new"],
        "preview": ["--out", tmp_path / "new.png"],
    }
    for verb, options in calls.items():
        assert main(verb, [str(part) for part in (folder, *options)]) == 1
        message = capsys.readouterr()
        assert message.out == ""
        assert len(message.err.splitlines()) == 1
    assert not (tmp_path / "new").exists()
    assert not (tmp_path / "new.png").exists()


def test_what_is_printed_moves_no_cursor(copy, capsys):
    """Texts of a manifest are printed with their control characters escaped."""
    folder = copy("hdf5")
    edit_json(folder, lambda m: m.update(licence="free\x1b[2J\nimages  9"))
    assert main("info", [str(folder)]) == 0
    assert "free\\x1b[2J\\nimages  9\n" in capsys.readouterr().out


def test_a_recipe_from_a_dataset_follows_no_link(copy, capsys, tmp_path):
    """The labels file beside a manifest is not read if it is a link."""
    folder = copy("hdf5")
    outside = tmp_path / "outside"
    outside.mkdir()
    (folder / "labels.txt.gz").rename(outside / "canary")
    (folder / "labels.txt.gz").symlink_to(outside / "canary")
    manifest = str(folder / "manifest.json")
    with no_file_opened(outside):
        assert main("regenerate", [manifest, "--index", "0", "--out", str(tmp_path / "new")]) == 1
    assert "symbolic link" in capsys.readouterr().err


# Anything at all


def mutations(data):
    """Return a strategy of a file's bytes: some changed, cut or rotated, or all random."""
    places = st.integers(0, len(data) - 1)

    def flip(changes):
        harmed = bytearray(data)
        for place, value in changes:
            harmed[place] = value
        return bytes(harmed)

    early = st.integers(0, min(600, len(data) - 1))
    changes = st.lists(st.tuples(places | early, st.integers(0, 255)), min_size=1, max_size=8)
    return st.one_of(
        changes.map(flip),
        changes.map(flip),
        places.map(lambda n: data[:n]),
        places.map(lambda n: data[n:] + data[:n]),
        st.binary(max_size=200),
    )


def expect_no_crash(call):
    """Assert that a call succeeds, or fails with one line."""
    message = ""
    try:
        call()
    except BuilderError as error:
        message = str(error)
    assert message.isprintable() or not message
    assert len(message) < 3000


FILES = [
    ("hdf5", "manifest.json"),
    ("hdf5", "labels.txt.gz"),
    ("hdf5", "shard-000000.h5"),
    ("gzip", "shard-000000.h5"),
    ("png", "shard-000000.h5"),
    ("png", first_image("png")),
]


@pytest.mark.parametrize(("form", "name"), FILES)
def test_any_bytes_in_any_file(originals, tmp_path_factory, form, name):
    """With any bytes in a file, a dataset is read or refused in one line."""
    folder = tmp_path_factory.mktemp("any") / "set"
    shutil.copytree(originals / form, folder)

    @FEW
    @given(mutations((folder / name).read_bytes()))
    def any_bytes(data):
        (folder / name).write_bytes(data)
        expect_no_crash(lambda: read_dataset(folder))

    any_bytes()


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([10**30, -1, "../x", 1e999, "\ud800", 0, 2**64]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


def paths_of(value, path=()):
    """Yield the path of every value within a JSON value."""
    parts = {dict: dict.items, list: enumerate}.get(type(value), lambda _: ())(value)
    for name, part in parts:
        yield (*path, name)
        yield from paths_of(part, (*path, name))


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("manifest.json", Manifest),
        ("plan.json", DatasetConfig),
        ("shard-000000.json", CompletionRecord),
    ],
)
def test_any_value_in_any_place_of_json(originals, tmp_path_factory, name, model):
    """With any value deleted or replaced in manifest, plan or record, it is read or refused."""
    folder = tmp_path_factory.mktemp("json") / "set"
    shutil.copytree(originals / "hdf5", folder)
    text = (folder / name).read_text()

    @FEW
    @given(st.sampled_from(list(paths_of(json.loads(text)))), JSON | st.just(...))
    def any_value(path, value):
        values = json.loads(text)
        *outer, last = path
        holder = values
        for part in outer:
            holder = holder[part]
        if value is ...:
            del holder[last]
        else:
            holder[last] = value
        (folder / name).write_text(json.dumps(values))
        expect_no_crash(lambda: manifest.read_model(folder / name, model))
        expect_no_crash(lambda: read_dataset(folder))

    any_value()


@FEW
@given(mutations(b"\0\0\x08\x03" + struct.pack(">3I", 2, 28, 28) + bytes(1568)), st.booleans())
def test_any_bytes_as_digits(tmp_path, data, zipped):
    """With any bytes, an IDX file is read or refused in one line."""
    (tmp_path / "file").write_bytes(gzip.compress(data) if zipped else data)
    expect_no_crash(lambda: digit_files.read_idx(tmp_path / "file"))


def test_python_opens_nothing_outside(copy, tmp_path):
    """In a process that loads nothing new, Python opens no file but the dataset's and its own."""
    folder = copy("png")
    program = """
import os, sys
from builder import open_dataset
from builder.generator.batch import FIELDS
data = open_dataset(sys.argv[1])
[getattr(data[:], name) for name in FIELDS], data.recipe  # loads, maps, compiles what it needs
data.close()
seen = []
sys.addaudithook(lambda name, rest: name == "open" and seen.append(rest[0]))
fresh = open_dataset(sys.argv[1])
[getattr(fresh[:], name) for name in FIELDS]
print("\\n".join({str(path) for path in seen if not isinstance(path, int)}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    opened = set(done.stdout.split("\n")) - {""}
    names = {path.name for path in folder.rglob("*")} | {str(folder)}
    assert {"manifest.json", "shard-000000.h5", png_file.file_name(49, "99")} <= opened
    assert opened <= names
