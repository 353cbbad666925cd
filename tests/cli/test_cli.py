"""The command line: build, regenerate and info, in process and as commands of their own."""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from argparse import Namespace
from pathlib import Path
from typing import NamedTuple

import cv2
import h5py
import numpy as np
import pytest

from builder import Augment, Recipe, generate
from builder.cli import main, options, parse_whole
from builder.common import rng
from builder.common.errors import log, log_to
from builder.planner.planner import open_planner
from builder.recipe import labels_file
from builder.storage.config import DatasetConfig, StorageOptions
from builder.workers.estimate import FIRST_TRIAL, estimate_build

ROOT = Path(__file__).parents[2]
SMALL = shlex.split("--count 60 --length 1:3 --width 100 --shard-size 25 --seed 5")
ALONE = ("--quiet", "--backend", "sequential")


class Result(NamedTuple):
    """The outcome of a call: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


def call(capsys, verb, *arguments):
    """Run a verb in this process."""
    capsys.readouterr()
    try:
        code = main(verb, [str(argument) for argument in arguments])
    except SystemExit as end:
        code = end.code
    return Result(code, *capsys.readouterr())


def command(*arguments, cwd, **options):
    """Run a command as a process of its own."""
    done = subprocess.run(
        [str(argument) for argument in arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=60,
        **options,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def script(verb):
    """Return the beginning of a call of one of the project's scripts."""
    return [sys.executable, ROOT / "scripts" / f"{verb}.py"]


def manifest_of(folder):
    """Return a dataset's manifest as plain values."""
    return json.loads((Path(folder) / "manifest.json").read_text())


def tree(folder, but=()):
    """Return the bytes of every file below a folder by name, None for a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in Path(folder).rglob("*")
        if path.name not in but
    }


def write_digits(folder, images, labels):
    """Write the same glyphs (K, 28, 28) uint8 and labels as the four IDX files of a folder."""
    folder.mkdir()
    for split in ("train", "t10k"):
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            head = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, dtype=">i4").tobytes()
            (folder / f"{split}-{kind}-ubyte").write_bytes(head + array.astype("u1").tobytes())
    return folder


def block_digits(folder):
    """Write twenty glyphs, two of each class: blocks of 20 x 20 px, of grey value 100 + class."""
    labels = np.arange(20) % 10
    images = np.zeros((20, 28, 28), dtype=np.uint8)
    images[:, 4:24, 4:24] = 100 + labels[:, None, None]
    return write_digits(folder, images, labels)


@pytest.fixture(scope="module", params=["hdf5", "png"])
def dataset(request, tmp_path_factory):
    """Return the folder of a finished dataset of 60 images in three shards."""
    folder = tmp_path_factory.mktemp("built") / request.param
    assert main("build", [*SMALL, *ALONE, "--format", request.param, "--out", str(folder)]) == 0
    return folder


@pytest.fixture(scope="module")
def hdf5(tmp_path_factory):
    """Return the folder of the same dataset in HDF5 shards, for tests of one format."""
    folder = tmp_path_factory.mktemp("built") / "data"
    assert main("build", [*SMALL, *ALONE, "--out", str(folder)]) == 0
    return folder


# Help


@pytest.mark.parametrize("verb", ["build", "regenerate", "preview", "verify", "info"])
def test_every_verb_has_help_with_examples(capsys, verb):
    """`--help` goes to standard output, ends with 0, and shows calls to copy."""
    result = call(capsys, verb, "--help")
    assert (result.code, result.err) == (0, "")
    assert f"\n  {verb}.py " in result.out[result.out.index("examples:") :]


OPTIONS = {
    "build": "count workers out seed format compression length digits numbers labels-file "
    "labels-order classes spacing width fit align spacing-between split dataset-dir augment style "
    "thin thick elastic elastic-correlation scale shear shear-y rotate perspective shift baseline "
    "contrast blur strokes stroke-width background gradient texture invert dropout noise masks "
    "shard-size block-size recipe dry-run quiet verbose backend",
    "regenerate": "sample-seed index out",
    "preview": "count out boxes ladder columns zoom augment rotate",
    "verify": "full deep samples repair dataset-dir workers quiet",
    "info": "help",
}


@pytest.mark.parametrize(("verb", "options"), OPTIONS.items())
def test_help_explains_every_option(capsys, verb, options):
    """Each option has its own entry, with words behind it."""
    text = call(capsys, verb, "--help").out
    for option in options.split():
        entry = re.search(rf"^  (-h, )?--{option}\b(.*(?:\n {{10,}}.*)*)", text, re.MULTILINE)
        assert entry, option
        assert re.search(r"[a-z]{2,}.* [a-z]{2,}", entry[2], re.DOTALL), option


def test_examples_of_build_are_calls_that_work(capsys, tmp_path, monkeypatch):
    """Every example in the help of build can be pasted."""
    monkeypatch.chdir(tmp_path)
    examples = re.findall(r"^  build\.py (.*)$", call(capsys, "build", "--help").out, re.MULTILINE)
    assert len(examples) > 2
    for example in examples:
        assert call(capsys, "build", *shlex.split(example), "--dry-run").code == 0, example


def test_the_command_names_its_verbs(capsys):
    """`digitseq --help` lists the verbs; without one, or with another, the call is wrong."""
    text = call(capsys, None, "--help").out
    assert all(verb in text for verb in ("build", "regenerate", "preview", "info"))
    for arguments, hint in (
        ([], "required: VERB"),
        (["bild", "--count", 5], "no verb 'bild': did you mean 'build'?"),
        (["Verify"], "did you mean 'verify'?"),
        (["x\x1b[2J"], r"no verb 'x\x1b[2J': verbs: build, regenerate, preview, verify, info"),
    ):
        result = call(capsys, None, *arguments)
        assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
        assert hint in result.err


# Build


def test_build_ends_with_a_line_that_sums_it_up(capsys, tmp_path):
    """The one line on standard output has folder, images, rate, size, and content digest."""
    result = call(capsys, "build", *SMALL, *ALONE, "--out", tmp_path / "new")
    form = r"(.+): 60 images in [\d.]+ s \(([\d,]+) images/s\), ([\d.]+)kB, (c1:[0-9a-f]{32})\n"
    match = re.fullmatch(form, result.out)
    assert match, result.out
    assert (result.code, result.err) == (0, "")
    manifest = manifest_of(tmp_path / "new")
    assert (match[1], match[4]) == (str(tmp_path / "new"), manifest["content_digest"])
    assert int(match[2].replace(",", "")) > 0
    size = sum(path.stat().st_size for path in (tmp_path / "new").glob("shard-*"))
    assert manifest["bytes"] == size
    assert float(match[3]) == pytest.approx(size / 1000, rel=0.01)


@pytest.mark.parametrize(
    ("given", "shown"), [({}, "iw"), ({"quiet": True}, "w"), ({"verbose": True}, "diw")]
)
def test_warnings_are_never_silenced(capsys, tmp_path, given, shown):
    """`--quiet` leaves warnings on standard error, and nothing less; the build's log has more."""
    log_file = logging.FileHandler(tmp_path / "log")
    with options.show_log(Namespace(**given)), log_to(log_file, logging.INFO):
        log.debug("d")
        log.info("i")
        log.warning("w")
    assert "".join(capsys.readouterr().err.split()) == shown
    assert len((tmp_path / "log").read_text().splitlines()) == 2


