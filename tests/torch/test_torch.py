"""Samples in PyTorch: loaders that resume, worker processes, and targets of every form."""

from __future__ import annotations

import dataclasses
import itertools
import multiprocessing
import pickle

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the tests of builder.torch need PyTorch")

from torch.utils.data import DataLoader, get_worker_info  # noqa: E402

from builder import LiveDataset, Order, Recipe, build, open_dataset  # noqa: E402
from builder.common.errors import UsageError  # noqa: E402
from builder.torch import Loader, MapDataset  # noqa: E402
from builder.torch.shared_memory import RingReader, RingWriter  # noqa: E402
from builder.torch.targets import TARGETS, images_of  # noqa: E402

COUNT = 250
SHUFFLED = Order(32, shuffle=True, seed=6)

WORKERS = {
    "none": {"num_workers": 0},
    "one": {"num_workers": 1, "multiprocessing_context": "fork"},
    "two": {"num_workers": 2, "multiprocessing_context": "fork"},
    "two, kept": {"num_workers": 2, "multiprocessing_context": "fork", "persistent_workers": True},
    "two, spawned": {"num_workers": 2, "multiprocessing_context": "spawn"},
    "one, spawned, kept": {
        "num_workers": 1,
        "multiprocessing_context": "spawn",
        "persistent_workers": True,
    },
}


@pytest.fixture(scope="module")
def stored(recipe, tmp_path_factory):
    """Return a gzipped dataset of 250 samples with masks."""
    out = tmp_path_factory.mktemp("torch") / "set"
    build(recipe, COUNT, out, shard_size=100, workers=1, compression="gzip", masks=True)
    return open_dataset(out)


@pytest.fixture(scope="module")
def live(recipe):
    """Return the same samples, live."""
    return LiveDataset(recipe, COUNT, masks=True)


def remaining_texts(loader) -> list[list[str]]:
    """Return the texts of each batch that a loader has left in its epoch."""
    return [texts for _, texts in loader]


@pytest.mark.parametrize(
    ("kind", "workers"),
    [*(("stored", name) for name in WORKERS), ("live", "none"), ("live", "two")],
)
def test_batches_are_those_of_the_order_for_any_workers(request, kind, workers):
    """Epoch after epoch a loader gives the batches that `in_order` does, images and labels."""
    data, options = request.getfixturevalue(kind), WORKERS[workers]
    loader = Loader(data, SHUFFLED, targets="strings", **options)
    assert len(loader) == 8
    for epoch in range(2):
        assert loader.epoch == epoch
        wanted = data.in_order(SHUFFLED, epoch)
        for (images, texts), batch in zip(loader, wanted, strict=True):
            assert images.dtype == torch.uint8
            assert np.array_equal(images[:, 0].numpy(), batch.images)
            assert texts == batch.texts


@pytest.mark.parametrize("ahead", [1, 2, 5])
@pytest.mark.parametrize("workers", ["one", "two", "two, kept"])
def test_workers_that_are_ahead_write_over_nothing(live, monkeypatch, workers, ahead):
    """Batches are right although workers have prefetched all that they may."""
    options = WORKERS[workers]
    packed = multiprocessing.get_context("fork").Semaphore(0)
    prefetched, batches, unpacked = ahead * options["num_workers"], 32, itertools.count()
    # how many more batches are packed before each one is unpacked
    waits = [1 + prefetched, *[1] * (batches - 1 - prefetched), *[0] * prefetched]
    pack, unpack = RingWriter.pack, RingReader.unpack

    def pack_and_count(self, items):
        batch = pack(self, items)
        packed.release()
        return batch

    def unpack_late(self, batch):
        for _ in range(waits[next(unpacked) % batches]):
            assert packed.acquire(timeout=60)
        return unpack(self, batch)

    monkeypatch.setattr(RingWriter, "pack", pack_and_count)  # workers are forked, and have it too
    monkeypatch.setattr(RingReader, "unpack", unpack_late)
    loader = Loader(live, Order(8), targets="strings", prefetch_factor=ahead, **options)
    for _ in range(2):
        kept = list(loader)
        assert [texts for _, texts in kept] == [batch.texts for batch in live.batches(8)]
        images = torch.cat([images for images, _ in kept])[:, 0].numpy()
        assert np.array_equal(images, live[:].images)


