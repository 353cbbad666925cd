"""Datasets built in parts, each by one call, on machines that share a folder."""

from __future__ import annotations

import json
import multiprocessing
import shlex

import pytest

from builder import build, open_dataset
from builder.common.errors import BuilderError, DatasetError, UsageError
from builder.storage.claim import claim
from builder.storage.config import DatasetConfig, Part, StorageOptions
from builder.storage.output_folder import OutputFolder
from builder.workers.options import BuildOptions
from builder.workers.pipeline import build_dataset, build_part, finalise
from tests.workers.files import hash_files

COUNT = 250
ALONE = BuildOptions(workers=1)


def make_config(recipe, count=COUNT):
    """Return the configuration of a dataset in shards of 30."""
    return DatasetConfig.of(recipe, StorageOptions(shard_size=30), count)


@pytest.fixture(scope="module")
def whole(recipe, tmp_path_factory):
    """Return a dataset built by one call."""
    out = tmp_path_factory.mktemp("whole") / "set"
    build_dataset(make_config(recipe), OutputFolder(out), ALONE)
    return out


@pytest.mark.parametrize("parts", [1, 2, 4, 9, 20])
def test_parts_in_any_order_are_the_whole(recipe, whole, tmp_path, parts):
    """All parts together equal one build, file by file; there may be more parts than shards."""
    config, out = make_config(recipe), tmp_path / "set"
    counts = [
        build_part(config, OutputFolder(out), ALONE, Part(number, parts))
        for number in range(parts, 0, -1)
    ]
    assert sum(counts) == COUNT
    assert max(counts) - min(counts) <= 30
    assert finalise(config, OutputFolder(out)).manifest == open_dataset(whole).manifest
    assert hash_files(out) == hash_files(whole)
    assert build_part(config, OutputFolder(out), ALONE, Part(1, parts)) == 0
    assert (out / "manifest.json").exists()


def test_a_finished_dataset_that_lost_a_shard_is_no_longer_one(recipe, whole, tmp_path):
    """The part that rebuilds the shard removes the manifest, and `finalise` publishes it again."""
    config, out = make_config(recipe), tmp_path / "set"
    build_dataset(config, OutputFolder(out), ALONE)
    (out / "shard-000001.h5").unlink()
    assert build_part(config, OutputFolder(out), ALONE, Part(2, 2)) == 0
    assert (out / "manifest.json").exists()
    assert build_part(config, OutputFolder(out), ALONE, Part(1, 2)) == 30
    assert not (out / "manifest.json").exists()
    finalise(config, OutputFolder(out))
    assert hash_files(out) == hash_files(whole)


def test_parts_may_be_made_at_the_same_time(recipe, whole, tmp_path):
    """Two processes build two parts in one folder."""
    context = multiprocessing.get_context("spawn")
    config, out = make_config(recipe), tmp_path / "set"
    makers = [
        context.Process(target=build_part, args=(config, OutputFolder(out), ALONE, Part(n, 2)))
        for n in (1, 2)
    ]
    for maker in makers:
        maker.start()
    for maker in makers:
        maker.join(120)
        assert maker.exitcode == 0
    finalise(config, OutputFolder(out))
    assert hash_files(out) == hash_files(whole)


def test_a_dataset_is_not_finalised_before_all_parts_are_made(recipe, tmp_path):
    """The error names every missing shard; a part that is built again builds only its shards."""
    config, out = make_config(recipe), tmp_path / "set"
    with pytest.raises(UsageError, match="make the parts first"):
        finalise(config, OutputFolder(out))
    build_part(config, OutputFolder(out), ALONE, Part(2, 4))
    missing = ", ".join(f"shard-00000{n}" for n in (0, 1, 4, 5, 6, 7, 8))
    with pytest.raises(BuilderError, match=f"not finished: {missing};"):
        finalise(config, OutputFolder(out))
    assert not (out / "manifest.json").exists()
    (out / "shard-000003.h5").unlink()
    assert build_part(config, OutputFolder(out), ALONE, Part(2, 4)) == 30


def test_parts_share_a_folder_with_each_other_only(recipe, tmp_path):
    """A whole build excludes builds of parts, and a build of a part excludes another of it."""
    config, out = make_config(recipe), tmp_path / "set"
    build_part(config, OutputFolder(out), ALONE, Part(1, 2))
    with claim(out, Part(3, 4)):
        with pytest.raises(BuilderError, match="another build is writing here"):
            build_dataset(config, OutputFolder(out), ALONE)
        with pytest.raises(BuilderError, match="another build is writing here"):
            finalise(config, OutputFolder(out))
        assert build_part(config, OutputFolder(out), ALONE, Part(2, 2)) > 0
        with (
            claim(out, Part(1, 2)),
            pytest.raises(BuilderError, match="another"),
        ):
            build_part(config, OutputFolder(out), ALONE, Part(1, 2))
    with claim(out), pytest.raises(BuilderError, match="another build"):
        build_part(config, OutputFolder(out), ALONE, Part(1, 2))


