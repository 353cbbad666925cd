"""Who may write in an output folder: locks, staging folders, and what lies in the way."""

from __future__ import annotations

import errno
import fcntl
import json
import multiprocessing
import os
import shutil
import stat
from contextlib import ExitStack, suppress
from types import SimpleNamespace

import pytest

from builder import Recipe, build, open_dataset, verify
from builder.common import atomic_files
from builder.common.errors import BuilderError, BuildError
from builder.storage import folder_lock
from builder.storage.claim import claim
from builder.storage.config import DatasetConfig, Part, StorageOptions
from builder.workers import pipeline, retry, shard
from builder.workers.options import BuildOptions
from builder.workers.shard import ShardTask
from tests.workers.files import hash_files


@pytest.fixture
def taken(tmp_path):
    """Return a folder as the worker of a build sees it that has ended and lost the folder."""
    with claim(tmp_path / "set") as orphaned:
        kept = tmp_path / "kept"
        shutil.copytree(orphaned.path, kept)  # as a killed build leaves it
    shutil.rmtree(tmp_path / "set", ignore_errors=True)
    kept.rename(tmp_path / "set")
    return orphaned


def publish_file(folder):
    with folder.publish_file("new") as file:
        file.write(b"late")


def publish_folder(folder):
    with folder.publish_folder("new") as handle, atomic_files.create_file("a", handle) as file:
        file.write(b"late")


STEPS = {
    "file": publish_file,
    "folder": publish_folder,
    "record": lambda folder: folder.publish_json("new", {}),
    "heartbeat": lambda folder: folder.write_staged("heartbeats/new", "1"),
}


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("opened", [True, False], ids=["opened before", "opened after"])
def test_a_build_that_lost_its_folder_can_write_nothing(tmp_path, taken, step, opened):
    """Once another build holds the folder, each step of the first one fails."""
    if opened:
        assert taken.handle
    with claim(tmp_path / "set") as folder:
        before = sorted(path.name for path in folder.path.rglob("*"))
        with pytest.raises(FileNotFoundError):
            STEPS[step](taken)
        assert sorted(path.name for path in folder.path.rglob("*")) == before


@pytest.mark.parametrize(
    ("form", "function"),
    [
        ("hdf5", "replace"),
        ("hdf5", "fsync"),
        ("png", "replace"),
        ("png", "fsync"),
        ("png", "mkdir"),
    ],
)
def test_a_worker_that_outlives_its_build_publishes_nothing(tmp_path, monkeypatch, form, function):
    """A worker is stopped at any step of its shard; another build takes the folder; it goes on.

    The shard of the first seed never gets its name, nor does its record.
    """
    first, second = Recipe(seed=1, length=2), Recipe(seed=2, length=2)
    out, original = tmp_path / "set", getattr(os, function)
    calls = 0
    while True:  # stop before the first call, then before the second one, until there is no other
        stop_at, calls = calls, 0

        def stopping(*arguments, stop_at=stop_at, **named):
            nonlocal calls
            calls += 1
            if calls == stop_at + 1:
                monkeypatch.setattr(os, function, original)
                shutil.copytree(out, tmp_path / "killed", symlinks=True)
                _let_another_build_take(out, tmp_path / "killed", second, form)
            return original(*arguments, **named)

        config = DatasetConfig.of(first, StorageOptions(format=form), 4)
        with suppress(BuilderError), claim(out) as folder:
            folder.publish_json("plan.json", config.model_dump(mode="json"))
            monkeypatch.setattr(os, function, stopping)
            with suppress(OSError):
                shard.build_shard(ShardTask(folder, config, 0, 2))
            monkeypatch.setattr(os, function, original)
            if calls <= stop_at:
                break
            assert verify(out, "full").whole
            assert open_dataset(out).recipe == second
        shutil.rmtree(out)
        shutil.rmtree(tmp_path / "killed", ignore_errors=True)
    assert stop_at > 0


def _let_another_build_take(out, killed, recipe, form):
    """Build another dataset in the folder, as if its first builder and its lock were gone."""
    for path in [*out.iterdir()]:
        if path.name.startswith((".lock", "plan", "shard")):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    build(recipe, 4, out, format=form, workers=1)