def test_result_and_log_go_to_different_streams(tmp_path):
    """A real call has its result on standard output, log and progress on standard error."""
    arguments = shlex.split("--count 9 --workers 16 --out here")
    result = command(*script("build"), *arguments, cwd=tmp_path)
    assert result.code == 0
    assert re.fullmatch(r"here: 9 images .*c1:[0-9a-f]{32}\n", result.out)
    first, *rest = result.err.splitlines()
    assert re.match(r"shards to make: 1 of 1; workers: 1 of the 16 asked for", first)
    assert [line.split(":")[0] for line in rest] == ["finished"]  # no bar where no terminal is
    log = (tmp_path / "here" / "build.log").read_text()
    assert first in log


@pytest.mark.untraced
def test_quiet_workers_print_nothing(tmp_path):
    """With `--quiet` a build with worker processes leaves standard error empty."""
    digitseq = Path(sysconfig.get_path("scripts"), "digitseq")
    arguments = shlex.split("build --quiet --count 40 --shard-size 10 --workers 2 --out here")
    result = command(digitseq, *arguments, cwd=tmp_path)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("here: 40 images in ")
    assert manifest_of(tmp_path / "here")["plan"]["count"] == 40


def test_verbose_logs_every_shard(capsys, tmp_path, monkeypatch):
    """With `--verbose` each shard has its line in the log."""
    monkeypatch.setattr(logging.getLogger("builder"), "handlers", [])  # without pytest's
    arguments = [*SMALL, "--backend", "sequential", "--out", tmp_path / "new"]
    plain = call(capsys, "build", *arguments)
    shutil.rmtree(tmp_path / "new")
    verbose = call(capsys, "build", *arguments, "--verbose")
    for number in range(3):
        name = f"shard-{number:06d}"
        assert (name in plain.err, name in verbose.err) == (False, True), name


