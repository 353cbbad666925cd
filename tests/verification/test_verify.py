"""Tests of `verify` and `repair`: every damage is found, and a repair restores all bytes."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import sys
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from builder import Recipe, build, open_dataset, repair, verify
from builder.cli import main
from builder.common import cache
from builder.common.errors import BuilderError, UsageError
from builder.planner.planner import open_planner
from builder.recipe import digits
from builder.storage.claim import claim
from builder.storage.formats.base import sha256_of
from builder.storage.manifest import checksum
from builder.storage.output_folder import OutputFolder
from builder.storage.statistics import digest_of, format_digest
from builder.verification.shard_check import evenly_spaced_sample
from tests import crashing_shards

COUNT = 50
FORMS = {
    "raw": {},
    "gzip": {"compression": "gzip", "masks": True},
    "png": {"format": "png", "masks": True},
}
SHARD = "shard-000001"


def build_dataset(folder: Path, recipe: Recipe, form: str) -> Path:
    """Build a dataset of 50 samples in three shards."""
    return build(recipe, COUNT, folder, shard_size=20, workers=1, **FORMS[form]).path


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Recipe:
    """Return a recipe with a labels file."""
    labels = tmp_path_factory.mktemp("labels") / "labels.txt"
    labels.write_text("".join(f"{n:03d}\n" for n in range(0, 1000, 7)))
    return Recipe(seed=3, labels_file=labels, width=110)


@pytest.fixture(scope="module")
def originals(small, tmp_path_factory) -> dict[str, Path]:
    """Return the folders of undamaged datasets, by form."""
    root = tmp_path_factory.mktemp("whole")
    return {form: build_dataset(root / form, small, form) for form in FORMS}


@pytest.fixture(params=FORMS)
def form(request) -> str:
    """Return each form."""
    return request.param


@pytest.fixture
def copy(originals, form, tmp_path) -> Path:
    """Return a copy of a dataset of each form. The test damages it."""
    return Path(shutil.copytree(originals[form], tmp_path / "set"))


@pytest.fixture
def raw(originals, tmp_path) -> Path:
    """Return a copy of the raw dataset. The test damages it."""
    return Path(shutil.copytree(originals["raw"], tmp_path / "raw"))


def file_hashes(folder: Path) -> dict[str, str]:
    """Return the sha256 of every file of a folder but the lock and the log."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in (".lock", "build.log")
    }


def faults_of(folder: Path, level: str = "quick", **more) -> list[str]:
    """Return the faults of a dataset, as they are printed."""
    return [str(fault) for fault in verify(folder, level, workers=1, **more).faults]


def images_of(folder: Path, shard: str = SHARD) -> Path:
    """Return a shard's HDF5 file, or the first image of its folder."""
    images = folder / shard
    return min(images.glob("*.png")) if images.exists() else folder / f"{shard}.h5"


def labels_of(folder: Path, shard: str = SHARD) -> Path:
    """Return a shard's Parquet file."""
    images = folder / shard
    return images / "metadata.parquet" if images.exists() else folder / f"{shard}.parquet"


def rewrite_json(path: Path, change) -> None:
    """Change the values of a JSON file, write it in canonical form, and correct its checksum."""
    values = json.loads(path.read_text())
    change(values)
    if "checksum" in values:
        values["checksum"] = checksum(values)
    path.write_text(json.dumps(values, indent=1, sort_keys=True) + "\n")


def swap_names(a: Path, b: Path) -> None:
    """Swap the names of two files or folders."""
    a.rename(a.with_name("third"))
    b.rename(a)
    a.with_name("third").rename(b)


def cut_last_byte(path: Path) -> None:
    """Cut the last byte off a file."""
    os.truncate(path, path.stat().st_size - 1)


@pytest.mark.parametrize("level", ["quick", "full", "deep"])
def test_an_undamaged_dataset_has_no_fault(originals, form, level):
    """No level finds a fault in an undamaged dataset, and none changes its folder."""
    before = sorted((p.name, p.stat().st_mtime_ns) for p in originals[form].rglob("*"))
    report = verify(originals[form], level, samples=20, workers=1)
    assert report.faults == report.notes == ()
    assert report.checked == {"quick": 0, "full": COUNT, "deep": 20}[level]
    assert before == sorted((p.name, p.stat().st_mtime_ns) for p in originals[form].rglob("*"))