def test_a_folder_that_is_removed_and_made_again_is_another_one(tmp_path, recipe):
    """A worker of the first build writes nothing into the folder that has its name now."""
    out = tmp_path / "set"
    with ExitStack() as stack:
        folder = stack.enter_context(claim(out))
        assert folder.handle
        shutil.rmtree(out)
        build(recipe, 10, out, workers=1)
        expected = hash_files(out)
        for step in STEPS.values():
            with pytest.raises(FileNotFoundError):
                step(folder)
        with pytest.raises(BuildError, match="was moved or removed"):
            stack.pop_all().close()
    assert hash_files(out) == expected


def test_a_folder_that_is_moved_away_is_no_success(tmp_path, recipe, monkeypatch):
    """The build goes on in the folder that it holds, and then says that its path has another."""
    out, original = tmp_path / "set", shard.build_shard

    def moving(task):
        record = original(task)
        if task.number == 0:
            out.rename(tmp_path / "moved")
            out.mkdir()
        return record

    monkeypatch.setattr(retry, "build_shard", moving)
    with pytest.raises(BuildError, match="set: was moved or removed"):
        build(recipe, 30, out, shard_size=10, workers=1)
    assert list(out.iterdir()) == []


NAMES = [".lock", ".lock-part-1-of-2", "build.log"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["link", "dangling link", "hard link", "fifo", "folder"])
def test_a_build_writes_through_no_link(tmp_path, recipe, name, kind):
    """What lies under a name of the program's own files is refused, and left as it is."""
    out, victim = tmp_path / "set", tmp_path / "victim"
    build(recipe, 10, out, shard_size=5, workers=1)
    before = hash_files(out)
    victim.write_text("precious")
    path = out / name
    path.unlink(missing_ok=True)
    {
        "link": lambda: path.symlink_to(victim),
        "dangling link": lambda: path.symlink_to(tmp_path / "nothing"),
        "hard link": lambda: path.hardlink_to(victim),
        "fifo": lambda: os.mkfifo(path),
        "folder": path.mkdir,
    }[kind]()
    config = DatasetConfig.of(recipe, StorageOptions(shard_size=5), 20)
    call = [config, pipeline.OutputFolder(out), BuildOptions(workers=1), Part(1, 2)]
    if name == "build.log":  # a log that cannot be written stops no build
        pipeline.build_part(*call)
    else:
        with pytest.raises((BuilderError, OSError), match=rf"{name}: is "):
            pipeline.build_part(*call)
        assert {n: c for n, c in hash_files(out).items() if n in before} == before
    assert victim.read_text() == "precious"
    assert not (tmp_path / "nothing").exists()


def without_flock(monkeypatch, code):
    """Let `flock` fail as on a file system without it."""

    def refuse(handle, kind):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_lock_file_serves_without_flock(tmp_path, recipe, monkeypatch, caplog, code):
    """One build at a time, or several parts; the log says so, and no lock file is left."""
    without_flock(monkeypatch, code)
    build(recipe, 10, tmp_path / "set", workers=1)
    assert "no flock" in caplog.text
    with claim(tmp_path / "set") as folder:
        assert folder.exists(".lock-held")
        with pytest.raises(BuilderError, match=r"\.lock-held: another build .*if it is dead"):
            build(recipe, 20, tmp_path / "set", workers=1)
        with (
            pytest.raises(BuilderError, match="another build is writing here"),
            claim(tmp_path / "set", Part(1, 2)),
        ):
            pass
    with claim(tmp_path / "set", Part(1, 2)), claim(tmp_path / "set", Part(2, 2)):
        with pytest.raises(BuilderError, match="another build"), claim(tmp_path / "set"):
            pass
        with (
            pytest.raises(BuilderError, match="another build"),
            claim(tmp_path / "set", Part(1, 2)),
        ):
            pass
    assert not list((tmp_path / "set").glob(".lock-*held"))


@pytest.mark.parametrize(
    ("change", "stale"),
    [
        ({}, False),
        ({"process": 2**22 + 1, "started": None}, True),
        ({"started": "1"}, True),
        ({"boot": "another"}, True),
        ({"host": "another"}, False),
        ({"host": "another", "process": 2**22 + 1}, False),
    ],
    ids=["alive", "dead", "number used again", "booted again", "elsewhere", "dead elsewhere"],
)
def test_only_a_lock_file_of_a_dead_process_here_is_removed(tmp_path, monkeypatch, change, stale):
    """Its holder is told by host, boot, number and start. Another host's is never removed."""
    without_flock(monkeypatch, errno.ENOLCK)
    with claim(tmp_path / "set"):
        held = json.loads((tmp_path / "set/.lock-held").read_text())
    (tmp_path / "set").mkdir(exist_ok=True)
    (tmp_path / "set/.lock-held").write_text(json.dumps({**held, **change}))
    if stale:
        with claim(tmp_path / "set"):
            pass
    else:
        with (
            pytest.raises(BuilderError, match=r"remove this file"),
            claim(tmp_path / "set"),
        ):
            pass
    assert (tmp_path / "set/.lock-held").exists() != stale