def test_a_call_leaves_the_process_as_it_was(capsys, tmp_path, monkeypatch):
    """A second call logs each line once, and the handling of SIGTERM is given back."""
    log = logging.getLogger("builder")
    monkeypatch.setattr(log, "handlers", [])  # without pytest's
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        for seed in (1, 2):
            arguments = ["--count", 5, "--seed", seed, "--out", tmp_path / f"{seed}"]
            result = call(capsys, "build", *arguments, "--backend", "sequential")
            assert result.err.count("shards to make") == 1
        assert log.handlers == []
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGTERM, before)


def rows_of(text):
    """Return the two columns of a printed table as a dict."""
    return dict(re.findall(r"^(\w+) +(.*)$", text, re.MULTILINE))


def test_dry_run_answers_at_once_and_writes_nothing(capsys, tmp_path, monkeypatch):
    """A million million images are planned without a loop over shards, and leave no trace."""
    monkeypatch.chdir(tmp_path)
    arguments = shlex.split("--dry-run --digits 3,5,0 --width 100 --shard-size 1000")
    result = call(capsys, "build", "--count", 10**12, *arguments)
    assert (result.code, result.err, tree(tmp_path)) == (0, "", {})
    rows = rows_of(result.out)
    fingerprint = Recipe(digits="350", width=100).fingerprint
    assert rows["images"] == "1,000,000,000,000"
    assert rows["shards"].startswith("1,000,000,000 of 1,000 images")
    # 2800 of pixels, 3 labels, 1 length, 8 index, 8 seed, 12 glyphs, 48 boxes, 96 quads, 12 visible
    size = re.match(r"about ([\d.]+)PB; ", rows["bytes"])[1]
    assert 2.988 < float(size) < 3.1  # and the Parquet file's share
    assert rows["folder"] == f"shards/{fingerprint[:12]}-h5"
    assert rows["recipe"] == fingerprint
    assert "disk" in rows["warning"]


@pytest.mark.parametrize("form", ["--format hdf5", "--compression gzip", "--format png"])
def test_dry_run_estimates_the_bytes_of_a_dataset(capsys, tmp_path, form):
    """The bytes of a dry run are those of the files that a build makes, 2 % more or less."""
    arguments = ["--count", 2000, "--shard-size", 700, "--augment", "light", *form.split()]
    rows = rows_of(call(capsys, "build", *arguments, "--dry-run").out)
    estimated = float(re.match(r"about ([\d.]+)MB", rows["bytes"])[1]) * 1e6
    call(capsys, "build", *arguments, "--workers", 1, "--quiet", "--out", tmp_path / "built")
    assert estimated == pytest.approx(manifest_of(tmp_path / "built")["bytes"], rel=0.02)


def test_dry_run_times_a_little_and_multiplies(monkeypatch, recipe, tmp_path):
    """Seconds are those of a trial by the count, over the workers; the trial leaves nothing."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # to see what is left there
    clock = itertools.count()  # each trial takes a second: from one look at the clock to the next
    monkeypatch.setattr(time, "process_time", lambda: float(next(clock)))  # an exact clock
    plan = DatasetConfig.of(recipe, StorageOptions(), 10**9)
    assert estimate_build(plan, 4, 100).seconds == 10**9 / FIRST_TRIAL / 4
    assert list(tmp_path.iterdir()) == []


def test_dry_run_estimates_the_memory_of_large_blocks(tmp_path):
    """A block of wide images is in the estimated memory: 1,500 of 8,192 px are 344 MB."""
    wide = shlex.split("--dry-run --count 3000 --length 1 --width 8192 --augment none")
    result = [
        command(*script("build"), *wide, "--block-size", block, cwd=tmp_path).out
        for block in (10, 1500)
    ]
    small, large = (float(re.match(r"about ([\d.]+)MB", rows_of(s)["memory"])[1]) for s in result)
    assert large - small > 344


def test_a_manifest_makes_the_same_dataset_elsewhere(capsys, dataset, tmp_path):
    """`--recipe manifest.json` takes recipe, storage and count, and gives the same bytes."""
    result = call(
        capsys, "build", "--recipe", dataset / "manifest.json", *ALONE, "--out", tmp_path / "again"
    )
    assert result.code == 0
    assert result.out.endswith(f"{manifest_of(dataset)['content_digest']}\n")
    machine = (".lock", "build.log")
    assert tree(tmp_path / "again", but=machine) == tree(dataset, but=machine)


def test_options_of_storage_go_beside_a_manifest(capsys, hdf5, tmp_path):
    """Format, shard size and count may differ from the manifest's; the samples stay."""
    result = call(
        capsys,
        "build",
        "--recipe",
        hdf5 / "manifest.json",
        *ALONE,
        "--format",
        "png",
        "--shard-size",
        60,
        "--out",
        tmp_path / "again",
    )
    assert result.out.endswith(f"{manifest_of(hdf5)['content_digest']}\n")
    assert [path.name for path in (tmp_path / "again").glob("shard-*.json")] == [
        "shard-000000.json"
    ]
    call(
        capsys,
        "build",
        "--recipe",
        hdf5 / "plan.json",
        *ALONE,
        "--count",
        7,
        "--out",
        tmp_path / "seven",
    )
    assert manifest_of(tmp_path / "seven")["plan"]["count"] == 7


