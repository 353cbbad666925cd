"""Write the golden digests again, after an intended change: `python -m tests.golden`.

The recipes give every range explicitly, so a change of a preset does not change them.
"""

from __future__ import annotations

import json
from pathlib import Path

from builder import Recipe, generate
from builder.storage.statistics import digest_of, format_digest

FILE = Path(__file__).with_name("golden.json")
SAMPLES = 200

PLAIN = {"augment": {}}
BOTH = {"augment": {"scale": 0.2, "shift": 2.0}}
WARPS = {
    "thin": 0.4,
    "thick": 0.6,
    "elastic": 1.0,
    "elastic_correlation": 5.0,
    "scale": 0.2,
    "shear": 0.27,
    "shear_y": 0.1,
    "rotate": 15.0,
    "perspective": 0.08,
    "shift": 2.0,
    "baseline": 1.5,
    "style": 0.7,
}
EFFECTS = {
    "contrast": 0.6,
    "blur": 0.8,
    "strokes": 2.0,
    "stroke_width": 3.0,
    "background": 40.0,
    "gradient": 40.0,
    "texture": 30.0,
    "invert": 0.3,
    "dropout": 0.02,
    "noise": 12.0,
}
STRONGEST = {
    "thin": 0.5,
    "thick": 1.0,
    "elastic": 1.5,
    "elastic_correlation": 3.0,
    "scale": 0.5,
    "shear": 1.0,
    "shear_y": 1.0,
    "rotate": 180.0,
    "perspective": 0.2,
    "shift": 8.0,
    "baseline": 8.0,
    "contrast": 1.0,
    "blur": 1.0,
    "strokes": 20.0,
    "stroke_width": 10.0,
    "background": 255.0,
    "gradient": 255.0,
    "texture": 255.0,
    "invert": 1.0,
    "dropout": 0.5,
    "noise": 128.0,
}
RECIPES = {
    "plain": {"length": (1, 5), "spacing": (5, 10), "width": 200, **PLAIN},
    "scale and shift": {"length": (1, 5), "spacing": (5, 10), "width": 200, **BOTH},
    "squeezed": {"digits": "350", "spacing": (10, 30), "width": 100, **BOTH},
    "filled": {"length": (1, 4), "spacing": (0, 5), "width": 333, "fit": "fill", **BOTH},
    "overlapping ink": {
        "length": 6,
        "spacing": (-9, 2),
        "width": 160,
        "spacing_between": "ink",
        **BOTH,
    },
    "numbers": {"numbers": "000:999", "spacing": (0, 0), "width": 90, "align": "center", **PLAIN},
    "test glyphs, right": {
        "length": 2,
        "classes": "17",
        "split": "test",
        "spacing": (1, 9),
        "align": "right",
        **BOTH,
    },
    "validation glyphs": {
        "length": 1,
        "width": 28,
        "spacing": (0, 0),
        "split": "validation",
        **BOTH,
    },
    "every warp": {"length": (1, 5), "spacing": (5, 10), "width": 201, "augment": WARPS},
    "every effect": {"length": (1, 5), "spacing": (5, 10), "width": 203, "augment": EFFECTS},
    "all of it": {"length": (1, 5), "spacing": (5, 10), "width": 200, "augment": WARPS | EFFECTS},
    "as much as there is": {"length": 3, "spacing": (-9, 9), "width": 120, "augment": STRONGEST},
    **{
        f"{name} alone": {"length": 2, "spacing": (5, 10), "width": 70, "augment": {name: value}}
        for name, value in (WARPS | EFFECTS).items()
        if name not in ("style", "elastic_correlation", "stroke_width")
    },
    "another seed": {"seed": 2**64 - 1, "length": (1, 5), "spacing": (5, 10), "width": 200, **BOTH},
}


def digests(samples: int = SAMPLES) -> dict[str, dict[str, str]]:
    """Return fingerprint and content digest of the first samples of every recipe."""
    records = {}
    for name, fields in RECIPES.items():
        recipe = Recipe(**fields)
        digest = format_digest(digest_of(generate(recipe, range(samples))))
        records[name] = {"fingerprint": recipe.fingerprint, "content": digest}
    return records


if __name__ == "__main__":
    FILE.write_text(json.dumps(digests(), indent=1) + "\n")
    print(f"{FILE}: {len(RECIPES)} digests of {SAMPLES} samples each")
