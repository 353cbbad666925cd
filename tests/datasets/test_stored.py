"""Reading datasets: indices, slices, batches, and damaged datasets."""

from __future__ import annotations

import json
import os
import resource
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from builder import Recipe, build, open_dataset
from builder.common.errors import DatasetError, UsageError
from tests.conftest import OF_A_SAMPLE, read_all

COUNT = 250
FORMS = {"hdf5": {}, "gzip": {"compression": "gzip"}, "png": {"format": "png"}}


@pytest.fixture(scope="module", params=FORMS)
def data(request, recipe, tmp_path_factory):
    """Return an open dataset of 250 samples in 25 shards, in each form."""
    out = tmp_path_factory.mktemp(request.param) / "set"
    build(recipe, COUNT, out, shard_size=10, workers=1, **FORMS[request.param])
    return open_dataset(out)


def equal(a, b) -> bool:
    """Return whether two samples are equal."""
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in OF_A_SAMPLE)


def test_single_samples_by_index(data, batch):
    """`data[i]` is sample i; negative indices count from the end."""
    assert len(data) == COUNT
    for index in (0, 9, 10, 123, 249, -1, -250):
        assert equal(data[index], batch[index % COUNT])
    assert data[np.int64(7)].text == batch[7].text


@given(st.slices(COUNT))
@settings(max_examples=80, deadline=None)
def test_slices_are_those_of_a_list(data, batch, part):
    """Any slice, of any step and direction, gives the samples that a list would."""
    expected = list(range(COUNT))[part]
    found = data[part]
    assert found.index.tolist() == expected
    assert np.array_equal(found.images, batch.images[expected])
    assert np.array_equal(found.boxes, batch.boxes[expected])
    assert found.texts == [batch.texts[i] for i in expected]


def test_batches_come_in_order_and_whole(data, batch):
    """Batches cover all samples once, the last one smaller; iteration gives single samples."""
    parts = list(data.batches(60))
    assert [len(part) for part in parts] == [60, 60, 60, 60, 10]
    assert np.array_equal(np.concatenate([part.images for part in parts]), batch.images)
    assert [sample.text for sample in data] == batch.texts


@pytest.mark.parametrize("index", [COUNT, -COUNT - 1, 10**12])
def test_an_index_out_of_range_says_so(data, index):
    """Beyond the end is an `IndexError` with the size, so that plain loops end."""
    with pytest.raises(IndexError, match="not in this dataset of 250 samples"):
        data[index]


def test_a_wrong_kind_of_index_is_a_type_error(data):
    """A float or text is no index."""
    for wrong in (1.0, "3", None):
        with pytest.raises(TypeError):
            data[wrong]


@pytest.mark.parametrize("size", [0, -3])
def test_a_batch_has_at_least_one_sample(data, size):
    """A batch size below one is refused."""
    with pytest.raises(UsageError, match="batch size"):
        next(data.batches(size))


def open_files(folder: Path = Path("/")) -> int:
    """Return how many files of a folder this process has open."""
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc")
    paths = [path.resolve() for path in list(Path("/proc/self/fd").iterdir())]
    return sum(path.is_relative_to(folder) for path in paths)


@pytest.fixture
def few_files():
    """Let the process open 60 files more than it has open, and return these few."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = open_files() + 60
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, limits[1]))
    yield most
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_all_datasets_of_a_process_share_the_files_that_may_be_open(data, batch, few_files):
    """A third of the limit is kept open by all datasets together; closing them leaves none."""
    others = [open_dataset(data.folder) for _ in range(5)]
    data.close()
    for other in others:
        assert np.array_equal(other[:].images, batch.images)
        assert open_files(data.folder) <= few_files // 3
    assert open_files(data.folder) == few_files // 3
    for other in others:
        other.close()
    assert open_files(data.folder) == 0
    assert others[0][0].image.any()


def test_shards_are_closed_where_others_need_the_files(data, batch, few_files):
    """With no file left, shards that are open are closed; without any, the line says what to do."""
    other = open_dataset(data.folder)
    assert other[:].images.any()
    with ExitStack() as stack:
        with suppress(OSError):
            while True:
                stack.enter_context(Path(os.devnull).open())
        assert np.array_equal(data[:].images, batch.images)
        data.close()
        other.close()
        with suppress(OSError):
            while True:
                stack.enter_context(Path(os.devnull).open())
        with pytest.raises(DatasetError, match=r"Too many open files; raise .* \(ulimit -n\)"):
            data[0].image  # noqa: B018
    assert data[0].image.any()


def test_a_dataset_that_is_dropped_leaves_no_file_open(data):
    """What a dataset keeps open is closed with it."""
    data.close()
    other = open_dataset(data.folder)
    assert other[:].images.any()
    assert open_files(data.folder) == 25
    del other
    assert open_files(data.folder) == 0


def test_the_recipe_of_a_dataset_makes_it_again(data, recipe):
    """The recipe in the manifest is that of the build."""
    assert data.recipe == recipe


def test_a_recipe_with_a_labels_file_comes_from_the_datasets_copy(tmp_path, monkeypatch):
    """A dataset of a labels file can be rendered again without the original file."""
    from builder import generate
    from builder.common import cache
    from builder.planner.planner import open_planner
    from builder.recipe import labels_file

    (tmp_path / "labels.txt").write_text("12\n3456\n")
    build(Recipe(labels_file=tmp_path / "labels.txt"), 9, tmp_path / "set", workers=1)
    monkeypatch.setattr(cache, "cache_folder", lambda: tmp_path)
    labels_file.open_lines.cache_clear()
    open_planner.cache_clear()
    dataset = open_dataset(tmp_path / "set")
    again = generate(dataset.recipe, range(9))
    assert np.array_equal(again.images, dataset[:].images)


def edit_json(folder, name, change) -> None:
    """Change a JSON file of a dataset."""
    path = folder / name
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "manifest.json").unlink(), "not finished"),
        (lambda f: (f / "manifest.json").write_text(""), "is not JSON"),
        (lambda f: (f / "manifest.json").write_text("[1]"), "expected a JSON object"),
        (
            lambda f: edit_json(f, "manifest.json", lambda m: m.pop("plan")),
            "lacks the field 'plan'",
        ),
        (
            lambda f: edit_json(f, "manifest.json", lambda m: m["plan"].update(format_version=9)),
            "format version 9, expected 2",
        ),
        (lambda f: (f / "shard-000000.h5").write_bytes(b"no HDF5"), "cannot be opened"),
        (lambda f: (f / "shard-000000.h5").unlink(), "is not there"),
        (
            lambda f: (f / "shard-000002.h5").replace(f / "shard-000000.h5"),
            r"dataset 'images' is \(5, 28, 170\) of uint8, expected \(10, 28, 170\)",
        ),
    ],
)
def test_a_damaged_dataset_gets_one_clear_line(recipe, tmp_path, damage, message):
    """What is missing, broken or swapped is named when it is opened or first read."""
    build(recipe, 25, tmp_path / "set", shard_size=10, workers=1)
    damage(tmp_path / "set")
    with pytest.raises(DatasetError, match=message) as caught:
        read_all(open_dataset(tmp_path / "set")[:1])
    assert "\n" not in str(caught.value).strip()


def test_a_folder_that_is_no_dataset_is_refused(tmp_path):
    """A missing or empty folder is not opened."""
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(DatasetError, match=r"manifest.json: is not there|no such folder"):
            open_dataset(folder)