LABELS = b"12\n3\n045\n"
RECIPE_OPTIONS = [
    ("--seed 99", {"seed": 99}),
    ("--length 4", {"length": [4, 4]}),
    ("--length 2:3", {"length": [2, 3]}),
    ("--digits 3,5,0", {"digits": [3, 5, 0], "length": None}),
    ("--numbers 007:123", {"numbers": "007:123", "length": None}),
    (
        "--labels-file labels.txt",
        {
            "labels_file": {
                "sha256": hashlib.sha256(LABELS).hexdigest(),
                "lines": 3,
                "longest": 3,
            },
            "labels_order": "file",
            "length": None,
        },
    ),
    ("--labels-file labels.txt --labels-order shuffled", {"labels_order": "shuffled"}),
    ("--classes 7,1", {"classes": [1, 7], "length": [1, 5]}),
    ("--spacing -3 4", {"spacing": [-3, 4]}),
    ("--spacing 7", {"spacing": [7, 7]}),
    ("--spacing -3", {"spacing": [-3, -3]}),
    ("--spacing -3:4", {"spacing": [-3, 4]}),
    ("--spacing=-4,-3", {"spacing": [-4, -3]}),
    ("--length 2,3", {"length": [2, 3]}),
    ("--seed 1.5k --width 2e2", {"seed": 1500, "width": 200}),
    ("--width 170", {"width": 170}),
    ("--fit fill", {"fit": "fill"}),
    ("--fit error --length 1", {"fit": "error"}),
    ("--align left", {"align": "left"}),
    ("--align center", {"align": "center"}),
    ("--align right", {"align": "right"}),
    ("--spacing-between ink", {"spacing_between": "ink"}),
    ("--split test", {"split": "test"}),
    ("--split validation", {"split": "validation"}),
    ("--split fit", {"split": "fit"}),
    ("--augment none", {"augment": {}}),
    ("--augment light", {"augment": Augment.preset("light").to_json()}),
    ("--augment strong", {"augment": Augment.preset("strong").to_json()}),
    ("--augment none --scale 0.3", {"augment": {"scale": 0.3}}),
    ("--augment light --shift 0", {"augment": Augment.preset("light", shift=0).to_json()}),
    ("--shift 3", {"augment": Augment.preset("standard", shift=3).to_json()}),
    ("--augment none --shear-y 0.1", {"augment": {"shear_y": 0.1}}),
    (
        "--augment none --elastic 1 --elastic-correlation 4",
        {"augment": {"elastic": 1.0, "elastic_correlation": 4.0}},
    ),
]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Return an own current folder that has a labels file and a folder of digits."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels.txt").write_bytes(LABELS)
    block_digits(tmp_path / "blocks")
    return tmp_path


@pytest.mark.parametrize(("options", "fields"), RECIPE_OPTIONS)
def test_every_option_arrives_in_the_recipe(capsys, place, options, fields):
    """What an option says stands in the recipe of the dataset; the rest is as by default."""
    result = call(capsys, "build", "--count", 2, *ALONE, *shlex.split(options), "--out", "new")
    assert result.code == 0, result.err
    recipe = manifest_of("new")["plan"]["recipe"]
    expected = {**Recipe().to_json(), **fields}
    assert {name: recipe.get(name) for name in fields} == fields
    others = recipe.keys() - {"length", "labels_order", "labels_file"} - fields.keys()
    assert {n: recipe[n] for n in others} == {n: expected.get(n) for n in others if n in expected}


def test_own_digits_are_drawn(capsys, place):
    """`--dataset-dir` enters by content: the pixels are those of its glyphs."""
    options = shlex.split("--dataset-dir blocks --digits 7,2 --augment none --align left")
    assert call(capsys, "build", "--count", 3, *ALONE, *options, "--out", "new").code == 0
    source = manifest_of("new")["plan"]["recipe"]["source"]
    assert source["ink_width"] == 20
    assert source["digest"] != Recipe().source.digest
    assert "MNIST" not in manifest_of("new")["licence"]
    with h5py.File("new/shard-000000.h5") as file:
        row = file["images"][0, 14].tolist()
    assert row[4:24] == [107] * 20
    assert [value for value in row[24:] if value] == [102] * 20


