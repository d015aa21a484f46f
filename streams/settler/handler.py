"""What the settler does with a batch: follow the twins, open the answers, settle what can be settled."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from confluent_kafka import Message

from streams.batch import Batch, Outbox, Source
from streams.dead_letters import dead_letter_record
from streams.decoding import FastDecoder
from streams.settings import Settings
from streams.settler.metrics import SettlerMetrics
from streams.settler.partition import PartitionState
from streams.topics import DEAD_LETTERS, OUTCOMES, SETTLER_STATE, STATE, Topic
from twin_store.messages import Outcome, Prediction
from twin_store.messages.codec import BadMessage, instant_of, shared_headers
from twin_store.messages.wire import struct_for
from twin_store.outcomes import Settled, Unsettled, brier, settle, unsettled_of
from twin_store.symbols import KeyMemo

STAGE = "settler"
SOURCE = "/twins/settler"
LOOKS_MAX = 2_000  # answers looked at in one batch: a restart looks at all of them again
NEEDED = (
    *("version", "query_id", "kind", "customer_id", "status", "as_of", "probabilities"),
    *("decider", "decider_version", "subject", "settlement"),
)
HeardEnd = Callable[[int], int]
"""The end of a partition of the twins' changelog, as it was last heard."""

_Outcome = struct_for(Outcome)
_encode = msgspec.json.Encoder().encode


class Settler:
    """The handler of the settler's lane; see `streams.batch.Handler`."""

    def __init__(self, settings: Settings, reader: str, heard_end: HeardEnd, metrics: SettlerMetrics) -> None:
        self._settings = settings
        self._reader = reader
        self._heard_end = heard_end
        self._metrics = metrics
        self._grace = round(settings.settle_grace_hours * 3600)
        self._decode = FastDecoder(Prediction, NEEDED)
        self._keys = KeyMemo()
        self._partitions: dict[int, PartitionState] = {}
        self._settled: list[tuple[Unsettled, Settled, float | None]] = []

    def assigned(self, partition: int, committed: Mapping[Topic, int]) -> None:
        """See `Handler`."""
        self._partitions[partition] = PartitionState(self._settings, self._reader, partition)

    def revoked(self, partition: int) -> None:
        """See `Handler`."""
        state = self._partitions.pop(partition, None)
        if state is not None:
            state.close()

    def follow_from(self, partition: int) -> int:
        """Where the lane reads on in the twins' changelog."""
        return self._partitions[partition].replica.position

    def due(self) -> bool:
        """Whether answers wait to be looked at."""
        return any(state.book.is_due() for state in self._partitions.values())

    def handle(self, batch: Batch, outbox: Outbox) -> Mapping[Source, int | None]:
        """See `Handler`."""
        for (topic, partition), messages in batch.records.items():
            state = self._partitions[partition]
            if topic is STATE:
                state.follow(messages)
            else:
                self._open(state, messages, outbox)
        for (_, partition), end in batch.ends.items():
            self._partitions[partition].found_end(end)
        for state in self._partitions.values():
            state.advance(self._heard_end(state.number))
            self._settle(state, outbox)
            for key, value in state.book.changes():
                outbox.send(SETTLER_STATE, key, value, partition=state.number)
        return {}

    def committed(self) -> None:
        """See `Handler`."""
        for state in self._partitions.values():
            state.book.committed()
        self._metrics.batch_counts.committed()
        for answer, settled, score in self._settled:
            self._metrics.settled(answer, settled, score)
        self._settled.clear()
        self._metrics.open.set(sum(len(state.book) for state in self._partitions.values()))

    def aborted(self) -> None:
        """See `Handler`."""
        for state in self._partitions.values():
            state.book.aborted()
        self._metrics.batch_counts.aborted()
        self._settled.clear()

    def _open(self, state: PartitionState, messages: list[Message], outbox: Outbox) -> None:
        for message in messages:
            try:
                prediction = self._decode(message.value())
                self._metrics.batch_counts.add(self._metrics.taken.labels(prediction.status))
                if prediction.status != "answered":
                    continue
                answer = unsettled_of(prediction, self._keys)
                if answer is not None:
                    state.book.add(answer)
            except BadMessage as error:
                outbox.send(DEAD_LETTERS, *dead_letter_record(message, STAGE, error))
                self._metrics.batch_counts.add(self._metrics.dead)

    def _settle(self, state: PartitionState, outbox: Outbox) -> None:
        """Look at what is due and publish what is settled."""
        reached = state.book.time.reached
        headers = shared_headers(Outcome, SOURCE, datetime.now(UTC))
        for answer in state.book.due(LOOKS_MAX):
            if answer.as_of <= state.replica.erased_until(answer.customer_id):
                state.book.remove(answer.query_id)
                self._metrics.batch_counts.add(self._metrics.forgotten)
                continue
            settled = settle(answer, state.replica.twin(answer.customer_id), reached, self._grace)
            if isinstance(settled, int):
                state.book.look_at(answer.query_id, settled)
                continue
            state.book.remove(answer.query_id)
            score = brier(answer.probabilities, settled.truths)
            value = _encode(outcome_of(answer, settled, score))
            outbox.send(
                OUTCOMES,
                answer.customer_id.encode(),
                value,
                [*headers, ("ce_id", answer.query_id.encode())],
            )
            self._settled.append((answer, settled, score))


def outcome_of(answer: Unsettled, settled: Settled, score: float | None) -> Any:
    """The message, as the fast twin of `Outcome`. A twin keeps no receipt numbers, so it names none."""
    return _Outcome(
        query_id=answer.query_id,
        kind=answer.kind,
        customer_id=answer.customer_id,
        as_of=instant_of(answer.as_of),
        settled_at=instant_of(settled.second),
        settled_by=settled.by,
        void=not settled.truths,
        truths=settled.truths,
        probabilities=tuple(answer.probabilities),
        brier=score,
        decider=answer.decider,
        decider_version=answer.decider_version,
    )
