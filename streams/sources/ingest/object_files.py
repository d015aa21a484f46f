"""Rows that are objects: columns are paths into them, and a receipt's lines may be nested.

NDJSON is read here; Parquet with nested lines comes this way too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import Any

from streams.sources.ingest.batches import BATCH_ROWS, Batch, between, no_column, open_bytes, text_frame
from streams.sources.ingest.mapping import Constant, Mapping, columns_of, did_you_mean
from streams.sources.ingest.rejects import Reject

Row = dict[str, Any]
LOOK_AHEAD_ROWS = 1_000  # to tell a misspelt column from one that is not always there
REQUIRED = ("receipt.customer_id", "receipt.occurred_at", "line.sku", "catalog.sku", "customer.customer_id")


def ndjson_batches(path: Path, mapping: Mapping) -> Iterator[Batch]:
    """An object a line. Raises as `files.read_batches`."""
    picker = ObjectPicker(mapping)
    stream, raw = open_bytes(path)
    with raw, stream:
        lines = enumerate(stream, 1)
        look_ahead = LOOK_AHEAD_ROWS
        while chunk := list(islice(lines, look_ahead or BATCH_ROWS)):
            rows, malformed = _parse(chunk)
            if look_ahead:
                check_paths(path, [row for _, row in rows], mapping)
            look_ahead = 0
            yield picker.batch(rows, malformed, raw.tell())


def _parse(chunk: list[tuple[int, bytes]]) -> tuple[list[tuple[int, Row]], list[Reject]]:
    rows: list[tuple[int, Row]] = []
    malformed: list[Reject] = []
    for number, line in chunk:
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            reason = "is not a JSON object"
        except (ValueError, RecursionError) as error:
            row, reason = None, f"is not JSON: {error}"
        if isinstance(row, dict):
            rows.append((number, row))
        else:
            text = line.decode(errors="replace").rstrip("\n")
            malformed.append(Reject(number, reason, content={"row": text}))
    return rows, malformed


def check_paths(path: Path, rows: list[Row], mapping: Mapping) -> None:
    """A column that none of the first rows has is an error if we need it, or if it looks misspelt."""
    lines = mapping.receipt.lines if mapping.receipt else None
    of_rows = {name for row in rows for name in _paths(row)}
    of_items = {name for row in rows for item in _items(row, lines) for name in _paths(item)}
    if not of_rows:
        return
    if lines is not None and lines not in of_rows:
        raise no_column(path, "receipt.lines", lines, sorted(of_rows))
    for target, source in mapping.sources().items():
        known = sorted(of_items if lines and _is_of_item(target) else of_rows)
        for name in columns_of(source):
            if name not in known and (target in REQUIRED or did_you_mean(name, known)):
                raise no_column(path, target, name, known)


def _is_of_item(target: str) -> bool:
    return target.startswith(("line.", "catalog."))


def _paths(value: Row, before: str = "") -> Iterator[str]:
    for name, inner in value.items():
        yield before + name
        if isinstance(inner, dict):
            yield from _paths(inner, f"{before}{name}.")


def _items(row: Row, lines: str | None) -> list[Row]:
    """The lines within a row: the row itself where none are nested, nothing where they are not objects."""
    if lines is None:
        return [row]
    found = _at(row, lines)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _at(row: Row, name: str) -> Any:
    """The value under a column's name, or else along its path."""
    if name in row:
        return row[name]
    value: Any = row
    for step in name.split("."):
        value = value.get(step) if isinstance(value, dict) else None
    return value


@dataclass(frozen=True)
class _Target:
    """One field: where it is found."""

    name: str
    columns: list[str]
    constant: str | None
    of_item: bool


class ObjectPicker:
    """Takes every mapped field out of objects, as text."""

    def __init__(self, mapping: Mapping) -> None:
        self._mapping = mapping
        self._missing = set(mapping.missing)
        self._lines = mapping.receipt.lines if mapping.receipt else None
        self._targets = [
            _Target(
                name,
                columns_of(source),
                source.value if isinstance(source, Constant) else None,
                self._lines is not None and _is_of_item(name),
            )
            for name, source in mapping.sources().items()
        ]

    def batch(self, rows: list[tuple[int, Row]], malformed: list[Reject], bytes_read: int) -> Batch:
        """One batch; rows whose lines are not a list of objects are added to `malformed`."""
        numbers: list[int] = []
        positions: list[int] = []
        values: list[list[str | None]] = [[] for _ in self._targets]
        for number, row in rows:
            items = _items(row, self._lines)
            if self._lines is not None and not _is_list_of(items, found := _at(row, self._lines)):
                text = json.dumps(found, default=str)
                malformed.append(Reject(number, "is not a list of objects", self._lines, text))
                continue
            for position, item in enumerate(items or [{}]):  # a void may have no lines
                numbers.append(number)
                positions.append(position)
                for target, column in zip(self._targets, values, strict=True):
                    column.append(self._pick(item if target.of_item else row, target))
        fields = [target.name for target in self._targets]
        return Batch(text_frame(fields, numbers, positions, values), malformed, bytes_read)

    def _pick(self, row: Row, target: _Target) -> str | None:
        if target.constant is not None:
            return target.constant
        if len(target.columns) == 1:
            return self._text(_at(row, target.columns[0]))
        texts = [self._text(_at(row, name)) for name in target.columns]
        return (
            None if None in texts else between(target.name).join(text for text in texts if text is not None)
        )

    def _text(self, value: Any) -> str | None:
        """A typed value as the text that the mapping's formats expect."""
        match value:
            case None:
                return None
            case str():
                text = value.strip()
                return None if text in self._missing else text
            case bool():
                return "true" if value else "false"
            case datetime() | date():
                return value.isoformat()
            case list():
                return self._mapping.list_separator.join(self._text(each) or "" for each in value)
            case dict():
                return json.dumps(value, ensure_ascii=False, default=str)
            case _:  # a number
                return str(value).replace(".", self._mapping.decimal)


def _is_list_of(items: list[Row], found: Any) -> bool:
    """Whether all that was found are the items; none found will do."""
    return found is None or (isinstance(found, list) and len(found) == len(items))
