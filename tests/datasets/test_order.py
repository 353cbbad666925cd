"""The order of an epoch: each sample once, computed from numbers, divided evenly among ranks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from builder import Order
from builder.common import rng
from builder.common.errors import UsageError
from builder.datasets.order import Schedule

UNLIKELY = 1e-4


def epoch_of(order: Order, count: int, block: int = 1, epoch: int = 0) -> list[np.ndarray]:
    """Return the batches of one rank in an epoch."""
    schedule = Schedule(order, count, order.block or block)
    return [schedule.indices(epoch, number) for number in range(len(schedule))]


def slow_order(count: int, seed: int, epoch: int, block: int) -> list[int]:
    """Return an epoch's order as docs/streams.md writes it, sample by sample."""
    blocks = count // block
    if not blocks:
        return list(range(count))
    turns = np.array([epoch * blocks], dtype=np.int64)
    places = [int(rng.permute(seed, turns + k, blocks, 8)[0]) for k in range(blocks)]
    word = int(rng.draw_words(rng.sample_seeds(seed, np.array([epoch])), 8)[0])
    begin = (word >> 32) * (blocks + 1) >> 32
    runs = [list(range(block * b, block * b + block)) for b in places]
    runs.insert(begin, list(range(block * blocks, count)))
    return [index for run in runs for index in run]


COUNTS = st.integers(1, 400)
SIZES = st.integers(1, 90)
RANKS = st.integers(1, 6)


@given(COUNTS, SIZES, RANKS, st.integers(1, 70), st.booleans(), st.integers(0, 2**64 - 1))
@settings(max_examples=150, deadline=None)
def test_every_sample_comes_once_an_epoch(count, size, ranks, block, shuffle, seed):
    """The ranks together see each sample once, and none has more than one batch more."""
    orders = [Order(size, shuffle, seed, rank, ranks, block=block) for rank in range(ranks)]
    parts = [epoch_of(order, count, epoch=3) for order in orders]
    seen = [index for batches in parts for batch in batches for index in batch.tolist()]
    assert sorted(seen) == list(range(count))
    lengths = [len(batches) for batches in parts]
    assert max(lengths) - min(lengths) <= 1
    short = [len(batch) for batches in parts for batch in batches if len(batch) < size]
    assert short == [count % size] * bool(count % size)


