"""One interface for stored and live samples: indices, orders, processes, threads, open files."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import h5py
import numpy as np
import pytest

from builder import LiveDataset, Order, Recipe, build, generate, open_dataset
from builder.common import untrusted_files
from builder.common.errors import UsageError
from builder.datasets import dataset, shard_cache
from builder.generator.batch import FIELDS
from builder.recipe import labels_file
from builder.storage.formats import hdf5_reader
from tests.conftest import OF_A_SAMPLE, read_all

COUNT = 250
FILES = Path("/proc/self/fd")
"""The files that this process holds open."""

STORED = {"hdf5": {}, "gzip": {"compression": "gzip"}, "png": {"format": "png"}}


@pytest.fixture(scope="module")
def folders(recipe, tmp_path_factory):
    """Return the folders of the same 250 samples in each format, 10 shards of 25."""
    folders = {name: tmp_path_factory.mktemp(name) / "set" for name in STORED}
    for name, options in STORED.items():
        build(recipe, COUNT, folders[name], shard_size=25, workers=1, **options)
    return folders


@pytest.fixture(params=[*STORED, "live"])
def data(request, folders, recipe):
    """Return the 250 samples as each kind of dataset."""
    if request.param == "live":
        return LiveDataset(recipe, COUNT)
    return open_dataset(folders[request.param])


@pytest.fixture(params=STORED)
def stored(request, folders):
    """Return the 250 samples as each kind of stored dataset."""
    return open_dataset(folders[request.param])


def equal(part, batch, index) -> bool:
    """Return whether a batch is rows of another one, in all fields that it has."""
    values = {name: getattr(part, name) for name in FIELDS}
    return len(part) == len(index) and all(
        np.array_equal(value, getattr(batch, name)[index])
        for name, value in values.items()
        if value is not None
    )


@pytest.mark.parametrize(
    "index",
    [
        [],
        [3],
        [249, 0, -1, 3, 3, -250],
        [24, 25, 26, 49, 50],
        range(5, 200, 7),
        (1, 2),
        [13, 14, 15, 16, 17],
        [3, 29],
        [5, 9, 6],
        [6, 5, 4],
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", [list, np.array])
def test_lists_of_indices_are_those_samples_in_that_order(data, batch, index, kind):
    """Any list or array, negative indices and doubles too, across shards, gives these samples."""
    rows = [i % COUNT for i in index]
    assert equal(data[kind(index)], batch, rows)
    assert data[kind(index)].texts == [batch.texts[row] for row in rows]


def test_a_changed_image_travels(data):
    """A change of a sample's image is sent to another process."""
    sample = data[9]
    sample.image[:] = 7
    assert (pickle.loads(pickle.dumps(sample)).image == 7).all()


def test_arrays_of_a_batch_are_copies(data, batch):
    """Arrays can be written to, without an effect on later reads."""
    for _ in range(2):
        taken, sample = data[[7, 8]], data[7]
        assert np.array_equal(taken.images[0], batch.images[7])
        assert np.array_equal(sample.image, batch.images[7])
        taken.images[:] = 0
        taken.labels[:] = 0
        sample.image[:] = 0
        assert not sample.image.any()


@pytest.mark.parametrize("index", [[COUNT], [0, -COUNT - 1], [10**12], [2**70]])
def test_lists_out_of_range_name_the_index(data, index):
    """An index beyond either end is an `IndexError` that names it."""
    with pytest.raises(IndexError, match=f"index {index[-1]} is not in this dataset of 250"):
        data[index]


@pytest.mark.parametrize(
    "wrong",
    [
        [1.5],
        ["3"],
        [[1, 2]],
        [[1], [2, 3]],
        [True, 3],
        [3, True],
        np.eye(3, dtype=bool),
        np.array(["a"]),
        np.zeros((0, 3), int),
        np.array(2.0),
        True,
        np.True_,
        np.array(True),
        1.0,
        "3",
        None,
    ],
    ids=str,
)
def test_wrong_kinds_of_indices_are_type_errors(data, wrong):
    """Fractions, texts, single booleans, booleans among numbers, and tables are no indices."""
    with pytest.raises(TypeError, match="expected a whole number, a slice, or whole numbers"):
        data[wrong]


@pytest.mark.parametrize("kind", ["array", "list", "tuple", "torch"])
def test_masks_are_indices(data, batch, kind):
    """As many booleans as there are samples stand for those that are True, as in numpy."""
    mask = batch.lengths == 3
    rows = np.flatnonzero(mask).tolist()
    assert 0 < len(rows) < COUNT
    if kind == "torch":
        made = pytest.importorskip("torch").tensor(mask)
    else:
        made = {"array": mask, "list": mask.tolist(), "tuple": tuple(mask)}[kind]
    assert equal(data[made], batch, rows)
    assert data[made & False if kind in ("array", "torch") else [False] * COUNT].texts == []