def test_the_seed_decides_the_images(capsys, tmp_path):
    """Two master seeds give two digests, and one seed the same one again."""
    digests = []
    for name, seed in (("a", 1), ("b", 2), ("c", 1)):
        call(capsys, "build", "--count", 5, *ALONE, "--seed", seed, "--out", tmp_path / name)
        digests.append(manifest_of(tmp_path / name)["content_digest"])
    assert digests[0] == digests[2] != digests[1]


SHORT = {"10k": 10**4, "2M": 2 * 10**6, "1e6": 10**6, "2.5E3": 2500, ".5G": 5 * 10**8}


@pytest.mark.parametrize(("text", "number"), [*SHORT.items(), ("1t", 10**12), ("1_000", 1000)])
def test_numbers_may_be_written_short(text, number):
    """A whole number may have a suffix for thousands, millions, ..., or an exponent."""
    assert parse_whole(text) == number


@pytest.mark.parametrize("spacing", ["7", "5:9", "5,9", "5 9", "-3", "-3:-1"])
def test_a_path_after_the_spacing_is_the_target(capsys, hdf5, tmp_path, monkeypatch, spacing):
    """One value or two numbers belong to `--spacing`, and never the path that follows."""
    monkeypatch.chdir(tmp_path)
    result = call(capsys, "preview", "--spacing", *spacing.split(), hdf5)
    assert result.err == (
        f"preview.py: --spacing is given beside {hdf5}, which names the whole recipe: drop one\n"
    )


def test_strong_squeezing_is_told_of(capsys, tmp_path):
    """A build whose digits lose more than a third of their width says how wide images must be."""
    options = [*ALONE, "--count", 2, "--length", 5]
    result = call(capsys, "build", *options, "--width", 120, "--out", tmp_path / "narrow")
    line = "labels of 5 digits with gaps of 10 px are squeezed to as little as 57 % of their width"
    assert result.err == f"{line}; a width of 180 px leaves them as they are\n"
    assert line in (tmp_path / "narrow" / "build.log").read_text()
    assert call(capsys, "build", *options, "--width", 134, "--out", tmp_path / "wide").err == ""


@pytest.mark.parametrize("verb", ["build", "regenerate"])
def test_a_dataset_brings_its_labels_to_another_machine(capsys, place, verb):
    """A manifest is enough where the labels file was never seen: the dataset has its copy."""
    call(capsys, "build", "--count", 4, *ALONE, "--labels-file", "labels.txt", "--out", "here")
    (place / "cache").mkdir()
    for entry in Path(os.environ["DIGITSEQ_CACHE"]).iterdir():
        if not entry.name.startswith("labels-"):
            (place / "cache" / entry.name).symlink_to(entry)
    where, more = ([], ["--index", 2]) if verb == "regenerate" else (["--recipe"], ALONE)
    result = command(
        *script(verb),
        *where,
        "here/manifest.json",
        *more,
        "--out",
        "there",
        cwd=place,
        env={**os.environ, "DIGITSEQ_CACHE": str(place / "cache")},
    )
    assert (result.code, result.err) == (0, "")
    assert "label 045," in result.out or "4 images" in result.out


@pytest.mark.parametrize(
    ("options", "ending"), [("", "h5"), ("--compression gzip", "h5gz"), ("--format png", "png")]
)
def test_the_default_folder_is_named_by_recipe_and_format(capsys, place, options, ending):
    """Without `--out` the dataset goes to `shards/<fingerprint>-<format>`, and is found again."""
    for seed in (3, 4):
        arguments = ["--count", 3, *ALONE, "--seed", seed, *shlex.split(options)]
        folder = f"shards/{Recipe(seed=seed).fingerprint[:12]}-{ending}"
        assert call(capsys, "build", *arguments).out.startswith(f"{folder}: 3 images in ")
        assert manifest_of(folder)["plan"]["recipe"]["seed"] == seed
        assert "finished before" in call(capsys, "build", *arguments).out


def test_a_second_identical_call_changes_nothing(capsys, dataset):
    """The same call again says that the dataset was finished, and touches no file of it."""
    arguments = [*SMALL, *ALONE, "--format", manifest_of(dataset)["plan"]["storage"]["format"]]

    def state():
        files = {path: path.stat() for path in dataset.rglob("*") if path.name != ".lock"}
        return {path: (stat.st_mtime_ns, stat.st_ino) for path, stat in files.items()}

    before, contents = state(), tree(dataset, but=[".lock"])
    result = call(capsys, "build", *arguments, "--out", dataset)
    assert (result.code, result.err) == (0, "")
    assert re.fullmatch(r".+: 60 images, finished before this call, .*kB, c1:\w{32}\n", result.out)
    assert (state(), tree(dataset, but=[".lock"])) == (before, contents)


