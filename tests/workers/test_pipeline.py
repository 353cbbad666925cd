"""Builds: the same dataset with any options, complete or absent, never mixed with another."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from builder import Recipe, build, generate, open_dataset
from builder.common import atomic_files
from builder.common.constants import GENERATOR_VERSION
from builder.common.errors import BuilderError, BuildError, DatasetError, UsageError
from builder.storage.claim import claim
from builder.storage.output_folder import OutputFolder
from builder.workers import shard
from tests.workers.files import hash_files

COUNT = 1200
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory) -> Path:
    """Return a dataset of 1,200 samples in shards of 500, built in this process."""
    out = tmp_path_factory.mktemp("whole") / "set"
    build(recipe, COUNT, out, shard_size=500, workers=1)
    return out


@pytest.fixture(scope="module")
def digest(whole) -> str:
    """Return the content digest of that dataset."""
    return open_dataset(whole).manifest.content_digest


@pytest.mark.parametrize(
    "options",
    [
        {"workers": 2, "shard_size": 500},
        {"workers": 5, "shard_size": 100},
        {"workers": 2, "shard_size": 500, "backend": "threads", "block_size": 7},
        {"workers": 2, "shard_size": 300, "backend": "sequential"},
        {"workers": 1, "shard_size": 1000, "block_size": 1},
        {"workers": 1, "shard_size": 7777, "block_size": 5000},
        {"workers": 1, "shard_size": 123, "compression": "gzip", "block_size": 50},
        {"workers": 2, "shard_size": 1000, "format": "png"},
    ],
    ids=lambda options: " ".join(f"{name}={value}" for name, value in options.items()),
)
def test_content_digest_depends_on_the_recipe_alone(recipe, digest, tmp_path, monkeypatch, options):
    """The content digest is independent of workers, shard size, block size, format and backend."""
    monkeypatch.setattr("builder.workers.pool.usable_cores", lambda: 5)  # on any machine
    result = build(recipe, COUNT, tmp_path / "set", **options)
    assert result.manifest.content_digest == digest
    assert result.made == COUNT


def test_equal_builds_have_equal_bytes(recipe, whole, tmp_path):
    """Two builds with other workers and block sizes give the same bytes in every file."""
    build(recipe, COUNT, tmp_path / "set", shard_size=500, workers=2, block_size=77)
    assert hash_files(tmp_path / "set") == hash_files(whole)


def test_another_master_seed_gives_another_digest(recipe, digest, tmp_path):
    """Two master seeds give datasets with different content."""
    other = recipe.model_copy(update={"seed": recipe.seed + 1})
    assert build(other, COUNT, tmp_path / "set", workers=1).manifest.content_digest != digest


def test_a_smaller_dataset_begins_a_larger_one(recipe, whole, tmp_path):
    """A smaller dataset has the digest of the first samples of a larger one."""
    small = build(recipe, 500, tmp_path / "set", shard_size=500, workers=1)
    first = json.loads((whole / "shard-000000.json").read_text())
    assert small.manifest.content_digest == first["statistics"]["content_digest"]


def test_one_image_is_a_dataset(recipe, tmp_path):
    """A count of one works in every format."""
    for n, options in enumerate([{}, {"compression": "gzip"}, {"format": "png"}]):
        build(recipe, 1, tmp_path / str(n), **options)
        assert open_dataset(tmp_path / str(n))[0].image.any()


def test_every_file_of_a_dataset_is_accounted_for(whole):
    """A finished folder holds the documented files and nothing else."""
    kinds = [("h5", "json", "parquet")[n % 3] for n in range(9)]
    expected = {f"shard-{n // 3:06d}.{kind}" for n, kind in enumerate(kinds)}
    expected |= {"plan.json", "manifest.json", "build.log", ".lock"}
    assert {path.name for path in whole.iterdir()} == expected


def replace_text(path: Path, old: str, new: str) -> None:
    """Replace a piece of text in a file, which must be there."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def make_fail(monkeypatch, name: str, after: int, error: BaseException) -> None:
    """Make `fsync`, `write_at` or `publish_json` raise `error` after so many calls."""
    owner = {"publish_json": OutputFolder, "fsync": os}.get(name, atomic_files)
    original, calls = getattr(owner, name), []

    def called(*arguments, **more):
        calls.append(name)
        if len(calls) > after:
            raise error
        return original(*arguments, **more)

    monkeypatch.setattr(owner, name, called)


