"""Builds on a real scheduler and real workers, which are processes of this machine."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from builder import build
from builder.common.errors import BuildError, UsageError
from builder.storage.claim import claim
from builder.workers import dask, retry
from tests import crashing_shards

ROOT = Path(__file__).parents[2]
COUNT, SIZE = 600, 100

distributed = pytest.importorskip("distributed", reason="pip install '.[dask]'")


@contextmanager
def run_process(folder, part, *arguments):
    """Run a scheduler or worker of dask as a process that logs to a file."""
    with (folder / f"{part}.log").open("a") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{part}", *arguments, "--no-dashboard"],
            cwd=ROOT,
            stderr=log,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def scheduler_with_workers(folder, workers, *options):
    """Yield the address of a scheduler with so many workers of one thread."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    places = ["--host", "127.0.0.1", "--local-directory", folder / "workers"]
    with ExitStack() as stack:
        scheduler = stack.enter_context(
            run_process(folder, "scheduler", "--host", "127.0.0.1", "--port", str(port))
        )
        crashing_shards.scheduler_file(folder).write_text(str(scheduler.pid))
        for _ in range(workers):
            stack.enter_context(
                run_process(folder, "worker", address, "--nthreads", "1", *places, *options)
            )
        with distributed.Client(address, timeout=60) as client:
            if workers:
                client.wait_for_workers(workers, timeout=60)
        yield address


@pytest.fixture(scope="module")
def digest(recipe, tmp_path_factory):
    """Return the content digest of a local build."""
    out = tmp_path_factory.mktemp("whole") / "set"
    return build(recipe, COUNT, out, shard_size=SIZE, workers=1).manifest.content_digest


def test_a_build_survives_a_worker_that_is_killed(recipe, digest, tmp_path, monkeypatch):
    """If one of two workers is killed, the other one finishes the same dataset."""
    monkeypatch.setattr(retry, "build_shard", crashing_shards.kill_worker_once)
    out = tmp_path / "set"
    with scheduler_with_workers(tmp_path, 2, "--no-nanny") as address:
        done = build(recipe, COUNT, out, shard_size=SIZE, backend="dask", scheduler=address)
    assert (tmp_path / "killed-once").exists()
    assert done.manifest.content_digest == digest
    assert not list(out.glob(".tmp*"))


@pytest.mark.slow
def test_a_shard_that_kills_every_worker_is_named(recipe, digest, tmp_path, monkeypatch):
    """The scheduler may wait for the shard for ever; the build gives it up and keeps all others."""
    monkeypatch.setattr(retry, "build_shard", crashing_shards.kill_worker)
    out = tmp_path / "set"
    with scheduler_with_workers(tmp_path, 2) as address:
        with pytest.raises(BuildError, match="given up after 3 attempts: shard-000002: no worker"):
            build(
                recipe,
                COUNT,
                out,
                shard_size=SIZE,
                backend="dask",
                scheduler=address,
                hang_limit=10,
            )
        monkeypatch.undo()
        assert len(list(out.glob("shard-*.json"))) == 5
        done = build(recipe, COUNT, out, shard_size=SIZE, backend="dask", scheduler=address)
    assert (done.made, done.manifest.content_digest) == (SIZE, digest)


def test_a_scheduler_without_workers_is_refused(recipe, tmp_path):
    """The error says so, and no folder is left."""
    with (
        scheduler_with_workers(tmp_path, 0) as address,
        pytest.raises(BuildError, match="has no workers"),
    ):
        build(recipe, 10, tmp_path / "set", backend="dask", scheduler=address)
    assert not (tmp_path / "set").exists()


