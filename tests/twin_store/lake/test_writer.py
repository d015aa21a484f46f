"""Each record is in the lake once: after crashes, next to zombies, whatever was half written."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pytest

from tests.twin_store.lake.feed import PARTITIONS, TOPICS, Feed, click, new_writer, offsets, open_log, receipt
from twin_store.lake import Lake, LakeError, LakeFormat, LakeWriter, bucket_of, compact
from twin_store.lake.storage import Storage

SEEDS = 20


class Crash(BaseException):
    """The process ends here."""


class MortalStorage(Storage):
    """A real store whose process dies after a given number of writes."""

    writes_left = 10**9

    def write_table(self, path: str, table: pa.Table) -> int:
        self._write()
        return super().write_table(path, table)

    def create(self, path: str, content: bytes) -> None:
        self._write()
        super().create(path, content)

    def delete(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._write()
            super().delete([path])

    def _write(self) -> None:
        if self.writes_left <= 0:
            raise Crash
        self.writes_left -= 1


@contextmanager
def survived() -> Iterator[None]:
    try:
        yield
    except Crash:
        return


def everything(lake: Lake) -> list[tuple[str, int, int]]:
    rows = lake.scan_transactions().select("topic", "partition", "offset").collect()
    rows = rows.vstack(lake.scan_clicks().select("topic", "partition", "offset").collect())
    return offsets(rows.iter_rows(named=True))


def published(feed: Feed) -> list[tuple[str, int, int]]:
    return sorted(
        (*source, offset) for source, records in feed.records.items() for offset in range(len(records))
    )


def test_a_new_writer_goes_on_where_the_lake_ends(url: str) -> None:
    feed = Feed()
    for number in range(20):
        feed.publish("transactions", f"c{number}", receipt(number, f"c{number}"))
    feed.drain(new_writer(url), limit=2)
    feed.drain(new_writer(url))
    feed.drain(new_writer(url))
    assert everything(Lake(url)) == published(feed)
    assert Lake(url).positions() == {source: len(records) for source, records in feed.records.items()}


def test_what_was_buffered_and_not_flushed_is_not_in_the_lake(url: str) -> None:
    feed, writer = Feed(), new_writer(url)
    feed.publish("transactions", "ada", receipt(1, "ada"))
    source = ("topic.transactions", bucket_of("ada", PARTITIONS))
    assert writer.assign([source]) == {source: 0}
    feed.give(writer, source, 0)
    assert everything(Lake(url)) == []
    assert writer.flush().ends == {source: 1}
    assert everything(Lake(url)) == published(feed)
    assert writer.flush().ends == {}, "there is nothing left to flush"


def test_of_two_writers_at_one_position_the_second_learns_it(url: str) -> None:
    """A zombie that was stalled through a rebalance wakes up and flushes what somebody else has committed."""
    feed = Feed()
    for number in range(3):
        feed.publish("transactions", "ada", receipt(number, "ada"))
    source = ("topic.transactions", bucket_of("ada", PARTITIONS))
    zombie, owner = new_writer(url), new_writer(url)
    zombie.assign([source])
    owner.assign([source])
    feed.give(zombie, source, 0, 3)
    feed.give(owner, source, 0, 2)
    assert owner.flush().ends == {source: 2}
    late = zombie.flush()
    assert late.ends == {}
    assert late.overtaken == {source: 2}
    feed.give(zombie, source, 2)
    assert zombie.flush().ends == {source: 3}
    assert everything(Lake(url)) == published(feed)


def test_flushing_some_partitions_leaves_the_others_buffered(url: str) -> None:
    feed, writer = Feed(), new_writer(url)
    for number in range(8):
        feed.publish("transactions", f"c{number}", receipt(number, f"c{number}"))
    first, *rest = list(feed.records)
    writer.assign([first, *rest])
    for source in feed.records:
        feed.give(writer, source, 0)
    assert set(writer.flush([first]).ends) == {first}
    assert set(writer.flush().ends) == set(rest)
    assert everything(Lake(url)) == published(feed)


def test_partitions_given_up_are_forgotten(url: str) -> None:
    feed, writer = Feed(), new_writer(url, events_max=1)
    feed.publish("transactions", "ada", receipt(1, "ada"))
    source = next(iter(feed.records))
    writer.assign([source])
    feed.give(writer, source, 0)
    assert writer.is_due()
    writer.release([source])
    assert not writer.is_due()
    assert writer.flush().ends == {}
    assert not writer.owns(source)


def test_it_is_due_when_full_or_old(url: str) -> None:
    feed = Feed()
    feed.publish("transactions", "ada", receipt(1, "ada"))
    source = next(iter(feed.records))
    for limits, due in (
        ({}, False),
        ({"events_max": 1}, True),
        ({"bytes_max": 10}, True),
        ({"age_max_s": 0.0}, True),
    ):
        writer = new_writer(url, **limits)  # type: ignore[arg-type]
        writer.assign([source])
        assert not writer.is_due()
        feed.give(writer, source, 0)
        assert writer.is_due() is due


def test_marks_of_transactions_count_as_read(url: str) -> None:
    """The end of a transactional partition lies behind marks that no reader is ever given."""
    feed, writer = Feed(), new_writer(url)
    feed.publish("transactions", "ada", receipt(1, "ada"))
    source = next(iter(feed.records))
    writer.assign([source])
    feed.give(writer, source, 0)
    writer.advance(*source, 2)
    assert writer.flush().ends == {source: 2}
    writer.advance(*source, 2)
    assert writer.flush().ends == {}
    assert Lake(url).positions() == {source: 2}


def test_a_topic_that_was_made_anew_is_refused(url: str) -> None:
    feed = Feed()
    feed.publish("transactions", "ada", receipt(1, "ada"))
    feed.drain(new_writer(url))
    writer = new_writer(url)
    source = next(iter(feed.records))
    writer.assign([source])
    with pytest.raises(LakeError, match=r"is at offset 1 of topic.transactions.*made anew"):
        feed.give(writer, source, 0)


def test_a_topic_made_anew_is_known_by_its_id_before_it_is_read(url: str) -> None:
    """The new topic may have more records than the old one had: then no offset would give it away."""
    feed = Feed()
    feed.publish("transactions", "ada", receipt(1, "ada"))
    source = next(iter(feed.records))
    feed.drain(LakeWriter(open_log(url), TOPICS, {source[0]: "id-1"}))
    assert LakeWriter(open_log(url), TOPICS, {source[0]: "id-1"}).assign([source]) == {source: 1}
    with pytest.raises(LakeError, match="made anew"):
        LakeWriter(open_log(url), TOPICS, {source[0]: "id-2"}).assign([source])


def test_a_lake_keeps_its_buckets_and_refuses_another_currency(url: str) -> None:
    log = open_log(url)
    assert log.establish(LakeFormat(buckets=99, currency="USD")).buckets == PARTITIONS
    with pytest.raises(LakeError, match="holds USD, the settings say EUR"):
        log.establish(LakeFormat(buckets=PARTITIONS, currency="EUR"))


def test_damage_is_named(url: str) -> None:
    feed = Feed()
    feed.publish("transactions", "ada", receipt(1, "ada"))
    feed.drain(new_writer(url))
    storage = Storage(url)
    path = storage.names("_log")[0]
    storage.delete([path])
    storage.create(path, b'{"version": 1')
    with pytest.raises(LakeError, match=rf"{path} in the lake is damaged"):
        Lake(url)
    storage.delete([path])
    storage.create(path, (storage.read("lake.json") or b"").replace(b'"version":1', b'"version":2'))
    with pytest.raises(LakeError):
        Lake(url)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_whatever_happens_each_record_is_there_once(seed: int) -> None:
    """Writers that die at any write, zombies, compactions that die: the seed tells the story."""
    _simulate(seed, f"memory://simulated-{seed}")


@pytest.mark.long
def test_whatever_happens_a_thousand_times() -> None:
    for seed in range(1_000, 2_000):
        _simulate(seed, f"memory://simulated-{seed}")


def _simulate(seed: int, url: str) -> None:
    chance, feed = random.Random(seed), Feed()
    writers: list[Any] = []
    open_log(url)
    for step in range(40):
        number, who = 100 * seed + step, f"c{chance.randrange(6)}"
        at = f"2024-05-0{chance.randint(1, 3)}T10:00:00Z"
        feed.publish("transactions", who, receipt(number, who, at))
        if chance.random() < 0.3:
            feed.publish("clicks", who, click(number, at, customer_id=who))
        storage = MortalStorage(url)
        if chance.random() < 0.5:
            storage.writes_left = chance.randrange(12)
        match chance.randrange(4):
            case 0:
                # Old writers live on beside the new one, with what they had buffered.
                writer = new_writer(Storage(url))
                _take(feed, writer, chance)
                writers = [*writers[-2:], writer]
            case 1 if writers:
                writer = chance.choice(writers)
                some = [source for source in feed.records if chance.random() < 0.5]
                restarts = writer.flush(some).overtaken
                for source, start in restarts.items():
                    feed.give(writer, source, start)
            case 2:
                with survived():
                    feed.drain(new_writer(storage), limit=chance.randint(1, 5))
            case 3:
                with survived():
                    # The grace covers the writers above: what they are writing is never taken for an orphan.
                    compact(open_log(storage), files_min=chance.randint(2, 4), grace_s=3_600)
        if step % 4:
            continue
        seen = everything(Lake(url))
        assert len(seen) == len(set(seen)), f"seed {seed} step {step}: twice in the lake"
        assert set(seen) <= set(published(feed)), f"seed {seed} step {step}"
    feed.drain(new_writer(url))
    compact(open_log(url), grace_s=0.0)
    assert everything(Lake(url)) == published(feed), f"seed {seed}"


def _take(feed: Feed, writer: Any, chance: random.Random) -> None:
    for source, start in writer.assign(list(feed.records)).items():
        feed.give(writer, source, start, start + chance.randint(0, 6))
