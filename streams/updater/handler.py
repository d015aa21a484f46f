"""What the updater does with a batch: fold it, render each touched twin once, write the changelog."""

import time
from collections import ChainMap, Counter
from collections.abc import Callable, Mapping, MutableMapping
from datetime import UTC, datetime

import numpy as np
from confluent_kafka import Message

from streams.batch import Batch, Outbox, Source, next_offset
from streams.kafka import topic_name
from streams.settings import Settings
from streams.topics import (
    CLICKSTREAM,
    CUSTOMERS,
    ERASURE,
    PRODUCT_DELTAS,
    PROFILES,
    SEGMENT_MOVES,
    STATE,
    TRANSACTIONS,
    TRANSFERS,
    Topic,
)
from streams.updater import SOURCE
from streams.updater.folding import Folded, Folder
from streams.updater.identities import Identities
from streams.updater.letters import send_bad, send_late
from streams.updater.moves import as_message, moves_between
from streams.updater.partition import PartitionState
from streams.updater.sku_partitions import SkuPartitions
from twin_store.click_columns import ClickDecoder
from twin_store.columns import ReceiptDecoder
from twin_store.dna.profile import ProductNames, ProfileWriter, source_offsets
from twin_store.dna.twin import Twin
from twin_store.messages import Profile
from twin_store.messages.codec import BadMessage, headers_for, shared_headers
from twin_store.product_statistics import deltas_of, write_statistics
from twin_store.segments import load_definitions

COMPANIONS = (CLICKSTREAM, CUSTOMERS, TRANSFERS, ERASURE, PRODUCT_DELTAS)
POSITION_EVERY_S = 60.0  # asking takes a tenth of a second; a restart reads so much of the changelog again
# Of the time that ticks take at most: with much to publish they come less often and coalesce more. Receipts wait not
# only for a tick: what it publishes is sent, stored and read back too.
TICK_SHARE, IDLE_TICK_SHARE = 0.02, 0.5


