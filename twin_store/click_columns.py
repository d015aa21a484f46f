"""A batch of raw clicks as integer columns; see `columns` for receipts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from twin_store.dna.layout import ACTIONS, CLICK_COLUMNS
from twin_store.messages.codec import BadMessage
from twin_store.messages.events import Click
from twin_store.messages.wire import struct_for
from twin_store.records import Record, check_record, explain
from twin_store.symbols import KeyMemo


@dataclass(frozen=True)
class ClickColumns:
    """Decoded clicks in order of arrival: rows [n, CLICK_COLUMNS], and `owners[i]` the twin of row i."""

    rows: np.ndarray
    owners: list[str]
    sources: np.ndarray
    symbols: dict[str, int]
    bad: list[tuple[int, BadMessage]]


class ClickDecoder:
    """Decodes batches of `Click` records. Keeps memos between batches; not thread-safe."""

    def __init__(self) -> None:
        self._decode: Callable[[Any], Any] = msgspec.json.Decoder(struct_for(Click)).decode
        self._ids = KeyMemo()
        self._skus = KeyMemo()

    def decode(self, records: Sequence[Record]) -> ClickColumns:
        """All records as columns; the bad ones apart."""
        rows: list[tuple[int, ...]] = []
        owners: list[str] = []
        sources: list[int] = []
        bad: list[tuple[int, BadMessage]] = []
        symbols: dict[str, int] = {}
        for index, record in enumerate(records):
            try:
                click = self._decode(record.value)
                owner = click.customer_id or click.anonymous_id
                if owner is None:
                    raise BadMessage("a click needs customer_id or anonymous_id")
                check_record(click, record, owner)
            except (msgspec.DecodeError, UnicodeDecodeError, BadMessage, TypeError) as error:
                bad.append((index, explain(Click, record, error)))
                continue
            sku = 0
            if click.sku is not None:
                sku = symbols[click.sku] = self._skus[click.sku]
            rows.append(
                (
                    self._ids[click.event_id],
                    int(click.occurred_at.timestamp()),
                    self._ids[click.session_id],
                    ACTIONS[click.action],
                    sku,
                    round(click.quantity * 1000),
                )
            )
            owners.append(owner)
            sources.append(index)
        table = np.array(rows, dtype=np.int64).reshape(len(rows), CLICK_COLUMNS)
        return ClickColumns(table, owners, np.array(sources, dtype=np.int64), symbols, bad)