def test_a_dataset_is_whole_for_every_backend(capsys, tmp_path):
    """Threads and the process itself make the same dataset."""
    digests = set()
    for backend in ("sequential", "threads"):
        folder = tmp_path / backend
        call(
            capsys,
            "build",
            *SMALL,
            "--quiet",
            "--backend",
            backend,
            "--workers",
            2,
            "--out",
            folder,
        )
        digests.add(manifest_of(folder)["content_digest"])
    assert len(digests) == 1


# Regenerate


def stored(folder, index):
    """Return a stored image by means of other libraries, (28, W) uint8, and its label."""
    name = f"shard-{index // 25:06d}"
    if not (folder / name).is_dir():  # the images are in the HDF5 file
        with h5py.File(folder / f"{name}.h5") as file:
            digits = file["labels"][index % 25]
            return file["images"][index % 25], "".join(str(d) for d in digits if d >= 0)
    (path,) = (folder / name).glob(f"{index:012d}_*.png")
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED), path.stem.split("_")[1]


SEED_41 = int(rng.sample_seeds(5, np.array([41]))[0])


@pytest.mark.parametrize(
    "which",
    [
        ("--index", 41),
        ("--index", "0x29"),
        ("--sample-seed", SEED_41),
        ("--sample-seed", f"{SEED_41:#x}"),
        ("--sample-seed", f"0X{SEED_41:X}"),
    ],
)
def test_a_regenerated_sample_equals_the_stored_one(capsys, dataset, tmp_path, which):
    """By index or seed, a sample is written as a PNG equal to the stored image, and it says so."""
    result = call(capsys, "regenerate", dataset, *which, "--out", tmp_path / "one")
    image, label = stored(dataset, 41)
    path = tmp_path / "one" / f"{41:012d}_{label}.png"
    assert result == (
        0,
        f"{path}: label {label}, seed {SEED_41:#018x}, equal to the stored one\n",
        "",
    )
    assert list((tmp_path / "one").iterdir()) == [path]
    read = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert read.dtype == np.uint8
    assert image.any()
    assert np.array_equal(read, image)


def test_several_samples_are_regenerated_in_their_order(capsys, dataset, tmp_path, monkeypatch):
    """Several indices give a file and a line each, in their order, in the current folder."""
    monkeypatch.chdir(tmp_path)
    result = call(capsys, "regenerate", dataset, "--index", 59, 0, 25)
    assert result.code == 0
    names = [line.split(":")[0] for line in result.out.splitlines()]
    assert [int(name.split("_")[0]) for name in names] == [59, 0, 25]
    assert sorted(names) == sorted(path.name for path in tmp_path.iterdir())
    assert result.out.count(", equal to the stored one\n") == 3


@pytest.mark.parametrize("column", ["images", "glyphs", "labels", "seed"])
def test_a_changed_sample_is_reported(capsys, hdf5, tmp_path, column):
    """A sample of which one stored number was changed is NOT equal, and the exit code is 1."""
    folder = shutil.copytree(hdf5, tmp_path / "changed")
    with h5py.File(folder / "shard-000000.h5", "r+") as file:
        place = {"images": (7, 14, 3), "seed": 7}.get(column, (7, 0))
        value = int(file[column][place])
        file[column][place] = (value + 1) % 10 if column == "labels" else value ^ 1
    result = call(capsys, "regenerate", folder, "--index", 6, 7, 8, "--out", tmp_path / "out")
    assert (result.code, result.err) == (1, "")
    verdicts = [line.split(", ")[-1] for line in result.out.splitlines()]
    equal, different = "equal to the stored one", "NOT equal to the stored one"
    assert verdicts == [equal, different, equal]


SEED_60 = int(rng.sample_seeds(5, np.array([60]))[0])


