"""The cache: what was damaged in it is never used, and nobody else can write in its folder."""

from __future__ import annotations

import errno
import os
import pwd
import shutil
import tempfile

import numpy as np
import pytest

from builder.common import cache
from builder.common.errors import BuilderError

ARRAYS = {
    "glyphs": np.arange(600, dtype=np.uint8).reshape(6, 100) % 251,
    "labels": np.array([3, 1, 4, 1, 5, 9], dtype=np.uint8),
    "none": np.zeros((0, 4), dtype=np.int16),
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Give each test a cache folder and a temporary folder of its own; return the first."""
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    cache.cache_folder.cache_clear()
    yield tmp_path / "cache"
    monkeypatch.undo()
    cache.cache_folder.cache_clear()


def resave(change):
    """Return a damage that writes another array in the place of the glyphs."""
    return lambda entry: np.save(entry / "glyphs.npy", change(np.load(entry / "glyphs.npy")))


def rewrite(change, name="glyphs.npy"):
    """Return a damage that writes other bytes in the place of a file."""
    return lambda entry: (entry / name).write_bytes(change((entry / name).read_bytes()))


def exchange(entry):
    """Put the whole entry of other digits in the place of this one."""
    cache.store("others", {name: array[::-1] for name, array in ARRAYS.items()})
    shutil.rmtree(entry)
    shutil.copytree(entry.with_name("others"), entry)


DAMAGES = {
    "zeroed": resave(np.zeros_like),
    "rolled": resave(lambda array: np.roll(array, 1, axis=0)),
    "one-bit": resave(lambda array: array ^ (np.arange(100) == 99).astype(np.uint8)),
    "reshaped": resave(lambda array: array.reshape(100, 6)),
    "another-order": resave(lambda array: np.asfortranarray(array.reshape(100, 6).T)),
    "another-type": resave(lambda array: array.view(np.int8)),
    "emptied": rewrite(lambda data: b""),
    "cut": rewrite(lambda data: data[:-1]),
    "longer": rewrite(lambda data: data + b"\0"),
    "header-cut": rewrite(lambda data: data[:40]),
    "no-file": lambda entry: (entry / "glyphs.npy").unlink(),
    "a-folder": lambda entry: ((entry / "none.npy").unlink(), (entry / "none.npy").mkdir()),
    "no-checksums": rewrite(lambda data: b"", cache.SUMS),
    "other-checksums": rewrite(lambda data: b"\xff" + data[1:], cache.SUMS),
    "other-digits": exchange,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_entries_are_not_used(folder, caplog, damage):
    """Any change of an entry is found, and the log names the entry."""
    cache.store("entry", ARRAYS)
    damage(folder / "entry")
    assert cache.load("entry", ARRAYS) is None
    assert f"{folder / 'entry'}: is damaged (" in caplog.text


@pytest.mark.parametrize("name", ["zeroed", "emptied", "no-file", "no-checksums", "other-digits"])
def test_damaged_entries_are_made_again(folder, caplog, name):
    """Storing again heals an entry, and nothing else is left beside it."""
    cache.store("entry", ARRAYS)
    DAMAGES[name](folder / "entry")
    for stored in (cache.store("entry", ARRAYS), cache.load("entry", ARRAYS)):
        for key, array in ARRAYS.items():
            assert stored[key].dtype == array.dtype
            assert np.array_equal(stored[key], array)
            assert not stored[key].flags.writeable
    assert not caplog.text
    assert len(list((folder / "entry").iterdir())) == len(ARRAYS) + 1


def test_an_entry_that_was_not_finished_is_missing(folder, caplog):
    """Without its checksums, which are written last, an entry was never there: no word of it."""
    cache.store("entry", ARRAYS)
    (folder / "entry" / cache.SUMS).unlink()
    assert cache.load("entry", ARRAYS) is None
    assert cache.load("nowhere", ARRAYS) is None
    assert not caplog.text


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS])
def test_a_full_disk_is_named(folder, monkeypatch, error):
    """Where the cache cannot be written, the line says which folder, why, and what to do."""

    def fail(path, data):
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(cache, "publish_bytes", fail)
    with pytest.raises(BuilderError) as caught:
        cache.store("entry", ARRAYS)
    assert f"{folder / 'entry'}: cannot be written ({os.strerror(error)})" in str(caught.value)
    assert cache.VARIABLE in str(caught.value)


def test_a_file_in_the_place_of_an_entry_is_named(folder):
    """What is no folder is not removed: the line names it."""
    cache.cache_folder()
    (folder / "entry").write_text("")
    with pytest.raises(BuilderError, match=f"{folder / 'entry'}: cannot be written"):
        cache.store("entry", ARRAYS)


def without_home(monkeypatch):
    """Make this user one without `HOME` and without an entry in the user database."""

    def fail(user):
        raise KeyError(user)

    monkeypatch.setattr(pwd, "getpwuid", fail)
    for name in ("HOME", "XDG_CACHE_HOME", cache.VARIABLE):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("home", [None, "", "~/.cache/digitseq"])
def test_a_user_without_home_has_a_cache(tmp_path, monkeypatch, home):
    """Without a home, the temporary folder serves; older platformdirs return a path with `~`."""
    without_home(monkeypatch)
    monkeypatch.chdir(tmp_path)
    if home:
        monkeypatch.setattr(cache.platformdirs, "user_cache_dir", lambda name: home)
    elif home is not None:
        monkeypatch.setenv("HOME", home)
    assert cache.cache_folder() == tmp_path / "tmp" / f"digitseq-{os.getuid()}"
    assert not (tmp_path / "~").exists()
    assert cache.cache_folder().stat().st_mode & 0o777 == 0o700


def make_folder(mode):
    """Return a function that makes a folder of some mode."""
    return lambda path: (path.mkdir(), path.chmod(mode))


UNSAFE = {
    "777": make_folder(0o777),
    "770": make_folder(0o770),
    "sticky": make_folder(0o1777),
    "group": make_folder(0o720),
    "world": make_folder(0o702),
    "link": lambda path: (path.with_name("target").mkdir(), path.symlink_to("target")),
    "dangling": lambda path: path.symlink_to("nowhere"),
    "file": lambda path: path.write_text(""),
    "foreign": lambda path: (path.mkdir(), os.chown(path, 54321, 54321)),
}


@pytest.mark.parametrize("name", UNSAFE)
def test_an_unsafe_temporary_folder_is_passed_over(tmp_path, monkeypatch, name):
    """Where others could write, a new folder serves, and worker processes are told its name."""
    if name == "foreign" and os.getuid() != 0:
        pytest.skip("only root can give a folder away")
    without_home(monkeypatch)
    usual = tmp_path / "tmp" / f"digitseq-{os.getuid()}"
    UNSAFE[name](usual)
    found = cache.cache_folder()
    assert found != usual
    assert not found.is_symlink()
    assert found.stat().st_mode & 0o777 == 0o700
    assert os.environ[cache.VARIABLE] == str(found)
    assert not any(usual.glob("*"))
    cache.cache_folder.cache_clear()
    assert cache.cache_folder() == found


@pytest.mark.parametrize("name", ["777", "770", "dangling", "file"])
def test_an_unsafe_named_folder_is_passed_over(folder, tmp_path, caplog, name):
    """Compiled code is not loaded from a named folder either where others can write."""
    UNSAFE[name](folder)
    assert cache.cache_folder() == tmp_path / "tmp" / f"digitseq-{os.getuid()}"
    assert (str(folder) in caplog.text) == (name not in ("dangling", "file"))


def test_a_named_folder_may_be_a_link(folder):
    """The user's own word for another place, such as a large disk, counts."""
    UNSAFE["link"](folder)
    assert cache.cache_folder() == folder


def test_a_relative_folder_is_the_same_after_a_change_of_folder(tmp_path, monkeypatch):
    """A named folder is made absolute, since workers may have another current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(cache.VARIABLE, "cache")
    assert cache.cache_folder() == tmp_path / "cache"
