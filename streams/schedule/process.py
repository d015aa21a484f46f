"""The scheduler process. Any number may run: the one that is assigned the only partition of `twins.jobs` leads."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import threading
from collections.abc import Callable

from confluent_kafka import Consumer, TopicPartition

from streams.errors import TwinsError
from streams.kafka import consumer, topic_name
from streams.schedule.kubernetes import KubernetesRun
from streams.schedule.leader import Leader
from streams.schedule.pen import FencedError
from streams.schedule.runs import ChildRun, Run, folder_of
from streams.settings import Settings
from streams.telemetry import Telemetry
from streams.topics import JOBS
from twin_store.messages import TrainingJob

NAME = "scheduler"
STEP_S = 0.25
AGAIN_S = 2.0
_log = logging.getLogger(__name__)


class Election:
    """Membership in the group of schedulers; `leads` is whether the partition is ours."""

    def __init__(self, settings: Settings) -> None:
        self.leads = False
        self._reader: Consumer = consumer(settings, NAME)
        self._reader.subscribe(
            [topic_name(settings, JOBS)],
            on_assign=self._assigned,
            on_revoke=self._revoked,
            on_lost=self._revoked,
        )

    def poll(self) -> None:
        """Take part. What is read is nothing to us: the leader reads the topic whole."""
        self._reader.poll(STEP_S)

    def close(self) -> None:
        """Leave."""
        self._reader.close()

    def _assigned(self, reader: Consumer, partitions: list[TopicPartition]) -> None:
        self.leads = self.leads or bool(partitions)
        reader.incremental_assign(partitions)
        reader.pause(partitions)

    def _revoked(self, reader: Consumer, partitions: list[TopicPartition]) -> None:
        self.leads = False
        reader.incremental_unassign(partitions)


def run(settings: Settings, stop: threading.Event, member: str, telemetry: Telemetry) -> None:
    """Take part until `stop` is set, and lead when it is our turn. Raises `TwinsError` if topics are missing."""
    owner = f"{socket.gethostname()}-{os.getpid()}-{member}"
    leading = telemetry.gauge("leads", "Whether this scheduler leads")
    start = _starter(settings)
    election = Election(settings)
    leader: Leader | None = None
    try:
        while not stop.is_set():
            election.poll()
            telemetry.beat()
            telemetry.ready(True)
            try:
                if election.leads and leader is None:
                    leader = Leader(settings, owner, start)
                    _log.info("%s leads", owner)
                elif not election.leads and leader is not None:
                    leader.close()
                    leader = None
                if leader is not None:
                    leader.step()
            except FencedError as error:
                _log.warning("%s does not lead any more: %s", owner, error)
                if leader is not None:
                    leader.close()
                    leader = None
                stop.wait(AGAIN_S)
            leading.set(leader is not None)
    finally:
        telemetry.ready(False)
        if leader is not None:
            leader.close()
        election.close()


def _starter(settings: Settings) -> Callable[[Settings, TrainingJob], Run]:
    if settings.schedule_runner == "process":
        return ChildRun
    if shutil.which("kubectl") is None:
        raise TwinsError(
            "schedule_runner kubernetes needs kubectl, with rights to create Jobs; it is not there"
        )
    return lambda known, job: KubernetesRun(known, job, folder_of(known, job))
