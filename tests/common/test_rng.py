"""Seeds, words and permutations against published vectors, exact integers and chi-square."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from builder.common import constants, rng, rng_kernels
from builder.common.errors import UsageError
from builder.common.rng import Stream

TWO_64 = 1 << 64
WORD = st.integers(0, TWO_64 - 1)
INDEX = st.integers(0, (1 << 63) - 1)
EDGE_WORDS = [0, 1, (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 63) - 1, 1 << 63]
EDGE_WORDS += [TWO_64 - (1 << 32), TWO_64 - (1 << 31), TWO_64 - 2, TWO_64 - 1]

SPLITMIX_1234567 = [
    6457827717110365317,
    3203168211198807973,
    9817491932198370423,
    4593380528125082431,
    16408922859458223821,
]
"""The published outputs of SplitMix64 for seed 1234567."""

UNLIKELY = 1e-4
"""Every seed here is fixed, so a chi-square test of a sound stream passes always or never."""


def exact_mix(z: int) -> int:
    """Return SplitMix64's output function, written with Python's integers alone."""
    z %= TWO_64
    z = (z ^ z // 2**30) * 0xBF58476D1CE4E5B9 % TWO_64
    z = (z ^ z // 2**27) * 0x94D049BB133111EB % TWO_64
    return z ^ z // 2**31


def exact_seed(master: int, index: int) -> int:
    return exact_mix(exact_mix(master) + (index + 1) * 0x9E3779B97F4A7C15)


def exact_word(seed: int, stream: int, position: int, draw: int) -> int:
    return exact_mix(seed + exact_mix(stream * 2**40 + position * 2**24 + draw + 1))


def words_of(*values: int) -> constants.Words:
    return np.array(values, dtype=np.uint64)


def uniform_p(values: np.ndarray, choices: int) -> float:
    return float(stats.chisquare(np.bincount(values, minlength=choices)).pvalue)


def some_words(count: int, master: int = 5, stream: int = Stream.DIGIT) -> constants.Words:
    return rng.draw_words(rng.sample_seeds(master, np.arange(count)), stream)


def test_mix64_gives_the_published_outputs():
    """The mix of a state that advances by GOLDEN is SplitMix64."""
    states = [(1234567 + k * rng.GOLDEN) % TWO_64 for k in range(1, 6)]
    assert [rng.mix64(state) for state in states] == SPLITMIX_1234567


@given(WORD)
@settings(deadline=None)
def test_mix64_is_undone_by_unmix64(word):
    """Both compositions of the mix and its inverse give the word back."""
    assert rng.unmix64(rng.mix64(word)) == word
    assert rng.mix64(rng.unmix64(word)) == word


@given(st.lists(WORD, min_size=1, max_size=20))
@settings(deadline=None)
def test_mix_of_an_array_is_the_mix_of_each(values):
    """The array form equals the scalar form and leaves its argument as it was."""
    array, mixed = words_of(*values), np.empty((len(values), 1), dtype=np.uint64)
    rng_kernels.fill_words(array, words_of(0), mixed)
    assert mixed[:, 0].tolist() == [rng.mix64(value) for value in values]
    assert array.tolist() == values


@given(WORD, st.lists(INDEX, min_size=1, max_size=10))
@settings(deadline=None)
def test_sample_seeds_follow_the_formula(master, index):
    """The seed of sample i is mix64(mix64(master) + (i + 1) * G), whatever stands beside it."""
    seeds = rng.sample_seeds(master, np.array(index, dtype=np.int64))
    assert seeds.dtype == np.uint64
    assert seeds.tolist() == [exact_seed(master, i) for i in index]


@given(WORD, INDEX)
@settings(deadline=None)
def test_index_is_recovered_from_the_seed(master, index):
    """Every index below 2**63 comes back from its sample seed."""
    assert rng.index_of_seed(master, exact_seed(master, index)) == index


@pytest.mark.parametrize("master", [0, 1, TWO_64 - 1])
@pytest.mark.parametrize("index", [0, 1, 10**6, (1 << 63) - 1])
def test_first_and_last_indices_are_recovered(master, index):
    """The ends of the index range belong to it."""
    assert rng.index_of_seed(master, exact_seed(master, index)) == index


@pytest.mark.filterwarnings("error")
def test_index_is_recovered_from_an_array_of_seeds():
    """A seed taken out of an array of seeds gives its index, as a plain number does."""
    index = np.array([0, 7, 100, (1 << 63) - 1])
    recovered = [rng.index_of_seed(3, seed) for seed in rng.sample_seeds(3, index)]
    assert recovered == index.tolist()


@pytest.mark.parametrize("index", [1 << 63, (1 << 63) + 1, TWO_64 - 1])
def test_seeds_of_indices_from_2_to_the_63_on_are_refused(index):
    """A seed whose index is 2**63 or more belongs to no sample."""
    with pytest.raises(UsageError, match="belongs to no sample of master seed 3"):
        rng.index_of_seed(3, exact_seed(3, index))


@pytest.mark.parametrize("seed", [-1, TWO_64, TWO_64 + 5, 1.5])
def test_seeds_that_are_not_64_bits_are_refused(seed):
    """A sample seed outside [0, 2**64) is refused with its value and the range."""
    with pytest.raises(UsageError, match=rf"is {seed}, expected a whole number from 0 to 2\*\*64"):
        rng.index_of_seed(0, seed)


def test_seed_plus_index_is_no_key():
    """Datasets of neighbouring master seeds share no sample."""
    seeds = [rng.sample_seeds(master, np.arange(5000)).tolist() for master in range(8)]
    assert len(set(itertools.chain(*seeds))) == 8 * 5000


def test_stream_numbers_are_pinned():
    """A stream keeps its number for good, and augmentations begin at 16."""
    pinned = "LENGTH=1 DIGIT=2 NUMBER=3 GLYPH=4 GAP=5 PLACING=6 LABEL_ORDER=7"
    numbers = {name: int(number) for name, number in (s.split("=") for s in pinned.split())}
    assert {stream.name: int(stream) for stream in Stream if stream.name in numbers} == numbers
    assert len({int(stream) for stream in Stream}) == len(Stream)
    assert max(Stream) < 16


VECTORS = [
    # master, index, stream, position, draw, sample seed, word
    (0, 0, 1, 0, 0, 0xE220A8397B1DCDAF, 0x147A9A71D1874691),
    (0, 1, 2, 4, 0, 0x6E789E6AA1B965F4, 0x044AA5564410260E),
    (1, 0, 4, 0, 0, 0xBFEF8030DDC2D772, 0x4B75B857B3D684AE),
    (7, 41, 5, 3, 0, 0x6B9992DBA4480BFE, 0x36EC427F946CC293),
    (TWO_64 - 1, (1 << 63) - 1, 6, 0, 0, 0xEB31ACEB6000BF75, 0x62963DDEE1D3FC08),
    (123456789, 10**6, 16, 2, 1, 0x431938EEE5070ED0, 0x199B7B9A0D1560E1),
    (0x1234, 255, 17, 254, (1 << 24) - 1, 0x92C9CD156E24A4D4, 0x80BAF262CA32DE1B),
]


@pytest.mark.parametrize(("master", "index", "stream", "position", "draw", "seed", "word"), VECTORS)
def test_words_equal_the_test_vectors(master, index, stream, position, draw, seed, word):
    """A word of a named sample, stream, position and draw is a pinned number."""
    seeds = rng.sample_seeds(master, np.array([index]))
    assert seeds.tolist() == [seed]
    assert int(rng.draw_digit_words(seeds, position + 1, stream, draw)[0, position]) == word
    if position == 0:
        assert rng.draw_words(seeds, stream, draw).tolist() == [word]


@given(
    st.lists(WORD, min_size=1, max_size=4),
    st.integers(1, 6),
    st.integers(1, (1 << 24) - 1),
    st.integers(0, (1 << 24) - 1),
)
@settings(deadline=None)
def test_words_follow_the_formula(seeds, digits, stream, draw):
    """Words of any stream, position and draw equal exact integer arithmetic."""
    expected = [[exact_word(s, stream, p, draw) for p in range(digits)] for s in seeds]
    assert rng.draw_digit_words(words_of(*seeds), digits, stream, draw).tolist() == expected
    assert rng.draw_words(words_of(*seeds), stream, draw).tolist() == [row[0] for row in expected]


def test_addresses_differ():
    """No two of stream, position and draw name the same word, up to the limits of each."""
    streams_, positions = [1, 2, 255, 256, (1 << 24) - 1], [0, 1, 255, 256, (1 << 16) - 1]
    names = list(itertools.product(streams_, positions, [0, 1, 255, 256, (1 << 24) - 1]))
    assert len({rng.address(*name) for name in names}) == len(names)


@pytest.mark.parametrize("bound", [1, 2, 3, 10, 6742, (1 << 31) - 1, 1 << 31])
def test_below_maps_the_edges_of_words_exactly(bound):
    """The first and the last word reach 0 and bound - 1, and all between agree with integers."""
    numbers = rng.uniform_below(words_of(*EDGE_WORDS), bound).tolist()
    assert numbers == [(word >> 32) * bound >> 32 for word in EDGE_WORDS]
    assert (numbers[0], numbers[-1]) == (0, bound - 1)


@given(st.lists(st.tuples(WORD, st.integers(1, 1 << 31)), min_size=1, max_size=10))
@settings(deadline=None)
def test_below_equals_exact_integers(pairs):
    """A bound for each word gives the top half of the word times its bound over 2**32."""
    words, bounds = zip(*pairs, strict=True)
    numbers = rng.uniform_below(words_of(*words), np.array(bounds, dtype=np.int64))
    assert numbers.dtype == np.int64
    assert numbers.tolist() == [(word >> 32) * bound >> 32 for word, bound in pairs]


@pytest.mark.parametrize(
    "bound", [1, 2, 999, (1 << 32) - 1, 1 << 32, 10**18, (1 << 63) - 1, 1 << 63]
)
def test_below_wide_maps_the_edges_of_words_exactly(bound):
    """The first and the last word reach 0 and bound - 1 for every bound up to 2**63."""
    numbers = rng.uniform_below_wide(words_of(*EDGE_WORDS), bound).tolist()
    assert numbers == [word * bound >> 64 for word in EDGE_WORDS]
    assert (numbers[0], numbers[-1]) == (0, bound - 1)


@given(st.lists(WORD, min_size=1, max_size=10), st.integers(1, 1 << 63))
@settings(deadline=None)
def test_below_wide_equals_exact_integers(words, bound):
    """The 128-bit product of four halves is the product of Python's integers."""
    numbers = rng.uniform_below_wide(words_of(*words), bound)
    assert numbers.dtype == np.int64
    assert numbers.tolist() == [word * bound >> 64 for word in words]