@pytest.mark.parametrize("mask", [[True], np.ones(COUNT + 1, dtype=bool), [np.True_] * 249])
def test_masks_of_another_length_are_refused(data, mask):
    """A mask needs a boolean for each sample; a dataset without an end has no masks."""
    with pytest.raises(IndexError, match=f"mask of {len(mask)} booleans is not for .* of 250"):
        data[mask]
    with pytest.raises(IndexError, match="booleans is not for this dataset without an end"):
        LiveDataset(data.recipe)[mask]


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int16, np.uint64])
def test_numbers_of_numpy_are_indices(data, batch, kind):
    """Whole numbers of numpy, of any width, count from the end too where they can be negative."""
    index = [5, 120] if kind in (np.uint8, np.uint64) else [5, 120, -3]
    assert equal(data[np.array(index, dtype=kind)], batch, [i % COUNT for i in index])
    assert equal(data[[kind(i) for i in index]], batch, [i % COUNT for i in index])
    assert data[kind(index[-1])].index == index[-1] % COUNT


@pytest.mark.parametrize("index", [[1], [5, 120, -3], []])
def test_numbers_of_pytorch_are_indices(data, batch, index):
    """Tensors of whole numbers are indices, and single booleans are not."""
    torch = pytest.importorskip("torch")
    tensor = torch.tensor(index, dtype=torch.int64)
    assert equal(data[tensor], batch, [i % COUNT for i in index])
    assert equal(data[list(tensor)], batch, [i % COUNT for i in index])
    assert data[torch.tensor(7)].index == 7
    for wrong in (torch.tensor(True), [torch.tensor(True)]):
        with pytest.raises(TypeError, match="expected a whole number, a slice, or whole numbers"):
            data[wrong]


class DeviceNumber:
    """A whole number that cannot become an array, such as a tensor on a GPU."""

    def __index__(self):
        return 7

    def __array__(self, *wanted):
        raise TypeError("can't convert it")


def test_numbers_that_cannot_become_arrays_are_indices(data):
    """Any value with `__index__` is an index, alone and in a list."""
    assert data[DeviceNumber()].index == 7
    assert data[[DeviceNumber(), 3]].index.tolist() == [7, 3]


def test_tensors_that_cannot_become_arrays_are_refused(data):
    """A tensor that numpy cannot convert is a wrong index."""
    torch = pytest.importorskip("torch")
    with pytest.raises(TypeError, match="expected a whole number, a slice, or whole numbers"):
        data[torch.ones(3, requires_grad=True)]


@pytest.mark.parametrize("kind", ["f8", "U1", "?", "c16"])
def test_nothing_is_an_empty_batch(data, kind):
    """An empty array of any type gives an empty batch."""
    assert len(data[np.zeros(0, dtype=kind)].images) == 0
    assert len(LiveDataset(data.recipe)[np.zeros(0, dtype=kind)]) == 0


def test_errors_of_indices_are_one_line(data):
    """Errors shorten tables and numbers of thousands of digits."""
    huge = 10**5000
    cases = [(np.eye(30), TypeError), (huge, IndexError), ([huge], IndexError), (-huge, IndexError)]
    for wrong, kind in cases:
        with pytest.raises(kind, match=r"^index .{1,200}$"):
            data[wrong]
    for call in (
        lambda: generate(data.recipe, np.eye(30)),
        lambda: generate(data.recipe, [huge]),
        lambda: Order(huge),
        lambda: LiveDataset(data.recipe, huge),
        lambda: Recipe(seed=huge),
    ):
        with pytest.raises(UsageError, match=r"^[^\n]{1,300}$"):
            call()


def test_live_samples_are_of_a_recipe():
    """A value that is no recipe is named."""
    with pytest.raises(UsageError, match=r"recipe is \{\}, expected a Recipe"):
        LiveDataset({}, 5)


def test_a_labels_file_is_read_once(tmp_path, monkeypatch):
    """The recipe of a dataset takes its labels from the dataset's copy, once."""
    (tmp_path / "labels.txt").write_text("12\n345\n")
    recipe = Recipe(labels_file=tmp_path / "labels.txt")
    build(recipe, 8, tmp_path / "set", backend="sequential")
    data, plain, calls = open_dataset(tmp_path / "set"), labels_file.register_copy, []

    def record(*arguments):
        calls.append(arguments)
        plain(*arguments)

    monkeypatch.setattr(labels_file, "register_copy", record)
    assert data.recipe == data.recipe == pickle.loads(pickle.dumps(data)).recipe == recipe
    assert len(calls) == 2