@pytest.mark.parametrize(
    ("workers", "delivered"),
    [*((name, 5) for name in WORKERS), *(("two, kept", n) for n in (0, 1, 8)), ("none", 8)],
)
def test_a_loader_goes_on_exactly_where_its_state_says(live, workers, delivered):
    """Another loader takes over in the middle of an epoch; prefetched batches are not lost."""
    options = WORKERS[workers]
    whole = Loader(live, SHUFFLED, targets="strings")
    epochs = [remaining_texts(whole) for _ in range(3)]
    first = Loader(live, SHUFFLED, targets="strings", **options)
    assert remaining_texts(first) == epochs[0]
    begun = [texts for _, texts in itertools.islice(first, delivered)]
    state = first.state_dict()
    second = Loader(live, SHUFFLED, targets="strings", **options)
    second.load_state_dict(state)
    wanted = epochs[1][delivered:] or epochs[2]  # with an epoch's last batch the next one begins
    assert begun == epochs[1][:delivered]
    assert remaining_texts(second) == wanted
    assert second.epoch == 2 + (delivered == 8)


def test_a_state_can_be_kept_as_json(live):
    """A state is plain numbers and strings, so that a checkpoint of any kind can hold it."""
    import json

    loader = Loader(live, SHUFFLED, targets="strings")
    next(iter(loader))
    state = json.loads(json.dumps(loader.state_dict()))
    assert (state["epoch"], state["batch"]) == (0, 1)
    loader.load_state_dict(state)
    assert len(remaining_texts(loader)) == 7


@pytest.mark.parametrize("workers", ["none", "two", "two, kept"])
def test_a_loop_that_was_left_goes_on(live, workers):
    """A loop after a `break` has the rest of the epoch; one that began before it is over."""
    loader = Loader(live, SHUFFLED, targets="strings", **WORKERS[workers])
    whole = remaining_texts(Loader(live, SHUFFLED, targets="strings"))
    left = iter(loader)
    assert [next(left)[1], next(left)[1]] == whole[:2]
    rest = iter(loader)
    assert next(rest)[1] == whole[2]
    with pytest.raises(RuntimeError, match="this loop is over"):
        next(left)
    assert remaining_texts(loader) == whole[3:]
    assert loader.state_dict()["epoch"] == 1


@pytest.mark.parametrize("workers", ["none", "two", "two, kept"])
def test_a_loop_is_over_before_its_first_batch(live, workers):
    """A loop is over when a second one begins, and takes no batch of the second one."""
    loader = Loader(live, SHUFFLED, targets="strings", **WORKERS[workers])
    whole = remaining_texts(Loader(live, SHUFFLED, targets="strings"))
    early, late = iter(loader), iter(loader)
    assert next(late)[1] == whole[0]
    with pytest.raises(RuntimeError, match="this loop is over"):
        next(early)
    assert [texts for _, texts in late] == whole[1:]


@pytest.mark.parametrize("workers", ["none", "two", "two, kept"])
def test_a_loop_goes_on_after_a_batch_that_failed(recipe, workers):
    """An error in a worker ends the loop; the next loop continues with the batch that failed."""
    flaky = Flaky(recipe, COUNT)
    loader = Loader(flaky, Order(32), targets="strings", **WORKERS[workers])
    whole = remaining_texts(Loader(LiveDataset(recipe, COUNT), Order(32), targets="strings"))
    had = []
    with pytest.raises(OSError, match="the disk is gone"):
        had.extend(texts for _, texts in loader)
    assert had == whole[:3]
    flaky.fails.value = 0
    assert remaining_texts(loader) == whole[3:]


class Flaky(LiveDataset):
    """Samples of which sample 100 cannot be read while `fails` is 1, in all processes."""

    def __init__(self, recipe, count):
        super().__init__(recipe, count)
        self.fails = multiprocessing.get_context("fork").Value("i", 1)

    def __getitem__(self, at):
        if self.fails.value and 100 in at:
            raise OSError("the disk is gone")
        return super().__getitem__(at)


def test_batches_of_another_loop_are_not_delivered(live, monkeypatch):
    """A batch that another loop asked for is an error."""
    loader = Loader(live, SHUFFLED)
    # private, since PyTorch mixes loops up by chance only
    batches = [loader._reader[key] for key in loader._progress]
    monkeypatch.setattr(loader, "_loader", batches)  # in place of what PyTorch delivers
    with pytest.raises(RuntimeError, match=r"loop=0\) came from a worker, .*loop=1\) was due"):
        next(iter(loader))