@pytest.mark.parametrize(
    ("which", "complaint"),
    [
        (("--index", 60), "index 60 is not in this dataset"),
        (("--index", 0, 60), "index 60 is not in this dataset"),
        (("--index", -1), "index -1 is not in this dataset"),
        (("--index", 2**63), f"index {2**63} is not in this dataset"),
        (("--index", 10**30), f"index {10**30} is not in this dataset"),
        (("--sample-seed", SEED_60), "index 60 is not in this dataset"),
        (("--sample-seed", 2**64), "sample seed"),
        (("--sample-seed", -1), "sample seed"),
    ],
)
def test_samples_outside_the_dataset_are_refused(capsys, hdf5, tmp_path, which, complaint):
    """An index beyond the count, or the seed of one, is a wrong call that writes nothing."""
    result = call(capsys, "regenerate", hdf5, *which, "--out", tmp_path / "out")
    assert (result.code, result.out, result.err.count("\n")) == (2, "", 1)
    assert complaint in result.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("form", ["recipe", "plan", "manifest"])
@pytest.mark.parametrize("index", [3, 10**15])
def test_a_recipe_file_is_enough(capsys, hdf5, tmp_path, form, index):
    """Samples come of a recipe alone, whatever their index, with no word of stored ones."""
    recipe = Recipe.from_json(manifest_of(hdf5)["plan"]["recipe"])
    source = hdf5 / f"{form}.json"
    if form == "recipe":
        source = tmp_path / "recipe.json"
        source.write_text(json.dumps(recipe.to_json()))
    result = call(capsys, "regenerate", source, "--index", index, "--out", tmp_path / "out")
    sample = generate(recipe, [index])[0]
    (path,) = (tmp_path / "out").iterdir()
    assert path.name == f"{index:012d}_{sample.text}.png"
    assert result == (0, f"{path}: label {sample.text}, seed {sample.seed:#018x}\n", "")
    assert np.array_equal(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), sample.image)


# Info


def test_info_describes_a_dataset(capsys, dataset):
    """The rows are count, size, digest, fingerprint, every field of the recipe, and licence."""
    result = call(capsys, "info", dataset)
    assert (result.code, result.err) == (0, "")
    manifest = manifest_of(dataset)
    rows = dict(re.findall(r"^ *(\w[\w ]*?)  +(.*)$", result.out, re.MULTILINE))
    assert rows["dataset"] == str(dataset)
    assert rows["images"] == "60 of 28 x 100 px"
    assert rows["shards"].startswith(f"3 of 25 images, {manifest['plan']['storage']['format']}")
    assert f"{manifest['bytes']:,} bytes" in rows["shards"]
    assert (rows["content"], rows["recipe"]) == (
        manifest["content_digest"],
        manifest["plan"]["fingerprint"],
    )
    assert (rows["seed"], rows["length"], rows["width"]) == ("5", "1 3", "100")
    assert rows["augment"].startswith("baseline 0.5, elastic 0.4, elastic_correlation 5.0")
    assert rows["split"] == "train"
    assert manifest["plan"]["recipe"].keys() <= rows.keys()
    assert "CC BY-SA 3.0" in result.out
    assert len(result.out.splitlines()) < 40


def test_info_counts_what_is_stored(capsys, hdf5):
    """Numbers of digits and lengths, and mean and deviation, are those of the stored columns."""
    text = call(capsys, "info", hdf5).out
    files = [h5py.File(path) for path in sorted(hdf5.glob("*.h5"))]
    labels, lengths, images = (
        np.concatenate([file[name][:] for file in files])
        for name in ("labels", "lengths", "images")
    )
    for value, count in zip(*np.unique(labels[labels >= 0], return_counts=True), strict=True):
        assert re.search(rf"^digits .*\b{value}: {count}\b", text, re.MULTILINE)
    for value, count in zip(*np.unique(lengths, return_counts=True), strict=True):
        assert re.search(rf"^lengths .*\b{value}: {count}\b", text, re.MULTILINE)
    assert f"mean {images.mean():.4f}, deviation {images.std():.4f}" in text


@pytest.mark.parametrize("verb", ["info", "regenerate"])
def test_scripts_work_from_another_folder(hdf5, tmp_path, verb):
    """The scripts find the program from anywhere, and take paths from where they are called."""
    where = os.path.relpath(hdf5, tmp_path)
    more = ["--index", 1, "--out", "out"] if verb == "regenerate" else []
    result = command(*script(verb), where, *more, cwd=tmp_path)
    assert (result.code, result.err) == (0, "")
    assert result.out.startswith("out/000000000001_" if verb == "regenerate" else "dataset")


# Ending early


MANY = shlex.split("--count 320 --shard-size 4 --width 100 --length 1:3 --quiet --out here")


def stop_after_first_shard(process, folder, number):
    """Send a signal once a completion record is there; return its result."""
    for _ in range(5000):
        if any(folder.glob("shard-*.json")):
            break
        try:
            process.wait(0.01)
        except subprocess.TimeoutExpired:
            continue
        break
    assert process.poll() is None, process.communicate()
    process.send_signal(number)
    try:
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return Result(process.returncode, out, err)


