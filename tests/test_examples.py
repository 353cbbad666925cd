"""The examples run as their help says, in a short form, and learn."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import cv2
import pytest

pytest.importorskip("torch", reason="the examples need PyTorch")
pytest.importorskip("matplotlib", reason="the examples draw with matplotlib")

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(folder: Path, script: str, *arguments: str) -> str:
    """Run an example into a folder, check its files, and return what it prints."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / script, *arguments, "--out", folder],
        capture_output=True,
        text=True,
        cwd=folder,
    )
    assert done.returncode == 0, done.stderr
    for name in ("curve.png", "mistakes.png"):
        assert cv2.imread(str(folder / name)).std() > 1, name
    assert (folder / "model.pt").stat().st_size > 100_000
    return done.stdout


def parse_error(text: str) -> float:
    """Return the error that an example prints, in percent."""
    return float(re.search(r"error ([\d.]+) % \(\d+ of \d+\)", text)[1])


def test_the_perceptron_learns_and_is_tested_once(tmp_path):
    """A fraction of an epoch is enough for most digits, and --final tests on the test images."""
    output = run(tmp_path, "train_classifier.py", "--epochs", "0.4", "--final")
    assert "test error" in output
    assert "of 10000" in output
    assert parse_error(output) < 25


def test_the_convolutional_net_runs(tmp_path):
    """The convolutional net trains on a few batches with a worker, and is tested on validation."""
    arguments = ("--model", "conv", "--epochs", "0.005", "--batch-size", "64", "--workers", "1")
    assert "validation error" in run(tmp_path, "train_classifier.py", *arguments)


def test_the_reader_runs(tmp_path):
    """The reader trains on a few batches and is tested on sequences."""
    arguments = ("--samples", "640", "--tests", "60", "--batch-size", "32")
    output = run(tmp_path, "train_reader.py", *arguments)
    assert "validation exact-match error" in output
    assert parse_error(output) > 0


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("train_classifier.py", ("--epochs", "0"), "'0', expected a number above 0"),
        ("train_classifier.py", ("--epochs", "inf"), "'inf', expected a number above 0"),
        ("train_classifier.py", ("--seed", f"{2**64}"), "seed is 18446744073709551616, expected"),
        ("train_reader.py", ("--workers", "-1"), "'-1', expected a whole number from 0"),
        ("train_reader.py", ("--augment", "nope"), "augment is 'nope', expected a preset"),
        ("train_reader.py", ("--augment", "none,elastic"), "could not convert string to float: ''"),
    ],
)
def test_a_wrong_option_gets_one_line(tmp_path, script, arguments, message):
    """A wrong option is named in the last line, without a traceback, and nothing is written."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / script, *arguments, "--out", tmp_path / "out"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert message in done.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_created_stops_before_the_training(tmp_path):
    """If the folder for the results cannot be created, one line says why and nothing is trained."""
    (tmp_path / "file").touch()
    done = subprocess.run(
        [sys.executable, EXAMPLES / "train_reader.py", "--out", tmp_path / "file" / "out"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"train_reader.py: error: [Errno 20] Not a directory: '{tmp_path / 'file' / 'out'}'"
    ]


def test_scores_are_decoded_to_labels(monkeypatch):
    """Runs of a class become one digit, and blanks separate equal digits."""
    import torch

    monkeypatch.syspath_prepend(EXAMPLES)
    import train_reader

    path = [10, 3, 3, 10, 3, 10, 10, 0, 7, 7]
    blank = [10] * len(path)
    scores = torch.nn.functional.one_hot(torch.tensor([path, blank]), 11).float().transpose(0, 1)
    assert train_reader.decode(scores) == ["3307", ""]