@pytest.mark.parametrize("bound", [2, 3, 10, 28, 1000])
@pytest.mark.parametrize(
    "draw", [rng.uniform_below, rng.uniform_below_wide], ids=["below", "below_wide"]
)
def test_integers_are_uniform_with_both_ends(draw, bound):
    """Every value of [0, bound) comes equally often, the first and the last included."""
    values = draw(some_words(200 * bound), bound)
    assert (values.min(), values.max()) == (0, bound - 1)
    assert uniform_p(values, bound) > UNLIKELY


@pytest.mark.parametrize("stream", list(Stream))
def test_every_stream_is_uniform(stream):
    """The top and the bottom bits of each stream's words are uniform."""
    words = some_words(32768, master=0, stream=stream)
    assert uniform_p(rng.uniform_below(words, 256), 256) > UNLIKELY
    assert uniform_p((words & np.uint64(255)).astype(np.int64), 256) > UNLIKELY


def families(count: int) -> np.ndarray:
    """Return draws (families, count): streams, positions, draws, masters, and the next sample."""
    seeds = rng.sample_seeds(9, np.arange(count))
    rows = [rng.draw_words(seeds, stream) for stream in range(1, 25)]
    rows += list(rng.draw_digit_words(seeds, 6, Stream.GAP)[:, 1:].T)
    rows += [rng.draw_words(seeds, Stream.GAP, draw) for draw in range(1, 4)]
    rows.append(rng.draw_words(rng.sample_seeds(10, np.arange(count)), 1))
    rows.append(rng.draw_words(rng.sample_seeds(9, np.arange(1, count + 1)), 1))
    rows.append(seeds)
    return rng.uniform_signed(np.array(rows))


