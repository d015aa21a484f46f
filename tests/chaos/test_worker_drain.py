"""SIGTERM, as whoever moves containers sends it: what is in flight is committed, and the partitions are given back."""

from __future__ import annotations

import itertools
import json
from collections import Counter

import pytest
from confluent_kafka import TopicPartition

from streams.kafka import Publisher, admin, consumer, group_name, partitions_of, read_to_end, topic_name
from streams.settings import Settings
from streams.topics import PREDICTIONS, QUERIES
from tests.chaos.members import Member
from tests.chaos.progress import ANSWER_S, progress
from tests.chaos.test_worker_kill import ask, ids, questions, with_twins

pytestmark = [pytest.mark.broker, pytest.mark.timeout(400)]
ASKED = 600


def ends(settings: Settings, uncommitted: bool) -> list[int]:
    """Where each partition of the predictions ends, with or without what an open transaction holds."""
    reader = consumer(settings, "worker", uncommitted=uncommitted)
    name = topic_name(settings, PREDICTIONS)
    found = [
        reader.get_watermark_offsets(TopicPartition(name, p), ANSWER_S)[1]
        for p in partitions_of(reader, name)
    ]
    reader.close()
    return found


def committed_queries(settings: Settings) -> set[str]:
    """The ids of the queries before the group's committed offsets."""
    reader = consumer(settings, "worker")
    name = topic_name(settings, QUERIES)
    wanted = [TopicPartition(name, p) for p in partitions_of(reader, name)]
    until = {tp.partition: tp.offset for tp in reader.committed(wanted, ANSWER_S)}
    reader.close()
    return {
        json.loads(m.value() or b"")["query_id"]
        for m in read_to_end(settings, QUERIES)
        if (m.offset() or 0) < until[m.partition() or 0]
    }


def test_a_worker_that_is_told_to_end_ends_between_two_transactions(settings: Settings) -> None:
    settings = with_twins(settings)
    worker, other = Member(settings, "worker"), Member(settings, "worker", "1")
    asked = list(itertools.islice(questions(), ASKED))
    worker.start()
    try:
        with Publisher(settings) as publisher, progress(settings, "worker", PREDICTIONS) as answers:
            ask(publisher, asked)
            answers.until_written(ASKED // 10)
        worker.stop()

        client, name = admin(settings), group_name(settings, "worker")
        group = client.describe_consumer_groups([name])[name].result(ANSWER_S)
        assert group.members == [], "it did not leave its group"
        assert ends(settings, uncommitted=False) == ends(settings, uncommitted=True), "a transaction is open"
        answered = ids(settings, PREDICTIONS)
        assert 0 < len(answered) < ASKED, "it had nothing left to do, or had not begun"
        assert set(answered.values()) == {1}
        assert committed_queries(settings) <= set(answered)

        other.start()
        with progress(settings, "worker", QUERIES) as queries:
            queries.until_committed(queries.end)
        other.stop()
        assert ids(settings, PREDICTIONS) == Counter(each.query_id for each in asked)
    finally:
        worker.kill()
        other.kill()
