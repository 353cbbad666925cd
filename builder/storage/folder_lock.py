"""The lock of an output folder: one build at a time, or several of different parts.

Where the file system has `flock`, locks are held on open files and end with their process.
Elsewhere a lock is a file made with `O_EXCL`, which names its holder and is removed at the end.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from builder.common import atomic_files
from builder.common.errors import BuilderError, log

LOCK = ".lock"
"""How the names of lock files begin."""

HELD = "-held"
"""How the names of lock files end where there is no `flock`."""

NO_FLOCK = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}
"""The errors of `flock` on a file system without it."""

PATIENCE = 1.0
"""Seconds that a build of a part waits for another one that starts and holds the whole folder."""


@contextmanager
def hold_folder(
    path: Path, folder: int, part: str | None, begin: Callable[[list[str], bool], None]
) -> Iterator[None]:
    """Hold the lock of an output folder in the body.

    Args:
        path: The folder, for messages.
        folder: Its descriptor.
        part: Name of the part to hold; others may hold other parts. None for the whole folder.
        begin: Called before anybody else can take a part, with names of the folder's entries and
            whether nobody else holds a part. What others write from then on is not among them.

    Raises:
        BuilderError: Another build holds the folder or the part, or the name of a lock file is
            taken by a link or by no plain file.
    """
    before = os.listdir(folder)  # of a descriptor
    with ExitStack() as stack:
        try:
            main, alone = _lock_folder(stack, path, folder, part)
        except OSError as error:
            if error.errno not in NO_FLOCK:
                raise
            log.warning("%s: no flock (%s): a lock file serves", path, error.strerror)
            name = f"{LOCK}-{part}{HELD}" if part else LOCK + HELD
            alone = stack.enter_context(_hold_file(path, folder, name))
            begin(before, alone)  # others may have begun since
        else:
            begin(os.listdir(folder), alone)
            if part and not _flock(main, fcntl.LOCK_SH):
                raise _refusal(path, _read_holder(main))
        yield


def _lock_folder(stack: ExitStack, path: Path, folder: int, part: str | None) -> tuple[int, bool]:
    """Lock the whole folder if nobody holds a part, else share it; lock the part, too.

    Return the descriptor of the folder's lock file, and whether the whole folder is locked.
    """
    main = _open_lock(stack, path / LOCK, folder)
    alone = _flock(main, fcntl.LOCK_EX)
    deadline = time.monotonic() + PATIENCE
    while not alone and not (part and _flock(main, fcntl.LOCK_SH)):
        if not part or time.monotonic() > deadline:
            raise _refusal(path, _read_holder(main))
        time.sleep(0.01)
    locks = [(main, LOCK)]
    if part:
        locks.append((_open_lock(stack, path / f"{LOCK}-{part}", folder), f"{LOCK}-{part}"))
        if not _flock(locks[-1][0], fcntl.LOCK_EX):
            raise _refusal(path, _read_holder(locks[-1][0]))
    for handle, name in locks:
        # a build that leaves nothing behind removes its lock file, perhaps this one
        if not _has_name(handle, name, folder):
            raise BuilderError(f"{path}: another build has just ended here; call again")
        with suppress(OSError):  # on a full disk, or of another user: a lock without a name in it
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"process {os.getpid()} on {os.uname().nodename}".encode(), 0)
    return main, alone


def _open_lock(stack: ExitStack, path: Path, folder: int) -> int:
    """Open a lock file until the stack is closed: to write, or to read that of another user."""
    try:
        handle = open_own_file(path, folder, os.O_RDWR)
    except PermissionError:
        handle = open_own_file(path, folder, os.O_RDONLY)
    stack.callback(os.close, handle)
    return handle


def open_own_file(path: Path, folder: int, flags: int) -> int:
    """Open a file of the program's own in an output folder, or create it; return its descriptor.

    Whoever may write to the folder may write to a file that this creates.

    Args:
        path: The file, for messages.
        folder: Descriptor of its folder.
        flags: Of `os.open`, beside those for creation.

    Raises:
        BuilderError: The name is taken by a link, a folder or a device, or the file has several.
    """
    flags |= os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    with suppress(FileNotFoundError):
        _require_own(path, os.stat(path.name, dir_fd=folder, follow_symlinks=False))
    handle = os.open(path.name, flags, 0o666, dir_fd=folder)
    try:
        _require_own(path, os.fstat(handle))  # of what was opened: it may be another one by now
    except BaseException:
        os.close(handle)
        raise
    share_with_folder(handle, folder)
    return handle


def _require_own(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        kind = "a plain file with another name" if stat.S_ISREG(status.st_mode) else "no plain file"
        raise BuilderError(
            f"{path}: is {kind}, perhaps a link; expected a file of this program or none: "
            "move it elsewhere"
        )


def share_with_folder(handle: int, folder: int) -> None:
    """Let those who may write to a folder write to an entry of it that this user owns."""
    status, writers = os.fstat(handle), os.fstat(folder).st_mode & 0o022
    if status.st_uid == os.geteuid() and status.st_mode & writers != writers:
        with suppress(OSError):  # a file system without permissions
            os.fchmod(handle, stat.S_IMODE(status.st_mode) | writers)


def _flock(handle: int, kind: int) -> bool:
    """Take a lock, or change its kind, without waiting; tell whether it is held."""
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _has_name(handle: int, name: str, folder: int) -> bool:
    try:
        named = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(handle), named)


def _read_holder(handle: int) -> str:
    return os.pread(handle, 200, 0).decode("utf-8", "replace") or "unknown"


def _refusal(path: Path, holder: str) -> BuilderError:
    return BuilderError(f"{path}: another build is writing here ({holder}); wait for it, or end it")


@contextmanager
def _hold_file(path: Path, folder: int, name: str) -> Iterator[bool]:
    """Hold a lock that is a file; yield whether there is no other one.

    The file of the whole folder excludes all others, and each of them excludes that one.
    """
    while True:
        try:
            handle = os.open(name, atomic_files.CREATE_FLAGS, 0o666, dir_fd=folder)
            break
        except FileExistsError:
            _remove_stale(path / name, folder)
    try:
        atomic_files.write_at(handle, json.dumps(_identity(os.getpid())).encode(), 0)
        names = os.listdir(folder)  # of a descriptor
        others = {n for n in names if n.startswith(LOCK) and n.endswith(HELD)} - {name}
        for other in others if name == LOCK + HELD else others & {LOCK + HELD}:
            _remove_stale(path / other, folder)
        yield not others
    finally:
        os.close(handle)
        with suppress(OSError):
            atomic_files.remove(name, folder)


def _remove_stale(path: Path, folder: int) -> None:
    """Remove a lock file whose process has ended. Raises `BuilderError` for any other."""
    aside = f"{atomic_files.TEMPORARY}{os.urandom(4).hex()}{HELD}"
    with suppress(FileNotFoundError):
        held = _read_identity(path.name, folder)
        if held.get("host") != os.uname().nodename or _is_alive(held):
            raise BuilderError(
                f"{path}: another build is writing here (process {held.get('process')} on "
                f"{held.get('host')}); wait for it, or end it; if it is dead, remove this file"
            )
        os.rename(path.name, aside, src_dir_fd=folder, dst_dir_fd=folder)
        if _read_identity(aside, folder) != held:  # another build was faster: give back its lock
            os.rename(aside, path.name, src_dir_fd=folder, dst_dir_fd=folder)
            return
        atomic_files.remove(aside, folder)


def _read_identity(name: str, folder: int) -> dict[str, object]:
    """Return what a lock file says of its holder: nothing where it says nothing useful."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    handle = os.open(name, flags, dir_fd=folder)
    try:
        value = json.loads(os.pread(handle, 1000, 0))
    except (ValueError, OSError):
        return {}
    finally:
        os.close(handle)
    return value if isinstance(value, dict) else {}


def _is_alive(held: dict[str, object]) -> bool:
    """Return whether the process still runs that a lock file of this machine names."""
    process = held.get("process")
    if not isinstance(process, int) or held != _identity(process):
        return False
    try:
        os.kill(process, 0)
    except OSError as error:
        return error.errno == errno.EPERM  # it runs, as another user
    return True


def _identity(process: int) -> dict[str, object]:
    """Return what tells a process from any other one of the same number."""
    boot, started = None, None
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    with suppress(OSError, IndexError):
        # the 22nd field; the second one, in parentheses, may hold anything
        started = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    return {"host": os.uname().nodename, "process": process, "boot": boot, "started": started}