QUICK = {
    "no images": (lambda f: images_of(f).unlink(), "not there"),
    "no labels": (lambda f: labels_of(f).unlink(), "not there"),
    "no record": (lambda f: (f / f"{SHARD}.json").unlink(), "json: is not there"),
    "short images": (lambda f: cut_last_byte(images_of(f)), r"has \d+ bytes, expected \d+"),
    "short labels": (lambda f: cut_last_byte(labels_of(f)), r"has \d+ bytes, expected \d+"),
    "short record": (lambda f: cut_last_byte(f / f"{SHARD}.json"), "expected"),
    "no JSON": (lambda f: (f / f"{SHARD}.json").write_text("{"), "is not JSON"),
    "swapped records": (
        lambda f: swap_names(f / f"{SHARD}.json", f / "shard-000000.json"),
        "shard is shard-000000 from 0, 20 images, expected shard-000001 from 20, 20 images",
    ),
}


@pytest.mark.parametrize("damage", QUICK)
def test_a_quick_check_finds_what_is_missing_or_cut(copy, originals, form, damage):
    """Each fault names its shard, a repair builds only that shard, and all bytes are as before."""
    change, words = QUICK[damage]
    change(copy)
    report = verify(copy)
    assert {fault.shard for fault in report.faults} <= {SHARD, "shard-000000"}
    with pytest.raises(AssertionError, match=words):
        raise AssertionError("\n".join(map(str, report.faults)))
    other = images_of(copy, "shard-000002").stat().st_mtime_ns
    report = repair(copy, workers=1)
    assert report.whole
    assert report.made == ((0, 1) if damage.startswith("swapped") else (1,))
    assert file_hashes(copy) == file_hashes(originals[form])
    assert images_of(copy, "shard-000002").stat().st_mtime_ns == other


DOCUMENTS = {
    "no plan": lambda f: (f / "plan.json").unlink(),
    "no manifest": lambda f: (f / "manifest.json").unlink(),
    "broken plan": lambda f: (f / "plan.json").write_text("[]"),
    "broken manifest": lambda f: cut_last_byte(f / "manifest.json"),
    "other plan": lambda f: rewrite_json(f / "plan.json", lambda v: v.update(count=49)),
    "other plan in manifest": lambda f: (f / "manifest.json").write_text(
        (f / "manifest.json").read_text().replace('"count": 50', '"count": 51')
    ),
    "wrong mean": lambda f: rewrite_json(f / "manifest.json", lambda v: v.update(pixel_mean=1.5)),
    "wrong digest": lambda f: rewrite_json(
        f / "manifest.json", lambda v: v.update(content_digest="c1:" + "0" * 32)
    ),
    "wrong bytes": lambda f: rewrite_json(f / "manifest.json", lambda v: v.update(bytes=3)),
    "wrong classes": lambda f: rewrite_json(
        f / "manifest.json", lambda v: v["class_counts"].reverse()
    ),
    "wrong lengths": lambda f: rewrite_json(
        f / "manifest.json", lambda v: v.update(length_counts={"2": COUNT})
    ),
    "line missing": lambda f: rewrite_json(f / "manifest.json", lambda v: v["shards"].pop(1)),
    "lines swapped": lambda f: rewrite_json(f / "manifest.json", lambda v: v["shards"].reverse()),
    "line twice": lambda f: rewrite_json(
        f / "manifest.json", lambda v: v["shards"].append(v["shards"][0])
    ),
    "no labels file": lambda f: (f / "labels.txt.gz").unlink(),
    "other labels file": lambda f: (f / "labels.txt.gz").write_text("1\n2\n"),
}


@pytest.mark.parametrize("damage", DOCUMENTS)
def test_plan_manifest_and_labels_file_are_restored(raw, originals, damage):
    """Their faults are of no shard; a repair restores them from each other and the records."""
    DOCUMENTS[damage](raw)
    report = verify(raw)
    assert report.faults
    assert {fault.shard for fault in report.faults} == {None}
    report = repair(raw, workers=1)
    if damage == "wrong digest":  # the manifest is whole, and lies: nobody can know which is right
        assert [fault.shard for fault in report.unequal] == [None]
    else:
        assert report.whole
    assert report.made == ()
    assert file_hashes(raw) == file_hashes(originals["raw"])


@pytest.fixture(scope="module")
def others(originals, small, tmp_path_factory) -> dict[str, Path]:
    """Return the folders of datasets that differ from the raw one, by what differs."""
    root = tmp_path_factory.mktemp("others")
    built = {
        "seed": build_dataset(root / "seed", small.model_copy(update={"seed": 4}), "raw"),
        "count": build(small, 30, root / "count", shard_size=20, workers=1).path,
    }
    return {name: originals[name] for name in ("gzip", "png")} | built