def enable_interrupts():
    """Have Ctrl-C noticed even where the tests themselves run in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.mark.parametrize(
    ("number", "code", "backend"),
    [
        (signal.SIGTERM, 143, "sequential"),
        (signal.SIGINT, 130, "sequential"),
        (signal.SIGTERM, 143, "loky"),
        (signal.SIGTERM, 143, "threads"),
    ],
)
def test_a_stopped_build_goes_on_later(capsys, tmp_path, monkeypatch, number, code, backend):
    """A signal ends a build with one line and no leftovers; the same call makes the rest."""
    arguments = [*script("build"), *MANY, "--backend", backend, "--workers", "2"]
    process = subprocess.Popen(
        [str(argument) for argument in arguments],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=enable_interrupts,
    )
    result = stop_after_first_shard(process, tmp_path / "here", number)
    assert result == (
        code,
        "",
        "build.py: stopped; what is finished is kept, and the same call goes on from there\n",
    )
    records = {path: path.stat().st_mtime_ns for path in (tmp_path / "here").glob("shard-*.json")}
    assert 0 < len(records) < 80
    assert not list((tmp_path / "here").glob(".tmp-*"))
    assert not (tmp_path / "here" / "manifest.json").exists()

    monkeypatch.chdir(tmp_path)
    assert call(capsys, "build", *MANY, "--backend", "sequential").code == 0
    assert {path: path.stat().st_mtime_ns for path in records} == records
    undisturbed = ["--count", 320, "--width", 100, "--length", "1:3", *ALONE, "--out", "whole"]
    call(capsys, "build", *undisturbed)
    assert manifest_of("here")["content_digest"] == manifest_of("whole")["content_digest"]


INSIDE_A_CALLBACK = """
import signal, sys
from builder.cli import main
from builder.storage.formats.hdf5 import DeferredErrorFile

write, calls = DeferredErrorFile.write, []

def interrupted(file, data):
    calls.append(data)
    if len(calls) == 5:
        signal.raise_signal(signal.SIGTERM)
    return write(file, data)

DeferredErrorFile.write = interrupted
raise SystemExit(main("build", sys.argv[1:]))
"""


def test_a_signal_inside_a_callback_is_no_crash(tmp_path):
    """A signal that comes while HDF5 calls back for a write ends the build as any other does."""
    arguments = [*SMALL, *ALONE, "--out", "here"]
    result = command(sys.executable, "-c", INSIDE_A_CALLBACK, *arguments, cwd=tmp_path)
    assert (result.code, result.out, result.err.count("\n")) == (143, "", 1)
    assert tree(tmp_path) == {}


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_inside_a_destructor_is_not_lost(capsys, tmp_path, monkeypatch, number, code):
    """Python drops what a destructor raises; a build that is stopped just then prints one line."""
    from builder.workers import retry

    class SignalsWhenDeleted:
        def __del__(self):
            signal.raise_signal(number)

    numbers = []

    def interrupted(task, build_shard=retry.build_shard):
        if task.number == 1:
            SignalsWhenDeleted()
        numbers.append(task.number)
        return build_shard(task)

    monkeypatch.setattr(retry, "build_shard", interrupted)  # a signal between two shards
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        result = call(capsys, "build", *SMALL, "--shard-size", 5, *ALONE, "--out", tmp_path / "new")
    finally:
        signal.signal(signal.SIGINT, before)
    assert (result.code, result.out) == (code, "")
    assert len(numbers) < 6
    assert not (tmp_path / "new" / "manifest.json").exists()


def test_own_files_are_named_beside_a_recipe_where_they_are_not_known(
    capsys, tmp_path, monkeypatch
):
    """A recipe of one's own labels is used where they were never seen, by naming their file."""
    labels = tmp_path / "labels.txt"
    labels.write_text("".join(f"{n:04d}\n" for n in range(900)))
    build = ["--count", 20, *ALONE, "--out"]
    call(capsys, "build", *build, tmp_path / "first", "--labels-file", labels)
    recipe = tmp_path / "recipe.json"
    recipe.write_text((tmp_path / "first" / "plan.json").read_text())
    monkeypatch.setattr("builder.common.cache.cache_folder", lambda: tmp_path)  # another machine
    labels_file.open_lines.cache_clear()
    open_planner.cache_clear()
    again = [*build, tmp_path / "again", "--recipe", recipe]
    assert call(capsys, "build", *again).code == 1
    assert call(capsys, "build", *again, "--labels-file", labels).code == 0
    digests = {manifest_of(tmp_path / name)["content_digest"] for name in ("first", "again")}
    assert len(digests) == 1