def test_loops_that_count_their_batches_skip_no_epoch(live):
    """A loop that takes exactly the batches of an epoch ends the epoch."""
    loader = Loader(live, SHUFFLED, targets="strings")
    whole = Loader(live, SHUFFLED, targets="strings")
    for epoch in range(3):
        taken = [batch[1] for _, batch in zip(range(len(loader)), loader, strict=False)]
        assert taken == remaining_texts(whole)
        assert loader.state_dict()["batch"] == 0
        assert loader.epoch == epoch + 1


def test_a_loop_of_another_place_changes_nothing(live):
    """A loop that is over because the epoch was set raises an error, and changes no epoch."""
    loader = Loader(live, Order(125), targets="strings")
    left = iter(loader)
    assert [len(next(left)[1]) for _ in range(2)] == [125, 125]
    loader.set_epoch(5)
    with pytest.raises(RuntimeError, match="this loop is over"):
        next(left)
    assert loader.epoch == 5


def test_an_epoch_can_be_set(live):
    """`set_epoch` begins any epoch anew."""
    loader = Loader(live, SHUFFLED, targets="strings")
    epochs = [remaining_texts(loader) for _ in range(3)]
    next(iter(loader))
    loader.set_epoch(1)
    assert remaining_texts(loader) == epochs[1]
    for bad in (-1, 1.5, 2**62):
        with pytest.raises(UsageError, match="epoch is"):
            loader.set_epoch(bad)


def test_worker_w_of_k_makes_batches_w_and_w_plus_k(live):
    """Each of k workers makes every k-th batch."""
    loader = Loader(WorkerTexts(live), Order(25), targets="strings", num_workers=2)
    assert [texts for _, texts in loader] == [[f"worker {n % 2}"] * 25 for n in range(10)]


class WorkerTexts(LiveDataset):
    """Samples whose texts name the worker that made them."""

    def __init__(self, live):
        super().__init__(live.recipe, COUNT)

    def __getitem__(self, at):
        batch = super().__getitem__(at)
        batch.texts[:] = [f"worker {get_worker_info().id}"] * len(batch)
        return batch


@pytest.mark.parametrize("options", [{"num_workers": 0}, WORKERS["two"]], ids=["none", "two"])
def test_two_ranks_see_every_sample_once(stored, options):
    """Two loaders, one a rank, share an epoch; a state of one serves the other."""
    loaders = [
        Loader(stored, Order(32, shuffle=True, rank=rank, ranks=2), "strings", **options)
        for rank in range(2)
    ]
    assert [len(loader) for loader in loaders] == [4, 4]
    state = loaders[0].state_dict()
    texts = [text for loader in loaders for batch in remaining_texts(loader) for text in batch]
    assert sorted(texts) == sorted(stored[:].texts)
    loaders[1].load_state_dict(state)
    alone = remaining_texts(Loader(stored, Order(32, shuffle=True), "strings"))
    assert remaining_texts(loaders[1]) == alone[1::2]


def test_one_state_serves_ranks_that_differ_by_a_batch(live):
    """Before the last batch of the longer rank, the shorter rank is at the end of its epoch."""
    orders = [Order(40, shuffle=True, rank=rank, ranks=2) for rank in range(2)]
    longer, shorter = (Loader(live, order, "strings") for order in orders)
    assert [len(longer), len(shorter)] == [4, 3]
    assert len(list(itertools.islice(longer, 3))) == 3
    shorter.load_state_dict(longer.state_dict())
    assert remaining_texts(shorter) == []
    assert len(remaining_texts(longer)) == 1
    assert shorter.epoch == longer.epoch == 1
    shorter.load_state_dict(longer.state_dict())
    assert len(remaining_texts(shorter)) == 3


@pytest.mark.parametrize(
    ("order", "data", "what"),
    [
        (Order(32, shuffle=True, seed=7), {}, "seed 6, and this loader's is 7"),
        (Order(16, shuffle=True, seed=6), {}, "size 32"),
        (Order(32, shuffle=True, seed=6, ranks=2), {}, "ranks 1"),
        (Order(32, shuffle=True, seed=6, block=4), {}, "block 1"),
        (SHUFFLED, {"count": 251}, "count 250"),
        (SHUFFLED, {"recipe": Recipe(seed=12)}, "fingerprint"),
    ],
)
def test_a_state_of_other_batches_is_refused(live, order, data, what):
    """A state is taken by a loader of the same samples in the same order only."""
    state = Loader(live, SHUFFLED).state_dict()
    other = LiveDataset(**{"recipe": live.recipe, "count": COUNT, **data})
    with pytest.raises(UsageError, match=what):
        Loader(other, order).load_state_dict(state)