@pytest.mark.parametrize("other", ["seed", "count", "gzip", "png"])
def test_a_manifest_of_another_dataset_is_no_reason_to_build_it(raw, originals, others, other):
    """A repair is refused, and works once the manifest is moved away; `verify` names the fault."""
    shutil.copy(others[other] / "manifest.json", raw)
    before = file_hashes(raw)
    (fault,) = faults_of(raw)
    assert fault.startswith("plan.json is not the plan in manifest.json (")
    assert fault.endswith("and the completion records agree with plan.json")
    with pytest.raises(BuilderError, match=r"manifest\.json is in the way") as caught:
        repair(raw, workers=1)
    assert caught.value.exit_code == 1
    assert file_hashes(raw) == before
    (raw / "manifest.json").unlink()
    assert repair(raw, workers=1).made == ()
    assert file_hashes(raw) == file_hashes(originals["raw"])


@pytest.mark.parametrize("missing", ["", "plan.json", "shard-*.json"])
def test_no_shard_is_built_over_those_of_another_dataset(raw, others, missing):
    """A repair is refused if nothing else speaks for a plan or manifest than they themselves."""
    for name in ("plan.json", "manifest.json")[1 if missing.startswith("shard") else 0 :]:
        shutil.copy(others["seed"] / name, raw)
    for path in sorted(raw.glob(missing or "none")):
        path.unlink()
    before = file_hashes(raw)
    words = "all 3 completion records are of another dataset"
    if missing.startswith("shard"):
        words = r"plan\.json or manifest\.json is in the way"
    with pytest.raises(BuilderError, match=words):
        repair(raw, workers=1)
    assert file_hashes(raw) == before


def test_a_plan_of_another_dataset_is_replaced(raw, originals, others):
    """The plan that records agree with is right, even if the checksum of the manifest is not."""
    shutil.copy(others["seed"] / "plan.json", raw)
    text = (raw / "manifest.json").read_text()
    (raw / "manifest.json").write_text(text.replace('"numba": "', '"numba": "9'))
    assert repair(raw, workers=1).made == ()
    assert file_hashes(raw) == file_hashes(originals["raw"])


def test_every_flipped_byte_is_found(copy, originals, form):
    """A full check finds any changed byte of any file, and names the right shard."""
    draw = np.random.default_rng(5)
    whole = file_hashes(originals[form])
    names = [n for n in whole if not n.endswith(".png")]
    names += [n for n in whole if n.endswith(".png")][::20]
    for name in names:
        path = copy / name
        data = path.read_bytes()
        often = {"manifest.json": 20, "labels.txt.gz": 10, "plan.json": 10}.get(name, 2)
        places = {0, 4, len(data) - 1, *draw.integers(len(data), size=often).tolist()}
        for place in places:
            other = bytearray(data)
            other[place] ^= int(draw.integers(1, 256))
            path.write_bytes(other)
            report = verify(copy, "full", workers=1)
            assert report.faults, (name, place)
            if name.startswith("shard-"):
                assert {fault.shard for fault in report.faults} == {name[:12]}, (name, place)
        path.write_bytes(data)
    assert verify(copy, "full", workers=1).whole


@pytest.mark.parametrize("file", ["manifest.json", "plan.json", f"{SHARD}.h5", "labels.txt.gz"])
def test_flipped_bytes_are_repaired(raw, originals, file):
    """After a repair with a full check every file has the bytes that it had."""
    data = bytearray((raw / file).read_bytes())
    for place in np.random.default_rng(1).integers(len(data), size=8).tolist():
        other = data.copy()
        other[place] ^= 1
        (raw / file).write_bytes(other)
        assert repair(raw, "full", workers=1).whole
        assert file_hashes(raw) == file_hashes(originals["raw"])


RECORDS = {
    "content digest": lambda v: v["statistics"].update(content_digest="c1:" + "0" * 32),
    "files": lambda v: v["files"][1].update(sha256="0" * 64),
    "own file": lambda v: v["statistics"].update(pixel_sum=v["statistics"]["pixel_sum"] ^ 1),
    "fingerprint": lambda v: v.update(fingerprint="0" * 64),
    "generator version": lambda v: v.update(generator_version=1),
}