def test_a_part_leaves_what_others_have_begun(recipe, tmp_path):
    """A part keeps the files of parts that are being built, and removes those of ended builds."""
    config, out = make_config(recipe), tmp_path / "set"
    build_part(config, OutputFolder(out), ALONE, Part(1, 2))
    ended = out / ".tmp-12345678"
    ended.mkdir()
    with claim(out, Part(2, 2)) as other:
        assert not ended.exists()
        other.write_staged("shard-000008.h5", "half")
        ended.mkdir()
        build_part(config, OutputFolder(out), ALONE, Part(1, 2))
        assert ended.exists()
        assert other.exists(other.staged("shard-000008.h5"))
    assert not other.exists(other.staging)
    build_dataset(config, OutputFolder(out), ALONE)
    assert not list(out.glob(".tmp-*"))


def test_parts_extend_a_dataset(recipe, tmp_path):
    """A larger count removes the manifest until all parts are built."""
    out = tmp_path / "set"
    build_dataset(make_config(recipe, 100), OutputFolder(out), ALONE)
    config = make_config(recipe)
    first = build_part(config, OutputFolder(out), ALONE, Part(1, 2))
    assert not (out / "manifest.json").exists()
    second = build_part(config, OutputFolder(out), ALONE, Part(2, 2))
    assert first + second == COUNT - 90  # three whole shards stay
    assert finalise(config, OutputFolder(out)).manifest.plan.count == COUNT


@pytest.mark.parametrize("text", ["0/4", "5/4", "1/0", "-1/2"])
def test_a_part_is_one_of_them(text):
    """The number of a part is between 1 and the number of parts."""
    with pytest.raises(UsageError, match="expected I/N"):
        Part(*map(int, text.split("/")))


def test_parts_on_the_command_line(capsys, tmp_path):
    """`--part` and `--finalise` build the files of one call."""
    from builder.cli import main

    call = [*shlex.split("--count 90 --shard-size 20 --quiet --workers 1 --seed 5 --out")]
    for number in (1, 2, 3):
        assert main("build", [*call, str(tmp_path / "set"), "--part", f"{number}/3"]) == 0
        assert f"part {number}/3 is made" in capsys.readouterr().out
    assert main("build", [*call, str(tmp_path / "set"), "--finalise"]) == 0
    assert main("build", [*call, str(tmp_path / "whole")]) == 0
    assert hash_files(tmp_path / "set") == hash_files(tmp_path / "whole")
    capsys.readouterr()
    for wrong in ("1", "a/b", "3/2"):
        with pytest.raises(SystemExit) as end:
            raise SystemExit(main("build", [*call, str(tmp_path / "set"), "--part", wrong]))
        assert end.value.code == 2
        assert "such as 3/8" in capsys.readouterr().err


def test_an_unfinished_dataset_names_the_command_that_finishes_it(recipe, whole, tmp_path):
    """The error of `open_dataset` has a command that works."""
    from builder.cli import main

    out = tmp_path / "set"
    build_part(make_config(recipe), OutputFolder(out), ALONE, Part(2, 3))
    with pytest.raises(DatasetError, match="is not finished; to finish it: digitseq ") as caught:
        open_dataset(out)
    verb, *call = shlex.split(str(caught.value).partition("digitseq ")[2])
    assert main(verb, [*call, "--workers", "1", "--quiet"]) == 0
    assert hash_files(out) == hash_files(whole)


def test_verify_makes_damaged_shards_again(capsys, recipe, tmp_path):
    """`--verify` finds a flipped byte in a finished shard, and the build replaces the shard."""
    from builder.cli import main

    out, call = tmp_path / "set", shlex.split("--count 90 --shard-size 20 --quiet --workers 1")
    call = [*call, "--out", str(out)]
    assert main("build", call) == 0
    before = hash_files(out)
    damaged = out / "shard-000003.h5"
    data = bytearray(damaged.read_bytes())
    data[-1000] ^= 1
    damaged.write_bytes(data)
    assert main("build", call) == 0
    assert hash_files(out) != before  # sizes and records hold
    assert main("build", [*call, "--verify"]) == 0
    assert hash_files(out) == before
    capsys.readouterr()
    assert main("build", [*call, "--verify", "--seed", "8"]) == 2
    assert "holds another dataset" in capsys.readouterr().err


def test_a_whole_build_finishes_a_folder_of_parts(recipe, tmp_path):
    """`build` finishes a folder of parts."""
    config, out = make_config(recipe), tmp_path / "set"
    build_part(config, OutputFolder(out), ALONE, Part(1, 3))
    done = build(recipe, COUNT, out, shard_size=30, workers=1)
    assert done.made == COUNT - 90
    assert json.loads((out / "manifest.json").read_text())["plan"]["count"] == COUNT
