"""The examples run as their help says, in a short form, and learn."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import cv2
import pytest

pytest.importorskip("torch", reason="the examples need PyTorch")
pytest.importorskip("matplotlib", reason="the examples draw with matplotlib")

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.fixture
def example(monkeypatch):
    """Return a function that imports an example; its models compute on one core of the processor.

    Two processes of tests whose threads wait for each other's cores take many times as long.
    """
    import torch

    monkeypatch.syspath_prepend(EXAMPLES)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield import_module
    torch.set_num_threads(threads)


def check_results(folder: Path) -> None:
    """Check that an example has written its pictures and its model."""
    for name in ("curve.png", "mistakes.png"):
        assert cv2.imread(str(folder / name)).std() > 1, name
    assert (folder / "model.pt").stat().st_size > 100_000


def parse_error(text: str) -> float:
    """Return the error that an example prints, in percent."""
    return float(re.search(r"error ([\d.]+) % \(\d+ of \d+\)", text)[1])


def test_the_perceptron_learns_and_is_tested_once(tmp_path):
    """A fraction of an epoch is enough for most digits, and --final tests on the test images."""
    arguments = ["--epochs", "0.4", "--final", "--out", tmp_path]
    done = subprocess.run(
        [sys.executable, EXAMPLES / "train_classifier.py", *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    check_results(tmp_path)
    assert re.match(r"device \w+, precision \w+: the device is the best one there; ", done.stdout)
    assert "test error" in done.stdout
    assert "of 10000" in done.stdout
    assert parse_error(done.stdout) < 25


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_convolutional_net_runs(example, capsys, tmp_path, monkeypatch, precision):
    """The convolutional net trains on a few batches with a worker, and is tested on validation."""
    script = example("train_classifier")
    images, classes = script.load_digits("validation")
    # a test of all 6,000 digits takes ten times as long as the training
    monkeypatch.setattr(script, "load_digits", lambda split: (images[:300], classes[:300]))
    arguments = ["--model", "conv", "--epochs", "0.002", "--batch-size", "32", "--workers", "1"]
    script.main([*arguments, "--precision", precision, "--device", "cpu", "--out", str(tmp_path)])
    output = capsys.readouterr().out
    check_results(tmp_path)
    assert f"device cpu, precision {precision}: the device was asked for; the prec" in output
    assert re.search(r"validation error [\d.]+ % \(\d+ of 300\)", output)


def test_the_reader_runs(example, capsys, tmp_path):
    """The reader trains on a few batches and is tested on sequences."""
    arguments = ["--samples", "640", "--tests", "60", "--batch-size", "32"]
    example("train_reader").main([*arguments, "--out", str(tmp_path)])
    output = capsys.readouterr().out
    check_results(tmp_path)
    assert "validation exact-match error" in output
    assert parse_error(output) > 0


@pytest.mark.parametrize(
    ("script", "arguments", "message"),
    [
        ("train_classifier", ("--epochs", "0"), "'0', expected a number above 0"),
        ("train_classifier", ("--epochs", "inf"), "'inf', expected a number above 0"),
        ("train_classifier", ("--seed", f"{2**64}"), "seed is 18446744073709551616, expected"),
        (
            "train_classifier",
            ("--device", "nope"),
            "device is 'nope', expected one that is there: ",
        ),
        ("train_reader", ("--device", "hpu"), "device is 'hpu', expected one that is there: "),
        ("train_reader", ("--precision", "float16"), "invalid choice: 'float16'"),
        ("train_reader", ("--workers", "-1"), "'-1', expected a whole number from 0"),
        ("train_reader", ("--out", "s3://bucket/x"), "s3://bucket/x: storage of this kind"),
        ("train_reader", ("--augment", "nope"), "augment is 'nope', expected a preset"),
        ("train_reader", ("--augment", "none,elastic"), "could not convert string to float: ''"),
    ],
)
def test_a_wrong_option_gets_one_line(example, capsys, tmp_path, script, arguments, message):
    """A wrong option is named in the last line, without a traceback, and nothing is written."""
    with pytest.raises(SystemExit) as ended:
        example(script).main([*arguments, "--out", str(tmp_path / "out")])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
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


@pytest.mark.parametrize(
    ("there", "device"),
    [(("cpu",), "cpu"), (("mps", "cpu"), "mps"), (("cpu", "mps", "cuda"), "cuda")],
)
@pytest.mark.parametrize(
    ("milliseconds", "precision"),
    [
        ((10, 45), "float32"),  # a processor without instructions for bfloat16
        ((10, 9), "float32"),  # within what measurements differ by
        ((10, 5), "bfloat16"),
        ((10, math.inf), "float32"),  # a GPU without bfloat16
    ],
)
def test_device_and_precision_are_those_that_are_there_and_fast(
    example, there, device, milliseconds, precision
):
    """The first of GPU and processor that is there is taken, and bfloat16 where it is faster."""
    measured = []

    def measure(*asked):
        measured.append(asked)
        return dict(zip(("float32", "bfloat16"), milliseconds, strict=True))[asked[1]] / 1000

    chosen = example("hardware").choose_hardware(None, None, measure, there.__contains__)
    assert (chosen.device, chosen.precision) == (device, precision)
    assert measured == [(device, "float32"), (device, "bfloat16")]
    took = f"a step takes 10 ms in float32 and {milliseconds[1]} ms in bfloat16"
    assert str(chosen) == (
        f"device {device}, precision {precision}: the device is the best one there; {took}"
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_is_asked_for_is_taken_unmeasured(example, precision):
    """`--device` and `--precision` are taken as they are, if the device is there."""
    chosen = example("hardware").choose_hardware("cuda:1", precision, None, lambda name: True)
    assert (chosen.device, chosen.precision) == ("cuda:1", precision)
    assert chosen.reason == "the device was asked for; the precision was asked for"


def test_a_step_is_measured_in_both_precisions(example):
    """A step of the reader takes some time in either, and one that cannot be done for ever."""
    import torch

    hardware, reader = example("hardware"), example("train_reader").Reader
    torch.set_num_threads(2)
    for precision in hardware.PRECISIONS:
        assert 0 < hardware.time_step(reader, (2, 1, 28, 64), "cpu", precision) < 60
    assert hardware.time_step(reader, (2, 1, 2, 2), "cpu", "bfloat16") == math.inf
    assert torch.get_num_threads() == 2


def test_only_the_convolutions_of_the_reader_have_another_precision(example):
    """In bfloat16 the scores are float32 all the same, and near those in float32."""
    import torch

    hardware, reader = example("hardware"), example("train_reader").Reader().eval()
    images, scores = torch.rand(3, 1, 28, 64), {}
    for precision in hardware.PRECISIONS:
        with hardware.Hardware("cpu", precision).autocast():
            scores[precision] = reader(images)
            assert torch.ones(2, 2).mm(torch.ones(2, 2)).dtype is getattr(torch, precision)
        assert scores[precision].dtype is torch.float32
    difference = (scores["float32"] - scores["bfloat16"]).abs().max()
    assert 0 < difference < 0.05


def test_scores_are_decoded_to_labels(example):
    """Runs of a class become one digit, and blanks separate equal digits."""
    import torch

    path = [10, 3, 3, 10, 3, 10, 10, 0, 7, 7]
    blank = [10] * len(path)
    scores = torch.nn.functional.one_hot(torch.tensor([path, blank]), 11).float().transpose(0, 1)
    assert example("train_reader").decode(scores) == ["3307", ""]
