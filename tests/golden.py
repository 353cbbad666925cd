"""Make the golden digests again: `python -m tests.golden`, after a change that is meant.

The recipes name every range, so no change of a preset touches them.
"""

from __future__ import annotations

import json
from pathlib import Path

from builder import Recipe, generate
from builder.digest import digest_of, written

FILE = Path(__file__).with_name("golden.json")
SAMPLES = 200

PLAIN = {"augment": {}}
BOTH = {"augment": {"scale": 0.2, "shift": 2.0}}
RECIPES = {
    "plain": {"length": (1, 5), "spacing": (5, 10), "width": 200, **PLAIN},
    "scale and shift": {"length": (1, 5), "spacing": (5, 10), "width": 200, **BOTH},
    "squeezed": {"digits": "350", "spacing": (10, 30), "width": 100, **BOTH},
    "filled": {"length": (1, 4), "spacing": (0, 5), "width": 333, "fit": "fill", **BOTH},
    "overlapping ink": {
        "length": 6, "spacing": (-9, 2), "width": 160, "spacing_between": "ink", **BOTH,
    },
    "numbers": {"numbers": "000:999", "spacing": (0, 0), "width": 90, "align": "center", **PLAIN},
    "test glyphs, right": {
        "length": 2, "classes": "17", "split": "test", "spacing": (1, 9), "align": "right", **BOTH,
    },
    "validation glyphs": {
        "length": 1, "width": 28, "spacing": (0, 0), "split": "validation", **BOTH,
    },
    "another seed": {"seed": 2**64 - 1, "length": (1, 5), "spacing": (5, 10), "width": 200, **BOTH},
}  # fmt: skip


def digests() -> dict[str, dict[str, str]]:
    """Return fingerprint and content digest of the first samples of every recipe."""
    found = {}
    for name, fields in RECIPES.items():
        recipe = Recipe(**fields)
        digest = written(digest_of(generate(recipe, range(SAMPLES))))
        found[name] = {"fingerprint": recipe.fingerprint, "content": digest}
    return found


if __name__ == "__main__":
    FILE.write_text(json.dumps(digests(), indent=1) + "\n")
    print(f"{FILE}: {len(RECIPES)} digests of {SAMPLES} samples each")