def test_samples_have_the_fields_of_the_batch(data, batch):
    """A single sample equals its row of the batch, and its repr names it."""
    sample, row = data[123], batch[123]
    for name in OF_A_SAMPLE:
        if getattr(sample, name) is not None:
            assert np.array_equal(getattr(sample, name), getattr(row, name)), name
    assert repr(sample) == f"Sample(index=123, text='{row.text}', seed={row.seed:#x})"


@pytest.mark.parametrize("block", [1, 16, None])
def test_shuffled_batches_are_the_same_from_every_storage(data, batch, block):
    """An order of a seed, epoch and block gives these very samples, stored or live."""
    order = Order(32, shuffle=True, seed=4, block=block)
    found = list(data.in_order(order, epoch=3))
    wanted = LiveDataset(data.recipe, COUNT).schedule(order)
    assert len(found) == len(wanted) == 8
    for number, taken in enumerate(found):
        assert equal(taken, batch, wanted.indices(3, number))


def test_a_block_is_a_chunk_of_gzip_and_one_sample_else(data, monkeypatch):
    """A permutation keeps gzipped chunks together, if there are enough of them."""
    assert data.schedule(Order()).block == 1
    monkeypatch.setattr(dataset, "MIN_BLOCKS", COUNT // 16)  # 250 samples have few chunks
    block = 16 if data.block == 16 else 1
    assert data.schedule(Order()).block == block
    order = Order(50, shuffle=True, seed=2, block=block)
    wanted = [b.index.tolist() for b in data.in_order(order, 1)]
    assert [b.index.tolist() for b in data.batches(50, shuffle=True, seed=2, epoch=1)] == wanted
    assert sorted(chain(*wanted)) == list(range(COUNT))


def test_an_order_goes_on_from_any_batch(data):
    """Batches from number n on equal those of the whole epoch."""
    order = Order(40, shuffle=True)
    whole = [b.index.tolist() for b in data.in_order(order, 2)]
    assert [b.index.tolist() for b in data.in_order(order, 2, start=3)] == whole[3:]
    assert list(data.in_order(order, 2, start=7)) == []
    for bad in (-1, 8):
        with pytest.raises(UsageError, match=f"start is {bad}, expected a whole number from 0 to"):
            data.in_order(order, 2, start=bad)


def test_ranks_read_a_dataset_once_between_them(data, batch):
    """Two ranks see every sample, in batches of their own."""
    parts = [
        b.index.tolist()
        for rank in range(2)
        for b in data.in_order(Order(30, shuffle=True, rank=rank, ranks=2))
    ]
    assert sorted(chain(*parts)) == list(range(COUNT))


def test_a_live_dataset_is_what_a_build_stores(recipe, folders):
    """Live samples are those of the built dataset, bit for bit, masks too where asked for."""
    live, built = LiveDataset(recipe, COUNT, masks=True), open_dataset(folders["hdf5"])
    assert equal(built[:], live[:], np.arange(COUNT))
    assert np.array_equal(live[:].masks, generate(recipe, range(COUNT), masks=True).masks)
    assert live.recipe == built.recipe
    assert LiveDataset(recipe, COUNT)[0].mask is None


def test_live_samples_without_an_end(recipe, batch):
    """Without a count there is no length, and samples come by index, slice, and in order."""
    live = LiveDataset(recipe)
    assert live
    with pytest.raises(TypeError, match="no length"):
        len(live)
    assert live[10**15].index == 10**15
    assert equal(live[3:9:2], batch, [3, 5, 7])
    assert equal(live[[5, 1]], batch, [5, 1])
    batches = live.batches(100)
    assert [next(batches).index[0] for _ in range(3)] == [0, 100, 200]
    one_by_one = iter(live)
    assert [next(one_by_one).index for _ in range(300)] == list(range(300))
    skipping = live.in_order(Order(10, rank=1, ranks=2), start=4)
    assert next(skipping).index[0] == 90


@pytest.mark.parametrize(
    "at",
    [
        -1,
        [-1],
        2**63,
        slice(3, None),
        slice(-3, 5),
        slice(0, 9, -1),
        slice(0, 5, 0),
        slice(0, 2**63),
    ],
    ids=str,
)
def test_live_samples_without_an_end_have_no_last_one(recipe, at):
    """Negative indices, and slices that need an end, are refused."""
    with pytest.raises(IndexError, match="without an end"):
        LiveDataset(recipe)[at]


@pytest.mark.parametrize("count", [0, -1, 1.5, "9", 2**63])
def test_bad_counts_of_live_samples_are_refused(recipe, count):
    """A count that is no whole number from 1 is named."""
    with pytest.raises(UsageError, match=r"count is .* expected a whole number from 1"):
        LiveDataset(recipe, count)


def test_fields_are_read_when_they_are_asked_for(stored, monkeypatch):
    """A new batch or sample reads nothing; a field is read once, labels with their lengths."""
    read = []
    plain = shard_cache.ShardCache.field

    def record(self, name, index):
        read.append(name)
        return plain(self, name, index)

    monkeypatch.setattr(shard_cache.ShardCache, "field", record)
    taken, sample = stored[[3, 100]], stored[5]
    assert read == []
    assert taken.images is taken.images
    assert sample.image is sample.image
    assert read == ["images"]
    assert [*taken.texts, sample.text]
    assert read == ["images", "labels", "lengths", "labels", "lengths"]
    with pytest.raises(AttributeError, match="'Batch' object has no attribute 'image'"):
        taken.image  # noqa: B018


def test_datasets_travel_without_what_is_open(data, batch):
    """A dataset, batch or sample can be sent to another process, which opens its own files."""
    read_all(data[:])
    sent = pickle.dumps(data)
    assert len(sent) < 20_000
    again = pickle.loads(sent)
    assert equal(again[[0, 99]], batch, [0, 99])
    assert equal(pickle.loads(pickle.dumps(data[40:60])), batch, range(40, 60))
    sample = pickle.loads(pickle.dumps(data[41]))
    assert (sample.index, sample.text) == (41, batch.texts[41])
    assert np.array_equal(sample.image, batch.images[41])


def test_rows_of_a_batch_are_a_sequence(data):
    """A batch has a first and a last row, and none beyond; fields of it can be replaced."""
    taken = data[10:13]
    assert [taken[row].index for row in (0, -1, -3)] == [10, 12, 10]
    for row in (3, -4):
        with pytest.raises(IndexError, match=f"row {row} is not in this batch of 3 samples"):
            taken[row]
    with pytest.raises(TypeError):
        taken[0:2]
    assert pickle.loads(pickle.dumps(taken[-1])).index == 12
    other = taken.replace(masks=taken.images)
    assert len(other) == 3
    assert np.array_equal(other[1].mask, data[11].image)


def read_in_child(data, index, sender) -> None:
    """Send what another process reads."""
    taken = data[index]
    sender.send((taken.images, taken.texts))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_other_processes_read_the_same(data, batch, method):
    """A dataset that is open here is read by a forked and by a spawned process."""
    assert data[0].image.any()
    context = multiprocessing.get_context(method)
    receiver, sender = context.Pipe(duplex=False)
    index = [200, 3, 77]
    child = context.Process(target=read_in_child, args=(data, index, sender))
    child.start()
    assert receiver.poll(60)
    images, texts = receiver.recv()
    child.join(60)
    assert child.exitcode == 0
    assert np.array_equal(images, batch.images[index])
    assert texts == [batch.texts[i] for i in index]


def test_a_fork_while_another_thread_opens_a_shard(folders, batch):
    """A child opens shards although a thread of its parent held the lock at the fork."""
    data = open_dataset(folders["hdf5"])
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=read_in_child, args=(data, [5, 60], sender), daemon=True)
    with data._shards._lock:  # as a thread does while it opens a shard
        child.start()
    assert receiver.poll(30)
    assert np.array_equal(receiver.recv()[0], batch.images[[5, 60]])
    child.join(30)


