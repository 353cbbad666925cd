"""What the documents say, checked against what the program does."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from builder.augment.ranges import PRESETS, RANGES
from builder.augment.table import AUGMENTATIONS
from builder.cli import main
from builder.common import rng

ROOT = Path(__file__).parents[1]
STREAMS = (ROOT / "docs" / "streams.md").read_text()
README = (ROOT / "README.md").read_text()
MASK = 2**64 - 1


def mixed(x: int) -> int:
    """Return mix64 as the page writes it."""
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & MASK
    x = (x ^ (x >> 27)) * 0x94D049BB133111EB & MASK
    return x ^ (x >> 31)


def test_seed_vectors_of_the_docs_hold():
    """Each seed in the table is what the page's formula and the program give."""
    rows = re.findall(r"^\| (\d+) \| (\d+) \| (0x\w{16}) \|$", STREAMS, re.M)
    assert len(rows) == 6
    for master, index, seed in ((int(a), int(b), int(c, 16)) for a, b, c in rows):
        assert mixed((mixed(master) + (index + 1) * 0x9E3779B97F4A7C15) & MASK) == seed
        assert int(rng.sample_seeds(master, np.array([index]))[0]) == seed
        assert rng.index_of_seed(master, seed) == index


def test_word_vectors_of_the_docs_hold():
    """Each word in the table is what the page's formula and the program give."""
    seed = int(re.search(r"with seed (0x\w+):", STREAMS)[1], 16)
    rows = re.findall(r"^\| (\d+) \| (\d+) \| (\d+) \| (0x\w{16}) \|$", STREAMS, re.M)
    assert len(rows) == 9
    for stream, position, draw, word in rows:
        named = mixed((int(stream) << 40 | int(position) << 24 | int(draw)) + 1)
        assert mixed((seed + named) & MASK) == int(word, 16)
        seeds = np.array([seed], dtype=np.uint64)
        made = rng.draw_digit_words(seeds, int(position) + 1, int(stream), int(draw))
        assert int(made[0, -1]) == int(word, 16)


def test_every_stream_is_in_the_docs():
    """The table of streams has each number that the program uses, and no other."""
    table = STREAMS[STREAMS.index("## The table of streams") :]
    listed = {int(number) for number in re.findall(r"^\| (\d+) \|", table, re.M)}
    assert listed == {int(stream) for stream in rng.Stream} | set(AUGMENTATIONS)


def test_every_range_is_in_the_docs():
    """The table of ranges has each one with its presets and its limit, and no other."""
    text = (ROOT / "docs" / "augmentation.md").read_text()
    listed = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.M))
    assert list(listed) == list(RANGES)
    for item in RANGES.values():
        cells = listed[item.name].split(" | ")
        named = [item.presets.get(name, item.default) for name in PRESETS[1:]]
        assert [float(cell.strip() or 0) for cell in cells[1:4]] == named
        assert cells[0] == item.help
        assert f"{item.most:g} {item.unit}" in cells[4]


def test_commands_of_the_readme_are_one_line_each():
    """The two commands of the start can be pasted as they are."""
    lines = re.findall(r"^    (python3 -m venv .*)$", README, re.M)
    assert ["build.py --count 10000" in lines[0], "tox" in lines[1]] == [True, True]
    assert len(lines) == 2


@pytest.mark.parametrize("verb", ["build", "regenerate", "preview", "verify", "info"])
def test_every_verb_is_in_the_readme(verb, capsys):
    """Each script is shown in the README, and has examples in its help."""
    assert f"scripts/{verb}.py" in README
    with pytest.raises(SystemExit):
        main(verb, ["--help"])
    assert "examples:" in capsys.readouterr().out


def test_python_of_the_readme_runs(tmp_path, monkeypatch):
    """The Python blocks of the README run as written, with a smaller count."""
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", README, re.M | re.S)
    assert len(blocks) == 4
    for block in blocks:
        smaller = block.replace("1_000_000", "300").replace(
            "workers=16, progress=True", "workers=1"
        )
        exec(compile(smaller, "README.md", "exec"), {})
    assert (tmp_path / "shards" / "run1" / "manifest.json").exists()


def test_python_of_the_page_on_training_runs(tmp_path, monkeypatch):
    """The Python blocks of `docs/training.md` run one after another, with a smaller count."""
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs" / "training.md").read_text()
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
    assert len(blocks) == 3
    names = {}
    for block in blocks:
        smaller = block.replace("20_000", "6_000").replace("start=10", "start=1")
        exec(compile(smaller, "docs/training.md", "exec"), names)
    assert next(iter(names["again"]))[0].shape == (256, 1, 28, 200)


def test_every_form_of_targets_is_in_the_docs():
    """The table of targets has each form, and no other."""
    from builder.torch.targets import TARGETS

    text = (ROOT / "docs" / "training.md").read_text()
    table = text[text.index("| `targets` |") :].partition("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.M)[1:] == list(TARGETS)


def test_every_test_of_the_faults_is_there():
    """The tests that `docs/faults.md` names exist."""
    named = re.findall(
        r"`(tests/[\w/]+\.py)(?:::(\w+))?`", (ROOT / "docs" / "faults.md").read_text()
    )
    assert len(named) > 20
    for path, test in named:
        assert f"def {test or 'test'}" in (ROOT / path).read_text(), (path, test)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page: its headings in lower case, with dashes for spaces."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.M)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_of_a_page_lead_somewhere(page):
    """Each link names a file that is there, and each anchor a heading of it."""
    for link in re.findall(r"\]\(([^)]+)\)", page.read_text()):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
