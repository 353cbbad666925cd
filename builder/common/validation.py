"""Validated values: frozen, without unknown fields, with errors of one line."""

from __future__ import annotations

import difflib
import hashlib
import json
import operator
import os
import re
import reprlib
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from builder.common.errors import UsageError

WholeNumber = Annotated[int, Strict()]
"""An int, but no string, bool or float that equals one."""

Count = Annotated[WholeNumber, Field(ge=0, lt=1 << 127)]
"""A whole number from 0."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""A digest of content, 64 hex digits, which may become part of a path."""

LowHigh = Annotated[
    tuple[WholeNumber, WholeNumber],
    BeforeValidator(lambda value: (value, value) if isinstance(value, int) else value),
]
"""The limits of a range, both included. A single number is a range of one."""

EXPECTED = {
    "missing": "one value more",
    "too_long": "fewer values",
    "string_pattern_mismatch": "64 hex digits",
}
"""What is expected in place of a wrong value, by the type of error, where pydantic says less."""

_REPR = reprlib.Repr()
"""Formats the beginning of a value, however long or deep it is."""
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 100
_REPR.maxlist = _REPR.maxtuple = _REPR.maxdict = 30


class FrozenModel(BaseModel):
    """A validated, immutable value. Construction raises `UsageError` for the first bad field."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    if not TYPE_CHECKING:  # type checkers derive the parameters from the fields

        def __init__(self, /, **data: object) -> None:
            try:
                super().__init__(**{name: to_plain(value) for name, value in data.items()})
            except ValidationError as error:
                raise UsageError(_describe(type(self), error.errors()[0])) from None


def _describe(model: type[BaseModel], error: ErrorDetails) -> str:
    """Return which field is wrong, its value, what was expected, and what the field means."""
    if error["type"] == "value_error":
        return error["msg"].removeprefix("Value error, ")
    path = [part for part in error["loc"] if isinstance(part, str) and "-" not in part]
    field = ".".join(path) or model.__name__.lower()
    if error["type"] == "extra_forbidden":
        field = field[:60]
        close = difflib.get_close_matches(field, model.model_fields, 1)
        hint = f"did you mean '{close[0]}'?" if close else f"known: {', '.join(model.model_fields)}"
        return f"{model.__name__} has no field '{field}': {hint}"
    if error["type"] == "missing" and error["loc"][-1] == path[-1]:
        return f"{model.__name__} lacks the field '{field}'"
    info = model.model_fields.get(field)  # of a field of the model, not of one nested in it
    meaning = f" ({info.description})" if info and info.description else ""
    expected = _describe_bounds(info) or error["msg"].removeprefix("Input should be ")
    expected = EXPECTED.get(error["type"], expected)
    return f"{field} is {format_value(error['input'])}, expected {expected}{meaning}"


def _describe_bounds(info: FieldInfo | None) -> str:
    """Return the range of a field in words, or an empty text if it has none."""
    metadata = info.metadata if info else []
    names = ("ge", "lt", "le")
    limits = {k: getattr(item, k) for item in metadata for k in names if hasattr(item, k)}
    if "ge" not in limits:
        return ""
    kind = "a whole number" if isinstance(limits["ge"], int) else "a number"
    most = limits.get("le", limits["lt"] - 1 if "lt" in limits else None)
    return f"{kind} from {limits['ge']:g}" + ("" if most is None else f" to {most}")


def to_plain(value: Any) -> Any:
    """Return a value with Python's own numbers in place of numpy's, in lists and tuples too."""
    if type(value) in (list, tuple):
        return type(value)(map(to_plain, value))
    return value.tolist() if hasattr(value, "tolist") else value


def to_int(value: Any) -> int:
    """Return a whole number as int. Raises `TypeError` for anything else, such as a boolean."""
    if type(value) is int or isinstance(value, np.integer):
        return int(value)
    # boolean tensors and arrays of one element have __index__ too
    is_bool = isinstance(value, bool) or str(getattr(value, "dtype", "")).endswith("bool")
    if is_bool or getattr(value, "ndim", 0) > 0:
        raise TypeError
    return operator.index(value)


def whole_number(name: str, value: object, least: int, most: int) -> int:
    """Return the value of an argument as an int.

    Args:
        name: The name of the argument, for the error.
        value: The value; an int of Python or numpy is a whole number.
        least: The smallest allowed value.
        most: The largest allowed value.

    Raises:
        UsageError: The value is no whole number in [least, most].
    """
    with suppress(TypeError):
        number = to_int(value)
        if least <= number <= most:
            return number
    limit = {2**63 - 1: "2**63 - 1", 2**64 - 1: "2**64 - 1"}.get(most, most)
    raise UsageError(
        f"{name} is {format_value(value)}, expected a whole number from {least} to {limit}"
    )


def local_path(path: str | os.PathLike[str]) -> Path:
    """Return a path that a user names, with a `~` at its beginning resolved.

    Raises:
        UsageError: It is the address of a store (`SCHEME://...`), or the user has no home.
    """
    text = os.fspath(path)
    mark = ":/" if isinstance(path, Path) else "://"  # a `Path` keeps one of two slashes
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+" + mark, text):
        raise UsageError(
            f"{text}: storage of this kind is not supported, expected a path of this machine's "
            "file systems: use one, and copy what it holds"
        )
    resolved = Path(text)
    with suppress(RuntimeError):  # of an unknown user: a file may have such a name
        resolved = resolved.expanduser()
    if resolved.parts[:1] == ("~",):
        raise UsageError(f"{text}: this user has no home folder, expected a path without ~")
    return resolved


def check_low_high(
    name: str, limits: tuple[int, int], least: int, most: int, unit: str
) -> tuple[int, int]:
    """Return the limits of a range. Raise `ValueError` unless least <= low <= high <= most."""
    low, high = limits
    if low > high:
        raise ValueError(
            f"{name} is {low} to {high}: the first number is the larger; write {high} {low}"
        )
    if low < least or high > most:
        raise ValueError(f"{name} is {low} to {high}, expected {unit} from {least} to {most}")
    return limits


def format_value(value: object) -> str:
    """Return the first 60 characters of a value, in one line, for an error."""
    try:
        text = re.sub(r"\s*\n\s*", " ", _REPR.repr(value))
    except ValueError:  # Python formats no int of more than 4,300 digits
        text = f"{type(value).__name__} with too many digits to be shown"
    return text if len(text) <= 60 else text[:57] + "..."


def canonical_json(value: object) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def json_sha256(value: object) -> str:
    """Return the sha256 of a value's canonical JSON, as 64 hex digits."""
    return hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()