@given(COUNTS, SIZES, RANKS)
@settings(max_examples=100, deadline=None)
def test_drop_last_evens_the_ranks(count, size, ranks):
    """With `drop_last` all ranks have as many batches, all full, and no sample twice."""
    orders = [Order(size, True, 1, rank, ranks, drop_last=True) for rank in range(ranks)]
    if count < size * ranks:
        with pytest.raises(UsageError, match=f"no batch of {size} for each of {ranks} ranks"):
            epoch_of(orders[0], count)
        return
    parts = [epoch_of(order, count) for order in orders]
    assert {len(batches) for batches in parts} == {count // size // ranks}
    seen = [index for batches in parts for batch in batches for index in batch.tolist()]
    assert len(seen) == len(set(seen)) == count // size // ranks * ranks * size


@given(COUNTS, SIZES, st.integers(1, 5), st.integers(1, 40), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_ranks_take_turns_at_the_batches_of_one(count, size, ranks, block, epoch):
    """Batch b of rank r of R is batch b * R + r of a single rank."""
    alone = epoch_of(Order(size, True, 5, block=block), count, epoch=epoch)
    for rank in range(ranks):
        own = epoch_of(Order(size, True, 5, rank, ranks, block=block), count, epoch=epoch)
        assert [b.tolist() for b in own] == [b.tolist() for b in alone[rank::ranks]]


@given(COUNTS, st.integers(0, 2**64 - 1), st.integers(0, 1000), st.integers(1, 60), SIZES)
@settings(max_examples=80, deadline=None)
def test_the_order_is_that_of_the_docs(count, seed, epoch, block, size):
    """A batch equals its part of the slow reference, for any batch size."""
    batches = epoch_of(Order(size, True, seed, block=block), count, epoch=epoch)
    assert np.concatenate(batches).tolist() == slow_order(count, seed, epoch, block)


def test_blocks_stay_together():
    """Neighbours of a block stay in sequence, and blocks do not."""
    order = np.concatenate(epoch_of(Order(64, True), 1607, block=16))
    firsts = order[np.r_[True, np.diff(order) != 1]]
    assert len(firsts) >= 95
    assert all(first % 16 == 0 for first in firsts)


def test_the_short_block_comes_anywhere():
    """The samples past the last whole block stand at each place equally often over epochs."""
    places = []
    for epoch in range(1000):
        order = np.concatenate(epoch_of(Order(1000, True, 2), 90, block=16, epoch=epoch))
        places.append(order.tolist().index(80) // 16)
    counts = np.bincount(places, minlength=6)
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > UNLIKELY


def test_every_sample_comes_first_equally_often():
    """Over epochs, the first sample is uniform: each epoch has a permutation of its own."""
    firsts = [epoch_of(Order(1, True, 9), 50, epoch=epoch)[0][0] for epoch in range(1500)]
    assert stats.chisquare(np.bincount(firsts, minlength=50)).pvalue > UNLIKELY


def test_orders_of_seeds_and_epochs_differ():
    """Another seed or epoch is another order, and none of these is the one by index."""
    orders = {
        tuple(np.concatenate(epoch_of(Order(32, True, seed), 100, epoch=epoch)).tolist())
        for seed in range(5)
        for epoch in range(5)
    }
    assert len(orders) == 25
    assert tuple(range(100)) not in orders


def test_an_epochs_order_is_not_that_of_a_labels_file():
    """The two permutations have different streams, so they never undo each other."""
    index = np.arange(1000)
    assert not np.array_equal(rng.permute(0, index, 1000), rng.permute(0, index, 1000, 8))


@pytest.mark.parametrize("count", [10**12, 2**32 + 1, 2**62 + 12345])
def test_orders_of_any_length_take_no_memory(count):
    """Batches of an order of any length come at once, and repeat no sample."""
    schedule = Schedule(Order(1024, True, 3), count, 1)
    batches = [schedule.indices(0, number) for number in (0, 1, len(schedule) - 1)]
    found = np.concatenate(batches)
    assert len(set(found.tolist())) == len(found)
    assert 0 <= found.min() < count // 100
    assert count // 100 * 99 < found.max() < count


def test_permutations_beyond_32_bits_follow_the_shuffle():
    """Beyond 32 bits, permutations equal the rounds of the page in exact integers."""

    def mixed(x: int) -> int:
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 % 2**64
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB % 2**64
        return x ^ (x >> 31)

    golden, size = 0x9E3779B97F4A7C15, 10**12 + 39
    for index in (0, 1, 7 * size + 12_345_678_901):
        turn, value = divmod(index, size)
        key = mixed((turn * golden + mixed((mixed(5) + mixed((8 << 40) + 1)) % 2**64)) % 2**64)
        for step in range(64):
            word = mixed((key + mixed((8 << 40 | 1 << 24 | step) + 1)) % 2**64)
            partner = ((word * size >> 64) - value) % size
            if mixed((word + (max(value, partner) + 1) * golden) % 2**64) >= 2**63:
                value = partner
        assert rng.permute(5, np.array([index]), size, 8).tolist() == [value]


def test_without_an_end_batches_go_on():
    """Without a count there is no length, and ranks take the batches in turn."""
    schedule = Schedule(Order(10, rank=1, ranks=3), None, 1)
    assert schedule.indices(0, 0).tolist() == list(range(10, 20))
    assert schedule.indices(0, 10**9).tolist()[0] == (3 * 10**9 + 1) * 10
    with pytest.raises(TypeError, match="no number of batches"):
        len(schedule)
    with pytest.raises(UsageError, match=r"past index 2\*\*63"):
        schedule.indices(0, 2**62)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": 0}, "batch size is 0, expected a whole number from 1"),
        ({"size": 2.5}, "batch size is 2.5"),
        ({"size": None}, "batch size is None"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**64}, "seed is 18446744073709551616"),
        ({"ranks": 0}, "ranks is 0"),
        ({"rank": 2, "ranks": 2}, "rank is 2, expected a whole number from 0 to 1"),
        ({"rank": -1}, "rank is -1"),
        ({"block": 0}, "block is 0"),
        ({"size": True}, "batch size is True"),
        ({"ranks": "2"}, "ranks is '2'"),
        ({"shuffle": "no"}, "shuffle is 'no', expected True or False"),
        ({"drop_last": 1}, "drop_last is 1"),
    ],
)
def test_bad_orders_are_refused(values, message):
    """A number out of its range is named, with the range."""
    with pytest.raises(UsageError, match=message):
        Order(**values)


def test_orders_of_numpys_numbers_are_plain():
    """Numbers of numpy become Python's, which JSON can hold."""
    order = Order(np.int32(5), seed=np.uint64(2**64 - 1), rank=np.int8(1), ranks=np.int64(2))
    assert order == Order(5, seed=2**64 - 1, rank=1, ranks=2)
    schedule = Schedule(order, 1000, 1)
    shuffled = Schedule(Order(300, True), 1000, 1)
    for kind in (np.uint8, np.int32, np.uint64):
        assert schedule.indices(kind(200), kind(3)).tolist() == list(range(35, 40))
        wanted = shuffled.indices(200, 1).tolist()
        assert shuffled.indices(kind(200), kind(1)).tolist() == wanted
        assert [type(value) for value in shuffled.check_start(kind(200), kind(1))] == [int, int]
    assert {type(value) for value in (order.size, order.seed, order.rank, order.ranks)} == {int}


@pytest.mark.parametrize(
    ("epoch", "number", "message"),
    [
        (-1, 0, "epoch is -1"),
        (0, 4, "batch is 4, expected .* 0 to 3"),
        (0, -1, "batch is -1"),
        (2**60, 0, "epoch is"),
        ("1", 0, "epoch is '1'"),
    ],
)
def test_batches_that_are_none_are_refused(epoch, number, message):
    """An epoch or batch out of range is named."""
    with pytest.raises(UsageError, match=message):
        Schedule(Order(10), 35, 1).indices(epoch, number)


def test_no_order_is_shuffled_without_an_end():
    """Samples without an end cannot be shuffled."""
    with pytest.raises(UsageError, match="shuffle is given for samples without an end"):
        Schedule(Order(10, shuffle=True), None, 1)
    with pytest.raises(UsageError, match="epoch is 1"):
        Schedule(Order(10), None, 1).indices(1, 0)