@pytest.mark.parametrize(
    "state", [{"batch": 9}, {"batch": -1}, {"epoch": -1}, {"epoch": "1"}, {"batch": None}]
)
def test_a_state_of_no_batch_is_refused(live, state):
    """A batch or epoch that the order does not have is named."""
    loader = Loader(live, SHUFFLED)
    with pytest.raises(UsageError, match=r"is .* expected a whole number from 0"):
        loader.load_state_dict({**loader.state_dict(), **state})


def test_a_state_says_nothing_of_what_makes_no_difference(stored, live):
    """By index, batches of any storage and seed are the same, and so are their states."""
    first = Loader(stored, Order(32, seed=3), targets="strings")
    rest = (
        list(itertools.islice(first, 2))
        and remaining_texts(Loader(live, Order(32), targets="strings"))[2:]
    )
    second = Loader(live, Order(32, seed=4, block=8), targets="strings")
    second.load_state_dict(first.state_dict())
    assert remaining_texts(second) == rest
    with pytest.raises(UsageError, match="shuffle False, and this loader's is True"):
        Loader(live, SHUFFLED).load_state_dict(first.state_dict())


@pytest.mark.parametrize(
    "state",
    [None, [], "state", {}, {"size": np.array([1, 2])}, {"fingerprint": "f" * 5000}],
    ids=["none", "list", "text", "empty", "array", "long"],
)
def test_what_is_no_state_is_refused_in_one_line(live, state):
    """A value that is no state is named, shortened, in one line."""
    loader = Loader(live, SHUFFLED)
    if isinstance(state, dict):
        state = {**loader.state_dict(), **state} if state else {}
    with pytest.raises(UsageError, match="the state is") as caught:
        loader.load_state_dict(state)
    assert len(str(caught.value)) < 250
    assert loader.state_dict() == Loader(live, SHUFFLED).state_dict()


def test_a_batch_that_is_not_delivered_is_not_counted(live, monkeypatch):
    """An interrupt between reading a batch and delivering it loses no batch."""
    whole = remaining_texts(Loader(live, SHUFFLED, "strings"))
    loader = Loader(live, SHUFFLED, "strings")
    for _ in itertools.islice(loader, 2):
        pass

    def stop(*parts):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setitem(TARGETS, "strings", dataclasses.replace(TARGETS["strings"], unpack=stop))
        with pytest.raises(KeyboardInterrupt):
            next(iter(loader))
    assert loader.state_dict()["batch"] == 2
    assert remaining_texts(loader) == whole[2:]


@pytest.mark.parametrize("name", TARGETS)
def test_loaders_travel_with_their_place(live, name):
    """A loader that is sent to another process goes on there."""
    loader = Loader(live, SHUFFLED, name)
    for _ in itertools.islice(loader, 5):
        pass
    assert equal_nests(list(pickle.loads(pickle.dumps(loader))), list(loader))


def test_states_need_no_labels_file(tmp_path):
    """A state needs no labels file: it may be missing, and is not read each time."""
    (tmp_path / "labels.txt").write_text("12\n345\n")
    recipe = Recipe(labels_file=tmp_path / "labels.txt")
    build(recipe, 8, tmp_path / "set", backend="sequential")
    (tmp_path / "set" / "labels.txt.gz").unlink()
    assert Loader(open_dataset(tmp_path / "set")).state_dict()["fingerprint"] == recipe.fingerprint


def test_loaders_draw_nothing_from_the_global_generator(live):
    """Loading changes none of the random numbers that a model draws."""
    torch.manual_seed(3)
    wanted = torch.rand(3).tolist()
    torch.manual_seed(3)
    remaining_texts(Loader(live, SHUFFLED, targets="strings"))
    remaining_texts(Loader(live, SHUFFLED, targets="strings", num_workers=1))
    assert torch.rand(3).tolist() == wanted


