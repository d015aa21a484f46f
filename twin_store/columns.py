"""A batch of raw receipts as integer columns: the decode step of the hot lane.

Compiled code reads the messages that look as most do; the judge reads the others and says which are bad. Good
messages become table rows; each bad one becomes a `BadMessage` with its place, and the rest of the batch goes on.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from twin_store.distinct import number_strings, some_of_each
from twin_store.dna.layout import (
    EVENT_END,
    EVENT_START,
    EVENT_TWIN,
    EVENT_VISIT,
    LINE_SKU,
)
from twin_store.json_scan import bytes_of
from twin_store.messages.codec import BadMessage, minor_digits
from twin_store.receipt_judge import Judged, ReceiptJudge
from twin_store.receipt_parser import (
    PLACE_CHANNEL,
    PLACE_CUSTOMER,
    PLACE_STORE,
    Scanned,
    joined,
    parse_receipts,
)
from twin_store.records import FUTURE_SECONDS_MAX, Record
from twin_store.symbols import visit_name

DEFAULT_CHANNEL = "store"


@dataclass(frozen=True)
class Strings:
    """Keys and where their texts stand in a buffer; most keys once, some more often."""

    text: bytes
    keys: list[int]
    places: np.ndarray

    def beyond(self, known: Collection[int]) -> Iterator[tuple[int, list[int]]]:
        """Keys that are not in `known` with their places. Mostly there are none, so those are sought first."""
        new = set(self.keys).difference(known)
        if new:
            for row, key in enumerate(self.keys):
                if key in new:
                    yield key, self.places[row].tolist()


@dataclass(frozen=True)
class ReceiptColumns:
    """Decoded receipts, returns and voids in order of arrival.

    Attributes:
        events: [n, EVENT_COLUMNS]; TWIN indexes `customers`, START and END index `lines`.
        lines: [m, LINE_COLUMNS].
        customers: the customers of this batch, each once.
        sources: [n] the record each event came from.
        bad: (record index, error) of what is left out.
    """

    events: np.ndarray
    lines: np.ndarray
    customers: list[str]
    sources: np.ndarray
    bad: list[tuple[int, BadMessage]]
    _skus: Strings
    _visits: Strings
    _judged: dict[str, int] = field(default_factory=dict)

    @cached_property
    def symbols(self) -> dict[str, int]:
        """Every sku and visit string of the batch with its key."""
        return self.symbols_beyond(())

    def symbols_beyond(self, known: Collection[int]) -> dict[str, int]:
        """The sku and visit strings whose keys are not in `known`. Texts are made only for these."""
        found = {text: key for text, key in self._judged.items() if key not in known}
        for key, (start, end) in self._skus.beyond(known):
            found[self._skus.text[start:end].decode()] = key
        for key, places in self._visits.beyond(known):
            found[_visit_text(self._visits.text, places)] = key
        return found


class ReceiptDecoder:
    """Decodes batches of `Transaction` records in one currency. Keeps memos between batches; not thread-safe."""

    def __init__(self, currency: str) -> None:
        self._currency = bytes_of(f'"{currency}"'.encode())
        self._digits = minor_digits(currency)
        self._judge = ReceiptJudge(currency)

    def decode(self, records: Sequence[Record]) -> ReceiptColumns:
        """All records as columns; the bad ones apart."""
        keys, values, published = zip(*records, strict=True) if records else ((), (), ())
        text, ends = joined([value or b"" for value in values])
        key_text, key_ends = joined([key or b"" for key in keys])
        # A whole second less than what is allowed: the fraction is for the judge.
        latest = np.array(published, dtype=np.float64).astype(np.int64) + FUTURE_SECONDS_MAX - 1
        scanned = parse_receipts(text, ends, key_text, key_ends, latest, self._currency, self._digits)
        scanned.events[:, EVENT_TWIN], places = number_strings(text, scanned.places[:, PLACE_CUSTOMER:])
        buffer = text.tobytes()
        customers = [buffer[start:end].decode() for start, end in places.tolist()]
        events, lines, sources = scanned.events, scanned.lines, scanned.sources
        strings = _strings(buffer, scanned)
        if not len(scanned.left):
            return ReceiptColumns(events, lines, customers, sources, [], *strings)
        left = scanned.left.tolist()
        judged = self._judge.columns([records[index] for index in left])
        bad = [(left[index], error) for index, error in judged.bad]
        events, lines, sources, customers = _merged(scanned, customers, judged)
        return ReceiptColumns(events, lines, customers, sources, bad, *strings, judged.symbols)


def _strings(text: bytes, scanned: Scanned) -> tuple[Strings, Strings]:
    lines = some_of_each(scanned.lines[:, LINE_SKU])
    visits = some_of_each(scanned.events[:, EVENT_VISIT])
    return (
        Strings(text, scanned.lines[lines, LINE_SKU].tolist(), scanned.skus[lines]),
        Strings(text, scanned.events[visits, EVENT_VISIT].tolist(), scanned.places[visits]),
    )


def _visit_text(text: bytes, places: list[int]) -> str:
    channel = text[places[PLACE_CHANNEL] : places[PLACE_CHANNEL + 1]].decode()
    store = text[places[PLACE_STORE] : places[PLACE_STORE + 1]].decode()
    return visit_name(channel or DEFAULT_CHANNEL, store)


def _merged(
    scanned: Scanned, customers: list[str], judged: Judged
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str]]:
    """What was scanned and what was judged in one order of arrival: events, lines, sources, customers."""
    number = {customer: i for i, customer in enumerate(customers)}
    twins = [number.setdefault(customer, len(number)) for customer in judged.customers]
    late = judged.events.copy()
    late[:, EVENT_TWIN] = np.array(twins, dtype=np.int64)[judged.events[:, EVENT_TWIN]]
    late[:, [EVENT_START, EVENT_END]] += len(scanned.lines)
    sources = np.concatenate((scanned.sources, scanned.left[judged.sources]))
    order = np.argsort(sources)
    return (
        np.concatenate((scanned.events, late))[order],
        np.concatenate((scanned.lines, judged.lines)),
        sources[order],
        list(number),
    )
