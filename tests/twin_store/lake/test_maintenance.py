"""Compaction changes no row; erasure takes away what it must, from the disk too, and nothing brings it back."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.twin_store.lake.feed import Feed, click, new_writer, open_log, receipt
from twin_store.lake import Lake, LakeError, compact, erase
from twin_store.lake.manifest import Generation, LakeLog, LakeState, OvertakenError
from twin_store.lake.storage import DRAFTS_FOLDER, Storage, stamp

ASKED = datetime(2024, 5, 2, 12, tzinfo=UTC)
ERASE_ADA = {"customer_id": "ada", "requested_at": "2024-05-02T12:00:00Z"}


def write_small_files(url: str, flushes: int = 6) -> Feed:
    feed = Feed()
    for number in range(flushes):
        for who in ("ada", "bob", "cleo"):
            at = f"2024-05-0{1 + number % 3}T10:00:00Z"
            feed.publish("transactions", who, receipt(10 * number, who, at))
        feed.drain(new_writer(url))
    return feed


def rows(url: str) -> list[dict[str, Any]]:
    order = ("topic", "partition", "offset")
    return Lake(url).scan_transactions().collect().sort(order).to_dicts()


def data_files(url: str) -> list[str]:
    return Storage(url).names("transactions") + Storage(url).names("clicks") + Storage(url).names("customers")


def text_of(url: str) -> str:
    """Everything that the files of the lake hold."""
    storage = Storage(url)
    return "".join(str(storage.read_table(path).to_pylist()) for path in data_files(url))


def test_compaction_merges_days_and_buckets_and_changes_no_row(url: str) -> None:
    write_small_files(url)
    before, files = rows(url), Lake(url).state.files
    done = compact(open_log(url))
    after = Lake(url).state
    assert rows(url) == before
    assert (done.files_before, done.files_after) == (len(files), len(after.files))
    places = [(file.table, file.day, file.bucket) for file in after.files]
    assert len(places) == len(set(places)) < len(files)
    assert after.tail == ()
    assert after.generation.number == done.generation == 1


def test_compacting_again_does_nothing(url: str) -> None:
    write_small_files(url)
    compact(open_log(url))
    log = Storage(url).names("_log")
    assert compact(open_log(url)).generation == 1
    assert Storage(url).names("_log") == log


def test_small_targets_and_few_files_are_left_alone(url: str) -> None:
    write_small_files(url)
    files = len(Lake(url).state.files)
    assert compact(open_log(url), files_min=100).files_after == files
    assert compact(open_log(url), target_bytes=1).files_after == files


def test_old_files_stay_for_readers_until_the_grace_is_over(url: str) -> None:
    write_small_files(url)
    reader = Lake(url)
    before = reader.scan_transactions().collect().height
    assert compact(open_log(url)).files_removed == 0
    assert reader.scan_transactions().collect().height == before
    swept = compact(open_log(url), grace_s=0.0)
    assert swept.files_removed > 0
    assert swept.log_objects_removed > 0
    assert sorted(data_files(url)) == sorted(file.path for file in Lake(url).state.files)
    assert Lake(url).scan_transactions().collect().height == before


def test_files_of_a_writer_that_died_are_removed_when_they_are_old(url: str) -> None:
    write_small_files(url, flushes=1)
    storage = Storage(url)
    path = Lake(url).state.files[0].path
    orphan = path.replace(".parquet", "x.parquet")
    storage.write_table(orphan, storage.read_table(path))
    assert compact(open_log(url)).files_removed == 0
    assert compact(open_log(url), grace_s=0.0).files_removed == 1
    assert orphan not in data_files(url)


def test_drafts_of_a_process_that_died_are_in_nobodys_way(tmp_path: Path) -> None:
    url = str(tmp_path)
    write_small_files(url, flushes=1)
    draft = tmp_path / DRAFTS_FOLDER / f"draft-{stamp()}"
    draft.write_bytes(b"half a manif")
    assert len(rows(url)) == 3
    compact(open_log(url))
    assert draft.exists()
    compact(open_log(url), grace_s=0.0)
    assert not draft.exists()


def test_a_writer_goes_on_after_the_chain_was_shortened(url: str) -> None:
    feed = write_small_files(url)
    compact(open_log(url), grace_s=0.0)
    feed.publish("transactions", "ada", receipt(99, "ada"))
    feed.drain(new_writer(url))
    assert len(rows(url)) == 19
    assert Lake(url).positions() == {source: len(records) for source, records in feed.records.items()}


def test_who_loses_the_race_for_a_generation_prepares_it_again(url: str) -> None:
    write_small_files(url)
    before = rows(url)
    log = RacedLog(Storage(url), losses=2)
    assert compact(log).generation == 3
    assert rows(url) == before
    compact(open_log(url), grace_s=0.0)
    assert sorted(data_files(url)) == sorted(file.path for file in Lake(url).state.files)


def test_who_loses_every_time_says_so(url: str) -> None:
    write_small_files(url)
    with pytest.raises(LakeError, match="somebody else published"):
        compact(RacedLog(Storage(url), losses=99))


class RacedLog(LakeLog):
    """A log in which somebody else is quicker a number of times."""

    def __init__(self, storage: Storage, losses: int) -> None:
        super().__init__(storage)
        self._losses = losses

    def publish(self, generation: Generation) -> None:
        if self._losses > 0:
            self._losses -= 1
            state = self.load()
            other = Generation(
                generation.number, list(state.reaches.values()), state.files, {}, [], "other", 0.0
            )
            super().publish(other)
            raise OvertakenError
        super().publish(generation)


def test_an_erased_customer_is_gone_up_to_the_request(url: str) -> None:
    write_small_files(url)
    hers = [row for row in rows(url) if row["customer_id"] == "ada"]
    others = [row for row in rows(url) if row["customer_id"] != "ada"]
    done = erase(open_log(url), {"ada": ASKED})
    left = [row for row in hers if row["occurred_at"] > ASKED]
    assert done.rows_erased == len(hers) - len(left) == 4
    key = lambda row: (row["partition"], row["offset"])  # noqa: E731
    assert sorted(rows(url), key=key) == sorted(others + left, key=key)


def test_the_erased_is_not_on_the_disk_either(url: str) -> None:
    feed = Feed()
    for number in range(3):
        feed.publish("transactions", "ada", receipt(number, "ada"))
        feed.publish("transactions", "bob", receipt(number, "bob"))
        feed.drain(new_writer(url))
    compact(open_log(url))
    assert "'ada'" in text_of(url)
    erase(open_log(url), {"ada": ASKED})
    assert "'ada'" not in text_of(url)
    assert "'bob'" in text_of(url)


def test_a_request_in_the_stream_counts_at_once_and_is_carried_out_later(url: str) -> None:
    feed = write_small_files(url)
    feed.publish("erasures", "ada", ERASE_ADA)
    feed.drain(new_writer(url))
    lake = Lake(url)
    assert set(lake.state.pending_erasures) == {"ada"}
    assert lake.scan_transactions(until=ASKED, customers=["ada"]).collect().height == 0
    assert lake.scan_lines(until=ASKED, customers=["ada"]).collect().height == 0
    assert erase(open_log(url)).rows_erased == 4
    assert not Lake(url).state.pending_erasures
    assert erase(open_log(url)).rows_erased == 0


def test_a_replay_does_not_bring_her_back(url: str) -> None:
    feed = write_small_files(url)
    erase(open_log(url), {"ada": ASKED})
    feed.publish("transactions", "ada", receipt(1, "ada"))
    feed.publish("transactions", "ada", receipt(2, "ada", at="2024-06-01T10:00:00Z"))
    feed.drain(new_writer(url))
    new = Lake(url).scan_transactions(customers=["ada"]).collect()
    assert "t1" not in new["transaction_id"]
    assert "t2" in new["transaction_id"]
    assert sum(reach.dropped for reach in Lake(url).state.reaches.values()) == 1


def test_rows_that_a_writer_wrote_unknowing_are_never_seen_and_removed_by_the_next_run(url: str) -> None:
    """Its manifests were read before the erasure: the rows get into a file, but not into any frame."""
    feed = Feed()
    feed.publish("transactions", "ada", receipt(1, "ada"))
    unknowing = StaleLog(Storage(url))
    open_log(url)
    source = next(iter(feed.records))
    writer = new_writer(url)
    writer._log = unknowing  # what a slow writer has in hand
    writer.assign([source])
    feed.give(writer, source, 0)
    erase(open_log(url), {"ada": ASKED})
    writer.flush()
    assert "'ada'" in text_of(url)
    assert rows(url) == []
    compact(open_log(url), grace_s=0.0)
    assert "'ada'" not in text_of(url)


class StaleLog(LakeLog):
    """A log that sees no erasures."""

    def load(self) -> LakeState:
        return replace(super().load(), erasures={})


def test_her_other_names_are_erased_with_her(url: str) -> None:
    feed = Feed()
    feed.publish("clicks", "a1", click(1, anonymous_id="a1"))
    feed.publish("clicks", "a2", click(2, anonymous_id="a2"))
    feed.publish("clicks", "a3", click(3, anonymous_id="a3"))
    feed.publish("clicks", "ada", click(4, anonymous_id="a1", customer_id="ada"))
    record = {"customer_id": "ada", "updated_at": "2024-05-01T00:00:00Z", "anonymous_ids": ["a2"]}
    feed.publish("customers", "ada", record)
    feed.drain(new_writer(url))
    erase(open_log(url), {"ada": ASKED})
    assert Lake(url).scan_clicks().collect()["event_id"].to_list() == ["e3"]
    assert Lake(url).scan_customers().collect().height == 0
    assert set(Lake(url).state.erasures) == {"ada", "a1", "a2"}


def test_the_later_of_two_requests_counts(url: str) -> None:
    write_small_files(url)
    erase(open_log(url), {"ada": datetime(2024, 5, 1, 12, tzinfo=UTC)})
    erase(open_log(url), {"ada": ASKED})
    erase(open_log(url), {"ada": datetime(2024, 1, 1, tzinfo=UTC)})
    assert Lake(url).scan_transactions(customers=["ada"], until=ASKED).collect().height == 0
    assert Lake(url).state.erasures == {"ada": int(ASKED.timestamp() * 1e6)}


def test_manifests_are_readable_json(url: str) -> None:
    write_small_files(url, flushes=1)
    storage = Storage(url)
    for path in storage.names("_log"):
        assert json.loads(storage.read(path) or b"")["files"]