def tensors_in(nest) -> list:
    """Return every tensor of a batch."""
    if isinstance(nest, torch.Tensor):
        return [nest]
    values = nest.values() if isinstance(nest, dict) else nest
    return [] if isinstance(nest, str) else [each for value in values for each in tensors_in(value)]


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("workers", ["none", "two"])
def test_memory_is_pinned_where_there_is_an_accelerator(live, monkeypatch, workers, name):
    """Every tensor of a batch is pinned when it is delivered."""
    wanted = list(Loader(live, SHUFFLED, name))
    options = {"pin_memory": True, **WORKERS[workers]}
    pinned, empty = [], torch.empty  # calls are recorded, so that no GPU is needed

    def fake_empty(*shape, pin_memory=False, **options):
        tensor = empty(*shape, **options)
        if pin_memory:
            pinned.append(tensor)
        return tensor

    def fake_pin(tensor):
        pinned.append(tensor.clone())
        return pinned[-1]

    monkeypatch.setattr("builder.torch.loader.pinning_helps", lambda: True)
    loader = Loader(live, SHUFFLED, name, **options)
    monkeypatch.setattr(torch, "empty", fake_empty)
    monkeypatch.setattr(torch.Tensor, "pin_memory", fake_pin)
    for given, batch in zip(loader, wanted, strict=True):
        assert equal_nests(given, batch)
        assert tensors_in(given)
        assert all(any(one is other for other in pinned) for one in tensors_in(given))


@pytest.mark.parametrize(
    ("kind", "gains"), [("cuda", True), ("xpu", True), ("mps", False), (None, False)]
)
def test_memory_is_pinned_for_gpus_that_gain_by_it(live, monkeypatch, kind, gains):
    """Apple's GPUs take no pinned memory, and a processor has no use for it."""
    device = kind and torch.device(kind)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: kind is not None)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: device)
    assert Loader(live, pin_memory=True)._pins is gains  # shows nowhere else without a GPU
    assert not Loader(live)._pins  # likewise


def test_a_loader_of_samples_without_an_end(recipe):
    """Live samples without a count are one epoch that does not end, resumed like any other."""
    loader = Loader(LiveDataset(recipe), Order(10), targets="strings", num_workers=1)
    with pytest.raises(TypeError):
        len(loader)
    assert loader
    begun = [texts for _, texts in itertools.islice(loader, 30)]
    assert sum(begun, []) == LiveDataset(recipe, 300)[:].texts  # noqa: RUF017
    assert loader.state_dict()["batch"] == 30
    assert next(iter(loader))[1] == LiveDataset(recipe)[300:310].texts


@pytest.mark.parametrize("name", TARGETS)
@pytest.mark.parametrize("options", [{"num_workers": 0}, WORKERS["two"]], ids=["none", "two"])
def test_a_map_dataset_gives_what_the_loader_does(stored, live, name, options):
    """PyTorch's own loader over single samples, collated, gives the batches of `Loader`."""
    mapped = MapDataset(live, name)
    assert len(mapped) == COUNT
    plain = DataLoader(mapped, batch_size=32, collate_fn=mapped.collate, **options)
    for one, other in zip(plain, Loader(stored, Order(32), name), strict=True):
        assert equal_nests(one, other)


def equal_nests(a, b) -> bool:
    """Tell whether two nests of tensors are equal, with their types."""
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal_nests(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(equal_nests, a, b))
    return a == b


@pytest.mark.parametrize("name", ["padded", "strings", "masks"])
def test_some_targets_need_no_collate_function(live, name):
    """The default of PyTorch's loader knows what to do with tensors of one shape, and strings."""
    (one,) = DataLoader(MapDataset(live, name), batch_size=COUNT)
    (other,) = Loader(live, Order(COUNT), name)
    assert equal_nests(list(one), list(other))


def test_a_whole_batch_is_one_read(live, monkeypatch):
    """A `DataLoader` that asks a map dataset for a batch has it made at once."""
    asked, plain = [], LiveDataset.__getitem__
    monkeypatch.setattr(
        LiveDataset, "__getitem__", lambda self, at: asked.append(len(at)) or plain(self, at)
    )
    assert len(list(DataLoader(MapDataset(live, "strings"), batch_size=100))) == 3
    assert asked == [100, 100, 50]


def test_single_items_of_a_map_dataset(live):
    """An item is an image and its own target; the end of the dataset is an `IndexError`."""
    image, (labels, length) = MapDataset(live)[7]
    assert image.shape == (1, 28, live.recipe.width)
    assert labels[:length].tolist() == [int(digit) for digit in live[7].text]
    assert (labels[length:] == -1).all()
    assert equal_nests(
        MapDataset(live, "concatenated")[-1][1].tolist(), list(map(int, live[-1].text))
    )
    with pytest.raises(IndexError):
        MapDataset(live)[COUNT]
    with pytest.raises(UsageError, match="this one has no end"):
        MapDataset(LiveDataset(live.recipe))