@pytest.mark.parametrize("field", RECORDS)
def test_records_say_what_the_manifest_says(raw, originals, field):
    """A quick check finds another value in any field of a record, and names the field."""
    rewrite_json(raw / f"{SHARD}.json", RECORDS[field])
    faults = faults_of(raw)
    assert any(line.startswith(f"{SHARD}: {SHARD}.json: {field} is ") for line in faults)
    assert all(line.startswith(SHARD) for line in faults)
    assert repair(raw, workers=1).made == (1,)
    assert file_hashes(raw) == file_hashes(originals["raw"])


@pytest.mark.parametrize("records_too", [False, True])
def test_shards_that_were_swapped_are_found(raw, originals, records_too):
    """A full check finds swapped files of two shards; a quick check, if records are swapped too."""
    for end in ("h5", "parquet", "json")[: 3 if records_too else 2]:
        swap_names(raw / f"shard-000000.{end}", raw / f"{SHARD}.{end}")
    level = "quick" if records_too else "full"
    shards = {fault.shard for fault in verify(raw, level, workers=1).faults}
    assert shards == {"shard-000000", SHARD}
    assert repair(raw, level, workers=1).made == (0, 1)
    assert file_hashes(raw) == file_hashes(originals["raw"])


def test_a_shard_of_another_dataset_is_found(copy, originals, form, small, tmp_path):
    """A quick check finds a shard of other samples by its record."""
    other = build_dataset(tmp_path / "other", small.model_copy(update={"seed": 4}), form)
    for path in sorted(other.glob(f"{SHARD}*")):
        shutil.rmtree(copy / path.name) if path.is_dir() else (copy / path.name).unlink()
        path.rename(copy / path.name)
    faults = faults_of(copy)
    assert any("fingerprint is" in line for line in faults)
    assert all(line.startswith(SHARD) for line in faults)
    assert repair(copy, workers=1).whole
    assert file_hashes(copy) == file_hashes(originals[form])


def test_images_of_another_dataset_are_found(raw, small, tmp_path):
    """A full and a deep check find a shard's file of other samples and the same size."""
    other = build_dataset(tmp_path / "other", small.model_copy(update={"seed": 4}), "raw")
    shutil.copy(other / f"{SHARD}.h5", raw)
    assert faults_of(raw) == []
    assert faults_of(raw, "full")[0].startswith(f"{SHARD}: {SHARD}.h5 has sha256 ")
    assert "seeds are" in faults_of(raw, "deep")[0]


def test_a_png_folder_holds_its_images_and_nothing_else(originals, tmp_path):
    """A quick check finds missing, renamed, doubled and unexpected files of a PNG folder."""
    first = images_of(originals["png"]).name
    changes = {
        "1 of 20 images are not there, as of index 20": lambda p: p.unlink(),
        "1 images are there more than once, as of index 20": lambda p: shutil.copy(
            p, p.with_name("000000000020_0.png")
        ),
        "000000000099_1.png: does not belong": lambda p: p.rename(
            p.with_name("000000000099_1.png")
        ),
        "notes.txt: does not belong": lambda p: p.with_name("notes.txt").write_text("mine"),
        "more: is no plain file": lambda p: p.with_name("more").mkdir(),
        "away: is no plain file": lambda p: p.with_name("away").symlink_to(p),
    }
    for number, (words, change) in enumerate(changes.items()):
        folder = Path(shutil.copytree(originals["png"], tmp_path / str(number)))
        change(folder / SHARD / first)
        assert any(words in line and line.startswith(SHARD) for line in faults_of(folder)), words
    renamed = Path(shutil.copytree(originals["png"], tmp_path / "renamed"))
    image = renamed / SHARD / first
    image.rename(image.with_name("000000000020_1.png"))
    assert faults_of(renamed) == []
    assert faults_of(renamed, "full")[0].startswith(f"{SHARD}: {SHARD} has sha256")
    with pytest.raises(BuilderError, match=f"{SHARD}/notes.txt is in the way"):
        repair(tmp_path / "3")
    assert (tmp_path / "3" / SHARD / "notes.txt").read_text() == "mine"


def test_unexpected_files_are_named_and_left(raw, copy):
    """An unexpected file named like a shard's is a fault, and a repair leaves it alone."""
    (raw / "shard-000003.h5").write_text("mine")
    (raw / "shard-extra").mkdir()
    (raw / "notes.txt").write_text("no fault")
    (raw / ".tmp-shard-000001.h5").write_text("left by a build")
    report = verify(raw)
    assert [str(fault) for fault in report.faults] == [
        "shard-000003.h5: belongs to no shard of the plan",
        "shard-extra: belongs to no shard of the plan",
    ]
    assert "left by an interrupted build" in report.notes[0]
    assert not repair(raw, workers=1).whole
    assert (raw / "shard-000003.h5").read_text() == "mine"


