"""Where releases are written: by one writer at a time, each knowing all that was released before."""

from __future__ import annotations

from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaException

from streams.adapters.releases import read_releases
from streams.adapters.reports import read_states
from streams.errors import TwinsError, UsageError
from streams.kafka import producer, topic_name
from streams.settings import Settings
from streams.topics import ADAPTERS
from twin_store.messages import AdapterRelease, AdapterVersion, Challenger
from twin_store.messages.codec import headers_for

SOURCE = "/twins/adapters"
TIMEOUT_S = 30.0
Headers = list[tuple[str, str | bytes | None]]


class ReleaseError(TwinsError):
    """A release that was not made; nothing has changed."""


class ReleaseDesk:
    """Writes `twins.adapters`. Opening it takes the pen from whoever has it: what they write later fails.

    A compacted topic keeps the last record of a segment, whatever its number. So a late writer must not get its record
    in at all, and comparing numbers as they are read would not be enough: all writers share one transactional id, and
    what is in the topic is read after it was taken.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises `TwinsError` if Kafka cannot be reached."""
        self._settings = settings
        self._producer = producer(settings, transactional_id="adapters")
        try:
            self._producer.init_transactions(TIMEOUT_S)
        except KafkaException as error:
            raise ReleaseError(f"{error.args[0].str()}; is Kafka up? (`twins broker status`)") from error
        self._by_segment = read_releases(settings).by_segment

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._producer.flush(TIMEOUT_S)

    def known(self, segment: str) -> AdapterRelease | None:
        """What is in force, None for a segment without a release."""
        return self._by_segment.get(segment)

    def of(self, segment: str) -> AdapterRelease:
        """What is in force. Raises `UsageError` if the segment has no release."""
        if segment not in self._by_segment:
            known = ", ".join(sorted(self._by_segment)[:10]) or "none"
            raise UsageError(f"segment {segment!r} has no release; there are: {known}")
        return self._by_segment[segment]

    def release(self, segment: str, version: AdapterVersion) -> AdapterRelease:
        """A new champion; a trial that was on is over. The version before is kept to roll back to."""
        now = self._by_segment.get(segment)
        if now is not None and now.champion == version:
            return now
        previous = None if now is None else self._worth_keeping(now)
        return self._publish(segment, **_fields(version), previous=previous, challenger=None)

    def challenge(self, segment: str, challenger: Challenger) -> AdapterRelease:
        """A version on trial beside the champion. Raises `UsageError` without a champion or against itself."""
        if self.of(segment).champion.sha256 == challenger.sha256:
            raise UsageError(f"{challenger.decider_version} is the champion of {segment} already")
        return self._publish(segment, challenger=challenger)

    def end_trial(self, segment: str) -> AdapterRelease:
        """The champion alone. Raises `UsageError` if no trial is on."""
        if self.of(segment).challenger is None:
            raise UsageError(f"no version of {segment} is on trial")
        return self._publish(segment, challenger=None)

    def roll_back(self, segment: str) -> AdapterRelease:
        """The version before, and the other way round; a trial is over. Raises `UsageError` if there is none."""
        now = self.of(segment)
        if now.previous is None:
            raise UsageError(f"{segment} has no version before {now.decider_version}")
        return self._publish(segment, **_fields(now.previous), previous=now.champion, challenger=None)

    def withdraw(self, segment: str) -> None:
        """Take a segment out of service: the base answers, as for those that never had an adapter.

        Raises `UsageError` if it has no release. What follows is a first release again, with nothing to roll back to.
        """
        self.of(segment)
        self._write(segment, None, [])
        del self._by_segment[segment]

    def pin(self, segment: str, pinned: bool) -> AdapterRelease:
        """Keep the segment's adapters in the model's memory, or not any more. Raises `UsageError`."""
        now = self.of(segment)
        return now if now.pinned == pinned else self._publish(segment, pinned=pinned)

    def _worth_keeping(self, now: AdapterRelease) -> AdapterVersion | None:
        """The champion, unless workers refused it and none has it: then there is nothing to return to in it."""
        states = read_states(self._settings).get((now.segment, now.decider_version), [])
        if states and all(state.status == "refused" for state in states):
            return now.previous
        return now.champion

    def _publish(self, segment: str, **changes: Any) -> AdapterRelease:
        now, moment = self._by_segment.get(segment), datetime.now(UTC)
        before = {} if now is None else {name: getattr(now, name) for name in AdapterRelease.model_fields}
        number = 1 if now is None else now.number + 1
        fields = before | {"segment": segment, "version": AdapterRelease.current_version} | changes
        release = AdapterRelease(**fields | {"number": number, "released_at": moment})
        self._write(segment, release.to_wire(), headers_for(release, SOURCE, moment))
        self._by_segment[segment] = release
        return release

    def _write(self, segment: str, value: bytes | None, headers: Headers) -> None:
        """One record, alone in its transaction; None withdraws."""
        try:
            self._producer.begin_transaction()
            self._producer.produce(
                topic_name(self._settings, ADAPTERS),
                value,
                segment.encode(),
                headers=headers,
            )
            self._producer.commit_transaction(TIMEOUT_S)
        except KafkaException as error:
            raise ReleaseError(
                f"nothing has changed for {segment}: {error.args[0].str()}; if somebody else released at the same "
                "time, look with `twins adapters list` and try again"
            ) from error


def _fields(version: AdapterVersion) -> dict[str, Any]:
    return {name: getattr(version, name) for name in AdapterVersion.model_fields}