def test_targets_for_ctc(live):
    """Digits in a row with lengths are taken by PyTorch's CTC, and lead to the labels."""
    (one,) = Loader(live, Order(COUNT), "concatenated")
    digits, lengths = one[1]
    assert "".join(map(str, digits.tolist())) == "".join(live[:].texts)
    assert lengths.tolist() == list(map(len, live[:].texts))
    scores = torch.full((20, COUNT, 11), -20.0)
    for row, text in enumerate(live[:].texts):  # each digit, then a blank: the label, for certain
        for place, digit in enumerate(text):
            scores[2 * place, row, int(digit)] = 20.0
            scores[2 * place + 1, row, 10] = 20.0
        scores[2 * len(text) :, row, 10] = 20.0
    columns = torch.full((COUNT,), 20)
    loss = torch.nn.CTCLoss(blank=10)(scores.log_softmax(2), digits, columns, lengths)
    assert loss.item() < 1e-6


def test_boxes_and_masks_of_detectors(live):
    """Each visible digit has a box of some area, its class + 1, and a mask within the box."""
    (one,) = Loader(live, Order(COUNT), "boxes")
    for sample, target in zip(live, one[1], strict=True):
        assert target["labels"].tolist() == [int(digit) + 1 for digit in sample.text]
        assert np.array_equal(target["boxes"].numpy(), sample.boxes)
        for number, (x0, y0, x1, y1) in enumerate(target["boxes"].int().tolist()):
            mask = target["masks"][number]
            assert x1 > x0
            assert y1 > y0
            assert np.array_equal(mask.numpy() == 1, sample.mask == number + 1)
            assert mask[y0:y1, x0:x1].sum() == mask.sum() > 0


def test_digits_that_do_not_show_have_no_box(live):
    """A digit without a box is left out, with its label and mask, and the others stay."""
    batch = live[:3]
    batch.boxes[1, 0] = 0
    none = TARGETS["boxes"].of(batch)
    some = TARGETS["boxes"].of(batch.replace(masks=None))
    assert none[1]["labels"].tolist() == [int(digit) + 1 for digit in batch.texts[1][1:]]
    assert len(none[1]["boxes"]) == len(none[1]["masks"]) == len(batch.texts[1]) - 1
    assert len(none[0]["boxes"]) == len(batch.texts[0])
    assert set(some[0]) == {"boxes", "labels"}


def test_classes_of_pixels_for_segmenters(live):
    """A pixel's class is its digit's + 1, 0 for background."""
    (one,) = Loader(live, Order(COUNT), "masks")
    batch = live[:]
    for row in range(COUNT):
        table = np.array([0, *(int(digit) + 1 for digit in batch.texts[row])])
        assert np.array_equal(one[1][row].numpy(), table[batch.masks[row]])


def test_targets_that_are_not_there_are_refused(live, recipe):
    """An unknown form, and masks of samples without them, are errors that say what to do."""
    with pytest.raises(UsageError, match="targets is 'box', expected one of: padded, "):
        Loader(live, targets="box")
    with pytest.raises(UsageError, match="targets is 'box'"):
        MapDataset(live, "box")
    with pytest.raises(UsageError, match=r"targets is \['padded'\]"):
        Loader(live, targets=["padded"])
    with pytest.raises(UsageError, match="build with --masks"):
        Loader(LiveDataset(recipe, 5), targets="masks")


@pytest.mark.parametrize("name", ["batch_size", "shuffle", "sampler", "drop_last", "in_order"])
def test_options_that_would_make_other_batches_are_refused(live, name):
    """Options of `DataLoader` that an `Order` decides are refused."""
    with pytest.raises(UsageError, match=f"{name} is given to a Loader"):
        Loader(live, **{name: False})


def test_what_is_no_order_and_no_data_is_named(live):
    """A value that is no order or no dataset is named, with what is expected."""
    with pytest.raises(UsageError, match="order is 256, expected an Order"):
        Loader(live, 256)
    with pytest.raises(UsageError, match="order is 5, expected an Order"):
        next(live.in_order(5))
    for maker in (Loader, MapDataset):
        with pytest.raises(UsageError, match=r"data is \[1, 2\], expected what open_dataset or"):
            maker([1, 2])