@pytest.mark.parametrize(
    "name",
    ["plan.json", "manifest.json", "labels.txt.gz", ".lock", "build.log"]
    + [f"{SHARD}.{end}" for end in ("h5", "parquet", "json")],
)
def test_links_are_faults_and_not_followed(raw, tmp_path, name):
    """A file replaced by a link to the same bytes is a fault, and a repair touches neither."""
    outside = tmp_path / "outside"
    (raw / name).rename(outside)
    (raw / name).symlink_to(outside)
    before = outside.read_bytes()
    assert any("is a symbolic link" in line and name in line for line in faults_of(raw, "full"))
    with pytest.raises(BuilderError, match="in the way"):
        repair(raw, workers=1)
    assert outside.read_bytes() == before
    assert (raw / name).is_symlink()


def test_a_linked_folder_and_a_pipe_are_not_opened(originals, raw, tmp_path):
    """A link in place of a shard's folder and pipes in place of files are named and not opened."""
    folder = Path(shutil.copytree(originals["png"], tmp_path / "set"))
    (folder / SHARD).rename(tmp_path / "outside")
    (folder / SHARD).symlink_to(tmp_path / "outside")
    assert faults_of(folder, "full") == [f"{SHARD}: {SHARD}: is a symbolic link, expected a folder"]
    for name in (f"{SHARD}.h5", "shard-000000.json", "manifest.json", "labels.txt.gz"):
        (raw / name).unlink()
        os.mkfifo(raw / name)
        assert any(name in line and "special file" in line for line in faults_of(raw, "full"))


@pytest.mark.parametrize("name", ["../outside.h5", "/etc/hostname", "shard-000000.h5", "a\nb"])
def test_names_in_the_manifest_open_nothing(raw, name):
    """A file name that the plan does not imply is a fault of one line."""
    (raw.parent / "outside.h5").write_bytes((raw / f"{SHARD}.h5").read_bytes())
    for file, change in (
        (raw / f"{SHARD}.json", lambda v: v["files"][0].update(name=name)),
        (raw / "manifest.json", lambda v: v["shards"][1]["files"][0].update(name=name)),
    ):
        rewrite_json(file, change)
    faults = faults_of(raw, "full")
    for document in ("manifest.json", f"{SHARD}.json"):
        assert any(line.startswith(f"{SHARD}: {document}: names ") for line in faults)
    assert not any("\n" in line for line in faults)


JUNK = [
    b"",
    b"null",
    b"[" * 100_000,
    b"\xff\xfe",
    b"9" * 5000,
    b'{"plan": 5}',
    b'{"\\ud800": 1}',
    b'{"shard": {"number": 1e999}}',
]


@pytest.mark.parametrize("name", ["plan.json", "manifest.json", f"{SHARD}.json"])
def test_junk_is_a_fault_and_no_traceback(raw, name):
    """Any bytes in a document give faults of one printable line each."""
    for junk in JUNK:
        (raw / name).write_bytes(junk)
        faults = faults_of(raw, "full")
        assert faults
        assert all(line.isprintable() and name.split(".")[0] in line for line in faults)


@pytest.mark.parametrize(
    "change",
    [
        lambda v: v["plan"].update(count=1 << 62),
        lambda v: v["plan"].update(format_version=99),
        lambda v: v["plan"]["recipe"].update(seed=5),
        lambda v: v["plan"]["recipe"].update(width=[[]]),
        lambda v: v["plan"].update(count=10**9),
        lambda v: v["shards"][1]["shard"].update(number=-1, start=-(10**40)),
        lambda v: v.update(pixel_mean=1e300, class_counts=[], content_digest="x"),
    ],
)
def test_absurd_manifests_are_faults(raw, originals, change):
    """A manifest with a right checksum and wrong values is found and repaired."""
    rewrite_json(raw / "manifest.json", change)
    assert faults_of(raw)
    if json.loads((raw / "manifest.json").read_text())["plan"]["count"] < 10**9:
        repair(raw, workers=1)
        assert verify(raw).whole
        assert file_hashes(raw) == file_hashes(originals["raw"])