def test_a_file_system_without_syncs_of_folders_is_enough(tmp_path, recipe, monkeypatch, caplog):
    """A dataset is built there, and the log says once what is missing."""
    original = os.fsync

    def of_files_only(handle):
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")
        original(handle)

    class NoSyncfs:
        """A C library without `syncfs`."""

    atomic_files._log_unsupported.cache_clear()  # logged once a process
    monkeypatch.setattr(os, "fsync", of_files_only)
    libraries = SimpleNamespace(CDLL=lambda *_, **__: NoSyncfs())  # of this module alone
    monkeypatch.setattr(atomic_files, "ctypes", libraries)
    build(recipe, 10, tmp_path / "set", format="png", shard_size=5, workers=1)
    assert verify(tmp_path / "set", "full").whole
    assert caplog.text.count("no fsync of folders (Invalid argument)") == 1


def test_other_errors_of_syncs_stop_the_build(tmp_path, recipe, monkeypatch):
    """A disk that fails is not a file system without the call."""

    def fail(handle):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(BuildError, match="Input/output error"):
        build(recipe, 10, tmp_path / "set", workers=1)


def test_new_folders_are_synced_in_their_parents(tmp_path, monkeypatch):
    """Each folder that a build creates has its entry on the disk before anything is in it."""
    synced, original = [], os.fsync
    monkeypatch.setattr(
        os, "fsync", lambda handle: (synced.append(os.fstat(handle).st_ino), original(handle))
    )
    with claim(tmp_path / "a" / "b") as folder:
        parents = [tmp_path, tmp_path / "a"]
        assert synced[:2] == [path.stat().st_ino for path in parents]
        assert folder.exists(".lock")


@pytest.mark.parametrize("mode", [0o775, 0o777, 0o755])
def test_who_may_write_to_the_folder_may_build_there(tmp_path, recipe, mode):
    """Lock, log and staging folder can be written by those who can write to the folder."""
    out = tmp_path / "set"
    out.mkdir()
    out.chmod(mode)
    with claim(out, Part(1, 2)) as folder:
        paths = [out / ".lock", out / ".lock-part-1-of-2", out / folder.staging]
        assert {path.stat().st_mode & 0o022 for path in paths} == {mode & 0o022}


def hold_and_kill(out, ready):
    """Hold a folder until the process is killed."""
    with claim(out):
        ready.set()
        multiprocessing.Event().wait()


def test_staging_folders_of_dead_builds_are_removed(tmp_path, recipe):
    """A build that is killed leaves its staging folder; the next one removes it."""
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=hold_and_kill, args=(tmp_path / "set", ready))
    process.start()
    assert ready.wait(60)
    process.kill()
    process.join()
    assert list((tmp_path / "set").glob(".tmp-*"))
    build(recipe, 10, tmp_path / "set", workers=1)
    assert not list((tmp_path / "set").glob(".tmp-*"))


def test_parts_leave_staging_folders_of_other_parts_alone(tmp_path):
    """A part removes what an earlier build of that part left, and nothing else while others run."""
    with ExitStack() as stack:
        first = stack.enter_context(claim(tmp_path, Part(1, 2)))
        second = stack.enter_context(claim(tmp_path, Part(2, 2)))
        assert first.exists(first.staging)
        assert second.exists(second.staging)
        publish_file(first)
        publish_file(second)


def test_a_dangling_link_is_no_new_folder(tmp_path, recipe):
    """The line says what the link is."""
    (tmp_path / "set").symlink_to(tmp_path / "nothing")
    with pytest.raises(BuildError, match="set: is a link to nothing"):
        build(recipe, 10, tmp_path / "set", workers=1)


def test_a_lock_that_a_build_removed_is_not_held(tmp_path, monkeypatch):
    """The lock file may be removed by a build that leaves nothing, while this one waits for it."""
    original = folder_lock.open_own_file

    def removing(path, folder, flags):
        handle = original(path, folder, flags)
        path.unlink(missing_ok=True)
        return handle

    monkeypatch.setattr(folder_lock, "open_own_file", removing)
    with pytest.raises(BuilderError, match="has just ended here"), claim(tmp_path):
        pass
