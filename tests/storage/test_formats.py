"""What is on disk, read with libraries that know nothing of this program."""

from __future__ import annotations

import hashlib
import json
import shlex
from pathlib import Path

import cv2
import h5py
import numpy as np
import pandas as pd
import pyfive
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from builder import LiveDataset, build, generate, open_dataset
from builder.cli import main
from builder.common.constants import FORMAT_VERSION, GENERATOR_VERSION
from builder.common.errors import DatasetError
from builder.generator.batch import FIELDS, Batch
from builder.storage.config import DatasetConfig
from builder.storage.formats.parquet import LabelsWriter
from builder.storage.formats.png_file import encode
from builder.storage.manifest import CompletionRecord, Manifest, read_model
from builder.storage.statistics import Statistics
from tests.workers.files import hash_files

COUNT = 250
FIELD_NAMES = {"seeds": "seed"}


@pytest.fixture(scope="module", params=["none", "gzip"])
def hdf5_folder(request, recipe, tmp_path_factory) -> Path:
    """Return a dataset of three HDF5 shards, raw or gzipped."""
    out = tmp_path_factory.mktemp("hdf5") / "set"
    build(recipe, COUNT, out, compression=request.param, shard_size=110, block_size=33, workers=1)
    return out


@pytest.fixture(scope="module")
def png_folder(recipe, tmp_path_factory) -> Path:
    """Return a dataset of three PNG folders."""
    out = tmp_path_factory.mktemp("png") / "set"
    storage = {"format": "png", "masks": True, "shard_size": 110}
    build(recipe, COUNT, out, block_size=33, workers=1, **storage)
    return out


@pytest.mark.parametrize("form", [{"compression": "gzip"}, {"format": "png"}, {}], ids=str)
def test_no_byte_depends_on_the_block_size(recipe, tmp_path, form):
    """Every file has the same bytes, masks too, however many samples are rendered at a time."""
    hashes = []
    for size in (7, 16, 33, 1024):
        out = tmp_path / str(size)
        options = {"masks": True, "shard_size": 110, "block_size": size, "workers": 1, **form}
        build(recipe, COUNT, out, **options)
        hashes.append(hash_files(out))
    assert hashes[0] == hashes[1] == hashes[2] == hashes[3]


def test_labels_files_do_not_depend_on_the_block_size_either(batch, tmp_path):
    """A Parquet file of several row groups has the same bytes however many rows come at a time."""
    rows = np.resize(np.arange(len(batch)), 20_000)
    sums = set()
    for size in (300, 8192, 9000, 20_000):
        with (tmp_path / f"{size}").open("w+b", buffering=0) as file:
            writer = LabelsWriter(file, lambda part: part.texts)
            for first in range(0, len(rows), size):
                taken = rows[first : first + size]
                values = {name: getattr(batch, name)[taken] for name in FIELDS[:-1]}
                writer.write(Batch(len(taken), lambda name, values=values: values))
            sums.add(writer.close())
    assert len(sums) == 1


def test_plain_h5py_reads_every_dataset(hdf5_folder, batch):
    """Names, shapes, types and values of all datasets are as documented; there are no others."""
    names = {"images", "labels", "lengths", "index", "seed", "glyphs", "boxes", "quads", "visible"}
    start = 0
    for path in sorted(hdf5_folder.glob("*.h5")):
        with h5py.File(path) as file:
            assert set(file) == names
            stop = start + len(file["images"])
            for name in names:
                expected = getattr(batch, "seeds" if name == "seed" else name)[start:stop]
                assert file[name].dtype == expected.dtype, name
                assert np.array_equal(file[name][:], expected), name
        start = stop
    assert start == COUNT


def test_another_implementation_of_hdf5_reads_the_same(hdf5_folder, batch):
    """A reader in pure Python, which shares no code with h5py, finds every dataset as it is."""
    with pyfive.File(str(sorted(hdf5_folder.glob("*.h5"))[1])) as file:
        for name in file:
            expected = getattr(batch, "seeds" if name == "seed" else name)[110:220]
            assert np.array_equal(file[name][:], expected), name


def test_root_attributes_name_versions_recipe_and_start(hdf5_folder, recipe):
    """A shard by itself tells what it is a part of."""
    for number, path in enumerate(sorted(hdf5_folder.glob("*.h5"))):
        with h5py.File(path) as file:
            found = dict(file.attrs)
        assert json.loads(found.pop("recipe")) == recipe.to_json()
        assert found.pop("fingerprint") == recipe.fingerprint
        assert found.pop("start") == 110 * number
        assert found == {"format_version": FORMAT_VERSION, "generator_version": GENERATOR_VERSION}