def test_absurd_records_are_faults(raw):
    """Impossible sums in a record are faults even if the manifest lists that record."""
    whole = (raw / f"{SHARD}.json").read_bytes()
    for values in (
        {"class_counts": [1]},
        {"pixel_sum": 10**400},
        {"pixel_square_sum": -5},
        {"length_counts": {}},
        {"length_counts": {"3": 21}},
        {"content_digest": "x"},
    ):
        (raw / f"{SHARD}.json").write_bytes(whole)
        rewrite_json(raw / f"{SHARD}.json", lambda v, values=values: v["statistics"].update(values))
        data = (raw / f"{SHARD}.json").read_bytes()
        own = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        rewrite_json(raw / "manifest.json", lambda v, own=own: v["shards"][1]["record"].update(own))
        (name,) = values
        expected = {
            "length_counts": "number of labels is (0|21), expected 20",
            "content_digest": "content digest is 'x', expected",
        }.get(name, f"cannot be summed up|{name}")
        assert any(re.search(expected, line) for line in faults_of(raw)), name


def record_as_stored(folder: Path, small: Recipe) -> None:
    """Make record and manifest agree with the second shard's HDF5 file as it is."""
    data = (folder / f"{SHARD}.h5").read_bytes()
    stored = open_dataset(folder)[20:40]
    rewrite_json(
        folder / f"{SHARD}.json",
        lambda v: (
            v["statistics"].update(content_digest=format_digest(digest_of(stored))),
            v["files"][0].update(sha256=hashlib.sha256(data).hexdigest()),
        ),
    )
    (folder / "manifest.json").unlink()
    assert build(small, COUNT, folder, shard_size=20, workers=1).made == 0


DATASETS = {
    "images": (slice(7, 8), 1, "the one in row 0, column 0 is 1, expected 0"),
    "boxes": (slice(7, 8), -3, "boxes are"),
    "glyphs": (slice(7, 8), 77, "glyphs are"),
    "quads": (slice(7, 8), 9, "quads are"),
    "visible": (slice(7, 8), 0.5, "visible are"),
    "labels": (slice(7, 8), 1, "labels are"),
}


@pytest.mark.parametrize("name", DATASETS)
def test_a_deep_check_finds_what_hashes_hide(raw, small, name):
    """A deep check finds a changed value even if every hash and sum agrees with it."""
    rows, value, words = DATASETS[name]
    with h5py.File(raw / f"{SHARD}.h5", "r+") as file:
        file[name][(rows, 0, 0) if name == "images" else rows] = value
    record_as_stored(raw, small)
    assert faults_of(raw, "full") == []
    (line,) = faults_of(raw, "deep")
    assert line.startswith(f"{SHARD}: sample 27: ")
    assert words in line
    report = repair(raw, "deep", workers=1)
    assert report.made == (1,)
    assert report.after.whole
    assert [fault.shard for fault in report.unequal] == (
        [SHARD] if name in ("images", "labels") else []
    )


def change_label(path: Path) -> None:
    """Change the label in one row of a Parquet file."""
    table = pq.read_table(path)
    labels = table["label"].to_pylist()
    labels[7] = "99999"
    pq.write_table(table.set_column(3, "label", pa.array(labels)), path)


@pytest.mark.parametrize("pyarrow", ["", "15.0.0"])
def test_a_deep_check_finds_wrong_labels_for_other_tools(copy, originals, form, small, pyarrow):
    """Labels in Parquet are compared, byte by byte if this version of pyarrow wrote them."""
    path = copy / f"{SHARD}.json"
    if pyarrow:
        update = {"pyarrow": pyarrow}
        rewrite_json(copy / "manifest.json", lambda v: v["libraries"].update(update))
        assert faults_of(copy, "deep") == []
    change_label(labels_of(copy))
    for number, file in enumerate(json.loads(path.read_text())["files"]):
        found = sha256_of(copy, file["name"]), OutputFolder(copy).size(file["name"])
        new = dict(zip(("sha256", "bytes"), found, strict=True))
        rewrite_json(path, lambda v, number=number, new=new: v["files"][number].update(new))
    (copy / "manifest.json").unlink()
    build_dataset(copy, small, form)
    if pyarrow:
        rewrite_json(copy / "manifest.json", lambda v: v["libraries"].update(update))
    assert faults_of(copy, "full") == []
    (line,) = faults_of(copy, "deep")
    words = r"row 7: label is '99999', expected '\d+'" if pyarrow else "is not what the labels in"
    name = labels_of(copy).relative_to(copy)
    assert re.match(rf"{SHARD}: {name}:? {words}", line)
    assert repair(copy, "deep", workers=1).made == (1,)
    assert file_hashes(copy) == file_hashes(originals[form])