class Updater:
    """The handler of the hot lane; see `streams.batch.Handler`.

    Args:
        end_offset: the end of a partition's changelog.
        names: what is known of the products as of now.
        open_partition: opens a partition's state, brought up to the end of its changelog.
        tick_share: the share of the time that may go to publishing statistics of products while receipts come.
    """

    def __init__(
        self,
        settings: Settings,
        end_offset: Callable[[int], int],
        names: Callable[[], ProductNames],
        open_partition: Callable[[int], PartitionState],
        tick_share: float = TICK_SHARE,
    ) -> None:
        self._settings = settings
        self._end_offset = end_offset
        self._names = names
        self._open_partition = open_partition
        self._receipts = ReceiptDecoder(settings.currency)
        self._clicks = ClickDecoder()
        self._writer = ProfileWriter(settings.currency)
        self._segments = load_definitions()
        self._partitions: dict[int, PartitionState] = {}
        self._ticking: list[PartitionState] = []
        self._touched: list[PartitionState] = []
        self._sku_partitions = SkuPartitions(settings.partitions)
        self._position_at: dict[int, tuple[float, int]] = {}
        self._batch: Counter[str] = Counter()
        self.totals: Counter[str] = Counter()  # what committed batches did, by the names of the metrics
        self._tick_share = tick_share
        self._ticked, self._tick_took = 0.0, 0.0
        self.tick_cpu_s = 0.0  # processor time that ticks have taken so far
        self.oldest_ms = 0  # when the batch's first event reached the broker; 0 if it has none

    def assigned(self, partition: int, committed: Mapping[Topic, int]) -> None:
        """See `Handler`."""
        state = self._partitions[partition] = self._open_partition(partition)
        sources = {topic: offset for topic, offset in committed.items() if topic is not PRODUCT_DELTAS}
        state.positions = {(topic_name(self._settings, t), partition): o for t, o in sources.items()}

    def revoked(self, partition: int) -> None:
        """See `Handler`."""
        state = self._partitions.pop(partition, None)
        if state is not None:
            state.close()

    def due(self) -> bool:
        """Whether held-back product deltas wait for a tick, if nothing else comes."""
        return bool(self._due_for_a_tick(max(IDLE_TICK_SHARE, self._tick_share)))

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
        return self._tick_products(
            outbox, self._tick_share if batch else max(IDLE_TICK_SHARE, self._tick_share)
        )

    def committed(self) -> None:
        """See `Handler`."""
        for state in self._touched:
            state.twins.adopt(self._position(state.number))
            state.positions |= state.staged_positions
            state.staged_positions = {}
        for state in self._ticking:
            state.products.committed()
        self.totals.update(self._batch)
        self._batch.clear()
        self._touched, self._ticking = [], []

    def aborted(self) -> None:
        """See `Handler`."""
        for state in self._partitions.values():
            state.twins.discard()
            state.products.aborted()
            state.staged_positions = {}
        self._batch.clear()
        self._touched, self._ticking = [], []

    def twins(self) -> int:
        """Twins of the partitions held, those of ids that became a customer included."""
        return sum(state.twins.count() for state in self._partitions.values())

    def hot(self) -> tuple[int, int]:
        """Twins decoded in memory, and the bytes of their tables."""
        states = self._partitions.values()
        return sum(s.twins.hot_count() for s in states), sum(s.twins.hot_bytes() for s in states)

    def _fold(self, state: PartitionState, records: dict[Topic, list[Message]], outbox: Outbox) -> Folded:
        def set_aside(message: Message, error: BadMessage) -> None:
            send_bad(outbox, message, error)
            self._batch["dead_letters"] += 1

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
                place = (topic_name(self._settings, topic), state.number)
                state.staged_positions[place] = next_offset(messages)
        for message in records.get(PRODUCT_DELTAS, ()):
            state.products.take(message.value() or b"", next_offset([message]))
        for message in folder.folded.late:
            send_late(outbox, message)
        folded = folder.folded
        self._batch.update(
            lines=folded.lines, events=folded.accepted, duplicates=folded.duplicates, late=len(folded.late)
        )
        return folded

    def _publish(self, state: PartitionState, folded: Folded, outbox: Outbox) -> None:
        """Erasures; each touched twin once, its changelog record and its profile; then links."""
        twins = state.twins
        identities = Identities(twins, outbox)
        names = self._names()
        offsets = source_offsets(state.positions | state.staged_positions)
        headers = shared_headers(Profile, SOURCE, datetime.now(UTC))
        for customer, until in folded.erased.items():
            identities.forget(customer, until)
        for customer, working in folded.touched.items():
            if not working.changed or (working.is_empty and customer in folded.erased):
                continue
            twins.stage(customer, twins.get(customer), working.twin, working.delta())
            if twins.forwarded_to(customer) is not None:
                identities.pass_on(customer, working)
                continue
            if working.is_empty:
                outbox.send(PROFILES, customer.encode(), None)
                outbox.send(SEGMENT_MOVES, customer.encode(), None)
                continue
            content_hash, value = self._writer.write(customer, working.twin, names, twins.symbols, offsets)
            outbox.send(PROFILES, customer.encode(), value, [*headers, ("ce_id", content_hash.encode())])
            self._batch["profiles"] += 1
            self._send_moves(customer, working.before.twin, working.twin, outbox)
        for claim in folded.claims:
            identities.claim(*claim)
        for asked in folded.asked:
            identities.settle(asked)
        for record_key, record in twins.changes():
            outbox.send(STATE, record_key, record, partition=state.number)

    def _send_moves(self, customer: str, before: Twin, after: Twin, outbox: Outbox) -> None:
        for move in moves_between(before, after, self._segments):
            message = as_message(customer, move, self._segments)
            headers = headers_for(message, SOURCE, message.moved_at)
            outbox.send(SEGMENT_MOVES, customer.encode(), message.to_wire(), headers)

    def _send_product_deltas(
        self, moved: np.ndarray, where: np.ndarray, symbols: Mapping[int, str], outbox: Outbox
    ) -> None:
        if not len(moved):
            return
        deltas = deltas_of(moved, where)
        parts = deltas.split(lambda keys: self._sku_partitions.of(keys, symbols), self._settings.partitions)
        for partition, part in enumerate(parts):
            if part.rows():
                block = write_statistics(part, {key: symbols[key] for key in part.keys().tolist()})
                outbox.send(PRODUCT_DELTAS, str(partition).encode(), block, partition=partition)

    def _tick_products(self, outbox: Outbox, share: float) -> dict[Source, int | None]:
        """Publish products whose time has come; what deltas wait for theirs stays uncommitted.

        One partition a batch, the one that has waited longest: receipts wait behind a tick.
        """
        due = self._due_for_a_tick(share)
        if due:
            state = self._partitions[min(due, key=due.__getitem__)]
            began, began_cpu = time.monotonic(), time.thread_time()
            state.twins.stage_records(state.products.tick(outbox))
            self.tick_cpu_s += time.thread_time() - began_cpu
            self._ticked = time.monotonic()
            self._tick_took = self._ticked - began
            self._ticking.append(state)
            if state not in self._touched:
                self._touched.append(state)
        held = {number: state.products.held_back() for number, state in self._partitions.items()}
        return {(PRODUCT_DELTAS, number): since for number, since in held.items() if since is not None}

    def _due_for_a_tick(self, share: float) -> dict[int, float]:
        """Of the partitions that are due, since when; none before ticks would take less than a share of the time."""
        if time.monotonic() < self._ticked + self._tick_took / share:
            return {}
        due = {number: state.products.due_since() for number, state in self._partitions.items()}
        return {number: since for number, since in due.items() if since is not None}

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
