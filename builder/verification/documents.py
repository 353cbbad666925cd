"""Plan and manifest of a dataset, read as whoever made it may have left them: for `verify`.

Both are written in one form only, so a changed byte that changes no value shows, too. The
manifest holds a checksum of itself, and the plan is in both: of two that differ, the
manifest's counts where its checksum holds, and the plan file's otherwise.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from builder.common import atomic_files
from builder.common.errors import BuilderError, UsageError
from builder.common.validation import FrozenModel
from builder.recipe import labels_file
from builder.recipe.recipe import Recipe
from builder.storage.config import MOST_SHARDS, PLAN, DatasetConfig
from builder.storage.findings import Findings, kind_of, said
from builder.storage.manifest import (
    LABELS,
    LOG,
    MANIFEST,
    Finished,
    Manifest,
    checksum,
    file_record,
    parse_model,
    read_bytes,
)
from builder.storage.output_folder import LOCK

Model = TypeVar("Model", bound=FrozenModel)


@dataclass(frozen=True)
class Documents:
    """What a dataset says of itself: its plan, its recipe, and the manifest where it can be read.

    `sound` tells that the manifest's checksum holds, so that it is as it was published.
    """

    plan: DatasetConfig
    recipe: Recipe
    manifest: Manifest | None
    sound: bool


def read(path: Path, model: type[Model]) -> tuple[Model, bytes]:
    """Return a JSON file as a value of `model`, and its bytes.

    Raises `BuilderError` for a link, for another form than the one in which it is published, and
    for all that `builder.storage.manifest.read_model` refuses.
    """
    kind = kind_of(path)
    if kind not in ("", "file"):
        raise BuilderError(f"{path.name}: is a {kind}, expected a file")
    try:
        data = read_bytes(path)
        value = parse_model(path, data, model)
        dumped = value.model_dump(mode="json", exclude_unset=True)
        canonical = atomic_files.json_bytes(dumped)
    except BuilderError as error:
        raise BuilderError(str(error).replace(str(path), path.name)) from None
    except Exception as error:  # whatever pydantic and json raise for values from anywhere
        raise BuilderError(f"{path.name}: cannot be read ({said(error)})") from None
    if data != canonical:
        at = next((i for i, (a, b) in enumerate(zip(data, canonical, strict=False)) if a != b), 0)
        raise BuilderError(
            f"{path.name}: byte {at or min(len(data), len(canonical))} is not as this program "
            f"writes it ({len(data)} bytes, expected {len(canonical)})"
        )
    return value, data


def gather(folder: Path, findings: Findings) -> Documents | None:
    """Read plan and manifest, and add what is wrong with them; None where neither tells enough."""
    plan = manifest = None
    sound = False
    try:
        plan, _ = read(folder / PLAN, DatasetConfig)
    except BuilderError as error:
        findings.document(str(error))
    try:
        manifest, data = read(folder / MANIFEST, Manifest)
        sound = _checksum_holds(manifest, data, findings)
    except BuilderError as error:
        unfinished = " (the build is not finished?)" if "is not there" in str(error) else ""
        findings.document(f"{error}{unfinished}")
    if manifest and plan and manifest.plan != plan:
        differences = manifest.plan.differences(plan) or [
            f"count: {manifest.plan.count}, not {plan.count}"
        ]
        findings.document(f"{PLAN} is not the plan in {MANIFEST} ({'; '.join(differences)})")
    planned = [(manifest.plan, MANIFEST)] if manifest else []
    planned += [(plan, PLAN)] if plan and plan not in [p for p, _ in planned] else []
    for candidate, name in planned if sound else reversed(planned):
        recipe = _recipe_of(candidate, name, findings)
        if recipe is not None:
            return Documents(candidate, recipe, manifest, sound and candidate is planned[0][0])
    return None


def _checksum_holds(manifest: Manifest, data: bytes, findings: Findings) -> bool:
    expected = checksum(json.loads(data))
    if manifest.checksum is None:
        findings.document(f"{MANIFEST}: has no checksum, expected {expected}")
    elif manifest.checksum != expected:
        findings.document(
            f"{MANIFEST}: the checksum is {manifest.checksum}, expected {expected}: "
            "something in it was changed"
        )
    return manifest.checksum == expected


def _recipe_of(plan: DatasetConfig, name: str, findings: Findings) -> Recipe | None:
    """Return the recipe of a plan that this program can check; else add why not."""
    try:
        if plan.shards > MOST_SHARDS:
            raise BuilderError(f"is of {plan.shards} shards, not {MOST_SHARDS} at most")
        recipe = Recipe.from_json(plan.recipe)
        if recipe.fingerprint != plan.fingerprint:
            raise BuilderError("the fingerprint is not that of the recipe")
        return recipe
    except Exception as error:  # as above
        findings.document(f"{name}: {said(error)}")
        return None


def check_labels_file(folder: Path, known: Documents, findings: Findings) -> bool:
    """Tell whether the copy of the labels file is that of the recipe; else add why not."""
    named = known.recipe.labels_file
    carried = known.manifest.labels_file if known.manifest else None
    path = folder / LABELS
    kind = kind_of(path)
    if named is None:
        if kind:
            findings.document(f"{LABELS}: is there, but the recipe has no labels file")
        return True
    if kind != "file":
        findings.document(f"{LABELS}: is {_a(kind)}, expected the recipe's labels file")
        return False
    try:
        if labels_file.register(path) != named:
            raise UsageError(f"is not the labels file {named.sha256[:12]} of the recipe")
    except Exception as error:  # as above
        findings.document(f"{LABELS}: {said(error)}")
        return False
    if carried is not None and known.sound and file_record(path) != carried:
        findings.document(f"{LABELS}: is not the file that {MANIFEST} lists ({carried.sha256})")
    return True


def check_totals(known: Documents, finished: list[Finished], findings: Findings) -> None:
    """Add each field of the manifest that is not the sum of the completion records."""
    manifest = known.manifest
    if manifest is None or len(finished) != known.plan.shards:
        return
    try:
        expected = Manifest.of(known.plan, known.recipe, finished, manifest.labels_file)
    except Exception as error:  # counts that are no counts
        findings.document(f"{MANIFEST}: the records cannot be summed up ({said(error)})")
        return
    made_here = {"plan", "shards", "libraries", "checksum"}
    for name in sorted(Manifest.model_fields.keys() - made_here):
        found, wanted = getattr(manifest, name), getattr(expected, name)
        if found != wanted:
            findings.document(
                f"{MANIFEST}: {name} is {found}, expected {wanted}, the sum of the records"
            )


def check_links(folder: Path, findings: Findings) -> None:
    """Add links in the place of what a build writes to; nothing is to follow them."""
    for name in (PLAN, MANIFEST, LABELS, LOG, LOCK):
        if kind_of(folder / name) not in ("", "file"):
            findings.foreign.append(name)
            if name in (LOG, LOCK):
                findings.document(f"{name}: is {_a(kind_of(folder / name))}, not a file")


def _a(kind: str) -> str:
    return f"a {kind}" if kind else "not there"