def test_a_shard_that_ends_the_process_is_a_fault(raw, monkeypatch):
    """Shards are parsed in other processes; one whose worker dies is named, and all are checked."""
    # no file ends the process in every version of the libraries
    monkeypatch.setattr("builder.verification.verify.check_shard", crashing_shards.kill_checker)
    report = verify(raw, "full", workers=1)
    (fault,) = report.faults
    assert str(fault).startswith(f"{SHARD}: cannot be read (a worker process died")
    assert report.checked == COUNT


def test_a_shard_that_does_not_come_back_equal_is_reported(raw, monkeypatch):
    """A repair that builds other samples than before reports it and fails."""
    (raw / f"{SHARD}.h5").unlink()
    # no public way to make a generator draw something else
    monkeypatch.setattr("builder.workers.shard.generate", generate_darker)
    report = repair(raw, workers=1)
    assert not report.whole
    assert "was built again with content digest" in str(report.unequal[0])
    assert report.unequal[0].shard == SHARD


def generate_darker(recipe, indices, masks):
    """Return samples of half the grey values."""
    from builder import generate

    batch = generate(recipe, indices, masks)
    batch.images[:] //= 2
    return batch


def set_generator_version_1(folder: Path) -> None:
    """Set the generator version in all documents of a dataset to 1."""
    for path in [folder / "plan.json", *folder.glob("shard-*.json")]:
        rewrite_json(path, lambda v: v.update(generator_version=1))

    def update_manifest(manifest):
        manifest["plan"]["generator_version"] = 1
        for entry in manifest["shards"]:
            record = folder / entry["record"]["name"]
            entry["record"]["sha256"] = hashlib.sha256(record.read_bytes()).hexdigest()

    rewrite_json(folder / "manifest.json", update_manifest)


def test_another_generator_version_is_checked_but_not_made_again(raw):
    """Quick and full checks need no generator; deep checks and repairs name both versions."""
    set_generator_version_1(raw)
    assert faults_of(raw, "full") == []
    before = file_hashes(raw)
    for call in (lambda: verify(raw, "deep"), lambda: repair(raw)):
        with pytest.raises(BuilderError, match="generator version 1, and this is 2"):
            call()
    assert file_hashes(raw) == before


