"""What workers say became of the adapters that were released: published, and read back."""

from __future__ import annotations

import logging
from collections import defaultdict
from datetime import UTC, datetime
from typing import Literal

from confluent_kafka import KafkaException

from streams.errors import TwinsError
from streams.kafka import Publisher, read_to_end
from streams.settings import Settings
from streams.topics import ADAPTER_STATES
from twin_store.messages import AdapterState, AdapterVersion
from twin_store.messages.codec import BadMessage, decode, headers_for

SOURCE = "/twins/worker"
DETAIL_MAX = 1_000
FLUSH_TIMEOUT_S = 5.0
Role = Literal["champion", "previous", "challenger"]
Status = Literal["loaded", "refused", "retired"]
States = dict[tuple[str, str], list[AdapterState]]
"""The last word of each worker, by segment and version."""
_log = logging.getLogger(__name__)


class Reporter:
    """Publishes for one worker. What it cannot deliver is logged: a report must not stop a swap."""

    def __init__(self, settings: Settings, worker: str) -> None:
        self._worker = worker
        self._publisher = Publisher(settings)
        self._last: dict[str, tuple[Status, Role | None, int]] = {}

    def say(
        self,
        segment: str,
        number: int,
        version: AdapterVersion,
        status: Status,
        role: Role | None = None,
        reason: str | None = None,
        detail: str | None = None,
    ) -> None:
        """One report, unless it was the last one about this version too."""
        report_id = f"{self._worker}/{segment}/{version.decider_version}"
        if self._last.get(report_id) == (status, role, number):
            return
        now = datetime.now(UTC)
        state = AdapterState(
            report_id=report_id,
            worker=self._worker,
            segment=segment,
            number=number,
            decider_version=version.decider_version,
            role=role,
            status=status,
            reason=reason,
            detail=detail[:DETAIL_MAX] if detail else None,
            reported_at=now,
        )
        _log.info("adapter %s of %s: %s %s", version.decider_version, segment, status, detail or "")
        try:
            key, headers = report_id.encode(), headers_for(state, SOURCE, now)
            self._publisher.publish(ADAPTER_STATES, key, state.to_wire(), headers)
        except (TwinsError, KafkaException) as error:
            _log.warning("a report is lost: %s", error)
            return
        self._last[report_id] = (status, role, number)
        if status == "retired":
            del self._last[report_id]

    def flush(self) -> None:
        """Wait until they are there."""
        try:
            self._publisher.flush(FLUSH_TIMEOUT_S)
        except TwinsError as error:
            _log.warning("reports are late or lost: %s", error)


def read_states(settings: Settings) -> States:
    """What every worker last said of every version. Raises `KafkaReadError`."""
    last: dict[str, AdapterState] = {}
    for message in read_to_end(settings, ADAPTER_STATES):
        try:
            state = decode(AdapterState, message.value())
        except BadMessage as error:
            _log.warning("the report at offset %s cannot be read: %s", message.offset(), error)
            continue
        last[state.report_id] = state
    found: States = defaultdict(list)
    for state in last.values():
        found[state.segment, state.decider_version].append(state)
    return found
