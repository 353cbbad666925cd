"""The pages of a Parquet file, looked at before any is inflated.

A page says in its header how long it is inflated and how many values it has. pyarrow believes
it: some bytes of run lengths can become gigabytes. So headers are read here first and held
against what the shard can have. Format: Apache Parquet, `parquet.thrift`, "PageHeader"; Thrift's
compact protocol, of which a page header needs numbers, truths, texts and structs.
"""

from __future__ import annotations

from typing import Any

from builder.common.errors import DatasetError

PLAIN = 0
DICTIONARIES = (2, 8)
DATA, DICTIONARY, DATA_V2 = 0, 2, 3
TYPE, INFLATED, DEFLATED = 1, 2, 3
OF_TYPE = {DATA: 5, DICTIONARY: 7, DATA_V2: 8}
"""The field of a page header that says more of a page of each type."""
MORE_BYTES = 1 << 16
"""Bytes that a column of a row group may have beside its values: levels, offsets."""


def check_column(data: memoryview, column: Any, values: int, size: int) -> None:
    """Raise `DatasetError` unless a column's pages have no more than `values` of `size` bytes.

    `data` is the whole file and `column` pyarrow's metadata of one column of a row group. Only
    numbers of one byte may come from a dictionary, which could make long texts of short ones.
    """
    most = values * (size + 8) + MORE_BYTES
    begin = column.data_page_offset
    if column.has_dictionary_page:
        begin = min(begin, column.dictionary_page_offset)
    at, end, seen, inflated = begin, begin + column.total_compressed_size, 0, 0
    if not 0 <= begin <= end <= len(data):
        raise DatasetError(f"column '{column.path_in_schema}' lies outside of the file")
    while at < end:
        header, at = _struct(data, at)
        at += _number(header, DEFLATED)
        inflated += _number(header, INFLATED)
        kind = header.get(TYPE)
        more = header.get(OF_TYPE.get(_number(header, TYPE), -1))
        if not isinstance(more, dict) or at > end:
            raise DatasetError(f"column '{column.path_in_schema}' has a damaged page")
        encoding = more.get(4 if kind == DATA_V2 else 2)
        if encoding != PLAIN and not (encoding in DICTIONARIES and size == 1):
            raise DatasetError(f"column '{column.path_in_schema}' has encoding {encoding}")
        seen += _number(more, 1) if kind != DICTIONARY else 0
        if seen > values or inflated > most or _number(more, 1) > values:
            raise DatasetError(
                f"column '{column.path_in_schema}' has {seen} values in {inflated} bytes, "
                f"expected at most {values} in {most}"
            )


def _number(header: dict[int, Any], field: int) -> int:
    value = header.get(field)
    if type(value) is not int or value < 0:
        raise DatasetError("a page's header is damaged")
    return value


def _struct(data: memoryview, at: int, depth: int = 0) -> tuple[dict[int, Any], int]:
    """Return the fields of a struct by their numbers, and where it ends."""
    fields: dict[int, Any] = {}
    number = 0
    while depth < 4 and at < len(data):
        head = data[at]
        kind, step = head & 15, head >> 4
        at += 1
        if kind == 0:
            return fields, at
        if step == 0:
            step, at = _zigzag(data, at)
        number += step
        if kind in (1, 2):
            fields[number] = kind == 1
        elif kind in (4, 5, 6):
            fields[number], at = _zigzag(data, at)
        elif kind == 8:
            size, at = _varint(data, at)
            at += size
        elif kind == 12:
            fields[number], at = _struct(data, at, depth + 1)
        else:
            break
    raise DatasetError("a page's header is damaged")


def _zigzag(data: memoryview, at: int) -> tuple[int, int]:
    value, at = _varint(data, at)
    return (value >> 1) ^ -(value & 1), at


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise DatasetError("a page's header is damaged")
