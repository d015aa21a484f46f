"""What the updater does with a batch: fold it, render each touched twin once, write the changelog."""

import base64
import time
from collections import ChainMap
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime

import numpy as np
from confluent_kafka import Message

from streams.batch import Batch, Outbox, Source, next_offset
from streams.kafka import partition_for, topic_name
from streams.settings import Settings
from streams.topics import (
    CLICKSTREAM,
    CUSTOMERS,
    ERASURE,
    PRODUCT_DELTAS,
    PROFILES,
    STATE,
    TRANSACTIONS,
    TRANSFERS,
    Topic,
)
from streams.updater.folding import Folded, Folder, Working
from streams.updater.letters import Letters
from streams.updater.names import CatalogueNames
from streams.updater.partition import PartitionState
from twin_store.columns import ClickDecoder, ReceiptDecoder
from twin_store.dna.binary import write_twin
from twin_store.dna.layout import C_SKU
from twin_store.dna.profile import ProfileWriter, source_offsets
from twin_store.messages import Profile, Transfer
from twin_store.messages.codec import BadMessage, instant_of
from twin_store.product_statistics import deltas_of, split, write_statistics

COMPANIONS = (CLICKSTREAM, CUSTOMERS, TRANSFERS, ERASURE, PRODUCT_DELTAS)
POSITION_EVERY_S = 5.0
EndOffset = Callable[[int], int]
"""The end of a partition's changelog."""


