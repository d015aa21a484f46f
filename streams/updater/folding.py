"""One partition's records of a batch into its twins. The order of topics does not matter: the laws see to it."""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
from confluent_kafka import Message

from twin_store.about import about_of
from twin_store.click_columns import ClickDecoder
from twin_store.columns import ReceiptDecoder
from twin_store.dna.binary import Delta, read_twin
from twin_store.dna.clicks import accept_clicks
from twin_store.dna.forgetting import after, without
from twin_store.dna.layout import (
    ACCEPTED,
    CELL_COLUMNS,
    CLICK_COLUMNS,
    EVENT_END,
    EVENT_SECOND,
    EVENT_START,
    EVENT_TWIN,
    K_SECOND,
    LATE,
    RECEIPT_COLUMNS,
)
from twin_store.dna.receipts import accept
from twin_store.dna.rows import empty
from twin_store.dna.twin import (
    Twin,
    absorb_clicks,
    absorb_receipts,
    absorb_receipts_traced,
    fold_about,
    merge,
)
from twin_store.documents import read_customer, read_erasure
from twin_store.messages import Transfer
from twin_store.messages.codec import BadMessage, decode, epoch_seconds
from twin_store.records import Record
from twin_store.store.twins import Stored, TwinStore

SetAside = Callable[[Message, BadMessage], None]
T = TypeVar("T")


@dataclass
class Working:
    """A twin in the making: what it was, what it is now, and what the batch added."""

    before: Stored
    twin: Twin
    receipts: list[np.ndarray] = field(default_factory=list)
    clicks: list[np.ndarray] = field(default_factory=list)
    partials: list[Twin] = field(default_factory=list)
    withdrawn: list[Twin] = field(default_factory=list)
    erased_until: int = 0

    @property
    def changed(self) -> bool:
        """Whether anything came in."""
        return self.twin is not self.before.twin

    @property
    def is_empty(self) -> bool:
        """Whether nothing is left."""
        return not (self.twin.last_second or self.twin.about_second)

    def delta(self) -> Delta | None:
        """What was added, or None where only the whole state says it."""
        if self.partials or self.withdrawn or self.erased_until:
            return None
        newer = (
            self.twin.about_second != self.before.twin.about_second
            or self.twin.about != self.before.twin.about
        )
        return Delta(
            _stacked(self.receipts, RECEIPT_COLUMNS),
            _stacked(self.clicks, CLICK_COLUMNS),
            self.twin.about if newer else b"",
            self.twin.about_second if newer else 0,
        )

    def added(self) -> Twin:
        """What came in as a twin of its own, to be handed over."""
        twin = absorb_receipts(Twin(), _stacked(self.receipts, RECEIPT_COLUMNS))
        twin = absorb_clicks(twin, _stacked(self.clicks, CLICK_COLUMNS))
        for partial in self.partials:
            twin = merge(twin, partial)
        return after(twin, self.erased_until)


@dataclass
class Folded:
    """What folding one partition's batch gave.

    Attributes:
        touched: the twins that records named, changed or not.
        moved, where: cell rows that went into the products, and the visit key of each.
        late: records set aside as late.
        claims: (customer, anonymous id, second) links to claim.
        asked: claims on twins of this partition.
        erased: by customer, until which second to forget her.
        accepted, duplicates, lines: events that counted, events dropped, the lines of receipts that counted.
    """

    touched: dict[str, Working] = field(default_factory=dict)
    moved: list[np.ndarray] = field(default_factory=list)
    where: list[np.ndarray] = field(default_factory=list)
    late: list[Message] = field(default_factory=list)
    claims: list[tuple[str, str, int]] = field(default_factory=list)
    asked: list[Transfer] = field(default_factory=list)
    erased: dict[str, int] = field(default_factory=dict)
    accepted: int = 0
    duplicates: int = 0
    lines: int = 0

    def moved_rows(self) -> tuple[np.ndarray, np.ndarray]:
        """All moved rows as one table, with their visit keys."""
        if not self.moved:
            return empty(CELL_COLUMNS), np.zeros(0, dtype=np.int64)
        return np.concatenate(self.moved), np.concatenate(self.where)


