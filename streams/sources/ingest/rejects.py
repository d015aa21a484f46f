"""Rows that could not be used: all counted, the first kept to be shown, every one written down with its reason."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from streams.errors import TwinsError


class IngestError(TwinsError):
    """The file holds rows that cannot be used, or cannot be read at all."""


@dataclass(frozen=True)
class Reject:
    """What is wrong with one row. `row` is the line of a text file (a header is line 1), else the row from 1."""

    row: int
    reason: str
    column: str | None = None
    value: str | None = None
    content: dict[str, str | None] | None = None

    def __str__(self) -> str:
        place = f"row {self.row}" + (f", column {self.column}" if self.column else "")
        shown = "" if self.value is None else f"{_shorten(self.value)!r} "
        return f"{place}: {shown}{self.reason}"


def _shorten(value: str) -> str:
    return value if len(value) <= 60 else value[:57] + "..."


class RejectLog:
    """Writes rejects to an NDJSON file, which exists only if there are any; keeps the first `keep`."""

    def __init__(self, path: Path, keep: int) -> None:
        self.path = path
        self.count = 0
        self.rows = 0
        self.first: list[Reject] = []
        self._keep = keep
        self._last_row: int | None = None
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        self._file = path.open("x", encoding="utf-8")

    def add(self, reject: Reject) -> None:
        """Write one down."""
        self.count += 1
        self.rows += reject.row != self._last_row
        self._last_row = reject.row
        if len(self.first) < self._keep:
            self.first.append(reject)
        self._file.write(json.dumps(asdict(reject), ensure_ascii=False) + "\n")

    def read(self) -> Iterator[Reject]:
        """Every reject so far, from the file."""
        self._file.flush()
        with self.path.open(encoding="utf-8") as lines:
            for line in lines:
                yield Reject(**json.loads(line))

    def __enter__(self) -> RejectLog:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if self.count == 0:
            self.path.unlink()