class Updater:
    """The handler of the hot lane; see `streams.batch.Handler`."""

    def __init__(self, settings: Settings, end_offset: EndOffset) -> None:
        self._settings = settings
        self._end_offset = end_offset
        self._receipts = ReceiptDecoder(settings.currency)
        self._clicks = ClickDecoder()
        self._writer = ProfileWriter(settings.currency)
        self._names = CatalogueNames(settings)
        self._partitions: dict[int, PartitionState] = {}
        self._ticking: list[PartitionState] = []
        self._touched: list[PartitionState] = []
        self._sku_partitions: dict[int, int] = {}
        self._position_at: dict[int, tuple[float, int]] = {}
        self.letters = Letters()
        self.totals = Folded()
        self.profiles = 0
        self.oldest_ms = 0  # when the batch's first event reached the broker; 0 if it has none

    def assigned(self, partition: int) -> None:
        """See `Handler`."""
        self._partitions[partition] = PartitionState.open(self._settings, partition)

    def revoked(self, partition: int) -> None:
        """See `Handler`."""
        state = self._partitions.pop(partition, None)
        if state is not None:
            state.close()

    def due(self) -> bool:
        """Whether held-back product deltas wait for a tick."""
        return any(state.products.due() for state in self._partitions.values())

    def handle(self, batch: Batch, outbox: Outbox) -> Mapping[Source, int | None]:
        """See `Handler`."""
        by_partition: dict[int, dict[Topic, list[Message]]] = {}
        self.oldest_ms = min(
            (
                messages[0].timestamp()[1]
                for (topic, _), messages in batch.records.items()
                if topic is not PRODUCT_DELTAS
            ),
            default=0,
        )
        for (topic, partition), messages in batch.records.items():
            by_partition.setdefault(partition, {})[topic] = messages
        moved: list[np.ndarray] = []
        where: list[np.ndarray] = []
        symbols: list[MutableMapping[int, str]] = []
        for partition, records in by_partition.items():
            state = self._partitions[partition]
            folded = self._fold(state, records, outbox)
            self._publish(state, folded, outbox)
            rows, places = folded.moved_rows()
            moved.append(rows)
            where.append(places)
            symbols.append(state.twins.symbols)
            self._touched.append(state)
        if moved:
            self._send_product_deltas(
                np.concatenate(moved), np.concatenate(where), ChainMap(*symbols), outbox
            )
        return self._tick_products(outbox)

    def committed(self) -> None:
        """See `Handler`."""
        for state in self._touched:
            state.twins.adopt(self._position(state.number))
        for state in self._ticking:
            state.products.committed()
        self._touched, self._ticking = [], []

    def aborted(self) -> None:
        """See `Handler`."""
        for state in self._partitions.values():
            state.twins.discard()
            state.products.aborted()
            state.positions.clear()  # they include what will be read again
        self._touched, self._ticking = [], []

    def close(self) -> None:
        """Let go of the catalogue."""
        self._names.close()

    def hot(self) -> tuple[int, int]:
        """Twins decoded in memory, and the bytes of their tables."""
        states = self._partitions.values()
        return sum(s.twins.hot_count() for s in states), sum(s.twins.hot_bytes() for s in states)

    def _fold(self, state: PartitionState, records: dict[Topic, list[Message]], outbox: Outbox) -> Folded:
        def set_aside(message: Message, error: BadMessage) -> None:
            self.letters.bad(outbox, message, error)

        folder = Folder(self._receipts, self._clicks, state.twins, set_aside)
        steps = (
            (TRANSACTIONS, folder.receipts),
            (CLICKSTREAM, folder.clicks),
            (CUSTOMERS, folder.customers),
            (TRANSFERS, folder.transfers),
            (ERASURE, folder.erasures),
        )
        for topic, step in steps:
            if messages := records.get(topic):
                step(messages)
                state.positions[(topic_name(self._settings, topic), state.number)] = next_offset(messages)
        for message in records.get(PRODUCT_DELTAS, ()):
            state.products.take(message.value() or b"", next_offset([message]))
        for message in folder.folded.late:
            self.letters.old(outbox, message)
        self.totals.accepted += folder.folded.accepted
        self.totals.duplicates += folder.folded.duplicates
        self.totals.lines += folder.folded.lines
        return folder.folded

    def _publish(self, state: PartitionState, folded: Folded, outbox: Outbox) -> None:
        """Each touched twin once: its changelog record and its profile; then links and erasures."""
        twins = state.twins
        names = self._names.current()
        offsets = source_offsets(state.positions)
        headers = _shared_headers()
        erased = dict(folded.erased)
        for customer, until in folded.erased:
            twins.stage_erasure(customer, until)
            outbox.send(PROFILES, customer.encode(), None)
        for customer, working in folded.touched.items():
            target = twins.forwarded_to(customer)
            if target is not None:
                self._forward(customer, target, working, twins.symbols, outbox)
            elif working.changed and not (customer in erased and not working.twin.last_second):
                before = twins.get(customer)
                twins.stage(customer, before, working.twin, None if customer in erased else working.delta())
                content_hash, value = self._writer.write(
                    customer, working.twin, names, twins.symbols, offsets
                )
                outbox.send(PROFILES, customer.encode(), value, [*headers, ("ce_id", content_hash.encode())])
                self.profiles += 1
        self._settle_links(state, folded, outbox)
        for record_key, record in twins.changes():
            outbox.send(STATE, record_key, record, partition=state.number)

    def _settle_links(self, state: PartitionState, folded: Folded, outbox: Outbox) -> None:
        for customer, anonymous, second in folded.claims:
            claim = Transfer(kind="claim", from_id=customer, to_id=anonymous, occurred_at=instant_of(second))
            outbox.send(TRANSFERS, anonymous.encode(), claim.to_wire())
        for claim in folded.asked:
            if state.twins.forwarded_to(claim.to_id) is not None:
                continue
            stored = state.twins.get(claim.to_id)
            if stored.twin.last_second:
                self._forward(
                    claim.to_id,
                    claim.from_id,
                    Working(stored, stored.twin, merged=True),
                    state.twins.symbols,
                    outbox,
                )
                outbox.send(PROFILES, claim.to_id.encode(), None)
            state.twins.stage_link(claim.to_id, claim.from_id)

    def _forward(
        self, anonymous: str, customer: str, working: Working, symbols: Mapping[int, str], outbox: Outbox
    ) -> None:
        """Hand a partial twin to the customer that an anonymous id became."""
        twin = working.twin
        if not twin.last_second:
            return
        held = np.unique(np.concatenate((twin.cells[:, C_SKU], twin.visits[:, 0], twin.receipts[:, 1])))
        transfer = Transfer(
            kind="partial",
            from_id=anonymous,
            to_id=customer,
            occurred_at=instant_of(twin.last_second),
            partial=base64.b64encode(write_twin(twin, 0)).decode(),
            symbols={key: symbols[key] for key in held.tolist() if key in symbols},
        )
        outbox.send(TRANSFERS, customer.encode(), transfer.to_wire())

    def _send_product_deltas(
        self, moved: np.ndarray, where: np.ndarray, symbols: Mapping[int, str], outbox: Outbox
    ) -> None:
        if not len(moved):
            return
        deltas = deltas_of(moved, where)
        keys = np.unique(moved[:, C_SKU])
        known = self._sku_partitions
        for key in keys.tolist():
            if key not in known:
                known[key] = partition_for(symbols[key].encode(), self._settings.partitions)
        part_of = np.array([known[key] for key in keys.tolist()])
        for partition, part in enumerate(split(deltas, part_of, keys, self._settings.partitions)):
            if len(part.stores):
                held = np.unique(np.concatenate((part.stores[:, 0], part.stores[:, 1]))).tolist()
                block = write_statistics(part, {key: symbols[key] for key in held})
                outbox.send(PRODUCT_DELTAS, str(partition).encode(), block, partition=partition)

    def _tick_products(self, outbox: Outbox) -> dict[Source, int | None]:
        """Publish the products whose time has come; the deltas of the others stay uncommitted."""
        held: dict[Source, int | None] = {}
        for number, state in self._partitions.items():
            if state.products.due():
                state.twins.stage_records(state.products.tick(outbox))
                self._ticking.append(state)
                if state not in self._touched:
                    self._touched.append(state)
            elif state.products.waiting:
                held[(PRODUCT_DELTAS, number)] = None
        return held

    def _position(self, partition: int) -> int:
        """A changelog offset that everything adopted so far is at or after; refreshed now and then.

        A restart reads from there on. It may read records that the store has already: they are whole values.
        """
        taken, position = self._position_at.get(partition, (0.0, 0))
        now = time.monotonic()
        if now - taken > POSITION_EVERY_S:
            position = self._end_offset(partition)
            self._position_at[partition] = (now, position)
        return position


def _shared_headers() -> list[tuple[str, bytes]]:
    """CloudEvents attributes that all profiles of a batch share; the id of each is its content hash."""
    return [
        ("ce_specversion", b"1.0"),
        ("ce_source", b"/twins/updater"),
        ("ce_type", Profile.cloud_event_type().encode()),
        ("ce_time", datetime.now(UTC).isoformat().encode()),
        ("content-type", b"application/json"),
    ]