def test_raw_datasets_are_contiguous_and_gzipped_images_in_small_chunks(hdf5_folder):
    """Raw images can be mapped at their offset; gzipped ones need no filter but HDF5's own."""
    with h5py.File(sorted(hdf5_folder.glob("*.h5"))[1]) as file:
        images = file["images"]
        if images.compression is None:
            assert images.chunks is None
            mapped = np.memmap(file.filename, np.uint8, "r", images.id.get_offset(), images.shape)
            assert np.array_equal(mapped, images[:])
        else:
            assert images.compression == "gzip"
            assert images.chunks == (16, 28, 170)
            assert images.id.get_storage_size() < images.nbytes / 3
        assert all(file[name].chunks is None for name in file if name != "images")


def test_old_libraries_read_the_files_and_nothing_is_written_twice(hdf5_folder):
    """Superblocks are of HDF5 1.8, and no dataset is filled before it is written."""
    for path in hdf5_folder.glob("*.h5"):
        assert path.read_bytes()[:9] == b"\x89HDF\r\n\x1a\n\x02"
        with h5py.File(path) as file:
            for name in file:
                filled = file[name].id.get_create_plist().get_fill_time()
                assert filled == h5py.h5d.FILL_TIME_NEVER, name


def test_pandas_reads_the_labels(hdf5_folder, batch):
    """The Parquet file beside a shard has the label as text, and all columns with their types."""
    tables = [pd.read_parquet(path) for path in sorted(hdf5_folder.glob("*.parquet"))]
    table = pd.concat(tables)
    assert table["label"].tolist() == batch.texts
    assert table["index"].tolist() == batch.index.tolist()
    assert table["seed"].tolist() == [f"0x{seed:016x}" for seed in batch.seeds.tolist()]
    assert table["length"].tolist() == batch.lengths.tolist()
    assert table["row"].tolist() == [n % 110 for n in range(COUNT)]
    assert table["file_name"].unique().tolist() == [f"shard-00000{n}.h5" for n in range(3)]
    for row, sample in zip(table.itertuples(), batch, strict=True):
        assert row.glyphs.tolist() == sample.glyphs.tolist()
        assert np.array_equal(np.stack(row.boxes), sample.boxes)