def test_streams_are_not_correlated():
    """No two of streams, positions, draws, masters and neighbours correlate."""
    count = 20_000
    table = np.corrcoef(families(count))
    off_diagonal = table[~np.eye(len(table), dtype=bool)]
    assert np.abs(off_diagonal).max() < 5 / np.sqrt(count)


def test_pairs_of_streams_are_independent():
    """Two streams fill the cells of a 16 x 16 table evenly."""
    cells = ((families(20_000) + 1) * 8).astype(np.int64)
    pairs = itertools.combinations(range(0, len(cells), 3), 2)
    least = min(uniform_p(cells[a] * 16 + cells[b], 256) for a, b in pairs)
    assert least > UNLIKELY / 10


def test_signed_unit_maps_the_edges_of_words_exactly():
    """The first word is -1, the middle one 0, and the last one is the next below 1."""
    numbers = rng.uniform_signed(words_of(0, 1 << 63, TWO_64 - 1))
    assert numbers.tolist() == [-1.0, 0.0, 1.0 - 2.0**-52]


@given(WORD)
@settings(deadline=None)
def test_signed_unit_is_exact(word):
    """A number is the word's top 53 bits less 2**52, in steps of 2**-52, inside [-1, 1)."""
    (number,) = rng.uniform_signed(words_of(word)).tolist()
    assert -1 <= number < 1
    assert number.as_integer_ratio() == ((word // 2**11 - 2**52) / 2**52).as_integer_ratio()
    assert number * 2**52 == word // 2**11 - 2**52


SIZES = [1, 2, 3, 5, 64, 100, 1000]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("turn", [0, 1, 12_345, -1], ids=["first", "second", "later", "last"])
def test_each_pass_is_a_permutation(size, turn):
    """A run of `size` indices gives every number below it once, at the far end of indices too."""
    first = (turn if turn >= 0 else (1 << 63) // size - 1) * size
    index = first + np.arange(size, dtype=np.int64)
    assert sorted(rng.permute(3, index, size).tolist()) == list(range(size))


def exact_place(master: int, index: int, size: int) -> int:
    """Return where the swap-or-not shuffle takes one index, in Python's integers."""
    turn, value = divmod(index, size)
    key = exact_mix(exact_mix(master) + exact_mix(7 * 2**40 + 1))
    key = exact_mix(turn * 0x9E3779B97F4A7C15 + key)
    for step in range(64):
        word = exact_mix(key + exact_mix(7 * 2**40 + 2**24 + step + 1))
        partner = ((word >> 32) * size // 2**32 - value) % size
        if exact_mix(word + (max(value, partner) + 1) * 0x9E3779B97F4A7C15) >= 2**63:
            value = partner
    return value


@given(WORD, st.integers(1, 1 << 31), st.lists(INDEX, min_size=1, max_size=5))
@settings(deadline=None, max_examples=50)
def test_permuted_follows_the_shuffle(master, size, index):
    """The shuffle of an array of indices is that of each in exact integers."""
    numbers = rng.permute(master, np.array(index, dtype=np.int64), size)
    assert numbers.dtype == np.int64
    assert numbers.tolist() == [exact_place(master, i, size) for i in index]


def test_neighbours_do_not_stay_neighbours():
    """The distance between the places of two neighbouring lines is uniform."""
    orders = rng.permute(4, np.arange(400 * 100), 100).reshape(400, 100)
    steps = (np.diff(orders, axis=1) % 100).ravel() - 1
    assert uniform_p(steps, 99) > UNLIKELY


@given(WORD, st.integers(1, 300), INDEX)
@settings(deadline=None, max_examples=50)
def test_permuted_does_not_depend_on_the_block(master, size, index):
    """An index is mapped alone as it is among others, and its argument stays as it was."""
    block = np.array([index, index // 2, 0, index], dtype=np.int64)
    together = rng.permute(master, block, size).tolist()
    assert together == [int(rng.permute(master, block[k : k + 1], size)[0]) for k in range(4)]
    assert block.tolist() == [index, index // 2, 0, index]
    assert all(0 <= value < size for value in together)


@pytest.mark.parametrize("size", [100, 1000])
def test_passes_differ(size):
    """No two of many passes, nor the same pass under two masters, have one order."""
    orders = [rng.permute(m, np.arange(50 * size), size).reshape(50, size) for m in (1, 2)]
    assert len({tuple(row) for row in np.concatenate(orders).tolist()}) == 100
    assert list(range(size)) not in orders[0].tolist()


@pytest.mark.parametrize("size", [2, 3, 5, 7, 10, 30, 100])
def test_every_line_comes_first_equally_often(size):
    """Over many passes each number stands at each place of a pass equally often."""
    passes = min(400 * size, 4000)
    orders = rng.permute(1, np.arange(passes * size), size).reshape(passes, size)
    least = min(uniform_p(orders[:, place], size) for place in range(size))
    assert least > UNLIKELY / size


@pytest.mark.parametrize("size", [2, 3, 4])
def test_every_order_of_few_lines_comes_equally_often(size):
    """Over many passes every order of two, three or four numbers comes equally often."""
    orders = rng.permute(2, np.arange(12_000 * size), size).reshape(-1, size)
    numbers = {order: k for k, order in enumerate(itertools.permutations(range(size)))}
    drawn_orders = np.array([numbers[tuple(order)] for order in orders.tolist()])
    assert uniform_p(drawn_orders, len(numbers)) > UNLIKELY


def test_fresh_seeds_are_64_bits_and_differ():
    """Without a given seed each call gets one of 64 bits from the operating system."""
    seeds = [rng.master_seed(None) for _ in range(64)]
    assert len(set(seeds)) == 64
    assert all(0 <= seed < TWO_64 for seed in seeds)
    assert max(seeds) >= 1 << 58


@pytest.mark.parametrize("seed", [0, 1, TWO_64 - 1, np.uint64(TWO_64 - 1), np.int64(7)])
def test_given_seeds_are_taken_as_they_are(seed):
    """A master seed in [0, 2**64) is itself, as Python's integer."""
    assert type(rng.master_seed(seed)) is int
    assert rng.master_seed(seed) == int(seed)


@pytest.mark.parametrize("seed", [-1, TWO_64, 1.0, "7", [1], True])
def test_bad_master_seeds_are_refused(seed):
    """A master seed that is no whole number in [0, 2**64) is refused with its value."""
    with pytest.raises(UsageError, match="expected a whole number from 0 to") as caught:
        rng.master_seed(seed)
    assert f"seed is {seed!r}," in str(caught.value)