def test_boxes_of_large_batches_need_few_open_files(tmp_path):
    """With at most 256 open files, workers send boxes and masks of batches of 256 samples."""
    import subprocess
    import sys

    program = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256))
from builder import LiveDataset, Order, Recipe
from builder.torch import Loader
live = LiveDataset(Recipe(length=5, augment="none"), 1024, masks=True)
for images, targets in Loader(live, Order(256), "boxes", num_workers=1, timeout=60):
    print(len(targets), sum(len(target["masks"]) for target in targets))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120
    )
    assert done.stdout.split("\n")[:4] == ["256 1280"] * 4, done.stderr


@pytest.mark.parametrize("name", TARGETS)
def test_targets_are_split_and_joined_again(live, name):
    """The targets of a batch are those of its samples, joined."""
    target, batch = TARGETS[name], live[:40]
    whole = target.of(batch)
    parts = target.split(whole)
    assert len(parts) == 40
    assert equal_nests(as_lists(target.collate(parts)), as_lists(whole))


def as_lists(targets):
    """Return targets with pairs as lists, since PyTorch converts one to the other."""
    return targets if isinstance(targets, torch.Tensor) else list(targets)


def send(batch):
    """Return a packed batch as another process has it: the buffer is shared, the rest is copied."""
    return pickle.loads(pickle.dumps(batch._replace(buffer=None)))._replace(buffer=batch.buffer)


def test_packed_batches_come_out_as_they_were():
    """Tensors of any type, shape and stride, empty ones too, and other items are unpacked equal."""
    items = [
        torch.arange(5000, dtype=torch.uint8).view(1, 50, 100),
        torch.arange(3, dtype=torch.int64),
        torch.rand(7, 3)[:, ::2],
        torch.zeros((0, 4)),
        torch.ones(3, dtype=torch.bfloat16),
        ["02139"],
        None,
    ]
    for some in (items, items[-2:]):
        batch = RingWriter(0, 1).pack(some)
        assert batch.buffer.is_shared()
        assert equal_nests(RingReader().unpack(send(batch)), some)


def test_a_worker_sends_each_buffer_once_and_fills_them_in_turn():
    """Batches that fit need no new memory; one that does not gets a new buffer in its slot."""
    writer, reader = RingWriter(3, 2), RingReader()
    sizes = [1000, 1000, 1000, 1050, 1300, 1000, 1300, 10]
    batches = [[torch.full((size,), number)] for number, size in enumerate(sizes)]
    packed = []
    for batch in batches:
        packed.append(send(writer.pack(batch)))
        assert equal_nests(reader.unpack(packed[-1]), batch)
    assert [batch.slot for batch in packed] == [0, 1] * 4
    new = [number for number, batch in enumerate(packed) if batch.buffer is not None]
    assert new == [0, 1, 4]


def test_packed_batches_last_until_their_slot_comes_again():
    """With three slots a worker may be two batches ahead, and an unpacked batch stays as it is."""
    writers, reader = [RingWriter(worker, 3) for worker in range(2)], RingReader()
    batches = [[torch.full((100,), number), torch.tensor([number])] for number in range(20)]
    packed, unpacked = [], []
    for number, batch in enumerate(batches):
        packed.append(send(writers[number % 2].pack(batch)))
        if number >= 4:
            unpacked.append(reader.unpack(packed[number - 4]))
    assert equal_nests(unpacked, batches[:16])


@pytest.mark.parametrize("name", TARGETS)
def test_empty_batches_have_targets(live, name):
    """No samples have no targets, and no error."""
    target = TARGETS[name]
    assert target.split(target.of(live[[]])) == []


def test_images_share_memory_with_the_batch(live):
    """An image tensor is a view of the batch's array, with a channel."""
    batch = live[:4]
    images = images_of(batch)
    batch.images[2, 3, 4] = 77
    assert images.shape == (4, 1, 28, live.recipe.width)
    assert images[2, 0, 3, 4] == 77


def test_without_pytorch_the_import_says_what_to_install(tmp_path):
    """Without PyTorch, importing `builder.torch` names the extra to install."""
    import subprocess
    import sys

    program = "import sys; sys.modules['torch'] = None; import builder.torch"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "builder.torch needs PyTorch" in done.stderr.splitlines()[-1]
    assert "digitseq[torch]" in done.stderr.splitlines()[-1]
