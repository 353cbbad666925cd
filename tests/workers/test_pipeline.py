"""Builds: the same dataset however it is made, whole or not there, and never mixed up."""

from __future__ import annotations

import errno
import hashlib
import json
import re
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
from builder.storage.output_folder import OutputFolder
from builder.workers import shard

COUNT = 1200
ROOT = Path(__file__).parents[2]


def contents(folder: Path, but: tuple[str, ...] = (".lock", "build.log")) -> dict[str, str]:
    """Return the sha256 of every file of a folder, without what names times and processes."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in but
    }


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory) -> Path:
    """Return an undisturbed dataset of 1,200 samples in shards of 500, made in this process."""
    out = tmp_path_factory.mktemp("whole") / "set"
    build(recipe, COUNT, out, shard_size=500, workers=1)
    return out


@pytest.fixture(scope="module")
def digest(whole) -> str:
    """Return the content digest of the undisturbed dataset."""
    return open_dataset(whole).manifest.content_digest


@pytest.mark.parametrize(
    "how",
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
    ids=lambda how: " ".join(f"{name}={value}" for name, value in how.items()),
)
def test_content_digest_depends_on_the_recipe_alone(recipe, digest, tmp_path, monkeypatch, how):
    """Workers, shard size, block size, format and backend leave the content digest as it is."""
    monkeypatch.setattr("builder.workers.pool.usable_cores", lambda: 5)
    made = build(recipe, COUNT, tmp_path / "set", **how)
    assert made.manifest.content_digest == digest
    assert made.made == COUNT


def test_equal_builds_have_equal_bytes(recipe, whole, tmp_path):
    """Two builds with other workers and block sizes give the same bytes in every file."""
    build(recipe, COUNT, tmp_path / "set", shard_size=500, workers=2, block_size=77)
    assert contents(tmp_path / "set") == contents(whole)


def test_another_master_seed_gives_another_digest(recipe, digest, tmp_path):
    """Two master seeds give datasets with different content."""
    other = recipe.model_copy(update={"seed": recipe.seed + 1})
    assert build(other, COUNT, tmp_path / "set", workers=1).manifest.content_digest != digest


def test_a_smaller_dataset_begins_a_larger_one(recipe, whole, tmp_path):
    """The first samples of a dataset are the dataset of so many samples."""
    small = build(recipe, 500, tmp_path / "set", shard_size=500, workers=1)
    first = json.loads((whole / "shard-000000.json").read_text())
    assert small.manifest.content_digest == first["content_digest"]


def test_one_image_is_a_dataset(recipe, tmp_path):
    """A count of one works in every format."""
    for n, how in enumerate([{}, {"compression": "gzip"}, {"format": "png"}]):
        build(recipe, 1, tmp_path / str(n), **how)
        assert open_dataset(tmp_path / str(n))[0].image.any()


def test_every_file_of_a_dataset_is_accounted_for(whole):
    """A finished folder holds the documented files and nothing else."""
    kinds = [("h5", "json", "parquet")[n % 3] for n in range(9)]
    expected = {f"shard-{n // 3:06d}.{kind}" for n, kind in enumerate(kinds)}
    expected |= {"plan.json", "manifest.json", "build.log", ".lock"}
    assert {path.name for path in whole.iterdir()} == expected


def edit(path: Path, old: str, new: str) -> None:
    """Replace a piece of text in a file, which must be there."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def failing(monkeypatch, name: str, after: int, error: BaseException) -> None:
    """Let `sync`, `write_at` or `publish_json` raise `error` from its call number `after` on."""
    owner = OutputFolder if name == "publish_json" else atomic_files
    original, calls = getattr(owner, name), []

    def called(*arguments, **more):
        calls.append(name)
        if len(calls) > after:
            raise error
        return original(*arguments, **more)

    monkeypatch.setattr(owner, name, called)


@pytest.mark.parametrize("form", ["hdf5", "png"])
@pytest.mark.parametrize("step", ["sync", "publish_json"])
@pytest.mark.parametrize("after", [0, 1, 4, 7, 12])
def test_a_fault_leaves_nothing_half_made(recipe, digest, tmp_path, monkeypatch, form, step, after):
    """Wherever publishing fails, no temporary file stays, and the next call ends whole."""
    out = tmp_path / "parent" / "set"
    with monkeypatch.context() as patched:
        failing(patched, step, after, OSError(errno.ENOSPC, "No space left on device"))
        with suppress(BuildError) if after > 5 else pytest.raises(BuildError, match="No space"):
            build(recipe, COUNT, out, format=form, shard_size=500, workers=1)
    if not (out / "manifest.json").exists():
        assert not list(tmp_path.rglob(".tmp-*"))
        assert out.exists() == any(out.glob("shard-*.json"))
        assert (tmp_path / "parent").exists() == out.exists()
    done = build(recipe, COUNT, out, format=form, shard_size=500, workers=1)
    assert done.manifest.content_digest == digest
    assert not list(tmp_path.rglob(".tmp-*"))