def test_a_scheduler_that_does_not_answer_is_an_error(recipe, tmp_path, monkeypatch):
    """The error names the address, and nothing is left behind."""
    monkeypatch.setattr(dask, "TIMEOUT", 0.2)  # instead of 10 s
    with pytest.raises(BuildError, match=r"scheduler tcp://127.0.0.1:1: cannot be reached"):
        build(recipe, 10, tmp_path / "set", backend="dask", scheduler="tcp://127.0.0.1:1")
    assert not (tmp_path / "set").exists()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("tls://127.0.0.1:1", "cannot be reached .*ssl"),
        ("tcp://", "cannot be reached .*missing port"),
        ("nonsense://127.0.0.1:1", "cannot be reached .*nonsense"),
        ("tcp://127.0.0.1:99999999", "cannot be reached"),
    ],
)
def test_addresses_that_are_none_are_errors(recipe, tmp_path, monkeypatch, address, message):
    """Whatever dask says of an address becomes one line."""
    monkeypatch.setattr(dask, "TIMEOUT", 0.2)  # instead of 10 s
    with pytest.raises(BuildError, match=message):
        build(recipe, 10, tmp_path / "set", backend="dask", scheduler=address)
    with pytest.raises(UsageError, match="scheduler is ''"):
        build(recipe, 10, tmp_path / "set", backend="dask", scheduler="")


def test_a_scheduler_that_accepts_and_says_nothing_is_left(recipe, tmp_path, monkeypatch):
    """The wait has a limit."""
    monkeypatch.setattr(dask, "TIMEOUT", -1.5)  # half a second in all
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"tcp://127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(BuildError, match="cannot be reached"):
            build(recipe, 10, tmp_path / "set", backend="dask", scheduler=address)


@pytest.mark.filterwarnings("default")  # of what dask leaves when its scheduler is gone
def test_a_scheduler_that_is_killed_costs_no_finished_shard(
    recipe, digest, tmp_path, monkeypatch, capfd
):
    """The build ends with one line, and the same call goes on with another scheduler."""
    monkeypatch.setattr(retry, "build_shard", crashing_shards.kill_scheduler)
    out = tmp_path / "set"
    with scheduler_with_workers(tmp_path, 2, "--no-nanny") as address:
        with pytest.raises(BuildError, match="connection to it was lost; finished shards are kept"):
            build(recipe, COUNT, out, shard_size=SIZE, backend="dask", scheduler=address)
        assert "Traceback" not in capfd.readouterr().err
    monkeypatch.undo()
    done = build(recipe, COUNT, out, shard_size=SIZE, workers=1)
    assert (done.made < COUNT, done.manifest.content_digest) == (True, digest)


class Workers:
    """A client whose workers change the answers of `probe`."""

    def __init__(self, **changes):
        self.changes = changes

    def run(self, function, folder, name, on_error):
        """Return the answer of each worker."""
        assert folder.exists(name)
        return {worker: change(function(folder, name)) for worker, change in self.changes.items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _: (1, True), r"worker b has generator version 1, not \d+"),
        (lambda answer: (answer[0], False), "worker b does not see .*: name a folder that all"),
        (lambda _: ModuleNotFoundError("builder"), "worker b cannot run this program .*builder"),
    ],
)
def test_workers_that_cannot_build_are_named(tmp_path, change, message):
    """Each worker must run the same generator and see the folder; no file is left there."""
    with claim(tmp_path) as folder:
        dask.check_workers(Workers(a=lambda answer: answer), "tcp://s", folder)
        with pytest.raises(BuildError, match=message) as caught:
            dask.check_workers(Workers(a=lambda answer: answer, b=change), "tcp://s", folder)
    assert "worker a" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize("wrong", [{"backend": "dask"}, {"scheduler": "tcp://localhost:8786"}])
def test_backend_and_scheduler_go_together(recipe, tmp_path, wrong):
    """One without the other is a usage error."""
    with pytest.raises(UsageError, match="expected both or neither"):
        build(recipe, 10, tmp_path / "set", **wrong)


def test_the_backend_dask_names_its_package(recipe, tmp_path, monkeypatch):
    """A failed import becomes an error of one line that says what to install."""
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(UsageError, match=r"pip install '.\[dask\]'"):
        build(recipe, 10, tmp_path / "set", backend="dask", scheduler="tcp://127.0.0.1:1")