def test_threads_read_the_same(data, batch, monkeypatch):
    """Threads that read at random, while shards are closed, get the right samples."""
    monkeypatch.setattr(untrusted_files, "MAX_KEPT", 2)  # fewer than the 10 shards
    begun = threading.Barrier(8)

    def work(seed):
        begun.wait(30)
        for index in np.random.default_rng(seed).integers(0, COUNT, (12, 6)):
            assert equal(data[index], batch, index)
            assert np.array_equal(data[int(index[0])].image, batch.images[index[0]])
        return True

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(8)))


def open_files() -> int:
    """Return how many files this process holds open."""
    return len(list(FILES.iterdir()))


@pytest.mark.skipif(not FILES.is_dir(), reason="needs /proc")
def test_a_bounded_number_of_files_is_open(stored, monkeypatch):
    """Reading keeps one file a shard open, up to the limit, and none after `close`."""
    monkeypatch.setattr(untrusted_files, "MAX_KEPT", 3)  # fewer than the 10 shards
    before = open_files()
    for index in np.random.default_rng(1).permutation(COUNT).tolist():
        assert stored[index].image.any()
        assert open_files() <= before + 3
    most = []
    plain = shard_cache.ShardCache.row_reader
    monkeypatch.setattr(
        shard_cache.ShardCache,
        "row_reader",
        lambda *args: [plain(*args), most.append(open_files())][0],
    )
    assert stored[:].images.any()
    assert len(most) == 10
    assert max(most) <= before + 4  # the one that is being closed is still open
    stored.close()
    assert open_files() <= before