def test_an_interrupted_build_goes_on_where_it_stopped(recipe, whole, tmp_path, monkeypatch):
    """Finished shards are kept, the rest is made, and every file equals an undisturbed build's."""
    out = tmp_path / "set"
    with monkeypatch.context() as patched:
        failing(patched, "publish_json", 2, KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            build(recipe, COUNT, out, shard_size=500, workers=1)
    with pytest.raises(DatasetError, match="not finished"):
        open_dataset(out)
    kept = (out / "shard-000000.h5").stat().st_mtime_ns
    done = build(recipe, COUNT, out, shard_size=500, workers=1)
    assert done.made == COUNT - 500
    assert (out / "shard-000000.h5").stat().st_mtime_ns == kept
    assert contents(out) == contents(whole)


@pytest.mark.parametrize(
    ("damage", "made"),
    [
        (lambda folder: (folder / "shard-000001.json").unlink(), 500),
        (lambda folder: (folder / "shard-000001.json").write_text("{"), 500),
        (lambda folder: (folder / "shard-000001.h5").unlink(), 500),
        (lambda folder: (folder / "shard-000002.parquet").write_bytes(b"PAR1"), 200),
        (lambda folder: (folder / "manifest.json").unlink(), 0),
        (lambda folder: edit(folder / "manifest.json", '"count": 1200', '"count": 1100'), 0),
        (
            lambda folder: edit(
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
def test_only_what_is_missing_is_made_again(recipe, whole, tmp_path, damage, made):
    """A shard counts as done by its record, and only with its files at their sizes."""
    out = tmp_path / "set"
    build(recipe, COUNT, out, shard_size=500, workers=1)
    damage(out)
    if made == COUNT:
        with pytest.raises(UsageError, match=r"no plan\.json"):
            build(recipe, COUNT, out, shard_size=500, workers=1)
        return
    assert build(recipe, COUNT, out, shard_size=500, workers=1).made == made
    assert contents(out) == contents(whole)


def test_a_shard_made_again_is_not_done_meanwhile(recipe, tmp_path, monkeypatch):
    """While a damaged shard is made again, no old record calls it done."""
    out = tmp_path / "set"
    build(recipe, COUNT, out, shard_size=500, workers=1)
    (out / "shard-000001.h5").unlink()
    failing(monkeypatch, "sync", 2, OSError(errno.EIO, "Input/output error"))
    with pytest.raises(BuildError, match="Input/output error"):
        build(recipe, COUNT, out, shard_size=500, workers=1)
    assert not (out / "shard-000001.json").exists()
    assert (out / "shard-000000.json").exists()


def test_a_dataset_does_not_open_while_it_is_extended(recipe, tmp_path, monkeypatch):
    """From the first step of an extension to the last there is no manifest."""
    out = tmp_path / "set"
    build(recipe, 700, out, shard_size=500, workers=1)
    failing(monkeypatch, "publish_json", 0, OSError(errno.EIO, "Input/output error"))
    with pytest.raises(BuildError, match="Input/output error"):
        build(recipe, COUNT, out, shard_size=500, workers=1)
    with pytest.raises(DatasetError, match="not finished"):
        open_dataset(out)


def test_an_extension_that_fails_loses_no_dataset(recipe, tmp_path, monkeypatch):
    """Where the only shard of a dataset cannot be made larger, the same call still can."""
    out = tmp_path / "set"
    build(recipe, 30, out, workers=1)
    (out / "notes.txt").write_text("mine")
    with monkeypatch.context() as patched:
        failing(patched, "write_at", 0, OSError(errno.ENOSPC, "No space left on device"))
        with pytest.raises(BuildError, match="No space"):
            build(recipe, 50, out, workers=1)
    assert {"plan.json", "notes.txt", "shard-000000.h5"} <= {path.name for path in out.iterdir()}
    assert build(recipe, 50, out, workers=1).made == 50


def test_a_program_that_was_interrupted_can_build_again(recipe, digest, tmp_path, monkeypatch):
    """An interrupt ends a build as `KeyboardInterrupt`, and the next one knows nothing of it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with monkeypatch.context() as patched:
            patched.setattr(shard, "generate", interrupted)
            with pytest.raises(KeyboardInterrupt):
                build(recipe, COUNT, tmp_path / "set", workers=1, block_size=100)
        assert not (tmp_path / "set").exists()
        done = build(recipe, COUNT, tmp_path / "set", workers=1)
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.manifest.content_digest == digest


def interrupted(recipe, indices, masks):
    """Return the samples as ever, and have Ctrl-C pressed meanwhile."""
    signal.raise_signal(signal.SIGINT)
    return generate(recipe, indices)


def unmarked(path):
    """Return a file's name, a temporary one without what sets it apart from all others."""
    return re.sub(r"^(\.tmp-)[0-9a-f]{8}-", r"\1", path.name)


def test_files_reach_the_disk_before_their_name(tmp_path, monkeypatch):
    """A file is synced, then renamed, then its folder synced; a folder's file system before."""
    steps = []
    rename = Path.replace
    monkeypatch.setattr(
        atomic_files, "sync", lambda path, **_: steps.append(("sync", unmarked(path)))
    )
    monkeypatch.setattr(
        Path, "replace", lambda old, new: (steps.append(("rename", new.name)), rename(old, new))
    )
    with atomic_files.publish(tmp_path / "file") as temporary:
        temporary.write_text("x")
    with atomic_files.publish(tmp_path / "folder") as temporary:
        temporary.mkdir()
    assert steps == [
        ("sync", ".tmp-file"), ("rename", "file"), ("sync", tmp_path.name),
        ("sync", ".tmp-folder"), ("rename", "folder"), ("sync", tmp_path.name),
    ]  # fmt: skip


def test_a_larger_count_extends(recipe, whole, tmp_path):
    """The same call with a larger count keeps whole shards and remakes the partial last one."""
    out = tmp_path / "set"
    build(recipe, 700, out, shard_size=500, workers=1)
    first = (out / "shard-000000.h5").stat().st_mtime_ns
    done = build(recipe, COUNT, out, shard_size=500, workers=1)
    assert done.made == COUNT - 500
    assert (out / "shard-000000.h5").stat().st_mtime_ns == first
    assert contents(out) == contents(whole)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"count": 1100}, "can be extended, not cut"),
        ({"shard_size": 400}, "shard_size: 500, not 400"),
        ({"format": "png"}, "format: hdf5, not png"),
        ({"compression": "gzip"}, "compression: none, not gzip"),
    ],
)
def test_a_folder_keeps_its_dataset(recipe, whole, change, said):
    """A call that would mix two datasets is refused with the difference, and touches nothing."""
    before = contents(whole, but=())
    call = {"count": COUNT, "out": whole, "shard_size": 500, "workers": 1, **change}
    with pytest.raises(UsageError, match=said):
        build(recipe, **call)
    with pytest.raises(UsageError, match=r"width: 170, not 171"):
        build(recipe.model_copy(update={"width": 171}), COUNT, whole, shard_size=500)
    assert contents(whole, but=()) == before


def test_another_generator_version_is_refused(recipe, whole, tmp_path, monkeypatch):
    """A folder begun by another version of the generator is not gone on with."""
    monkeypatch.setattr("builder.storage.config.DatasetConfig.of", _plan_of_next_version())
    with pytest.raises(UsageError, match=f"generator_version: {GENERATOR_VERSION}, not 99"):
        build(recipe, COUNT, whole, shard_size=500)


def _plan_of_next_version():
    from builder.storage.config import DatasetConfig

    def of(recipe, storage, count):
        return DatasetConfig(
            recipe=recipe.to_json(), storage=storage, count=count,
            fingerprint=recipe.fingerprint, generator_version=99,
        )  # fmt: skip

    return of


def test_two_builders_on_one_folder_are_one_too_many(recipe, tmp_path):
    """While one build holds a folder, another is refused with the first one's process."""
    out = tmp_path / "set"
    out.mkdir()
    with (
        OutputFolder(out).lock(),
        pytest.raises(BuilderError, match=r"another build .*process \d+"),
    ):
        build(recipe, 10, out)
    assert build(recipe, 10, out).made == 10


def test_an_incomplete_dataset_names_what_is_missing(recipe, tmp_path, monkeypatch):
    """A shard that vanishes before the manifest is named, and no manifest appears."""
    original = shard.build_shard

    def forgetful(task):
        made = original(task)
        if task.number in (0, 2):
            task.folder.remove(f"shard-{task.number:06d}.json")
        return made

    monkeypatch.setattr("builder.workers.retry.build_shard", forgetful)
    with pytest.raises(BuilderError, match="shard-000000, shard-000002"):
        build(recipe, COUNT, tmp_path / "set", shard_size=500, workers=1)
    assert not (tmp_path / "set" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("run", "said"),
    [
        ({"workers": 0}, "workers is 0"),
        ({"block_size": 0}, "block_size is 0"),
        ({"backend": "magic"}, "backend is 'magic'"),
        ({"shard_size": 0}, "shard_size is 0"),
        ({"format": "jpeg"}, "format is 'jpeg'"),
        ({"count": 0}, "count is 0"),
    ],
)
def test_bad_options_are_refused_before_anything_is_made(recipe, tmp_path, run, said):
    """A wrong option names itself and its value, and no folder is made."""
    with pytest.raises(UsageError, match=said):
        build(recipe, **{"count": 10, "out": tmp_path / "set", **run})
    assert not (tmp_path / "set").exists()


def test_parent_never_needs_the_kernel(recipe, tmp_path):
    """A build by worker processes renders nothing in the parent, which loads no numba for it."""
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
        capture_output=True, text=True, check=True, cwd=ROOT,
    )  # fmt: skip
    assert done.stdout.strip() == "False"


def test_labels_and_digits_of_ones_own_build_in_workers(tmp_path):
    """Workers find a labels file by its digest alone."""
    (tmp_path / "labels.txt").write_text("007\n42\n")
    recipe = Recipe(labels_file=tmp_path / "labels.txt")
    (tmp_path / "labels.txt").unlink()
    build(recipe, 60, tmp_path / "set", shard_size=20, workers=2)
    assert [sample.text for sample in open_dataset(tmp_path / "set")][:4] == ["007", "42"] * 2
