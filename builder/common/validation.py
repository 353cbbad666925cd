"""The base of every validated value: frozen, no unknown fields, errors of one line."""

from __future__ import annotations

import difflib
import hashlib
import json
import operator
import re
import reprlib
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from builder.common.errors import UsageError

WholeNumber = Annotated[int, Strict()]
"""A whole number, and not a text, truth or fraction that looks like one."""

Count = Annotated[WholeNumber, Field(ge=0, lt=1 << 127)]

LowHigh = Annotated[
    tuple[WholeNumber, WholeNumber],
    BeforeValidator(lambda value: (value, value) if isinstance(value, int) else value),
]
"""The limits of a range, both included. A single number is a range of one."""

_REPR = reprlib.Repr()
"""Writes the beginning of a value, however long or deep it is."""
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 100
_REPR.maxlist = _REPR.maxtuple = _REPR.maxdict = 30


class FrozenModel(BaseModel):
    """A validated, immutable value. Construction raises `UsageError` for the first bad field."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    if not TYPE_CHECKING:  # type checkers derive the parameters from the fields

        def __init__(self, /, **data: object) -> None:
            try:
                super().__init__(**{name: _plain(value) for name, value in data.items()})
            except ValidationError as error:
                raise UsageError(_one_line(type(self), error.errors()[0])) from None


def _one_line(model: type[BaseModel], error: ErrorDetails) -> str:
    """Say in one line which field is wrong, what it is, what was expected, and what it means."""
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
    info = model.model_fields.get(field)  # of a field itself, not of one within it
    meaning = f" ({info.description})" if info and info.description else ""
    wanted = _bounds(info) or error["msg"].removeprefix("Input should be ")
    if error["type"] in ("missing", "too_long"):
        wanted = "one value more" if error["type"] == "missing" else "fewer values"
    return f"{field} is {format_value(error['input'])}, expected {wanted}{meaning}"


def _bounds(info: FieldInfo | None) -> str:
    """Return the range of a field in words, or nothing where it has none."""
    limits: dict[str, Any] = {}
    for item in info.metadata if info else ():
        limits.update(
            {k: v for k in ("ge", "lt", "le") if (v := getattr(item, k, None)) is not None}
        )
    if "ge" not in limits:
        return ""
    kind = "a whole number" if info and info.annotation is int else "a number"
    return f"{kind} from {limits['ge']:g} to {limits.get('le', limits.get('lt', 0) - 1)}"


def whole_number(name: str, value: Any, least: int, most: int) -> int:
    """Return a whole number in [least, most]. Raises `UsageError` for anything else."""
    try:
        if not isinstance(value, bool) and least <= (number := operator.index(value)) <= most:
            return number
    except TypeError:
        pass
    raise UsageError(
        f"{name} is {format_value(value)}, "
        f"expected a whole number from {least} to {format_limit(most)}"
    )


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


def format_limit(number: int) -> str:
    """Return a number, those next to the limits of 63 and 64 bits as powers."""
    return {2**63 - 1: "2**63 - 1", 2**64 - 1: "2**64 - 1"}.get(number, str(number))


def _plain(value: Any) -> Any:
    """Return numpy's numbers and arrays as Python's, anything else as it is."""
    return value.tolist() if hasattr(value, "tolist") else value


def format_value(value: Any) -> str:
    """Return a value as errors show it: the first 60 characters of it, in one line."""
    try:
        text = re.sub(r"\s*\n\s*", " ", _REPR.repr(value))
    except ValueError:  # Python writes no number of more than 4,300 digits
        text = f"{type(value).__name__} with too many digits to be shown"
    return text if len(text) <= 60 else text[:57] + "..."


def canonical_json(value: Any) -> str:
    """Return the one JSON text of a value: sorted keys, no spaces, ASCII."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def json_sha256(value: Any) -> str:
    """Return the sha256 of a value's canonical JSON, as 64 hex digits."""
    return hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()