def test_a_chunk_is_inflated_once_a_batch_and_not_kept_for_long(folders, monkeypatch):
    """A batch inflates each of its chunks once, and closed shards keep no chunk."""
    inflated = []
    plain = hdf5_reader.Chunks.inflate
    monkeypatch.setattr(
        hdf5_reader.Chunks, "inflate", lambda *args: inflated.append(args[2]) or plain(*args)
    )
    data = open_dataset(folders["gzip"])
    assert data[[3, 20, 1, 30, 0, 24, 3, 26]].images.any()
    assert inflated == [0, 1, 0]
    assert data[2].image.any()
    assert data[45].image.any()
    assert inflated == [0, 1, 0, 0, 1]
    data.close()
    layouts = data._shards._layouts  # all that is left of closed shards
    assert len(pickle.dumps(layouts)) < 20_000


def test_a_relative_path_stays_what_it_was(recipe, tmp_path, monkeypatch):
    """A dataset of a relative path is found after a change of the working folder."""
    build(recipe, 5, tmp_path / "set", workers=1)
    monkeypatch.chdir(tmp_path)
    data = open_dataset("set")
    monkeypatch.chdir("/")
    assert data[3].image.any()


def test_hdf5_is_asked_once_for_each_shard(folders, batch, monkeypatch):
    """A shard that was closed to make room is opened again without asking HDF5."""
    asked = []
    plain = hdf5_reader.locate
    monkeypatch.setattr(hdf5_reader, "locate", lambda *args: asked.append(args[1]) or plain(*args))
    monkeypatch.setattr(untrusted_files, "MAX_KEPT", 1)  # fewer than the shards
    data = open_dataset(folders["hdf5"])
    for index in [0, 30, 60, 0, 30, 60, 1]:
        assert np.array_equal(data[index].image, batch.images[index])
    assert len(asked) == len(set(asked)) == 3


def test_a_shard_that_changed_is_located_again(recipe, tmp_path, monkeypatch):
    """A file that was replaced while it was closed is located anew."""
    build(recipe, 40, tmp_path / "set", shard_size=20, workers=1)
    monkeypatch.setattr(untrusted_files, "MAX_KEPT", 1)  # fewer than the shards
    data = open_dataset(tmp_path / "set")
    before = data[3].image.copy()
    assert data[25].image.any()  # the first shard is closed
    path = tmp_path / "set" / "shard-000000.h5"
    with h5py.File(path) as old, h5py.File(tmp_path / "new.h5", "w") as new:
        for name in reversed(list(old)):
            new.create_dataset(name, data=old[name][:])
    (tmp_path / "new.h5").replace(path)
    assert np.array_equal(data[3].image, before)
    assert data[3].index == 3


def test_splits_share_no_glyph():
    """No image of `fit`, `validation` and `test` is in another of them, pixel by pixel."""
    from builder.recipe.digits import MNIST, open_bank

    images = {s: open_bank(MNIST, s).digits()[0] for s in ("fit", "validation", "test")}
    assert [len(some) for some in images.values()] == [54_000, 6_000, 10_000]
    every = [image.tobytes() for some in images.values() for image in some]
    assert len(set(every)) == 70_000


@pytest.mark.parametrize("split", ["fit", "validation", "test"])
def test_samples_of_a_split_show_its_glyphs_only(split):
    """What is drawn without augmentation is a glyph of the split, pixel by pixel."""
    from builder.recipe.digits import MNIST, open_bank

    recipe = Recipe(length=1, width=28, spacing=0, split=split, augment="none")
    images, classes = open_bank(MNIST, split).digits()
    known = {image.tobytes(): label for image, label in zip(images, classes, strict=True)}
    drawn = LiveDataset(recipe, 500)[:]
    assert [known[image.tobytes()] for image in drawn.images] == drawn.labels[:, 0].tolist()