def test_opencv_reads_the_png_files(png_folder, batch):
    """Every file is named by index and label and decodes to the image; the labels list it."""
    table = pd.concat(
        [
            pd.read_parquet(folder / "metadata.parquet").assign(folder=folder)
            for folder in sorted(png_folder.glob("shard-??????"))
        ]
    )
    assert len(table) == COUNT == sum(1 for _ in png_folder.rglob("*.png"))
    for row, sample in zip(table.itertuples(), batch, strict=True):
        assert row.file_name == f"{sample.index:012d}_{sample.text}.png"
        image = cv2.imread(str(row.folder / row.file_name), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(image, sample.image)
    assert table["label"].tolist() == batch.texts


def test_pandas_reads_the_labels_of_png_files(png_folder, batch):
    """The Parquet file in a PNG folder has what the one beside an HDF5 shard has."""
    table = pd.concat(map(pd.read_parquet, sorted(png_folder.glob("*/metadata.parquet"))))
    assert table["seed"].tolist() == [f"0x{seed:016x}" for seed in batch.seeds.tolist()]
    assert table["row"].tolist() == [n % 110 for n in range(COUNT)]
    for row, sample in zip(table.itertuples(), batch, strict=True):
        assert row.glyphs.tolist() == sample.glyphs.tolist()
        assert np.array_equal(np.stack(row.boxes), sample.boxes)


def test_hugging_face_reads_the_png_folders(png_folder, batch, tmp_path, monkeypatch):
    """The library that image folders are named for loads each sample, with a seed of any size."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")  # it reads no other file, and asks no server
    datasets = pytest.importorskip("datasets")
    loaded = datasets.load_dataset(
        "imagefolder", data_dir=str(png_folder), cache_dir=str(tmp_path), split="train"
    )
    rows = sorted(loaded, key=lambda row: row["index"])
    assert len(rows) == COUNT
    assert max(batch.seeds.tolist()) >= 1 << 63
    for row, sample in zip(rows, batch, strict=True):
        assert np.array_equal(np.asarray(row["image"]), sample.image)
        assert (row["label"], int(row["seed"], 16)) == (sample.text, sample.seed)
        assert row["glyphs"] == sample.glyphs.tolist()
        assert np.array_equal(row["boxes"], sample.boxes)


def test_other_tools_hold_every_value(hdf5_folder, png_folder):
    """Whole numbers in Parquet are ones that int64 holds, which many tools make of them."""
    paths = sorted((*hdf5_folder.rglob("*.parquet"), *png_folder.rglob("*.parquet")))
    for name, values in pd.concat(map(pd.read_parquet, paths)).items():
        assert str(values.dtype) in ("str", "object", "int64", "uint8"), name


def test_plain_h5py_reads_the_fields_of_png_files(png_folder, recipe):
    """The fields file of a PNG shard has every dataset but the images."""
    expected = generate(recipe, range(110, 220), masks=True)
    with h5py.File(png_folder / "shard-000001.h5") as file:
        assert {*file} == {FIELD_NAMES.get(name, name) for name in FIELDS} - {"images"}
        for name in FIELDS[1:]:
            assert np.array_equal(file[FIELD_NAMES.get(name, name)], getattr(expected, name)), name


def test_png_datasets_equal_hdf5_and_live_ones(hdf5_folder, png_folder, recipe):
    """Every field of every sample is the same, quads, visible shares and masks too."""
    png_data, live = open_dataset(png_folder), LiveDataset(recipe, COUNT, masks=True)
    for data, names in ((live, FIELDS), (open_dataset(hdf5_folder), FIELDS[:-1])):
        for name in names:
            assert np.array_equal(getattr(png_data[:], name), getattr(data[:], name)), name
    for index in (0, 109, 110, -1):
        assert np.array_equal(png_data[index].mask, live[index].mask)
        assert np.array_equal(png_data[index].image, live[index].image)


def as_version_1(folder: Path) -> None:
    """Rewrite the documents of a dataset as format version 1 had them."""
    for path in folder.glob("*.json"):
        values = json.loads(path.read_text())
        for config in (values, values.get("plan", {})):
            if "storage" in config:
                config["format_version"] = 1
        for entry in (values, *values.get("shards", [])):
            if "files" in entry:
                entry["images"], entry["labels"] = entry.pop("files")
        if "statistics" in values:
            values.update(values.pop("statistics"))
            del values["format_version"]
        path.write_text(json.dumps(values))


@pytest.mark.parametrize("form", ["hdf5", "png"])
def test_a_dataset_of_format_version_1_is_refused(recipe, tmp_path, form, capsys):
    """One line says how to make the dataset again, and that command does it."""
    folder, new = tmp_path / "old set", tmp_path / "new"
    build(recipe, 30, folder, format=form, shard_size=20, workers=1)
    as_version_1(folder)
    command = f"digitseq build --recipe '{folder}/plan.json' --out NEW"
    expected = f"has format version 1, expected 2; to make the dataset again: {command}"
    for name, model in (
        ("plan.json", DatasetConfig),
        ("manifest.json", Manifest),
        ("shard-000000.json", CompletionRecord),
    ):
        with pytest.raises(DatasetError) as caught:
            read_model(folder / name, model)
        assert str(caught.value) == f"{folder / name}: {expected}"
    for call in (lambda: open_dataset(folder), lambda: build(recipe, 30, folder, format=form)):
        with pytest.raises(DatasetError) as caught:
            call()
        assert str(caught.value).endswith(expected)
    assert main("verify", [str(folder), "--quiet"]) == 1
    assert expected in capsys.readouterr().out
    verb, *arguments = shlex.split(command.replace("NEW", shlex.quote(str(new))))[1:]
    assert main(verb, [*arguments, "--workers", "1", "--quiet"]) == 0
    assert open_dataset(new).manifest.plan.storage.format == form
    assert np.array_equal(open_dataset(new)[:].images, generate(recipe, range(30)).images)


@pytest.mark.parametrize("label", [-1, 10, 100])
def test_a_png_file_is_named_by_digits_alone(recipe, tmp_path, label):
    """A stored label that is none names no file: the sample is refused with its index."""
    build(recipe, 10, tmp_path / "set", format="png", workers=1)
    with h5py.File(tmp_path / "set" / "shard-000000.h5", "r+") as file:
        file["labels"][3, 0] = label
    data = open_dataset(tmp_path / "set")
    assert data[2].image.any()
    with pytest.raises(
        DatasetError, match=r"shard-000000\.h5: holds label '\?.* for sample 3, exp"
    ):
        data[3].image  # noqa: B018


def test_statistics_add_up(recipe, batch):
    """The statistics of parts add up to those of the whole, in any order."""
    parts = [Statistics.of(generate(recipe, part)) for part in (range(100), range(100, COUNT))]
    whole = Statistics.of(batch)
    assert parts[0] + parts[1] == parts[1] + parts[0] == whole + Statistics() == whole
    assert whole.count == COUNT
    mean, deviation = whole.mean_and_deviation(recipe.width)
    assert mean == pytest.approx(batch.images.mean(), rel=1e-12)
    assert deviation == pytest.approx(batch.images.std(), rel=1e-12)


@given(image=arrays(np.uint8, st.tuples(st.integers(1, 30), st.integers(1, 300))))
@settings(max_examples=50, deadline=None)
def test_opencv_decodes_what_the_encoder_writes(image):
    """Any grey image comes back from its PNG bytes as it was."""
    data = np.frombuffer(encode(image), dtype=np.uint8)
    assert np.array_equal(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), image)


def test_recorded_sums_and_digests_are_those_of_the_files(hdf5_folder, png_folder, batch):
    """Sizes and sha256 in records and manifest are those of the files, as any tool finds them."""
    for folder in (hdf5_folder, png_folder):
        manifest = json.loads((folder / "manifest.json").read_text())
        for entry in manifest["shards"]:
            record = json.loads((folder / entry["record"]["name"]).read_text())
            assert record["files"] == entry["files"]
            for file in (*entry["files"], entry["record"]):
                assert sha256_and_size(folder / file["name"]) == (file["sha256"], file["bytes"])


def sha256_and_size(path: Path) -> tuple[str, int]:
    """Return sha256 and size of a file, or of a folder by its lines `name size sha256`."""
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_size
    sums = {file.name: sha256_and_size(file) for file in path.iterdir()}
    lines = sorted(f"{name} {size} {digest}\n" for name, (digest, size) in sums.items())
    digest = hashlib.sha256("".join(lines).encode()).hexdigest()
    return digest, sum(size for _, size in sums.values())


def test_manifest_describes_the_images(hdf5_folder, batch):
    """Mean, deviation, class and length counts are those of the samples."""
    manifest = json.loads((hdf5_folder / "manifest.json").read_text())
    assert manifest["pixel_mean"] == pytest.approx(batch.images.mean(), rel=1e-12)
    assert manifest["pixel_deviation"] == pytest.approx(batch.images.std(), rel=1e-12)
    text = "".join(batch.texts)
    assert manifest["class_counts"] == [text.count(str(digit)) for digit in range(10)]
    lengths, counts = np.unique(batch.lengths, return_counts=True)
    assert manifest["length_counts"] == {
        str(n): c for n, c in zip(lengths.tolist(), counts.tolist(), strict=True)
    }
    assert "CC BY-SA 3.0" in manifest["licence"]
    assert manifest["plan"]["count"] == COUNT


def test_no_time_host_or_path_is_in_what_is_published(hdf5_folder, png_folder):
    """Plan, records and manifest name no place and no moment, so equal builds are equal."""
    import platform

    for path in (*hdf5_folder.glob("*.json"), *png_folder.glob("*.json")):
        text = path.read_text()
        assert str(path.parent) not in text
        assert platform.node() not in text
        assert "time" not in text


def test_the_labels_file_travels_inside(tmp_path):
    """A dataset of a labels file holds a copy of it, equal in content, without a time."""
    import gzip

    from builder import Recipe

    lines = "".join(f"{n:05d}\n" for n in range(50))
    (tmp_path / "labels.txt").write_text(lines)
    recipe = Recipe(labels_file=tmp_path / "labels.txt", labels_order="shuffled")
    build(recipe, 50, tmp_path / "set", workers=1)
    copy = tmp_path / "set" / "labels.txt.gz"
    assert gzip.decompress(copy.read_bytes()).decode() == lines
    assert copy.read_bytes()[4:8] == b"\0\0\0\0"
    table = pd.read_parquet(tmp_path / "set" / "shard-000000.parquet")
    assert sorted(table["label"]) == lines.split()
    assert table["label"].tolist() != lines.split()