@pytest.mark.parametrize("form", ["hdf5", "png"])
@pytest.mark.parametrize("step", ["fsync", "publish_json"])
@pytest.mark.parametrize("after", [0, 1, 4, 7, 12])
def test_a_fault_leaves_nothing_half_made(recipe, digest, tmp_path, monkeypatch, form, step, after):
    """Wherever publishing fails, no temporary file stays, and the next call succeeds."""
    out = tmp_path / "parent" / "set"
    with monkeypatch.context() as patched:
        make_fail(patched, step, after, OSError(errno.ENOSPC, "No space left on device"))
        with suppress(BuildError) if after > 5 else pytest.raises(BuildError, match="No space"):
            build(recipe, COUNT, out, format=form, shard_size=500, workers=1)
    if not (out / "manifest.json").exists():
        assert not list(tmp_path.rglob(".tmp-*"))
        assert out.exists() == any(out.glob("shard-*.json"))
        assert (tmp_path / "parent").exists() == out.exists()
    done = build(recipe, COUNT, out, format=form, shard_size=500, workers=1)
    assert done.manifest.content_digest == digest
    assert not list(tmp_path.rglob(".tmp-*"))


def test_an_interrupted_build_is_resumed(recipe, whole, tmp_path, monkeypatch):
    """Finished shards are kept, the others are built, and all files equal those of one build."""
    out = tmp_path / "set"
    with monkeypatch.context() as patched:
        make_fail(patched, "publish_json", 2, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            build(recipe, COUNT, out, shard_size=500, workers=1)
    with pytest.raises(DatasetError, match="not finished"):
        open_dataset(out)
    kept = (out / "shard-000000.h5").stat().st_mtime_ns
    done = build(recipe, COUNT, out, shard_size=500, workers=1)
    assert done.made == COUNT - 500
    assert (out / "shard-000000.h5").stat().st_mtime_ns == kept
    assert hash_files(out) == hash_files(whole)


@pytest.mark.parametrize(
    ("damage", "made"),
    [
        (lambda folder: (folder / "shard-000001.json").unlink(), 500),
        (lambda folder: (folder / "shard-000001.json").write_text("{"), 500),
        (lambda folder: (folder / "shard-000001.h5").unlink(), 500),
        (lambda folder: (folder / "shard-000002.parquet").write_bytes(b"PAR1"), 200),
        (lambda folder: (folder / "manifest.json").unlink(), 0),
        (
            lambda folder: replace_text(folder / "manifest.json", '"count": 1200', '"count": 1100'),
            0,
        ),
        (
            lambda folder: replace_text(
                folder / "shard-000001.json", '"fingerprint": "', '"fingerprint": "0'
            ),
            500,
        ),
        (lambda folder: (folder / "plan.json").replace(folder / "manifest.json"), COUNT),
        (
            lambda folder: (folder / "shard-000000.json").write_bytes(
                (folder / "shard-000001.json").read_bytes()
            ),
            500,
        ),
    ],
    ids=[
        "no record",
        "broken record",
        "no shard",
        "short labels",
        "no manifest",
        "old manifest",
        "other recipe",
        "no plan",
        "swap",
    ],
)
def test_only_missing_shards_are_built_again(recipe, whole, tmp_path, damage, made):
    """A shard is complete if it has a valid record and files of the recorded sizes."""
    out = tmp_path / "set"
    build(recipe, COUNT, out, shard_size=500, workers=1)
    damage(out)
    if made == COUNT:
        with pytest.raises(UsageError, match=r"no plan\.json"):
            build(recipe, COUNT, out, shard_size=500, workers=1)
        return
    assert build(recipe, COUNT, out, shard_size=500, workers=1).made == made
    assert hash_files(out) == hash_files(whole)


def test_a_shard_that_is_rebuilt_has_no_record(recipe, tmp_path, monkeypatch):
    """While a damaged shard is rebuilt, its old record is gone."""
    out = tmp_path / "set"
    build(recipe, COUNT, out, shard_size=500, workers=1)
    (out / "shard-000001.h5").unlink()
    make_fail(monkeypatch, "fsync", 2, OSError(errno.EIO, "Input/output error"))
    with pytest.raises(BuildError, match="Input/output error"):
        build(recipe, COUNT, out, shard_size=500, workers=1)
    assert not (out / "shard-000001.json").exists()
    assert (out / "shard-000000.json").exists()


def test_a_dataset_does_not_open_while_it_is_extended(recipe, tmp_path, monkeypatch):
    """From the first step of an extension to the last, there is no manifest."""
    out = tmp_path / "set"
    build(recipe, 700, out, shard_size=500, workers=1)
    make_fail(monkeypatch, "publish_json", 0, OSError(errno.EIO, "Input/output error"))
    with pytest.raises(BuildError, match="Input/output error"):
        build(recipe, COUNT, out, shard_size=500, workers=1)
    with pytest.raises(DatasetError, match="not finished"):
        open_dataset(out)


def test_an_extension_that_fails_loses_no_dataset(recipe, tmp_path, monkeypatch):
    """If the only shard cannot be extended, the folder stays and the same call can be repeated."""
    out = tmp_path / "set"
    build(recipe, 30, out, workers=1)
    (out / "notes.txt").write_text("mine")
    with monkeypatch.context() as patched:
        make_fail(patched, "write_at", 0, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(BuildError, match="No space"):
            build(recipe, 50, out, workers=1)
    assert {"plan.json", "notes.txt", "shard-000000.h5"} <= {path.name for path in out.iterdir()}
    assert build(recipe, 50, out, workers=1).made == 50


def test_a_program_that_was_interrupted_can_build_again(recipe, digest, tmp_path, monkeypatch):
    """An interrupt raises `KeyboardInterrupt`, and a later build is not affected."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(shard, "generate", generate_interrupted)
            with pytest.raises(KeyboardInterrupt):
                build(recipe, COUNT, tmp_path / "set", workers=1, block_size=100)
        assert not (tmp_path / "set").exists()
        done = build(recipe, COUNT, tmp_path / "set", workers=1)
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.manifest.content_digest == digest


def generate_interrupted(recipe, indices, masks):
    """Generate samples and send SIGINT."""
    signal.raise_signal(signal.SIGINT)
    return generate(recipe, indices)


def test_files_reach_the_disk_before_their_name(tmp_path, monkeypatch):
    """A file is synced while it is open for writing, renamed, and its folder synced."""
    steps = []

    def observe(name, owner, describe):
        original = getattr(owner, name)

        def observed(*arguments, **more):
            steps.append((name, describe(*arguments)))
            return original(*arguments, **more)

        monkeypatch.setattr(owner, name, observed)

    def may_write(handle):
        return bool(fcntl.fcntl(handle, fcntl.F_GETFL) & os.O_RDWR)

    with claim(tmp_path / "new" / "set") as folder:
        observe("fsync", os, may_write)
        observe("replace", os, lambda old, new: new)
        observe("sync_all", atomic_files, may_write)
        with folder.publish_file("file") as file:
            file.write(b"x")
        with folder.publish_folder("folder"):
            pass
    assert steps == [
        ("fsync", True),
        ("replace", "file"),
        ("fsync", False),
        ("sync_all", False),
        ("replace", steps[4][1]),
        ("replace", "folder"),
        ("fsync", False),
    ]


def test_a_larger_count_extends(recipe, whole, tmp_path):
    """A larger count keeps full shards and rebuilds the last, partial one."""
    out = tmp_path / "set"
    build(recipe, 700, out, shard_size=500, workers=1)
    first = (out / "shard-000000.h5").stat().st_mtime_ns
    done = build(recipe, COUNT, out, shard_size=500, workers=1)
    assert done.made == COUNT - 500
    assert (out / "shard-000000.h5").stat().st_mtime_ns == first
    assert hash_files(out) == hash_files(whole)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 1100}, "can be extended, not cut"),
        ({"shard_size": 400}, "shard_size: 500, not 400"),
        ({"format": "png"}, "format: hdf5, not png"),
        ({"compression": "gzip"}, "compression: none, not gzip"),
    ],
)
def test_a_folder_keeps_its_dataset(recipe, whole, change, message):
    """A call that would mix two datasets names the difference and changes nothing."""
    before = hash_files(whole, exclude=(".none",))
    call = {"count": COUNT, "out": whole, "shard_size": 500, "workers": 1, **change}
    with pytest.raises(UsageError, match=message):
        build(recipe, **call)
    with pytest.raises(UsageError, match=r"width: 170, not 171"):
        build(recipe.model_copy(update={"width": 171}), COUNT, whole, shard_size=500)
    assert hash_files(whole, exclude=(".none",)) == before


def test_another_generator_version_is_refused(recipe, whole, tmp_path, monkeypatch):
    """A build does not resume a dataset of another generator version."""
    monkeypatch.setattr("builder.storage.config.DatasetConfig.of", _config_of_next_version())
    with pytest.raises(UsageError, match=f"generator_version: {GENERATOR_VERSION}, not 99"):
        build(recipe, COUNT, whole, shard_size=500)


def _config_of_next_version():
    from builder.storage.config import DatasetConfig

    def of(recipe, storage, count):
        return DatasetConfig(
            recipe=recipe.to_json(),
            storage=storage,
            count=count,
            fingerprint=recipe.fingerprint,
            generator_version=99,
        )

    return of


def test_a_folder_takes_one_build_at_a_time(recipe, tmp_path):
    """While one build holds a folder, another one fails and names the process of the first."""
    out = tmp_path / "set"
    out.mkdir()
    with (
        claim(out),
        pytest.raises(BuilderError, match=r"another build .*process \d+"),
    ):
        build(recipe, 10, out)
    assert build(recipe, 10, out).made == 10


def test_an_incomplete_dataset_names_what_is_missing(recipe, tmp_path, monkeypatch):
    """The error names shards whose records vanish before the manifest is published."""
    original = shard.build_shard

    def remove_record(task):
        shard = original(task)
        if task.number in (0, 2):
            task.folder.remove(f"shard-{task.number:06d}.json")
        return shard

    monkeypatch.setattr("builder.workers.retry.build_shard", remove_record)
    with pytest.raises(BuilderError, match="shard-000000, shard-000002"):
        build(recipe, COUNT, tmp_path / "set", shard_size=500, workers=1)
    assert not (tmp_path / "set" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "workers is 0"),
        ({"block_size": 0}, "block_size is 0"),
        ({"backend": "magic"}, "backend is 'magic'"),
        ({"shard_size": 0}, "shard_size is 0"),
        ({"format": "jpeg"}, "format is 'jpeg'"),
        ({"count": 0}, "count is 0"),
    ],
)
def test_wrong_options_are_refused_first(recipe, tmp_path, options, message):
    """The error names the option and its value, and no folder is created."""
    with pytest.raises(UsageError, match=message):
        build(recipe, **{"count": 10, "out": tmp_path / "set", **options})
    assert not (tmp_path / "set").exists()


def test_parent_never_needs_the_kernel(recipe, tmp_path):
    """A build by worker processes does not load numba in the parent."""
    program = """
import sys
from builder import Recipe, build
import json
if __name__ == "__main__":
    from builder.workers import pool
    pool.usable_cores = lambda: 2
    build(Recipe.from_json(json.loads(sys.argv[1])), 200, sys.argv[2], shard_size=100, workers=2)
    print("numba" in sys.modules)
"""
    script = tmp_path / "parent.py"
    script.write_text(program)
    done = subprocess.run(
        [sys.executable, script, json.dumps(recipe.to_json()), tmp_path / "set"],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    assert done.stdout.strip() == "False"


def test_workers_find_a_registered_labels_file(tmp_path):
    """Workers find a labels file by its digest alone."""
    (tmp_path / "labels.txt").write_text("007\n42\n")
    recipe = Recipe(labels_file=tmp_path / "labels.txt")
    (tmp_path / "labels.txt").unlink()
    build(recipe, 60, tmp_path / "set", shard_size=20, workers=2)
    assert [sample.text for sample in open_dataset(tmp_path / "set")][:4] == ["007", "42"] * 2