def test_samples_are_evenly_spaced():
    """Each equal part gives one index, always the same, in order; few samples are all taken."""
    picked = list(evenly_spaced_sample(1_000_003, 3000))
    parts = [index * 3000 // 1_000_003 for index in picked]
    assert len(set(parts)) > 2900
    assert len(picked) == len(set(picked)) == 3000
    assert picked == sorted(picked) == list(evenly_spaced_sample(1_000_003, 3000))
    assert len({index % 333 for index in picked}) > 300
    assert list(evenly_spaced_sample(5, 5)) == list(evenly_spaced_sample(5, 99)) == [0, 1, 2, 3, 4]
    assert max(evenly_spaced_sample((1 << 63) - 1, 10)) < 1 << 63


def test_workers_find_the_same(copy):
    """Two workers find the same faults as one."""
    data = bytearray(images_of(copy).read_bytes())
    data[-1] ^= 1
    images_of(copy).write_bytes(data)
    one, two = (verify(copy, "full", workers=n).faults for n in (1, 2))
    assert one == two
    assert len(one) == 1


# The command


def run_verify(capsys, *arguments) -> tuple[int, list[str], str]:
    """Run the verb in this process; return exit code, lines of standard output, standard error."""
    capsys.readouterr()
    try:
        code = main("verify", [str(argument) for argument in arguments])
    except SystemExit as end:
        code = end.code
    out, err = capsys.readouterr()
    return code, out.splitlines(), err


def test_the_command_prints_a_summary(raw, capsys):
    """The command prints a line for each fault and a summary; it ends with 1 for faults, else 0."""
    alone = ("--workers", 1, "--quiet")
    whole = f"{raw}: whole: 3 shards, 50 images, "
    assert run_verify(capsys, raw, *alone) == (0, [f"{whole}quick check"], "")
    assert run_verify(capsys, raw, "--full", *alone) == (0, [f"{whole}full check"], "")
    deep = run_verify(capsys, raw, "--deep", "--samples", 7, *alone)
    assert deep == (0, [f"{whole}deep check of 7 samples"], "")
    (raw / f"{SHARD}.h5").unlink()
    (raw / "plan.json").unlink()
    faults = ["plan.json: is not there", f"{SHARD}: {SHARD}.h5 is not there"]
    lines = [*faults, f"{raw}: 2 faults in 1 of 3 shards, quick check"]
    assert run_verify(capsys, raw, *alone) == (1, lines, "")
    again = [*lines, f"{raw}: 1 shard made again; checked once more:", f"{whole}quick check"]
    assert run_verify(capsys, raw, "--repair", *alone) == (0, again, "")
    assert run_verify(capsys, raw, "--repair", *alone) == (0, [f"{whole}quick check"], "")


def test_progress_goes_to_standard_error(raw, capsys, monkeypatch):
    """On a terminal a progress bar is on standard error, and standard output is the same."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    code, out, err = run_verify(capsys, raw, "--full", "--workers", 1)
    assert (code, len(out)) == (0, 1)
    assert "50/50" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--full", "--deep"], "not allowed with"),
        (["--samples", "5"], "without --deep"),
        (["--deep", "--samples", "0"], "samples is 0"),
        (["--workers", "0"], "workers is 0"),
        (["--workers", "x"], "is not a whole number"),
        (["--dataset-dir", "nowhere"], "nowhere"),
    ],
)
def test_wrong_calls_are_refused(originals, capsys, options, message):
    """A wrong option ends with 2 and one line."""
    code, out, err = run_verify(capsys, originals["raw"], *options, "--quiet")
    assert (code, out) == (2, [])
    assert message in err
    assert err.count("\n") == 1


def test_folders_without_a_dataset_are_refused(tmp_path, capsys):
    """A folder without a dataset, a file and a missing path are wrong calls."""
    (tmp_path / "file").write_text("")
    for name in (".", "file", "nothing"):
        assert run_verify(capsys, tmp_path / name)[0] == 2
    for arguments in ({"level": "best"}, {"level": "deep", "samples": True}):
        with pytest.raises(UsageError):
            verify(tmp_path, **arguments)


def test_a_dataset_that_lost_plan_and_manifest_cannot_be_repaired(raw, capsys):
    """Without plan and manifest, the check reports faults and a repair is refused."""
    (raw / "plan.json").unlink()
    (raw / "manifest.json").unlink()
    code, out, _ = run_verify(capsys, raw)
    assert (code, out[-1]) == (1, f"{raw}: 2 faults, quick check")
    code, out, err = run_verify(capsys, raw, "--repair")
    assert (code, out) == (1, [])
    assert "neither plan.json nor manifest.json can be used" in err


def test_a_repair_does_not_disturb_a_build(raw):
    """While a build holds the folder, a repair is refused and changes nothing."""
    (raw / f"{SHARD}.h5").unlink()
    before = file_hashes(raw)
    with (
        claim(raw),
        pytest.raises(BuilderError, match="another build is writing here"),
    ):
        repair(raw, workers=1)
    assert file_hashes(raw) == before


def write_digits(folder: Path, value: int) -> Path:
    """Write twenty glyphs, blocks of one grey value, as the four IDX files of a folder."""
    folder.mkdir()
    labels = np.arange(20) % 10
    images = np.zeros((20, 28, 28), dtype=np.uint8)
    images[:, 4:24, 4:24] = value
    for split in ("train", "t10k"):
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            head = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, dtype=">i4").tobytes()
            (folder / f"{split}-{kind}-ubyte").write_bytes(head + array.astype("u1").tobytes())
    return folder


def test_digits_of_ones_own_are_named_for_a_deep_check(tmp_path, capsys):
    """With unknown digits, a deep check needs `--dataset-dir`, and a full check does not."""
    own, others = write_digits(tmp_path / "own", 90), write_digits(tmp_path / "others", 91)
    source = digits.register(own, polarity="white")
    build(Recipe(source=source), 5, tmp_path / "set", workers=1)
    shutil.rmtree(cache.cache_folder() / f"digits-3-{source.digest[:32]}")
    digits.open_bank.cache_clear()
    open_planner.cache_clear()
    assert faults_of(tmp_path / "set", "full") == []
    deep = (tmp_path / "set", "--deep", "--quiet", "--workers", 1)
    code, _, err = run_verify(capsys, *deep)
    assert code == 1
    assert "name their folder with --dataset-dir" in err
    code, _, err = run_verify(capsys, *deep, "--dataset-dir", others)
    assert code == 2
    assert "but the recipe is of digits" in err
    assert run_verify(capsys, *deep, "--dataset-dir", own)[0] == 0