class Folder:
    """Folds the records of one partition; decoders are shared between partitions."""

    def __init__(
        self, receipts: ReceiptDecoder, clicks: ClickDecoder, twins: TwinStore, set_aside: SetAside
    ) -> None:
        self._receipts, self._clicks = receipts, clicks
        self._twins = twins
        self._set_aside = set_aside
        self.folded = Folded()

    def receipts(self, messages: Sequence[Message]) -> None:
        """Receipts, returns and voids."""
        columns = self._receipts.decode([_record(m) for m in messages])
        for index, error in columns.bad:
            self._set_aside(messages[index], error)
        self._twins.stage_symbols(columns.symbols_beyond(self._twins.symbols))
        order = np.argsort(columns.events[:, EVENT_TWIN], kind="stable")
        events = columns.events[order]
        sources = columns.sources[order]
        ends = np.cumsum(np.bincount(events[:, EVENT_TWIN], minlength=len(columns.customers))).tolist()
        start = 0
        for customer, end in zip(columns.customers, ends, strict=True):
            self._fold_receipts(customer, events[start:end], columns.lines, sources[start:end], messages)
            start = end

    def _fold_receipts(
        self,
        customer: str,
        events: np.ndarray,
        lines: np.ndarray,
        sources: np.ndarray,
        messages: Sequence[Message],
    ) -> None:
        working = self._working(customer)
        erased_until = self._twins.erased_until(customer)
        if erased_until:
            kept = events[:, EVENT_SECOND] > erased_until
            events, sources = events[kept], sources[kept]
        twin = working.twin
        fresh, verdicts = accept(twin.head, twin.receipts, events, lines)
        self._count(verdicts, sources, messages)
        counted = events[verdicts == ACCEPTED]
        self.folded.lines += int((counted[:, EVENT_END] - counted[:, EVENT_START]).sum())
        if len(fresh):
            working.twin, moved, where = absorb_receipts_traced(twin, fresh)
            working.receipts.append(fresh)
            self.folded.moved.append(moved)
            self.folded.where.append(where)

    def clicks(self, messages: Sequence[Message]) -> None:
        """Clicks of known and anonymous visitors."""
        columns = self._clicks.decode([_record(m) for m in messages])
        for index, error in columns.bad:
            self._set_aside(messages[index], error)
        self._twins.stage_symbols(columns.symbols)
        rows_of: dict[str, list[int]] = {}
        for row, owner in enumerate(columns.owners):
            rows_of.setdefault(owner, []).append(row)
        for owner, rows in rows_of.items():
            arriving, sources = columns.rows[rows], columns.sources[rows]
            erased_until = self._twins.erased_until(owner)
            if erased_until:
                kept = arriving[:, K_SECOND] > erased_until
                arriving, sources = arriving[kept], sources[kept]
            working = self._working(owner)
            twin = working.twin
            fresh, verdicts = accept_clicks(twin.head, twin.clicks, arriving)
            self._count(verdicts, sources, messages)
            if len(fresh):
                working.twin = absorb_clicks(twin, fresh)
                working.clicks.append(fresh)

    def customers(self, messages: Sequence[Message]) -> None:
        """Demographics, consent and identity links."""
        for message in messages:
            if message.value() is None:
                continue  # the retailer dropped its record; erasing the twin takes an erasure request
            customer = self._accepted(read_customer, message)
            if customer is None:
                continue
            body, second = about_of(customer)
            if second > self._twins.erased_until(customer.customer_id):
                working = self._working(customer.customer_id)
                working.twin = fold_about(working.twin, body, second)
            self.folded.claims += [
                (customer.customer_id, other, second)
                for other in customer.anonymous_ids
                if other != customer.customer_id
            ]

    def transfers(self, messages: Sequence[Message]) -> None:
        """Twins that were handed over to this partition, and claims on twins of this partition."""
        for message in messages:
            accepted = self._accepted(_read_transfer, message)
            if accepted is None:
                continue
            transfer, partial = accepted
            if transfer.kind == "claim":
                self.folded.asked.append(transfer)
                continue
            partial = after(partial, self._twins.erased_until(transfer.to_id))
            if not partial.last_second:
                continue
            working = self._working(transfer.to_id)
            if transfer.kind == "withdrawal":
                working.twin = without(working.twin, partial)
                working.withdrawn.append(partial)
                continue
            self._twins.stage_symbols({text: key for key, text in transfer.symbols.items()})
            working.twin = merge(working.twin, partial)
            working.partials.append(partial)

    def erasures(self, messages: Sequence[Message]) -> None:
        """Customers to forget; what they did later stays."""
        for message in messages:
            erasure = self._accepted(read_erasure, message)
            if erasure is None:
                continue
            customer, until = erasure.customer_id, epoch_seconds(erasure.requested_at)
            if until <= max(self._twins.erased_until(customer), self.folded.erased.get(customer, 0)):
                continue
            working = self._working(customer)
            working.twin = after(working.twin, until)
            working.erased_until = until
            self.folded.erased[customer] = until

    def _working(self, customer: str) -> Working:
        working = self.folded.touched.get(customer)
        if working is None:
            stored = self._twins.get(customer)
            working = self.folded.touched[customer] = Working(stored, stored.twin)
        return working

    def _count(self, verdicts: np.ndarray, sources: np.ndarray, messages: Sequence[Message]) -> None:
        accepted = int(np.count_nonzero(verdicts == ACCEPTED))
        self.folded.accepted += accepted
        if accepted == len(verdicts):
            return
        late = sources[verdicts == LATE].tolist()
        self.folded.late += [messages[source] for source in late]
        self.folded.duplicates += len(verdicts) - accepted - len(late)

    def _accepted(self, read: Callable[[Record], T], message: Message) -> T | None:
        try:
            return read(_record(message))
        except BadMessage as error:
            self._set_aside(message, error)
            return None


def _record(message: Message) -> Record:
    return Record(message.key(), message.value(), message.timestamp()[1] / 1000)


def _stacked(tables: list[np.ndarray], columns: int) -> np.ndarray:
    if len(tables) == 1:
        return tables[0]
    return np.concatenate(tables) if tables else empty(columns)


def _read_transfer(record: Record) -> tuple[Transfer, Twin]:
    transfer = decode(Transfer, record.value)
    if transfer.kind == "claim":
        return transfer, Twin()
    try:
        return transfer, read_twin(base64.b64decode(transfer.partial or "", validate=True))
    except ValueError as error:
        raise BadMessage(str(error), "partial") from error
